//! A server that a test has in its hand, as far as any such test needs it: it greets, hears packets and says packets.

use std::time::Duration;

use bytes::BytesMut;
use client::{Client, Target};
use common::connection::packet_bytes;
use common::frame::{self, JobNumber};
use common::greeting::{Features, VERSION, Welcome};
use common::message::{ClientMessage, ServerMessage};
use common::packet::Packet;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;

/// Far more than anything here takes; it ends a test that would hang.
pub(crate) const DEADLINE: Duration = Duration::from_secs(10);

/// The client's only job.
pub(crate) const JOB: JobNumber = JobNumber(1);

/// The server's end of one connection.
pub(crate) struct Server {
    stream: UnixStream,
    arrived: BytesMut,
}

/// A socket, and a client on its way there. The directory is the socket's.
pub(crate) async fn listen() -> (TempDir, UnixListener, Client) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let listener = UnixListener::bind(&path).unwrap();
    let target: Target = format!("unix:{}", path.display()).parse().unwrap();
    let client = Client::connect(&target).await.unwrap();
    (directory, listener, client)
}

impl Server {
    /// The next connection, greeted by a server of these features.
    pub(crate) async fn accept(listener: &UnixListener, features: Features) -> Self {
        let (stream, _) = timeout(DEADLINE, listener.accept()).await.unwrap().unwrap();
        let mut server = Self { stream, arrived: BytesMut::new() };
        let Packet::Hello(hello) = server.hear().await else { panic!("no greeting") };
        assert!(hello.features.contain(Features::TERMINALS));
        server
            .say(Packet::Welcome(Welcome { version: VERSION, software: "test".to_owned(), features }))
            .await;
        server
    }

    /// The next packet.
    pub(crate) async fn hear(&mut self) -> Packet<ClientMessage> {
        timeout(DEADLINE, async {
            loop {
                if let Some(frame) = frame::decode(&mut self.arrived).unwrap() {
                    return Packet::from_frame(frame).unwrap();
                }
                assert_ne!(
                    self.stream.read_buf(&mut self.arrived).await.unwrap(),
                    0,
                    "the client has closed"
                );
            }
        })
        .await
        .unwrap_or_else(|_| panic!("the client says nothing"))
    }

    /// The next packet, which has to be about the job.
    pub(crate) async fn hear_request(&mut self) -> ClientMessage {
        match self.hear().await {
            Packet::Message { job: JOB, message } => message,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn say(&mut self, packet: Packet<ServerMessage>) {
        self.stream.write_all(&packet_bytes(packet).unwrap()).await.unwrap();
    }

    /// Says something about the job.
    pub(crate) async fn tell(&mut self, message: ServerMessage) {
        self.say(Packet::Message { job: JOB, message }).await;
    }
}
