//! Bytes that wait: records that have arrived and are not decrypted, or are encrypted and not sent.
//!
//! Its memory is initialised, as those who write into it ask for a slice, and it has none while it is empty and quiet.

use crate::buffer;

/// Memory that a queue of few bytes has.
const SMALL: usize = 4 * 1024;

/// A first-in-first-out queue of bytes in one piece of memory.
#[derive(Debug, Default)]
pub(super) struct ByteQueue {
    memory: Vec<u8>,
    start: usize,
    end: usize,
}

impl ByteQueue {
    pub(super) fn len(&self) -> usize {
        self.end - self.start
    }

    pub(super) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// What waits, the oldest first.
    pub(super) fn bytes(&self) -> &[u8] {
        self.memory.get(self.start..self.end).unwrap_or_default()
    }

    /// As [`ByteQueue::bytes`], to be changed in place.
    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        self.memory.get_mut(self.start..self.end).unwrap_or_default()
    }

    /// Room for `len` bytes or more behind what waits; [`ByteQueue::push`] then says how many were written there.
    pub(super) fn room(&mut self, len: usize) -> &mut [u8] {
        if self.memory.len() - self.end < len {
            self.grow(len);
        }
        self.memory.get_mut(self.end..).unwrap_or_default()
    }

    /// The next `count` bytes of the room are written. Not more than there are.
    pub(super) fn push(&mut self, count: usize) {
        self.end = (self.end + count).min(self.memory.len());
    }

    /// The first `count` bytes are done with.
    pub(super) fn pop(&mut self, count: usize) {
        self.start = (self.start + count).min(self.end);
        if self.is_empty() {
            (self.start, self.end) = (0, 0);
        }
    }

    /// Gives the memory away if nothing waits.
    pub(super) fn release(&mut self) {
        if self.is_empty() {
            buffer::give_back(std::mem::take(&mut self.memory));
        }
    }

    /// Moves what waits to the front, of larger memory if that is needed.
    fn grow(&mut self, room: usize) {
        let (waiting, needed) = (self.start..self.end, self.len() + room);
        if needed <= self.memory.len() {
            self.memory.copy_within(waiting, 0);
        } else {
            let mut memory = match needed {
                0..=SMALL => vec![0; SMALL],
                _ if needed <= buffer::LARGE / 2 => vec![0; needed.next_power_of_two()],
                _ if needed <= buffer::LARGE => buffer::scratch(),
                _ => vec![0; needed],
            };
            for (place, byte) in memory.iter_mut().zip(self.bytes()) {
                *place = *byte;
            }
            buffer::give_back(std::mem::replace(&mut self.memory, memory));
        }
        (self.start, self.end) = (0, self.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(queue: &mut ByteQueue, bytes: &[u8]) {
        queue.room(bytes.len())[..bytes.len()].copy_from_slice(bytes);
        queue.push(bytes.len());
    }

    #[test]
    fn bytes_come_out_in_order_however_the_memory_moves() {
        let mut queue = ByteQueue::default();
        let source: Vec<u8> = (0..600_000_u32).map(|number| (number / 7) as u8).collect();
        let (mut pushed, mut popped, mut step) = (0, 0, 1);
        while popped < source.len() {
            let next = (pushed + step).min(source.len());
            push(&mut queue, &source[pushed..next]);
            pushed = next;
            assert_eq!(queue.bytes(), &source[popped..pushed]);
            let taken = queue.len().min(step / 2 + 1);
            queue.pop(taken);
            popped += taken;
            step = (step * 3) % 70_001;
        }
        assert!(queue.is_empty());
    }

    #[test]
    fn a_quiet_queue_has_no_memory() {
        let mut queue = ByteQueue::default();
        push(&mut queue, b"abc");
        queue.release();
        assert_eq!(queue.bytes(), b"abc");
        queue.pop(3);
        queue.release();
        assert_eq!(queue.memory.capacity(), 0);
    }
}
