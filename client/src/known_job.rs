//! A job that is there already, by its id: to attach to it, to follow it, to tell it something.

use std::sync::Arc;

use bytes::Bytes;
use common::frame::StreamId;
use common::job::{JobId, Signal};
use common::limits;
use common::message::{Attach, AttachmentId, ClientMessage, Order, Position, Role, Wanted};

use crate::client::Client;
use crate::error::Error;
use crate::hold::{Hold, Origin};
use crate::job::{Finished, Job};
use crate::job_stream::JobOutput;
use crate::stdin;

/// What a job writes; what it reports has to be asked for.
const OUTPUT: [StreamId; 2] = [StreamId::Stdout, StreamId::Stderr];

/// A job of which only the id is known; see [`Client::job`].
#[derive(Debug, Clone)]
pub struct KnownJob<'a> {
    client: &'a Client,
    id: JobId,
    times: bool,
    only: Option<StreamId>,
    control: bool,
}

/// From where a job's output is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum From {
    /// From the oldest byte that is kept.
    #[default]
    Oldest,
    /// From the next byte that is written.
    Newest,
    /// From these offsets on, exactly.
    At(Offsets),
    /// Each stream from elsewhere.
    Each {
        /// Stdout.
        stdout: Position,
        /// Stderr.
        stderr: Position,
    },
}

impl From {
    /// Where stdout and stderr begin.
    fn positions(self) -> [Position; 2] {
        match self {
            Self::Oldest => [Position::Oldest; 2],
            Self::Newest => [Position::Newest; 2],
            Self::At(Offsets { stdout, stderr }) => [Position::At(stdout), Position::At(stderr)],
            Self::Each { stdout, stderr } => [stdout, stderr],
        }
    }
}

/// An offset in each of a job's output streams, in bytes from their beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Offsets {
    /// In stdout.
    pub stdout: u64,
    /// In stderr.
    pub stderr: u64,
}

/// What happens to a job, in the order of each stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// It has written this to stdout.
    Stdout {
        /// Where it begins.
        offset: u64,
        /// At least one byte.
        bytes: Bytes,
    },
    /// It has written this to stderr.
    Stderr {
        /// Where it begins.
        offset: u64,
        /// At least one byte.
        bytes: Bytes,
    },
    /// It is over; the last event.
    Ended(Finished),
}

impl<'a> KnownJob<'a> {
    pub(crate) fn new(client: &'a Client, id: JobId) -> Self {
        Self { client, id, times: false, only: None, control: false }
    }

    /// Asks the server to say when what follows was written; see [`JobOutput::next_written`].
    pub fn times(mut self, times: bool) -> Self {
        self.times = times;
        self
    }

    /// Takes this output stream, and not the other.
    pub fn only(mut self, stream: StreamId) -> Self {
        self.only = Some(stream);
        self
    }

    /// Takes its [control descriptors](crate::Command::control) over as well, with what it reports from now on; without them,
    /// [`Job::tell`] fails, and [`Job::control`] is not there.
    pub fn control(mut self, control: bool) -> Self {
        self.control = control;
        self
    }

    /// Becomes the job's client: its stdin, its signals, and its output, which waits for this client. Whoever was that before
    /// is told that somebody has taken over.
    ///
    /// # Errors
    /// [`Error::Job`] if there is no such job, or not from there; the connection's failure.
    pub async fn attach(&self, from: From) -> Result<Job, Error> {
        let control = self.control.then_some(StreamId::Control);
        let streams: Vec<_> = OUTPUT.into_iter().chain(control).collect();
        let hold = self.hold(Role::Writer, from, &streams).await?;
        let takes_stdin = hold.joined().await?;
        if takes_stdin {
            tokio::spawn(stdin::send(Arc::clone(&hold)));
        }
        Ok(self.job(hold, takes_stdin))
    }

    /// Reads along, without delaying the job. Bytes that it is too slow for are skipped, which [`Finished::missed`] tells.
    ///
    /// # Errors
    /// As [`KnownJob::attach`].
    pub async fn follow(&self, from: From) -> Result<Job, Error> {
        let hold = self.hold(Role::Reader, from, &OUTPUT).await?;
        hold.joined().await?;
        Ok(self.job(hold, false))
    }

    /// Reads what the job has written until now. Its streams end there; [`Job::wait`] fails with [`Error::Closed`] then.
    ///
    /// # Errors
    /// As [`KnownJob::attach`].
    pub async fn read(&self, from: From) -> Result<Job, Error> {
        let hold = self.hold(Role::Snapshot, from, &OUTPUT).await?;
        hold.joined().await?;
        Ok(self.job(hold, false))
    }

