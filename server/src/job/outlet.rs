//! One output stream of a job, between the command's pipe and whoever is attached.
//!
//! - [`buffer`]: of a job that ends with its server, in memory and a [`spool`]
//! - [`log`]: of one that outlives it, on the disk; `stall`: how long it waits for one that is full
//!
//! Knows no pipe and no connection. What it holds is bounded in either case; then there is no room, and the command waits.

mod buffer;
mod log;
mod spool;
mod stall;

use bytes::Bytes;
use common::frame::StreamId;
use thiserror::Error;

pub(crate) use buffer::Buffer;
pub(crate) use log::Log;
pub(crate) use spool::Spools;

use crate::store::Timestamp;

/// An output stream of a job. One task puts in; any number read.
#[derive(Debug)]
pub(crate) enum Outlet {
    /// Kept by this process.
    Buffer(Buffer),
    /// Kept on the disk.
    Log(Log),
}

/// What there is at an offset.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Read {
    /// These bytes, one or more.
    Bytes(Bytes),
    /// What was there is not kept; the oldest that is.
    Skip(u64),
    /// The end of the stream.
    End,
}

/// What there is room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Room {
    /// So many bytes, in memory.
    Memory(usize),
    /// So many bytes, on the disk.
    Disk(usize),
}

impl Room {
    /// How many bytes.
    pub(crate) fn bytes(self) -> usize {
        match self {
            Self::Memory(bytes) | Self::Disk(bytes) => bytes,
        }
    }
}

/// Nobody wants more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Closed;

/// The rest of a stream could not be written down, and is not waited for any more.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{stream} is not kept from byte {from} on: {reason}")]
pub(crate) struct NotKept {
    stream: StreamId,
    /// Offset of the first byte that is lost.
    from: u64,
    /// The system's.
    reason: String,
}

/// Does the same with either.
macro_rules! either {
    ($self:ident, $outlet:ident => $action:expr) => {
        match $self {
            Self::Buffer($outlet) => $action,
            Self::Log($outlet) => $action,
        }
    };
}

impl Outlet {
    /// Waits until something may be put in; how much, and how.
    ///
    /// # Errors
    /// [`Closed`] once nobody wants more.
    pub(crate) async fn room(&self) -> Result<Room, Closed> {
        self.room_for(1).await
    }

    /// As [`Outlet::room`], until there is room for so many bytes: no more than every stream has at its beginning.
    ///
    /// # Errors
    /// [`Closed`] once nobody wants more.
    pub(crate) async fn room_for(&self, least: usize) -> Result<Room, Closed> {
        match self {
            Self::Buffer(buffer) => buffer.room_for(least).await,
            Self::Log(log) => log.room(),
        }
    }

    /// Whether there is no room because what is here was not taken.
    pub(crate) fn is_full(&self) -> bool {
        either!(self, outlet => outlet.is_full())
    }

    /// Whether nobody wants more.
    pub(crate) fn is_closed(&self) -> bool {
        either!(self, outlet => outlet.is_closed())
    }

    /// Waits until nobody wants more.
    pub(crate) async fn closed(&self) -> Closed {
        either!(self, outlet => outlet.closed().await)
    }

    /// Puts `bytes` in, no more than there is `room` for, and in the way that it says.
    ///
    /// # Errors
    /// [`NotKept`], with the rest of them lost: only after [`Outlet::hurry`].
    pub(crate) async fn put(&self, bytes: Bytes, room: Room) -> Result<(), NotKept> {
        match (self, room) {
            (Self::Buffer(buffer), Room::Memory(_)) => buffer.push(bytes),
            (Self::Buffer(buffer), Room::Disk(_)) => buffer.spill(bytes).await,
            (Self::Log(log), _) => log.append(bytes).await?,
        }
        Ok(())
    }

    /// Whether the disk takes nothing at present, so that the command waits.
    pub(crate) fn waits_for_disk(&self) -> bool {
        matches!(self, Self::Log(log) if log.waits_for_disk())
    }

    /// Nobody is left to write but for what is on its way: from now on a disk that takes none of it is not waited for without end.
    pub(crate) fn hurry(&self) {
        if let Self::Log(log) = self {
            log.hurry();
        }
    }

    /// Nothing more will be put in.
    pub(crate) fn end(&self) {
        either!(self, outlet => outlet.end());
    }

    /// Waits for something at `offset`; at most `most` bytes of it.
    pub(crate) async fn read(&self, offset: u64, most: usize) -> Read {
        either!(self, outlet => outlet.read(offset, most).await)
    }

    /// When the bytes from `from` to `to` were written, which have been read at once: each time with the offset from which on it
    /// is true. Nothing, where that was not noted: what is kept in memory has no times.
    pub(crate) async fn times(&self, from: u64, to: u64) -> Vec<(u64, Timestamp)> {
        match self {
            Self::Buffer(_) => Vec::new(),
            Self::Log(log) => log.times(from, to).await,
        }
    }

    /// What is kept: the oldest offset, and the number of bytes until now.
    pub(crate) fn kept(&self) -> (u64, u64) {
        either!(self, outlet => outlet.kept())
    }

    /// The job has a client, who was sent everything up to `offset`.
    pub(crate) fn sent(&self, offset: u64) {
        if let Self::Buffer(buffer) = self {
            buffer.sent(offset);
        }
    }

    /// The job has no client.
    pub(crate) fn unattended(&self) {
        if let Self::Buffer(buffer) = self {
            buffer.unattended();
        }
    }

    /// The client has everything up to `offset`.
    pub(crate) fn release(&self, offset: u64) {
        either!(self, outlet => outlet.release(offset));
    }

    /// The client wants no more.
    pub(crate) fn close(&self) {
        either!(self, outlet => outlet.close());
    }

    /// Nobody is waited for any more: from now on there is always room, and what is oldest makes it.
    pub(crate) fn overwrite(&self) {
        either!(self, outlet => outlet.overwrite());
    }

    /// Whether what is oldest in a log makes room, since nobody is expected to take it. In memory there is too little to lose any.
    pub(crate) fn make_room_by_itself(&self, does: bool) {
        if let Self::Log(log) = self {
            log.make_room_by_itself(does);
        }
    }

    /// Nobody will ask for what is here, unless it is kept on the disk for that.
    pub(crate) fn forget(&self) {
        if let Self::Buffer(buffer) = self {
            buffer.forget();
        }
    }
}
