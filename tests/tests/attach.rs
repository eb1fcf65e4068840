//! A job from another client: attached to, looked at, and left to the server with a key.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use std::process::Command;

use common::frame::StreamId;
use common::greeting::{Features, VERSION, Welcome};
use common::message::{Attached, Begins, ClientMessage, Role, ServerMessage};
use common::packet::Packet;
use serde_json::Value;
use tests::{
    DEADLINE, Mark, Ran, RawListener, RawServer, Running, Sandbox, Terminal, TestServer, wait_until,
};

fn client(server: &TestServer, arguments: &[&str]) -> Command {
    let mut client = server.client();
    client.args(arguments);
    client
}

fn ran(server: &TestServer, arguments: &[&str]) -> Ran {
    Ran::of(&mut client(server, arguments))
}

/// A detached job `x` that writes `out` and `err`, waits for the file `go`, writes `more` and exits with 3.
fn detach(server: &TestServer) {
    let script = format!(
        "echo out; echo err >&2; while [ ! -e {} ]; do sleep 0.02; done; echo more; exit 3",
        server.path("go").display()
    );
    assert_eq!(ran(server, &["run", "--detach", "--id", "x", &script]).succeeds(), "x\n");
    wait_until("the job has written", DEADLINE, || {
        let list = ran(server, &["jobs", "--json"]).succeeds();
        let job: Value = serde_json::from_str(list.trim_end()).unwrap();
        job["stdout"]["end"] == 4 && job["stderr"]["end"] == 4
    });
}

#[test]
fn attached_it_is_as_if_it_had_been_started_here() {
    let server = TestServer::start();
    detach(&server);
    let mut attached = Running::start(&mut client(&server, &["attach", "x"]));
    attached.wait_for_stdout("out\n");
    server.file("go", "");
    let ran = attached.finish().exits(3);
    assert_eq!((ran.text().as_str(), ran.errors().as_str()), ("out\nmore\n", "err\n"));
}

#[test]
fn the_stdin_of_a_kept_job_goes_on_with_whoever_is_attached() {
    let server = TestServer::start();
    let arguments = ["run", "--id", "x", "--on-disconnect", "keep", "while read l; do echo got $l; done"];
    let mut first = Running::start(&mut client(&server, &arguments));
    first.write(b"one\n");
    first.wait_for_stdout("got one\n");
    let mut second = Running::start(&mut client(&server, &["attach", "x", "--from", "now"]));
    wait_until("the first is told", DEADLINE, || first.has_ended());
    second.write(b"two\n");
    second.wait_for_stdout("got two\n");
    // The end of its stdin is that of the job's.
    assert_eq!(second.finish().succeeds(), "got two\n");
    first.finish().complains("client", 125);
}

#[test]
fn who_only_looks_on_takes_nobodys_place() {
    let server = TestServer::start();
    detach(&server);
    let mut writer = Running::start(&mut client(&server, &["attach", "x"]));
    let mut reader = Running::start(&mut client(&server, &["attach", "x", "--read-only", "--json"]));
    writer.wait_for_stdout("out\n");
    reader.wait_for_stdout("\"started\"");
    let list = ran(&server, &["jobs"]).succeeds();
    assert!(list.contains(", 1 reading\n"), "{list}");
    server.file("go", "");
    writer.finish().exits(3);
    let events = reader.finish().exits(3).text();
    let last: Value = serde_json::from_str(events.lines().last().unwrap()).unwrap();
    assert_eq!((&last["outcome"], &last["code"]), (&"exited".into(), &3.into()), "{last}");
    assert!(last["wall_seconds"].is_f64(), "{last}");
}

#[test]
fn logs_are_what_there_is_until_now_or_until_the_end() {
    let server = TestServer::start();
    detach(&server);
    let now = ran(&server, &["logs", "x"]).exits(0);
    assert_eq!((now.text().as_str(), now.errors().as_str()), ("out\n", "err\n"));
    assert_eq!(ran(&server, &["logs", "x", "--stdout", "--from", "2"]).succeeds(), "t\n");
    let stderr = ran(&server, &["logs", "x", "--stderr", "--from", "1"]).exits(0);
    assert_eq!((stderr.text().as_str(), stderr.errors().as_str()), ("", "rr\n"));
    assert_eq!(ran(&server, &["logs", "x", "--from", "now"]).succeeds(), "");
    let beyond = ran(&server, &["logs", "x", "--from", "5"]).complains("client", 125);
    assert!(
        beyond.starts_with("job x: stdout has 4 bytes until now, and is wanted from beyond that; "),
        "{beyond}"
    );
    let mut following =
        Running::start(&mut client(&server, &["logs", "-f", "x", "--stdout", "--timestamps"]));
    following.wait_for_stdout(" out\n");
    server.file("go", "");
    let ran = following.finish().exits(0);
    let text = ran.text();
    let lines: Vec<_> = text.lines().map(|line| line.rsplit_once(' ').unwrap()).collect();
    let what: Vec<_> = lines.iter().map(|(_, line)| *line).collect();
    assert!(what == ["out", "more"] && ran.errors().is_empty(), "{ran:?}");
    assert!(lines.iter().all(|(stamp, _)| stamp.ends_with('Z') && stamp.len() == 24), "{text}");
}

