//! What the session's shell says, put together from the records in which it travels. Must not know what it means.

use std::collections::VecDeque;

use common::control::{RECORD, RECORD_HEADER};
use thiserror::Error;

use crate::Offsets;

/// Longest text, its end not counted: a directory's name has 4,096 bytes at most, and what was typed ahead has three times that.
const TEXT: usize = 64 * 1024;

/// Something that the shell has said.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Report {
    /// Without the NUL at its end.
    pub(super) text: Vec<u8>,
    /// How far the output had come when it was said.
    pub(super) stamp: Offsets,
}

/// What no shell of ours says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("its reports make no sense")]
pub(super) struct Garbled;

/// The bytes that have come.
#[derive(Debug, Default)]
pub(super) struct Reports {
    /// Of a record that is not whole yet.
    record: Vec<u8>,
    /// Of a text that is not whole yet.
    text: Vec<u8>,
    whole: VecDeque<Report>,
}

impl Reports {
    /// Takes what has come.
    ///
    /// # Errors
    /// [`Garbled`], and then for good.
    pub(super) fn push(&mut self, mut bytes: &[u8]) -> Result<(), Garbled> {
        while !bytes.is_empty() {
            let wanted = self.wanted()? - self.record.len();
            let (part, rest) = bytes.split_at(wanted.min(bytes.len()));
            self.record.extend_from_slice(part);
            bytes = rest;
            if self.record.len() > RECORD_HEADER && self.record.len() == self.wanted()? {
                self.take_record()?;
            }
        }
        Ok(())
    }

    /// The next text that is whole.
    pub(super) fn next(&mut self) -> Option<Report> {
        self.whole.pop_front()
    }

    /// How long the record is that has begun, as far as is known.
    fn wanted(&self) -> Result<usize, Garbled> {
        let Some(length) = self.record.get(16..).and_then(|rest| rest.first_chunk()) else {
            return Ok(RECORD_HEADER);
        };
        let wanted = RECORD_HEADER.saturating_add(u32::from_le_bytes(*length) as usize);
        if wanted == RECORD_HEADER || wanted > RECORD { Err(Garbled) } else { Ok(wanted) }
    }

    fn take_record(&mut self) -> Result<(), Garbled> {
        let record = std::mem::take(&mut self.record);
        let (header, bytes) = record.split_at_checked(RECORD_HEADER).ok_or(Garbled)?;
        let offset =
            |at| header.get(at..).and_then(|rest| rest.first_chunk()).map(|bytes| u64::from_le_bytes(*bytes));
        let stamp = Offsets { stdout: offset(0).ok_or(Garbled)?, stderr: offset(8).ok_or(Garbled)? };
        for part in bytes.split_inclusive(|byte| *byte == 0) {
            self.text.extend_from_slice(part);
            if self.text.len() > TEXT {
                return Err(Garbled);
            }
            if self.text.pop_if(|last| *last == 0).is_some() {
                self.whole.push_back(Report { text: std::mem::take(&mut self.text), stamp });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use common::control::record;

    use super::*;

    fn all(reports: &mut Reports) -> Vec<Report> {
        std::iter::from_fn(|| reports.next()).collect()
    }

    #[test]
    fn texts_are_whole_however_they_come() {
        let bytes = [record(1, 2, b"one\0tw"), record(3, 4, b"o"), record(5, 6, b"\0\0rest")].concat();
        let expected = [("one", 1, 2), ("two", 5, 6), ("", 5, 6)]
            .map(|(text, stdout, stderr)| Report { text: text.into(), stamp: Offsets { stdout, stderr } });
        for cut in 0..=bytes.len() {
            let mut reports = Reports::default();
            let (begin, end) = bytes.split_at(cut);
            reports.push(begin).unwrap();
            let mut said = all(&mut reports);
            reports.push(end).unwrap();
            said.extend(all(&mut reports));
            assert_eq!(said, expected, "cut at {cut}");
        }
    }

    #[test]
    fn nonsense_is_noticed_before_it_is_kept() {
        let mut huge = [0; 16].to_vec();
        huge.extend(u32::MAX.to_le_bytes());
        huge.push(b'x');
        assert_eq!(Reports::default().push(&huge), Err(Garbled));
        assert_eq!(Reports::default().push(&[0; 21]), Err(Garbled));
        let mut reports = Reports::default();
        let endless = record(0, 0, &[b'x'; 4096]);
        assert!((0..64).any(|_| reports.push(&endless).is_err()));
    }
}
