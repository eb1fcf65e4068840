//! A client that breaks the rules is refused; it starts nothing it did not fully ask for, and disturbs nobody.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use std::path::PathBuf;

use bytes::Bytes;
use common::connection::packet_bytes;
use common::frame::{JobNumber, Kind, StreamId};
use common::greeting::{CloseCode, Hello, Method};
use common::job::{JobId, Outcome, Program, Spec};
use common::message::{ClientMessage, Order, Refusal, ServerMessage};
use common::packet::{Ack, Echo, Packet};
use tests::{Noise, RawClient, TestServer, order, start, start_as, start_spec};

/// Every rule holds over both transports. Over TCP, so many broken rules would have this machine turned away.
fn over_both(test: impl Fn(TestServer)) {
    test(TestServer::start_local());
    test(TestServer::options().listen("127.0.0.1:0").patient().start());
}

/// A command that leaves a trace, and where.
fn trace(server: &TestServer) -> (String, PathBuf) {
    let path = server.path("trace");
    (format!("touch {}", path.display()), path)
}

fn hello() -> Vec<u8> {
    packet_bytes::<ClientMessage>(Packet::Hello(Hello::new("", "raw client"))).unwrap().to_vec()
}

fn request(job: u32, message: ClientMessage) -> Vec<u8> {
    packet_bytes(Packet::Message { job: JobNumber(job), message }).unwrap().to_vec()
}

fn job_with_stdin(command: &str) -> ClientMessage {
    let spec = Spec { stdin: true, ..Spec::new(Program::Shell(command.into())) };
    start_spec(spec)
}

#[test]
fn greeting_and_request_may_come_in_one_breath() {
    over_both(|server| {
        let mut peer = RawClient::connect(server.address());
        peer.send_bytes(&[hello(), request(1, start("exit 3"))].concat());
        assert_eq!(peer.hear_ended(1).outcome, Outcome::Exited(3));
    });
}

#[test]
fn a_request_cut_at_any_byte_starts_nothing() {
    over_both(|mut server| {
        let (command, trace) = trace(&server);
        let whole = [hello(), request(1, start(&command))].concat();
        for cut in 0..whole.len() {
            let mut peer = RawClient::connect(server.address());
            peer.send_bytes(&whole[..cut]);
            peer.end();
            peer.hear_close();
            assert!(!trace.exists(), "{cut} of {} bytes have started the command", whole.len());
        }
        server.still_serves();
        assert!(!trace.exists(), "a part of a request has started the command");
        let mut peer = RawClient::connect(server.address());
        peer.send_bytes(&whole);
        peer.hear_ended(1);
        assert!(trace.exists(), "the whole of it does");
    });
}

#[test]
fn nothing_is_started_before_the_greeting() {
    over_both(|mut server| {
        let (command, trace) = trace(&server);
        let mut peer = RawClient::connect(server.address());
        peer.send_bytes(&request(1, start(&command)));
        peer.is_refused(CloseCode::Violation);
        server.still_serves();
        assert!(!trace.exists());
    });
}

#[test]
fn a_greeting_that_is_refused_starts_nothing_behind_it() {
    over_both(|mut server| {
        let (command, trace) = trace(&server);
        let greetings = [
            (Hello { lowest: 7, highest: 9, ..Hello::new("", "") }, CloseCode::Version),
            (Hello { method: Method::Unknown(200), ..Hello::new("", "") }, CloseCode::Denied),
            (Hello::new("somebody-else", ""), CloseCode::Account),
        ];
        for (greeting, code) in greetings {
            let mut peer = RawClient::connect(server.address());
            let greeting = packet_bytes::<ClientMessage>(Packet::Hello(greeting)).unwrap();
            peer.send_bytes(&[greeting.to_vec(), request(1, start(&command))].concat());
            peer.is_refused_aloud(code);
        }
        server.still_serves();
        assert!(!trace.exists());
    });
}