/// A server that knows when everything was written, and has lost the beginning.
fn answer_with_times(mut peer: RawServer) {
    peer.send(Packet::Welcome(Welcome {
        version: VERSION,
        software: "raw server".to_owned(),
        features: Features::default(),
    }));
    let (number, attach) = loop {
        if let Packet::Message { job, message: ClientMessage::Attach(attach) } = peer.hear().unwrap() {
            break (job, attach);
        }
    };
    assert!(attach.times && attach.role == Role::Snapshot);
    let [stdout, stderr] = [StreamId::Stdout, StreamId::Stderr];
    let begins = [(stdout, 5), (stderr, 0)].map(|(stream, at)| Begins { stream, at });
    let attached = Attached {
        id: "nightly".parse().unwrap(),
        process_id: Some(7),
        grace_ms: None,
        streams: begins.to_vec(),
        stdin: None,
        applied: 0,
    };
    let mut say = |message| peer.send(Packet::Message { job: number, message });
    say(ServerMessage::Attached(attached));
    say(ServerMessage::Written { stream: stdout, from: 5, unix_ms: 1_000 });
    say(ServerMessage::Written { stream: stdout, from: 9, unix_ms: 2_500 });
    peer.send(Packet::Data { job: number, stream: stdout, offset: 5, bytes: "one\ntwo\n".into() });
    peer.send(Packet::Eof { job: number, stream: stdout, total: 13 });
    peer.send(Packet::Eof { job: number, stream: stderr, total: 0 });
    peer.send(Packet::Message { job: number, message: ServerMessage::Done });
    // The client has what it wants, and leaves.
    while peer.hear().is_some() {}
}

#[test]
fn a_line_has_the_time_at_which_it_was_written_and_what_is_not_kept_is_said() {
    let listener = RawListener::new();
    let mut command = Sandbox::new().client();
    command.args(["-H", &listener.address(), "logs", "--timestamps", "night"]);
    let client = Running::start(&mut command);
    answer_with_times(listener.accept());
    let ran = client.finish().exits(0);
    assert_eq!(ran.text(), "1970-01-01T00:00:01.000Z one\n1970-01-01T00:00:02.500Z two\n");
    assert_eq!(ran.errors(), "client: the first 5 bytes of stdout are not kept\n");
}

/// A client on a terminal, with a job of this mark.
fn on_a_terminal(server: &TestServer, mark: &Mark, options: &[&str], script: &str) -> (Terminal, Running) {
    let terminal = Terminal::new();
    let mut command = client(server, &["run"]);
    command.args(options).args(mark.option()).arg(script);
    let client = terminal.start(server, &command);
    (terminal, client)
}

/// Requires that `client` has left job `x`, which goes on.
#[track_caller]
fn has_left(server: &TestServer, mark: &Mark, client: Running) {
    let ran = client.finish().exits(0);
    let expected =
        format!("client: detached: job x goes on at {0}; client -H {0} attach x\n", server.address());
    assert!(ran.errors().ends_with(&expected), "{}", ran.errors());
    mark.wait_for(1);
    self::ran(server, &["signal", "x", "KILL"]).succeeds();
    mark.wait_until_gone();
}

#[test]
fn ctrl_backslash_and_d_leave_the_job_to_the_server() {
    let server = TestServer::start();
    let mark = Mark::new();
    let (mut terminal, mut client) = on_a_terminal(
        &server,
        &mark,
        &["--id", "x"],
        "trap 'echo quit' QUIT; echo ready; cat; exec sleep 1000",
    );
    client.wait_for_stdout("ready\n");
    // Alone, it is what it always was.
    terminal.keys(b"\x1c");
    client.wait_for_stdout("quit\n");
    let before = terminal.modes();
    terminal.keys(b"\x1c");
    wait_until("the next key is waited for", DEADLINE, || terminal.modes() != before);
    terminal.keys(b"d");
    has_left(&server, &mark, client);
    assert_eq!(terminal.modes(), before);
}

#[test]
fn who_leaves_a_job_that_writes_leaves_it_its_pipes() {
    let server = TestServer::start();
    let mark = Mark::new();
    let script = format!(
        "trap 'echo broken > {1}' PIPE; echo ready; while [ ! -e {0} ]; do sleep 0.02; done; echo late; sleep 1000",
        server.path("go").display(),
        server.path("broken").display(),
    );
    let (mut terminal, mut client) = on_a_terminal(&server, &mark, &["--id", "x"], &script);
    client.wait_for_stdout("ready\n");
    let before = terminal.modes();
    terminal.keys(b"\x1c");
    wait_until("the next key is waited for", DEADLINE, || terminal.modes() != before);
    terminal.keys(b"d");
    client.finish().exits(0);
    server.file("go", "");
    let mut attached = Running::start(&mut self::client(&server, &["attach", "x", "-n"]));
    attached.wait_for_stdout("late\n");
    assert!(!server.path("broken").exists());
    ran(&server, &["signal", "x", "KILL"]).succeeds();
    attached.finish().exits(137);
    mark.wait_until_gone();
}

#[test]
fn any_keys_can_be_chosen_and_others_are_handed_on() {
    let server = TestServer::start();
    let mark = Mark::new();
    let options = ["--id", "x", "--detach-keys", "ctrl-p,ctrl-q"];
    let before = Terminal::new().modes();
    let (mut terminal, mut client) = on_a_terminal(&server, &mark, &options, "echo ready; exec cat -v");
    client.wait_for_stdout("ready\n");
    terminal.keys(b"ab\x10cd\r");
    client.wait_for_stdout("ab^Pcd\n");
    terminal.keys(b"ef\x10\x11");
    has_left(&server, &mark, client);
    assert_eq!(terminal.modes(), before);
}

#[test]
fn without_keys_nobody_leaves() {
    let server = TestServer::start();
    let mark = Mark::new();
    let options = ["--detach-keys", ""];
    let (mut terminal, mut client) = on_a_terminal(&server, &mark, &options, "echo ready; exec sleep 1000");
    client.wait_for_stdout("ready\n");
    terminal.keys(b"\x1c");
    assert!(client.finish().complains("client", 131).starts_with("killed by SIGQUIT"));
}
