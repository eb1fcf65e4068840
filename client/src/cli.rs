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

use self::args::{Instead, Options, Verb};
use self::failure::Failure;
use self::report::Reporter;
use crate::repl;

/// Runs the program: reads its command line, does what it says, and returns what to exit with.
pub fn main() -> ExitCode {
    let mut reporter = Reporter::new(program_name(env::args_os().next()));
    let options = match Options::parse(env::args_os()) {
        Ok(options) => options,
        Err(instead) => return ExitCode::from(do_instead(&reporter, instead)),
    };
    if let Verb::Run(run) = &options.verb {
        reporter.set_quiet(run.quiet);
    }
    let code = match &options.verb {
        Verb::Run(run) => block_on(&reporter, run::run(&options, run, &reporter)),
        Verb::Ping(ping) => block_on(&reporter, ping::ping(&options, ping, &reporter)),
        Verb::Repl(lines) => block_on(&reporter, repl::repl(&options, lines, &reporter)),
        Verb::EmbeddedServer => return embedded::serve(reporter.program()),
    };
    ExitCode::from(code)
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
        Err(error) => fail(reporter, &Failure::Output { stream: "stdout", error }),
    }
}

/// Runs `work` to its end on this thread; no other is started unless something would block.
fn block_on(reporter: &Reporter, work: impl Future<Output = u8>) -> u8 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build();
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
    reporter.say(failure);
    exit_code::FAILED
}
