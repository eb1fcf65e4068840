//! The command line: `run`, `ping`, the REPL. A user of the library, beside whose public names it needs what stands behind
//! them in two places: the settings (`crate::config`), and where keys and known hosts are kept (`crate::access`).
//!
//! - `startup`: what has to be so before anything else happens
//! - `args`: words to options; `environment`, `target` for what is in them
//! - `identity`, `trust`: whose key is shown, and which server is believed
//! - `key`, `join`, `ping`: the subcommands that run nothing
//! - `run`, `shell`, `attach`: one command; `call` has it from beginning to end, `foreground` stays with it, `input`, `output`, `json` and
//!   `signals` join it to this process; `keyboard` finds the `detach_keys` in what is typed
//! - `terminal`: the terminal here, while a command on a terminal has it
//! - `jobs`, `logs`, `tell_jobs` (`wait`, `signal`, `forget`): jobs that are there already
//! - `line_status`, `screen`: what is shown while the line is down
//! - `connection`, `embedded`: the server that is used
//! - `question`: what only a person can answer
//! - `report`, `failure`, `exit_code`: what the user gets to know; `style`: how it looks

pub(crate) mod args;
pub(crate) mod attach;
mod call;
pub(crate) mod connection;
pub(crate) mod detach_keys;
#[cfg_attr(not(feature = "embedded"), path = "cli/embedded_absent.rs")]
mod embedded;
mod environment;
pub(crate) mod exit_code;
pub(crate) mod failure;
pub(crate) mod foreground;
mod identity;
pub(crate) mod input;
pub(crate) mod jobs;
mod join;
mod json;
mod key;
mod keyboard;
pub(crate) mod line_status;
mod logs;
pub(crate) mod output;
mod ping;
mod question;
pub(crate) mod report;
mod run;
pub(crate) mod screen;
mod shell;
pub(crate) mod signals;
mod startup;
pub(crate) mod style;
mod target;
mod tell_jobs;
pub(crate) mod terminal;
mod trust;

use std::env;
use std::ffi::{OsStr, OsString};
use std::future::ready;
use std::io::{self, Write};
use std::path::Path;
use std::pin::Pin;
use std::{mem, panic, process};

use common::job::Signal;
use tokio::runtime::{self, LocalOptions};

use self::args::{Instead, Options, Verb};
use self::failure::Failure;
use self::report::Reporter;
use crate::repl;

/// Runs the program: reads its command line, does what it says, and exits. The first and only thing that a process
/// does, with or without Rust's runtime around it.
pub fn main() -> ! {
    // A panic has told its story by then, and there may be no frame above that it could unwind to.
    let code = panic::catch_unwind(run_program).unwrap_or(exit_code::FAILED);
    // Nothing that is dropped counts here: the runtime is not taken apart.
    terminal::restore_now();
    process::exit(code.into())
}

fn run_program() -> u8 {
    let mut reporter = Reporter::new(program_name(env::args_os().next()));
    if let Err(error) = startup::prepare() {
        return fail(&reporter, &Failure::System { what: "the standard streams", error });
    }
    let options = match Options::parse(env::args_os()) {
        Ok(options) => options,
        Err(instead) => return do_instead(&reporter, instead),
    };
    if !matches!(options.verb, Verb::EmbeddedServer) {
        restore_on_panic();
    }
    match &options.verb {
        Verb::Run(run) | Verb::Shell(run) => reporter.set_quiet(run.shown.quiet),
        Verb::Attach(attach) => reporter.set_quiet(attach.shown.quiet),
        _ => {}
    }
    block_on(&reporter, work(&options, &reporter))
}

/// Has a panic tell its story on a terminal that is as it was.
fn restore_on_panic() {
    let tell = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        terminal::restore_now();
        tell(panic);
    }));
}

/// What the command line asks for. Boxed: all of them side by side would make one stack frame of 40 KiB, and every page
/// of it would be touched.
fn work<'a>(options: &'a Options, reporter: &'a Reporter) -> Pin<Box<dyn Future<Output = u8> + 'a>> {
    match &options.verb {
        Verb::Run(run) => Box::pin(run::run(options, run, reporter)),
        Verb::Shell(shell) => Box::pin(shell::shell(options, shell, reporter)),
        Verb::Jobs(jobs) => Box::pin(jobs::jobs(options, jobs, reporter)),
        Verb::Attach(attach) => Box::pin(attach::attach(options, attach, reporter)),
        Verb::Logs(logs) => Box::pin(logs::logs(options, logs, reporter)),
        Verb::Wait(wait) => Box::pin(tell_jobs::wait(options, wait, reporter)),
        Verb::Signal(signal) => Box::pin(tell_jobs::signal(options, signal, reporter)),
        Verb::Forget(forget) => Box::pin(tell_jobs::forget(options, forget, reporter)),
        Verb::Ping(ping) => Box::pin(ping::ping(options, ping, reporter)),
        Verb::Repl(lines) => Box::pin(repl::repl(options, lines, reporter)),
        Verb::Key => Box::pin(ready(key::key(options, reporter))),
        Verb::Join(join) => Box::pin(join::join(options, join, reporter)),
        Verb::EmbeddedServer => Box::pin(embedded::serve(reporter)),
    }
}

/// The name that people called this program by.
fn program_name(path: Option<OsString>) -> String {
    let name = path.as_deref().and_then(|path| Path::new(path).file_name());
    name.unwrap_or_else(|| OsStr::new("client")).to_string_lossy().into_owned()
}

fn do_instead(reporter: &Reporter, instead: Instead) -> u8 {
    match instead {
        Instead::Help(page) => print(reporter, page.text()),
        Instead::Version => print(reporter, &version(reporter.program())),
        Instead::Complain(error) => {
            reporter.say(error);
            exit_code::FAILED
        }
    }
}

fn version(program: &str) -> String {
    let commit = option_env!("TELEX_COMMIT").map(|commit| format!(" ({commit})")).unwrap_or_default();
    format!("{program} {}{commit}\n", env!("CARGO_PKG_VERSION"))
}

fn print(reporter: &Reporter, text: &str) -> u8 {
    match io::stdout().write_all(text.as_bytes()) {
        Ok(()) => 0,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => exit_code::of_signal(Signal::PIPE),
        Err(error) => fail(reporter, &Failure::Stdout(error)),
    }
}

/// Runs `work` to its end on this thread; no other is started unless something would block.
///
/// A runtime that cannot have worker threads: the linker then leaves out what those need, among it a library that
/// would have to be loaded at each start.
fn block_on(reporter: &Reporter, work: impl Future<Output = u8>) -> u8 {
    let mut builder = runtime::Builder::new_current_thread();
    builder.on_thread_start(signals::leave_to_main_thread);
    let runtime = builder.enable_io().enable_time().build_local(LocalOptions::default());
    match runtime {
        Ok(runtime) => {
            let code = runtime.block_on(work);
            // The process ends now, and takes threads with it that are stuck in a read or a write. To take the
            // runtime apart first would only cost time.
            mem::forget(runtime);
            code
        }
        Err(error) => fail(reporter, &Failure::System { what: "an event queue", error }),
    }
}

fn fail(reporter: &Reporter, failure: &Failure) -> u8 {
    reporter.fail(failure);
    exit_code::FAILED
}
