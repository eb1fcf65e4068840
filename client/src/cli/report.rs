//! Where what happened becomes sentences, and the only way to stderr.
//!
//! One line each, beginning with the program's name. The whole line is escaped, so nothing that a peer said can
//! reach the terminal as it is.

mod failure;
mod outcome;

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

use common::escape::escape;
use common::job::Signal;

pub(crate) use failure::{explain, what_failed};
pub(crate) use outcome::{outcome, usage};

use super::{screen, terminal};

/// How much of a message is shown: what the user wrote may be repeated in it, and be anything.
const LINE_BYTES: usize = 4096;

/// Says things to the user on stderr.
#[derive(Debug, Clone)]
pub(crate) struct Reporter {
    program: String,
    quiet: bool,
}

impl Reporter {
    /// For the program of this name.
    pub(crate) fn new(program: impl Into<String>) -> Self {
        Self { program: program.into(), quiet: false }
    }

    /// Leaves out remarks from now on.
    pub(crate) fn set_quiet(&mut self, quiet: bool) {
        self.quiet = quiet;
    }

    /// Whether remarks are left out.
    pub(crate) fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// The name that messages begin with.
    pub(crate) fn program(&self) -> &str {
        &self.program
    }

    /// Says what the user must know.
    pub(crate) fn say(&self, message: impl Display) {
        print(&format!("{}: {message}", self.program));
    }

    /// Says what the exit code tells as well, unless asked to be quiet.
    pub(crate) fn remark(&self, message: impl Display) {
        if !self.quiet {
            self.say(message);
        }
    }
}

/// Ends the line on which a terminal has shown `^C`, if that is where `signal` came from, so that what is said next has one
/// of its own.
pub(crate) fn end_echo(signal: Option<Signal>) {
    if signal == Some(Signal::INT) && io::stderr().is_terminal() {
        print("");
    }
}

/// Writes `line`, escaped and cut if it is very long, to stderr in one piece.
pub(crate) fn print(line: &str) {
    let shown = line.get(..line.floor_char_boundary(LINE_BYTES)).unwrap_or(line);
    let rest = if shown.len() < line.len() { "…" } else { "" };
    // On a terminal that is raw a line does not begin where lines begin.
    let (begin, end) =
        if terminal::is_raw() && io::stderr().is_terminal() { ("\r\n", "\r\n") } else { ("", "\n") };
    let line = format!("{begin}{}{rest}{end}", escape(shown));
    screen::make_way();
    // Nobody is left to tell that stderr is gone.
    io::stderr().write_all(line.as_bytes()).ok();
}
