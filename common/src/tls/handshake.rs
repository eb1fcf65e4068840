//! Brings a TCP connection to the end of its handshake. Deadlines are the caller's.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task;

use super::byte_queue::ByteQueue;
use super::session::{LARGEST_RECORD, Session, Step};
use super::settings::{ClientTls, ServerTls};
use super::stream::{Early, TlsStream};
use super::{SAID, TlsError};

/// Bytes read at a time; a flight of either side is smaller.
const READ: usize = 4 * 1024;

/// First byte of a record that can be part of a handshake: change of cipher, alert, handshake.
const RECORD_TYPES: std::ops::RangeInclusive<u8> = 20..=22;

/// Shakes hands as a client. The end of the handshake stays in the stream, to travel with the first bytes that are sent.
///
/// # Errors
/// [`TlsError`]; no byte of the caller's has been sent then.
pub async fn connect(stream: TcpStream, settings: &ClientTls) -> Result<TlsStream, TlsError> {
    let mut handshake = Handshake::new(stream, Session::client(settings)?);
    loop {
        let advanced;
        (handshake, advanced) = if settings.blocks {
            task::spawn_blocking(move || handshake.advance()).await.map_err(io::Error::from)?
        } else {
            handshake.advance()
        };
        match (advanced, settings.refused.get()) {
            (Ok(()), _) if !handshake.session.is_handshaking() => return handshake.finish(),
            (Ok(()), _) => handshake.exchange().await?,
            (Err(error), refused) => {
                // The alert, for a server that still listens.
                handshake.send().await.ok();
                return Err(refused.map_or(error, |key| TlsError::Untrusted(*key)));
            }
        }
    }
}

/// A server's handshake of which the client's first word has been heard and answered.
#[derive(Debug)]
pub struct ServerHandshake(Handshake);

impl ServerHandshake {
    /// Waits for a client's hello, and answers it.
    ///
    /// # Errors
    /// [`TlsError`]; the client has been told then, as far as TLS has words for it.
    pub async fn begin(stream: TcpStream, settings: &ServerTls) -> Result<Self, TlsError> {
        let mut handshake = Handshake::new(stream, Session::server(settings)?);
        while handshake.outgoing.is_empty() {
            handshake = handshake.turn().await?;
        }
        handshake.send().await?;
        Ok(Self(handshake))
    }

    /// Waits for the client to prove its key.
    ///
    /// # Errors
    /// As [`ServerHandshake::begin`].
    pub async fn finish(self) -> Result<TlsStream, TlsError> {
        let mut handshake = self.0;
        while handshake.session.is_handshaking() {
            handshake = handshake.turn().await?;
            handshake.send().await?;
        }
        handshake.finish()
    }
}

#[derive(Debug)]
struct Handshake {
    stream: TcpStream,
    session: Session,
    incoming: ByteQueue,
    outgoing: ByteQueue,
    /// What came in the last read behind the handshake, at most a record.
    early: Vec<u8>,
    heard: bool,
    /// The peer's announced end came right behind its handshake.
    closed: bool,
}

impl Handshake {
    fn new(stream: TcpStream, session: Session) -> Self {
        let (incoming, outgoing) = (ByteQueue::default(), ByteQueue::default());
        Self { stream, session, incoming, outgoing, early: Vec::new(), heard: false, closed: false }
    }

    /// As a server: hears some more, and says what is wrong with it.
    async fn turn(mut self) -> Result<Self, TlsError> {
        self.read().await?;
        let (mut handshake, advanced) = self.advance();
        match advanced {
            Ok(()) => Ok(handshake),
            Err(error) => {
                // The alert, for a client that still listens.
                handshake.send().await.ok();
                Err(error)
            }
        }
    }

    /// As a client: says what is to be said, and hears some more.
    async fn exchange(&mut self) -> Result<(), TlsError> {
        match self.send().await {
            Ok(()) => self.read().await,
            // A server that takes no connection at the moment says so and closes, whatever we say meanwhile.
            Err(error) => self.read().await.map_err(|_| error.into()),
        }
    }

    /// Makes of what has arrived what is to be sent.
    fn advance(mut self) -> (Self, Result<(), TlsError>) {
        let Self { session, incoming, outgoing, early, closed, .. } = &mut self;
        let step = session.receive(incoming, outgoing, &mut |bytes| early.extend_from_slice(bytes));
        let advanced = match step {
            Err(error) => Err(error),
            Ok(Step::Hungry) if incoming.len() > LARGEST_RECORD => Err(TlsError::TooLong),
            Ok(Step::Closed) if session.is_handshaking() => Err(TlsError::ClosedInHandshake),
            Ok(step) => {
                *closed = step == Step::Closed;
                Ok(())
            }
        };
        (self, advanced)
    }

    async fn read(&mut self) -> Result<(), TlsError> {
        let read = self.stream.read(self.incoming.room(READ)).await?;
        self.incoming.push(read);
        let first = !std::mem::replace(&mut self.heard, true);
        let known = self.incoming.bytes().first().is_some_and(|first| RECORD_TYPES.contains(first));
        if first && !known {
            let said = self.incoming.bytes();
            return Err(TlsError::NotTls {
                said: said.get(..SAID.min(said.len())).unwrap_or_default().to_vec(),
            });
        }
        if read == 0 { Err(TlsError::ClosedInHandshake) } else { Ok(()) }
    }

    async fn send(&mut self) -> io::Result<()> {
        self.stream.write_all(self.outgoing.bytes()).await?;
        self.outgoing.pop(self.outgoing.len());
        Ok(())
    }

    fn finish(self) -> Result<TlsStream, TlsError> {
        let peer = self.session.peer()?;
        let early = Early { plaintext: self.early, closed: self.closed };
        Ok(TlsStream::new(self.stream, self.session, peer, (self.incoming, self.outgoing), early))
    }
}
