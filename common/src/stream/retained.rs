//! What a sender keeps until the receiver has it. No I/O.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use crate::limits;

/// How much of gathered bytes is kept in one piece.
const PIECE: usize = 4 * limits::GATHER_BELOW;

/// The bytes of a stream from one offset to another. They come at one end and go at the other.
///
/// Large pieces are kept as they come, without a copy; small ones are copied together, so that a stream of single bytes costs
/// no more than its bytes.
#[derive(Debug, Default)]
pub struct Retained {
    /// The offset of the first byte.
    base: u64,
    pieces: VecDeque<Bytes>,
    /// Bytes of all `pieces`.
    len: usize,
    /// What was gathered, behind `pieces`.
    tail: BytesMut,
}

impl Retained {
    /// Nothing, at this offset.
    pub fn starting_at(offset: u64) -> Self {
        Self { base: offset, ..Self::default() }
    }

    /// The offset of the first byte.
    pub fn base(&self) -> u64 {
        self.base
    }

    /// The offset behind the last byte.
    pub fn end(&self) -> u64 {
        self.base + self.len()
    }

    /// How many bytes there are.
    pub fn len(&self) -> u64 {
        (self.len + self.tail.len()) as u64
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds `bytes` at the end.
    pub fn push(&mut self, bytes: Bytes) {
        if bytes.len() >= limits::GATHER_BELOW {
            self.close_tail();
            self.len += bytes.len();
            self.pieces.push_back(bytes);
            return;
        }
        if self.tail.len() + bytes.len() > PIECE {
            self.close_tail();
        }
        self.tail.extend_from_slice(&bytes);
    }

    /// Up to `most` bytes from `offset` on; none outside of what is kept.
    pub fn read(&self, offset: u64, most: usize) -> Bytes {
        let mut start = self.end() - self.tail.len() as u64;
        if offset < self.base || offset >= self.end() {
            return Bytes::new();
        }
        if offset >= start {
            let tail = self.tail.get((offset - start) as usize..).unwrap_or_default();
            return Bytes::copy_from_slice(tail.get(..most.min(tail.len())).unwrap_or_default());
        }
        // What is read next is near the end.
        for piece in self.pieces.iter().rev() {
            start -= piece.len() as u64;
            if offset >= start {
                let from = (offset - start) as usize;
                return piece.slice(from..piece.len().min(from.saturating_add(most)));
            }
        }
        Bytes::new()
    }

    /// Forgets all below `offset`.
    pub fn release(&mut self, offset: u64) {
        let offset = offset.min(self.end());
        while self.base < offset {
            let count = (offset - self.base) as usize;
            let gone = match self.pieces.front_mut() {
                Some(piece) if piece.len() > count => {
                    // The rest keeps the whole piece alive, for as long as it takes to be released itself.
                    bytes::Buf::advance(piece, count);
                    self.len -= count;
                    count
                }
                Some(piece) => {
                    let gone = piece.len();
                    self.len -= gone;
                    self.pieces.pop_front();
                    gone
                }
                None => {
                    bytes::Buf::advance(&mut self.tail, count);
                    count
                }
            };
            self.base += gone as u64;
        }
        if self.is_empty() {
            self.tail = BytesMut::new();
        }
    }

    fn close_tail(&mut self) {
        if !self.tail.is_empty() {
            self.len += self.tail.len();
            self.pieces.push_back(self.tail.split().freeze());
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn piece() -> impl Strategy<Value = usize> {
        prop_oneof![0..40_usize, limits::GATHER_BELOW - 2..limits::GATHER_BELOW + 40, 60_000..70_000_usize]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn it_is_a_part_of_the_stream_whatever_was_pushed_and_released(
            steps in prop::collection::vec((piece(), 0..100_000_u64, 0..100_000_u64, 1..80_000_usize), 1..30),
        ) {
            let mut all = vec![9; 7];
            let mut retained = Retained::starting_at(7);
            for (len, release, read, most) in steps {
                let bytes: Vec<u8> = (0..len).map(|n| (n + all.len()) as u8).collect();
                all.extend(&bytes);
                retained.push(bytes.into());
                let base = retained.base().max(retained.base() + release).min(all.len() as u64);
                retained.release(retained.base() + release);
                prop_assert_eq!((retained.base(), retained.end()), (base, all.len() as u64));
                let from = base + read;
                let seen = retained.read(from, most);
                let rest = all.get(from as usize..).unwrap_or_default();
                prop_assert!(rest.starts_with(&seen));
                prop_assert_eq!(seen.is_empty(), rest.is_empty());
                prop_assert!(seen.len() <= most);
                if base > 0 {
                    prop_assert!(retained.read(base - 1, 1).is_empty());
                }
            }
        }
    }
}
