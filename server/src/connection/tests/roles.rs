//! Who may do what with a job, what each role hears, and what becomes of the job when one leaves.

use bytes::Bytes;
use common::frame::{JobNumber, StreamId};
use common::greeting::CloseCode;
use common::job::{ByteString, Extras, Keeping, OnDisconnect, Outcome, Program, Spec, Terminal, WindowSize};
use common::limits::{INITIAL_WINDOW, JOBS_PER_CONNECTION};
use common::message::{
    Attach, AttachmentId, ClientMessage, JobState, JobSummary, Order, Position, Refusal, Role, ServerMessage,
    Start, Wanted,
};
use common::packet::{Ack, Echo, Packet};

use super::peer::{Peer, packet, request};
use super::world::{World, start};

const READ: &str = "echo -n hi; cat";

fn spec(script: &str, on_disconnect: OnDisconnect) -> Spec {
    let keeping = Keeping { on_disconnect, ..Keeping::default() };
    Spec { stdin: true, keeping, ..Spec::new(Program::Shell(script.into())) }
}

/// A client that has started `id`, which is ready when it has said two bytes.
async fn starter(world: &World, id: &str, on_disconnect: OnDisconnect) -> Peer {
    let (mut peer, _) = world.client().await;
    let start = Start::new(id.parse().unwrap(), AttachmentId(1), spec(READ, on_disconnect)).unwrap();
    peer.say(&request(1, ClientMessage::Start(start))).await;
    assert!(peer.hear_until(|packet| matches!(packet, Packet::Data { .. })).await.is_some());
    peer
}

fn attach(id: &str, attachment: u64, role: Role, streams: Vec<Wanted>) -> ClientMessage {
    let (job, attachment) = (id.parse().unwrap(), AttachmentId(attachment));
    ClientMessage::Attach(Attach { job, attachment, role, streams, times: false })
}

fn stdout() -> Vec<Wanted> {
    vec![Wanted { stream: StreamId::Stdout, from: Position::Oldest, window: INITIAL_WINDOW }]
}

impl Peer {
    /// Asks, and hears the answers until the one that is the last about this number, or says that hold is taken.
    async fn ask(&mut self, number: u32, message: ClientMessage) -> Vec<ServerMessage> {
        self.say(&request(number, message)).await;
        let mut answers = Vec::new();
        loop {
            match self.hear().await {
                Some(Packet::Message { job, message }) if job.0 == number => {
                    let last = !matches!(message, ServerMessage::Listed(_));
                    answers.push(message);
                    if last {
                        return answers;
                    }
                }
                Some(_) => {}
                None => panic!("{answers:?}, and the end"),
            }
        }
    }

    /// The jobs that run.
    async fn list(&mut self, number: u32, all: bool) -> Vec<JobSummary> {
        let mut answers = self.ask(number, ClientMessage::List { all }).await;
        assert_eq!(answers.pop(), Some(ServerMessage::Done));
        let summary = |answer| match answer {
            ServerMessage::Listed(summary) => summary,
            other => panic!("{other:?}"),
        };
        answers.into_iter().map(summary).collect()
    }
}

#[tokio::test]
async fn a_reader_hears_everything_and_gives_no_orders() {
    let world = World::new();
    let mut ann = starter(&world, "job", OnDisconnect::Kill).await;
    let (mut bob, _) = world.client().await;
    let answer = bob.ask(1, attach("job", 2, Role::Reader, stdout())).await;
    assert!(
        matches!(&answer[..], [ServerMessage::Attached(attached)] if attached.stdin.is_none()),
        "{answer:?}"
    );
    let data = bob.hear_until(|packet| matches!(packet, Packet::Data { .. })).await;
    assert!(matches!(data, Some(Packet::Data { offset: 0, bytes, .. }) if bytes == "hi"));
    assert_eq!(ann.list(5, false).await[0].readers, 1);
    bob.say(&request(1, ClientMessage::Order { sequence: 1, order: Order::Cancel })).await;
    assert_eq!(bob.hear_close().await, Some(CloseCode::Violation));
    ann.say(&packet(Packet::Eof { job: JobNumber(1), stream: StreamId::Stdin, total: 0 })).await;
    assert!(ann.hear_ended(1).await.is_success(), "a reader has ended the job");
}

