//! Requests and responses, and the only place that knows how they are serialised.
//!
//! bincode 2.0.1 in its fixed-width little-endian configuration. It is no longer maintained; `wincode` writes the
//! same bytes for the types used here and can take its place in this file.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use thiserror::Error;

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
    let bytes = bincode::serde::encode_to_vec(message, bincode::config::legacy())
        .map_err(|error| MessageError::Malformed(error.to_string()))?;
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
    let config = bincode::config::legacy();
    let decoded = match M::KIND {
        Kind::Response => {
            bincode::serde::decode_from_slice(payload, config.with_limit::<{ limits::RESPONSE_PAYLOAD }>())
        }
        _ => bincode::serde::decode_from_slice(payload, config.with_limit::<{ limits::REQUEST_PAYLOAD }>()),
    };
    let (message, read) = decoded.map_err(|error| MessageError::Malformed(error.to_string()))?;
    if read != payload.len() {
        return Err(MessageError::TrailingBytes { count: payload.len() - read });
    }
    Ok(message)
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
