//! Whatever peers write: one line each, which says what they wrote.

use common::frame::StreamId;
use common::job::{
    ByteString, Ended, Outcome, PeakMemory, Program, Signal, StartFailure, StreamTotal, Usage,
};
use serde_json::json;

use super::samples::{CONNECTION, Samples, end, job, owner, spec, start};
use super::*;
use crate::admission::ConnectionId;
use crate::audit::line::MAX_BYTES;
use crate::audit::stamp::instance;
use crate::authorize::Remote;

/// Texts that have broken logs, and the largest.
fn texts() -> Vec<Vec<u8>> {
    let mut texts: Vec<Vec<u8>> = vec![
        b"\n{\"event\":\"auth_ok\"}".to_vec(),
        b"\r\n{\"event\":\"authentication\",\"result\":\"accepted\"}\r\n".to_vec(),
        b"\"}\n{\"a\":\"".to_vec(),
        b"\x1b[2J\x1b]52;c;AAAA\x07".to_vec(),
        b"a\0b".to_vec(),
        b"caf\xe9 \\xe9".to_vec(),
        "\u{9b}2J\u{202e}\u{2028}\u{85}".into(),
        "\\u000a\\".into(),
        Vec::new(),
        vec![0xff; 1024 * 1024],
        vec![b'\\'; 1024 * 1024],
    ];
    texts.extend((0..0x20).map(|control| vec![control; 1024 * 1024]));
    texts
}

/// Records one event; its object.
fn recorded(event: &Event<'_>) -> Json {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("audit.log");
    let audit = Audit::open(&in_file(&path)).unwrap();
    admit(&audit, &STARTED).unwrap();
    admit(&audit, event).unwrap();
    let mut records = records(&path);
    assert_eq!(records.len(), 2);
    records.pop().unwrap()
}

/// Whether `field` of `record` is `original`, or says that it is not all of it.
fn assert_tells(record: &Json, field: &str, original: &[u8]) {
    let is_noted =
        |list: &str| record.get(list).is_some_and(|names| names.as_array().unwrap().contains(&json!(field)));
    let value = match &record[field] {
        Json::Array(texts) => texts[0].as_str().unwrap(),
        text => text.as_str().unwrap(),
    };
    let told = if is_noted("escaped") {
        original.escape_ascii().to_string()
    } else {
        std::str::from_utf8(original).unwrap().to_owned()
    };
    // The standard library also escapes quotes, which is the same here.
    if is_noted("truncated") {
        assert!(told.starts_with(value) && value.len() < told.len(), "{field}");
    } else {
        assert_eq!(value, told, "{field}");
    }
}

#[test]
fn commands_of_any_bytes_are_one_line_that_tells_them() {
    for text in texts() {
        let argv = Program::Argv(vec![ByteString(text.clone()), ByteString(text.clone())]);
        for (field, program) in [("argv", argv), ("shell", Program::Shell(ByteString(text.clone())))] {
            let record = recorded(&start(&job(), &spec(program, &text), None));
            assert_eq!(record["event"], "job_start");
            for field in [field, "directory", "variables"] {
                assert_tells(&record, field, &text);
            }
            assert!(!record.to_string().contains("hunter2"));
        }
    }
}

/// One event as its line says it.
fn told(event: &Event<'_>) -> Json {
    let line = event.line(Stamp::now(), true).into_bytes().unwrap();
    assert!(line.len() <= MAX_BYTES, "{} bytes: {event:.100?}", line.len());
    let (end, rest) = line.split_last().unwrap();
    assert!(*end == b'\n' && !rest.contains(&b'\n'));
    serde_json::from_slice(rest).unwrap()
}

