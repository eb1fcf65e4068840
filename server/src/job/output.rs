//! From the command's pipe to a stream of the connection, as fast as the window allows and no faster.

use std::io;
use std::os::fd::OwnedFd;

use bytes::BufMut;
use common::buffer;
use common::connection::PacketSender;
use common::frame::{JobNumber, StreamId};
use common::limits;
use common::message::ServerMessage;
use common::packet::Packet;
use common::stream::Outbound;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::ioctl_fionread;
use rustix::pipe::fcntl_setpipe_size;
use tokio::net::unix::pipe;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::rules::DRAIN;

/// First read; most commands say little, and a thousand quiet ones must cost little.
const SMALL_READ: usize = 8 * 1024;

/// Pipe of a command that fills its first one: four full reads, so that both sides run at the same time.
const LARGE_PIPE: usize = 4 * limits::DATA_PAYLOAD;

/// One output stream of a job.
#[derive(Debug)]
pub(super) struct Output {
    pub(super) job: JobNumber,
    pub(super) stream: StreamId,
    pub(super) outbound: Outbound,
    pub(super) sender: PacketSender<ServerMessage>,
    /// The client is gone.
    pub(super) gone: CancellationToken,
    /// Nobody waits for the end any more: send what is in the pipe, and end.
    pub(super) stop_reading: CancellationToken,
}

/// How long the end of the stream is waited for.
#[derive(Debug, Default)]
struct Patience {
    /// When the client last took something after it had let the window close.
    blocked_until: Option<Instant>,
    /// How much may still be read, once nobody waits for the end any more.
    left: Option<usize>,
}

/// How reading went on after a wait.
enum Next {
    /// This many bytes may be read and sent.
    Read(usize),
    /// The stream is over.
    End,
    /// The client wants no more.
    Stopped,
    /// There is no client.
    Gone,
}

impl Output {
    /// Moves everything, then sends EOF; whether a process still held the pipe open.
    pub(super) async fn run(self, pipe: OwnedFd) -> io::Result<bool> {
        let pipe = pipe::Receiver::from_owned_fd(pipe)?;
        let result = self.copy(pipe).await;
        self.send_eof().await;
        result
    }

    /// Ends a stream that has no pipe; it was never open.
    pub(super) async fn end(self) -> io::Result<bool> {
        self.send_eof().await;
        Ok(false)
    }

    async fn send_eof(&self) {
        if let Some(total) = self.outbound.finish() {
            // Without a connection there is nobody to tell.
            self.sender.send(Packet::Eof { job: self.job, stream: self.stream, total }).await.ok();
        }
    }

    async fn copy(&self, pipe: pipe::Receiver) -> io::Result<bool> {
        let mut read_size = SMALL_READ;
        let mut patience = Patience::default();
        loop {
            match self.wait(&pipe, &mut patience).await? {
                Next::Read(most) => {
                    let Ok(room) = self.sender.reserve().await else {
                        // The writer ends a moment before the connection does.
                        self.gone.cancelled().await;
                        continue;
                    };
                    let mut bytes = buffer::with_room(read_size.min(most));
                    match pipe.try_read_buf(&mut (&mut bytes).limit(read_size.min(most))) {
                        Ok(0) => return Ok(false),
                        Ok(read) => {
                            patience.left = patience.left.map(|left| left.saturating_sub(read));
                            read_size = next_size(read_size, read, &pipe);
                            // The credit only grows while we hold it.
                            let Some(offset) = self.outbound.send(read) else { return Ok(false) };
                            let (job, stream) = (self.job, self.stream);
                            let bytes = buffer::share(bytes);
                            room.send(Packet::Data { job, stream, offset, bytes });
                        }
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                        Err(error) => return Err(error),
                    }
                }
                Next::End if has_writers(&pipe)? => return Ok(true),
                // Nothing can be added any more, so what is there is the rest.
                Next::End => match unread(&pipe)? {
                    0 => return Ok(false),
                    rest => patience.left = Some(rest),
                },
                Next::Stopped => return Ok(false),
                Next::Gone => return self.discard(&pipe).await.map(|()| false),
            }
        }
    }

    /// Waits until there is something to read and leave to send it.
    async fn wait(&self, pipe: &pipe::Receiver, patience: &mut Patience) -> io::Result<Next> {
        let blocked = self.outbound.is_blocked();
        let credit = tokio::select! {
            biased;
            () = self.gone.cancelled() => return Ok(Next::Gone),
            credit = self.outbound.credit() => credit,
        };
        let Ok(credit) = credit else { return Ok(Next::Stopped) };
        if blocked {
            patience.blocked_until = Some(Instant::now());
        }
        if patience.left == Some(0) {
            return Ok(Next::End);
        }
        tokio::select! {
            biased;
            () = self.give_up(patience.blocked_until), if patience.left.is_none() => {
                patience.left = Some(unread(pipe)?);
            }
            ready = pipe.readable() => ready?,
            _stopped = self.outbound.stopped() => return Ok(Next::Stopped),
            () = self.gone.cancelled() => return Ok(Next::Gone),
        }
        let most = usize::try_from(credit).unwrap_or(usize::MAX).min(patience.left.unwrap_or(usize::MAX));
        Ok(if most == 0 { Next::End } else { Next::Read(most) })
    }

    /// Waits until nobody waits for the end of the stream any more. While the client did not take what was there, no
    /// process could write, so it gets its time from then.
    async fn give_up(&self, blocked_until: Option<Instant>) {
        self.stop_reading.cancelled().await;
        if let Some(unblocked) = blocked_until {
            sleep_until(unblocked + DRAIN).await;
        }
    }

    /// Keeps the pipe open and empty, so that a command that is being ended can still write while it cleans up.
    async fn discard(&self, pipe: &pipe::Receiver) -> io::Result<()> {
        loop {
            tokio::select! {
                ready = pipe.readable() => ready?,
                () = self.stop_reading.cancelled() => return Ok(()),
            }
            match pipe.try_read_buf(&mut Vec::with_capacity(SMALL_READ)) {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// Whether anybody can still write into the pipe.
fn has_writers(pipe: &pipe::Receiver) -> io::Result<bool> {
    let mut polled = [PollFd::new(pipe, PollFlags::IN)];
    poll(&mut polled, Some(&Timespec::default()))?;
    Ok(!polled.iter().any(|polled| polled.revents().contains(PollFlags::HUP)))
}

fn unread(pipe: &pipe::Receiver) -> io::Result<usize> {
    Ok(usize::try_from(ioctl_fionread(pipe)?).unwrap_or(usize::MAX))
}

/// Reads grow while they are filled and shrink when they come back nearly empty.
fn next_size(size: usize, read: usize, pipe: &pipe::Receiver) -> usize {
    if read == size && size < limits::DATA_PAYLOAD {
        let larger = (size * 8).min(limits::DATA_PAYLOAD);
        if larger == limits::DATA_PAYLOAD {
            // Past the system's limit for one user the pipe stays as it is, only slower.
            fcntl_setpipe_size(pipe, LARGE_PIPE).ok();
        }
        return larger;
    }
    if read < SMALL_READ { SMALL_READ } else { size }
}
