//! When the output of a job was written, as far as the server says. No stream and no clock.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use common::frame::{Outputs, StreamId};

/// Times that are kept of a stream, ahead of whoever takes its bytes: more than a window of single lines has. A server that says
/// more is heard with less detail.
const KEPT: usize = 64 * 1024;

/// The times of a job's output.
#[derive(Debug, Default)]
pub(crate) struct Times(Mutex<Outputs<Marks>>);

/// The times of a stream, each with the offset of the first byte that it is true of.
#[derive(Debug, Default)]
struct Marks(VecDeque<(u64, u64)>);

impl Times {
    /// What follows `from` was written at `unix_ms`.
    pub(crate) fn note(&self, stream: StreamId, from: u64, unix_ms: u64) {
        self.with(stream, |marks| marks.note(from, unix_ms));
    }

    /// When the byte at `offset` was written, and the offset up to which that is true. Earlier ones are not asked for again.
    pub(crate) fn at(&self, stream: StreamId, offset: u64) -> (Option<SystemTime>, Option<u64>) {
        let (at, until) = self.with(stream, |marks| marks.at(offset)).unwrap_or_default();
        (at.and_then(|ms| UNIX_EPOCH.checked_add(Duration::from_millis(ms))), until)
    }

    fn with<T>(&self, stream: StreamId, action: impl FnOnce(&mut Marks) -> T) -> Option<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_mut(stream).map(action)
    }
}

impl Marks {
    fn note(&mut self, from: u64, unix_ms: u64) {
        // Said again after a lost connection; or out of order, which a sound server does not.
        if self.0.back().is_some_and(|(last, _)| *last >= from) || self.0.len() >= KEPT {
            return;
        }
        self.0.push_back((from, unix_ms));
    }

    fn at(&mut self, offset: u64) -> (Option<u64>, Option<u64>) {
        while self.0.get(1).is_some_and(|(from, _)| *from <= offset) {
            self.0.pop_front();
        }
        match (self.0.front().copied(), self.0.get(1)) {
            (Some((from, _)), _) if from > offset => (None, Some(from)),
            (Some((_, unix_ms)), next) => (Some(unix_ms), next.map(|(from, _)| *from)),
            (None, _) => (None, None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_true_until_the_next() {
        let mut marks = Marks::default();
        assert_eq!(marks.at(0), (None, None));
        marks.note(10, 1000);
        marks.note(20, 2000);
        assert_eq!(marks.at(0), (None, Some(10)));
        assert_eq!(marks.at(10), (Some(1000), Some(20)));
        assert_eq!(marks.at(19), (Some(1000), Some(20)));
        assert_eq!(marks.at(20), (Some(2000), None));
        marks.note(15, 1500);
        assert_eq!(marks.at(u64::MAX), (Some(2000), None));
    }

    #[test]
    fn what_is_said_twice_or_too_often_is_not_kept() {
        let mut marks = Marks::default();
        for from in 0..KEPT as u64 + 10 {
            marks.note(from, from);
            marks.note(from, 7);
        }
        assert_eq!(marks.0.len(), KEPT);
        assert_eq!(marks.at(5), (Some(5), Some(6)));
    }
}
