//! What a command leaves in the background neither holds its result back nor is touched.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use std::time::{Duration, Instant};

use serde_json::Value;
use tests::{Mark, Ran, Running, TestServer};

/// Runs `script` with `--json` and gives the last event.
fn ended_event(server: &TestServer, mark: &Mark, script: &str) -> Value {
    let ran = server.run(["--json".to_owned()].into_iter().chain(mark.option()).chain([script.to_owned()]));
    serde_json::from_str(ran.exits(0).text().lines().last().unwrap()).unwrap()
}

#[test]
fn a_child_that_keeps_the_output_open_does_not_hold_the_result_back() {
    let server = TestServer::start();
    let mark = Mark::new();
    let start = Instant::now();
    let ran = server.run(mark.option().into_iter().chain(["sleep 100 & echo hi".to_owned()]));
    assert!(start.elapsed() < Duration::from_secs(3), "it took {:?}", start.elapsed());
    assert_eq!(ran.text(), "hi\n");
    assert!(ran.complains("client", 0).contains("open"));
    // The child is left alone.
    mark.wait_for(1);
}

#[test]
fn quiet_silences_the_note_about_open_output() {
    let server = TestServer::start();
    let mark = Mark::new();
    let ran =
        server.run(mark.option().into_iter().chain(["-q".to_owned(), "sleep 100 & echo hi".to_owned()]));
    assert_eq!(ran.succeeds(), "hi\n");
}

#[test]
fn json_says_that_output_was_left_open() {
    let server = TestServer::start();
    let mark = Mark::new();
    assert_eq!(ended_event(&server, &mark, "sleep 100 & echo hi")["output_left_open"], true);
    assert_eq!(ended_event(&server, &mark, "echo hi")["output_left_open"], false);
}

#[test]
fn a_child_that_has_let_go_of_the_output_is_not_waited_for() {
    let server = TestServer::start();
    let mark = Mark::new();
    for script in [
        "nohup sleep 100 > /dev/null 2>&1 & echo hi",
        "setsid sleep 100 > /dev/null 2>&1 < /dev/null & echo hi",
    ] {
        let ran = server.run(mark.option().into_iter().chain([script.to_owned()]));
        assert_eq!(ran.succeeds(), "hi\n", "no note: nothing was left open");
    }
    assert_eq!(
        ended_event(&server, &mark, "sleep 100 > /dev/null 2>&1 & echo hi")["output_left_open"],
        false
    );
    mark.wait_for(3);
}

#[test]
fn a_child_that_writes_within_the_wait_is_heard() {
    let server = TestServer::start();
    assert_eq!(server.run(["(sleep 0.3; echo late) & echo early"]).succeeds(), "early\nlate\n");
}

#[test]
fn a_child_left_behind_goes_on_by_itself() {
    let server = TestServer::start();
    let mark = Mark::new();
    let proof = server.path("proof");
    let go = server.path("go");
    let script = format!(
        "(while ! [ -e {} ]; do sleep 0.05; done; echo written > {}) & echo hi",
        go.display(),
        proof.display()
    );
    server.run(mark.option().into_iter().chain(["-q".to_owned(), script])).exits(0);
    server.file("go", "");
    tests::wait_until("the child goes on", tests::DEADLINE, || proof.exists());
    mark.wait_until_gone();
}

#[test]
fn waiting_for_all_output_can_be_asked_for() {
    let server = TestServer::start();
    let ran =
        server.run(["--wait-output", "(sleep 3; echo late; echo error >&2) & echo early; exit 5"]).exits(5);
    assert_eq!((ran.text().as_str(), ran.errors().as_str()), ("early\nlate\n", "error\n"));
}

#[test]
fn the_code_of_the_command_is_not_that_of_its_children() {
    let server = TestServer::start();
    let mark = Mark::new();
    server
        .run(mark.option().into_iter().chain(["-q".to_owned(), "(sleep 100; exit 1) & exit 7".to_owned()]))
        .exits(7);
}

#[test]
fn children_survive_the_end_of_the_connection() {
    let mut server = TestServer::start();
    let mark = Mark::new();
    let ran =
        server.run(mark.option().into_iter().chain(["sleep 100 > /dev/null 2>&1 & echo $!".to_owned()]));
    let child: u32 = ran.succeeds().trim().parse().unwrap();
    server.still_serves();
    mark.wait_for(1);
    assert_eq!(mark.processes(), [child]);
}

#[test]
fn a_child_that_floods_the_output_does_not_hold_the_result_back() {
    let server = TestServer::start();
    let mark = Mark::new();
    let mut command = server.client();
    command.args(["run", "-q"]).args(mark.option()).arg("while :; do echo y; sleep 0.01; done & exit 4");
    let client = Running::start(&mut command);
    let ran: Ran = client.finish().exits(4);
    assert!(ran.text().starts_with("y\ny\n"), "what was written until then has arrived");
}

#[test]
fn a_reader_slower_than_the_wait_for_background_output_loses_nothing() {
    let server = TestServer::start();
    // The child cannot write on while nobody reads here, for longer than its output is waited for.
    let script = "$CLIENT run --merge 'head -c 3500000 /dev/zero & exit 0' | (sleep 2.6; wc -c)";
    assert_eq!(Ran::of(&mut server.script("/bin/sh", script)).succeeds().trim(), "3500000");
}
