//! What a frame means, typed by the direction in which it travels.
//!
//! Checks everything about a frame that needs no memory of earlier ones; the rest is for [`crate::stream`] and the
//! programs. Never touches a socket.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use thiserror::Error;

use crate::frame::{Frame, FrameError, Header, JobNumber, Kind, StreamId};
use crate::greeting::{Close, GreetingError, Hello, Welcome};
use crate::message::{self, Message, MessageError};

/// A frame from a peer that sends messages of type `M`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet<M> {
    /// The client's greeting.
    Hello(Hello),
    /// The server's greeting.
    Welcome(Welcome),
    /// The connection's last word.
    Close(Close),
    /// Asks for a pong.
    Ping(Echo),
    /// Answers a ping.
    Pong(Echo),
    /// A request or response about a job.
    Message {
        /// The job.
        job: JobNumber,
        /// What is said.
        message: M,
    },
    /// Bytes of a stream that `M`'s side sends.
    Data {
        /// The job.
        job: JobNumber,
        /// The stream.
        stream: StreamId,
        /// Offset of the first byte.
        offset: u64,
        /// The bytes, at least one.
        bytes: Bytes,
    },
    /// The end of a stream that `M`'s side sends.
    Eof {
        /// The job.
        job: JobNumber,
        /// The stream.
        stream: StreamId,
        /// Its length.
        total: u64,
    },
    /// Progress of a stream that `M`'s side receives.
    Ack {
        /// The job.
        job: JobNumber,
        /// The stream.
        stream: StreamId,
        /// How far it has come.
        ack: Ack,
    },
    /// `M`'s side wants no more of a stream that it receives.
    StopSending {
        /// The job.
        job: JobNumber,
        /// The stream.
        stream: StreamId,
    },
}

/// What a ping carries and a pong repeats.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Echo {
    /// A number of the sender's choice.
    pub token: u64,
    /// At most [`crate::limits::PING_PAYLOAD`] bytes of the sender's choice.
    pub payload: Bytes,
}

/// How far the receiver of a stream has come. None of the three ever goes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ack {
    /// Everything below has arrived.
    pub received: u64,
    /// The sender may send up to here, exclusive. Not below `received`.
    pub limit: u64,
    /// Everything below has reached its final reader. Not above `received`.
    pub consumed: u64,
}

impl<M: Message> Packet<M> {
    /// Reads what `frame` means.
    ///
    /// # Errors
    /// A [`PacketError`]; always the peer's fault.
    pub fn from_frame(frame: Frame) -> Result<Self, PacketError> {
        let Frame { header, payload } = frame;
        let stream = || header.stream.ok_or(PacketError::NoStream { kind: header.kind });
        let packet = match header.kind {
            kind @ (Kind::Hello | Kind::Welcome) if kind != M::GREETING => {
                return Err(PacketError::WrongDirection { kind });
            }
            Kind::Hello => Self::Hello(Hello::decode(&payload)?),
            Kind::Welcome => Self::Welcome(Welcome::decode(&payload)?),
            Kind::Close => Self::Close(Close::decode(&payload)?),
            Kind::Ping => Self::Ping(Echo { token: header.offset, payload }),
            Kind::Pong => Self::Pong(Echo { token: header.offset, payload }),
            kind if kind == M::KIND => Self::Message { job: header.job, message: message::decode(&payload)? },
            Kind::Request | Kind::Response => return Err(PacketError::WrongDirection { kind: header.kind }),
            Kind::Data if payload.is_empty() => return Err(PacketError::EmptyData),
            Kind::Data => {
                Self::Data { job: header.job, stream: stream()?, offset: header.offset, bytes: payload }
            }
            Kind::Eof => Self::Eof { job: header.job, stream: stream()?, total: header.offset },
            Kind::Ack => {
                let ack = Ack::decode(header.offset, &payload)?;
                Self::Ack { job: header.job, stream: stream()?, ack }
            }
            Kind::StopSending => Self::StopSending { job: header.job, stream: stream()? },
        };
        packet.check_place(&header)?;
        Ok(packet)
    }

