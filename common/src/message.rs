//! Requests and responses, with the limits of what carries them.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::encoding::{self, EncodingError};
use crate::frame::{Kind, StreamId};
use crate::job::{Ended, JobId, Signal, Spec};
use crate::limits;

/// What a client asks of a server. New ones go at the end; the order is the wire's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ClientMessage {
    /// Run this specification under this id, once.
    Start {
        /// The id, chosen by the client.
        id: JobId,
        /// What to run.
        spec: Spec,
    },
    /// Send this signal to the job's process group.
    Signal(Signal),
    /// End the job and its tree.
    Cancel,
}

/// What a server tells a client. New ones go at the end; the order is the wire's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ServerMessage {
    /// The job's process runs.
    Started {
        /// Its process id on the server.
        process_id: u32,
    },
    /// The job is over; last of its frames.
    Ended(Ended),
    /// The server stops: it takes no more jobs and ends those it has.
    GoingAway,
}

/// A message that knows its direction, so that one sent the wrong way does not compile.
pub trait Message: Serialize + DeserializeOwned + Send + 'static {
    /// The kind of frame that carries it.
    const KIND: Kind;

    /// The kind of frame that this side greets with.
    const GREETING: Kind;

    /// Whether the side that sends these messages is also the sender of `stream`.
    fn sends(stream: StreamId) -> bool;
}

impl Message for ClientMessage {
    const KIND: Kind = Kind::Request;
    const GREETING: Kind = Kind::Hello;

    fn sends(stream: StreamId) -> bool {
        stream == StreamId::Stdin
    }
}

impl Message for ServerMessage {
    const KIND: Kind = Kind::Response;
    const GREETING: Kind = Kind::Welcome;

    fn sends(stream: StreamId) -> bool {
        !ClientMessage::sends(stream)
    }
}

/// The payload that carries `message`.
///
/// # Errors
/// [`MessageError::TooLong`] if it does not fit the limit of its kind: the local user's fault.
pub fn encode<M: Message>(message: &M) -> Result<Vec<u8>, MessageError> {
    let limit = M::KIND.payload_limit();
    let bytes = encoding::encode(message)?;
    if bytes.len() > limit {
        return Err(MessageError::TooLong { length: bytes.len(), limit });
    }
    Ok(bytes)
}

/// Whether `message` fits a frame, without keeping what was encoded.
///
/// # Errors
/// As [`encode`].
pub fn check_size<M: Message>(message: &M) -> Result<(), MessageError> {
    encode(message).map(drop)
}

/// The message in `payload`.
///
/// # Errors
/// [`MessageError`] for anything but exactly one message; the peer's fault.
pub fn decode<M: Message>(payload: &[u8]) -> Result<M, MessageError> {
    let limit = M::KIND.payload_limit();
    if payload.len() > limit {
        return Err(MessageError::TooLong { length: payload.len(), limit });
    }
    // The decoder's own limit counts what a value claims before it allocates; the payload's length alone would not.
    Ok(match M::KIND {
        Kind::Response => encoding::decode::<M, { limits::RESPONSE_PAYLOAD }>(payload)?,
        _ => encoding::decode::<M, { limits::REQUEST_PAYLOAD }>(payload)?,
    })
}

/// A message that cannot be sent or read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum MessageError {
    /// Over the limit of its kind.
    #[error("the message has {length} bytes, at most {limit}")]
    TooLong {
        /// Its length.
        length: usize,
        /// The limit.
        limit: usize,
    },
    /// Not a value of the expected type.
    #[error("the message cannot be read: {0}")]
    Malformed(String),
    /// Bytes behind the value.
    #[error("{count} bytes follow the message")]
    TrailingBytes {
        /// How many.
        count: usize,
    },
}

impl From<EncodingError> for MessageError {
    fn from(error: EncodingError) -> Self {
        match error {
            EncodingError::Malformed(reason) => Self::Malformed(reason),
            EncodingError::TrailingBytes { count } => Self::TrailingBytes { count },
        }
    }
}
