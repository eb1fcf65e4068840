//! Requests and responses, with the limits of what carries them.

mod attach;
mod listing;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use attach::{
    Attach, Attached, AttachmentId, Begins, Order, Position, Refusal, Role, StdinProgress, Wanted,
};
pub use listing::{COMMAND_BYTES, JobState, JobSummary, Kept};

use crate::encoding::{self, EncodingError};
use crate::frame::{Kind, StreamId};
use crate::job::{Digest, Ended, Extra, Extras, JobId, Keeping, Spec, WindowSize, bounded};
use crate::limits;

/// What a client asks of a server. New ones go at the end; the order is the wire's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ClientMessage {
    /// Run this, once.
    Start(Start),
    /// Take hold of a job that is there already.
    Attach(Attach),
    /// Tell the job that this client has hold of what to do.
    Order {
        /// 1 for the first of this attachment, and one more for each.
        sequence: u64,
        /// What.
        order: Order,
    },
    /// Let go of the job, for good and in good order.
    Leave,
    /// List the jobs that this client may know of.
    List {
        /// Those that are over, too.
        all: bool,
    },
    /// Forget a job that is over, with its output.
    Forget {
        /// Its id, or the beginning of one with which no other of its owner's begins.
        job: JobId,
    },
    /// Run this, once, with more than a specification says. Only to a server of the features that it needs.
    StartWith {
        /// As for [`ClientMessage::Start`]; the digest is of the extras, too.
        start: Box<Start>,
        /// At most one of a kind: see [`Extras`].
        #[serde(deserialize_with = "bounded::<{ limits::EXTRAS }, _, _>")]
        extras: Vec<Extra>,
    },
}

/// The request to run something, once. Said again, it attaches to what it has started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// The job's id, chosen by the client.
    pub id: JobId,
    /// Of the specification with the usual [`Keeping`], as this client has first encoded it: how long a job waits for its client
    /// does not make it another one. Behind it the extras, if there are any, each without what may differ from one window to
    /// the next.
    pub digest: Digest,
    /// Who will be attached to it.
    pub attachment: AttachmentId,
    /// Milliseconds since this was said for the first time, rounded up; 0 if that is now.
    pub age_ms: u64,
    /// What to run.
    pub spec: Spec,
}

impl Start {
    /// The first request to run `spec` under `id`.
    ///
    /// # Errors
    /// [`MessageError`] if it cannot be encoded.
    pub fn new(id: JobId, attachment: AttachmentId, spec: Spec) -> Result<Self, MessageError> {
        Self::with(id, attachment, spec, &Extras::default())
    }

    /// The first request to run `spec` under `id` with `extras`, which [`Start::say`] says with it.
    ///
    /// # Errors
    /// [`MessageError`] if it cannot be encoded.
    pub fn with(
        id: JobId,
        attachment: AttachmentId,
        spec: Spec,
        extras: &Extras,
    ) -> Result<Self, MessageError> {
        let mut told_apart = encoding::encode(&Spec { keeping: Keeping::default(), ..spec.clone() })?;
        if !extras.is_empty() {
            told_apart.extend(encoding::encode(&extras.told_apart())?);
        }
        Ok(Self { id, digest: Digest::of(&told_apart), attachment, age_ms: 0, spec })
    }

    /// The message that says this and `extras`: one that any server knows if there are none.
    pub fn say(self, extras: &Extras) -> ClientMessage {
        if extras.is_empty() {
            return ClientMessage::Start(self);
        }
        ClientMessage::StartWith { start: Box::new(self), extras: extras.to_wire() }
    }
}

/// What a server tells a client. New ones go at the end; the order is the wire's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ServerMessage {
    /// The job's process runs.
    Started {
        /// Its process id on the server.
        process_id: u32,
        /// Milliseconds for which the job waits for a client whose line is lost; `None` if it is kept.
        grace_ms: Option<u64>,
    },
    /// The job is over; last of its frames.
    Ended(Ended),
    /// The server stops: it takes no more jobs, and ends those that have no supervisor.
    GoingAway,
    /// The client has hold of the job; first of its frames.
    Attached(Attached),
    /// An order was carried out, and all before it.
    Applied {
        /// Its number.
        sequence: u64,
    },
    /// A request is not granted; last frame about its job number.
    Refused(Refusal),
    /// Another client has taken this one's place; last frame about its job number.
    Superseded,
    /// One job of a list.
    Listed(JobSummary),
    /// What was asked for is done or said; last frame about its job number.
    Done,
    /// The stream goes on at another offset: what lies between is not kept any more.
    Skipped {
        /// The stream.
        stream: StreamId,
        /// Where it goes on.
        to: u64,
    },
    /// What follows in the stream was written then.
    Written {
        /// The stream.
        stream: StreamId,
        /// Offset of the first byte that this is true of.
        from: u64,
        /// Milliseconds since 1970.
        unix_ms: u64,
    },
    /// An order is not carried out, and never will be; those before it were.
    Declined {
        /// Its number.
        sequence: u64,
        /// Why, for people.
        reason: String,
    },
    /// The job runs on a terminal; behind [`ServerMessage::Started`] or [`ServerMessage::Attached`], and only to a client that
    /// knows terminals.
    OnTerminal {
        /// How large it is now.
        size: WindowSize,
    },
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
