//! The audit trail: who came, what ran for them and what became of it. One line each that nobody can forge, and no secret in
//! any of them.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use common::greeting::{CloseCode, Hello};
use common::job::{ByteString, Outcome, Program, Spec, StartFailure, Variable};
use common::packet::Packet;
use rustix::process::Signal;
use serde_json::{Value, json};
use tests::{
    DEADLINE, Ran, RawClient, Running, Sandbox, ServerOptions, TestServer, client_key, start_spec,
    strange_key, wait_until,
};

/// What would be an event of its own, if it came to stand at the beginning of a line.
const FORGED: &str = "x\n{\"event\":\"auth_ok\"}\n\u{1b}[2J\u{9b}1m\u{202e}\r\n";

/// A server on a free port that writes its trail into the file `audit`, with these further lines under `[audit]`.
fn options(lines: &str) -> ServerOptions {
    let sandbox = Sandbox::with_keys();
    write_settings(&sandbox, lines);
    TestServer::options_in(sandbox).listen("127.0.0.1:0")
}

fn write_settings(sandbox: &Sandbox, lines: &str) {
    let text = format!("[audit]\nto = {:?}\n{lines}\n[penalties]\nenabled = false\n", sandbox.path("audit"));
    sandbox.settings("server.toml", text);
}

/// The events so far, each a whole line that is one object.
#[track_caller]
fn events(server: &TestServer) -> Vec<Value> {
    let text = fs::read_to_string(server.path("audit")).unwrap();
    assert!(text.ends_with('\n'), "{text}");
    assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{text:?}");
    assert!(text.lines().all(|line| line.len() < 16 * 1024));
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"))).collect()
}

/// Waits until there are `count` events, and requires that there are no more.
#[track_caller]
fn wait_for_events(server: &TestServer, count: usize) -> Vec<Value> {
    wait_until(&format!("{count} events: {:?}", events(server)), DEADLINE, || events(server).len() >= count);
    let events = events(server);
    assert_eq!(events.len(), count, "{events:#?}");
    events
}

/// The names of events, and what of them tells them apart.
fn story(events: &[Value]) -> Vec<String> {
    let word =
        |event: &Value, name: &str| event[name].as_str().map(|word| format!(" {word}")).unwrap_or_default();
    let told = |event: &Value| {
        let rest = ["state", "result", "outcome"].map(|name| word(event, name)).concat();
        format!("{}{rest}", event["event"].as_str().unwrap())
    };
    events.iter().map(told).collect()
}

const OF_A_CALL: [&str; 5] =
    ["authentication accepted", "connection opened", "job_start", "job_end exited", "connection closed"];

#[test]
fn a_call_is_five_events_and_they_say_what_happened() {
    let server = options("").start();
    let arguments =
        ["-e", "LANG=C", "-e", "WHO=me", "--cwd", "/tmp", "--", "sh", "-c", "cat; printf err >&2; exit 3"];
    server.run_with_input(arguments, b"four").exits(3);
    let events = wait_for_events(&server, 6);
    assert_eq!(story(&events), ["server started"].iter().chain(&OF_A_CALL).copied().collect::<Vec<_>>());

    let [_, login, opened, start, end, _] = &events[..] else { panic!() };
    let fingerprint = client_key().public().fingerprint().to_string();
    assert_eq!(login["fingerprint"], fingerprint.as_str());
    assert_eq!(
        (&login["method"], &login["transport"], &login["user"]),
        (&json!("public_key"), &json!("tcp"), &json!(""))
    );
    assert!(login["peer"].as_str().unwrap().starts_with("127.0.0.1:"), "{login}");
    assert_eq!(opened["connection"], login["connection"]);
    assert_eq!((&start["connection"], &start["principal"]), (&login["connection"], &json!(fingerprint)));
    assert_eq!(start["argv"], json!(["sh", "-c", "cat; printf err >&2; exit 3"]));
    assert_eq!((&start["variables"], &start["directory"]), (&json!(["LANG", "WHO"]), &json!("/tmp")));
    assert_eq!((&end["job"], &end["code"]), (&start["job"], &json!(3)));
    assert_eq!([&end["stdin_bytes"], &end["stdout_bytes"], &end["stderr_bytes"]], [4, 4, 3]);
    assert!(end["cpu_seconds"].is_f64() && end["wall_seconds"].as_f64().unwrap() < 60.0, "{end}");
    let memory = ["peak_memory_bytes", "peak_memory_at_most_bytes"].map(|name| end[name].as_u64());
    assert!(memory.iter().flatten().any(|bytes| *bytes > 100_000), "{end}");
    for event in &events {
        assert!(event["time"].as_str().unwrap().ends_with('Z') && event["monotonic_ms"].is_u64(), "{event}");
    }
    assert_eq!(fs::metadata(server.path("audit")).unwrap().mode() & 0o777, 0o600);
}

