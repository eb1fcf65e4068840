//! A command that runs on the server, as the library's users hold it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use common::job::{JobId, Outcome, Signal, Usage, WindowSize};
use common::message::Order;

use crate::error::Error;
use crate::hold::{Hold, Progress};
use crate::job_stream::{JobOutput, JobStdin};
use crate::known_job::Offsets;

/// A job: one execution of a command.
///
/// It outlives the connection: if that is lost, the client makes another one, and every stream goes on where it was. Dropping
/// a job that this client has started, before it has ended, cancels it, so that nothing is left running by accident;
/// [`Job::detach`] leaves it to the server.
#[derive(Debug)]
pub struct Job {
    hold: Arc<Hold>,
    /// Whether dropping it ends it.
    owned: bool,
    /// What the command reads; `None` when taken or when the command was given no stdin. Dropping it ends stdin.
    pub stdin: Option<JobStdin>,
    /// What the command writes; `None` when taken. Dropping it before its end closes the command's pipe.
    pub stdout: Option<JobOutput>,
    /// The command's diagnostics; `None` when taken.
    pub stderr: Option<JobOutput>,
    /// What the command reports, if it has [control descriptors](crate::Command::control); `None` when taken. The server waits with it
    /// as with the others, so it is to be read like those. Dropping it closes the command's descriptor 9.
    ///
    /// These are records, one behind the other, which a piece of the stream may cut anywhere. All numbers are little-endian:
    ///
    /// | bytes | what |
    /// |---:|---|
    /// | 8 | of stdout: how much had come when this was reported, counted from the command's first byte |
    /// | 8 | the same of stderr |
    /// | 4 | the length of what follows, 1 to 4,096 |
    /// | … | what the command has written to its descriptor 9, from where the record before ends |
    ///
    /// Whatever the command wrote before it wrote these bytes is below those offsets. What is behind them may have been written
    /// earlier or later.
    pub control: Option<JobOutput>,
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
    /// From its start to its end.
    pub wall: Duration,
    /// What it has taken from the machine, if anybody knows.
    pub usage: Option<Usage>,
    /// Bytes of its output that this client wanted, and that were not kept for it. 0 unless it has attached late.
    pub missed: u64,
    /// Whether the server's kernel has killed a process of it for want of memory, as far as that system tells.
    pub out_of_memory: bool,
}

impl Job {
    pub(crate) fn new(hold: Arc<Hold>, stdin: bool, owned: bool) -> Self {
        let stdin = stdin.then(|| JobStdin::new(Arc::clone(&hold)));
        let stdout = Some(JobOutput::stdout(Arc::clone(&hold)));
        let stderr = Some(JobOutput::stderr(Arc::clone(&hold)));
        let control = hold.has_control().then(|| JobOutput::control(Arc::clone(&hold)));
        Self { hold, owned, stdin, stdout, stderr, control }
    }

    /// The job's id.
    pub fn id(&self) -> &JobId {
        self.hold.id()
    }

    /// Waits until the command runs or has failed to; its process id on the server, or `None` if it never ran.
    ///
    /// # Errors
    /// The connection's failure, if it came first.
    pub async fn started(&self) -> Result<Option<u32>, Error> {
        let mut progress = self.hold.progress.subscribe();
        let state = progress.wait_for(|state| !matches!(state, Progress::Starting)).await;
        // A short job may be over before anybody looks.
        match (self.hold.process_id.get(), state.as_deref()) {
            (Some(process_id), _) => Ok(Some(*process_id)),
            (None, Ok(Progress::Over(Err(error)))) => Err(error.clone()),
            (None, Ok(_)) => Ok(None),
            (None, Err(_)) => Err(Error::Closed),
        }
    }

    /// Waits for the end. Output that was not taken is waiting in [`Job::stdout`], [`Job::stderr`] and [`Job::control`]; a job whose
    /// output nobody takes does not end once their windows are full.
    ///
    /// Every byte of the output has arrived when this returns an outcome other than `Lost`.
    ///
    /// # Errors
    /// The connection's failure, if no other could be made for as long as the server keeps the job: then nobody here can say
    /// what became of it.
    pub async fn wait(&self) -> Result<Finished, Error> {
        let mut progress = self.hold.progress.subscribe();
        let state = progress.wait_for(|state| matches!(state, Progress::Over(_))).await;
        match state.as_deref() {
            Ok(Progress::Over(result)) => result.clone(),
            Ok(_) | Err(_) => Err(Error::Closed),
        }
    }

