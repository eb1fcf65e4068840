//! One job on the server: its rules, the task that keeps them, and its streams.
//!
//! [`commands`] is what a client asks of it; [`rules`] decides and does nothing; [`task`] does and decides nothing; [`input`] and [`output`] move bytes between
//! the process's pipes and the connection; [`registry`] counts what runs and remembers what was started.

mod commands;
mod input;
mod output;
mod registry;
mod rules;
mod task;

use std::sync::Arc;

use common::frame::JobNumber;
use common::job::JobId;
use common::stream::{Inbound, Outbound};
use tokio_util::sync::CancellationToken;

pub(crate) use commands::{Commands, JobCommand};
pub(crate) use registry::{Registration, Registry};
pub(crate) use task::run;

/// The connection's side of a job.
#[derive(Debug, Clone)]
pub(crate) struct JobHandle {
    pub(crate) stdin: Inbound,
    pub(crate) stdout: Outbound,
    pub(crate) stderr: Outbound,
    pub(crate) commands: Arc<Commands>,
}

/// The task's side of a job.
#[derive(Debug)]
pub(crate) struct JobContext {
    pub(crate) number: JobNumber,
    pub(crate) id: JobId,
    pub(crate) stdin: Inbound,
    pub(crate) stdout: Outbound,
    pub(crate) stderr: Outbound,
    pub(crate) commands: Arc<Commands>,
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
        let commands = Arc::<Commands>::default();
        let (stdout, stderr) = (Outbound::default(), Outbound::default());
        let handle = JobHandle {
            stdin: stdin.clone(),
            stdout: stdout.clone(),
            stderr: stderr.clone(),
            commands: Arc::clone(&commands),
        };
        (handle, Self { number, id, stdin, stdout, stderr, commands, gone, stopping })
    }
}
