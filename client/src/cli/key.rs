//! `client key`: the public half of the user's key, which is made if there is none.

use std::io::{self, Write};

use common::config::Places;
use common::job::Signal;

use super::args::Options;
use super::exit_code;
use super::failure::Failure;
use super::report::Reporter;
use crate::access;
use crate::error::Error;

/// Prints the key as a line for `authorized_keys`, and its fingerprint; the exit code.
pub(crate) fn key(options: &Options, reporter: &Reporter) -> u8 {
    match show(options, reporter) {
        Ok(()) => 0,
        Err(Failure::Stdout(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            exit_code::of_signal(Signal::PIPE)
        }
        Err(failure) => {
            reporter.fail(&failure);
            exit_code::FAILED
        }
    }
}

fn show(options: &Options, reporter: &Reporter) -> Result<(), Failure> {
    let places = Places::of_user().map_err(Error::from)?;
    let (identity, made) = options.server.key.load_or_make(&places)?;
    if made {
        reporter.remark(format_args!("made a key: {}", access::key_path(&places).display()));
    }
    let key = identity.public_key();
    let comment = comment();
    writeln!(io::stdout(), "{key} {comment}\n{}", key.fingerprint()).map_err(Failure::Stdout)
}

/// Whose key it is, for the one who reads a list of them: `user@machine`.
fn comment() -> String {
    let user = std::env::var("USER").or_else(|_| std::env::var("LOGNAME"));
    let user = user.map(|user| format!("{user}@")).unwrap_or_default();
    let text = format!("{user}{}", rustix::system::uname().nodename().to_string_lossy());
    text.chars().filter(|c| c.is_ascii_graphic()).take(64).collect()
}