    /// Sends a signal to the job's process group, once, even if the connection is lost meanwhile. Without effect once the
    /// job is over.
    ///
    /// # Errors
    /// [`Error::TooManyOrders`] while the server does not carry out what it is told.
    pub fn signal(&self, signal: Signal) -> Result<(), Error> {
        self.hold.order(Order::Signal(signal))
    }

    /// Tells the job `text`: it is written to its descriptor 0, behind everything that it was told before, once, even if the
    /// connection is lost meanwhile. Returns before that. Without effect once the job is over.
    ///
    /// # Errors
    /// Nothing was told then. [`Error::NoControl`] if the job was not started with [control descriptors](crate::Command::control);
    /// [`Error::TooLong`] for more than a request carries, 256 KiB less a few bytes; [`Error::TooManyOrders`] while the server has
    /// not taken so much of what it was told before. [`Error::Declined`] says once that something which was told before has not
    /// reached the job, because it does not read and 256 KiB wait, or has closed the descriptor.
    pub fn tell(&self, text: Bytes) -> Result<(), Error> {
        self.hold.tell(&text)
    }

    /// Makes the job's terminal this large, once, even if the connection is lost meanwhile; to the size that it has, its programs are
    /// told to draw again. While the server has not carried out a size, of those after it the last counts. Without effect on a job
    /// that has no terminal or is over.
    ///
    /// # Errors
    /// None at present: a size for which there is no room waits until there is.
    pub fn resize(&self, size: WindowSize) -> Result<(), Error> {
        self.hold.resize(size)
    }

    /// How large its terminal was when this side was told, at the start of the job or when it last took hold of it; `None` if it has
    /// none, or nothing was heard of one yet.
    pub fn terminal(&self) -> Option<WindowSize> {
        self.hold.terminal()
    }

    /// Ends the job and its whole tree: HUP, TERM after a second, KILL after ten.
    ///
    /// # Errors
    /// As [`Job::signal`].
    pub fn cancel(&self) -> Result<(), Error> {
        self.hold.order(Order::Cancel)
    }

    /// Leaves the job to the server, which keeps it whoever goes away; returns when the server has said so. Its id, by which it
    /// is found again. A job that is over meanwhile is left as it is.
    ///
    /// # Errors
    /// As [`Job::signal`], and the connection's failure: then the job is left as it was agreed at its start.
    pub async fn detach(mut self) -> Result<JobId, Error> {
        self.owned = false;
        self.hold.order(Order::Keep)?;
        match self.hold.carried_out().await {
            Ok(()) | Err(Error::Over { .. }) => {}
            Err(error) => return Err(error),
        }
        Ok(self.leave())
    }

    /// Parts with the job, and does not end it: what becomes of it without a client was agreed at its start
    /// ([`crate::Command::on_disconnect`]). Its id. Output that was taken from here is to be abandoned first
    /// ([`JobOutput::abandon`]), or the command finds its pipe closed.
    pub fn leave(mut self) -> JobId {
        self.owned = false;
        if let Some(stdin) = self.stdin.take() {
            stdin.abandon();
        }
        for output in [self.stdout.take(), self.stderr.take(), self.control.take()].into_iter().flatten() {
            output.abandon();
        }
        self.id().clone()
    }

    /// Where its output begins for this client; more than 0 where it has attached late, and does not get, or did not want, what
    /// was before. Known once [`Job::started`] is.
    pub fn began(&self) -> Offsets {
        let [_, stdout, stderr] = self.hold.began.get().copied().unwrap_or_default();
        Offsets { stdout, stderr }
    }

    /// Whether it is told something of which the server has not said that it is done.
    pub(crate) fn has_orders(&self) -> bool {
        self.hold.has_orders()
    }

    /// How long the server waits for this client if the line is lost; `None` if it keeps the job.
    pub fn grace(&self) -> Option<Duration> {
        self.hold.grace()
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        if matches!(*self.hold.progress.borrow(), Progress::Over(_)) {
            return;
        }
        if self.owned {
            // One that has no room for it does not carry out what it is told, and gets it as its client is gone.
            self.hold.order(Order::Cancel).ok();
        } else {
            self.hold.leave();
        }
    }
}
