//! The receiver's rules of one stream. No I/O.

use super::StreamError;
use crate::limits;
use crate::packet::Ack;

/// What the receiver of a stream knows.
///
/// ```text
///            receive            finish(total)
///   Open ──────────────► Open ───────────────► Ended
///     │ stop                                     ▲
///     ▼                  finish(total)           │
///   Stopped ─────────────────────────────────────┘
/// ```
///
/// Throughout, `consumed <= delivered <= received <= limit`, and none of them goes back.
#[derive(Debug)]
pub struct ReceiveState {
    phase: Phase,
    received: u64,
    delivered: u64,
    consumed: u64,
    limit: u64,
    acknowledged: Ack,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    Stopped,
    Ended,
}

impl Default for ReceiveState {
    fn default() -> Self {
        let limit = limits::INITIAL_WINDOW;
        Self {
            phase: Phase::Open,
            received: 0,
            delivered: 0,
            consumed: 0,
            limit,
            acknowledged: Ack { limit, ..Ack::default() },
        }
    }
}

impl ReceiveState {
    /// Takes `len` bytes at `offset`; returns how many of their first are repeated and must be dropped.
    ///
    /// # Errors
    /// [`StreamError`] for a gap, for bytes beyond the limit or behind the end.
    pub fn receive(&mut self, offset: u64, len: usize) -> Result<usize, StreamError> {
        if offset > self.received {
            return Err(StreamError::Gap { offset, received: self.received });
        }
        let end = offset.saturating_add(len as u64);
        if end > self.limit {
            return Err(StreamError::BeyondLimit { end, limit: self.limit });
        }
        if end > self.received && self.phase == Phase::Ended {
            return Err(StreamError::AfterEnd);
        }
        let repeated = (self.received - offset).min(len as u64);
        self.received = self.received.max(end);
        if self.phase == Phase::Stopped {
            self.delivered = self.received;
            return Ok(len);
        }
        Ok(repeated as usize)
    }

    /// Takes the end of the stream.
    ///
    /// # Errors
    /// [`StreamError::WrongTotal`] if `total` is not what has been received.
    pub fn finish(&mut self, total: u64) -> Result<(), StreamError> {
        if total != self.received {
            return Err(StreamError::WrongTotal { total, received: self.received });
        }
        self.phase = Phase::Ended;
        Ok(())
    }

    /// The receiver wants no more; what still comes is counted and dropped. Whether the sender must be told.
    pub fn stop(&mut self) -> bool {
        let tell = self.phase == Phase::Open;
        if tell {
            self.phase = Phase::Stopped;
        }
        tell
    }

    /// `len` more bytes were handed on, and up to `window` more than that may come.
    pub fn deliver(&mut self, len: usize, window: u64) {
        self.delivered = self.delivered.saturating_add(len as u64).min(self.received);
        self.limit = self.limit.max(self.delivered.saturating_add(window));
    }

    /// The final reader has got as far as `offset`.
    pub fn consume(&mut self, offset: u64) {
        self.consumed = self.consumed.max(offset.min(self.delivered));
    }

    /// The acknowledgement to send now, if it is worth a frame: the first byte was consumed, the limit has moved far
    /// enough, or the sender runs short of it.
    pub fn due_ack(&mut self) -> Option<Ack> {
        let moved = self.limit - self.acknowledged.limit;
        let left_to_sender = self.acknowledged.limit.saturating_sub(self.received);
        let first_use = self.consumed > 0 && self.acknowledged.consumed == 0;
        let far = moved >= limits::STREAM_WINDOW / 4;
        let short = moved >= limits::INITIAL_WINDOW / 2 && left_to_sender <= limits::STREAM_WINDOW / 2;
        if self.phase == Phase::Ended || !(first_use || far || short) {
            return None;
        }
        self.acknowledged = Ack { received: self.received, limit: self.limit, consumed: self.consumed };
        Some(self.acknowledged)
    }

    /// Bytes received so far, repeated ones not counted.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Whether the end has come.
    pub fn is_ended(&self) -> bool {
        self.phase == Phase::Ended
    }

    /// Whether [`ReceiveState::stop`] was called before the end came.
    pub fn is_stopped(&self) -> bool {
        self.phase == Phase::Stopped
    }
}