#[test]
fn a_peer_that_does_not_greet_is_closed() {
    let server = TestServer::options()
        .listen("127.0.0.1:0")
        .listen("unix:DIR/own/server.sock")
        .settings("server.toml", "[limits]\nlogin_timeout = \"2s\"\n")
        .start();
    for address in server.addresses() {
        let mut silent = RawClient::connect(address);
        let mut slow = RawClient::connect(address);
        slow.send_bytes(&hello()[..10]);
        silent.is_refused_aloud(CloseCode::TimedOut);
        slow.is_refused_aloud(CloseCode::TimedOut);
    }
}

#[test]
fn a_peer_that_does_not_even_shake_hands_is_closed() {
    let server = TestServer::options()
        .listen("127.0.0.1:0")
        .settings("server.toml", "[limits]\nclient_hello_timeout = \"1s\"\nlogin_timeout = \"2s\"\n")
        .start();
    let mut silent = RawClient::connect_bare(server.address());
    let mut slow = RawClient::connect_bare(server.address());
    // The header of a record of TLS, and no more.
    slow.send_bytes(&[22, 3, 1, 2, 0]);
    assert_eq!((silent.hear(), slow.hear()), (None, None));
}

#[test]
fn pings_are_answered_in_order() {
    over_both(|server| {
        let mut peer = RawClient::greeted(server.address());
        let echo = |token| Echo { token, payload: Bytes::from(vec![token as u8; token as usize]) };
        for token in 0..=64 {
            peer.send(Packet::Ping(echo(token)));
        }
        for token in 0..=64 {
            assert_eq!(peer.hear(), Some(Packet::Pong(echo(token))));
        }
    });
}

/// Each breaks one rule after a greeting and a first job that waits for input.
fn violations() -> Vec<(&'static str, Vec<u8>)> {
    let of = |packet: Packet<ClientMessage>| packet_bytes(packet).unwrap().to_vec();
    let job = JobNumber(1);
    let data = |job, offset, len: usize| {
        let bytes = Bytes::from(vec![b'x'; len]);
        of(Packet::Data { job: JobNumber(job), stream: StreamId::Stdin, offset, bytes })
    };
    let ack = |received, limit, consumed| {
        of(Packet::Ack { job, stream: StreamId::Stdout, ack: Ack { received, limit, consumed } })
    };
    let frame = |length: u32, kind: u8, stream: u8, reserved: u8, job: u32| {
        [&length.to_le_bytes()[..], &[kind, stream, reserved, 0], &job.to_le_bytes(), &[0; 8]].concat()
    };
    let mut request_with_more = request(2, start("true"));
    request_with_more.push(0);
    let length = (request_with_more.len() - 4) as u32;
    request_with_more[..4].copy_from_slice(&length.to_le_bytes());
    vec![
        ("a second greeting", hello()),
        ("bytes for a job that was never started", data(99, 0, 1)),
        ("a cancel for a job that was never started", request(99, order(Order::Cancel))),
        ("a job number used twice", request(1, start("true"))),
        ("a job number below the last", [request(9, start("true")), request(8, start("true"))].concat()),
        ("a gap in stdin", data(1, 1, 1)),
        ("more than the first window", data(1, 0, 64 * 1024 + 1)),
        ("a wrong total", of(Packet::Eof { job, stream: StreamId::Stdin, total: 5 })),
        ("bytes behind the end", {
            [of(Packet::Eof { job, stream: StreamId::Stdin, total: 0 }), data(1, 0, 1)].concat()
        }),
        ("an acknowledgement of what was never sent", ack(1_000, 65_536, 0)),
        ("an acknowledgement that contradicts itself", ack(0, 65_536, 10)),
        ("a message followed by more", request_with_more),
        ("a frame larger than any may be", frame(u32::MAX, Kind::Data as u8, 0, 0, 1)),
        ("a frame larger than its kind may be", frame(16 + 65, Kind::Ping as u8, 255, 0, 0)),
        ("a frame smaller than its header", frame(15, Kind::Ping as u8, 255, 0, 0)),
        ("an unknown kind", frame(16, 99, 255, 0, 0)),
        ("a kind of the other direction", frame(16, Kind::Welcome as u8, 255, 0, 0)),
        ("an unknown stream", frame(16, Kind::StopSending as u8, 9, 0, 1)),
        ("a stream of the other direction", frame(16, Kind::Eof as u8, 1, 0, 1)),
        ("reserved bits", frame(16, Kind::Ping as u8, 255, 1, 0)),
        ("empty data", frame(16, Kind::Data as u8, 0, 0, 1)),
        ("a request about the connection", frame(16, Kind::Request as u8, 255, 0, 0)),
    ]
}

