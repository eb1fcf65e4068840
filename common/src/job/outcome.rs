//! What became of a job. Built to cross a wire, unlike `std::process::ExitStatus`.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::byte_string::bounded;
use super::resources::{Resource, Usage};
use super::signal::Signal;
use crate::frame::StreamId;

/// The one truthful end of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// The command exited with this code.
    Exited(u8),
    /// A signal ended the command.
    Signaled {
        /// Which.
        signal: Signal,
        /// Whether a core was dumped.
        core_dumped: bool,
    },
    /// The job's time limit passed, and the server ended it.
    TimedOut,
    /// The client asked for its end, or the server stopped.
    Cancelled,
    /// The command never ran.
    NotStarted(StartFailure),
    /// Nobody can say. Carries what is known, as text.
    Lost(String),
}

impl Outcome {
    /// Whether this is `Exited(0)`.
    pub fn is_success(&self) -> bool {
        *self == Self::Exited(0)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(code) => write!(f, "exited with {code}"),
            Self::Signaled { signal, core_dumped: false } => write!(f, "killed by SIG{signal}"),
            Self::Signaled { signal, core_dumped: true } => write!(f, "killed by SIG{signal} (core dumped)"),
            Self::TimedOut => f.write_str("timed out"),
            Self::Cancelled => f.write_str("cancelled"),
            Self::NotStarted(failure) => write!(f, "not started: {failure}"),
            Self::Lost(known) => write!(f, "lost: {known}"),
        }
    }
}

/// Why a command never ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum StartFailure {
    /// No such program. The user's fault.
    NotFound {
        /// The program as it was asked for.
        program: String,
        /// The `PATH` that was searched; empty if the program was named with a slash.
        searched: String,
    },
    /// The program is there and cannot be executed. The user's fault.
    NotExecutable {
        /// The file that was tried.
        program: String,
        /// What the system says.
        reason: String,
    },
    /// The working directory cannot be entered. The user's fault.
    Directory {
        /// The directory.
        path: String,
        /// What the system says.
        reason: String,
    },
    /// The specification makes no sense. The user's fault.
    Invalid(String),
    /// The server's machine has no processes, descriptors or memory left.
    Exhausted(String),
    /// The server does not take this job: it is stopping, a limit is reached, or the id is in use.
    Refused(String),
    /// A limit that the job asks for cannot be kept on the server's machine, or may not be set there.
    Limit {
        /// What was to be limited.
        limit: Resource,
        /// Why it cannot be.
        reason: String,
    },
}

impl StartFailure {
    /// Its kind, as it stands in JSON.
    pub fn name(&self) -> &'static str {
        match self {
            Self::NotFound { .. } => "not_found",
            Self::NotExecutable { .. } => "not_executable",
            Self::Directory { .. } => "directory",
            Self::Invalid(_) => "invalid",
            Self::Exhausted(_) => "exhausted",
            Self::Refused(_) => "refused",
            Self::Limit { .. } => "limit",
        }
    }
}

impl fmt::Display for StartFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound { program, searched } if searched.is_empty() => write!(f, "{program}: not found"),
            Self::NotFound { program, searched } => write!(f, "{program}: not found in {searched}"),
            Self::NotExecutable { program, reason } => write!(f, "{program}: cannot be executed: {reason}"),
            Self::Directory { path, reason } => write!(f, "cannot enter {path}: {reason}"),
            Self::Invalid(reason) => write!(f, "not a valid command: {reason}"),
            Self::Exhausted(reason) => write!(f, "the server is short of resources: {reason}"),
            Self::Refused(reason) => write!(f, "refused by the server: {reason}"),
            Self::Limit { limit, reason } => write!(f, "cannot limit {limit}: {reason}"),
        }
    }
}

/// The end of a job as the server reports it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// What became of it.
    pub outcome: Outcome,
    /// Length of every output stream, for the receiver to check what it got.
    #[serde(deserialize_with = "bounded::<4, _, _>")]
    pub totals: Vec<StreamTotal>,
    /// How many bytes of stdin the command consumed.
    pub stdin_consumed: u64,
    /// Whether a process that outlived the command still held its output open when the wait for it was given up.
    pub output_left_open: bool,
    /// Microseconds from the start of the job to its end.
    pub wall_us: u64,
    /// What it has used; `None` if there was no process, or nobody could ask the system.
    pub usage: Option<Usage>,
    /// Whether the kernel has killed a process of it for want of memory, as far as the system tells.
    pub out_of_memory: bool,
}

impl Ended {
    /// The end of a job that has no output and no process that anybody knows of.
    pub fn without_output(outcome: Outcome) -> Self {
        Self {
            outcome,
            totals: Vec::new(),
            stdin_consumed: 0,
            output_left_open: false,
            wall_us: 0,
            usage: None,
            out_of_memory: false,
        }
    }

    /// From the start of the job to its end.
    pub fn wall(&self) -> Duration {
        Duration::from_micros(self.wall_us)
    }

    /// The length of `stream`, if it is known.
    pub fn total(&self, stream: StreamId) -> Option<u64> {
        self.totals.iter().find(|total| total.stream == stream).map(|total| total.bytes)
    }
}

/// The length of one output stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamTotal {
    /// The stream.
    pub stream: StreamId,
    /// Bytes sent on it, all in all.
    pub bytes: u64,
}
