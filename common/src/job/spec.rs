//! What a job is asked to be.
//!
//! An argv and a shell string are different things from end to end; nothing here ever turns one into the other.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::byte_string::{ByteString, bounded};
use super::keeping::Keeping;
use super::resources::{Resource, ResourceLimits};
use crate::limits;

/// The command, in one of its forms. New ones go at the end; the order is the wire's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Program {
    /// Exactly these words: the program, found along `PATH` if it has no slash, and its arguments. No shell.
    Argv(#[serde(deserialize_with = "bounded::<{ limits::ARGUMENTS }, _, _>")] Vec<ByteString>),
    /// One string for `/bin/sh -c`.
    Shell(ByteString),
    /// The shell of the account that runs it, as a login shell: its own name with `-` in front is its only word.
    LoginShell,
}

/// An environment variable. `Debug` leaves the value out: it may be a secret.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variable {
    /// Its name: not empty, no `=`, no NUL.
    pub name: ByteString,
    /// Its value: no NUL.
    pub value: ByteString,
}

impl fmt::Debug for Variable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}=…", self.name)
    }
}

/// Everything the server needs to start a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// What to run.
    pub program: Program,
    /// Directory to run it in: absolute, or relative to the home directory. The home directory if `None`.
    pub directory: Option<ByteString>,
    /// Variables set on top of the server's base environment; of two with one name the later counts.
    #[serde(deserialize_with = "bounded::<{ limits::VARIABLES }, _, _>")]
    pub environment: Vec<Variable>,
    /// Whether the command's stdin is a pipe from the client; otherwise it is `/dev/null`.
    pub stdin: bool,
    /// Whether stdout and stderr share one pipe, in the order in which they are written, as stream stdout.
    pub merge_output: bool,
    /// Whether the job lasts until every process has closed its output, not only until the command's own exit.
    pub wait_output: bool,
    /// Milliseconds after which the server ends the job.
    pub timeout_ms: Option<u64>,
    /// What it may take from the machine.
    pub limits: ResourceLimits,
    /// What becomes of it when nobody is attached to it.
    pub keeping: Keeping,
}

impl Spec {
    /// A job with nothing but a command: no stdin, home directory, no limits; it ends with its client.
    pub fn new(program: Program) -> Self {
        Self {
            program,
            directory: None,
            environment: Vec::new(),
            stdin: false,
            merge_output: false,
            wait_output: false,
            timeout_ms: None,
            limits: ResourceLimits::default(),
            keeping: Keeping::default(),
        }
    }

    /// The time limit, if there is one.
    pub fn timeout(&self) -> Option<Duration> {
        self.timeout_ms.map(Duration::from_millis)
    }

    /// Checks what the types cannot say.
    ///
    /// # Errors
    /// A [`SpecError`] for the first thing that no system could run; the fault of whoever wrote the command.
    pub fn check(&self) -> Result<(), SpecError> {
        match &self.program {
            Program::Argv(words) => {
                let program = words.first().ok_or(SpecError::NoProgram)?;
                if program.0.is_empty() {
                    return Err(SpecError::NoProgram);
                }
                if words.len() > limits::ARGUMENTS {
                    return Err(SpecError::TooManyArguments { count: words.len() });
                }
                words.iter().try_for_each(|word| check_text("argument", &word.0))?;
            }
            Program::Shell(text) => check_text("shell command", &text.0)?,
            Program::LoginShell => {}
        }
        if let Some(directory) = &self.directory {
            check_text("directory", &directory.0)?;
        }
        if self.environment.len() > limits::VARIABLES {
            return Err(SpecError::TooManyVariables { count: self.environment.len() });
        }
        self.environment.iter().try_for_each(Variable::check)?;
        self.limits.check()
    }
}

impl Variable {
    fn check(&self) -> Result<(), SpecError> {
        if self.name.0.is_empty() || self.name.0.contains(&b'=') {
            return Err(SpecError::VariableName { name: self.name.to_text() });
        }
        check_text("variable name", &self.name.0)?;
        // execve(2) counts "NAME=value" as one string.
        if self.name.0.len() + 1 + self.value.0.len() > limits::ARGUMENT_BYTES {
            return Err(SpecError::TooLong { what: "variable", length: self.value.0.len() });
        }
        check_text("variable", &self.value.0)
    }
}

fn check_text(what: &'static str, bytes: &[u8]) -> Result<(), SpecError> {
    if bytes.contains(&0) {
        return Err(SpecError::Nul { what });
    }
    if bytes.len() > limits::ARGUMENT_BYTES {
        return Err(SpecError::TooLong { what, length: bytes.len() });
    }
    Ok(())
}

/// A specification that no system could run. The fault of whoever wrote the command.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SpecError {
    /// No words, or an empty first one.
    #[error("the command is empty")]
    NoProgram,
    /// More words than [`limits::ARGUMENTS`].
    #[error("{count} arguments, at most {max}", max = limits::ARGUMENTS)]
    TooManyArguments {
        /// How many there are.
        count: usize,
    },
    /// More variables than [`limits::VARIABLES`].
    #[error("{count} variables, at most {max}", max = limits::VARIABLES)]
    TooManyVariables {
        /// How many there are.
        count: usize,
    },
    /// Empty or with an `=`.
    #[error("not a variable name: {name:?}")]
    VariableName {
        /// The name.
        name: String,
    },
    /// A NUL byte, which no argument, path or value can carry.
    #[error("the {what} contains a NUL byte")]
    Nul {
        /// Where it is.
        what: &'static str,
    },
    /// Longer than [`limits::ARGUMENT_BYTES`].
    #[error("the {what} has {length} bytes, at most {max}", max = limits::ARGUMENT_BYTES)]
    TooLong {
        /// What is too long.
        what: &'static str,
        /// How long it is.
        length: usize,
    },
    /// The name of a kind of terminal that is too long or not printable.
    #[error("not a kind of terminal: {name:?}, at most {max} printable characters", max = limits::TERMINAL_NAME)]
    TerminalName {
        /// The name.
        name: String,
    },
    /// More settings than [`limits::TERMINAL_MODES`].
    #[error("{count} settings of a terminal, at most {max}", max = limits::TERMINAL_MODES)]
    TooManyModes {
        /// How many there are.
        count: usize,
    },
    /// A stdin beside the descriptor that it is told by, without a terminal.
    #[error(
        "a command that is told what to do on its descriptor 0 has no other stdin, unless it has a terminal"
    )]
    ControlStdin,
    /// Control descriptors and a supervisor.
    #[error("a command with control descriptors cannot outlive its server")]
    ControlSupervised,
    /// A limit that makes no sense on any machine.
    #[error("a limit of {value} on {resource}: {least} to {most} make sense")]
    Limit {
        /// What is to be limited.
        resource: Resource,
        /// To what.
        value: i128,
        /// The least that makes sense.
        least: i128,
        /// The most.
        most: i128,
    },
}
