//! What a server tells of a job in a list.

use serde::{Deserialize, Serialize};

use crate::frame::StreamId;
use crate::job::{JobId, Outcome, bounded};

/// Streams that a listing tells of.
const STREAMS: usize = 4;

/// Bytes of a command that a listing shows.
pub const COMMAND_BYTES: usize = 256;

/// How far a job has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum JobState {
    /// It was asked for, and does not run yet.
    Starting,
    /// Its process runs.
    Running {
        /// The process.
        process_id: u32,
    },
    /// It is over.
    Over {
        /// What became of it.
        outcome: Outcome,
        /// When, in milliseconds since 1970.
        ended_unix_ms: u64,
    },
}

/// What is kept of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Which.
    pub stream: StreamId,
    /// The oldest byte that is kept.
    pub oldest: u64,
    /// The number of bytes written.
    pub end: u64,
}

/// A job in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobSummary {
    /// Its id.
    pub id: JobId,
    /// How far it has come.
    pub state: JobState,
    /// Its command, for people; at most [`COMMAND_BYTES`].
    pub command: String,
    /// When it was started, in milliseconds since 1970.
    pub started_unix_ms: u64,
    /// From where it is attended to; `None` if nobody is its client now.
    pub writer: Option<String>,
    /// How many read along.
    pub readers: u32,
    /// Whether it outlives the server.
    pub supervised: bool,
    /// Whose it is, if it is not the one's who asks.
    pub owner: Option<String>,
    /// What is kept of its output.
    #[serde(deserialize_with = "bounded::<{ STREAMS }, _, _>")]
    pub kept: Vec<Kept>,
}
