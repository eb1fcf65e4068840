//! A line that is lost and made again, with a server that a test has in its hand: what the client says on the next connection,
//! and what it still says of what changes before the server has answered.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends at the first thing that is not as it should be"
)]

mod support {
    pub(crate) mod server;
}

use bytes::Bytes;
use client::{Client, Job, Stdin};
use common::frame::StreamId;
use common::greeting::Features;
use common::job::Signal;
use common::limits::INITIAL_WINDOW;
use common::message::{
    Attach, Attached, Begins, ClientMessage, Order, Position, Role, ServerMessage, StdinProgress,
};
use common::packet::Packet;
use support::server::{JOB, Server, listen};
use tempfile::TempDir;
use tokio::net::UnixListener;

/// A client, its only job, and the server's socket.
struct Line {
    listener: UnixListener,
    client: Client,
    job: Job,
    _directory: TempDir,
}

impl Server {
    async fn hear_attach(&mut self) -> Attach {
        match self.hear_request().await {
            ClientMessage::Attach(attach) => attach,
            other => panic!("{other:?}"),
        }
    }

    /// The next that is no acknowledgement has to be this.
    async fn hears_stdin(&mut self, from: u64, content: &str) {
        let packet = loop {
            match self.hear().await {
                Packet::Ack { .. } => {}
                packet => break packet,
            }
        };
        let expected =
            matches!(&packet, Packet::Data { offset, bytes, .. } if *offset == from && bytes == content);
        assert!(expected, "{packet:?}");
    }

    async fn write(&mut self, offset: u64, bytes: &[u8]) {
        let bytes = Bytes::copy_from_slice(bytes);
        self.say(Packet::Data { job: JOB, stream: StreamId::Stdout, offset, bytes }).await;
    }

    /// Says that the client has hold of the job again, and has its output from `at` on.
    async fn tell_attached(&mut self, attach: &Attach, at: u64, stdin: Option<StdinProgress>) {
        let (process_id, grace_ms) = (Some(1), Some(60_000));
        let streams = vec![Begins { stream: StreamId::Stdout, at }];
        let id = attach.job.clone();
        let attached = Attached { id, process_id, grace_ms, streams, stdin, applied: 0 };
        self.tell(ServerMessage::Attached(attached)).await;
    }
}

/// Has a client start a job that reads, which the server says runs.
async fn start() -> (Line, Server) {
    let (directory, listener, client) = listen().await;
    let mut server = Server::accept(&listener, Features::default()).await;
    let job = client.command("cat").stdin(Stdin::Piped).start().await.unwrap();
    let start = server.hear_request().await;
    assert!(matches!(start, ClientMessage::Start(_)), "{start:?}");
    server.tell(ServerMessage::Started { process_id: 1, grace_ms: Some(60_000) }).await;
    job.started().await.unwrap();
    (Line { listener, client, job, _directory: directory }, server)
}

#[tokio::test]
async fn a_job_goes_on_where_it_was_in_both_directions() {
    let (mut line, mut server) = start().await;
    let (stdin, mut stdout) = (line.job.stdin.take().unwrap(), line.job.stdout.take().unwrap());
    server.write(0, b"hello").await;
    assert_eq!(stdout.next().await.unwrap(), "hello");
    assert!(stdin.write(Bytes::from_static(b"0123456789")).await);
    server.hears_stdin(0, "0123456789").await;
    line.job.signal("INT".parse::<Signal>().unwrap()).unwrap();
    let order = Packet::Message {
        job: JOB,
        message: ClientMessage::Order { sequence: 1, order: Order::Signal("INT".parse().unwrap()) },
    };
    assert_eq!(server.hear().await, order);
    // Nobody has heard that it was carried out, nor how much of stdin has arrived.
    drop(server);
    let mut server = Server::accept(&line.listener, Features::default()).await;
    let attach = server.hear_attach().await;
    assert_eq!((&attach.job, attach.role), (line.job.id(), Role::Writer));
    let places: Vec<_> = attach.streams.iter().map(|wanted| (wanted.stream, wanted.from)).collect();
    assert_eq!(places, [(StreamId::Stdout, Position::At(5)), (StreamId::Stderr, Position::At(0))]);
    let progress = StdinProgress { received: 4, limit: INITIAL_WINDOW, consumed: 4 };
    server.tell_attached(&attach, 5, Some(progress)).await;
    assert_eq!(server.hear().await, order, "an order that may be lost is said again");
    server.hears_stdin(4, "456789").await;
    server.tell(ServerMessage::Applied { sequence: 1 }).await;
    // The front of it is a repetition.
    server.write(3, b"lo, again").await;
    assert_eq!(stdout.next().await.unwrap(), ", again");
    drop(line.client);
}

/// A job whose output has filled its window, on a line that was lost: the server has heard ATTACH, and not answered.
async fn full_and_lost() -> (Line, Server, Attach) {
    let (line, mut server) = start().await;
    server.write(0, &vec![b'x'; INITIAL_WINDOW as usize]).await;
    // Answered when everything before it has been taken.
    server.say(Packet::Ping(common::packet::Echo { token: 1, payload: Bytes::new() })).await;
    assert!(matches!(server.hear().await, Packet::Pong(_)));
    drop(server);
    let mut server = Server::accept(&line.listener, Features::default()).await;
    let attach = server.hear_attach().await;
    let wanted = attach.streams.iter().find(|wanted| wanted.stream == StreamId::Stdout).unwrap();
    assert_eq!((wanted.from, wanted.window), (Position::At(INITIAL_WINDOW), 0));
    (line, server, attach)
}

#[tokio::test]
async fn a_window_that_opens_before_the_server_has_answered_is_told() {
    let (mut line, mut server, attach) = full_and_lost().await;
    let mut stdout = line.job.stdout.take().unwrap();
    let mut taken = 0;
    while taken < INITIAL_WINDOW {
        taken += stdout.next().await.unwrap().len() as u64;
    }
    server.tell_attached(&attach, INITIAL_WINDOW, None).await;
    let ack = server.hear().await;
    assert!(
        matches!(ack, Packet::Ack { stream: StreamId::Stdout, ack, .. } if ack.limit > INITIAL_WINDOW),
        "{ack:?}"
    );
}

#[tokio::test]
async fn an_output_that_is_closed_before_the_server_has_answered_is_told() {
    let (mut line, mut server, attach) = full_and_lost().await;
    drop(line.job.stdout.take());
    server.tell_attached(&attach, INITIAL_WINDOW, None).await;
    let stop = server.hear().await;
    assert!(matches!(stop, Packet::StopSending { stream: StreamId::Stdout, .. }), "{stop:?}");
}

#[tokio::test]
async fn an_order_that_is_given_before_the_server_has_answered_is_said() {
    let (line, mut server, attach) = full_and_lost().await;
    line.job.cancel().unwrap();
    server.tell_attached(&attach, INITIAL_WINDOW, None).await;
    let message = ClientMessage::Order { sequence: 1, order: Order::Cancel };
    assert_eq!(server.hear().await, Packet::Message { job: JOB, message });
}
