//! A server that is asked to stop tells its clients, ends its jobs, cleans up, and is gone within ten seconds.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use std::time::{Duration, Instant};

use common::frame::JobNumber;
use common::message::ServerMessage;
use common::packet::Packet;
use rustix::process::Signal;
use tests::{DEADLINE, Mark, RawClient, Running, TestServer, start, wait_until};

/// What the contract grants, and what starting and looking may add on a busy machine.
const WITHIN: Duration = Duration::from_secs(12);

/// What every client hears.
const GOING_AWAY: Packet<ServerMessage> =
    Packet::Message { job: JobNumber::CONNECTION, message: ServerMessage::GoingAway };

/// Starts a client whose command says `ready`.
fn start_marked(server: &TestServer, mark: &Mark, script: &str) -> Running {
    let mut client = Running::start(server.client().arg("run").args(mark.option()).arg(script));
    client.wait_for_stdout("ready\n");
    client
}

#[test]
fn an_idle_server_stops_in_good_order() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut server = TestServer::start();
        server.signal(signal);
        assert_eq!(server.wait().code(), Some(0), "{signal:?}");
    }
}

#[test]
fn a_server_without_a_terminal_takes_a_hang_up_for_a_request_to_reload() {
    let mut server = TestServer::start();
    let client = Running::start(server.client().args(["run", "echo ready; read line; exit 4"]));
    server.signal(Signal::HUP);
    wait_until("it has read its settings again", DEADLINE, || server.log().contains("settings read again"));
    client.finish().exits(4);
    server.still_serves();
}

#[test]
fn a_server_whose_terminal_is_gone_stops() {
    let mut server = TestServer::options().listen("127.0.0.1:0").on_a_terminal().start();
    server.signal(Signal::HUP);
    wait_until("it has read its settings again", DEADLINE, || server.log().contains("settings read again"));
    server.still_serves();
    server.hang_up();
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn a_server_under_nohup_outlives_its_terminal() {
    let mut server = TestServer::options().listen("127.0.0.1:0").on_a_terminal().after("trap '' HUP").start();
    server.hang_up();
    wait_until("it has read its settings again", DEADLINE, || server.log().contains("settings read again"));
    server.still_serves();
}

/// Stops a server whose client runs `script`, and requires that both are told and nothing is left.
#[track_caller]
fn ends_in_time(script: &str) {
    let mut server = TestServer::start();
    let mark = Mark::new();
    let client = start_marked(&server, &mark, script);
    let before = Instant::now();
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(0));
    assert!(before.elapsed() < WITHIN, "it took {:?}", before.elapsed());
    client.finish().complains("client", 125);
    mark.wait_until_gone();
}

#[test]
fn clients_are_told_and_jobs_are_ended() {
    ends_in_time("sleep 1000 & (sleep 1000 & sleep 1000) & echo ready; wait");
}

#[test]
fn even_a_tree_that_ignores_every_polite_signal_is_ended_in_time() {
    ends_in_time("trap '' HUP INT TERM; sleep 1000 & echo ready; while :; do sleep 0.05; done");
}

#[test]
fn what_a_command_says_while_it_is_ended_still_arrives() {
    let mut server = TestServer::start();
    let mark = Mark::new();
    // Shells say on stderr what their children died of.
    let script =
        "exec 2> /dev/null; trap 'echo goodbye; exit 0' HUP; echo ready; while :; do sleep 0.05; done";
    let client = start_marked(&server, &mark, script);
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(0));
    let ran = client.finish();
    assert_eq!(ran.text(), "ready\ngoodbye\n");
    ran.complains("client", 125);
}

#[test]
fn an_idle_client_and_a_silent_one_do_not_keep_it() {
    let mut server = TestServer::start();
    let mut idle = RawClient::greeted(server.address());
    let silent = RawClient::connect(server.address());
    server.signal(Signal::TERM);
    let before = Instant::now();
    assert_eq!(idle.hear(), Some(GOING_AWAY));
    assert_eq!(server.wait().code(), Some(0));
    // Nothing has to be ended, so nothing is waited for.
    assert!(before.elapsed() < WITHIN / 2, "it took {:?}", before.elapsed());
    drop(silent);
}

#[test]
fn a_job_asked_for_too_late_is_refused_and_not_started() {
    let mut server = TestServer::start();
    let mark = Mark::new();
    // A job that takes its time to end keeps the server from being gone at once.
    let client = start_marked(&server, &mark, "trap '' HUP TERM; echo ready; while :; do sleep 0.05; done");
    let mut late = RawClient::greeted(server.address());
    server.signal(Signal::TERM);
    assert_eq!(late.hear(), Some(GOING_AWAY));
    let trace = server.path("trace");
    late.send_message(1, start(&format!("touch {}", trace.display())));
    assert_eq!(server.wait().code(), Some(0));
    client.finish().exits(125);
    assert!(!trace.exists());
}

#[test]
fn the_socket_is_removed() {
    let mut server = TestServer::options().listen("unix:DIR/run/telex/server.sock").start();
    let socket = server.path("run/telex/server.sock");
    assert!(socket.exists());
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(0));
    assert!(!socket.exists());
}

#[test]
fn a_server_that_stops_leaves_alone_what_finished_commands_left_behind() {
    let mut server = TestServer::start();
    let mark = Mark::new();
    let script = "nohup sleep 1000 > /dev/null 2>&1 & true".to_owned();
    server.run(mark.option().into_iter().chain([script])).exits(0);
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(0));
    mark.wait_for(1);
}
