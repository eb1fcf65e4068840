//! Peers that say exactly what a test wants said, byte for byte, and tell what they hear.
//!
//! Blocking, with a deadline on every read.

use std::io::{ErrorKind, Read, Write};
use std::marker::PhantomData;
use std::net::TcpStream;
use std::os::unix::net::UnixStream;

use bytes::{Bytes, BytesMut};
use common::connection::packet_bytes;
use common::frame::{self, JobNumber, StreamId};
use common::greeting::{Close, CloseCode, Hello};
use common::job::{Ended, JobId, Outcome, Program, Spec, StreamTotal};
use common::keys::PrivateKey;
use common::message::{AttachmentId, ClientMessage, Message, Order, ServerMessage, Start};
use common::packet::Packet;
use rustls::StreamOwned;

use crate::keys::{client_key, host_key};
use crate::tls;
use crate::wait::DEADLINE;
use crate::wire::Wire;

/// One end of a connection, under a test's control.
#[derive(Debug)]
pub struct RawPeer<Sends, Hears> {
    wire: Box<dyn Wire>,
    buffer: BytesMut,
    directions: PhantomData<fn(Sends) -> Hears>,
}

/// A client under a test's control.
pub type RawClient = RawPeer<ClientMessage, ServerMessage>;

/// A server under a test's control.
pub type RawServer = RawPeer<ServerMessage, ClientMessage>;

impl<Sends: Message, Hears: Message> RawPeer<Sends, Hears> {
    pub(crate) fn over(wire: impl Wire + 'static) -> Self {
        wire.set_deadline(DEADLINE);
        Self { wire: Box::new(wire), buffer: BytesMut::new(), directions: PhantomData }
    }

    /// Sends these bytes, whatever they mean. A peer that has closed already is no failure here; what it said
    /// before is still to be heard.
    pub fn send_bytes(&mut self, bytes: &[u8]) {
        if let Err(error) = self.wire.write_all(bytes) {
            assert!(is_closed(&error), "cannot send: {error}");
        }
    }

    /// Sends a packet.
    pub fn send(&mut self, packet: Packet<Sends>) {
        self.send_bytes(&packet_bytes(packet).unwrap());
    }

    /// Sends a message about a job.
    pub fn send_message(&mut self, job: u32, message: Sends) {
        self.send(Packet::Message { job: JobNumber(job), message });
    }

    /// Sends bytes of a stream.
    pub fn send_data(&mut self, job: u32, stream: StreamId, offset: u64, bytes: &[u8]) {
        let bytes = Bytes::copy_from_slice(bytes);
        self.send(Packet::Data { job: JobNumber(job), stream, offset, bytes });
    }

    /// Sends the end of a stream.
    pub fn send_eof(&mut self, job: u32, stream: StreamId, total: u64) {
        self.send(Packet::Eof { job: JobNumber(job), stream, total });
    }

    /// Sends nothing more.
    pub fn end(&mut self) {
        self.wire.end();
    }

    /// The next packet; `None` when the peer has closed.
    pub fn hear(&mut self) -> Option<Packet<Hears>> {
        loop {
            if let Some(frame) = frame::decode(&mut self.buffer).expect("the peer sends no frames") {
                return Some(Packet::from_frame(frame).expect("the peer sends no packets"));
            }
            let mut bytes = [0; 16 * 1024];
            match self.wire.read(&mut bytes) {
                Ok(0) => return None,
                Ok(read) => self.buffer.extend_from_slice(&bytes[..read]),
                Err(error) if is_closed(&error) => return None,
                Err(error) => panic!("the peer neither speaks nor closes: {error}"),
            }
        }
    }

    /// Hears until the peer closes, and takes what it says for bytes.
    pub fn hear_all(&mut self) -> Vec<u8> {
        let mut heard = self.buffer.split().to_vec();
        match self.wire.read_to_end(&mut heard) {
            Err(error) if !is_closed(&error) => panic!("the peer does not close: {error}"),
            _ => heard,
        }
    }

    /// Hears until `text` was among what was said or the peer closes, and takes it for bytes.
    pub fn hear_until(&mut self, text: &[u8]) -> Vec<u8> {
        let mut heard = self.buffer.split().to_vec();
        while !heard.windows(text.len()).any(|window| window == text) {
            let mut bytes = [0; 16 * 1024];
            match self.wire.read(&mut bytes) {
                Ok(0) => break,
                Ok(read) => heard.extend_from_slice(&bytes[..read]),
                Err(error) if is_closed(&error) => break,
                Err(error) => panic!("the peer does not close: {error}"),
            }
        }
        heard
    }

    /// Hears until the peer closes; what its CLOSE says, if it sent one that arrived.
    pub fn hear_close(&mut self) -> Option<Close> {
        let mut close = None;
        while let Some(packet) = self.hear() {
            if let Packet::Close(said) = packet {
                close = Some(said);
            }
        }
        close
    }

