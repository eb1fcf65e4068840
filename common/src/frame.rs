//! The frame: a length, a fixed header, a payload. Bytes to frames and back, without I/O and without panics.
//!
//! Must not know what a payload means; that is for [`crate::greeting`], [`crate::message`] and [`crate::packet`].

mod outputs;

use std::fmt;

use bytes::{Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use outputs::Outputs;

use crate::limits;

/// Bytes of the length field and the header together, before the payload.
pub const HEADER_LEN: usize = 20;

/// Bytes of the header that the length field counts.
const COUNTED_HEADER: usize = HEADER_LEN - 4;

/// What a frame is. The numbers are the wire's; a retired one is never given out again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// The client's greeting.
    Hello = 1,
    /// The server's answer to it.
    Welcome = 2,
    /// The last frame of a connection, with the reason.
    Close = 3,
    /// Asks for a [`Kind::Pong`].
    Ping = 4,
    /// Repeats the ping it answers.
    Pong = 5,
    /// A message from client to server.
    Request = 16,
    /// A message from server to client.
    Response = 17,
    /// Bytes of a stream.
    Data = 32,
    /// The end of a stream.
    Eof = 33,
    /// How far a stream's receiver has come.
    Ack = 34,
    /// The receiver wants no more of a stream.
    StopSending = 35,
}

impl Kind {
    /// Every kind, in the order of their numbers.
    pub const ALL: [Self; 11] = [
        Self::Hello,
        Self::Welcome,
        Self::Close,
        Self::Ping,
        Self::Pong,
        Self::Request,
        Self::Response,
        Self::Data,
        Self::Eof,
        Self::Ack,
        Self::StopSending,
    ];

    /// The most bytes that a payload of this kind may have.
    pub fn payload_limit(self) -> usize {
        match self {
            Self::Hello | Self::Welcome => limits::GREETING_PAYLOAD,
            Self::Close => limits::CLOSE_PAYLOAD,
            Self::Ping | Self::Pong => limits::PING_PAYLOAD,
            Self::Request => limits::REQUEST_PAYLOAD,
            Self::Response => limits::RESPONSE_PAYLOAD,
            Self::Data => limits::DATA_PAYLOAD,
            Self::Ack => 16,
            Self::Eof | Self::StopSending => 0,
        }
    }

    fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == number)
    }
}

/// A stream of a job, numbered as on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
#[repr(u8)]
pub enum StreamId {
    /// What the command reads.
    Stdin = 0,
    /// What the command writes; with merged output, all of it.
    Stdout = 1,
    /// The command's diagnostics.
    Stderr = 2,
    /// What it reports on its control descriptor. 3 and 4 are retired.
    Control = 5,
}

impl StreamId {
    /// Every stream there is in this version.
    pub const ALL: [Self; 4] = [Self::Stdin, Self::Stdout, Self::Stderr, Self::Control];

    /// The stream with this wire number.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|stream| *stream as u8 == number)
    }
}

impl From<StreamId> for u8 {
    fn from(stream: StreamId) -> Self {
        stream as Self
    }
}

impl TryFrom<u8> for StreamId {
    type Error = FrameError;

    fn try_from(number: u8) -> Result<Self, FrameError> {
        Self::from_number(number).ok_or(FrameError::UnknownStream { number })
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stdin => "stdin",
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
            Self::Control => "control",
        })
    }
}

/// The wire's way of saying that a frame concerns no stream.
const NO_STREAM: u8 = 255;

/// A job's number on one connection; means nothing on another. 0 is the connection itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JobNumber(pub u32);

impl JobNumber {
    /// The connection itself.
    pub const CONNECTION: Self = Self(0);
}

impl fmt::Display for JobNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Everything of a frame but its payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// What the frame is.
    pub kind: Kind,
    /// The stream concerned, if any.
    pub stream: Option<StreamId>,
    /// The job concerned.
    pub job: JobNumber,
    /// A position in the stream, or 0.
    pub offset: u64,
    /// Length of the payload in bytes; never above the kind's limit.
    pub payload_len: usize,
}

