//! The receiving end of a stream as tasks share it: the connection's reader puts in, a consumer takes out.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Buf, Bytes, BytesMut};
use tokio::sync::Notify;

use super::StreamError;
use super::budget::Budget;
use super::receive::ReceiveState;
use crate::limits;
use crate::packet::Ack;

/// What a stream may borrow beyond its initial window.
const EXTRA_WINDOW: u64 = limits::STREAM_WINDOW - limits::INITIAL_WINDOW;

/// A stream that this side receives. Clones are the same stream; one task takes out.
///
/// The queue never holds more than the window, and putting in never waits, so a consumer that does not take delays
/// no other stream.
#[derive(Debug, Clone)]
pub struct Inbound(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    queue: Mutex<Queue>,
    changed: Notify,
    budget: Budget,
}

#[derive(Debug, Default)]
struct Queue {
    state: ReceiveState,
    chunks: VecDeque<Bytes>,
    /// Small chunks on their way to becoming a large one; behind `chunks`.
    gathered: BytesMut,
    /// Whether [`EXTRA_WINDOW`] was taken from the budget.
    extra: bool,
    /// The connection is gone; nothing more will come.
    abandoned: bool,
}

impl Inbound {
    /// A stream at offset 0 that borrows its window from `budget`.
    pub fn new(budget: Budget) -> Self {
        Self(Arc::new(Shared { queue: Mutex::default(), changed: Notify::new(), budget }))
    }

    /// Takes `bytes` at `offset` from the connection.
    ///
    /// # Errors
    /// [`StreamError`] if the peer broke the stream's rules.
    pub fn receive(&self, offset: u64, mut bytes: Bytes) -> Result<(), StreamError> {
        let mut queue = self.lock();
        let repeated = queue.state.receive(offset, bytes.len())?;
        bytes.advance(repeated);
        queue.push(bytes);
        drop(queue);
        self.0.changed.notify_one();
        Ok(())
    }

    /// Takes the stream's end from the connection.
    ///
    /// # Errors
    /// [`StreamError`] if the total is not what was received.
    pub fn finish(&self, total: u64) -> Result<(), StreamError> {
        self.lock().state.finish(total)?;
        self.0.changed.notify_one();
        Ok(())
    }

    /// The connection is gone: what is queued can still be taken, then comes the end.
    pub fn abandon(&self) {
        self.lock().abandoned = true;
        self.0.changed.notify_one();
    }

    /// The next bytes, in order; `None` at the end. Safe to drop while it waits.
    ///
    /// What is taken must be answered by [`Inbound::delivered`], or the window never opens again.
    pub async fn next(&self) -> Option<Bytes> {
        loop {
            {
                let mut queue = self.lock();
                if let Some(chunk) = queue.pop() {
                    return Some(chunk);
                }
                if queue.state.is_ended() || queue.state.is_stopped() || queue.abandoned {
                    return None;
                }
            }
            self.0.changed.notified().await;
        }
    }

    /// Records that `len` bytes taken were handed on. The acknowledgement to send, if one is due.
    pub fn delivered(&self, len: usize) -> Option<Ack> {
        let mut queue = self.lock();
        if !(queue.extra || queue.state.is_ended() || queue.state.is_stopped()) {
            queue.extra = self.0.budget.take(EXTRA_WINDOW);
        }
        let window = if queue.extra { limits::STREAM_WINDOW } else { limits::INITIAL_WINDOW };
        queue.state.deliver(len, window);
        queue.state.due_ack()
    }

    /// Records that the final reader has got as far as `offset`. The acknowledgement to send, if one is due.
    pub fn consumed(&self, offset: u64) -> Option<Ack> {
        let mut queue = self.lock();
        queue.state.consume(offset);
        queue.state.due_ack()
    }

    /// Wants no more; what is queued is dropped. Whether the peer must be told.
    pub fn stop(&self) -> bool {
        let mut queue = self.lock();
        queue.chunks.clear();
        queue.gathered = BytesMut::new();
        if std::mem::take(&mut queue.extra) {
            self.0.budget.give_back(EXTRA_WINDOW);
        }
        let tell = queue.state.stop();
        drop(queue);
        self.0.changed.notify_one();
        tell
    }

    /// Bytes received so far.
    pub fn received(&self) -> u64 {
        self.lock().state.received()
    }

    /// Whether the end has come from the peer.
    pub fn is_ended(&self) -> bool {
        self.lock().state.is_ended()
    }

    /// Whether [`Inbound::stop`] came before the end.
    pub fn is_stopped(&self) -> bool {
        self.lock().state.is_stopped()
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.0.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    /// Large chunks are queued as they are; small ones are copied together, so that many of them neither keep
    /// their read buffers alive nor cost more than they carry.
    fn push(&mut self, bytes: Bytes) {
        if bytes.is_empty() {
            return;
        }
        let gather = bytes.len() < limits::GATHER_BELOW;
        if !gather || self.gathered.len() + bytes.len() > limits::DATA_PAYLOAD {
            let gathered = self.gathered.split().freeze();
            if !gathered.is_empty() {
                self.chunks.push_back(gathered);
            }
        }
        if gather && !(self.chunks.is_empty() && self.gathered.is_empty()) {
            self.gathered.extend_from_slice(&bytes);
        } else {
            self.chunks.push_back(bytes);
        }
    }

    fn pop(&mut self) -> Option<Bytes> {
        self.chunks.pop_front().or_else(|| {
            let gathered = std::mem::take(&mut self.gathered);
            (!gathered.is_empty()).then(|| gathered.freeze())
        })
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let queue = self.queue.get_mut().unwrap_or_else(PoisonError::into_inner);
        if queue.extra {
            self.budget.give_back(EXTRA_WINDOW);
        }
    }
}
