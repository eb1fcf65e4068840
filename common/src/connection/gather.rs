//! Bytes to be written with one vectored call: small pieces copied together, large ones left where they are.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes, BytesMut};

/// Pieces below this size are copied: a copy of a page costs less than one more entry of the vector.
const COPY_BELOW: usize = 4 * 1024;

/// A queue of pieces that is written as if it were one; read through [`Buf`].
#[derive(Debug, Default)]
pub struct Gather {
    pieces: VecDeque<Bytes>,
    /// The copied piece at the end, behind `pieces`.
    tail: BytesMut,
    len: usize,
}

impl Gather {
    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Adds a copy of `bytes`.
    pub(super) fn copy(&mut self, bytes: &[u8]) {
        self.tail.extend_from_slice(bytes);
        self.len += bytes.len();
    }

    /// Adds `bytes`, without a copy if they are many.
    pub(super) fn append(&mut self, bytes: Bytes) {
        if bytes.len() < COPY_BELOW {
            return self.copy(&bytes);
        }
        self.len += bytes.len();
        if !self.tail.is_empty() {
            self.pieces.push_back(self.tail.split().freeze());
        }
        self.pieces.push_back(bytes);
    }
}

impl Buf for Gather {
    fn remaining(&self) -> usize {
        self.len
    }

    fn chunk(&self) -> &[u8] {
        self.pieces.front().map_or(&self.tail, |piece| piece)
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let pieces = self.pieces.iter().map(|piece| &piece[..]).chain([&self.tail[..]]);
        let mut count = 0;
        for (slot, piece) in slices.iter_mut().zip(pieces.filter(|piece| !piece.is_empty())) {
            *slot = IoSlice::new(piece);
            count += 1;
        }
        count
    }

    fn advance(&mut self, mut count: usize) {
        self.len -= count;
        while let Some(front) = self.pieces.front_mut() {
            if count < front.len() {
                return front.advance(count);
            }
            count -= front.len();
            self.pieces.pop_front();
        }
        self.tail.advance(count);
        if self.len == 0 {
            // Keeps no memory while there is nothing to write.
            self.tail = BytesMut::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_come_out_in_order_however_they_are_taken() {
        let large = Bytes::from(vec![7; COPY_BELOW + 5]);
        for step in [1, 3, 4096, 100_000] {
            let mut gather = Gather::default();
            gather.copy(b"head");
            gather.append(large.clone());
            gather.append(Bytes::from_static(b"tail"));
            let expected = [&b"head"[..], &large, b"tail"].concat();
            let mut taken = Vec::new();
            while gather.has_remaining() {
                let part = gather.chunk()[..gather.chunk().len().min(step)].to_vec();
                gather.advance(part.len());
                taken.extend(part);
            }
            assert_eq!(taken, expected);
            assert!(gather.is_empty());
        }
    }

    #[test]
    fn one_call_sees_every_piece() {
        let mut gather = Gather::default();
        gather.copy(b"a");
        gather.append(Bytes::from(vec![1; COPY_BELOW]));
        gather.copy(b"b");
        let mut slices = [IoSlice::new(&[]); 8];
        let count = gather.chunks_vectored(&mut slices);
        let seen: usize = slices[..count].iter().map(|slice| slice.len()).sum();
        assert_eq!((count, seen), (3, gather.remaining()));
    }
}