impl Header {
    /// The bytes that go before the payload.
    pub fn encode(&self) -> [u8; HEADER_LEN] {
        let length = (COUNTED_HEADER + self.payload_len) as u32;
        let mut bytes = [0; HEADER_LEN];
        let fields = length
            .to_le_bytes()
            .into_iter()
            .chain([self.kind as u8, self.stream.map_or(NO_STREAM, |stream| stream as u8), 0, 0])
            .chain(self.job.0.to_le_bytes())
            .chain(self.offset.to_le_bytes());
        for (place, byte) in bytes.iter_mut().zip(fields) {
            *place = byte;
        }
        bytes
    }

    /// Reads a header, checking every field and the length against the kind's limit.
    ///
    /// # Errors
    /// A [`FrameError`] for the first field that does not hold; always the peer's fault.
    pub fn decode(bytes: &[u8; HEADER_LEN]) -> Result<Self, FrameError> {
        let [l0, l1, l2, l3, kind, stream, r0, r1, j0, j1, j2, j3, offset @ ..] = *bytes;
        let length = u32::from_le_bytes([l0, l1, l2, l3]);
        let kind = Kind::from_number(kind).ok_or(FrameError::UnknownKind { number: kind })?;
        let limit = kind.payload_limit();
        let payload_len =
            (length as usize).checked_sub(COUNTED_HEADER).ok_or(FrameError::TooShort { length })?;
        if payload_len > limit {
            return Err(FrameError::TooLong { kind, length: payload_len, limit });
        }
        if [r0, r1] != [0, 0] {
            return Err(FrameError::ReservedBits);
        }
        let stream = match stream {
            NO_STREAM => None,
            number => Some(StreamId::from_number(number).ok_or(FrameError::UnknownStream { number })?),
        };
        let job = JobNumber(u32::from_le_bytes([j0, j1, j2, j3]));
        Ok(Self { kind, stream, job, offset: u64::from_le_bytes(offset), payload_len })
    }
}

/// One frame, whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame<P = Bytes> {
    /// Header; its `payload_len` is the length of `payload`.
    pub header: Header,
    /// Payload, shared with the buffer it was read into.
    pub payload: P,
}

/// Takes one frame from the front of `buffer`: `None` means that more bytes are needed.
///
/// # Errors
/// A [`FrameError`] as soon as the header shows one, whether or not the payload has come.
pub fn decode(buffer: &mut BytesMut) -> Result<Option<Frame>, FrameError> {
    let Some(header) = buffer.first_chunk::<HEADER_LEN>() else { return Ok(None) };
    let header = Header::decode(header)?;
    if buffer.len() < HEADER_LEN + header.payload_len {
        return Ok(None);
    }
    let mut frame = buffer.split_to(HEADER_LEN + header.payload_len);
    Ok(Some(Frame { header, payload: frame.split_off(HEADER_LEN).freeze() }))
}

/// A frame that breaks the layout. Always the peer's fault.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FrameError {
    /// The length does not even cover the header.
    #[error("frame length {length} is less than a header")]
    TooShort {
        /// The length field.
        length: u32,
    },
    /// The payload is over its kind's limit.
    #[error("{kind:?} frame claims {length} bytes, the limit is {limit}")]
    TooLong {
        /// The kind.
        kind: Kind,
        /// The payload claimed.
        length: usize,
        /// The payload allowed.
        limit: usize,
    },
    /// No such kind in this version.
    #[error("unknown frame kind {number}")]
    UnknownKind {
        /// The number found.
        number: u8,
    },
    /// No such stream in this version.
    #[error("unknown stream {number}")]
    UnknownStream {
        /// The number found.
        number: u8,
    },
    /// Reserved bits were not zero.
    #[error("reserved bits are set")]
    ReservedBits,
}
