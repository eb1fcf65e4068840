//! What one program of a process hands to the next beside words (execve(2)): descriptors, bytes, and moments of the machine's
//! clock. In the words they are numbers, which mean something to those two programs only.
//!
//! Knows nothing of what is packed, nor of how it travels.

use std::fs::File;
use std::io::{self, Write};
use std::iter;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use common::limits;
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

/// Most of one stretch of bytes that is read: more than any stream keeps.
const STRETCH_BYTES: u64 = 1 << 30;

/// The place of a descriptor among those that are handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Descriptor(pub(crate) u32);

/// Where bytes are in the memory that goes along.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stretch {
    /// Where they begin.
    pub(crate) at: u64,
    /// How many there are.
    pub(crate) length: u64,
}

/// A moment by the machine's clock (CLOCK_MONOTONIC), in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Moment(pub(crate) u64);

impl From<Instant> for Moment {
    fn from(instant: Instant) -> Self {
        let (now, here) = (Self::now(), Instant::now());
        Self(match here.checked_duration_since(instant) {
            Some(ago) => now.0.saturating_sub(micros(ago)),
            None => now.0.saturating_add(micros(instant.saturating_duration_since(here))),
        })
    }
}

impl From<Moment> for Instant {
    /// The present, if it lies beyond what the clock can tell.
    fn from(moment: Moment) -> Self {
        let (now, here) = (Moment::now(), Self::now());
        let ahead = moment.0.checked_sub(now.0).map(Duration::from_micros);
        let ago = Duration::from_micros(now.0.saturating_sub(moment.0));
        ahead.map_or_else(|| here.checked_sub(ago), |ahead| here.checked_add(ahead)).unwrap_or(here)
    }
}

impl Moment {
    fn now() -> Self {
        let time = clock_gettime(ClockId::Monotonic);
        let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
        let micros = u64::try_from(time.tv_nsec).unwrap_or_default() / 1000;
        Self(seconds.saturating_mul(1_000_000).saturating_add(micros))
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// A parcel that is being packed. The descriptors stay whose they are.
#[derive(Debug)]
pub(crate) struct Packing<'a> {
    memory: File,
    written: u64,
    descriptors: Vec<Held<'a>>,
}

/// A parcel that is packed.
#[derive(Debug)]
pub(crate) struct Parcel<'a> {
    memory: OwnedFd,
    descriptors: Vec<Held<'a>>,
}

#[derive(Debug)]
enum Held<'a> {
    Borrowed(BorrowedFd<'a>),
    Shared(Arc<File>),
}

impl<'a> Packing<'a> {
    /// An empty one.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn new() -> io::Result<Self> {
        let memory = File::from(memfd_create("telex jobs", MemfdFlags::CLOEXEC)?);
        Ok(Self { memory, written: 0, descriptors: Vec::new() })
    }

    /// Adds a descriptor.
    pub(crate) fn descriptor(&mut self, descriptor: BorrowedFd<'a>) -> Descriptor {
        self.add(Held::Borrowed(descriptor))
    }

    /// Adds that of a file.
    pub(crate) fn file(&mut self, file: Arc<File>) -> Descriptor {
        self.add(Held::Shared(file))
    }

    fn add(&mut self, held: Held<'a>) -> Descriptor {
        self.descriptors.push(held);
        // The memory comes first.
        Descriptor(u32::try_from(self.descriptors.len()).unwrap_or(u32::MAX))
    }

    /// Adds bytes, in this order.
    ///
    /// # Errors
    /// The system's, if memory is short.
    pub(crate) fn bytes(&mut self, pieces: impl IntoIterator<Item = Bytes>) -> io::Result<Stretch> {
        let at = self.written;
        for piece in pieces {
            self.memory.write_all(&piece)?;
            self.written += piece.len() as u64;
        }
        Ok(Stretch { at, length: self.written - at })
    }

    /// It is packed.
    pub(crate) fn finish(self) -> Parcel<'a> {
        Parcel { memory: self.memory.into(), descriptors: self.descriptors }
    }
}

