//! A job that is taken hold of again: nothing is started twice, every byte arrives once, every order is carried out once.

use bytes::Bytes;
use common::frame::{JobNumber, StreamId};
use common::greeting::CloseCode;
use common::job::{Outcome, Program, Signal, Spec};
use common::limits::INITIAL_WINDOW;
use common::message::{
    Attach, Attached, AttachmentId, ClientMessage, Order, Position, Refusal, Role, ServerMessage, Start,
    Wanted,
};
use common::packet::Packet;

use super::peer::{Peer, packet, request};
use super::world::World;

const ANN: AttachmentId = AttachmentId(1);
const BOB: AttachmentId = AttachmentId(2);

fn shell(script: &str, stdin: bool) -> Spec {
    Spec { stdin, ..Spec::new(Program::Shell(script.into())) }
}

fn start(id: &str, attachment: AttachmentId, spec: Spec) -> Start {
    Start::new(id.parse().unwrap(), attachment, spec).unwrap()
}

fn attach(id: &str, attachment: AttachmentId, streams: Vec<Wanted>) -> ClientMessage {
    let job = id.parse().unwrap();
    ClientMessage::Attach(Attach { job, attachment, role: Role::Writer, streams, times: false })
}

fn stdout_from(at: u64) -> Vec<Wanted> {
    vec![Wanted { stream: StreamId::Stdout, from: Position::At(at), window: INITIAL_WINDOW }]
}

fn order(sequence: u64, order: Order) -> ClientMessage {
    ClientMessage::Order { sequence, order }
}

fn stdin(job: u32, offset: u64, bytes: &'static [u8]) -> Vec<u8> {
    let (job, bytes) = (JobNumber(job), Bytes::from_static(bytes));
    packet(Packet::Data { job, stream: StreamId::Stdin, offset, bytes })
}

fn is_stdout(packet: &Packet<ServerMessage>) -> bool {
    matches!(packet, Packet::Data { stream: StreamId::Stdout, .. })
}

impl Peer {
    /// The next message about this number.
    async fn hear_about(&mut self, number: u32) -> ServerMessage {
        let about =
            |packet: &Packet<ServerMessage>| matches!(packet, Packet::Message { job, .. } if job.0 == number);
        match self.hear_until(about).await {
            Some(Packet::Message { message, .. }) => message,
            other => panic!("nothing about {number}: {other:?}"),
        }
    }

    async fn hear_attached(&mut self, number: u32) -> Attached {
        match self.hear_about(number).await {
            ServerMessage::Attached(attached) => attached,
            other => panic!("{other:?}"),
        }
    }

    /// The next `len` bytes of stdout, which have to come from `offset` on.
    async fn hear_stdout(&mut self, offset: u64, len: usize) -> Vec<u8> {
        let mut heard = Vec::new();
        while heard.len() < len {
            match self.hear_until(is_stdout).await {
                Some(Packet::Data { offset: at, bytes, .. }) => {
                    assert_eq!(at, offset + heard.len() as u64);
                    heard.extend_from_slice(&bytes);
                }
                other => panic!("{other:?}"),
            }
        }
        heard
    }
}

#[tokio::test]
async fn a_start_that_is_said_again_attaches_and_starts_nothing() {
    let world = World::new();
    let (mut ann, _) = world.client().await;
    let first = start("job", ANN, shell("echo once; cat", true));
    ann.say(&request(1, ClientMessage::Start(first.clone()))).await;
    assert_eq!(ann.hear_stdout(0, 5).await, b"once\n");
    let (mut again, _) = world.client().await;
    again.say(&request(7, ClientMessage::Start(Start { age_ms: 1, ..first.clone() }))).await;
    let attached = again.hear_attached(7).await;
    assert_eq!(attached.id.as_str(), "job");
    assert!(attached.process_id.is_some() && attached.stdin.is_some());
    assert_eq!(again.hear_stdout(0, 5).await, b"once\n");
    again.say(&packet(Packet::Eof { job: JobNumber(7), stream: StreamId::Stdin, total: 0 })).await;
    assert!(again.hear_ended(7).await.is_success());
    // And once more, when it is over.
    again.say(&request(8, ClientMessage::Start(first))).await;
    again.hear_attached(8).await;
    assert!(again.hear_ended(8).await.is_success());
    assert_eq!(world.records("job_start").await.len(), 1);
}

#[tokio::test]
async fn another_request_under_the_same_id_is_refused() {
    let world = World::new();
    let (mut ann, _) = world.client().await;
    ann.say(&request(1, ClientMessage::Start(start("job", ANN, shell("true", false))))).await;
    assert!(ann.hear_ended(1).await.is_success());
    ann.say(&request(2, ClientMessage::Start(start("job", ANN, shell("false", false))))).await;
    assert_eq!(ann.hear_about(2).await, ServerMessage::Refused(Refusal::Conflict));
    assert_eq!(world.records("job_start").await.len(), 1);
}

