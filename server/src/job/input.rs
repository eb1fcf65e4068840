//! From a stream of the connection to the command's stdin, knowing how much of it the command has read.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Buf, Bytes};
use common::connection::PacketSender;
use common::frame::{JobNumber, StreamId};
use common::limits;
use common::message::ServerMessage;
use common::packet::{Ack, Packet};
use common::stream::Inbound;
use rustix::fs::{Mode, OFlags, fcntl_getfl, fcntl_setfl, open};
use rustix::io::{Errno, ioctl_fionread, write};
use rustix::pipe::fcntl_setpipe_size;
use tokio::io::unix::AsyncFd;

use crate::process;

/// Pipe that stdin starts with: one page, and so one slot. The system reports a full pipe as writable again only
/// when a slot is empty, so the first report means that the command has read a whole page.
const PROBE_PIPE: usize = 4096;

/// Pipe of a command that reads.
const LARGE_PIPE: usize = 4 * limits::DATA_PAYLOAD;

/// The stdin of a job.
#[derive(Debug)]
pub(super) struct Input {
    job: JobNumber,
    inbound: Inbound,
    sender: PacketSender<ServerMessage>,
    pipe: Mutex<Pipe>,
}

/// Our end of the pipe, and what went into it.
#[derive(Debug)]
struct Pipe {
    written: u64,
    /// An end of the pipe that knows how much is still in it: the one we write, or, once that is closed, a reading one
    /// that we only ask. `None` if neither is to be had.
    gauge: Option<Arc<OwnedFd>>,
}

impl Input {
    pub(super) fn new(job: JobNumber, inbound: Inbound, sender: PacketSender<ServerMessage>) -> Self {
        Self { job, inbound, sender, pipe: Mutex::new(Pipe { written: 0, gauge: None }) }
    }

    /// How many bytes the command has read.
    pub(super) fn consumed(&self) -> u64 {
        let pipe = self.lock();
        let left = pipe.gauge.as_deref().map_or(Ok(0), ioctl_fionread).unwrap_or_default();
        pipe.written.saturating_sub(left)
    }

    /// Writes what comes until the stream or the reader ends. Never ends when the connection is lost instead: a
    /// command must not take a lost client for the end of its input.
    pub(super) async fn run(&self, pipe: OwnedFd) -> io::Result<()> {
        fcntl_setfl(&pipe, fcntl_getfl(&pipe)? | OFlags::NONBLOCK)?;
        let mut probing = fcntl_setpipe_size(&pipe, PROBE_PIPE).is_ok();
        let pipe = Arc::new(pipe);
        self.lock().gauge = Some(Arc::clone(&pipe));
        let pipe = process::register(pipe)?;
        loop {
            let next = tokio::select! {
                biased;
                next = self.inbound.next() => next,
                drained = self.drained(&pipe), if probing && self.lock().written > 0 => {
                    drained?;
                    probing = false;
                    continue;
                }
            };
            let Some(bytes) = next else { break };
            if !self.write(&pipe, bytes, &mut probing).await? {
                self.closed_by_reader().await;
                return Ok(());
            }
        }
        if !self.inbound.is_ended() {
            std::future::pending::<()>().await;
        }
        let gauge = reopen(pipe.get_ref());
        self.lock().gauge = gauge.map(Arc::new);
        Ok(())
    }

    /// Tells the client that the command takes no stdin, if it sends some all the same.
    pub(super) async fn refuse(&self) -> io::Result<()> {
        if self.inbound.next().await.is_some() {
            self.closed_by_reader().await;
        }
        Ok(())
    }

    /// Writes `bytes`; `false` if nobody can read them any more.
    async fn write(
        &self,
        pipe: &AsyncFd<Arc<OwnedFd>>,
        mut bytes: Bytes,
        probing: &mut bool,
    ) -> io::Result<bool> {
        while !bytes.is_empty() {
            if *probing && self.lock().written > 0 {
                self.drained(pipe).await?;
                *probing = false;
            }
            let mut ready = pipe.writable().await?;
            // Not more than a page while probing, or the pipe could hold what the report would not tell.
            let most = if *probing { bytes.len().min(PROBE_PIPE) } else { bytes.len() };
            match write(pipe.get_ref().as_ref(), bytes.get(..most).unwrap_or(&bytes)) {
                Ok(written) => {
                    bytes.advance(written);
                    self.lock().written += written as u64;
                    self.acknowledge(self.inbound.delivered(written)).await;
                    if !*probing {
                        self.acknowledge(self.inbound.consumed(self.consumed())).await;
                    }
                }
                Err(Errno::AGAIN) => ready.clear_ready(),
                Err(Errno::INTR) => {}
                Err(Errno::PIPE) => return Ok(false),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(true)
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
                return Ok(());
            }
            ready.clear_ready();
        }
        fcntl_setpipe_size(pipe.get_ref().as_ref(), LARGE_PIPE).ok();
        self.acknowledge(self.inbound.consumed(self.consumed())).await;
        Ok(())
    }

    async fn closed_by_reader(&self) {
        if self.inbound.stop() {
            let packet = Packet::StopSending { job: self.job, stream: StreamId::Stdin };
            // Without a connection there is nobody to tell.
            self.sender.send_control(packet).await.ok();
        }
    }

    async fn acknowledge(&self, ack: Option<Ack>) {
        if let Some(ack) = ack {
            let packet = Packet::Ack { job: self.job, stream: StreamId::Stdin, ack };
            // Without a connection there is nobody to tell.
            self.sender.send_control(packet).await.ok();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Pipe> {
        self.pipe.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A reading end of the same pipe, to ask how much is in it after the writing end is closed.
fn reopen(pipe: &impl AsRawFd) -> Option<OwnedFd> {
    let path = format!("/proc/self/fd/{}", pipe.as_raw_fd());
    open(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty()).ok()
}
