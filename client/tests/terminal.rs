//! Jobs on a terminal, with a server that a test has in its hand: how they are asked for, also again, and what a server is spared
//! that knows no terminals.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends at the first thing that is not as it should be"
)]

use std::time::Duration;

use bytes::BytesMut;
use client::{Client, Error, Target, Terminal, WindowSize};
use common::connection::packet_bytes;
use common::frame::{self, JobNumber};
use common::greeting::{Close, CloseCode, Features, VERSION, Welcome};
use common::job::{Extra, Program};
use common::message::{ClientMessage, Order, ServerMessage};
use common::packet::Packet;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;

/// Far more than anything here takes; it ends a test that would hang.
const DEADLINE: Duration = Duration::from_secs(10);

const JOB: JobNumber = JobNumber(1);

struct Server {
    stream: UnixStream,
    arrived: BytesMut,
}

impl Server {
    async fn accept(listener: &UnixListener, features: Features) -> Self {
        let (stream, _) = timeout(DEADLINE, listener.accept()).await.unwrap().unwrap();
        let mut server = Self { stream, arrived: BytesMut::new() };
        let Packet::Hello(hello) = server.hear().await else { panic!("no greeting") };
        assert!(hello.features.contain(Features::TERMINALS));
        server
            .say(Packet::Welcome(Welcome { version: VERSION, software: "test".to_owned(), features }))
            .await;
        server
    }

    async fn hear(&mut self) -> Packet<ClientMessage> {
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

    async fn hear_request(&mut self) -> ClientMessage {
        match self.hear().await {
            Packet::Message { job: JOB, message } => message,
            other => panic!("{other:?}"),
        }
    }

    async fn say(&mut self, packet: Packet<ServerMessage>) {
        self.stream.write_all(&packet_bytes(packet).unwrap()).await.unwrap();
    }

    async fn tell(&mut self, message: ServerMessage) {
        self.say(Packet::Message { job: JOB, message }).await;
    }
}

async fn listen() -> (TempDir, UnixListener, Client) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let listener = UnixListener::bind(&path).unwrap();
    let target: Target = format!("unix:{}", path.display()).parse().unwrap();
    let client = Client::connect(&target).await.unwrap();
    (directory, listener, client)
}

fn size(rows: u16) -> WindowSize {
    WindowSize { rows, columns: 80, width: 0, height: 0 }
}

fn terminal() -> Terminal {
    Terminal { name: "xterm".into(), size: size(24), modes: Vec::new() }
}

#[tokio::test]
async fn a_terminal_is_asked_for_until_it_is_there_and_each_size_is_said_until_it_is_taken() {
    let (_directory, listener, client) = listen().await;
    let job = client.login_shell().terminal(terminal()).start().await.unwrap();
    let mut server = Server::accept(&listener, Features::TERMINALS).await;
    let ClientMessage::StartWith { start: first, extras } = server.hear_request().await else { panic!() };
    assert_eq!((&first.spec.program, extras), (&Program::LoginShell, vec![Extra::Terminal(terminal())]));
    client.ready().await.unwrap();
    drop(server);

    let mut server = Server::accept(&listener, Features::TERMINALS).await;
    let ClientMessage::StartWith { start: again, extras } = server.hear_request().await else { panic!() };
    assert_eq!((&again.id, again.digest, extras.len()), (&first.id, first.digest, 1));
    server.tell(ServerMessage::Started { process_id: 1, grace_ms: Some(60_000) }).await;
    server.tell(ServerMessage::OnTerminal { size: size(24) }).await;
    job.started().await.unwrap();
    job.resize(size(25)).unwrap();
    let order = ClientMessage::Order { sequence: 1, order: Order::Resize(size(25)) };
    assert_eq!(server.hear_request().await, order);
    assert_eq!(job.terminal(), Some(size(24)), "it was said before the order was heard");
    drop(server);

    let mut server = Server::accept(&listener, Features::TERMINALS).await;
    let ClientMessage::Attach(attach) = server.hear_request().await else { panic!() };
    let attached = common::message::Attached {
        id: attach.job,
        process_id: Some(1),
        grace_ms: Some(60_000),
        streams: Vec::new(),
        stdin: None,
        applied: 0,
    };
    job.resize(size(26)).unwrap();
    job.resize(size(27)).unwrap();
    server.tell(ServerMessage::Attached(attached)).await;
    assert_eq!(server.hear_request().await, order, "which may be lost");
    let next = server.hear_request().await;
    let last = ClientMessage::Order { sequence: 2, order: Order::Resize(size(27)) };
    assert_eq!(next, last);
}

#[tokio::test]
async fn a_server_that_knows_no_terminals_is_named_as_the_reason_and_asked_once() {
    let (_directory, listener, client) = listen().await;
    let job = client.command("vi").terminal(terminal()).start().await.unwrap();
    let mut server = Server::accept(&listener, Features::default()).await;
    assert!(matches!(server.hear_request().await, ClientMessage::StartWith { .. }));
    let error = job.started().await.unwrap_err();
    assert!(matches!(error, Error::TooOld { .. }), "{error:?}");
    for command in [client.command("vi").terminal(terminal()), &mut client.login_shell()] {
        let error = command.start().await.unwrap_err();
        assert!(matches!(error, Error::TooOld { .. }), "{error:?}");
    }
    // What an older server says to what it cannot read.
    server.say(Packet::Close(Close::new(CloseCode::Violation, "what is that"))).await;
    assert!(matches!(job.wait().await.unwrap_err(), Error::TooOld { .. }));
}

#[tokio::test]
async fn a_size_is_said_once_the_job_is_known_to_have_a_terminal() {
    let (_directory, listener, client) = listen().await;
    let job = client.command("cat").start().await.unwrap();
    job.resize(size(1)).unwrap();
    let mut server = Server::accept(&listener, Features::default()).await;
    assert!(matches!(server.hear_request().await, ClientMessage::Start(_)));
    server.tell(ServerMessage::Started { process_id: 1, grace_ms: None }).await;
    job.started().await.unwrap();
    job.resize(size(2)).unwrap();
    job.signal("USR1".parse().unwrap()).unwrap();
    let signal = Order::Signal("USR1".parse().unwrap());
    assert_eq!(server.hear_request().await, ClientMessage::Order { sequence: 1, order: signal });
    server.tell(ServerMessage::OnTerminal { size: size(24) }).await;
    let last = ClientMessage::Order { sequence: 2, order: Order::Resize(size(2)) };
    assert_eq!(server.hear_request().await, last);
}
