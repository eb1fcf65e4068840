//! Jobs on a terminal and with control descriptors, with a server that a test has in its hand: how they are asked for, also again, and
//! what a server is spared that knows no such things.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends at the first thing that is not as it should be"
)]

mod support {
    pub(crate) mod server;
}

use client::{Error, Terminal, WindowSize};
use common::frame::StreamId;
use common::greeting::{Close, CloseCode, Features};
use common::job::{Extra, Program};
use common::message::{ClientMessage, Order, Position, ServerMessage};
use common::packet::Packet;
use support::server::{DEADLINE, JOB, Server, listen};
use tokio::time::timeout;

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
    server.tell(ServerMessage::Applied { sequence: 1 }).await;
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

#[tokio::test]
async fn what_a_job_is_told_is_said_until_it_is_taken_each_as_often_as_it_was_told() {
    let (_directory, listener, client) = listen().await;
    let mut job = client.command("sh").control(true).start().await.unwrap();
    let mut server = Server::accept(&listener, Features::KNOWN).await;
    let ClientMessage::StartWith { extras, .. } = server.hear_request().await else { panic!() };
    assert_eq!(extras, [Extra::Control]);
    server.tell(ServerMessage::Started { process_id: 1, grace_ms: Some(60_000) }).await;
    let order = |sequence, text: &str| ClientMessage::Order { sequence, order: Order::Control(text.into()) };
    for (sequence, text) in [(1, "a\n"), (2, "b\n"), (3, "b\n")] {
        job.tell(text.into()).unwrap();
        assert_eq!(server.hear_request().await, order(sequence, text));
    }
    let bytes = common::control::record(7, 0, b"P");
    let length = bytes.len() as u64;
    server.say(Packet::Data { job: JOB, stream: StreamId::Control, offset: 0, bytes: bytes.clone() }).await;
    let mut control = job.control.take().unwrap();
    assert_eq!(timeout(DEADLINE, control.next()).await.unwrap(), Some(bytes));
    drop(server);

    let mut server = Server::accept(&listener, Features::KNOWN).await;
    let ClientMessage::Attach(attach) = server.hear_request().await else { panic!() };
    let wanted = attach.streams.iter().find(|wanted| wanted.stream == StreamId::Control).unwrap();
    assert_eq!(wanted.from, Position::At(length));
    let attached = common::message::Attached {
        id: attach.job,
        process_id: Some(1),
        grace_ms: Some(60_000),
        streams: Vec::new(),
        stdin: None,
        applied: 1,
    };
    server.tell(ServerMessage::Attached(attached)).await;
    assert_eq!(server.hear_request().await, order(2, "b\n"));
    assert_eq!(server.hear_request().await, order(3, "b\n"));
    server.tell(ServerMessage::Declined { sequence: 2, reason: "why".to_owned() }).await;
    // Said once, in place of what is told next.
    let error = timeout(DEADLINE, async {
        loop {
            match job.tell("".into()) {
                Ok(()) => tokio::task::yield_now().await,
                Err(error) => return error,
            }
        }
    });
    assert!(matches!(error.await.unwrap(), Error::Declined { reason, .. } if reason == "why"));
    job.tell("c\n".into()).unwrap();
    assert_eq!(server.hear_request().await, order(4, "c\n"));
}

#[tokio::test]
async fn a_server_that_knows_terminals_and_no_control_is_named_as_too_old_for_that() {
    let (_directory, listener, client) = listen().await;
    let job = client.command("sh").terminal(terminal()).control(true).start().await.unwrap();
    let _server = Server::accept(&listener, Features::TERMINALS).await;
    let error = job.started().await.unwrap_err();
    assert!(matches!(error, Error::TooOld { what: "control descriptors" }), "{error:?}");
    let error = client.command("sh").control(true).start().await.unwrap_err();
    assert!(matches!(error, Error::TooOld { what: "control descriptors" }), "{error:?}");
}

#[tokio::test]
async fn reports_that_were_not_asked_for_end_the_connection() {
    let (_directory, listener, client) = listen().await;
    let job = client.command("true").start().await.unwrap();
    let mut server = Server::accept(&listener, Features::KNOWN).await;
    server.hear_request().await;
    server.tell(ServerMessage::Started { process_id: 1, grace_ms: None }).await;
    server.say(Packet::Data { job: JOB, stream: StreamId::Control, offset: 0, bytes: "x".into() }).await;
    let Packet::Close(close) = server.hear().await else { panic!() };
    assert_eq!(close.code, CloseCode::Violation);
    timeout(DEADLINE, job.wait()).await.unwrap().unwrap_err();
}
