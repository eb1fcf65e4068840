//! The output of a job on the disk: two logs of bytes with offsets, in segments.
//!
//! - [`Output`] appends, in one process: the job's supervisor
//! - [`LogReader`] reads, in any process, also while it grows
//! - `segment`: which files there are; `times`: when a byte was written
//!
//! ```text
//!   stdout.0000000000000000          4 MiB; the name is the offset of its first byte
//!   stdout.0000000000000000.times    when these were written: (offset, milliseconds) per append, 64 KiB at most
//!   stdout.0000000000400000          what is appended goes to the last one
//! ```
//!
//! Nothing is changed that was written, and whole segments go, the oldest first. So the files alone say what there is: from
//! the beginning of the first one to the end of the last one. What a crash of the process has left is whole; after a power cut
//! the end of a log that nobody has synced may be missing.

mod output;
mod reader;
mod segment;
mod times;

use common::frame::StreamId;

pub use output::Output;
pub use reader::LogReader;

pub(super) use reader::end_of;
pub(super) use segment::{remove_all, stored_bytes};

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LogStream {
    /// What the command writes; with merged output, all of it.
    Stdout,
    /// The command's diagnostics.
    Stderr,
}

impl LogStream {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Stdout, Self::Stderr];

    fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

impl From<LogStream> for StreamId {
    fn from(stream: LogStream) -> Self {
        match stream {
            LogStream::Stdout => Self::Stdout,
            LogStream::Stderr => Self::Stderr,
        }
    }
}

/// How much of a job's output is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogLimits {
    /// Bytes of a segment.
    pub segment: u64,
    /// Bytes of both logs together. More than two segments, which cannot be trimmed.
    pub job: u64,
}

impl LogLimits {
    /// Large enough for a job's log to be a handful of files, and small enough to give back room soon.
    const SEGMENT: u64 = 4 * 1024 * 1024;

    /// The log of a long build, and 16 of them in the quota of an owner.
    const JOB: u64 = 64 * 1024 * 1024;
}

impl Default for LogLimits {
    fn default() -> Self {
        Self { segment: Self::SEGMENT, job: Self::JOB }
    }
}
