//! The sending end of a stream as tasks share it: one sends, another takes what the peer says.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::StreamError;
use super::send::SendState;
use crate::packet::Ack;

/// A stream that this side sends. Clones are the same stream; one task sends.
#[derive(Debug, Clone, Default)]
pub struct Outbound(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<SendState>,
    changed: Notify,
}

/// The receiver wants no more of the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stopped;

impl Outbound {
    /// A stream that begins at `offset` for this receiver, who takes `window` bytes from there.
    pub fn starting_at(offset: u64, window: u64) -> Self {
        let state = Mutex::new(SendState::starting_at(offset, window));
        Self(Arc::new(Shared { state, changed: Notify::new() }))
    }

    /// Begins where the receiver has got to with what another sender has sent. Only before anything is sent.
    pub fn begin(&self, ack: Ack) {
        self.lock().begin(ack);
        self.0.changed.notify_waiters();
    }

    /// Goes on in the place of another sender on the same connection, to which the receiver has said `acked` until now. Only before
    /// anything is sent.
    pub fn succeed(&self, acked: Ack) {
        self.lock().succeed(acked);
        self.0.changed.notify_waiters();
    }

    /// Goes on from where the receiver has got to, on another connection.
    ///
    /// # Errors
    /// [`StreamError`] if it cannot have got there.
    pub fn resume(&self, ack: Ack) -> Result<(), StreamError> {
        self.lock().resume(ack)?;
        self.0.changed.notify_waiters();
        Ok(())
    }

    /// Leaves out everything up to `offset`.
    pub fn skip(&self, offset: u64) {
        self.lock().skip(offset);
    }

    /// Waits until bytes may be sent; how many.
    ///
    /// # Errors
    /// [`Stopped`] once the receiver wants no more.
    pub async fn credit(&self) -> Result<u64, Stopped> {
        self.wait_for(|state| match (state.is_stopped(), state.credit()) {
            (true, _) => Some(Err(Stopped)),
            (false, 0) => None,
            (false, credit) => Some(Ok(credit)),
        })
        .await
    }

    /// Waits until a sender that has `end` bytes until now may have more: up to the receiver's limit, and no more than `window`
    /// beyond what the receiver has. How many.
    ///
    /// # Errors
    /// [`Stopped`] once the receiver wants no more.
    pub async fn room_beyond(&self, end: u64, window: u64) -> Result<u64, Stopped> {
        self.wait_for(|state| {
            if state.is_stopped() {
                return Some(Err(Stopped));
            }
            let most = state.limit().min(state.received().saturating_add(window));
            Some(most.saturating_sub(end)).filter(|room| *room > 0).map(Ok)
        })
        .await
    }

    /// Whether nothing may be sent for now, because the receiver has not taken what was sent.
    pub fn is_blocked(&self) -> bool {
        let state = self.lock();
        state.credit() == 0 && !state.is_stopped()
    }

    /// Waits until the receiver wants no more.
    pub async fn stopped(&self) -> Stopped {
        self.wait_for(|state| state.is_stopped().then_some(Stopped)).await
    }

    /// Waits until the final reader is known to have got beyond `offset`; how far it got.
    pub async fn consumed_beyond(&self, offset: u64) -> u64 {
        self.wait_for(|state| Some(state.consumed()).filter(|consumed| *consumed > offset)).await
    }

    /// Records that `len` bytes are sent; the offset of the first, or `None` if that is more than the credit.
    pub fn send(&self, len: usize) -> Option<u64> {
        self.lock().send(len)
    }

    /// Ends the stream; its total, or `None` if it had ended.
    pub fn finish(&self) -> Option<u64> {
        self.lock().finish()
    }

    /// All below has arrived, as far as we know.
    pub fn received(&self) -> u64 {
        self.lock().received()
    }

    /// Whether the end was sent.
    pub fn is_ended(&self) -> bool {
        self.lock().is_ended()
    }

    /// Bytes sent so far.
    pub fn sent(&self) -> u64 {
        self.lock().sent()
    }

    /// Takes the peer's acknowledgement.
    ///
    /// # Errors
    /// [`StreamError`] if it is impossible.
    pub fn acknowledge(&self, ack: Ack) -> Result<(), StreamError> {
        self.lock().acknowledge(ack)?;
        self.0.changed.notify_waiters();
        Ok(())
    }

    /// Takes the peer's word that it wants no more.
    pub fn stop(&self) {
        self.lock().stop();
        self.0.changed.notify_waiters();
    }

    async fn wait_for<T>(&self, mut ready: impl FnMut(&SendState) -> Option<T>) -> T {
        loop {
            // Registered before the look, so that a change between look and wait is not missed.
            let changed = self.0.changed.notified();
            if let Some(value) = ready(&self.lock()) {
                return value;
            }
            changed.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, SendState> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
