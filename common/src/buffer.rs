//! Large buffers for bulk data, kept for the next use instead of given back to the system.
//!
//! Without this every chunk would be mapped, faulted in and unmapped again, which doubles the cost of moving it.
//! Only an allocator's cache: it holds no data, and nobody can tell a used buffer from a new one.

use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use crate::limits;

/// Size of every buffer here.
pub const LARGE: usize = limits::DATA_PAYLOAD;

/// Buffers kept while nobody uses them, 4 MiB in all: what one busy stream in each direction has under way.
const KEPT: usize = 16;

static FREE: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

/// An empty buffer with room for [`LARGE`] bytes.
pub fn large() -> Vec<u8> {
    free().pop().unwrap_or_else(|| Vec::with_capacity(LARGE))
}

/// `buffer` as shared bytes, without a copy. If it came from [`large`], it is used again after the last of them.
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
        let mut free = free();
        if free.len() < KEPT {
            self.0.clear();
            free.push(std::mem::take(&mut self.0));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One test, because the cache is the process's.
    #[test]
    fn buffers_come_back_empty_and_no_more_than_are_kept() {
        let mut buffer = large();
        buffer.extend_from_slice(b"secret");
        let (place, shared) = (buffer.as_ptr(), share(buffer));
        let slice = shared.slice(1..3);
        drop(shared);
        assert_eq!(slice, "ec");
        drop(slice);
        let again = large();
        assert_eq!((again.as_ptr(), again.len(), again.capacity()), (place, 0, LARGE));
        let many: Vec<_> = (0..2 * KEPT).map(|_| share(large())).collect();
        drop(many);
        assert_eq!(free().len(), KEPT);
        assert_eq!(share(vec![1, 2]), [1, 2][..]);
    }
}