#[tokio::test]
async fn a_snapshot_is_what_there_is_until_now() {
    let world = World::new();
    let _ann = starter(&world, "job", OnDisconnect::Kill).await;
    let (mut bob, _) = world.client().await;
    bob.ask(1, attach("job", 2, Role::Snapshot, stdout())).await;
    let mut heard = Vec::new();
    loop {
        match bob.hear().await {
            Some(Packet::Message { message: ServerMessage::Done, .. }) => break,
            Some(packet) => heard.push(packet),
            None => panic!("{heard:?}"),
        }
    }
    let [Packet::Data { bytes, .. }, Packet::Eof { total: 2, .. }] = &heard[..] else { panic!("{heard:?}") };
    assert_eq!(bytes, "hi");
}

#[tokio::test]
async fn a_stream_that_is_not_received_is_not_spoken_of() {
    let world = World::new();
    let _ann = starter(&world, "job", OnDisconnect::Kill).await;
    let ack = Ack { received: 0, limit: INITIAL_WINDOW, consumed: 0 };
    for about in [
        Packet::Ack { job: JobNumber(1), stream: StreamId::Stderr, ack },
        Packet::StopSending { job: JobNumber(1), stream: StreamId::Stderr },
    ] {
        let (mut bob, _) = world.client().await;
        bob.ask(1, attach("job", 2, Role::Reader, stdout())).await;
        bob.say(&packet(about)).await;
        assert_eq!(bob.hear_close().await, Some(CloseCode::Violation));
    }
    let (mut bob, _) = world.client().await;
    let stdin = vec![Wanted { stream: StreamId::Stdin, from: Position::Oldest, window: 1 }];
    let answer = bob.ask(1, attach("job", 2, Role::Reader, stdin)).await;
    assert!(matches!(&answer[..], [ServerMessage::Refused(Refusal::Denied(_))]), "{answer:?}");
}

#[tokio::test]
async fn a_job_ends_with_its_client_or_goes_on_as_was_agreed() {
    let world = World::new();
    let killed = starter(&world, "killed", OnDisconnect::Kill).await;
    let kept = starter(&world, "kept", OnDisconnect::Keep).await;
    let mut left = starter(&world, "left", OnDisconnect::Kill).await;
    left.say(&request(1, ClientMessage::Leave)).await;
    assert!(left.is_served(1).await);
    drop((killed, kept));
    let (mut bob, _) = world.client().await;
    let mut number = 0;
    let kept = loop {
        number += 1;
        let jobs = bob.list(number, false).await;
        if let [job] = &jobs[..]
            && job.writer.is_none()
        {
            break job.clone();
        }
        assert!(jobs.iter().any(|job| job.id.as_str() == "kept"), "{jobs:?}");
    };
    assert!(kept.id.as_str() == "kept" && matches!(kept.state, JobState::Running { .. }), "{kept:?}");
    assert_eq!(
        bob.ask(1000, ClientMessage::Forget { job: "kept".parse().unwrap() }).await,
        [ServerMessage::Refused(Refusal::Running)]
    );
    // A controller has no output, and hears the end that it has ordered.
    bob.ask(1001, attach("ke", 2, Role::Controller, Vec::new())).await;
    bob.say(&request(1001, ClientMessage::Order { sequence: 1, order: Order::Cancel })).await;
    assert_eq!(bob.hear_ended(1001).await, Outcome::Cancelled);
    world.jobs_are_over().await;
    assert_eq!(bob.list(1002, true).await.len(), 3);
    assert_eq!(
        bob.ask(1003, ClientMessage::Forget { job: "kept".parse().unwrap() }).await,
        [ServerMessage::Done]
    );
    assert_eq!(bob.list(1004, true).await.len(), 2);
    assert_eq!(
        bob.ask(1005, attach("kept", 2, Role::Writer, Vec::new())).await,
        [ServerMessage::Refused(Refusal::Unknown)]
    );
}