#[tokio::test]
async fn a_start_from_before_the_servers_memory_is_lost_and_not_run() {
    let world = World::new();
    let (mut ann, _) = world.client().await;
    let early = Start { age_ms: 3_600_000, ..start("job", ANN, shell("true", false)) };
    ann.say(&request(1, ClientMessage::Start(early))).await;
    let outcome = ann.hear_ended(1).await;
    assert!(matches!(outcome, Outcome::Lost(_)), "{outcome}");
    assert!(world.records("job_start").await.is_empty());
}

#[tokio::test]
async fn both_directions_go_on_where_they_were() {
    let world = World::new();
    let (mut ann, _) = world.client().await;
    ann.say(&request(1, ClientMessage::Start(start("job", ANN, shell("cat", true))))).await;
    ann.say(&stdin(1, 0, b"hello ")).await;
    assert_eq!(ann.hear_stdout(0, 6).await, b"hello ");
    // Each time over another connection, of which the one before need not have gone: the client says what it has, and repeats
    // what it cannot know to have arrived.
    let mut peers = vec![ann];
    for turn in 0..5_u64 {
        let (mut peer, _) = world.client().await;
        let had = 6 + turn;
        peer.say(&request(1, attach("job", ANN, stdout_from(had - 3)))).await;
        let attached = peer.hear_attached(1).await;
        let progress = attached.stdin.unwrap();
        assert!(progress.received == had && progress.consumed <= had && progress.limit > had, "{progress:?}");
        peer.say(&stdin(1, had - 1, b"?!")).await;
        let heard = peer.hear_stdout(had - 3, 4).await;
        assert!(heard.ends_with(b"!"), "{heard:?}");
        peers.push(peer);
    }
    let mut last = peers.pop().unwrap();
    last.say(&packet(Packet::Eof { job: JobNumber(1), stream: StreamId::Stdin, total: 11 })).await;
    assert!(last.hear_ended(1).await.is_success());
    for mut peer in peers {
        assert!(peer.is_served(9).await);
    }
}

#[tokio::test]
async fn the_last_attachment_is_the_writer_and_only_another_is_told() {
    let world = World::new();
    let (mut ann, _) = world.client().await;
    ann.say(&request(1, ClientMessage::Start(start("job", ANN, shell("cat", true))))).await;
    ann.say(&stdin(1, 0, b"a")).await;
    assert_eq!(ann.hear_stdout(0, 1).await, b"a");
    let (mut bob, _) = world.client().await;
    bob.say(&request(1, attach("job", BOB, stdout_from(1)))).await;
    assert_eq!(bob.hear_attached(1).await.applied, 0);
    assert_eq!(ann.hear_about(1).await, ServerMessage::Superseded);
    // What the one before still sends has no effect, and her end takes nothing along.
    ann.say(&stdin(1, 1, b"nobody hears this")).await;
    ann.say(&request(1, order(1, Order::Cancel))).await;
    assert!(ann.is_served(1).await);
    drop(ann);
    bob.say(&stdin(1, 1, b"b")).await;
    assert_eq!(bob.hear_stdout(1, 1).await, b"b");
    let (mut again, _) = world.client().await;
    again.say(&request(1, attach("job", BOB, stdout_from(2)))).await;
    again.hear_attached(1).await;
    let pong = |packet: &Packet<ServerMessage>| matches!(packet, Packet::Pong(_));
    bob.say(&packet(Packet::Ping(common::packet::Echo { token: 1, payload: Bytes::new() }))).await;
    let next = bob.hear_until(|packet| pong(packet) || matches!(packet, Packet::Message { .. })).await;
    assert!(next.as_ref().is_some_and(pong), "{next:?}");
    again.say(&packet(Packet::Eof { job: JobNumber(1), stream: StreamId::Stdin, total: 2 })).await;
    assert!(again.hear_ended(1).await.is_success());
}

