//! A command that runs on the server, as the library's users hold it.

use std::sync::{Arc, OnceLock};

use common::connection::PacketSender;
use common::frame::{JobNumber, StreamId};
use common::job::{Ended, JobId, Outcome, Signal};
use common::message::ClientMessage;
use common::packet::Packet;
use common::stream::{Budget, Inbound, Outbound};
use tokio::sync::watch;

use crate::error::Error;
use crate::job_stream::{JobOutput, JobStdin};

/// A job: one execution of a command.
///
/// Dropping it before it has ended cancels it, so that nothing is left running by accident.
#[derive(Debug)]
pub struct Job {
    id: JobId,
    shared: Arc<Shared>,
    /// What the command reads; `None` when taken or when the command was given no stdin. Dropping it ends stdin.
    pub stdin: Option<JobStdin>,
    /// What the command writes; `None` when taken. Dropping it before its end closes the command's pipe.
    pub stdout: Option<JobOutput>,
    /// The command's diagnostics; `None` when taken.
    pub stderr: Option<JobOutput>,
}

/// A job that is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// What became of it.
    pub outcome: Outcome,
    /// Bytes the command wrote to stdout.
    pub stdout_bytes: u64,
    /// Bytes the command wrote to stderr.
    pub stderr_bytes: u64,
    /// Bytes of stdin that the command consumed.
    pub stdin_consumed: u64,
    /// Whether a process that outlived the command still held its output open.
    pub output_left_open: bool,
    /// Whether the server's kernel has killed a process of it for want of memory, as far as that system tells.
    pub out_of_memory: bool,
}

/// How far a job has come.
#[derive(Debug, Clone)]
pub(crate) enum Progress {
    Starting,
    Running,
    Over(Result<Finished, Error>),
}

/// What the connection and the holder of a job share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) number: JobNumber,
    pub(crate) sender: PacketSender<ClientMessage>,
    pub(crate) stdin: Outbound,
    pub(crate) stdout: Inbound,
    pub(crate) stderr: Inbound,
    pub(crate) process_id: OnceLock<u32>,
    pub(crate) progress: watch::Sender<Progress>,
}

impl Job {
    pub(crate) fn new(id: JobId, shared: Arc<Shared>, stdin: bool) -> Self {
        let stdin = stdin.then(|| JobStdin::new(Arc::clone(&shared)));
        let stdout = Some(JobOutput::new(Arc::clone(&shared), StreamId::Stdout));
        let stderr = Some(JobOutput::new(Arc::clone(&shared), StreamId::Stderr));
        Self { id, shared, stdin, stdout, stderr }
    }

    /// The job's id.
    pub fn id(&self) -> &JobId {
        &self.id
    }

    /// Waits until the command runs or has failed to; its process id on the server, or `None` if it never ran.
    ///
    /// # Errors
    /// The connection's failure, if it came first.
    pub async fn started(&self) -> Result<Option<u32>, Error> {
        let mut progress = self.shared.progress.subscribe();
        let state = progress.wait_for(|state| !matches!(state, Progress::Starting)).await;
        // A short job may be over before anybody looks.
        match (self.shared.process_id.get(), state.as_deref()) {
            (Some(process_id), _) => Ok(Some(*process_id)),
            (None, Ok(Progress::Over(Err(error)))) => Err(error.clone()),
            (None, Ok(_)) => Ok(None),
            (None, Err(_)) => Err(Error::Closed),
        }
    }

    /// Waits for the end. Output that was not taken is waiting in [`Job::stdout`] and [`Job::stderr`]; a job whose
    /// output nobody takes does not end once their windows are full.
    ///
    /// Every byte of the output has arrived when this returns an outcome other than `Lost`.
    ///
    /// # Errors
    /// The connection's failure: then nobody here can say what became of the job.
    pub async fn wait(&self) -> Result<Finished, Error> {
        let mut progress = self.shared.progress.subscribe();
        let state = progress.wait_for(|state| matches!(state, Progress::Over(_))).await;
        match state.as_deref() {
            Ok(Progress::Over(result)) => result.clone(),
            Ok(_) | Err(_) => Err(Error::Closed),
        }
    }