    /// Takes hold of the job without its streams: [`Job::wait`] then waits for its end.
    ///
    /// # Errors
    /// As [`KnownJob::attach`].
    pub async fn observe(&self) -> Result<Job, Error> {
        let hold = self.controller().await?;
        let mut job = Job::new(hold, false, false);
        for output in [job.stdout.take(), job.stderr.take(), job.control.take()].into_iter().flatten() {
            output.abandon();
        }
        Ok(job)
    }

    /// Waits for the job's end.
    ///
    /// # Errors
    /// As [`KnownJob::attach`].
    pub async fn wait(&self) -> Result<Finished, Error> {
        Job::new(self.controller().await?, false, false).wait().await
    }

    /// Sends a signal to the job's process group; returns when that is done.
    ///
    /// # Errors
    /// [`Error::Over`] if it is over, and those of [`KnownJob::attach`].
    pub async fn signal(&self, signal: Signal) -> Result<(), Error> {
        self.tell(Order::Signal(signal)).await
    }

    /// Ends the job and its whole tree; returns when that has begun.
    ///
    /// # Errors
    /// As [`KnownJob::signal`].
    pub async fn cancel(&self) -> Result<(), Error> {
        self.tell(Order::Cancel).await
    }

    /// Has the server forget the job and its output; it has to be over.
    ///
    /// # Errors
    /// [`Error::Job`] if it is not, or if there is no such job; the connection's failure.
    pub async fn forget(&self) -> Result<(), Error> {
        let answer = self.client.router.ask(ClientMessage::Forget { job: self.id.clone() }).await?;
        answer.map(drop).map_err(|refusal| Error::Job { id: self.id.clone(), refusal })
    }

    /// Everything that happens to the job, from these offsets on. Does not delay it.
    ///
    /// # Errors
    /// As [`KnownJob::attach`].
    pub async fn events_from(&self, offsets: Offsets) -> Result<Events, Error> {
        Ok(Events { job: self.follow(From::At(offsets)).await?, ended: false })
    }

    async fn tell(&self, order: Order) -> Result<(), Error> {
        let hold = self.controller().await?;
        let job = Job::new(Arc::clone(&hold), false, false);
        hold.order(order)?;
        let done = hold.carried_out().await;
        drop(job);
        done
    }

    async fn controller(&self) -> Result<Arc<Hold>, Error> {
        let hold = self.hold(Role::Controller, From::Newest, &[]).await?;
        hold.joined().await?;
        Ok(hold)
    }

    /// The job as the caller holds it, with the streams that were asked for.
    fn job(&self, hold: Arc<Hold>, stdin: bool) -> Job {
        let mut job = Job::new(hold, stdin, false);
        for output in [&mut job.stdout, &mut job.stderr] {
            if let Some(unwanted) =
                output.take_if(|output| self.only.is_some_and(|only| only != output.stream()))
            {
                unwanted.abandon();
            }
        }
        job
    }

    async fn hold(&self, role: Role, from: From, streams: &[StreamId]) -> Result<Arc<Hold>, Error> {
        let [stdout, stderr] = from.positions();
        let position = |stream| match stream {
            StreamId::Stderr => stderr,
            // What was reported before was for another client.
            StreamId::Control => Position::Newest,
            StreamId::Stdin | StreamId::Stdout => stdout,
        };
        let wanted = streams
            .iter()
            .filter(|stream| self.only.is_none_or(|only| only == **stream || **stream == StreamId::Control));
        let wanted = wanted.map(|stream| Wanted {
            stream: *stream,
            from: position(*stream),
            window: limits::INITIAL_WINDOW,
        });
        let streams = wanted.collect();
        let (job, attachment) = (self.id.clone(), AttachmentId::random()?);
        let attach = Attach { job, attachment, role, streams, times: self.times };
        self.client.router.hold(Origin::Attach(attach)).await
    }
}

/// What happens to a job, one event after the other.
#[derive(Debug)]
pub struct Events {
    job: Job,
    ended: bool,
}

impl Events {
    /// The next event; `None` behind the last.
    ///
    /// # Errors
    /// The connection's failure, if no other could be made.
    pub async fn next(&mut self) -> Result<Option<Event>, Error> {
        loop {
            let Job { stdout, stderr, .. } = &mut self.job;
            tokio::select! {
                Some(written) = next(stdout) => match written {
                    Some((offset, bytes)) => return Ok(Some(Event::Stdout { offset, bytes })),
                    None => *stdout = None,
                },
                Some(written) = next(stderr) => match written {
                    Some((offset, bytes)) => return Ok(Some(Event::Stderr { offset, bytes })),
                    None => *stderr = None,
                },
                else => break,
            }
        }
        if std::mem::replace(&mut self.ended, true) {
            return Ok(None);
        }
        self.job.wait().await.map(|finished| Some(Event::Ended(finished)))
    }
}

/// What comes next in a stream, if it is still open.
async fn next(output: &mut Option<JobOutput>) -> Option<Option<(u64, Bytes)>> {
    match output {
        Some(output) => Some(output.next_at().await),
        None => None,
    }
}
