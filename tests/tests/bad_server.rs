//! A server that breaks the rules is never believed: the client says so and exits with 125, never with 0.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use std::process::Command;

use common::frame::{JobNumber, StreamId};
use common::greeting::{Close, CloseCode, Features, VERSION, Welcome};
use common::job::{Ended, Outcome};
use common::message::ServerMessage;
use common::packet::{Ack, Packet};
use tests::{RawListener, RawServer, Running, Sandbox};

/// `client run "echo hi"` against a server that is about to misbehave.
fn client(sandbox: &Sandbox, listener: &RawListener) -> Command {
    let mut command = sandbox.client();
    command.args(["-H", &listener.address(), "run", "--grace", "0", "-n", "echo hi"]);
    command
}

/// Lets a client meet a server that behaves so once its job is started; gives the client's complaint.
#[track_caller]
fn meets(behaviour: impl FnOnce(&mut RawServer, u32)) -> String {
    let (sandbox, listener) = (Sandbox::new(), RawListener::new());
    let client = Running::start(&mut client(&sandbox, &listener));
    let (mut peer, job) = listener.accept_job();
    peer.send_started(job);
    behaviour(&mut peer, job);
    peer.hear_close();
    client.finish().complains("client", 125)
}

/// Sends the whole output of `echo hi` and the end of both streams.
fn send_output(peer: &mut RawServer, job: u32) {
    peer.send_data(job, StreamId::Stdout, 0, b"hi\n");
    peer.send_eof(job, StreamId::Stdout, 3);
    peer.send_eof(job, StreamId::Stderr, 0);
}

#[test]
fn an_honest_server_is_believed() {
    let (sandbox, listener) = (Sandbox::new(), RawListener::new());
    let client = Running::start(&mut client(&sandbox, &listener));
    let (mut peer, job) = listener.accept_job();
    peer.send_started(job);
    send_output(&mut peer, job);
    peer.send_success(job, 3, 0);
    peer.hear_close();
    assert_eq!(client.finish().succeeds(), "hi\n");
}

#[test]
fn missing_bytes_are_no_success() {
    meets(|peer, job| {
        send_output(peer, job);
        peer.send_success(job, 4, 0);
    });
    meets(|peer, job| {
        peer.send_eof(job, StreamId::Stdout, 0);
        peer.send_eof(job, StreamId::Stderr, 0);
        peer.send_success(job, 0, 1);
    });
}

#[test]
fn an_end_without_the_ends_of_the_streams_is_no_success() {
    meets(|peer, job| {
        peer.send_data(job, StreamId::Stdout, 0, b"hi\n");
        peer.send_success(job, 5, 0);
    });
}

#[test]
fn a_stream_that_ends_elsewhere_than_it_says_is_a_violation() {
    meets(|peer, job| {
        peer.send_data(job, StreamId::Stdout, 0, b"hi\n");
        peer.send_eof(job, StreamId::Stdout, 2);
    });
}

#[test]
fn a_gap_is_a_violation() {
    meets(|peer, job| peer.send_data(job, StreamId::Stdout, 1, b"i\n"));
}

#[test]
fn bytes_behind_the_end_are_a_violation() {
    meets(|peer, job| {
        send_output(peer, job);
        peer.send_data(job, StreamId::Stdout, 3, b"more");
    });
}

#[test]
fn more_than_the_window_is_a_violation() {
    meets(|peer, job| peer.send_data(job, StreamId::Stdout, 0, &[b'x'; 64 * 1024 + 1]));
}

#[test]
fn news_of_a_job_that_was_never_asked_for_is_a_violation() {
    meets(|peer, job| peer.send_data(job + 1, StreamId::Stdout, 0, b"hi\n"));
    meets(|peer, job| peer.send_success(job + 1, 0, 0));
}

#[test]
fn a_stream_of_the_other_direction_is_a_violation() {
    meets(|peer, job| peer.send_data(job, StreamId::Stdin, 0, b"hi\n"));
}

