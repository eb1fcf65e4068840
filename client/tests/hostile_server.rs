//! A server that sends more than the client has room for is refused at the first byte too many, and the client holds no more
//! than the window that it gave.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test ends at the first thing that is not as it should be"
)]

use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use client::{Client, Error, Target};
use common::connection::{ConnectionError, packet_bytes};
use common::frame::{self, JobNumber, StreamId};
use common::greeting::{CloseCode, Features, VERSION, Welcome};
use common::limits::{DATA_PAYLOAD, INITIAL_WINDOW, STREAM_WINDOW};
use common::message::{ClientMessage, ServerMessage};
use common::packet::Packet;
use common::stream::StreamError;
use common::transport::Transport;

/// What comes behind the byte too many.
const EXCESS: u64 = 16 * 1024 * 1024;

/// What the system holds of a Unix socket, and the client of a frame that it is reading.
const UNDER_WAY: u64 = 1024 * 1024;

/// Far more than anything here takes; it ends a test that would hang.
const DEADLINE: Duration = Duration::from_secs(30);

/// The server's end.
struct Server {
    stream: UnixStream,
    arrived: BytesMut,
    /// Bytes of stdout that were sent.
    sent: u64,
}

impl Server {
    /// The next packet; `None` at the end.
    fn hear(&mut self) -> Option<Packet<ClientMessage>> {
        loop {
            if let Some(frame) = frame::decode(&mut self.arrived).unwrap() {
                return Some(Packet::from_frame(frame).unwrap());
            }
            let mut bytes = [0; 4096];
            match self.stream.read(&mut bytes) {
                Ok(0) => return None,
                Ok(read) => self.arrived.extend_from_slice(&bytes[..read]),
                // It has left something unread.
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("the client neither speaks nor closes: {error}"),
            }
        }
    }

    fn say(&mut self, packet: Packet<ServerMessage>) -> io::Result<()> {
        self.stream.write_all(&packet_bytes(packet).unwrap())
    }

    /// Sends `len` bytes of stdout.
    fn send(&mut self, len: u64) -> io::Result<()> {
        let bytes = Bytes::from(vec![b'x'; len as usize]);
        let offset = self.sent;
        self.say(Packet::Data { job: JobNumber(1), stream: StreamId::Stdout, offset, bytes })?;
        self.sent += len;
        Ok(())
    }

    /// Sends up to `limit`, a byte more, and a lot behind it; which CLOSE it hears.
    fn overrun(&mut self, limit: u64) -> Option<CloseCode> {
        while self.sent < limit {
            self.send((limit - self.sent).min(DATA_PAYLOAD as u64)).unwrap();
        }
        self.send(1).unwrap();
        while self.sent < limit + EXCESS && self.send(DATA_PAYLOAD as u64).is_ok() {}
        loop {
            match self.hear()? {
                Packet::Close(close) => return Some(close.code),
                _ => continue,
            }
        }
    }
}

/// Starts a server that welcomes, starts the first job, and then does this.
fn server<T: Send + 'static>(act: impl FnOnce(Server) -> T + Send + 'static) -> (UnixStream, JoinHandle<T>) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    ours.set_read_timeout(Some(DEADLINE)).unwrap();
    ours.set_write_timeout(Some(DEADLINE)).unwrap();
    let serving = thread::spawn(move || {
        let mut server = Server { stream: ours, arrived: BytesMut::new(), sent: 0 };
        server
            .say(Packet::Welcome(Welcome {
                version: VERSION,
                software: "test".to_owned(),
                features: Features::default(),
            }))
            .unwrap();
        while !matches!(server.hear(), Some(Packet::Message { .. })) {}
        let started = ServerMessage::Started { process_id: 1, grace_ms: Some(60_000) };
        server.say(Packet::Message { job: JobNumber(1), message: started }).unwrap();
        act(server)
    });
    (theirs, serving)
}

fn connect(stream: UnixStream) -> Client {
    stream.set_nonblocking(true).unwrap();
    let stream = tokio::net::UnixStream::from_std(stream).unwrap();
    Client::over(Transport::Unix(stream), &"unix:/test".parse::<Target>().unwrap())
}