#[test]
fn whoever_is_not_let_in_is_one_event_with_the_reason() {
    let server = options("").start();
    let mut peer = RawClient::connect_as(strange_key(), server.address());
    peer.send(Packet::Hello(Hello::new("root", "x")));
    peer.is_refused_aloud(CloseCode::Denied);
    let events = wait_for_events(&server, 2);
    assert_eq!(story(&events), ["server started", "authentication refused"]);
    assert_eq!(events[1]["fingerprint"], strange_key().public().fingerprint().to_string().as_str());
    assert_eq!(events[1]["user"], "root");
    assert_eq!(events[1]["reason"], "the key is not listed");
}

#[test]
fn every_outcome_is_told() {
    let server = options("").start();
    for (arguments, expected) in [
        (&["kill -9 $$"][..], "job_end signaled"),
        (&["--timeout", "100ms", "sleep 100"], "job_end timed_out"),
        (&["--", "/nonexistent"], "job_end not_started"),
    ] {
        server.run(arguments);
        wait_until("the connection is closed", DEADLINE, || {
            story(&events(&server)).last().unwrap() == "connection closed"
        });
        assert_eq!(story(&events(&server)).iter().rev().nth(1).unwrap(), expected);
    }
}

#[test]
fn nothing_that_was_said_can_forge_an_event() {
    let server = options("").start();
    // A user, of somebody who is let in and of somebody who is not.
    for (key, code) in [(client_key(), CloseCode::Account), (strange_key(), CloseCode::Denied)] {
        let mut peer = RawClient::connect_as(key, server.address());
        peer.send(Packet::Hello(Hello::new(FORGED, FORGED)));
        peer.is_refused_aloud(code);
    }
    // A command, a directory and names of variables.
    let mut peer = RawClient::greeted(server.address());
    let spec = Spec {
        directory: Some(FORGED.into()),
        environment: vec![Variable { name: FORGED.into(), value: "hidden".into() }],
        ..Spec::new(Program::Argv(vec![FORGED.into(), ByteString(b"\xff\n\x00x"[..2].to_vec())]))
    };
    peer.send_message(1, start_spec(spec));
    peer.hear_ended(1);
    peer.send_message(2, tests::start(FORGED));
    peer.hear_ended(2);
    // A breach of the rules, which is told in our own words.
    peer.send_bytes(&[FORGED.as_bytes(), &[0xff; 64]].concat());
    peer.hear_close();
    // An id that is none.
    let id = server.run(["--id", FORGED, "true"]).complains("client", 125);
    assert!(!id.contains(char::is_control), "{id:?}");

    let events = wait_for_events(&server, 11);
    let expected = [
        "server started",
        "authentication refused",
        "authentication refused",
        "authentication accepted",
        "connection opened",
        "job_start",
        "job_end not_started",
        "job_start",
        "job_end exited",
        "protocol_violation",
        "connection closed",
    ];
    assert_eq!(story(&events), expected);
    assert!(events[1..3].iter().all(|event| event["user"] == FORGED), "{events:#?}");
    let [argv, shell] = [&events[5], &events[7]];
    assert_eq!(argv["argv"].as_array().unwrap().len(), 2, "{argv}");
    assert_eq!((&argv["argv"][1], &argv["escaped"]), (&json!("\\xff\\n"), &json!(["argv"])));
    assert_eq!((&argv["variables"], &argv["directory"]), (&json!([FORGED]), &json!(FORGED)));
    assert_eq!(shell["shell"], FORGED);
    no_line_of_the_log_is_forged(&server);
}

