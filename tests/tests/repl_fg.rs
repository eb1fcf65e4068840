//! `:fg`: another job in the foreground of a prompt, and back.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use serde_json::Value;
use tests::{DEADLINE, Ran, Repl, TestServer, wait_until};

/// Leaves this job to the server.
#[track_caller]
fn detached(server: &TestServer, options: &[&str], id: &str, command: &str) {
    let ran = Ran::of(server.client().args(["run", "--detach", "--id", id]).args(options).arg(command));
    assert_eq!(ran.succeeds(), format!("{id}\n"));
}

/// Waits until this job has a client.
#[track_caller]
fn wait_until_attached(server: &TestServer, id: &str) {
    wait_until("it is attached to", DEADLINE, || {
        let jobs = Ran::of(server.client().args(["jobs", "--json"])).succeeds();
        let mut jobs = jobs.lines().map(|job| serde_json::from_str::<Value>(job).unwrap());
        jobs.any(|job| job["id"] == id && !job["attached"].is_null())
    });
}

#[test]
fn a_job_is_attended_to_its_end() {
    let server = TestServer::start();
    detached(
        &server,
        &[],
        "slow",
        &format!("echo begun; while [ ! -e {} ]; do sleep 0.02; done; exit 7", server.path("go").display()),
    );
    let mut repl = Repl::start(&server);
    repl.line("word=kept; echo ready", "ready");
    repl.keys(":fg\r");
    repl.wait_for_line("begun");
    server.file("go", "");
    repl.wait_for_row("its exit code", |row| row.starts_with("[7] ") && row.ends_with('$'));
    repl.line("echo \"$? $word\"", "7 kept");
    repl.line(":fg", "no job of yours runs at db1 but shells of prompts");
    repl.leave();
}

#[test]
fn a_job_on_a_terminal_has_this_one_and_is_left_by_its_keys() {
    let server = TestServer::start();
    detached(&server, &["-tt"], "term", "stty -echo; while read line; do echo got $line; done; exit 5");
    let mut repl = Repl::start(&server);
    repl.keys(":fg te\r");
    wait_until_attached(&server, "term");
    repl.keys("one\r");
    repl.wait_for_line("got one");
    repl.keys("\x1cd");
    repl.wait_for_prompt();
    assert!(repl.text().contains("detached: job term goes on at db1"), "{}", repl.text());
    repl.line("echo \"and $?\"", "and 0");
    repl.keys(":fg term\r");
    wait_until_attached(&server, "term");
    repl.keys("two\r");
    repl.wait_for_line("got two");
    repl.keys("\r\x04");
    repl.wait_for_row("its exit code", |row| row.starts_with("[5] ") && row.ends_with('$'));
    repl.leave();
}

#[test]
fn ctrl_c_is_for_the_job_and_a_second_one_leaves_it() {
    let server = TestServer::start();
    detached(&server, &[], "stubborn", "trap 'echo had one' INT; echo begun; while :; do sleep 0.02; done");
    let mut repl = Repl::start(&server);
    repl.keys(":fg stubborn\r");
    repl.wait_for_line("begun");
    repl.keys("\x03");
    repl.screen.wait_for("had one");
    repl.keys("\x03\x03");
    repl.wait_for_row("the prompt", |row| row.starts_with("[130] ") && row.ends_with('$'));
    repl.line("echo on", "on");
    let jobs = Ran::of(server.client().args(["jobs"])).succeeds();
    assert!(jobs.contains("stubborn"), "{jobs}");
    repl.leave();
    Ran::of(server.client().args(["signal", "stubborn", "KILL"])).succeeds();
}

#[test]
fn one_has_to_say_which() {
    let server = TestServer::start();
    detached(&server, &[], "one", "exec sleep 1000");
    detached(&server, &[], "two", "exec sleep 1000");
    let mut repl = Repl::start(&server);
    repl.line(":fg", "which of these jobs? (:fg ID; the beginning of its id is enough)");
    assert!(
        ["one", "two"].iter().all(|id| repl.text().lines().any(|line| line.starts_with(id))),
        "{}",
        repl.text()
    );
    repl.line(
        ":fg three",
        "there is no job three that this key may know of; `client jobs --all` lists those that there are",
    );
    repl.line("echo \"after $?\"", "after 125");
    repl.line(":fg 'a b'", "not a job's id: a b (:jobs lists them)");
    repl.leave();
    for id in ["one", "two"] {
        Ran::of(server.client().args(["signal", id, "KILL"])).succeeds();
    }
}

#[test]
fn shells_of_prompts_are_not_attached_to() {
    let server = TestServer::start();
    let mut repl = Repl::start(&server);
    let file = server.path("id");
    repl.line(&format!("printf %s $TELEX_JOB_ID >{}; echo written", file.display()), "written");
    let id = std::fs::read_to_string(file).unwrap();
    repl.line(&format!(":fg {id}"), "that is the shell of this prompt");
    let mut other = Repl::start(&server);
    other.keys(&format!(":fg {id}\r"));
    other.screen.wait_until("how to come back", |screen| {
        screen.contents().replace('\n', "").contains("is the shell of another prompt; `client -H db1 attach")
    });
    repl.line("echo untouched", "untouched");
}

#[test]
fn a_script_attends_a_job_too_and_keeps_its_lines() {
    let server = TestServer::start();
    detached(&server, &[], "reader", "cat; echo end; exit 3");
    let ran = Ran::with_input(&mut server.client(), b":fg reader\necho \"was $?\"\n");
    assert_eq!((ran.text(), ran.errors()), ("end\nwas 3\n".to_owned(), String::new()));
    wait_until("no job is left", DEADLINE, || {
        Ran::of(server.client().args(["jobs", "--json"])).succeeds().lines().count() == 0
    });
}
