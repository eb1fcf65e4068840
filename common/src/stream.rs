//! A stream: bytes with absolute offsets, an acknowledgement, a window.
//!
//! [`SendState`] and [`ReceiveState`] are the rules, without I/O. [`Outbound`] and [`Inbound`] let tasks wait on
//! them. [`Retained`] is what a sender keeps for the case that it has to send it again. [`Budget`] bounds what all
//! streams together may hold.

mod budget;
mod inbound;
mod outbound;
mod receive;
mod retained;
mod send;

pub use budget::Budget;
pub use inbound::Inbound;
pub use outbound::{Outbound, Stopped};
pub use receive::{ReceiveProgress, ReceiveState};
pub use retained::Retained;
pub use send::SendState;
use thiserror::Error;

/// A peer that breaks the rules of a stream. Always the peer's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum StreamError {
    /// DATA begins behind what has been received.
    #[error("a gap: bytes at {offset} after {received} were received")]
    Gap {
        /// Where it begins.
        offset: u64,
        /// What has been received.
        received: u64,
    },
    /// DATA goes beyond the limit.
    #[error("bytes up to {end} with a limit of {limit}")]
    BeyondLimit {
        /// Where it ends.
        end: u64,
        /// The limit.
        limit: u64,
    },
    /// The total disagrees with what was received or said before.
    #[error("a total of {total} after {received} bytes were received")]
    WrongTotal {
        /// The total.
        total: u64,
        /// What has been received.
        received: u64,
    },
    /// DATA behind the end.
    #[error("bytes after the end of the stream")]
    AfterEnd,
    /// An acknowledgement that goes back, or ahead of what was sent, or contradicts itself.
    #[error("an impossible acknowledgement")]
    ImpossibleAck,
}