#[test]
fn every_broken_rule_is_answered_and_ends_the_connection() {
    over_both(|mut server| {
        for (rule, bytes) in violations() {
            let mut peer = RawClient::greeted(server.address());
            peer.send_message(1, job_with_stdin("read never"));
            let started = peer.hear();
            let is_started =
                matches!(started, Some(Packet::Message { message: ServerMessage::Started { .. }, .. }));
            assert!(is_started, "{started:?}");
            peer.send_bytes(&bytes);
            let close = peer.hear_close().unwrap_or_else(|| panic!("{rule}: no CLOSE"));
            assert_eq!(close.code, CloseCode::Violation, "{rule}: {close:?}");
            assert!(!close.text.is_empty(), "{rule}: the text says which rule");
        }
        server.still_serves();
    });
}

#[test]
fn one_broken_connection_does_not_disturb_another() {
    over_both(|server| {
        let mut good = RawClient::greeted(server.address());
        good.send_message(1, job_with_stdin("read word; echo $word; exit 5"));
        let mut bad = RawClient::greeted(server.address());
        bad.send_bytes(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
        bad.is_refused(CloseCode::Violation);
        good.send_data(1, StreamId::Stdin, 0, b"fine\n");
        assert_eq!(good.hear_ended(1).outcome, Outcome::Exited(5));
    });
}

#[test]
fn what_is_said_about_a_job_that_has_just_ended_is_no_violation() {
    over_both(|server| {
        let mut peer = RawClient::greeted(server.address());
        peer.send_message(1, job_with_stdin("exit 0"));
        peer.hear_ended(1);
        peer.send_data(1, StreamId::Stdin, 0, b"too late");
        peer.send_message(1, order(Order::Cancel));
        peer.send_message(2, start("exit 6"));
        assert_eq!(peer.hear_ended(2).outcome, Outcome::Exited(6));
    });
}

#[test]
fn a_job_id_in_use_is_not_started_again() {
    over_both(|server| {
        let (command, trace) = trace(&server);
        let id = JobId::random().unwrap();
        let with_id = |command: &str| {
            let spec = Spec { stdin: true, ..Spec::new(Program::Shell(command.into())) };
            start_as(id.clone(), spec)
        };
        let mut first = RawClient::greeted(server.address());
        first.send_message(1, with_id("read never"));
        assert!(first.hear().is_some());
        let mut second = RawClient::greeted(server.address());
        second.send_message(1, with_id(&command));
        let refused =
            Packet::Message { job: JobNumber(1), message: ServerMessage::Refused(Refusal::Conflict) };
        assert_eq!(second.hear(), Some(refused));
        assert!(!trace.exists());
    });
}

#[test]
fn garbage_ends_the_connection_and_nothing_else() {
    over_both(|mut server| {
        let mut noise = Noise::new(200);
        for round in 0..200 {
            let mut peer = if round % 2 == 0 {
                RawClient::connect(server.address())
            } else {
                RawClient::greeted(server.address())
            };
            let len = noise.below(5_000) + 1;
            peer.send_bytes(&noise.bytes(len));
            peer.end();
            peer.is_refused(CloseCode::Violation);
        }
        server.still_serves();
    });
}