    /// Sends a signal to the job's process group. Without effect once the job is over.
    ///
    /// # Errors
    /// The connection's failure.
    pub async fn signal(&self, signal: Signal) -> Result<(), Error> {
        self.tell(ClientMessage::Signal(signal)).await
    }

    /// Ends the job and its whole tree: HUP, TERM after a second, KILL after ten.
    ///
    /// # Errors
    /// The connection's failure.
    pub async fn cancel(&self) -> Result<(), Error> {
        self.tell(ClientMessage::Cancel).await
    }

    async fn tell(&self, message: ClientMessage) -> Result<(), Error> {
        let packet = Packet::Message { job: self.shared.number, message };
        self.shared.sender.send_control(packet).await.map_err(|_| self.shared.failure())
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        if !matches!(*self.shared.progress.borrow(), Progress::Over(_)) {
            let packet = Packet::Message { job: self.shared.number, message: ClientMessage::Cancel };
            // No room means that the connection is stuck, and the server ends the job when it goes.
            self.shared.sender.try_send_control(packet).ok();
        }
    }
}

impl Shared {
    pub(crate) fn new(number: JobNumber, sender: PacketSender<ClientMessage>, budget: Budget) -> Self {
        Self {
            number,
            sender,
            stdin: Outbound::default(),
            stdout: Inbound::new(budget.clone()),
            stderr: Inbound::new(budget),
            process_id: OnceLock::new(),
            progress: watch::Sender::new(Progress::Starting),
        }
    }

    /// Takes the server's word that the process runs.
    pub(crate) fn start(&self, process_id: u32) {
        // Said twice, the first word counts.
        self.process_id.set(process_id).ok();
        self.progress.send_replace(Progress::Running);
    }

    /// Takes the server's report, checking that nothing of the output is missing.
    pub(crate) fn end(&self, ended: Ended) {
        let bytes =
            |stream| ended.totals.iter().find(|total| total.stream == stream).map(|total| total.bytes);
        let stdout_bytes = bytes(StreamId::Stdout);
        let stderr_bytes = bytes(StreamId::Stderr);
        let started = !matches!(ended.outcome, Outcome::NotStarted(_) | Outcome::Lost(_));
        let missing = self.stdout.missing(stdout_bytes).or_else(|| self.stderr.missing(stderr_bytes));
        let outcome = match missing {
            Some(missing) if started => {
                Outcome::Lost(format!("{missing}, after the command {}", ended.outcome))
            }
            _ => ended.outcome,
        };
        let finished = Finished {
            outcome,
            stdout_bytes: stdout_bytes.unwrap_or_default(),
            stderr_bytes: stderr_bytes.unwrap_or_default(),
            stdin_consumed: ended.stdin_consumed,
            output_left_open: ended.output_left_open,
            out_of_memory: ended.out_of_memory,
        };
        self.finish(Ok(finished));
    }

    /// The connection is gone, and with it all knowledge of the job.
    pub(crate) fn lose(&self, error: Error) {
        self.finish(Err(error));
    }

    /// What is wrong with the connection, as far as this job knows.
    pub(crate) fn failure(&self) -> Error {
        match &*self.progress.borrow() {
            Progress::Over(Err(error)) => error.clone(),
            _ => Error::Closed,
        }
    }

    fn finish(&self, result: Result<Finished, Error>) {
        self.progress.send_replace(Progress::Over(result));
        self.stdin.stop();
        self.stdout.abandon();
        self.stderr.abandon();
    }
}

/// Whether a stream came in whole.
trait Completeness {
    /// What is missing if the stream should have had `total` bytes; `None` if nothing is.
    fn missing(&self, total: Option<u64>) -> Option<String>;
}

impl Completeness for Inbound {
    fn missing(&self, total: Option<u64>) -> Option<String> {
        let Some(total) = total else { return Some("the length of an output stream is unknown".to_owned()) };
        let received = self.received();
        let whole = self.is_stopped() || (self.is_ended() && received == total);
        (!whole).then(|| format!("only {received} of {total} bytes of an output stream arrived"))
    }
}