#[test]
fn the_log_that_has_the_trail_in_it_cannot_be_forged_either() {
    for format in ["text", "json"] {
        let options = TestServer::options().listen("127.0.0.1:0").patient();
        let server = options
            .argument("--log-format")
            .argument(format)
            .argument("--log-level")
            .argument("debug")
            .start();
        let mut peer = RawClient::connect(server.address());
        peer.send(Packet::Hello(Hello::new(FORGED, FORGED)));
        peer.is_refused_aloud(CloseCode::Account);
        server.run(["--", FORGED]).exits(127);
        assert!(server.log().contains("\"result\":\"refused\""), "{}", server.log());
        no_line_of_the_log_is_forged(&server);
    }
}

#[track_caller]
fn no_line_of_the_log_is_forged(server: &TestServer) {
    let log = server.log();
    assert!(!log.lines().any(|line| line.starts_with("{\"event\"")), "{log}");
    assert!(!log.contains(|c: char| (c.is_control() && c != '\n') || c == '\u{202e}'), "{log:?}");
}

#[test]
fn no_value_no_output_and_no_token_is_written_anywhere() {
    let (value, input, output) = ("value-4f1c", "input-9d2e", "output-77ab");
    for format in ["text", "json"] {
        let server = options("")
            .argument("--log-level")
            .argument("trace")
            .argument("--log-format")
            .argument(format)
            .start();
        let command = format!("cat; printf '{}%s' {}; echo $SECRET >&2", &output[..3], &output[3..]);
        let ran =
            server.run_with_input(["-e", &format!("SECRET={value}"), &command], input.as_bytes()).exits(0);
        assert_eq!((ran.text(), ran.errors()), (format!("{input}{output}"), format!("{value}\n")));

        let address = server.address().to_owned();
        let line = Ran::of(server.server().args(["invite", "--address", &address])).exits(0).text();
        // Somebody whom the server does not know: others spend no invitation.
        Ran::of(Sandbox::new().client().args(["join", line.trim()])).exits(0);
        wait_until("the enrolment is told", DEADLINE, || {
            story(&events(&server)).contains(&"enrolment accepted".to_owned())
        });

        let token = line.trim().rsplit(['/', '=', '#', '.']).next().unwrap();
        assert!(token.len() >= 20, "{line}");
        let everything = format!("{}{}", server.log(), fs::read_to_string(server.path("audit")).unwrap());
        for secret in [value, input, output, token, line.trim()] {
            assert!(!everything.contains(secret), "{secret} is in:\n{everything}");
        }
        // The log does not even have the command; the trail has, and the variable's name.
        assert!(!server.log().contains("$SECRET"), "{}", server.log());
        assert!(everything.contains("\"variables\":[\"SECRET\"]"), "{everything}");
    }
}

#[test]
fn commands_can_be_left_out() {
    let server = options("commands = false").start();
    server.run(["echo shell-text"]).exits(0);
    server.run(["--", "no-such-program", "argument"]).exits(127);
    let events = wait_for_events(&server, 11);
    for event in events.iter().filter(|event| event["event"] == "job_start") {
        assert!(event["argv"].is_null() && event["shell"].is_null(), "{event}");
        assert_eq!(event["variables"], json!([]));
    }
    let text = fs::read_to_string(server.path("audit")).unwrap() + &server.log();
    for word in ["shell-text", "no-such-program", "argument"] {
        assert!(!text.contains(word), "{text}");
    }
}

#[test]
fn a_long_command_is_cut_and_says_so() {
    let server = options("").start();
    let command = format!(": {}", "\"x".repeat(30_000));
    server.run(["--", "true", &command]).exits(0);
    let events = wait_for_events(&server, 6);
    assert_eq!(events[3]["truncated"], json!(["argv"]));
    assert!(command.starts_with(events[3]["argv"][1].as_str().unwrap()));
}

/// Files may have this many bytes, by the system's limit: the trail has no more room then, whoever runs the server.
const ROOM: u64 = 64 * 1024;

/// A server whose trail is at the end of its room already.
fn full(lines: &str) -> TestServer {
    let options = options(lines).after(&format!("ulimit -f {}; trap '' XFSZ", ROOM / 512));
    let server = options.start();
    fill(&server);
    server
}

/// Leaves no room for another line.
fn fill(server: &TestServer) {
    File::options().write(true).open(server.path("audit")).unwrap().set_len(ROOM - 10).unwrap();
}

