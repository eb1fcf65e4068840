//! One job on the server: its rules, the task that keeps them, and its streams.
//!
//! [`rules`] decides and does nothing; [`task`] does and decides nothing; [`input`] and [`output`] move bytes between
//! the process's pipes and the connection; [`registry`] counts what runs and remembers what was started.

mod input;
mod output;
mod registry;
mod rules;
mod task;

use common::frame::JobNumber;
use common::job::{JobId, Signal};
use common::stream::{Inbound, Outbound};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

pub(crate) use registry::{Registration, Registry};
pub(crate) use task::run;

/// Signals and cancellations that may wait for a job; a client that sends more before they are delivered is
/// flooding.
const COMMANDS: usize = 64;

/// What a client asks of a job that runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JobCommand {
    /// Send this to its process group.
    Signal(Signal),
    /// End it and its tree.
    Cancel,
}

/// The connection's side of a job.
#[derive(Debug, Clone)]
pub(crate) struct JobHandle {
    pub(crate) stdin: Inbound,
    pub(crate) stdout: Outbound,
    pub(crate) stderr: Outbound,
    pub(crate) commands: mpsc::Sender<JobCommand>,
}

/// The task's side of a job.
#[derive(Debug)]
pub(crate) struct JobContext {
    pub(crate) number: JobNumber,
    pub(crate) id: JobId,
    pub(crate) stdin: Inbound,
    pub(crate) stdout: Outbound,
    pub(crate) stderr: Outbound,
    pub(crate) commands: mpsc::Receiver<JobCommand>,
    /// The client is gone.
    pub(crate) gone: CancellationToken,
    /// The server is stopping.
    pub(crate) stopping: CancellationToken,
}

impl JobContext {
    /// Both sides of a job that is about to start.
    pub(crate) fn new(
        number: JobNumber,
        id: JobId,
        stdin: Inbound,
        gone: CancellationToken,
        stopping: CancellationToken,
    ) -> (JobHandle, Self) {
        let (sender, commands) = mpsc::channel(COMMANDS);
        let (stdout, stderr) = (Outbound::default(), Outbound::default());
        let handle = JobHandle {
            stdin: stdin.clone(),
            stdout: stdout.clone(),
            stderr: stderr.clone(),
            commands: sender,
        };
        (handle, Self { number, id, stdin, stdout, stderr, commands, gone, stopping })
    }
}
