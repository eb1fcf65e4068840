//! Jobs that nobody waits for: started, listed, waited for, told something, and forgotten, each from a client of its own.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use std::process::Command;

use rustix::process::Signal;
use serde_json::Value;
use tests::{DEADLINE, Mark, Ran, Running, TestServer, client_key, wait_until};

/// A client that is told to do `arguments`.
fn client(server: &TestServer, arguments: &[&str]) -> Command {
    let mut client = server.client();
    client.args(arguments);
    client
}

fn ran(server: &TestServer, arguments: &[&str]) -> Ran {
    Ran::of(&mut client(server, arguments))
}

/// Starts a detached job; its id.
#[track_caller]
fn detach(server: &TestServer, options: &[&str], script: &str) -> String {
    let said = ran(server, &[&["run", "--detach"], options, &[script]].concat()).succeeds();
    said.strip_suffix('\n').unwrap().to_owned()
}

/// A command that goes on until [`TestServer::file`] makes the file `go`, and then exits with `code`.
fn until_go(server: &TestServer, code: u8) -> String {
    format!("while [ ! -e {} ]; do sleep 0.02; done; exit {code}", server.path("go").display())
}

#[test]
fn a_detached_job_is_named_listed_and_waited_for() {
    let server = TestServer::start();
    let id = detach(&server, &[], &until_go(&server, 3));
    assert_eq!(id.len(), 32, "{id}");
    let list = ran(&server, &["jobs"]).succeeds();
    let line = list.lines().find(|line| line.starts_with(&format!("{id}  "))).unwrap();
    assert!(line.contains("  running  ") && line.ends_with("  -"), "{line}");
    let waiting = ran(&server, &["wait", "--timeout", "50ms", &id]).complains("client", 124);
    assert_eq!(waiting, format!("job {id} was not over after 50ms, and goes on"));
    server.file("go", "");
    // A beginning is enough.
    assert_eq!(ran(&server, &["wait", &id[..6]]).exits(3).errors(), "");
    assert!(!ran(&server, &["jobs"]).succeeds().contains(&id));
    assert!(ran(&server, &["jobs", "--all"]).succeeds().contains("  exited 3  "));
}

#[test]
fn a_detached_job_that_does_not_start_says_why() {
    let server = TestServer::start();
    let ran = ran(&server, &["run", "--detach", "--", "no-such-program"]).exits(127);
    assert_eq!(ran.text(), "");
    assert!(ran.errors().starts_with("client: no-such-program: not found in PATH"), "{}", ran.errors());
}

#[test]
fn a_list_for_programs_has_an_object_a_line() {
    let server = TestServer::start();
    let id = detach(&server, &["--id", "nightly"], &until_go(&server, 0));
    assert_eq!(id, "nightly");
    let list = ran(&server, &["jobs", "--json"]).succeeds();
    let job: Value = serde_json::from_str(list.trim_end()).unwrap();
    assert_eq!(
        (&job["id"], &job["state"], &job["attached"]),
        (&"nightly".into(), &"running".into(), &Value::Null)
    );
    assert!(job["process_id"].is_u64() && job["started"].as_str().unwrap().ends_with('Z'), "{job}");
    server.file("go", "");
    ran(&server, &["wait", "nightly"]).exits(0);
    let list = ran(&server, &["jobs", "--all", "--json"]).succeeds();
    let job: Value = serde_json::from_str(list.trim_end()).unwrap();
    assert_eq!((&job["state"], &job["outcome"], &job["code"]), (&"over".into(), &"exited".into(), &0.into()));
}

#[test]
fn several_jobs_are_waited_for_and_the_last_failure_counts() {
    let server = TestServer::start();
    let jobs = [("a", "exit 3"), ("b", "kill -KILL $$"), ("c", "true")];
    for (id, script) in jobs {
        detach(&server, &["--id", id], script);
    }
    let ran = ran(&server, &["wait", "a", "b", "c"]).exits(137);
    assert_eq!(ran.errors(), "client: job a: exited with 3\nclient: job b: killed by SIGKILL\n");
    assert_eq!(self::ran(&server, &["wait", "c", "a"]).exits(3).errors(), "client: job a: exited with 3\n");
}

#[test]
fn a_signal_reaches_the_job_and_one_that_is_over_says_so() {
    let server = TestServer::start();
    let mark = Mark::new();
    let (name, value) = mark.variable();
    let id = detach(&server, &["-e", &format!("{name}={value}")], "sleep 1000");
    assert_eq!(
        ran(&server, &["signal", &id, "0"]).complains("client", 125),
        "no such signal: 0; write a name or a number: TERM, SIGINT, 9"
    );
    assert_eq!(ran(&server, &["signal", &id]).succeeds(), "");
    let said = ran(&server, &["wait", &id]).complains("client", 143);
    assert_eq!(said, format!("job {id}: killed by SIGTERM"));
    mark.wait_until_gone();
    // A server may take one for a job whose end it is just about to tell.
    wait_until("a signal is refused", DEADLINE, || {
        let ran = ran(&server, &["signal", &id, "USR1"]);
        !ran.status.success() && ran.complains("client", 125) == format!("job {id} is over")
    });
}

#[test]
fn only_what_is_over_is_forgotten() {
    let server = TestServer::start();
    let id = detach(&server, &[], &until_go(&server, 0));
    let said = ran(&server, &["forget", &id]).complains("client", 125);
    assert!(said.starts_with(&format!("job {id} still runs; end it first")), "{said}");
    server.file("go", "");
    ran(&server, &["wait", &id]).exits(0);
    let said = ran(&server, &["forget", "no-such-job", &id]).complains("client", 125);
    assert!(said.starts_with("there is no job no-such-job that this key may know of; "), "{said}");
    assert!(!ran(&server, &["jobs", "--all"]).succeeds().contains(&id));
    assert!(ran(&server, &["wait", &id]).complains("client", 125).starts_with("there is no job "));
}