#[tokio::test]
async fn a_job_can_be_kept_until_its_client_is_gone() {
    let world = World::new();
    let mut ann = starter(&world, "job", OnDisconnect::Kill).await;
    let keep = ClientMessage::Order { sequence: 1, order: Order::Keep };
    assert_eq!(ann.ask(1, keep).await, [ServerMessage::Applied { sequence: 1 }]);
    ann.say(&request(1, ClientMessage::Leave)).await;
    assert!(ann.is_served(1).await);
    let jobs = ann.list(2, false).await;
    assert!(matches!(&jobs[..], [job] if job.writer.is_none()), "{jobs:?}");
    let answer = ann.ask(3, attach("job", 1, Role::Writer, stdout())).await;
    let [ServerMessage::Attached(attached)] = &answer[..] else { panic!("{answer:?}") };
    assert_eq!((attached.grace_ms, attached.applied), (None, 1));
    ann.say(&packet(Packet::Eof { job: JobNumber(3), stream: StreamId::Stdin, total: 0 })).await;
    assert!(ann.hear_ended(3).await.is_success());
}

#[tokio::test]
async fn a_client_that_has_many_ends_to_confirm_is_asked_and_may_answer_once() {
    let world = World::new();
    let (mut ann, serving) = world.client().await;
    for number in 1..=64 {
        let nothing = Spec::new(Program::Argv(vec!["/nonexistent/command".into()]));
        ann.say(&request(number, start(nothing))).await;
        assert!(matches!(ann.hear_ended(number).await, Outcome::NotStarted(_)));
    }
    assert!(!world.service.jobs.is_empty(), "what nobody has confirmed is kept");
    // The server looks when it hears something.
    let echo = loop {
        ann.say(&packet(Packet::Ping(Echo { token: 9, payload: Bytes::new() }))).await;
        let sign = |packet: &Packet<ServerMessage>| matches!(packet, Packet::Ping(_) | Packet::Pong(_));
        match ann.hear_until(sign).await {
            Some(Packet::Ping(echo)) => break echo,
            other => assert!(other.is_some(), "nobody asks"),
        }
    };
    ann.say(&packet(Packet::Pong(echo.clone()))).await;
    world.jobs_are_over().await;
    ann.say(&packet(Packet::Pong(echo))).await;
    assert_eq!(ann.hear_close().await, Some(CloseCode::Violation));
    serving.await.unwrap();
}

#[tokio::test]
async fn a_job_is_not_kept_by_an_order_where_none_may_be() {
    let world = World::without_keeping();
    let mut ann = starter(&world, "job", OnDisconnect::Kill).await;
    ann.say(&request(1, ClientMessage::Order { sequence: 1, order: Order::Keep })).await;
    ann.say(&request(1, ClientMessage::Leave)).await;
    assert!(ann.is_served(1).await);
    world.jobs_are_over().await;
}

#[tokio::test]
async fn a_reader_that_leaves_is_one_less() {
    let world = World::new();
    let mut ann = starter(&world, "job", OnDisconnect::Kill).await;
    let (mut bob, _) = world.client().await;
    for number in 1..=3 {
        bob.ask(number, attach("job", number.into(), Role::Reader, Vec::new())).await;
    }
    assert_eq!(ann.list(2, false).await[0].readers, 3);
    bob.say(&request(1, ClientMessage::Leave)).await;
    let mut number = 2;
    while ann.list(number + 1, false).await[0].readers == 3 {
        number += 1;
    }
    assert!(bob.is_served(1).await);
    assert_eq!(ann.list(number + 2, false).await[0].readers, 2);
}

