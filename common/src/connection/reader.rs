//! Bytes from a peer to packets.
//!
//! Small frames are cut out of a read buffer; a large payload is read straight into memory of its own, so that it
//! is copied at most in part and never keeps more alive than itself.

use std::io;
use std::marker::PhantomData;

use bytes::{BufMut, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

use super::ConnectionError;
use crate::buffer;
use crate::frame::{self, Frame, HEADER_LEN, Header, Kind};
use crate::message::Message;
use crate::packet::{Packet, PacketError};

/// Read buffer of a quiet connection, which it keeps while it waits: thousands of them may be idle. Larger than almost
/// every message.
const QUIET_BUFFER: usize = 1024;

/// Read buffer once a read has filled the quiet one.
const BUSY_BUFFER: usize = 16 * 1024;

/// Reads the packets of a peer that sends messages of type `M`.
#[derive(Debug)]
pub struct PacketReader<R, M> {
    source: R,
    buffer: BytesMut,
    /// A payload that does not fit the buffer, on its way in.
    large: Option<Frame<Vec<u8>>>,
    buffer_size: usize,
    messages: PhantomData<fn() -> M>,
}

impl<R: AsyncRead + Unpin, M: Message> PacketReader<R, M> {
    /// A reader at the start of a connection.
    pub fn new(source: R) -> Self {
        Self {
            source,
            buffer: BytesMut::new(),
            large: None,
            buffer_size: QUIET_BUFFER,
            messages: PhantomData,
        }
    }

    /// The next packet; `None` when the peer has ended its side between two frames.
    ///
    /// Safe to drop while it waits: what has arrived stays in the reader.
    ///
    /// # Errors
    /// [`ConnectionError`] for I/O, for an end inside a frame and for anything that is not a packet.
    pub async fn next(&mut self) -> Result<Option<Packet<M>>, ConnectionError> {
        self.next_of(&Kind::ALL).await
    }

    /// As [`PacketReader::next`], but a frame of a kind that is not among `kinds` is refused by its header alone, before
    /// its payload is stored or looked at.
    ///
    /// # Errors
    /// As [`PacketReader::next`], and [`PacketError::OutOfPlace`].
    pub async fn next_of(&mut self, kinds: &[Kind]) -> Result<Option<Packet<M>>, ConnectionError> {
        loop {
            if let Some(frame) = self.take_frame(kinds)? {
                return Ok(Some(Packet::from_frame(frame)?));
            }
            if self.read().await? > 0 {
                continue;
            }
            let between_frames = self.buffer.is_empty() && self.large.is_none();
            return if between_frames { Ok(None) } else { Err(ConnectionError::Truncated) };
        }
    }

    /// Bytes that have arrived and belong to no packet yet; for telling what a peer speaks that is not Telex.
    pub fn unread(&self) -> &[u8] {
        &self.buffer
    }

    fn take_frame(&mut self, kinds: &[Kind]) -> Result<Option<Frame>, PacketError> {
        if self.large.is_none() {
            self.large = start(&mut self.buffer, kinds)?;
        }
        match self.large.take() {
            Some(large) if large.payload.len() == large.header.payload_len => {
                Ok(Some(Frame { header: large.header, payload: buffer::share(large.payload) }))
            }
            Some(unfinished) => {
                self.large = Some(unfinished);
                Ok(None)
            }
            None => Ok(frame::decode(&mut self.buffer)?),
        }
    }

    async fn read(&mut self) -> io::Result<usize> {
        if let Some(Frame { header, payload }) = &mut self.large {
            let missing = header.payload_len - payload.len();
            return self.source.read_buf(&mut payload.limit(missing)).await;
        }
        if self.buffer.is_empty() {
            // Given back while nothing is expected, taken anew when something comes.
            self.buffer = BytesMut::new();
        }
        self.buffer.reserve(self.buffer_size);
        let read = self.source.read_buf(&mut self.buffer).await?;
        self.buffer_size = if read >= QUIET_BUFFER { BUSY_BUFFER } else { QUIET_BUFFER };
        Ok(read)
    }
}

/// Looks at a header as soon as it is there. A frame whose payload is too large for the buffer moves into memory of its
/// own, as far as it has come.
fn start(arrived: &mut BytesMut, kinds: &[Kind]) -> Result<Option<Frame<Vec<u8>>>, PacketError> {
    let Some(header) = arrived.first_chunk::<HEADER_LEN>() else { return Ok(None) };
    let header = Header::decode(header)?;
    if !kinds.contains(&header.kind) {
        return Err(PacketError::OutOfPlace { kind: header.kind });
    }
    let payload_arrived = arrived.len() - HEADER_LEN;
    if header.payload_len <= BUSY_BUFFER || payload_arrived >= header.payload_len {
        return Ok(None);
    }
    let mut payload = buffer::with_room(header.payload_len);
    payload.extend_from_slice(arrived.get(HEADER_LEN..).unwrap_or_default());
    arrived.clear();
    Ok(Some(Frame { header, payload }))
}
