//! The command line: `run`, `ping`, the REPL. A user of the library like any other; everything here works with its
//! public names.
//!
//! - `args`: words to options; `duration`, `environment`, `target` for what is in them
//! - `run`: one command; `foreground` stays with it, `input`, `output`, `json` and `signals` join it to this process
//! - `connection`, `embedded`: the server that is used
//! - `report`, `failure`, `exit_code`, `escape`: what the user gets to know

pub(crate) mod args;
pub(crate) mod connection;
mod duration;
#[cfg_attr(not(feature = "embedded"), path = "cli/embedded_absent.rs")]
mod embedded;
mod environment;
pub(crate) mod escape;
pub(crate) mod exit_code;
pub(crate) mod failure;
pub(crate) mod foreground;
mod input;
mod json;
pub(crate) mod output;
mod ping;
pub(crate) mod report;
mod run;
pub(crate) mod signals;
mod target;

use std::env;
use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::mem;
use std::path::Path;
use std::process::ExitCode;

use self::args::{Options, ReplOptions, Verb};
use self::failure::Failure;
use self::report::Reporter;
use crate::repl;

/// Runs the program: reads its command line, does what it says, and returns what to exit with.
pub fn main() -> ExitCode {
    let line: Vec<OsString> = env::args_os().collect();
    let mut reporter = Reporter::new(program_name(line.first().map(OsString::as_os_str)));
    let options = match Options::parse_from_words(&line) {
        Ok(options) => options,
        Err(error) => return explain_usage(&error),
    };
    if options.version {
        return show_version(&reporter);
    }
    match &options.verb {
        Some(Verb::EmbeddedServer) => embedded::serve(reporter.program()),
        Some(Verb::Run(run)) => {
            reporter.set_quiet(run.quiet);
            block_on(&reporter, run::run(&options, run, &reporter))
        }
        Some(Verb::Ping(ping)) => block_on(&reporter, ping::ping(&options, ping, &reporter)),
        Some(Verb::Repl(lines)) => block_on(&reporter, repl::repl(&options, lines, &reporter)),
        None => block_on(&reporter, repl::repl(&options, &ReplOptions::default(), &reporter)),
    }
}

/// The name that people called this program by.
fn program_name(path: Option<&OsStr>) -> String {
    let name = path.and_then(|path| Path::new(path).file_name());
    name.unwrap_or_else(|| OsStr::new("client")).to_string_lossy().into_owned()
}

/// Help, or what is wrong with the command line, in clap's words.
fn explain_usage(error: &clap::Error) -> ExitCode {
    // There is nobody to tell if even this cannot be written.
    error.print().ok();
    ExitCode::from(if error.use_stderr() { exit_code::FAILED } else { 0 })
}

fn show_version(reporter: &Reporter) -> ExitCode {
    let commit = option_env!("TELEX_COMMIT").map(|commit| format!(" ({commit})")).unwrap_or_default();
    let line = format!("{} {}{commit}\n", reporter.program(), env!("CARGO_PKG_VERSION"));
    match io::stdout().write_all(line.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(reporter, &Failure::Output { stream: "stdout", error }),
    }
}

/// Runs `work` to its end on this thread; no other is started unless something would block.
fn block_on(reporter: &Reporter, work: impl Future<Output = u8>) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build();
    match runtime {
        Ok(runtime) => {
            let code = runtime.block_on(work);
            // The process ends now, and takes threads with it that are stuck in a read or a write. To take the
            // runtime apart first would only cost time.
            mem::forget(runtime);
            ExitCode::from(code)
        }
        Err(error) => fail(reporter, &Failure::System { what: "an event queue", error }),
    }
}

fn fail(reporter: &Reporter, failure: &Failure) -> ExitCode {
    reporter.say(failure);
    ExitCode::from(exit_code::FAILED)
}