#[test]
fn every_event_is_one_line_that_is_not_too_long_and_tells_it() {
    for text in texts() {
        let is_utf8 = std::str::from_utf8(&text).is_ok();
        for record in Samples::of(&text).events().iter().map(told) {
            // This one has words of ours around the text.
            let said_as_it_is = is_utf8 && record["outcome"] != "not_started";
            for field in ["user", "reason", "invitation", "message"] {
                if said_as_it_is && record.get(field).is_some() {
                    assert_tells(&record, field, &text);
                }
            }
            for field in ["shell", "original_command", "directory"] {
                if record.get(field).is_some() {
                    assert_tells(&record, field, &text);
                }
            }
        }
    }
}

#[test]
fn a_record_says_all_that_was_promised() {
    let program = Program::Argv(vec!["touch".into(), "a b".into()]);
    let record = recorded(&start(&"j1".parse().unwrap(), &spec(program, b"NAME"), None));
    let time = record["time"].as_str().unwrap();
    assert_eq!((time.len(), &time[19..20], &time[23..]), (24, ".", "Z"));
    assert!(record["monotonic_ms"].as_u64().unwrap() > 0);
    assert_eq!(record["job"], "j1");
    assert_eq!(record["principal"], owner().to_string());
    assert_eq!(record["argv"], json!(["touch", "a b"]));
    assert_eq!(record["variables"], json!(["NAME", "NAME"]));
    assert_eq!(record["directory"], "NAME");
    assert!(record.get("truncated").is_none() && record.get("escaped").is_none());

    let totals =
        [(StreamId::Stdout, 2), (StreamId::Stderr, 3)].map(|(stream, bytes)| StreamTotal { stream, bytes });
    let ended = Ended {
        outcome: Outcome::Signaled { signal: Signal::KILL, core_dumped: true },
        totals: totals.to_vec(),
        stdin_consumed: 1,
        output_left_open: false,
        out_of_memory: false,
        wall_us: 1_500_000,
        usage: Some(Usage { cpu_us: 250_000, peak_memory: PeakMemory::Exactly(4096) }),
    };
    let record = recorded(&Event::JobEnd(JobEnd {
        connection: Some(CONNECTION),
        owner: owner(),
        job: &"j1".parse().unwrap(),
        ended: &ended,
    }));
    let expected = json!({
        "event": "job_end", "connection": u64::MAX, "job": "j1", "principal": owner().to_string(), "outcome": "signaled", "signal": "KILL", "core_dumped": true,
        "stdin_bytes": 1, "stdout_bytes": 2, "stderr_bytes": 3,
        "wall_seconds": 1.5, "cpu_seconds": 0.25, "peak_memory_bytes": 4096,
        "time": record["time"], "monotonic_ms": record["monotonic_ms"], "instance": instance(),
    });
    assert_eq!(record, expected);

    let opened = Event::Connection {
        connection: ConnectionId(7),
        peer: Remote::Unix { uid: 1000 },
        change: ConnectionChange::Opened,
    };
    let record = recorded(&opened);
    assert_eq!(record["connection"], 7);
    assert_eq!(record["peer"], "uid 1000");
    assert_eq!((&record["transport"], &record["state"]), (&json!("unix"), &json!("opened")));
}

#[test]
fn without_commands_nothing_of_a_command_line_is_recorded() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("audit.log");
    let audit = Audit::open(&AuditSettings { commands: false, ..in_file(&path) }).unwrap();
    let job = job();
    for program in [Program::Argv(vec!["hunter2".into()]), Program::Shell("hunter2".into())] {
        admit(&audit, &start(&job, &spec(program, b"NAME"), None)).unwrap();
    }
    let failure = StartFailure::NotFound { program: "hunter2".to_owned(), searched: String::new() };
    admit(&audit, &end(&job, &Ended::without_output(Outcome::NotStarted(failure)))).unwrap();
    assert_eq!(records(&path)[0]["variables"], json!(["NAME", "NAME"]));
    assert_eq!(records(&path)[2]["reason"], "not_found");
    assert!(!std::fs::read_to_string(&path).unwrap().contains("hunter2"));
}