impl Parcel<'_> {
    /// All that has to go along, in this order.
    pub(crate) fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let others = self.descriptors.iter().map(|held| match held {
            Held::Borrowed(descriptor) => *descriptor,
            Held::Shared(file) => file.as_fd(),
        });
        iter::once(self.memory.as_fd()).chain(others)
    }
}

/// A parcel that is being unpacked.
#[derive(Debug)]
pub(crate) struct Unpacking {
    memory: Option<File>,
    descriptors: Vec<Option<OwnedFd>>,
}

impl Unpacking {
    /// What is in `descriptors`, in their order.
    pub(crate) fn new(descriptors: Vec<OwnedFd>) -> Self {
        let mut descriptors = descriptors.into_iter();
        let memory = descriptors.next().map(File::from);
        Self { memory, descriptors: descriptors.map(Some).collect() }
    }

    /// Takes a descriptor out.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] if there is none, or not any more.
    pub(crate) fn descriptor(&mut self, descriptor: Descriptor) -> io::Result<OwnedFd> {
        let place = usize::try_from(descriptor.0).ok().and_then(|place| place.checked_sub(1));
        let found = place.and_then(|place| self.descriptors.get_mut(place)).and_then(Option::take);
        found.ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Reads bytes, in pieces of 64 KiB.
    ///
    /// # Errors
    /// The system's, if they are not all there.
    pub(crate) fn bytes(&self, stretch: Stretch) -> io::Result<Vec<Bytes>> {
        let memory = self.memory.as_ref().ok_or(io::ErrorKind::NotFound)?;
        if stretch.length > STRETCH_BYTES {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let (mut pieces, mut at, mut left) = (Vec::new(), stretch.at, stretch.length);
        while left > 0 {
            let length = usize::try_from(left).unwrap_or(usize::MAX).min(limits::DATA_PAYLOAD);
            let mut piece = vec![0; length];
            memory.read_exact_at(&mut piece, at)?;
            (at, left) = (at.saturating_add(length as u64), left - length as u64);
            pieces.push(piece.into());
        }
        Ok(pieces)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_packed_is_unpacked_once() {
        let (reader, writer) = io::pipe().unwrap();
        let mut packing = Packing::new().unwrap();
        let places = [packing.descriptor(reader.as_fd()), packing.descriptor(writer.as_fd())];
        let empty = packing.bytes([]).unwrap();
        let first = packing.bytes(["abc".into(), "de".into()]).unwrap();
        let long = packing.bytes([Bytes::from(vec![7; 3 * limits::DATA_PAYLOAD + 1])]).unwrap();
        let parcel = packing.finish();
        let all = parcel.descriptors().map(|descriptor| descriptor.try_clone_to_owned().unwrap());
        let mut unpacking = Unpacking::new(all.collect());
        let mut written = File::from(unpacking.descriptor(places[1]).unwrap());
        written.write_all(b"x").unwrap();
        unpacking.descriptor(places[0]).unwrap();
        for gone in [places[0], places[1], Descriptor(0), Descriptor(3), Descriptor(u32::MAX)] {
            assert!(unpacking.descriptor(gone).is_err(), "{gone:?}");
        }
        assert_eq!(unpacking.bytes(empty).unwrap().concat(), b"");
        assert_eq!(unpacking.bytes(first).unwrap().concat(), b"abcde");
        let pieces = unpacking.bytes(long).unwrap();
        assert_eq!((pieces.len(), pieces.concat().len()), (4, 3 * limits::DATA_PAYLOAD + 1));
        for (at, length) in [(0, u64::MAX), (u64::MAX, 1), (0, long.at + long.length + 1)] {
            assert!(unpacking.bytes(Stretch { at, length }).is_err());
        }
        assert!(Unpacking::new(Vec::new()).bytes(empty).is_err());
    }

    #[test]
    fn a_moment_is_the_same_one_afterwards() {
        let now = Instant::now();
        for instant in [now, now + Duration::from_secs(100), now - Duration::from_millis(7)] {
            let again = Instant::from(Moment::from(instant));
            let off = again.max(instant) - again.min(instant);
            assert!(off < Duration::from_millis(50), "{off:?}");
        }
        let far = Instant::from(Moment(u64::MAX));
        assert!(far >= now);
    }
}
