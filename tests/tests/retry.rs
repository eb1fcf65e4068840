//! `run --id`: a step of a script that is tried again goes on with the job that the first try has started.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use tests::{DEADLINE, Ran, Running, TestServer, wait_until};

/// Says what it has read, counts how often it is run, and goes on until the file `go` is there.
fn script(server: &TestServer) -> String {
    let (starts, go) = (server.path("starts"), server.path("go"));
    format!(
        "echo start >> {}; echo one; while [ ! -e {} ]; do sleep 0.02; done; echo two; cat; exit 3",
        starts.display(),
        go.display()
    )
}

fn starts(server: &TestServer) -> usize {
    std::fs::read_to_string(server.path("starts")).unwrap().lines().count()
}

#[test]
fn the_second_try_goes_on_with_the_first() {
    let server = TestServer::start();
    let script = script(&server);
    let arguments = ["run", "--id", "deploy-7", "--on-disconnect", "keep", &script];
    let mut first = Running::start(server.client().args(arguments));
    first.wait_for_stdout("one\n");
    let mut second = Running::start(server.client().args(arguments));
    // The job has one client; the first is told.
    wait_until("the first is told", DEADLINE, || first.has_ended());
    let said = first.finish().complains("client", 125);
    assert_eq!(said, "another client has taken over job deploy-7; it goes on there");
    server.file("go", "");
    second.wait_for_stdout("two\n");
    second.write(b"read\n");
    let ran = second.finish().exits(3);
    assert!(ran.text().ends_with("two\nread\n"), "{}", ran.text());
    assert_eq!(starts(&server), 1);
    // And once more, when it is over.
    let third = Ran::with_input(server.client().args(arguments), b"").exits(3);
    assert!(!third.errors().contains("lost"), "{}", third.errors());
    assert_eq!(starts(&server), 1);
}

#[test]
fn what_the_first_try_has_sent_is_not_read_twice() {
    let server = TestServer::start();
    let go = server.path("go");
    let script = format!("head -c 4; echo; while [ ! -e {} ]; do sleep 0.02; done; cat", go.display());
    let arguments = ["run", "--id", "x", "--on-disconnect", "keep", &script];
    let mut first = Running::start(server.client().args(arguments));
    first.write(b"abcdef");
    first.wait_for_stdout("abcd\n");
    let mut second = Running::start(server.client().args(arguments));
    second.write(b"abcdefghi\n");
    wait_until("the first is told", DEADLINE, || first.has_ended());
    first.finish().exits(125);
    server.file("go", "");
    let ran = second.finish().exits(0);
    assert!(ran.text().ends_with("efghi\n") && !ran.text().contains("abcdef"), "{:?}", ran.text());
}

#[test]
fn another_request_under_the_same_id_is_refused() {
    let server = TestServer::start();
    server.run(["--id", "x", "echo one"]).exits(0);
    let said = server.run(["--id", "x", "echo two"]).complains("client", 125);
    assert_eq!(said, "job x was started with another request; choose another id");
    let said = server.run(["--id", "x", "--timeout", "5s", "echo one"]).complains("client", 125);
    assert!(said.contains("another request"), "{said}");
}
