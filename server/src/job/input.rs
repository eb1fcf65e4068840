//! From a job's client to the command's stdin, knowing how much of it the command has read; if that is a terminal, how much was
//! [typed](keyboard).

mod keyboard;

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Buf, Bytes};
use common::frame::StreamId;
use common::packet::{Ack, Packet};
use rustix::fs::{Mode, OFlags, fcntl_getfl, fcntl_setfl, open};
use rustix::io::{Errno, ioctl_fionread, write};
use rustix::pipe::fcntl_setpipe_size;
use tokio::io::unix::AsyncFd;
use tokio::sync::Notify;

use super::LARGE_PIPE;
use super::state::Job;
use crate::process;

/// Pipe that stdin starts with: one page, and so one slot. The system reports a full pipe as writable again only
/// when a slot is empty, so the first report means that the command has read a whole page.
const PROBE_PIPE: usize = 4096;

/// The stdin of a job.
///
/// Dropping what it waits for at any moment leaves it whole: it can go on later, here or elsewhere.
#[derive(Debug)]
pub(super) struct Input<'a> {
    job: &'a Job,
    feed: Mutex<Feed>,
    hung_up: Notify,
}

/// Our end of the pipe or the terminal, and what went into it.
#[derive(Debug)]
pub(super) struct Feed {
    pub(super) stage: Stage,
    pub(super) written: u64,
    /// What was taken from the stream, and is to be written next.
    pub(super) rest: Bytes,
    /// An end of the pipe that knows how much is still in it: the one we write, or, once that is closed, a reading one
    /// that we only ask. `None` if neither is to be had. The master of a terminal, until it is hung up.
    pub(super) gauge: Option<Arc<OwnedFd>>,
    /// Whether that is a terminal.
    is_terminal: bool,
    /// What was typed last there.
    last: Option<u8>,
}

/// How far a feed has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Nothing was done with the pipe.
    New,
    /// The command is not known to read.
    Probing,
    /// It is known to read.
    Feeding,
    /// There is nothing more to write, or nobody to read it, or no pipe.
    Over,
}

impl Feed {
    /// Into a new pipe or terminal; without one, whatever comes is refused.
    pub(super) fn new(descriptor: Option<OwnedFd>) -> Self {
        Self::going_on(Stage::New, 0, descriptor)
    }

    /// From where it has come to on.
    pub(super) fn going_on(stage: Stage, written: u64, descriptor: Option<OwnedFd>) -> Self {
        let is_terminal = descriptor.as_ref().is_some_and(process::is_terminal);
        // What was typed last is not known then, and not taken for the end of a line.
        let last = (written > 0).then_some(0);
        Self { stage, written, rest: Bytes::new(), gauge: descriptor.map(Arc::new), is_terminal, last }
    }

    /// The master of the terminal, if it is one.
    pub(super) fn terminal(&self) -> Option<Arc<OwnedFd>> {
        self.gauge.clone().filter(|_| self.is_terminal)
    }
}

impl<'a> Input<'a> {
    pub(super) fn new(job: &'a Job, feed: Feed) -> Self {
        Self { job, feed: Mutex::new(feed), hung_up: Notify::new() }
    }

