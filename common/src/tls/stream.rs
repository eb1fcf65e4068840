//! A connection after its handshake: records to bytes and back, for a task that reads and one that writes.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Buf;
use rustix::net::Shutdown;
use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;

use super::byte_queue::ByteQueue;
use super::session::{LARGEST_RECORD, RECORD, Session, Step};
use crate::keys::PublicKey;

/// Bytes asked for at a time while a connection is quiet: a packet or two.
const QUIET_READ: usize = 4 * 1024;

/// Bytes asked for at a time while it is busy, and plaintext encrypted at a time: with what records add, and with the
/// rest of a record that waits already, both fit into a large buffer.
const BUSY: usize = 14 * RECORD;

/// A connection to a peer that has proven its key.
#[derive(Debug)]
pub struct TlsStream {
    stream: TcpStream,
    session: Session,
    peer: PublicKey,
    incoming: ByteQueue,
    outgoing: ByteQueue,
    early: Early,
}

/// What came in one read with the end of the handshake, and was decrypted with it.
#[derive(Debug)]
pub(super) struct Early {
    /// At most a record.
    pub(super) plaintext: Vec<u8>,
    /// Whether the peer has announced its end.
    pub(super) closed: bool,
}

impl TlsStream {
    pub(super) fn new(
        stream: TcpStream,
        session: Session,
        peer: PublicKey,
        (incoming, outgoing): (ByteQueue, ByteQueue),
        early: Early,
    ) -> Self {
        Self { stream, session, peer, incoming, outgoing, early }
    }

    /// The key that the peer has proven to own in this handshake.
    pub fn peer(&self) -> PublicKey {
        self.peer
    }

    /// The address at the other end.
    ///
    /// # Errors
    /// The system's, if the connection is gone.
    pub fn peer_address(&self) -> io::Result<SocketAddr> {
        self.stream.peer_addr()
    }

    /// Sends the end of the handshake by itself, for a client that has nothing to say yet.
    ///
    /// # Errors
    /// The system's.
    pub async fn flush(&mut self) -> io::Result<()> {
        self.stream.write_all(self.outgoing.bytes()).await?;
        self.outgoing.pop(self.outgoing.len());
        Ok(())
    }

    /// The two directions, for two tasks.
    pub fn split(self) -> (TlsReader, TlsWriter) {
        let stream = Arc::new(self.stream);
        let shared =
            Arc::new(Mutex::new(Shared { session: self.session, failed: false, outgoing: self.outgoing }));
        let reader = TlsReader {
            stream: Arc::clone(&stream),
            shared: Arc::clone(&shared),
            incoming: self.incoming,
            plaintext: self.early.plaintext,
            read: 0,
            busy: false,
            closed: self.early.closed,
        };
        (reader, TlsWriter { stream, shared, sending: ByteQueue::default(), ended: false })
    }
}

/// What both directions need. Held only while bytes are en- or decrypted, never while a system call is made.
#[derive(Debug)]
struct Shared {
    session: Session,
    /// The peer has broken the protocol: the session must not be used any more.
    failed: bool,
    /// Records to be sent, in the order in which they were made.
    outgoing: ByteQueue,
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The half that reads. An end of the stream is an end only if the peer has announced it; otherwise it is an error of
/// the kind `UnexpectedEof`.
#[derive(Debug)]
pub struct TlsReader {
    stream: Arc<TcpStream>,
    shared: Arc<Mutex<Shared>>,
    incoming: ByteQueue,
    /// Of a record whose beginning the caller had room for; at most a record, from `read` on.
    plaintext: Vec<u8>,
    read: usize,
    busy: bool,
    closed: bool,
}

impl AsyncRead for TlsReader {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        this.take_plaintext(buffer);
        loop {
            this.decrypt(buffer)?;
            if buffer.filled().len() > before || buffer.remaining() == 0 || this.closed {
                return Poll::Ready(Ok(()));
            }
            ready!(this.poll_receive(context))?;
        }
    }
}

impl TlsReader {
    /// Hands out what is left of a record.
    fn take_plaintext(&mut self, buffer: &mut ReadBuf<'_>) {
        let left = self.plaintext.get(self.read..).unwrap_or_default();
        let taken = left.len().min(buffer.remaining());
        buffer.put_slice(left.get(..taken).unwrap_or_default());
        self.read += taken;
        if self.read == self.plaintext.len() {
            (self.plaintext, self.read) = (Vec::new(), 0);
        }
    }

