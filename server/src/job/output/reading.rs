//! What an output of a command is read from: a pipe, or the master of its terminal. Knows no outlet, and decides no end.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use bytes::{BufMut, Bytes};
use common::{buffer, limits};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, ioctl_fionread, read};
use rustix::pipe::fcntl_setpipe_size;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::net::unix::pipe;

use super::LARGE_PIPE;
use crate::process;

/// First read of a pipe; most commands say little, and a thousand quiet ones must cost little.
const SMALL_READ: usize = 8 * 1024;

/// The most that is had of a terminal at once: the system has so much of it in one place (n_tty).
const TERMINAL_READ: usize = 4096;

/// The most that a terminal can hold: what is had at once, and 64 KiB behind that on their way there.
const TERMINAL_HOLDS: usize = 68 * 1024;

/// Our end.
#[derive(Debug)]
pub(super) struct Reading {
    kind: Kind,
    /// The size of the next read.
    size: usize,
}

#[derive(Debug)]
enum Kind {
    Pipe(pipe::Receiver),
    Terminal(AsyncFd<Arc<OwnedFd>>),
}

impl Reading {
    /// Reads from here, which does not wait if it is a terminal.
    pub(super) fn new(descriptor: OwnedFd) -> io::Result<Self> {
        if process::is_terminal(&descriptor) {
            // Whenever the command reads a key there is room for another, and that is none of our business.
            let kind = Kind::Terminal(process::register_reading(Arc::new(descriptor))?);
            return Ok(Self { kind, size: TERMINAL_READ });
        }
        Ok(Self { kind: Kind::Pipe(pipe::Receiver::from_owned_fd(descriptor)?), size: SMALL_READ })
    }

    /// Leaves it to whoever goes on.
    pub(super) fn into_descriptor(self) -> io::Result<OwnedFd> {
        match self.kind {
            Kind::Pipe(pipe) => pipe.into_nonblocking_fd(),
            Kind::Terminal(master) => {
                Arc::try_unwrap(master.into_inner()).or_else(|shared| shared.try_clone())
            }
        }
    }

    /// Waits until there is something to read, or the end. Safe to drop.
    pub(super) async fn readable(&self) -> io::Result<()> {
        match &self.kind {
            Kind::Pipe(pipe) => pipe.readable().await,
            Kind::Terminal(master) => master.readable().await.map(drop),
        }
    }

    /// What is there, at most `most` bytes of it; nothing at the end. [`io::ErrorKind::WouldBlock`] if nothing is there.
    pub(super) fn read(&mut self, most: usize) -> io::Result<Bytes> {
        let size = self.size.min(most);
        match &self.kind {
            Kind::Pipe(pipe) => {
                let mut bytes = buffer::with_room(size);
                let read = pipe.try_read_buf(&mut (&mut bytes).limit(size))?;
                self.size = next_size(self.size, read, pipe);
                Ok(buffer::share(bytes))
            }
            Kind::Terminal(master) => {
                let mut bytes = vec![0; size];
                let read = master.try_io(Interest::READABLE, |master| match read(master, &mut *bytes) {
                    // Nobody has the terminal open, and everything was read.
                    Err(Errno::IO) => Ok(0),
                    read => Ok(read?),
                })?;
                bytes.truncate(read);
                Ok(bytes.into())
            }
        }
    }

    /// How much is there that was not read; of a terminal, which does not tell, as much as it can be. Exactly 0 if nothing is.
    pub(super) fn unread(&self) -> io::Result<usize> {
        match &self.kind {
            Kind::Pipe(pipe) => Ok(usize::try_from(ioctl_fionread(pipe)?).unwrap_or(usize::MAX)),
            Kind::Terminal(_) if self.polled()?.contains(PollFlags::IN) => Ok(TERMINAL_HOLDS),
            Kind::Terminal(_) => Ok(0),
        }
    }

    /// Whether anybody can still write at the other end.
    pub(super) fn has_writers(&self) -> io::Result<bool> {
        Ok(!self.polled()?.contains(PollFlags::HUP))
    }

    fn polled(&self) -> io::Result<PollFlags> {
        let descriptor = self.as_fd();
        let mut polled = [PollFd::new(&descriptor, PollFlags::IN)];
        poll(&mut polled, Some(&Timespec::default()))?;
        Ok(polled.iter().fold(PollFlags::empty(), |all, polled| all | polled.revents()))
    }
}

impl AsFd for Reading {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.kind {
            Kind::Pipe(pipe) => pipe.as_fd(),
            Kind::Terminal(master) => master.get_ref().as_fd(),
        }
    }
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