#[tokio::test]
async fn an_order_that_is_said_again_is_answered_and_not_carried_out_again() {
    let world = World::new();
    let (mut ann, _) = world.client().await;
    let end = world.path("end");
    let script = "trap 'echo -n s' USR1; echo -n r; until [ -e \"$0\" ]; do sleep 0.01; done; exit 5";
    let words = ["sh".into(), "-c".into(), script.into(), end.as_os_str().into()];
    ann.say(&request(1, ClientMessage::Start(start("job", ANN, Spec::new(Program::Argv(words.into()))))))
        .await;
    assert_eq!(ann.hear_stdout(0, 1).await, b"r");
    let signal = || order(1, Order::Signal("USR1".parse::<Signal>().unwrap()));
    ann.say(&request(1, signal())).await;
    assert_eq!(ann.hear_stdout(1, 1).await, b"s");
    let (mut again, _) = world.client().await;
    again.say(&request(1, attach("job", ANN, stdout_from(2)))).await;
    again.say(&request(1, signal())).await;
    assert_eq!(again.hear_attached(1).await.applied, 1);
    assert_eq!(again.hear_about(1).await, ServerMessage::Applied { sequence: 1 });
    std::fs::write(end, "").unwrap();
    let ended = |packet: &Packet<ServerMessage>| {
        matches!(packet, Packet::Message { message: ServerMessage::Ended(_), .. })
    };
    match again.hear_until(|packet| ended(packet) || is_stdout(packet)).await {
        Some(Packet::Message { message: ServerMessage::Ended(end), .. }) => {
            assert_eq!(end.outcome, Outcome::Exited(5));
        }
        other => panic!("the signal has come twice: {other:?}"),
    }
}

#[tokio::test]
async fn an_order_before_which_another_is_missing_is_a_violation() {
    let world = World::new();
    let (mut ann, serving) = world.client().await;
    ann.say(&request(1, ClientMessage::Start(start("job", ANN, shell("cat", true))))).await;
    ann.say(&request(1, order(2, Order::Cancel))).await;
    assert_eq!(ann.hear_close().await, Some(CloseCode::Violation));
    serving.await.unwrap();
    world.jobs_are_over().await;
}

#[tokio::test]
async fn what_is_not_kept_and_what_was_never_written_is_refused_by_name() {
    let world = World::new();
    let (mut ann, _) = world.client().await;
    ann.say(&request(1, ClientMessage::Start(start("job", ANN, shell("echo -n 12345; cat", true))))).await;
    ann.hear_stdout(0, 5).await;
    let ack = common::packet::Ack { received: 4, limit: INITIAL_WINDOW, consumed: 0 };
    ann.say(&packet(Packet::Ack { job: JobNumber(1), stream: StreamId::Stdout, ack })).await;
    ann.say(&request(2, attach("job", BOB, stdout_from(3)))).await;
    let stream = StreamId::Stdout;
    assert_eq!(ann.hear_about(2).await, ServerMessage::Refused(Refusal::Trimmed { stream, oldest: 4 }));
    ann.say(&request(3, attach("job", BOB, stdout_from(6)))).await;
    assert_eq!(ann.hear_about(3).await, ServerMessage::Refused(Refusal::Beyond { stream, end: 5 }));
    // Nobody has taken her place.
    ann.say(&packet(Packet::Eof { job: JobNumber(1), stream: StreamId::Stdin, total: 0 })).await;
    assert!(ann.hear_ended(1).await.is_success());
}

#[tokio::test]
async fn a_start_that_is_said_again_to_a_server_that_stops_is_not_called_not_started() {
    let world = World::new();
    let (mut ann, _) = world.client().await;
    let first = start("job", ANN, shell("trap '' HUP TERM; echo; cat; exit 3", true));
    ann.say(&request(1, ClientMessage::Start(first.clone()))).await;
    ann.hear_stdout(0, 1).await;
    world.service.stopping.cancel();
    ann.say(&request(2, ClientMessage::Start(Start { age_ms: 1, ..first }))).await;
    ann.hear_attached(2).await;
}

#[tokio::test]
async fn the_orders_of_many_others_do_not_make_a_clients_next_one_a_violation() {
    let world = World::new();
    let (mut ann, _) = world.client().await;
    ann.say(&request(1, ClientMessage::Start(start("job", ANN, shell("echo; cat", true))))).await;
    ann.hear_stdout(0, 1).await;
    let signal = |sequence| order(sequence, Order::Signal("CONT".parse().unwrap()));
    ann.say(&request(1, signal(1))).await;
    assert!(ann.is_served(1).await);
    let (mut bob, _) = world.client().await;
    for number in 1..=64 {
        let attach = Attach {
            job: "job".parse().unwrap(),
            attachment: AttachmentId(100 + u64::from(number)),
            role: Role::Controller,
            streams: Vec::new(),
            times: false,
        };
        bob.say(&request(number, ClientMessage::Attach(attach))).await;
        bob.hear_attached(number).await;
        bob.say(&request(number, signal(1))).await;
        assert_eq!(bob.hear_about(number).await, ServerMessage::Applied { sequence: 1 });
    }
    ann.say(&request(1, signal(2))).await;
    let applied = ServerMessage::Applied { sequence: 2 };
    let heard = ann.hear_until(|packet| match packet {
        Packet::Message { message, .. } => *message == applied,
        packet => matches!(packet, Packet::Close(_)),
    });
    let heard = heard.await;
    assert!(matches!(heard, Some(Packet::Message { .. })), "{heard:?}");
}
