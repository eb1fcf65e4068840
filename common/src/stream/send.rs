//! The sender's rules of one stream. No I/O.

use super::StreamError;
use crate::limits;
use crate::packet::Ack;

/// What the sender of a stream knows.
///
/// ```text
///            send              finish           stop
///   Open ───────────► Open ───────────► Ended ──────────► Closed
///     │ stop           ▲                  │ ▲
///     ▼                └───── resume ─────┘ │
///   Stopped ────────────── finish ──────────┘
/// ```
///
/// Throughout, `acked.consumed <= acked.received <= sent <= limit`. Between `acked.received` and `sent` lie the bytes that a
/// sender which can reconnect has to keep: [`SendState::resume`] goes back to them, and to the end if it was sent.
#[derive(Debug)]
pub struct SendState {
    phase: Phase,
    sent: u64,
    /// What the receiver has said last.
    acked: Ack,
    /// Its limit behind what was left out: it follows from that, before the receiver says so itself.
    skipped_to: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    Stopped,
    Ended,
    Closed,
}

impl Default for SendState {
    fn default() -> Self {
        let acked = Ack { limit: limits::INITIAL_WINDOW, ..Ack::default() };
        Self { phase: Phase::Open, sent: 0, acked, skipped_to: 0 }
    }
}

impl SendState {
    /// A stream that begins at `offset` for this receiver, who takes `window` bytes from there.
    pub fn starting_at(offset: u64, window: u64) -> Self {
        let acked = Ack { received: offset, limit: offset.saturating_add(window), consumed: 0 };
        Self { phase: Phase::Open, sent: offset, acked, skipped_to: 0 }
    }

    /// Begins where the receiver has got to with what another sender has sent. Only before anything is sent.
    pub fn begin(&mut self, ack: Ack) {
        *self = Self { phase: self.phase, sent: ack.received, acked: ack, skipped_to: 0 };
    }

    /// Goes on in the place of another sender on the same connection: to that one the receiver has said `acked` until now, and what
    /// it says next, or has under way, continues it. Only before anything is sent.
    pub fn succeed(&mut self, acked: Ack) {
        let received = acked.received.min(self.sent);
        let consumed = acked.consumed.min(received);
        self.acked = Ack { received, limit: self.acked.limit.max(acked.limit), consumed };
    }

    /// Goes on from where the receiver has got to, on another connection.
    ///
    /// # Errors
    /// [`StreamError::ImpossibleAck`] if it cannot have got there.
    pub fn resume(&mut self, ack: Ack) -> Result<(), StreamError> {
        let sound = ack.received >= self.acked.received
            && ack.received <= self.sent
            && ack.received <= ack.limit
            && ack.consumed >= self.acked.consumed
            && ack.consumed <= ack.received;
        if !sound {
            return Err(StreamError::ImpossibleAck);
        }
        self.acked = ack;
        self.skipped_to = 0;
        self.sent = ack.received;
        if self.phase == Phase::Ended {
            self.phase = Phase::Open;
        }
        Ok(())
    }

    /// Leaves out everything up to `offset`, and with it as much of the receiver's limit as is known of. The receiver acknowledges it.
    pub fn skip(&mut self, offset: u64) {
        let skipped = offset.saturating_sub(self.sent);
        self.skipped_to = self.limit().saturating_add(skipped);
        self.sent += skipped;
    }

    /// How many bytes may be sent now.
    pub fn credit(&self) -> u64 {
        match self.phase {
            Phase::Open => self.limit().saturating_sub(self.sent),
            Phase::Stopped | Phase::Ended | Phase::Closed => 0,
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
        if matches!(self.phase, Phase::Ended | Phase::Closed) {
            return None;
        }
        self.phase = Phase::Ended;
        Some(self.sent)
    }

    /// The receiver wants no more.
    pub fn stop(&mut self) {
        self.phase = match self.phase {
            Phase::Open | Phase::Stopped => Phase::Stopped,
            Phase::Ended | Phase::Closed => Phase::Closed,
        };
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

    /// The receiver takes nothing beyond.
    pub fn limit(&self) -> u64 {
        self.acked.limit.max(self.skipped_to)
    }

    /// All below has arrived, as far as we know.
    pub fn received(&self) -> u64 {
        self.acked.received
    }

    /// How far the final reader got, as far as we know.
    pub fn consumed(&self) -> u64 {
        self.acked.consumed
    }

    /// Whether the end was sent.
    pub fn is_ended(&self) -> bool {
        matches!(self.phase, Phase::Ended | Phase::Closed)
    }

    /// Whether the receiver wants no more.
    pub fn is_stopped(&self) -> bool {
        matches!(self.phase, Phase::Stopped | Phase::Closed)
    }
}
