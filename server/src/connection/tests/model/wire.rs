//! What is under way between two ends: bytes that one has written and the other has not read, in the hand of the test.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::BytesMut;
use common::connection::PacketWriter;
use common::frame;
use common::message::Message;
use common::packet::Packet;
use tokio::io::AsyncWrite;
use tokio::task::JoinHandle;

/// Nobody is stopped from writing for that long.
const STALL: Duration = Duration::from_secs(365 * 24 * 3600);

/// One direction of a connection.
#[derive(Debug, Clone, Default)]
pub(super) struct Wire(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    bytes: BytesMut,
    /// What is written from now on goes nowhere.
    cut: bool,
}

/// The task that writes to a wire, for as long as this is there.
#[derive(Debug)]
pub(super) struct Writing(JoinHandle<()>);

impl Wire {
    /// Writes what `queue` has to a new wire.
    pub(super) fn from<M: Message>(queue: PacketWriter<M>) -> (Self, Writing) {
        let wire = Self::default();
        let sink = wire.clone();
        let writing = tokio::spawn(async move {
            queue.run(sink, STALL).await.ok();
        });
        (wire, Writing(writing))
    }

    /// The next packet that arrives.
    pub(super) fn next<M: Message>(&self) -> Option<Packet<M>> {
        let frame = frame::decode(&mut self.lock().bytes).unwrap()?;
        Some(Packet::from_frame(frame).unwrap())
    }

    /// What has not arrived will not.
    pub(super) fn cut(&self) {
        let mut state = self.lock();
        state.bytes.clear();
        state.cut = true;
    }

    /// What is written from now on will not arrive; what is under way still may.
    pub(super) fn end(&self) {
        self.lock().cut = true;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut state = self.lock();
        if !state.cut {
            state.bytes.extend_from_slice(bytes);
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        self.0.abort();
    }
}