    /// Requires that the peer closes, and blames us if it says anything.
    #[track_caller]
    pub fn is_refused(&mut self, code: CloseCode) {
        if let Some(close) = self.hear_close() {
            assert_eq!(close.code, code, "{close:?}");
        }
    }

    /// Requires that the peer says CLOSE with this code, then closes.
    #[track_caller]
    pub fn is_refused_aloud(&mut self, code: CloseCode) {
        assert_eq!(self.hear_close().map(|close| close.code), Some(code));
    }
}

impl RawClient {
    /// Connects to a server, saying nothing yet: over TCP that is after the handshake, with the key that is let in.
    pub fn connect(address: &str) -> Self {
        match address.strip_prefix("unix:") {
            Some(path) => Self::over(UnixStream::connect(path).unwrap()),
            None => Self::connect_as(client_key(), address),
        }
    }

    /// Connects over TCP as the owner of `key`, saying nothing behind the handshake yet.
    pub fn connect_as(key: &PrivateKey, address: &str) -> Self {
        Self::secure(key, TcpStream::connect(address).unwrap())
    }

    /// Shakes hands as the owner of `key`, saying nothing behind that yet.
    pub fn secure(key: &PrivateKey, mut stream: TcpStream) -> Self {
        stream.set_deadline(DEADLINE);
        let mut tls = tls::client(key, host_key().public());
        while tls.is_handshaking() || tls.wants_write() {
            tls.complete_io(&mut stream).expect("no handshake");
        }
        Self::over(StreamOwned::new(tls, stream))
    }

    /// Connects over TCP, and leaves even TLS to the test.
    pub fn connect_bare(address: &str) -> Self {
        Self::over(TcpStream::connect(address).unwrap())
    }

    /// Speaks through a Unix socket that is open already.
    pub fn over_socket(stream: UnixStream) -> Self {
        Self::over(stream)
    }

    /// Connects to a server and exchanges greetings.
    pub fn greeted(address: &str) -> Self {
        let mut peer = Self::connect(address);
        peer.greet();
        let welcome = peer.hear();
        assert!(matches!(welcome, Some(Packet::Welcome(_))), "{welcome:?}");
        peer
    }

    /// Says HELLO.
    pub fn greet(&mut self) {
        let address = self.wire.local_address();
        self.send(Packet::Hello(Hello { address, ..Hello::new("", "raw client") }));
    }

    /// Hears until the job's end.
    pub fn hear_ended(&mut self, number: u32) -> Ended {
        loop {
            match self.hear() {
                Some(Packet::Message { job, message: ServerMessage::Ended(ended) }) if job.0 == number => {
                    return ended;
                }
                Some(Packet::Close(close)) => panic!("the server closed: {close:?}"),
                Some(_) => {}
                None => panic!("the server closed"),
            }
        }
    }
}

impl RawServer {
    /// Says that the job runs.
    pub fn send_started(&mut self, job: u32) {
        self.send_message(job, ServerMessage::Started { process_id: 4711, grace_ms: Some(0) });
    }

    /// Says that the job has exited with 0 after this much output.
    pub fn send_success(&mut self, job: u32, stdout: u64, stderr: u64) {
        self.send_success_after(job, &[(StreamId::Stdout, stdout), (StreamId::Stderr, stderr)]);
    }

    /// The same with what has come of each stream.
    pub fn send_success_after(&mut self, job: u32, totals: &[(StreamId, u64)]) {
        let totals = totals.iter().map(|&(stream, bytes)| StreamTotal { stream, bytes }).collect();
        let ended = Ended { totals, ..Ended::without_output(Outcome::Exited(0)) };
        self.send_message(job, ServerMessage::Ended(ended));
    }
}

/// The request to run a shell string under a new id.
pub fn start(command: &str) -> ClientMessage {
    start_spec(Spec::new(Program::Shell(command.into())))
}

/// The request to run this under a new id.
pub fn start_spec(spec: Spec) -> ClientMessage {
    start_as(JobId::random().unwrap(), spec)
}

/// The request to run this under this id.
pub fn start_as(id: JobId, spec: Spec) -> ClientMessage {
    ClientMessage::Start(Start::new(id, AttachmentId::random().unwrap(), spec).unwrap())
}

/// The first order that an attachment gives.
pub fn order(order: Order) -> ClientMessage {
    ClientMessage::Order { sequence: 1, order }
}

fn is_closed(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::BrokenPipe
            | ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            // TLS was cut off.
            | ErrorKind::UnexpectedEof
    ) || is_alert(error)
}

/// Whether the peer has ended TLS with a reason.
fn is_alert(error: &std::io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    matches!(inner, Some(rustls::Error::AlertReceived(_)))
}