#[tokio::test]
async fn a_connection_has_hold_of_no_more_jobs_than_it_may() {
    let world = World::new();
    let _ann = starter(&world, "job", OnDisconnect::Kill).await;
    let (mut bob, _) = world.client().await;
    let mut last = Vec::new();
    for number in 1..=JOBS_PER_CONNECTION as u32 + 1 {
        last = bob.ask(number, attach("job", number.into(), Role::Controller, Vec::new())).await;
    }
    assert!(matches!(&last[..], [ServerMessage::Refused(_)]), "{last:?}");
}

#[tokio::test]
async fn a_job_without_a_terminal_has_no_size_whenever_it_is_said() {
    let world = World::new();
    let mut ann = starter(&world, "job", OnDisconnect::Kill).await;
    let order = |sequence, order| ClientMessage::Order { sequence, order };
    for _ in 0..2 {
        let answer = ann.ask(1, order(1, Order::Resize(WindowSize::default()))).await;
        let declined = matches!(&answer[..], [ServerMessage::Declined { sequence: 1, .. }]);
        assert!(declined, "{answer:?}");
    }
    // It counts all the same, so that what comes behind it is carried out.
    assert_eq!(ann.ask(1, order(2, Order::Cancel)).await, [ServerMessage::Applied { sequence: 2 }]);
    let starts = world.records("job_start").await;
    assert!(starts.iter().all(|start| start.get("terminal").is_none()), "{starts:?}");
}

#[tokio::test]
async fn a_start_with_nothing_more_is_a_start_and_one_with_a_terminal_is_another_job() {
    let world = World::new();
    let (mut ann, _) = world.client().await;
    let asked = |extras: &Extras| {
        let spec = spec("true", OnDisconnect::Kill);
        Start::with("job".parse().unwrap(), AttachmentId(1), spec, extras).unwrap()
    };
    let nothing = asked(&Extras::default());
    ann.say(&request(1, ClientMessage::StartWith { start: Box::new(nothing), extras: Vec::new() })).await;
    assert!(ann.hear_ended(1).await.is_success());
    let extras = Extras { terminal: Some(Terminal::default()), control: false };
    let answer = ann.ask(2, asked(&extras).say(&extras)).await;
    assert_eq!(answer, [ServerMessage::Refused(Refusal::Conflict)]);
}

/// A client that has started `id` with control descriptors, which runs.
async fn controller(world: &World, id: &str, script: &str) -> Peer {
    let (mut peer, _) = world.client().await;
    let extras = Extras { terminal: None, control: true };
    let spec = Spec { stdin: false, ..spec(script, OnDisconnect::Kill) };
    let start = Start::with(id.parse().unwrap(), AttachmentId(1), spec, &extras).unwrap();
    let answer = peer.ask(1, start.say(&extras)).await;
    assert!(matches!(&answer[..], [ServerMessage::Started { .. }]), "{answer:?}");
    peer
}

fn told(sequence: u64, length: usize) -> ClientMessage {
    ClientMessage::Order { sequence, order: Order::Control(ByteString(vec![b'x'; length])) }
}

#[tokio::test]
async fn what_a_job_was_not_told_is_said_as_often_as_it_is_asked() {
    let world = World::new();
    let mut ann = controller(&world, "job", "exec sleep 1000").await;
    let applied = |sequence| vec![ServerMessage::Applied { sequence }];
    let declined = |answer: &[ServerMessage], number| matches!(answer, [ServerMessage::Declined { sequence, .. }] if *sequence == number);
    assert_eq!(ann.ask(1, told(1, 200_000)).await, applied(1));
    let answer = ann.ask(1, told(2, 200_000)).await;
    assert!(declined(&answer, 2), "{answer:?}");
    assert_eq!(ann.ask(1, told(3, 10)).await, applied(3));
    for _ in 0..2 {
        assert_eq!(ann.ask(1, told(1, 200_000)).await, applied(1));
        let answer = ann.ask(1, told(2, 200_000)).await;
        assert!(declined(&answer, 2), "{answer:?}");
        assert_eq!(ann.ask(1, told(3, 10)).await, applied(3));
    }
    // On another connection it hears as much.
    let (mut again, _) = world.client().await;
    let answer = again.ask(1, attach("job", 1, Role::Writer, stdout())).await;
    let [ServerMessage::Attached(attached)] = &answer[..] else { panic!("{answer:?}") };
    assert_eq!(attached.applied, 1);
    let answer = again.ask(1, told(2, 200_000)).await;
    assert!(declined(&answer, 2), "{answer:?}");
}

