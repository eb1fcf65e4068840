//! The sender's rules of one stream. No I/O.

use super::StreamError;
use crate::limits;
use crate::packet::Ack;

/// What the sender of a stream knows.
///
/// ```text
///            send              finish
///   Open ───────────► Open ───────────► Ended
///     │ stop                              ▲
///     ▼            finish                 │
///   Stopped ──────────────────────────────┘
/// ```
///
/// Throughout, `acked.consumed <= acked.received <= sent <= acked.limit`. Between `acked.received` and `sent` lie
/// the bytes that a sender which can reconnect has to keep.
#[derive(Debug)]
pub struct SendState {
    phase: Phase,
    sent: u64,
    acked: Ack,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    Stopped,
    Ended,
}

impl Default for SendState {
    fn default() -> Self {
        let acked = Ack { limit: limits::INITIAL_WINDOW, ..Ack::default() };
        Self { phase: Phase::Open, sent: 0, acked }
    }
}

impl SendState {
    /// How many bytes may be sent now.
    pub fn credit(&self) -> u64 {
        match self.phase {
            Phase::Open => self.acked.limit - self.sent,
            Phase::Stopped | Phase::Ended => 0,
        }
    }

    /// Records that `len` bytes are sent, at most [`SendState::credit`]; returns the offset of the first.
    /// `None` if that many may not be sent.
    pub fn send(&mut self, len: usize) -> Option<u64> {
        let offset = self.sent;
        if len as u64 > self.credit() {
            return None;
        }
        self.sent += len as u64;
        Some(offset)
    }

    /// Ends the stream; returns its total. `None` if it had ended.
    pub fn finish(&mut self) -> Option<u64> {
        if self.phase == Phase::Ended {
            return None;
        }
        self.phase = Phase::Ended;
        Some(self.sent)
    }

    /// The receiver wants no more.
    pub fn stop(&mut self) {
        if self.phase == Phase::Open {
            self.phase = Phase::Stopped;
        }
    }

    /// Takes the receiver's acknowledgement.
    ///
    /// # Errors
    /// [`StreamError::ImpossibleAck`] if it goes back, is ahead of what was sent, or contradicts itself.
    pub fn acknowledge(&mut self, ack: Ack) -> Result<(), StreamError> {
        let forward = ack.received >= self.acked.received
            && ack.limit >= self.acked.limit
            && ack.consumed >= self.acked.consumed;
        let sound = ack.received <= self.sent && ack.received <= ack.limit && ack.consumed <= ack.received;
        if !(forward && sound) {
            return Err(StreamError::ImpossibleAck);
        }
        self.acked = ack;
        Ok(())
    }

    /// Bytes sent so far.
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// How far the final reader got, as far as we know.
    pub fn consumed(&self) -> u64 {
        self.acked.consumed
    }

    /// Whether the receiver wants no more.
    pub fn is_stopped(&self) -> bool {
        self.phase == Phase::Stopped
    }
}