    /// Decrypts records into `buffer` until it is full or no whole record is left.
    fn decrypt(&mut self, buffer: &mut ReadBuf<'_>) -> io::Result<()> {
        if self.incoming.is_empty() {
            return Ok(());
        }
        let mut shared = lock(&self.shared);
        let Shared { session, failed, outgoing } = &mut *shared;
        let left = &mut self.plaintext;
        while buffer.remaining() > 0 && !self.closed {
            let step = session.receive(&mut self.incoming, outgoing, &mut |bytes| {
                let (now, later) = bytes.split_at(bytes.len().min(buffer.remaining()));
                buffer.put_slice(now);
                left.extend_from_slice(later);
            });
            match step {
                Ok(Step::Plaintext) => {}
                Ok(Step::Hungry) => break,
                Ok(Step::Closed) => self.closed = true,
                Err(error) => {
                    *failed = true;
                    return Err(error.into());
                }
            }
        }
        Ok(())
    }

    /// Receives some more.
    fn poll_receive(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            self.incoming.release();
            ready!(self.stream.poll_read_ready(context))?;
            let wanted = if self.busy { BUSY } else { QUIET_READ };
            let room = self.incoming.room(wanted);
            match self.stream.try_read(room) {
                Ok(0) => return Poll::Ready(Err(cut_off())),
                Ok(read) => {
                    self.busy = read >= wanted || (self.busy && read > LARGEST_RECORD);
                    self.incoming.push(read);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

fn cut_off() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "it was cut off")
}

/// The half that writes.
#[derive(Debug)]
pub struct TlsWriter {
    stream: Arc<TcpStream>,
    shared: Arc<Mutex<Shared>>,
    /// Records on their way into the socket.
    sending: ByteQueue,
    ended: bool,
}

impl TlsWriter {
    /// Sends some of what was taken, or else takes some of `batch`: ready when either is done.
    ///
    /// # Errors
    /// The system's, and those of TLS as `InvalidData`.
    pub fn poll_send(&mut self, context: &mut Context<'_>, batch: &mut impl Buf) -> Poll<io::Result<()>> {
        if self.sending.is_empty() {
            self.encrypt(batch)?;
        }
        self.poll_write(context)
    }

    /// Whether everything that was taken has been given to the system.
    pub fn is_flushed(&self) -> bool {
        self.sending.is_empty()
    }

    /// Announces the end, sends what is left, and ends this direction.
    ///
    /// # Errors
    /// As [`TlsWriter::poll_send`].
    pub fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            if !self.sending.is_empty() {
                ready!(self.poll_write(context))?;
            } else if !std::mem::replace(&mut self.ended, true) {
                let mut shared = lock(&self.shared);
                let Shared { session, failed, outgoing } = &mut *shared;
                // The alert that says what is wrong is among what is outgoing, and the last record.
                if !*failed {
                    session.close(outgoing)?;
                }
                std::mem::swap(outgoing, &mut self.sending);
            } else {
                return Poll::Ready(Ok(rustix::net::shutdown(&self.stream, Shutdown::Write)?));
            }
        }
    }

    fn encrypt(&mut self, batch: &mut impl Buf) -> io::Result<()> {
        let mut shared = lock(&self.shared);
        let Shared { session, failed, outgoing } = &mut *shared;
        let mut left = BUSY;
        while left > 0 && batch.has_remaining() {
            if *failed {
                // What was to be said cannot be said any more; what TLS has to say goes out instead.
                batch.advance(batch.remaining());
                break;
            }
            let chunk = batch.chunk();
            let chunk = chunk.get(..left.min(chunk.len())).unwrap_or(chunk);
            session.send(chunk, outgoing)?;
            let taken = chunk.len();
            batch.advance(taken);
            left -= taken;
        }
        std::mem::swap(outgoing, &mut self.sending);
        Ok(())
    }

    fn poll_write(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.sending.is_empty() {
            ready!(self.stream.poll_write_ready(context))?;
            match self.stream.try_write(self.sending.bytes()) {
                Ok(written) => {
                    self.sending.pop(written);
                    self.sending.release();
                    break;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl Drop for TlsWriter {
    fn drop(&mut self) {
        // As with the half of a plain socket: the peer need not wait for the other half to go.
        rustix::net::shutdown(&self.stream, Shutdown::Write).ok();
    }
}
