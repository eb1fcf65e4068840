//! A client that is gone takes its command along: the whole tree of it, with every means there is.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use rustix::process::{Pid, Signal, kill_process};
use tests::{
    DEADLINE, Mark, RawClient, Running, Terminal, TestServer, is_stopped, process_state, start, wait_until,
    zombie_children,
};

/// A shell, its children, their children, and one in a process group of its own.
const TREE: &str =
    "sleep 1000 & (sleep 1000 & sleep 1000) & bash -c 'set -m; sleep 1000 & wait' & echo ready; wait";

/// How many processes [`TREE`] has at least; a shell may become its last command or start it.
const TREE_SIZE: usize = 6;

/// Starts a client whose command says `ready`.
fn start_marked(server: &TestServer, mark: &Mark, script: &str) -> Running {
    let mut client = Running::start(server.client().arg("run").args(mark.option()).arg(script));
    client.wait_for_stdout("ready\n");
    client
}

/// Requires that nothing of the job is left, dead or alive.
#[track_caller]
fn is_gone(server: &TestServer, mark: &Mark) {
    mark.wait_until_gone();
    wait_until("no zombie is left", DEADLINE, || zombie_children(server.process_id()).is_empty());
}

/// Starts [`TREE`], sends the client `signal`, and requires that nothing is left.
#[track_caller]
fn leaves_nothing_after(signal: Signal) {
    let mut server = TestServer::start();
    let mark = Mark::new();
    let mut client = start_marked(&server, &mark, TREE);
    wait_until("the whole tree runs", DEADLINE, || mark.processes().len() >= TREE_SIZE);
    client.signal(signal);
    client.finish();
    is_gone(&server, &mark);
    server.still_serves();
}

#[test]
fn a_killed_client_leaves_no_process() {
    leaves_nothing_after(Signal::KILL);
}

#[test]
fn a_terminated_client_leaves_no_process() {
    leaves_nothing_after(Signal::TERM);
}

#[test]
fn a_tree_that_ignores_every_polite_signal_is_killed() {
    let server = TestServer::start();
    let mark = Mark::new();
    let script = "trap '' HUP INT TERM; sleep 1000 & sleep 1000 & echo ready; while :; do sleep 0.05; done";
    let mut client = start_marked(&server, &mark, script);
    client.signal(Signal::KILL);
    client.finish();
    is_gone(&server, &mark);
}

#[test]
fn a_command_is_asked_before_it_is_killed() {
    let server = TestServer::start();
    let mark = Mark::new();
    let asked = server.path("asked");
    let script = format!(
        "trap 'echo HUP >> {0}' HUP; trap 'echo TERM >> {0}; exit' TERM; \
         echo ready; while :; do sleep 0.05; done",
        asked.display()
    );
    let mut client = start_marked(&server, &mark, &script);
    client.signal(Signal::KILL);
    client.finish();
    is_gone(&server, &mark);
    assert_eq!(std::fs::read_to_string(asked).unwrap(), "HUP\nTERM\n");
}

#[test]
fn a_stopped_command_is_ended_as_well() {
    let server = TestServer::start();
    let mark = Mark::new();
    let mut client = start_marked(&server, &mark, "sleep 1000 & echo ready; kill -STOP $$");
    wait_until("the command is stopped", DEADLINE, || {
        mark.processes().iter().any(|process| process_state(*process) == Some('T'))
    });
    client.signal(Signal::KILL);
    client.finish();
    is_gone(&server, &mark);
}

#[test]
fn a_command_that_is_busy_writing_is_ended_as_well() {
    let server = TestServer::start();
    let mark = Mark::new();
    let mut client = start_marked(&server, &mark, "echo ready; exec yes");
    client.signal(Signal::KILL);
    client.finish();
    is_gone(&server, &mark);
}

#[test]
fn all_jobs_of_a_lost_connection_are_ended() {
    let server = TestServer::start();
    let mark = Mark::new();
    let (name, value) = mark.variable();
    let mut peer = RawClient::greeted(server.address());
    for job in 1..=20 {
        peer.send_message(job, start(&format!("export {name}={value}; exec sleep 1000")));
    }
    mark.wait_for(20);
    drop(peer);
    is_gone(&server, &mark);
}

#[test]
fn a_client_that_only_pauses_keeps_its_command() {
    let server = TestServer::start();
    let mark = Mark::new();
    let mut client = start_marked(&server, &mark, "echo ready; read line; echo \"$line\"");
    client.signal(Signal::STOP);
    wait_until("the client is stopped", DEADLINE, || is_stopped(client.id()));
    client.write(b"still here\n");
    mark.wait_for(1);
    client.signal(Signal::CONT);
    assert_eq!(client.finish().succeeds(), "ready\nstill here\n");
}

#[test]
fn a_server_that_is_killed_is_told_from_a_command_that_ended() {
    let mut server = TestServer::start();
    let mark = Mark::new();
    let mut client = server.client();
    client.args(["run", "--grace", "0"]).args(mark.option()).arg("echo ready; exec sleep 1000");
    let mut client = Running::start(&mut client);
    client.wait_for_stdout("ready\n");
    server.signal(Signal::KILL);
    server.wait();
    let message = client.finish().complains("client", 125);
    assert!(message.contains("lost"), "{message}");
}

#[test]
fn a_server_that_does_not_answer_does_not_keep_a_terminated_client() {
    let server = TestServer::start();
    let mut client = Running::start(server.client().args(["run", "echo ready; exec sleep 1000"]));
    client.wait_for_stdout("ready\n");
    server.signal(Signal::STOP);
    // A thread that still runs could answer, and then there is no doubt about the server.
    wait_until("the server is stopped", DEADLINE, || is_stopped(server.process_id()));
    client.signal(Signal::TERM);
    let message = client.finish().complains("client", 143);
    server.signal(Signal::CONT);
    assert!(message.contains("does not answer"), "{message}");
}

#[test]
fn what_is_said_after_ctrl_c_has_a_line_of_its_own() {
    let server = TestServer::start();
    let mut terminal = Terminal::new();
    let mut client = server.client();
    client.args(["run", "-n", "echo ready; exec sleep 1000"]);
    let mut client = client.stdout(terminal.end()).stderr(terminal.end()).spawn().unwrap();
    terminal.wait_for("ready\r\n");
    server.signal(Signal::STOP);
    wait_until("the server is stopped", DEADLINE, || is_stopped(server.process_id()));
    kill_process(Pid::from_child(&client), Signal::INT).unwrap();
    wait_until("the client ends", DEADLINE, || client.try_wait().unwrap().is_some());
    server.signal(Signal::CONT);
    // What the terminal has shown of Ctrl-C would stand before the first end of a line.
    let shown = terminal.shown();
    assert!(shown.starts_with("ready\r\n\r\nclient: the server does not answer"), "{shown}");
}
