//! `--timeout` is kept by the server and ends the whole tree.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use std::time::{Duration, Instant};

use rustix::process::Signal;
use tests::{DEADLINE, Mark, Running, TestServer, is_stopped, wait_until};

#[test]
fn a_command_that_takes_too_long_exits_with_124() {
    let server = TestServer::start();
    let mark = Mark::new();
    let mut command = server.client();
    command.args(["run", "--timeout", "1s"]).args(mark.option());
    command.arg("echo started; sleep 1000 & (sleep 1000; true)");
    let start = Instant::now();
    let ran = tests::Ran::of(&mut command);
    assert!(start.elapsed() >= Duration::from_secs(1), "not before the time is up: {:?}", start.elapsed());
    assert_eq!(ran.text(), "started\n");
    let message = ran.complains("client", 124);
    assert!(message.starts_with("timed out after 1s"), "{message}");
    mark.wait_until_gone();
}

#[test]
fn a_command_that_is_in_time_is_not_touched() {
    let server = TestServer::start();
    for limit in ["60", "60s", "60000ms", "1m", "1h"] {
        assert_eq!(server.run(["--timeout", limit, "echo in time; exit 3"]).exits(3).text(), "in time\n");
    }
}

#[test]
fn every_unit_is_understood() {
    let server = TestServer::start();
    for limit in ["300ms", "1", "1s"] {
        let message = server.run(["--timeout", limit, "--", "sleep", "1000"]).complains("client", 124);
        assert!(message.starts_with("timed out after"), "{message}");
    }
    for nonsense in ["", "-1", "1 week", "s"] {
        server.run([&format!("--timeout={nonsense}"), "true"]).exits(125);
    }
}

#[test]
fn quiet_silences_the_line_about_the_timeout() {
    let server = TestServer::start();
    let ran = server.run(["-q", "--timeout", "200ms", "sleep 1000"]).exits(124);
    assert_eq!(ran.errors(), "");
}

#[test]
fn the_server_keeps_the_time_even_if_the_client_does_not_move() {
    let server = TestServer::start();
    let mark = Mark::new();
    let mut command = server.client();
    command.args(["run", "--timeout", "2s"]).args(mark.option()).arg("echo ready; exec sleep 1000");
    let mut client = Running::start(&mut command);
    client.wait_for_stdout("ready\n");
    client.signal(Signal::STOP);
    wait_until("the client is stopped", DEADLINE, || is_stopped(client.id()));
    mark.wait_until_gone();
    client.signal(Signal::CONT);
    client.finish().complains("client", 124);
}

#[test]
fn a_tree_that_ignores_the_polite_signals_is_killed_in_the_end() {
    let server = TestServer::start();
    let mark = Mark::new();
    let mut command = server.client();
    command.args(["run", "--timeout", "200ms"]).args(mark.option());
    command.arg("trap '' HUP INT TERM; sleep 1000 & while :; do sleep 0.05; done");
    tests::Ran::of(&mut command).complains("client", 124);
    mark.wait_until_gone();
}
