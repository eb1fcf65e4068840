//! Large buffers for bulk data, kept for the next use instead of given back to the system.
//!
//! Without this every chunk would be mapped, faulted in and unmapped again, which doubles the cost of moving it.
//! Only an allocator's cache: it holds no data, and nobody can tell a used buffer from a new one.

use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use crate::limits;

/// Size of every buffer that is kept.
pub(crate) const LARGE: usize = limits::DATA_PAYLOAD;

/// Buffers kept while nobody uses them, 4 MiB in all: what one busy stream in each direction has under way.
const KEPT: usize = 16;

static FREE: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

/// An empty buffer with room for `len` bytes: a kept one if it would be more than half used, as whoever holds a few
/// bytes must not hold a large buffer for them.
pub fn with_room(len: usize) -> Vec<u8> {
    if len > LARGE / 2 && len <= LARGE {
        let mut buffer = free().pop().unwrap_or_else(|| Vec::with_capacity(LARGE));
        buffer.clear();
        return buffer;
    }
    Vec::with_capacity(len)
}

/// A buffer of [`LARGE`] bytes, for those who need bytes to be there before they are written; what is in them means
/// nothing. To be given back with [`give_back`].
pub(crate) fn scratch() -> Vec<u8> {
    let mut buffer = free().pop().unwrap_or_default();
    buffer.resize(LARGE, 0);
    buffer
}

/// Keeps `buffer` for the next use if it is a large one.
pub(crate) fn give_back(buffer: Vec<u8>) {
    if buffer.capacity() == LARGE {
        let mut free = free();
        if free.len() < KEPT {
            free.push(buffer);
        }
    }
}

/// `buffer` as shared bytes, without a copy. A large one is used again after the last of them.
pub fn share(buffer: Vec<u8>) -> Bytes {
    if buffer.capacity() == LARGE { Bytes::from_owner(Reusable(buffer)) } else { Bytes::from(buffer) }
}

fn free() -> MutexGuard<'static, Vec<Vec<u8>>> {
    FREE.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Reusable(Vec<u8>);

impl AsRef<[u8]> for Reusable {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Reusable {
    fn drop(&mut self) {
        give_back(std::mem::take(&mut self.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One test, because the cache is the process's.
    #[test]
    fn buffers_come_back_empty_and_no_more_than_are_kept() {
        let mut buffer = with_room(LARGE);
        buffer.extend_from_slice(b"secret");
        let (place, shared) = (buffer.as_ptr(), share(buffer));
        let slice = shared.slice(1..3);
        drop(shared);
        assert_eq!(slice, "ec");
        drop(slice);
        let again = with_room(LARGE / 2 + 1);
        assert_eq!((again.as_ptr(), again.len(), again.capacity()), (place, 0, LARGE));
        let many: Vec<_> = (0..2 * KEPT).map(|_| share(with_room(LARGE))).collect();
        drop(many);
        assert_eq!(free().len(), KEPT);
        assert_eq!(with_room(LARGE / 2).capacity(), LARGE / 2);
        assert_eq!(share(vec![1, 2]), [1, 2][..]);
    }
}