#[test]
fn an_impossible_acknowledgement_is_a_violation() {
    meets(|peer, job| {
        let ack = Ack { received: 1_000, limit: 70_000, consumed: 1_000 };
        peer.send(Packet::Ack { job: JobNumber(job), stream: StreamId::Stdin, ack });
    });
}

#[test]
fn a_job_that_was_neither_started_nor_refused_has_not_succeeded() {
    let (sandbox, listener) = (Sandbox::new(), RawListener::new());
    let client = Running::start(&mut client(&sandbox, &listener));
    let (mut peer, job) = listener.accept_job();
    peer.send_success(job, 0, 0);
    peer.hear_close();
    client.finish().complains("client", 125);
}

#[test]
fn bytes_that_are_no_frames_are_a_violation() {
    meets(|peer, _| peer.send_bytes(&[0xff; 100]));
    meets(|peer, _| peer.send_bytes(b"HTTP/1.1 400 Bad Request\r\n\r\n"));
}

#[test]
fn a_connection_lost_while_the_command_runs_is_said_to_be_lost() {
    let (sandbox, listener) = (Sandbox::new(), RawListener::new());
    let client = Running::start(&mut client(&sandbox, &listener));
    let (mut peer, job) = listener.accept_job();
    peer.send_started(job);
    peer.send_data(job, StreamId::Stdout, 0, b"hi\n");
    drop(peer);
    let message = client.finish().complains("client", 125);
    assert!(message.contains("lost"), "{message}");
}

#[test]
fn a_connection_lost_inside_a_frame_is_said_to_be_lost() {
    let (sandbox, listener) = (Sandbox::new(), RawListener::new());
    let client = Running::start(&mut client(&sandbox, &listener));
    let (mut peer, job) = listener.accept_job();
    peer.send_started(job);
    peer.send_bytes(&[200, 0, 0, 0, 32, 1]);
    drop(peer);
    let message = client.finish().complains("client", 125);
    assert!(message.contains("lost"), "{message}");
}

#[test]
fn an_outcome_that_the_server_does_not_know_is_passed_on_as_lost() {
    let message = meets(|peer, job| {
        peer.send_eof(job, StreamId::Stdout, 0);
        peer.send_eof(job, StreamId::Stderr, 0);
        let outcome = Outcome::Lost("the supervisor is gone".to_owned());
        let ended = Ended::without_output(outcome);
        peer.send_message(job, ServerMessage::Ended(ended));
    });
    assert!(message.contains("the supervisor is gone"), "{message}");
}

#[test]
fn a_server_that_refuses_gives_its_reason() {
    for (code, text) in
        [(CloseCode::Busy, "too many"), (CloseCode::Denied, "not you"), (CloseCode::Internal, "no keys")]
    {
        let (sandbox, listener) = (Sandbox::new(), RawListener::new());
        let client = Running::start(&mut client(&sandbox, &listener));
        let mut peer = listener.accept();
        peer.send(Packet::Close(Close::new(code, text)));
        peer.end();
        peer.hear_close();
        let message = client.finish().complains("client", 125);
        assert!(message.contains(text) && !message.contains("may have run"), "{message}");
    }
}

#[test]
fn a_server_of_another_version_is_refused() {
    let (sandbox, listener) = (Sandbox::new(), RawListener::new());
    let client = Running::start(&mut client(&sandbox, &listener));
    let mut peer = listener.accept();
    peer.send(Packet::Welcome(Welcome {
        version: VERSION + 1,
        software: "from the future".to_owned(),
        features: Features::default(),
    }));
    peer.hear_close();
    let message = client.finish().complains("client", 125);
    assert!(message.contains("version"), "{message}");
}

#[test]
fn what_a_server_says_cannot_forge_lines_or_drive_the_terminal() {
    let text = "busy\u{1b}]0;owned\u{7}\u{1b}[2J\r\nclient: all is well\u{9b}31m";
    let message = meets(|peer, _| {
        peer.send(Packet::Close(Close::new(CloseCode::Internal, text)));
        peer.end();
    });
    assert!(!message.contains(char::is_control), "{message:?}");
}
