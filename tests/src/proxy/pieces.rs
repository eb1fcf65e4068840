//! Bytes under way in one direction, in order, each with the time when it is due. Reads no clock and touches no socket.

use std::collections::VecDeque;

use bytes::{Buf, BufMut, BytesMut};
use tokio::time::Instant;

/// Most pieces under way.
const MOST_PIECES: usize = 64 * 1024;

/// Most that is read at once.
const READ: usize = 256 * 1024;

/// What was read and is not written yet.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    bytes: BytesMut,
    /// When the next so many bytes are due. Ascending: what was read earlier is not overtaken by what was read with a shorter
    /// delay.
    due: VecDeque<(Instant, usize)>,
}

impl Pieces {
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.due.clear();
    }

    /// Whether anything more is taken, where `limit` bytes may be under way.
    pub(super) fn has_room(&self, limit: usize) -> bool {
        self.bytes.len() < limit && self.due.len() < MOST_PIECES
    }

    /// Where to read to, at most so much that `limit` bytes are under way. [`Pieces::add`] is due with what was read.
    pub(super) fn space(&mut self, limit: usize) -> impl BufMut {
        let room = limit.saturating_sub(self.bytes.len()).min(READ);
        self.bytes.reserve(room);
        (&mut self.bytes).limit(room)
    }

    /// The last `len` bytes are due then, and not before those in front of them.
    pub(super) fn add(&mut self, len: usize, due: Instant) {
        match self.due.back_mut() {
            Some((last, bytes)) if *last >= due => *bytes += len,
            _ => self.due.push_back((due, len)),
        }
    }

    /// What is due by now, or the beginning of it.
    pub(super) fn due(&self, now: Instant) -> &[u8] {
        match self.due.front() {
            Some((due, len)) if *due <= now => &self.bytes[..*len],
            _ => &[],
        }
    }

    /// When the first byte is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.due.front().map(|(due, _)| *due)
    }

    /// So many of what was due are written.
    pub(super) fn advance(&mut self, written: usize) {
        self.bytes.advance(written);
        if let Some((_, len)) = self.due.front_mut() {
            *len -= written;
            if *len == 0 {
                self.due.pop_front();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn nothing_is_early_and_nothing_overtakes() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut pieces = Pieces::default();
        for (text, due) in [("ab", 10), ("c", 30), ("d", 20)] {
            pieces.space(100).put_slice(text.as_bytes());
            pieces.add(text.len(), at(due));
        }
        assert_eq!((pieces.due(at(9)), pieces.due(at(10))), (&b""[..], &b"ab"[..]));
        pieces.advance(1);
        assert_eq!((pieces.due(at(29)), pieces.next_due()), (&b"b"[..], Some(at(10))));
        pieces.advance(1);
        assert_eq!((pieces.due(at(29)), pieces.due(at(30))), (&b""[..], &b"cd"[..]));
        pieces.advance(2);
        assert!(pieces.is_empty() && pieces.next_due().is_none());
    }

    #[test]
    fn no_more_is_taken_than_allowed() {
        let mut pieces = Pieces::default();
        assert_eq!(pieces.space(10).remaining_mut(), 10);
        pieces.space(10).put_slice(b"abcd");
        assert!(pieces.has_room(10) && !pieces.has_room(4));
        assert_eq!(pieces.space(10).remaining_mut(), 6);
        assert_eq!(pieces.space(3).remaining_mut(), 0);
    }
}