#[test]
fn what_cannot_be_recorded_is_not_run_until_there_is_room() {
    let server = full("");
    let trace = server.path("trace");
    let touch = format!("touch {}", trace.display());
    for _ in 0..3 {
        let message = server.run([&touch]).complains("client", 125);
        assert!(message.contains("the server cannot record it"), "{message}");
    }
    assert!(!trace.exists(), "nothing has run");
    let count = |text: &str| server.log().matches(text).count();
    assert_eq!(count("events are not recorded"), 1, "{}", server.log());
    fs::write(server.path("audit"), "").unwrap();
    server.run([&touch]).succeeds();
    assert!(trace.exists());
    assert_eq!(count("events are recorded again"), 1, "{}", server.log());
    // Before it, there may be the ends of connections that were refused a job.
    wait_until("the call is told", DEADLINE, || {
        story(&events(&server)).ends_with(&OF_A_CALL.map(str::to_owned))
    });
}

#[test]
fn who_cannot_be_recorded_is_not_enrolled() {
    let (server, ann) = (full(""), Sandbox::new());
    let lines = || fs::read_to_string(server.settings_path("authorized_keys")).unwrap();
    let before = lines();
    let invitation = Ran::of(server.server().args(["invite", "--address", server.address()])).exits(0).text();
    let ran = Ran::of(ann.client().args(["join", invitation.trim()])).exits(125);
    assert!(ran.errors().contains("the server cannot record it"), "{ran:?}");
    assert_eq!(lines(), before);
}

#[test]
fn a_running_job_is_not_ended_by_a_full_trail() {
    let server = options("").after(&format!("ulimit -f {}; trap '' XFSZ", ROOM / 512)).start();
    let mut peer = RawClient::greeted(server.address());
    let mut spec = Spec::new(Program::Shell("read line; exit 4".into()));
    spec.stdin = true;
    peer.send_message(1, start_spec(spec));
    wait_until("the job has started", DEADLINE, || story(&events(&server)).contains(&"job_start".to_owned()));
    fill(&server);
    peer.send_message(2, tests::start("true"));
    let refused = peer.hear_ended(2);
    assert!(matches!(refused.outcome, Outcome::NotStarted(StartFailure::Refused(_))), "{refused:?}");
    peer.send_eof(1, common::frame::StreamId::Stdin, 0);
    assert_eq!(peer.hear_ended(1).outcome, Outcome::Exited(4));
}

#[test]
fn a_server_can_be_told_to_go_on_unrecorded() {
    let server = full("on_failure = \"continue\"");
    assert_eq!(server.run(["echo in"]).succeeds(), "in\n");
    assert!(server.log().contains("events are not recorded"), "{}", server.log());
}

#[test]
fn a_trail_that_was_removed_is_begun_anew_at_once() {
    let server = options("").start();
    server.run(["echo before"]).exits(0);
    wait_for_events(&server, 6);
    fs::remove_file(server.path("audit")).unwrap();
    server.run(["echo after"]).exits(0);
    assert_eq!(story(&wait_for_events(&server, 5)), OF_A_CALL);
}

#[test]
fn a_trail_that_was_moved_away_is_begun_anew_on_hang_up() {
    let server = options("").start();
    server.run(["echo before"]).exits(0);
    let before = wait_for_events(&server, 6);
    fs::rename(server.path("audit"), server.path("audit.1")).unwrap();
    server.signal(Signal::HUP);
    wait_until("a new file is there", DEADLINE, || {
        server.path("audit").exists() && !events(&server).is_empty()
    });
    server.run(["echo after"]).exits(0);
    let after = wait_for_events(&server, 6);
    assert_eq!(story(&after)[0], "server reloaded");
    assert_eq!(after[3]["shell"], "echo after");
    let moved = fs::read_to_string(server.path("audit.1")).unwrap();
    assert_eq!(moved.lines().count(), before.len(), "{moved}");
    assert_eq!(fs::metadata(server.path("audit")).unwrap().mode() & 0o777, 0o600);
}

