//! Where a connection's bytes go.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Buf;
use tokio::io::AsyncWrite;

use super::Gather;

/// Pieces of a batch in one system call, which Linux would take 1,024 of.
const SLICES: usize = 64;

/// A byte stream that may hold on to what it has taken, so that it is seen when that moves on.
pub trait Sink {
    /// Takes some of `batch`, or sends on some of what was taken; ready when either is done.
    ///
    /// # Errors
    /// The system's.
    fn poll_send(&mut self, context: &mut Context<'_>, batch: &mut Gather) -> Poll<io::Result<()>>;

    /// Whether everything that was taken is in the system's hands.
    fn is_flushed(&self) -> bool;

    /// Ends the stream in good order.
    ///
    /// # Errors
    /// The system's.
    fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>>;
}

impl<W: AsyncWrite + Unpin> Sink for W {
    fn poll_send(&mut self, context: &mut Context<'_>, batch: &mut Gather) -> Poll<io::Result<()>> {
        if !batch.has_remaining() {
            return Poll::Ready(Ok(()));
        }
        let mut slices = [IoSlice::new(&[]); SLICES];
        let count = batch.chunks_vectored(&mut slices);
        let slices = slices.get(..count).unwrap_or_default();
        let written = ready!(Pin::new(self).poll_write_vectored(context, slices))?;
        if written == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        batch.advance(written);
        Poll::Ready(Ok(()))
    }

    fn is_flushed(&self) -> bool {
        true
    }

    fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self).poll_shutdown(context)
    }
}
