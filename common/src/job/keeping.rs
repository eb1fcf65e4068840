//! What becomes of a job that nobody is attached to.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How long a job is kept for a client whose line is lost, unless the client says otherwise.
pub const DEFAULT_GRACE: Duration = Duration::from_secs(60);

/// What becomes of a job that nobody is attached to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnDisconnect {
    /// It is ended with its whole tree: at once if its client is gone for good, after the grace if the line was lost.
    Kill,
    /// It goes on.
    Keep,
}

/// What a client asks for in case that it goes away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keeping {
    /// What becomes of the job.
    pub on_disconnect: OnDisconnect,
    /// Milliseconds for which a lost line is waited for.
    pub grace_ms: u64,
    /// Whether the job has a supervisor of its own, which outlives the server and keeps its output.
    pub supervised: bool,
}

impl Keeping {
    /// How long a lost line is waited for.
    pub fn grace(&self) -> Duration {
        Duration::from_millis(self.grace_ms)
    }
}

impl Default for Keeping {
    fn default() -> Self {
        let grace_ms = u64::try_from(DEFAULT_GRACE.as_millis()).unwrap_or(u64::MAX);
        Self { on_disconnect: OnDisconnect::Kill, grace_ms, supervised: false }
    }
}
