//! A connection: packets over any byte stream, one task reading and one writing.
//!
//! Knows nothing of TLS, which is one such stream, and holds no truth about jobs: losing a connection loses time only.

mod gather;
mod liveness;
mod reader;
mod sink;
mod writer;

use std::io;
use std::time::Duration;

use thiserror::Error;

pub use gather::Gather;
pub use liveness::{Liveness, Sign};
pub use reader::PacketReader;
pub use sink::Sink;
pub use writer::{Closed, PacketSender, PacketWriter, packet_bytes, packet_queue};

use crate::greeting::CloseCode;
use crate::message::MessageError;
use crate::packet::PacketError;
use crate::stream::StreamError;

/// Why a connection ended otherwise than in good order.
#[derive(Debug, Error)]
pub enum ConnectionError {
    /// The peer sent what cannot be read.
    #[error(transparent)]
    Packet(#[from] PacketError),
    /// The peer broke the rules of a stream.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// The peer broke another rule of the protocol; the text says which.
    #[error("{0}")]
    Violation(&'static str),
    /// The byte stream ended inside a frame.
    #[error("the connection ended inside a frame")]
    Truncated,
    /// Nothing came from the peer for [`crate::limits::LOST_AFTER`], although it was asked for a sign of life.
    #[error("the peer has fallen silent")]
    Silent,
    /// The peer took nothing of what we wrote for [`crate::limits::WRITE_STALL`].
    #[error("the peer has stopped reading")]
    Stalled,
    /// The peer said nothing for as long as it was allowed to.
    #[error("no greeting within {within:?}")]
    GreetingTimeout {
        /// For how long.
        within: Duration,
    },
    /// The peer closed, with a reason.
    #[error("closed by the peer: {text}")]
    ClosedByPeer {
        /// Its code.
        code: CloseCode,
        /// Its text, not to be printed unescaped.
        text: String,
    },
    /// A message of ours is over its limit.
    #[error(transparent)]
    Unsendable(MessageError),
    /// The operating system's error.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Whose fault a failure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// The program at the other end.
    Peer,
    /// Whoever uses this end.
    LocalUser,
    /// What lies between.
    Network,
}

impl ConnectionError {
    /// Whose fault it is.
    pub fn blame(&self) -> Blame {
        match self {
            Self::Packet(_) | Self::Stream(_) | Self::Violation(_) => Blame::Peer,
            Self::GreetingTimeout { .. } | Self::ClosedByPeer { .. } => Blame::Peer,
            Self::Unsendable(_) => Blame::LocalUser,
            Self::Truncated | Self::Silent | Self::Stalled | Self::Io(_) => Blame::Network,
        }
    }

    /// Whether the peer broke the protocol, and so deserves a CLOSE that says how.
    pub fn is_violation(&self) -> bool {
        matches!(self, Self::Packet(_) | Self::Stream(_) | Self::Violation(_))
    }
}
