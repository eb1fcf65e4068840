//! The receiver's rules of one stream. No I/O.

use serde::{Deserialize, Serialize};

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
    /// Whether the receiver wanted no more before the end came.
    stopped: bool,
    received: u64,
    delivered: u64,
    consumed: u64,
    limit: u64,
    acknowledged: Ack,
    /// Whether the sender has left something out since then: it learns from the next acknowledgement how far the limit has moved.
    skipped: bool,
}

/// Whether more may come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Phase {
    Open,
    Stopped,
    Ended,
}

/// How far a receiver has come, for another program that goes on in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiveProgress {
    phase: Phase,
    stopped: bool,
    received: u64,
    delivered: u64,
    consumed: u64,
    limit: u64,
}

impl ReceiveProgress {
    /// Bytes received and not handed on: those that have to go along.
    pub fn undelivered(&self) -> u64 {
        self.received.saturating_sub(self.delivered)
    }

    /// The same, with nothing that would have to go along.
    #[must_use]
    pub fn without_rest(self) -> Self {
        Self { delivered: self.received, ..self }
    }

    /// Whether more was granted than every stream may have.
    pub fn has_extra(&self) -> bool {
        self.limit.saturating_sub(self.delivered) > limits::INITIAL_WINDOW
    }

    /// The offset of the first of them.
    pub fn delivered(&self) -> u64 {
        self.delivered
    }
}

impl Default for ReceiveState {
    fn default() -> Self {
        let limit = limits::INITIAL_WINDOW;
        Self {
            phase: Phase::Open,
            stopped: false,
            received: 0,
            delivered: 0,
            consumed: 0,
            limit,
            acknowledged: Ack { limit, ..Ack::default() },
            skipped: false,
        }
    }
}

impl ReceiveState {
    /// A stream that begins at `offset` for this receiver, with the initial window.
    pub fn starting_at(offset: u64) -> Self {
        let limit = offset.saturating_add(limits::INITIAL_WINDOW);
        Self {
            received: offset,
            delivered: offset,
            limit,
            acknowledged: Ack { received: offset, limit, consumed: 0 },
            ..Self::default()
        }
    }

    /// How far it has come.
    pub fn progress(&self) -> ReceiveProgress {
        let Self { phase, stopped, received, delivered, consumed, limit, .. } = *self;
        ReceiveProgress { phase, stopped, received, delivered, consumed, limit }
    }

    /// Goes on from there; `None` if that is nowhere.
    pub fn going_on(progress: ReceiveProgress) -> Option<Self> {
        let ReceiveProgress { phase, stopped, received, delivered, consumed, limit } = progress;
        let acknowledged = Ack { received, limit, consumed };
        let in_order = consumed <= delivered && delivered <= received && received <= limit;
        let skipped = false;
        in_order.then_some(Self {
            phase,
            stopped,
            received,
            delivered,
            consumed,
            limit,
            acknowledged,
            skipped,
        })
    }

    /// Where a sender has to go on that reaches this receiver by another connection; it counts as told.
    pub fn resume(&mut self) -> Ack {
        self.acknowledge()
    }

    /// The sender goes on at `offset`, and what lies between will never come. Without effect for what has arrived.
    ///
    /// # Errors
    /// [`StreamError::AfterEnd`] behind the end.
    pub fn skip(&mut self, offset: u64) -> Result<(), StreamError> {
        if self.phase == Phase::Ended && offset > self.received {
            return Err(StreamError::AfterEnd);
        }
        let skipped = offset.saturating_sub(self.received);
        self.received += skipped;
        self.delivered += skipped;
        self.limit = self.limit.saturating_add(skipped);
        self.skipped |= skipped > 0;
        Ok(())
    }

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
            self.stopped = true;
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

    /// The acknowledgement to send now, if it is worth a frame: the first byte was consumed, something was left out, the limit has
    /// moved far enough, or the sender runs short of it.
    pub fn due_ack(&mut self) -> Option<Ack> {
        let moved = self.limit - self.acknowledged.limit;
        let left_to_sender = self.acknowledged.limit.saturating_sub(self.received);
        let first_use = self.consumed > 0 && self.acknowledged.consumed == 0;
        let far = moved >= limits::STREAM_WINDOW / 4;
        let short = moved >= limits::INITIAL_WINDOW / 2 && left_to_sender <= limits::STREAM_WINDOW / 2;
        // A sender with no memory for more than the first window has nothing left to send now, and waits to hear that it arrived.
        let all_taken = moved >= limits::INITIAL_WINDOW && self.delivered == self.received;
        if self.phase == Phase::Ended || !(first_use || far || short || all_taken || self.skipped) {
            return None;
        }
        Some(self.acknowledge())
    }

    fn acknowledge(&mut self) -> Ack {
        self.acknowledged = Ack { received: self.received, limit: self.limit, consumed: self.consumed };
        self.skipped = false;
        self.acknowledged
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
        self.stopped
    }
}
