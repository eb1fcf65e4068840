//! The receiving end of a stream as tasks share it: the connection's reader puts in, a consumer takes out.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Buf, Bytes, BytesMut};
use tokio::sync::Notify;

use super::StreamError;
use super::budget::Budget;
use super::receive::{ReceiveProgress, ReceiveState};
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
    /// Each with the offset of its first byte.
    chunks: VecDeque<(u64, Bytes)>,
    /// Small chunks on their way to becoming a large one; behind `chunks`.
    gathered: BytesMut,
    /// The offset of its first byte.
    gathered_at: u64,
    /// Whether [`EXTRA_WINDOW`] was taken from the budget.
    extra: bool,
    /// The connection is gone; nothing more will come.
    abandoned: bool,
    /// Nothing more is wanted, whether or not it has come to the end.
    unwanted: bool,
}

impl Inbound {
    /// A stream at offset 0 that borrows its window from `budget`.
    pub fn new(budget: Budget) -> Self {
        Self(Arc::new(Shared { queue: Mutex::default(), changed: Notify::new(), budget }))
    }

    /// A stream that begins at `offset`.
    pub fn starting_at(offset: u64, budget: Budget) -> Self {
        let queue = Queue { state: ReceiveState::starting_at(offset), ..Queue::default() };
        Self(Arc::new(Shared { queue: Mutex::new(queue), changed: Notify::new(), budget }))
    }

    /// How far it has come, and what is queued, for another program that goes on in its place. Changes nothing; what was taken
    /// and not [delivered](Inbound::delivered) is not among what is queued.
    pub fn progress(&self) -> (ReceiveProgress, Vec<Bytes>) {
        let queue = self.lock();
        let gathered = (!queue.gathered.is_empty()).then(|| Bytes::copy_from_slice(&queue.gathered));
        let chunks = queue.chunks.iter().map(|(_, bytes)| bytes.clone()).chain(gathered).collect();
        let progress = queue.state.progress();
        (if queue.unwanted { progress.without_rest() } else { progress }, chunks)
    }

    /// Goes on from there with all that was not delivered; `None` if that does not fit.
    pub fn going_on(progress: ReceiveProgress, undelivered: Vec<Bytes>, budget: Budget) -> Option<Self> {
        let state = ReceiveState::going_on(progress)?;
        let mut queue = Queue { state, ..Queue::default() };
        let mut offset = progress.delivered();
        for bytes in undelivered {
            let next = offset + bytes.len() as u64;
            queue.push(offset, bytes);
            offset = next;
        }
        if offset - progress.delivered() != progress.undelivered() {
            return None;
        }
        // Where there is none left, the window is the smaller one once what was granted is used up.
        queue.extra = progress.has_extra() && budget.take(EXTRA_WINDOW);
        Some(Self(Arc::new(Shared { queue: Mutex::new(queue), changed: Notify::new(), budget })))
    }

    /// Where a sender has to go on that reaches this side by another connection; it counts as told.
    pub fn resume(&self) -> Ack {
        self.lock().state.resume()
    }

    /// The sender goes on at `offset`: what lies between is lost.
    ///
    /// # Errors
    /// [`StreamError`] behind the end.
    pub fn skip(&self, offset: u64) -> Result<(), StreamError> {
        let mut queue = self.lock();
        queue.close_gathered();
        queue.state.skip(offset)
    }

    /// Takes `bytes` at `offset` from the connection.
    ///
    /// # Errors
    /// [`StreamError`] if the peer broke the stream's rules.
    pub fn receive(&self, offset: u64, mut bytes: Bytes) -> Result<(), StreamError> {
        let mut queue = self.lock();
        let repeated = queue.state.receive(offset, bytes.len())?;
        bytes.advance(repeated);
        queue.push(offset + repeated as u64, bytes);
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
        self.next_at().await.map(|(_, bytes)| bytes)
    }

    /// As [`Inbound::next`], with the offset of the first byte.
    pub async fn next_at(&self) -> Option<(u64, Bytes)> {
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
        queue.unwanted = true;
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
    fn push(&mut self, offset: u64, bytes: Bytes) {
        if bytes.is_empty() {
            return;
        }
        let gather = bytes.len() < limits::GATHER_BELOW;
        if !gather || self.gathered.len() + bytes.len() > limits::DATA_PAYLOAD {
            self.close_gathered();
        }
        if gather && !(self.chunks.is_empty() && self.gathered.is_empty()) {
            if self.gathered.is_empty() {
                self.gathered_at = offset;
            }
            self.gathered.extend_from_slice(&bytes);
        } else {
            self.chunks.push_back((offset, bytes));
        }
    }

    fn close_gathered(&mut self) {
        let gathered = self.gathered.split().freeze();
        if !gathered.is_empty() {
            self.chunks.push_back((self.gathered_at, gathered));
        }
    }

    fn pop(&mut self) -> Option<(u64, Bytes)> {
        self.chunks.pop_front().or_else(|| {
            let gathered = std::mem::take(&mut self.gathered);
            (!gathered.is_empty()).then(|| (self.gathered_at, gathered.freeze()))
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
