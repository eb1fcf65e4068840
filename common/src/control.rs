//! What a job with control descriptors reports, as it travels: records, one behind the other, in the stream
//! [`StreamId::Control`](crate::frame::StreamId::Control). Must not know what the job means by its bytes.

use bytes::{BufMut, Bytes, BytesMut};

use crate::limits;

/// Bytes of a record before those that the job has written: two offsets and a length.
pub const RECORD_HEADER: usize = 20;

/// The most that a record has, header and all.
pub const RECORD: usize = RECORD_HEADER + limits::CONTROL_RECORD;

/// The record of `bytes`, at most [`limits::CONTROL_RECORD`], which the job wrote on its control descriptor after no more of its
/// output than the first `stdout` and `stderr` bytes of each stream.
pub fn record(stdout: u64, stderr: u64, bytes: &[u8]) -> Bytes {
    let mut record = BytesMut::with_capacity(RECORD_HEADER + bytes.len());
    record.put_u64_le(stdout);
    record.put_u64_le(stderr);
    record.put_u32_le(bytes.len() as u32);
    record.put_slice(bytes);
    record.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_says_how_far_the_output_had_come() {
        let expected =
            [&[8, 7, 6, 5, 4, 3, 2, 1, 9, 0, 0, 0, 0, 0, 0, 0][..], &[3, 0, 0, 0], b"P1\0"].concat();
        assert_eq!(record(0x0102_0304_0506_0708, 9, b"P1\0"), expected);
        assert_eq!(record(0, 0, &[0; limits::CONTROL_RECORD]).len(), RECORD);
    }
}