    /// The bytes before the payload, and the payload.
    ///
    /// # Errors
    /// [`MessageError`] if a message is over its limit: the local user's fault.
    pub fn into_parts(self) -> Result<(Header, Bytes), MessageError> {
        let none = JobNumber::CONNECTION;
        let (kind, job, stream, offset, payload) = match self {
            Self::Hello(hello) => (Kind::Hello, none, None, 0, hello.encode()),
            Self::Welcome(welcome) => (Kind::Welcome, none, None, 0, welcome.encode()),
            Self::Close(close) => (Kind::Close, none, None, 0, close.encode()),
            Self::Ping(echo) => (Kind::Ping, none, None, echo.token, echo.payload),
            Self::Pong(echo) => (Kind::Pong, none, None, echo.token, echo.payload),
            Self::Message { job, message } => (M::KIND, job, None, 0, message::encode(&message)?.into()),
            Self::Data { job, stream, offset, bytes } => (Kind::Data, job, Some(stream), offset, bytes),
            Self::Eof { job, stream, total } => (Kind::Eof, job, Some(stream), total, Bytes::new()),
            Self::Ack { job, stream, ack } => (Kind::Ack, job, Some(stream), ack.received, ack.encode()),
            Self::StopSending { job, stream } => (Kind::StopSending, job, Some(stream), 0, Bytes::new()),
        };
        Ok((Header { kind, stream, job, offset, payload_len: payload.len() }, payload))
    }

    /// A frame may only name a job, a stream and a direction that its kind allows.
    fn check_place(&self, header: &Header) -> Result<(), PacketError> {
        let kind = header.kind;
        let of_connection = header.job == JobNumber::CONNECTION;
        let (needs_job, sender) = match self {
            Self::Hello(_) | Self::Close(_) | Self::Welcome(_) | Self::Ping(_) | Self::Pong(_) => {
                (false, None)
            }
            // A response may concern the connection, a request may not; whoever handles it knows which.
            Self::Message { .. } => (!of_connection, None),
            Self::Data { stream, .. } | Self::Eof { stream, .. } => (true, Some(M::sends(*stream))),
            Self::Ack { stream, .. } | Self::StopSending { stream, .. } => (true, Some(!M::sends(*stream))),
        };
        if needs_job == of_connection {
            return Err(PacketError::WrongJob { kind });
        }
        let has_offset = matches!(kind, Kind::Ping | Kind::Pong | Kind::Data | Kind::Eof | Kind::Ack);
        if !has_offset && header.offset != 0 {
            return Err(PacketError::UnexpectedOffset { kind });
        }
        match sender {
            Some(false) => Err(PacketError::WrongDirection { kind }),
            None if header.stream.is_some() => Err(PacketError::UnexpectedStream { kind }),
            _ => Ok(()),
        }
    }
}

impl Ack {
    fn encode(self) -> Bytes {
        let mut payload = BytesMut::with_capacity(16);
        payload.put_u64_le(self.limit);
        payload.put_u64_le(self.consumed);
        payload.freeze()
    }

    fn decode(received: u64, mut payload: &[u8]) -> Result<Self, PacketError> {
        let limit = payload.try_get_u64_le().map_err(|_| PacketError::AckLength)?;
        let consumed = payload.try_get_u64_le().map_err(|_| PacketError::AckLength)?;
        if !payload.is_empty() {
            return Err(PacketError::AckLength);
        }
        Ok(Self { received, limit, consumed })
    }
}

/// A frame that means nothing where it stands. Always the peer's fault.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PacketError {
    /// The layout is wrong.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// A greeting or CLOSE cannot be read.
    #[error(transparent)]
    Greeting(#[from] GreetingError),
    /// A message cannot be read.
    #[error(transparent)]
    Message(#[from] MessageError),
    /// This side never sends that.
    #[error("a {kind:?} frame in the wrong direction")]
    WrongDirection {
        /// The kind.
        kind: Kind,
    },
    /// A job where none belongs, or none where one does.
    #[error("a {kind:?} frame with a wrong job number")]
    WrongJob {
        /// The kind.
        kind: Kind,
    },
    /// A stream is missing.
    #[error("a {kind:?} frame without a stream")]
    NoStream {
        /// The kind.
        kind: Kind,
    },
    /// A stream where none belongs.
    #[error("a {kind:?} frame with a stream")]
    UnexpectedStream {
        /// The kind.
        kind: Kind,
    },
    /// An offset where none belongs.
    #[error("a {kind:?} frame with an offset")]
    UnexpectedOffset {
        /// The kind.
        kind: Kind,
    },
    /// A kind that does not belong at this point of the conversation.
    #[error("a {kind:?} frame out of its place")]
    OutOfPlace {
        /// The kind.
        kind: Kind,
    },
    /// DATA without data.
    #[error("an empty Data frame")]
    EmptyData,
    /// An ACK of another length than 16.
    #[error("an Ack frame of the wrong length")]
    AckLength,
}