#[test]
fn a_trail_that_proves_nothing_is_refused_at_the_start() {
    type Spoil = fn(&Sandbox);
    let rows: [(Spoil, &str); 5] = [
        (|sandbox| fs::create_dir(sandbox.path("audit")).unwrap(), "is a directory"),
        (|sandbox| symlink("/dev/null", sandbox.path("audit")).unwrap(), "cannot open the audit trail"),
        (
            |sandbox| {
                let path = sandbox.file("audit", "");
                fs::set_permissions(path, Permissions::from_mode(0o666)).unwrap();
            },
            "its mode is 0666: others can write to it",
        ),
        (
            |sandbox| {
                Ran::of(sandbox.command("/usr/bin/mkfifo").arg(sandbox.path("audit"))).succeeds();
            },
            "it is not a regular file",
        ),
        (
            |sandbox| {
                sandbox.settings("server.toml", "[audit]\nto = \"/nonexistent/audit\"\n");
            },
            "no such file or directory",
        ),
    ];
    for (spoil, expected) in rows {
        let sandbox = Sandbox::with_keys();
        write_settings(&sandbox, "");
        spoil(&sandbox);
        for arguments in [&["--listen", "127.0.0.1:0"][..], &["check"]] {
            let ran = Ran::of(sandbox.server().args(arguments));
            let errors = ran.exits(78).errors();
            assert!(errors.lines().last().unwrap().contains(expected), "{arguments:?}: {errors}");
        }
    }
}

#[test]
fn what_an_administrator_does_to_the_jobs_of_others_is_told_and_not_what_their_owners_do() {
    let options = options("[jobs]\nadministrators = [\"local\"]");
    let server = options.listen("unix:DIR/own/server.sock").start();
    let local = |arguments: &[&str]| {
        let mut client = server.bare_client();
        client.args(["-H", &format!("unix:{}", server.path("own/server.sock").display())]).args(arguments);
        client
    };
    let told = || {
        let events = events(&server).into_iter().filter(|event| event["event"] == "job_intervention");
        events.collect::<Vec<_>>()
    };
    let waits =
        |go: &str| format!("echo up; until [ -e {} ]; do sleep 0.05; done", server.path(go).display());
    // One with a supervisor, and one without.
    Ran::of(server.client().args(["run", "--detach", "--id", "theirs", &waits("0")])).succeeds();
    let mut own = Running::start(server.client().args(["run", &waits("1")]));
    own.wait_for_stdout("up\n");
    let start = events(&server).into_iter().filter(|event| event["event"] == "job_start").nth(1).unwrap();
    for (number, id) in ["theirs", start["job"].as_str().unwrap()].into_iter().enumerate() {
        let before = told().len();
        Ran::of(server.client().args(["signal", id, "CONT"])).succeeds();
        Ran::of(&mut local(&["logs", id])).exits(0);
        Ran::of(&mut local(&["signal", id, "CONT"])).succeeds();
        let attached = Running::start(&mut local(&["attach", "-n", id]));
        wait_until("it is attached", DEADLINE, || told().len() == before + 2);
        server.file(&number.to_string(), "");
        attached.finish().exits(0);
        Ran::of(&mut local(&["forget", id])).succeeds();
        wait_until("it is forgotten", DEADLINE, || told().len() == before + 3);
        let told = &told()[before..];
        for (event, action) in told.iter().zip(["signal", "attach", "forget"]) {
            let whose = (&event["job"], &event["owner"], &event["action"]);
            assert_eq!(whose, (&json!(id), &start["principal"], &json!(action)), "{event}");
            let uid = rustix::process::geteuid().as_raw();
            assert_eq!(event["principal"], format!("uid {uid}"), "{event}");
            assert_ne!(event["connection"], start["connection"], "{event}");
        }
        assert_eq!((&told[0]["signal"], &told[1]["signal"]), (&json!("CONT"), &Value::Null));
    }
}

#[test]
fn of_many_who_start_one_job_at_once_one_is_told() {
    let server = options("").start();
    for round in 0..10 {
        let id = format!("once-{round}");
        let start = || Running::start(server.client().args(["run", "--id", &id, "--detach", "true"]));
        let clients: Vec<Running> = (0..6).map(|_| start()).collect();
        clients.into_iter().for_each(|client| drop(client.finish()));
        wait_until("it is over", DEADLINE, || {
            events(&server).iter().any(|event| event["event"] == "job_end" && event["job"] == *id)
        });
    }
    let starts = events(&server).iter().filter(|event| event["event"] == "job_start").count();
    assert_eq!(starts, 10);
}