#[tokio::test]
async fn a_job_is_told_by_its_client_alone_and_only_if_it_was_asked_for_so() {
    let world = World::new();
    let _ann = controller(&world, "job", "exec sleep 1000").await;
    let (mut bob, _) = world.client().await;
    bob.ask(1, attach("job", 2, Role::Controller, Vec::new())).await;
    bob.say(&request(1, told(1, 1))).await;
    assert_eq!(bob.hear_close().await, Some(CloseCode::Violation));
    let mut carl = starter(&world, "other", OnDisconnect::Kill).await;
    carl.say(&request(1, told(1, 1))).await;
    assert_eq!(carl.hear_close().await, Some(CloseCode::Violation));
    let _dora = starter(&world, "third", OnDisconnect::Kill).await;
    let (mut erin, _) = world.client().await;
    let control = vec![Wanted { stream: StreamId::Control, from: Position::Oldest, window: 1 }];
    let answer = erin.ask(1, attach("third", 2, Role::Reader, control)).await;
    assert!(matches!(&answer[..], [ServerMessage::Refused(Refusal::Denied(_))]), "{answer:?}");
}

#[tokio::test]
async fn what_a_job_reports_is_followed_and_its_length_is_said_to_those_who_know_of_it() {
    let world = World::new();
    let mut ann = controller(&world, "job", "printf done >&9; read line; echo $line").await;
    let record = [&[0; 16][..], &[4, 0, 0, 0], b"done"].concat();
    let data = ann.hear_until(|packet| matches!(packet, Packet::Data { .. })).await;
    let Some(Packet::Data { stream: StreamId::Control, offset: 0, bytes, .. }) = data else {
        panic!("{data:?}")
    };
    assert_eq!(bytes, record);
    let (mut bob, _) = world.client().await;
    let wanted = vec![Wanted { stream: StreamId::Control, from: Position::Oldest, window: INITIAL_WINDOW }];
    bob.ask(1, attach("job", 2, Role::Reader, wanted)).await;
    let data = bob.hear_until(|packet| matches!(packet, Packet::Data { .. })).await;
    assert!(matches!(data, Some(Packet::Data { stream: StreamId::Control, .. })), "{data:?}");
    ann.ask(1, ClientMessage::Order { sequence: 1, order: Order::Control("go\n".into()) }).await;
    let ended = |packet: &Packet<ServerMessage>| {
        matches!(packet, Packet::Message { message: ServerMessage::Ended(_), .. })
    };
    for peer in [&mut ann, &mut bob] {
        let heard = peer.hear_until(ended).await;
        let Some(Packet::Message { message: ServerMessage::Ended(ended), .. }) = heard else {
            panic!("{heard:?}")
        };
        // Neither has said that it knows such things.
        assert!(ended.total(StreamId::Control).is_none() && ended.totals.len() == 2, "{ended:?}");
    }
}

#[tokio::test]
async fn a_job_that_outlives_its_server_has_no_control_descriptors() {
    let world = World::new();
    let (mut ann, _) = world.client().await;
    let extras = Extras { terminal: None, control: true };
    let mut spec = Spec { stdin: false, ..spec("true", OnDisconnect::Keep) };
    spec.keeping.supervised = true;
    let start = Start::with("job".parse().unwrap(), AttachmentId(1), spec, &extras).unwrap();
    let answer = ann.ask(1, start.say(&extras)).await;
    let [ServerMessage::Ended(ended)] = &answer[..] else { panic!("{answer:?}") };
    assert!(matches!(ended.outcome, Outcome::NotStarted(_)), "{ended:?}");
}