/// Requires that a job was lost to a server that went beyond `limit`.
#[track_caller]
fn is_refused(error: &Error, limit: u64) {
    let Error::Connection(error) = error else { panic!("{error}") };
    let expected = StreamError::BeyondLimit { end: limit + 1, limit };
    assert!(matches!(&**error, ConnectionError::Stream(found) if *found == expected), "{error}");
}

#[tokio::test]
async fn a_byte_beyond_the_first_window_is_refused_and_nothing_behind_it_is_held() {
    let (stream, serving) = server(|mut server| (server.overrun(INITIAL_WINDOW), server.sent));
    let client = connect(stream);
    let mut job = client.command("yes").spawn().await.unwrap();
    is_refused(&job.wait().await.unwrap_err(), INITIAL_WINDOW);
    let held = job.stdout.take().unwrap().read_to_end().await;
    assert_eq!(held.len() as u64, INITIAL_WINDOW);
    client.close().await;
    let (close, sent) = serving.join().unwrap();
    assert!(sent <= INITIAL_WINDOW + UNDER_WAY, "the client has taken some of {sent} bytes");
    assert!(matches!(close, None | Some(CloseCode::Violation)), "{close:?}");
}

#[tokio::test]
async fn a_byte_beyond_an_opened_window_is_refused_and_nothing_behind_it_is_held() {
    let (stream, serving) = server(|mut server| {
        server.send(INITIAL_WINDOW).unwrap();
        let limit = loop {
            match server.hear() {
                Some(Packet::Ack { ack, .. }) => break ack.limit,
                Some(_) => {}
                None => panic!("no acknowledgement"),
            }
        };
        (limit, server.overrun(limit), server.sent)
    });
    let client = connect(stream);
    let mut job = client.command("yes").spawn().await.unwrap();
    let mut stdout = job.stdout.take().unwrap();
    let mut taken = 0;
    while taken < INITIAL_WINDOW {
        taken += stdout.next().await.unwrap().len() as u64;
    }
    let error = job.wait().await.unwrap_err();
    let held = stdout.read_to_end().await.len() as u64;
    client.close().await;
    let (limit, close, sent) = serving.join().unwrap();
    is_refused(&error, limit);
    assert!(limit <= INITIAL_WINDOW + STREAM_WINDOW && held == limit - taken, "{held} of {limit}");
    assert!(sent <= limit + UNDER_WAY, "the client has taken some of {sent} bytes");
    assert!(matches!(close, None | Some(CloseCode::Violation)), "{close:?}");
}

#[tokio::test]
async fn a_window_for_stdin_is_what_the_server_says_and_never_goes_back() {
    let (stream, serving) = server(|mut server| {
        let ack = |limit| Packet::Ack {
            job: JobNumber(1),
            stream: StreamId::Stdin,
            ack: common::packet::Ack { received: 0, limit, consumed: 0 },
        };
        server.say(ack(INITIAL_WINDOW + 10)).unwrap();
        let mut received = 0;
        while received < INITIAL_WINDOW + 10 {
            match server.hear() {
                Some(Packet::Data { offset, bytes, .. }) => {
                    assert_eq!(offset, received);
                    received += bytes.len() as u64;
                }
                other => panic!("{other:?}"),
            }
        }
        server.say(ack(INITIAL_WINDOW)).unwrap();
        let mut close = None;
        while let Some(packet) = server.hear() {
            match packet {
                Packet::Data { .. } => received += 1,
                Packet::Close(said) => close = Some(said.code),
                _ => {}
            }
        }
        (received, close)
    });
    let client = connect(stream);
    let mut job = client.command("cat").stdin(client::Stdin::Piped).spawn().await.unwrap();
    let stdin = job.stdin.take().unwrap();
    let writing = stdin.write(Bytes::from(vec![b'x'; 1024 * 1024]));
    let (written, ended) = tokio::join!(writing, job.wait());
    assert!(!written, "more than the window was sent");
    let Err(Error::Connection(error)) = ended else { panic!("{ended:?}") };
    assert!(matches!(&*error, ConnectionError::Stream(StreamError::ImpossibleAck)), "{error}");
    client.close().await;
    let (received, close) = serving.join().unwrap();
    assert_eq!((received, close), (INITIAL_WINDOW + 10, Some(CloseCode::Violation)));
}
