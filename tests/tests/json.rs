//! `--json`: one event a line on stdout and nothing else, for programs that need the outcome itself.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use std::io::{PipeReader, Read, pipe};
use std::process::{Child, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tests::{DEADLINE, Mark, Ran, TestServer, wait_until};

/// The events on stdout; every line must be one.
fn events(ran: &Ran) -> Vec<Value> {
    ran.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The text of a stream, put together from its events, whose offsets must follow each other.
fn text_of(events: &[Value], stream: &str) -> String {
    let mut text = String::new();
    for event in events.iter().filter(|event| event["event"] == stream) {
        assert_eq!(event["offset"], text.len(), "{event}");
        text.push_str(event["text"].as_str().unwrap());
    }
    text
}

#[test]
fn the_events_tell_the_whole_story() {
    let server = TestServer::start();
    let script = "echo out; echo err >&2; read line; echo \"$line\"; echo $$; exit 3";
    let ran = server.run_with_input(["--json", "--id", "my-job", script], b"in\n").exits(3);
    assert_eq!(ran.errors(), "");
    let events = events(&ran);

    let first = &events[0];
    assert_eq!((&first["event"], &first["id"]), (&json!("started"), &json!("my-job")));
    let process = first["process_id"].as_u64().unwrap();
    let stdout = text_of(&events, "stdout");
    assert_eq!(stdout, format!("out\nin\n{process}\n"));
    assert_eq!(text_of(&events, "stderr"), "err\n");
    let expected = json!({
        "event": "ended", "id": "my-job", "outcome": "exited", "code": 3,
        "stdout_bytes": stdout.len(), "stderr_bytes": 4, "stdin_consumed": 3, "output_left_open": false,
        "out_of_memory": false,
    });
    let mut last = events.last().unwrap().clone();
    let used = ["wall_seconds", "cpu_seconds", "peak_memory_bytes", "peak_memory_at_most_bytes"];
    let used = used.map(|name| last.as_object_mut().unwrap().remove(name));
    assert!(used[0].as_ref().is_some_and(Value::is_f64), "{last}");
    assert_eq!(last, expected);
}

#[test]
fn an_id_is_made_where_none_is_given() {
    let server = TestServer::start();
    let id = |ran: &Ran| {
        let events = events(ran);
        assert_eq!(events.first().unwrap()["id"], events.last().unwrap()["id"]);
        events[0]["id"].as_str().unwrap().to_owned()
    };
    let (first, second) = (id(&server.run(["--json", "true"])), id(&server.run(["--json", "true"])));
    assert_eq!(first.len(), 32, "128 bits in hexadecimal: {first}");
    assert_ne!(first, second);
}

#[test]
fn bytes_that_are_not_text_come_in_base64() {
    let server = TestServer::start();
    let ran = server.run(["--json", "printf '\\377\\376\\375'"]).exits(0);
    let stdout: Vec<Value> = events(&ran).into_iter().filter(|event| event["event"] == "stdout").collect();
    assert_eq!(stdout, [json!({ "event": "stdout", "offset": 0, "base64": "//79" })]);
}

#[test]
fn a_character_cut_in_two_loses_nothing() {
    let server = TestServer::start();
    let ran = server.run(["--json", "printf '\\303'; sleep 0.2; printf '\\274\\n'"]).exits(0);
    let events = events(&ran);
    assert_eq!(events.last().unwrap()["stdout_bytes"], 3);
    let mut length = 0;
    for event in events.iter().filter(|event| event["event"] == "stdout") {
        assert_eq!(event["offset"], length);
        length += match event["text"].as_str() {
            Some(text) => text.len(),
            None => base64_length(event["base64"].as_str().unwrap()),
        };
    }
    assert_eq!(length, 3);
}

fn base64_length(text: &str) -> usize {
    text.len() / 4 * 3 - text.bytes().filter(|byte| *byte == b'=').count()
}

#[test]
fn text_of_any_kind_is_escaped() {
    let server = TestServer::start();
    let script = "printf 'quote \" backslash \\\\ tab \\t bell \\a escape \\033[1m ü 🦀\\n'";
    let ran = server.run(["--json", script]).exits(0);
    assert_eq!(
        text_of(&events(&ran), "stdout"),
        "quote \" backslash \\ tab \t bell \u{7} escape \u{1b}[1m ü 🦀\n"
    );
}

#[test]
fn large_output_is_complete_and_in_order() {
    let server = TestServer::start();
    let ran = server.run(["--json", "seq 1 100000"]).exits(0);
    let events = events(&ran);
    let expected: String = (1..=100_000).map(|number| format!("{number}\n")).collect();
    let text = text_of(&events, "stdout");
    assert!(text == expected, "{} bytes of {}", text.len(), expected.len());
    assert_eq!(events.last().unwrap()["stdout_bytes"], expected.len());
}

#[test]
fn every_outcome_has_its_event_and_the_usual_exit_code() {
    let server = TestServer::start();
    let file = server.file("plain.txt", "not a program\n");
    let file = file.to_str().unwrap();
    let cases: [(&[&str], i32, Value); 6] = [
        (&["kill -TERM $$"], 143, json!({ "outcome": "signaled", "signal": "TERM", "core_dumped": false })),
        (&["--timeout", "100ms", "sleep 1000"], 124, json!({ "outcome": "timed_out" })),
        (&["--", "no-such-program"], 127, json!({ "outcome": "not_started", "reason": "not_found" })),
        (&["--", file], 126, json!({ "outcome": "not_started", "reason": "not_executable" })),
        (&["--cwd", "/no/such", "true"], 125, json!({ "outcome": "not_started", "reason": "directory" })),
        (&["exit 125"], 125, json!({ "outcome": "exited", "code": 125 })),
    ];
    for (arguments, code, expected) in cases {
        let ran = server.run(["--json"].iter().chain(arguments)).exits(code);
        let last = events(&ran).pop().unwrap();
        assert_eq!(last["event"], "ended", "{last}");
        for (name, value) in expected.as_object().unwrap() {
            assert_eq!(&last[name], value, "{last}");
        }
        if expected["outcome"] == "not_started" {
            assert!(!last["message"].as_str().unwrap().is_empty(), "{last}");
        }
    }
}

#[test]
fn a_lost_connection_is_an_outcome_of_its_own() {
    let mut server = TestServer::start();
    let mark = Mark::new();
    let mut command = server.client();
    command.args(["run", "--json", "--grace", "0"]).args(mark.option()).arg("echo ready; exec sleep 1000");
    let mut client = tests::Running::start(&mut command);
    client.wait_for_stdout("ready");
    server.signal(Signal::KILL);
    server.wait();
    let last = events(&client.finish().exits(125)).pop().unwrap();
    assert_eq!((&last["event"], &last["outcome"]), (&json!("ended"), &json!("lost")), "{last}");
}

/// A client whose command is over, and whose stdout takes no more: 50,000 zero bytes are 300,000 as JSON.
fn stuck_in_its_output(server: &TestServer) -> (Child, PipeReader) {
    let mark = Mark::new();
    let (reader, writer) = pipe().unwrap();
    let mut command = server.client();
    command.args(["run", "-n", "--json"]).args(mark.option());
    command.arg("head -c 50000 /dev/zero; exit 3").stdout(writer);
    let client = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    wait_until("the pipe is full", DEADLINE, || rustix::io::ioctl_fionread(&reader).unwrap() > 60_000);
    mark.wait_until_gone();
    (client, reader)
}

#[test]
fn a_signal_that_ends_nobody_does_not_cut_the_events_short() {
    let server = TestServer::start();
    let (mut client, mut reader) = stuck_in_its_output(&server);
    for signal in [Signal::USR1, Signal::USR2] {
        kill_process(Pid::from_child(&client), signal).unwrap();
    }
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    assert_eq!(client.wait().unwrap().code(), Some(3));
    let last: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert_eq!((&last["event"], &last["code"]), (&json!("ended"), &json!(3)));
}

#[test]
fn a_signal_that_would_end_it_cuts_the_events_short_and_says_so() {
    let server = TestServer::start();
    let (mut client, _reader) = stuck_in_its_output(&server);
    // The first ones may come before the client knows that the command is over, and are passed on.
    wait_until("the client ends", DEADLINE, || {
        kill_process(Pid::from_child(&client), Signal::TERM).unwrap();
        client.try_wait().unwrap().is_some()
    });
    let output = client.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(143));
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(errors.ends_with("not all of its output is written\n"), "{errors}");
}
