//! A prompt that is left to the server, and come back to: its shell goes on, and goes on being a shell.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use std::fs;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tests::{DEADLINE, Mark, Ran, Repl, TestServer, wait_until};

/// A prompt in this shell, with something in the background that is marked.
fn prompt(server: &TestServer, shell: &str, mark: &Mark) -> Repl {
    let (name, value) = mark.variable();
    let mut repl = Repl::with(server, server.address(), "", |client| {
        client.args(["repl", "--shell", shell]);
    });
    repl.line(&format!("cd /; word=kept; {name}={value} sleep 1000 & echo begun"), "begun");
    mark.wait_for(1);
    repl
}

fn ran(server: &TestServer, arguments: &[&str]) -> Ran {
    Ran::of(server.client().args(arguments))
}

/// Leaves it; its job's id.
#[track_caller]
fn detach(mut repl: Repl, server: &TestServer) -> String {
    repl.keys(":detach\r");
    assert_eq!(repl.ends().code(), Some(0), "{}", repl.text());
    let job = only_job(server);
    let id = job["id"].as_str().unwrap().to_owned();
    assert!(repl.text().replace('\n', "").contains(&format!("attach {id}")), "{}", repl.text());
    id
}

/// The one job that the server has.
fn only_job(server: &TestServer) -> Value {
    let list = ran(server, &["jobs", "--json"]).succeeds();
    let mut jobs = list.lines().map(|job| serde_json::from_str::<Value>(job).unwrap());
    let job = jobs.next().unwrap_or_else(|| panic!("no job"));
    assert_eq!(jobs.next(), None);
    job
}

/// Comes back to it.
#[track_caller]
fn attach(server: &TestServer, id: &str) -> Repl {
    Repl::with(server, server.address(), "", |client| {
        client.args(["attach", id]);
    })
}

#[track_caller]
fn comes_back(shell: &str) {
    if fs::metadata(shell).is_err() {
        eprintln!("skipped: no {shell}");
        return;
    }
    let (server, mark) = (TestServer::start(), Mark::new());
    let mut repl = prompt(&server, shell, &mark);
    let jobs = server.path("jobs");
    let jobs = jobs.display();
    for round in 1..=3 {
        let id = detach(repl, &server);
        assert_eq!(only_job(&server)["attached"], Value::Null);
        // By the beginning of its id, as everywhere.
        repl = attach(&server, &id[..12]);
        if round > 1 {
            repl.line("echo \"left $?\"", &format!("left {}", round - 1));
        }
        repl.line(&format!("echo $word-{round} $(pwd)"), &format!("kept-{round} /"));
        repl.line("(exit 3)", &format!("kept-{round} /"));
        repl.wait_for_row("the status", |row| row.starts_with("[3] "));
        repl.line("echo \"was $?\"", "was 3");
        repl.line(&format!("jobs >{jobs}; echo jobs-$(grep -c sleep {jobs})"), "jobs-1");
        repl.keys(&format!("(exit {round})\r"));
        repl.wait_for_row("the status", |row| row == format!("[{round}] root@db1:/$"));
    }
    repl.keys("\x04");
    repl.wait_for_line("these jobs end with the session; Ctrl-D once more leaves");
    repl.leave();
    mark.wait_until_gone();
    wait_until("no job is left", DEADLINE, || ran(&server, &["jobs"]).succeeds().lines().count() < 2);
}

#[test]
fn one_comes_back_to_bash() {
    comes_back("/bin/bash");
}

#[test]
fn one_comes_back_to_zsh() {
    comes_back("/bin/zsh");
}

#[test]
fn one_comes_back_to_dash() {
    comes_back("/bin/dash");
}

#[test]
fn one_comes_back_to_mksh() {
    comes_back("/bin/mksh");
}

#[test]
fn one_comes_back_to_busybox() {
    comes_back("/bin/busybox");
}

#[test]
fn who_attaches_takes_the_line_that_runs_over() {
    let (server, mark) = (TestServer::start(), Mark::new());
    let mut first = prompt(&server, "/bin/bash", &mark);
    let asleep = server.path("asleep");
    first.keys(&format!("trap 'echo had one' INT; sh -c 'echo >{}; exec sleep 1000'\r", asleep.display()));
    wait_until("a command that sleeps", DEADLINE, || asleep.exists());
    let id = only_job(&server)["id"].as_str().unwrap().to_owned();
    let mut second = Repl::busy(server.client().args(["attach", &id]), &server);
    first.wait_for_line(&format!("client: another client has taken over job {id}; it goes on there"));
    assert_eq!(first.ends().code(), Some(125), "{}", first.text());
    second.keys("\x03");
    second.wait_for_prompt();
    second.line("echo $? $word", "130 kept");
    second.line("kill -INT $$", "had one");
    // It was not left to the server: it ends with its last client, what it has in the background with it.
    second.keys("\x04");
    second.wait_for_line("these jobs end with the session; Ctrl-D once more leaves");
    second.wait_for_prompt();
    second.keys("\x04");
    second.ends();
    mark.wait_until_gone();
}

#[test]
fn a_window_that_is_closed_ends_no_shell_that_was_detached() {
    let (server, mark) = (TestServer::start(), Mark::new());
    let id = detach(prompt(&server, "/bin/bash", &mark), &server);
    let mut repl = attach(&server, &id);
    kill_process(Pid::from_child(&repl.client), Signal::HUP).unwrap();
    assert_eq!(repl.ends().code(), Some(129), "{}", repl.text());
    wait_until("nobody is attached", DEADLINE, || only_job(&server)["attached"].is_null());
    mark.wait_for(1);
    let mut repl = attach(&server, &id);
    repl.line("echo still $word", "still kept");
    detach(repl, &server);
    assert_eq!(ran(&server, &["signal", &id, "HUP"]).succeeds(), "");
    ran(&server, &["wait", &id]).exits(129);
    assert_eq!(ran(&server, &["jobs", "--json"]).succeeds(), "");
}

#[test]
fn nobody_could_come_back_to_a_script() {
    let server = TestServer::start();
    let ran = Ran::with_input(&mut server.client(), b":detach\necho $?\n").exits(0);
    assert_eq!(ran.text(), "125\n");
    assert_eq!(
        ran.errors(),
        "client: line 1: not on a terminal: nobody could come back to the shell of a script\n"
    );
}

#[test]
fn a_server_that_ends_with_the_session_keeps_nothing() {
    let server = TestServer::start();
    let mut embedded = Repl::busy(server.bare_client().arg("--embedded"), &server);
    embedded.line(":detach", "the server ends with this session, and all that runs there with it");
    embedded.keys("\x04");
    embedded.ends();
}
