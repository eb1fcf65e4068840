//! From the command's pipe to the job's outlet, as fast as that has room and no faster.

use std::io;
use std::os::fd::OwnedFd;
use std::pin::pin;

use bytes::BufMut;
use common::buffer;
use common::limits;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::ioctl_fionread;
use rustix::pipe::fcntl_setpipe_size;
use tokio::net::unix::pipe;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::LARGE_PIPE;
use super::outlet::{Outlet, Room};
use super::rules::DRAIN;
use crate::crash_point::{CrashPoint, reach};

/// First read; most commands say little, and a thousand quiet ones must cost little.
const SMALL_READ: usize = 8 * 1024;

/// Where an output stream of a job comes from.
#[derive(Debug)]
pub(super) enum Source {
    /// From here, still.
    Open(OwnedFd),
    /// Nothing comes any more: whether a process still held the pipe open, or why it could not be read to its end.
    Over(Result<bool, String>),
}

/// One output stream of a job, on its way in.
#[derive(Debug)]
pub(super) struct Output<'a> {
    pub(super) outlet: &'a Outlet,
    /// It is cut off, with nothing on its way, and will go on later.
    pub(super) pause: CancellationToken,
    /// Nobody waits for the end any more: take what is in the pipe, and end.
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

/// How reading goes on after a wait.
enum Next {
    /// So much may be read.
    Read(Room),
    /// The stream is over.
    End,
}

impl Output<'_> {
    /// Moves everything, then ends the stream; or moves what it can until the pause.
    pub(super) async fn run(self, source: Source, again: bool) -> Source {
        let Source::Open(pipe) = source else { return source };
        let over = match pipe::Receiver::from_owned_fd(pipe) {
            Ok(pipe) => match self.copy(&pipe, again).await {
                Ok(None) => match pipe.into_nonblocking_fd() {
                    Ok(pipe) => return Source::Open(pipe),
                    Err(error) => Err(error),
                },
                Ok(Some(left_open)) => Ok(left_open),
                Err(error) => Err(error),
            },
            Err(error) => Err(error),
        };
        self.outlet.end();
        Source::Over(over.map_err(|error| error.to_string()))
    }

    /// Whether a process still held the pipe open at the end; `None` if it is to go on later.
    async fn copy(&self, pipe: &pipe::Receiver, again: bool) -> io::Result<Option<bool>> {
        let mut read_size = SMALL_READ;
        // Nobody has read while it was cut off, which may have blocked them.
        let mut patience = Patience { blocked_until: again.then(Instant::now), ..Patience::default() };
        let mut paused = pin!(self.pause.cancelled());
        loop {
            let next = tokio::select! {
                biased;
                () = &mut paused => return Ok(None),
                next = self.wait(pipe, &mut patience) => next?,
            };
            match next {
                Next::Read(room) => {
                    let most = room.bytes();
                    let mut bytes = buffer::with_room(read_size.min(most));
                    match pipe.try_read_buf(&mut (&mut bytes).limit(read_size.min(most))) {
                        Ok(0) => return Ok(Some(false)),
                        Ok(read) => {
                            patience.left = patience.left.map(|left| left.saturating_sub(read));
                            read_size = next_size(read_size, read, pipe);
                            let bytes = buffer::share(bytes);
                            self.outlet.put(bytes, room).await.map_err(io::Error::other)?;
                            reach(CrashPoint::OutputKept);
                        }
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                        Err(error) => return Err(error),
                    }
                }
                Next::End if self.outlet.is_closed() => return Ok(Some(false)),
                Next::End if has_writers(pipe)? => return Ok(Some(true)),
                // Nothing can be added any more, so what is there is the rest.
                Next::End => match unread(pipe)? {
                    0 => return Ok(Some(false)),
                    rest => patience.left = Some(rest),
                },
            }
        }
    }

    /// Waits until there is something to read and room for it.
    async fn wait(&self, pipe: &pipe::Receiver, patience: &mut Patience) -> io::Result<Next> {
        let blocked = self.outlet.is_full();
        let Ok(room) = self.outlet.room().await else { return Ok(Next::End) };
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
            _closed = self.outlet.closed() => return Ok(Next::End),
        }
        let left = patience.left.unwrap_or(usize::MAX);
        Ok(match room {
            _ if left == 0 => Next::End,
            Room::Memory(most) => Next::Read(Room::Memory(most.min(left))),
            Room::Disk(most) => Next::Read(Room::Disk(most.min(left))),
        })
    }

    /// Waits until nobody waits for the end of the stream any more. While the client did not take what was there, no
    /// process could write, so it gets its time from then.
    async fn give_up(&self, blocked_until: Option<Instant>) {
        self.stop_reading.cancelled().await;
        if let Some(unblocked) = blocked_until {
            sleep_until(unblocked + DRAIN).await;
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
