//! `shell`: a login shell, or a command, for somebody who sits before a terminal. Runs nothing itself: that is [`run`]'s.

use rustix::stdio::stdin;
use rustix::termios::isatty;

use super::args::{Options, RunOptions};
use super::exit_code;
use super::failure::Failure;
use super::report::Reporter;
use super::run::run;

/// Runs it; the exit code.
pub(crate) async fn shell(options: &Options, shell: &RunOptions, reporter: &Reporter) -> u8 {
    // Before anything is started: a shell that reads a script from a pipe would not be what was meant.
    if !isatty(stdin()) {
        reporter.fail(&Failure::NoTerminalForShell);
        return exit_code::FAILED;
    }
    run(options, shell, reporter).await
}
