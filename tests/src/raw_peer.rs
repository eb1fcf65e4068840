//! Peers that say exactly what a test wants said, byte for byte, and tell what they hear.
//!
//! Blocking, with a deadline on every read.

use std::io::{ErrorKind, Read, Write};
use std::marker::PhantomData;
use std::net::{Shutdown, TcpListener, TcpStream};

use bytes::{Bytes, BytesMut};
use common::connection::packet_bytes;
use common::frame::{self, JobNumber, StreamId};
use common::greeting::{Close, CloseCode, Hello, VERSION, Welcome};
use common::job::{Ended, JobId, Outcome, Program, Spec, StreamTotal};
use common::message::{ClientMessage, Message, ServerMessage};
use common::packet::Packet;

use crate::wait::{DEADLINE, wait_until};

/// One end of a connection, under a test's control.
#[derive(Debug)]
pub struct RawPeer<Sends, Hears> {
    stream: TcpStream,
    buffer: BytesMut,
    directions: PhantomData<fn(Sends) -> Hears>,
}

/// A client under a test's control.
pub type RawClient = RawPeer<ClientMessage, ServerMessage>;

/// A server under a test's control.
pub type RawServer = RawPeer<ServerMessage, ClientMessage>;

/// Where a [`RawServer`] waits for its client.
#[derive(Debug)]
pub struct RawListener(TcpListener);

impl<Sends: Message, Hears: Message> RawPeer<Sends, Hears> {
    /// Takes over a connection.
    pub fn over(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_write_timeout(Some(DEADLINE)).unwrap();
        Self { stream, buffer: BytesMut::new(), directions: PhantomData }
    }

    /// Sends these bytes, whatever they mean. A peer that has closed already is no failure here; what it said
    /// before is still to be heard.
    pub fn send_bytes(&mut self, bytes: &[u8]) {
        if let Err(error) = self.stream.write_all(bytes) {
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
        // The peer may have closed already.
        self.stream.shutdown(Shutdown::Write).ok();
    }

    /// The next packet; `None` when the peer has closed.
    pub fn hear(&mut self) -> Option<Packet<Hears>> {
        loop {
            if let Some(frame) = frame::decode(&mut self.buffer).expect("the peer sends no frames") {
                return Some(Packet::from_frame(frame).expect("the peer sends no packets"));
            }
            let mut bytes = [0; 16 * 1024];
            match self.stream.read(&mut bytes) {
                Ok(0) => return None,
                Ok(read) => self.buffer.extend_from_slice(&bytes[..read]),
                Err(error) if is_closed(&error) => return None,
                Err(error) => panic!("the peer neither speaks nor closes: {error}"),
            }
        }
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
    /// Connects to a server, saying nothing yet.
    pub fn connect(address: &str) -> Self {
        Self::over(TcpStream::connect(address).unwrap())
    }

    /// Connects to a server and exchanges greetings.
    pub fn greeted(address: &str) -> Self {
        let mut peer = Self::connect(address);
        peer.send(Packet::Hello(Hello::new("", "raw client")));
        let welcome = peer.hear();
        assert!(matches!(welcome, Some(Packet::Welcome(_))), "{welcome:?}");
        peer
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

impl RawListener {
    /// Listens on a free port of 127.0.0.1.
    #[expect(clippy::new_without_default, reason = "it opens a socket")]
    pub fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        Self(listener)
    }

    /// Its address.
    pub fn address(&self) -> String {
        self.0.local_addr().unwrap().to_string()
    }

    /// Takes the next connection and says nothing yet.
    #[track_caller]
    pub fn accept(&self) -> RawServer {
        let mut accepted = None;
        wait_until("somebody connects", DEADLINE, || {
            accepted = self.0.accept().ok();
            accepted.is_some()
        });
        let (stream, _) = accepted.unwrap();
        stream.set_nonblocking(false).unwrap();
        RawPeer::over(stream)
    }

    /// Takes the next connection, greets it and hears its first START; gives the job's number as well.
    #[track_caller]
    pub fn accept_job(&self) -> (RawServer, u32) {
        let mut peer = self.accept();
        peer.send(Packet::Welcome(Welcome { version: VERSION, software: "raw server".to_owned() }));
        loop {
            match peer.hear() {
                Some(Packet::Message { job, message: ClientMessage::Start { .. } }) => return (peer, job.0),
                Some(_) => {}
                None => panic!("the client closed without a START"),
            }
        }
    }
}

impl RawServer {
    /// Says that the job runs.
    pub fn send_started(&mut self, job: u32) {
        self.send_message(job, ServerMessage::Started { process_id: 4711 });
    }

    /// Says that the job has exited with 0 after this much output.
    pub fn send_success(&mut self, job: u32, stdout: u64, stderr: u64) {
        let totals = vec![
            StreamTotal { stream: StreamId::Stdout, bytes: stdout },
            StreamTotal { stream: StreamId::Stderr, bytes: stderr },
        ];
        let ended = Ended { outcome: Outcome::Exited(0), totals, stdin_consumed: 0, output_left_open: false };
        self.send_message(job, ServerMessage::Ended(ended));
    }
}

/// The request to run a shell string under a new id.
pub fn start(command: &str) -> ClientMessage {
    ClientMessage::Start { id: JobId::random().unwrap(), spec: Spec::new(Program::Shell(command.into())) }
}

fn is_closed(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted)
}
