//! What one server leaves to the next, and to whoever asks: jobs that go on, their ends in the trail, who is attached to them.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use std::fs;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tests::{DEADLINE, Mark, Ran, Running, TestServer, supervisors, wait_until, zombie_children};

/// A command that goes on until [`TestServer::file`] makes the file `go`, and then exits with `code`.
fn until_go(server: &TestServer, code: u8) -> String {
    format!("echo ready; while [ ! -e {} ]; do sleep 0.02; done; exit {code}", server.path("go").display())
}

fn ran(server: &TestServer, arguments: &[&str]) -> Ran {
    Ran::of(server.client().args(arguments))
}

/// The ends of the job `id` in the trail, which goes to the log of all servers.
fn ends(server: &TestServer, id: &str) -> Vec<Value> {
    let log = server.log();
    let events = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    events.filter(|event| event["event"] == "job_end" && event["job"] == id).collect()
}

#[test]
fn a_server_that_stops_ends_what_is_its_own_and_parts_from_the_rest_at_once() {
    let mut server = TestServer::start();
    let own = Mark::new();
    let mut attached =
        Running::start(server.client().arg("run").args(own.option()).arg("echo ready; exec sleep 1000"));
    attached.wait_for_stdout("ready\n");
    let script = until_go(&server, 3);
    let mut kept = Running::start(server.client().args(["run", "-q", "--id", "kept", &script]));
    kept.wait_for_stdout("ready\n");
    let before = Instant::now();
    server.replace(Signal::TERM);
    assert!(before.elapsed() < Duration::from_secs(5), "it took {:?}", before.elapsed());
    let said = attached.finish().complains("client", 125);
    assert_eq!(said, "cancelled: the server is stopping and ended the job");
    own.wait_until_gone();
    server.file("go", "");
    let ran = kept.finish().exits(3);
    assert_eq!((ran.text().as_str(), ran.errors().as_str()), ("ready\n", ""));
}

#[test]
fn the_end_of_a_job_is_in_the_trail_once_whoever_was_there_to_see_it() {
    let mut server = TestServer::start();
    ran(&server, &["run", "--id", "seen", "exit 2"]).exits(2);
    wait_until("one that this server has seen", DEADLINE, || ends(&server, "seen").len() == 1);
    let script = until_go(&server, 3);
    ran(&server, &["run", "--detach", "--id", "unseen", &script]).succeeds();
    ran(&server, &["run", "--detach", "--id", "later", "exec sleep 1000"]).succeeds();
    let later = server.path("late");
    let waits = format!("while [ ! -e {} ]; do sleep 0.02; done; exit 4", later.display());
    ran(&server, &["run", "--detach", "--id", "adopted", &waits]).succeeds();
    let own = server.path("");
    server.replace_after(Signal::KILL, || {
        let running = supervisors(&own).len();
        fs::write(own.join("go"), "").unwrap();
        wait_until("one ends while there is no server", DEADLINE, || supervisors(&own).len() < running);
    });
    wait_until("one that nobody has seen", DEADLINE, || ends(&server, "unseen").len() == 1);
    assert_eq!(ends(&server, "unseen")[0]["code"], 3);
    assert_eq!(ends(&server, "adopted"), [] as [Value; 0]);
    server.file("late", "");
    wait_until("one of before that ends now", DEADLINE, || ends(&server, "adopted").len() == 1);
    ran(&server, &["signal", "later", "KILL"]).succeeds();
    wait_until("the last one", DEADLINE, || ends(&server, "later").len() == 1);
    for signal in [Signal::KILL, Signal::TERM] {
        server.replace(signal);
        server.still_serves();
        ran(&server, &["jobs", "--all"]).succeeds();
    }
    ran(&server, &["forget", "seen", "unseen", "adopted", "later"]).succeeds();
    for id in ["seen", "unseen", "adopted", "later"] {
        assert_eq!(ends(&server, id).len(), 1, "{id}");
    }
}

#[test]
fn a_start_that_is_said_again_is_in_the_trail_once() {
    let server = TestServer::start();
    for _ in 0..3 {
        ran(&server, &["run", "--id", "step", "exit 2"]).exits(2);
    }
    assert_eq!(server.log().matches("\"event\":\"job_start\"").count(), 1);
}

#[test]
fn a_list_says_who_is_attached_and_waits_for_nobody() {
    let server = TestServer::start();
    let script = until_go(&server, 0);
    let mut client = Running::start(server.client().args(["run", "-q", "--id", "held", &script]));
    client.wait_for_stdout("ready\n");
    let attached = || {
        let list = ran(&server, &["jobs", "--json"]).succeeds();
        let job: Value = serde_json::from_str(list.trim_end()).unwrap();
        job["attached"].as_str().map(ToOwned::to_owned)
    };
    assert!(attached().unwrap().starts_with("127.0.0.1:"), "{:?}", attached());
    let supervisor = Pid::from_raw(supervisors(&server.path(""))[0] as i32).unwrap();
    kill_process(supervisor, Signal::STOP).unwrap();
    let before = Instant::now();
    assert_eq!(attached().unwrap(), "its supervisor does not answer");
    assert!(before.elapsed() < Duration::from_secs(4), "it took {:?}", before.elapsed());
    kill_process(supervisor, Signal::CONT).unwrap();
    server.file("go", "");
    client.finish().exits(0);
}

#[test]
fn lines_have_the_times_at_which_they_were_written_while_the_job_runs_and_after_it() {
    let server = TestServer::start();
    let go = server.path("go");
    let script = format!(
        "echo one; sleep 0.5; echo two; echo two; while [ ! -e {} ]; do sleep 0.02; done",
        go.display()
    );
    let mut client = Running::start(server.client().args(["run", "-q", "--id", "timed", &script]));
    client.wait_for_stdout("one\ntwo\ntwo\n");
    let times = || {
        let said = ran(&server, &["logs", "--timestamps", "timed"]).succeeds();
        let lines: Vec<(String, String)> = said
            .lines()
            .map(|line| line.split_once(' ').map(|(at, text)| (at.to_owned(), text.to_owned())).unwrap())
            .collect();
        assert_eq!(lines.iter().map(|(_, text)| text.as_str()).collect::<Vec<_>>(), ["one", "two", "two"]);
        lines.into_iter().map(|(at, _)| at).collect::<Vec<_>>()
    };
    let while_it_runs = times();
    let year = |time: &String| time.ends_with('Z') && time[..2].parse::<u32>().is_ok();
    assert!(while_it_runs.iter().all(year), "{while_it_runs:?}");
    assert!(while_it_runs[0] < while_it_runs[1] && while_it_runs[1] == while_it_runs[2], "{while_it_runs:?}");
    server.file("go", "");
    client.finish().exits(0);
    assert_eq!(times(), while_it_runs);
}

#[test]
fn a_program_that_takes_over_in_the_same_process_sees_to_those_of_the_one_before() {
    let server = TestServer::start();
    let script = until_go(&server, 3);
    let mut client = Running::start(server.client().args(["run", "-q", "--id", "kept", &script]));
    client.wait_for_stdout("ready\n");
    Ran::of(server.server().arg("upgrade")).succeeds();
    server.file("go", "");
    assert_eq!(client.finish().exits(3).text(), "ready\n");
    wait_until("its end is in the trail", DEADLINE, || ends(&server, "kept").len() == 1);
    wait_until("no zombies", DEADLINE, || zombie_children(server.process_id()).is_empty());
}
