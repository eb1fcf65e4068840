//! Whether lines come from a person or from a script, and from where.

use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal};
use std::path::{Path, PathBuf};

use super::lines::Lines;
use super::shell::Mode;
use crate::cli::args::ReplOptions;
use crate::cli::connection::Connection;
use crate::cli::failure::Failure;

/// Where lines come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source<'a> {
    /// A person at the terminal.
    Terminal,
    /// A script in a pipe or file that is our stdin.
    Stdin,
    /// A script that was named.
    File(&'a Path),
}

impl<'a> Source<'a> {
    /// What the options and our own stdin say.
    pub(super) fn choose(repl: &'a ReplOptions) -> Self {
        match &repl.file {
            Some(path) => Self::File(path),
            None => Self::of_stdin(),
        }
    }

    /// What our own stdin says.
    pub(super) fn of_stdin() -> Self {
        // The line editor reads from the one and draws on the other.
        if io::stdin().is_terminal() && io::stderr().is_terminal() { Self::Terminal } else { Self::Stdin }
    }

    /// Opens a script.
    ///
    /// # Errors
    /// [`Failure::Script`].
    pub(super) fn open(self) -> Result<Opened, Failure> {
        Ok(match self {
            Self::Terminal => Opened::Terminal,
            Self::Stdin => Opened::Script(Box::new(BufReader::new(io::stdin()))),
            Self::File(path) => {
                let file = File::open(path).map_err(|error| self.failure(error))?;
                Opened::Script(Box::new(BufReader::new(file)))
            }
        })
    }

    /// How a shell runs its lines.
    pub(super) fn mode(self) -> Mode {
        match self {
            Self::Terminal => Mode::Terminal,
            Self::Stdin | Self::File(_) => Mode::Script,
        }
    }

    /// The failure to read from it.
    pub(super) fn failure(self, error: io::Error) -> Failure {
        match self {
            Self::Terminal => Failure::Terminal(error),
            Self::Stdin => Failure::Script(PathBuf::from("stdin"), error),
            Self::File(path) => Failure::Script(path.to_owned(), error),
        }
    }
}

/// A source that lines can be had from.
pub(super) enum Opened {
    Terminal,
    Script(Box<dyn BufRead + Send>),
}

impl Opened {
    /// Its lines, which are for the server behind `connection`.
    ///
    /// # Errors
    /// [`Failure::System`].
    pub(super) fn lines(self, connection: &Connection) -> Result<Lines, Failure> {
        match self {
            Self::Terminal => Lines::from_terminal(&connection.name, &connection.prompt),
            Self::Script(script) => Lines::from_script(script),
        }
    }
}