#[test]
fn each_kind_of_wrong_id_has_its_sentence() {
    let server = TestServer::start();
    for id in ["twin-1", "twin-2"] {
        detach(&server, &["--id", id], &until_go(&server, 0));
    }
    for verb in ["attach", "logs", "wait", "signal", "forget"] {
        let said = |id: &str| ran(&server, &[verb, id]).complains("client", 125);
        assert!(said("x").starts_with("there is no job x that this key may know of; "), "{verb}");
        assert!(
            said("twin").starts_with("2 jobs have an id that begins with twin; write more of it"),
            "{verb}"
        );
        assert!(said(&"x".repeat(65)).contains("a job id has 1 to 64 bytes, not 65"), "{verb}");
        assert!(said("a\u{7}b").starts_with("a\\x07b: a job id has no white space"), "{verb}");
        assert!(said("").starts_with("\"\": a job id has 1 to 64 bytes, not 0; "), "{verb}");
    }
    server.file("go", "");
    // They would outlive the server.
    ran(&server, &["wait", "twin-1", "twin-2"]).exits(0);
}

#[test]
fn a_kept_job_goes_on_without_its_client() {
    let server = TestServer::start();
    let mark = Mark::new();
    let mut command = client(&server, &["run", "-n", "--on-disconnect", "keep"]);
    command.args(mark.option()).arg("echo ready; exec sleep 1000");
    let mut client = Running::start(&mut command);
    client.wait_for_stdout("ready\n");
    let id = |list: String| list.lines().nth(1).unwrap().split(' ').next().unwrap().to_owned();
    let id = id(ran(&server, &["jobs"]).succeeds());
    client.signal(Signal::KILL);
    client.finish();
    wait_until("nobody is attached", DEADLINE, || {
        ran(&server, &["jobs"]).succeeds().lines().nth(1).unwrap().ends_with("  -")
    });
    mark.wait_for(1);
    ran(&server, &["signal", &id, "KILL"]).succeeds();
    mark.wait_until_gone();
}

#[test]
fn what_a_job_has_taken_is_one_line() {
    let server = TestServer::start();
    let ran = ran(&server, &["run", "--time", "exit 3"]).exits(3);
    let said = ran.errors();
    assert!(said.starts_with("client: wall 0.") && said.lines().count() == 1, "{said}");
}

#[test]
fn a_job_is_its_owners_and_an_administrators_and_nobody_elses() {
    let server = TestServer::options().listen("127.0.0.1:0").listen("unix:DIR/own/server.sock").start();
    let id = detach(&server, &[], "sleep 1000");
    let local = |arguments: &[&str]| {
        let mut client = server.bare_client();
        client.args(["-H", &format!("unix:{}", server.path("own/server.sock").display())]).args(arguments);
        Ran::of(&mut client)
    };
    assert!(!local(&["jobs", "--all"]).succeeds().contains(&id));
    let unknown = local(&["signal", &id]).complains("client", 125);
    assert_eq!(unknown, local(&["signal", "never"]).complains("client", 125).replace("never", &id));
    assert!(unknown.starts_with(&format!("there is no job {id} that this key may know of")), "{unknown}");

    server.settings("server.toml", "[jobs]\nadministrators = [\"local\"]\n");
    server.signal(Signal::HUP);
    let owner = client_key().public().fingerprint().to_string();
    wait_until("the administrator sees whose it is", DEADLINE, || {
        let list = local(&["jobs"]).succeeds();
        list.lines().any(|line| line.starts_with(&id) && line.ends_with(&owner))
    });
    // One's own come first: the same id twice is no riddle.
    assert_eq!(local(&["run", "--id", &id, "echo mine"]).succeeds(), "mine\n");
    assert_eq!(local(&["wait", &id]).exits(0).errors(), "");
    local(&["forget", &id]).succeeds();
    local(&["signal", &id[..20], "KILL"]).succeeds();
    assert_eq!(ran(&server, &["wait", &id]).exits(137).text(), "");
}

#[test]
fn a_beginning_is_looked_for_among_the_jobs_with_supervisors_and_those_without() {
    let server = TestServer::start();
    let running = Running::start(&mut client(&server, &["run", "sleep 1000"]));
    let mut id = String::new();
    wait_until("it runs", DEADLINE, || {
        let list = ran(&server, &["jobs", "--json"]).succeeds();
        let job = list.lines().next().map(|line| serde_json::from_str::<Value>(line).unwrap());
        id = job.map(|job| job["id"].as_str().unwrap().to_owned()).unwrap_or_default();
        !id.is_empty()
    });
    let other = detach(&server, &["--id", &format!("{}-other", &id[..8])], "sleep 1000");
    let ambiguous = ran(&server, &["signal", &id[..8]]).complains("client", 125);
    assert!(
        ambiguous.starts_with(&format!("2 jobs have an id that begins with {}", &id[..8])),
        "{ambiguous}"
    );
    // The whole id of one is the beginning of another.
    let longer = detach(&server, &["--id", &format!("{id}-longer")], "sleep 1000");
    ran(&server, &["signal", &id, "KILL"]).succeeds();
    running.finish().exits(137);
    for left in [&other, &longer] {
        ran(&server, &["signal", left, "KILL"]).succeeds();
        ran(&server, &["wait", left]).exits(137);
    }
}