    /// What it takes to go on.
    pub(super) fn into_feed(self) -> Feed {
        self.feed.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// The master of the terminal that the command has, if it has one.
    pub(super) fn terminal(&self) -> Option<Arc<OwnedFd>> {
        self.lock().terminal()
    }

    /// Lets go of the terminal, if there is one. Once nobody reads there either, those who still have it are sent HUP.
    pub(super) fn hang_up(&self) {
        let mut feed = self.lock();
        if feed.is_terminal {
            feed.gauge = None;
            self.hung_up.notify_one();
        }
    }

    /// How many bytes the command has read, or could have of a terminal.
    pub(super) fn consumed(&self) -> u64 {
        let feed = self.lock();
        if feed.is_terminal {
            return feed.written;
        }
        let left = feed.gauge.as_deref().map_or(Ok(0), ioctl_fionread).unwrap_or_default();
        feed.written.saturating_sub(left)
    }

    /// Writes what comes until the stream or the reader ends. A client that is lost or gone is no end: a command must not take
    /// it for the end of its input.
    pub(super) async fn run(&self) -> io::Result<()> {
        let (descriptor, is_terminal) = {
            let feed = self.lock();
            let takes_any = self.job.takes_stdin || !feed.is_terminal;
            (feed.gauge.clone().filter(|_| takes_any), feed.is_terminal)
        };
        let fed = match descriptor {
            Some(master) if is_terminal => self.type_until_end(master).await,
            Some(pipe) => self.feed(pipe).await,
            None => {
                self.refuse().await;
                Ok(())
            }
        };
        self.lock().stage = Stage::Over;
        fed
    }

    async fn feed(&self, pipe: Arc<OwnedFd>) -> io::Result<()> {
        if self.stage() == Stage::New {
            fcntl_setfl(&pipe, fcntl_getfl(&pipe)? | OFlags::NONBLOCK)?;
            let probes = fcntl_setpipe_size(&pipe, PROBE_PIPE).is_ok();
            self.lock().stage = if probes { Stage::Probing } else { Stage::Feeding };
        }
        let pipe = process::register(pipe)?;
        loop {
            if !self.write(&pipe).await? {
                self.lock().rest = Bytes::new();
                self.closed_by_reader().await;
                return Ok(());
            }
            let next = tokio::select! {
                biased;
                next = self.job.stdin.next() => next,
                drained = self.drained(&pipe), if self.awaits_first_read() => {
                    drained?;
                    continue;
                }
            };
            let Some(bytes) = next else { break };
            self.lock().rest = bytes;
        }
        let gauge = reopen(pipe.get_ref());
        let mut feed = self.lock();
        (feed.gauge, feed.stage) = (gauge.map(Arc::new), Stage::Over);
        Ok(())
    }

    /// Tells the client that the command takes no stdin, if it sends some all the same.
    async fn refuse(&self) {
        if self.job.stdin.next().await.is_some() {
            self.closed_by_reader().await;
        }
    }

    /// Writes the rest of what was taken; `false` if nobody can read it any more.
    async fn write(&self, pipe: &AsyncFd<Arc<OwnedFd>>) -> io::Result<bool> {
        loop {
            let bytes = self.lock().rest.clone();
            if bytes.is_empty() {
                return Ok(true);
            }
            if self.awaits_first_read() {
                self.drained(pipe).await?;
            }
            let mut ready = pipe.writable().await?;
            let probing = self.stage() == Stage::Probing;
            // Not more than a page while probing, or the pipe could hold what the report would not tell.
            let most = if probing { bytes.len().min(PROBE_PIPE) } else { bytes.len() };
            match write(pipe.get_ref().as_ref(), bytes.get(..most).unwrap_or(&bytes)) {
                Ok(written) => {
                    self.acknowledge(self.wrote(written)).await;
                    if !probing {
                        self.acknowledge(self.job.stdin.consumed(self.consumed())).await;
                    }
                }
                Err(Errno::AGAIN) => ready.clear_ready(),
                Err(Errno::INTR) => {}
                Err(Errno::PIPE) => return Ok(false),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// So much of the rest is in the pipe. The acknowledgement to send, if one is due.
    fn wrote(&self, count: usize) -> Option<Ack> {
        let mut feed = self.lock();
        feed.rest.advance(count);
        feed.written += count as u64;
        self.job.stdin.delivered(count)
    }

    fn awaits_first_read(&self) -> bool {
        let feed = self.lock();
        feed.stage == Stage::Probing && feed.written > 0
    }

    /// How far it has come.
    pub(super) fn stage(&self) -> Stage {
        self.lock().stage
    }

    /// Waits until the command has read everything in the pipe for the first time, and tells the client.
    async fn drained(&self, pipe: &AsyncFd<Arc<OwnedFd>>) -> io::Result<()> {
        loop {
            let mut ready = pipe.writable().await?;
            if ioctl_fionread(pipe.get_ref().as_ref())? == 0 {
                break;
            }
            if ready.ready().is_error() || ready.ready().is_write_closed() {
                // Nobody reads: the next write will say so.
                self.lock().stage = Stage::Feeding;
                return Ok(());
            }
            ready.clear_ready();
        }
        fcntl_setpipe_size(pipe.get_ref().as_ref(), LARGE_PIPE).ok();
        self.lock().stage = Stage::Feeding;
        self.acknowledge(self.job.stdin.consumed(self.consumed())).await;
        Ok(())
    }

    async fn closed_by_reader(&self) {
        if self.job.stdin.stop() {
            self.job.tell_writer(|job| Packet::StopSending { job, stream: StreamId::Stdin }).await;
        }
    }

    async fn acknowledge(&self, ack: Option<Ack>) {
        if let Some(ack) = ack {
            self.job.tell_writer(|job| Packet::Ack { job, stream: StreamId::Stdin, ack }).await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Feed> {
        self.feed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A reading end of the same pipe, to ask how much is in it after the writing end is closed.
fn reopen(pipe: &impl AsRawFd) -> Option<OwnedFd> {
    let path = format!("/proc/self/fd/{}", pipe.as_raw_fd());
    open(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty()).ok()
}
