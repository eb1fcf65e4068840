//! A recording as text: asciicast v2, one JSON value a line. Pure: bytes, sizes and times go in, lines come out.

use std::time::Duration;

use common::job::WindowSize;
use serde_json::{Value, json};

/// The line that a recording begins with, begun `since_epoch`. What is not known of the `environment` is left out.
pub(super) fn header(
    size: WindowSize,
    since_epoch: Duration,
    environment: &[(&str, Option<String>)],
) -> String {
    let known =
        environment.iter().filter_map(|(name, value)| Some(((*name).to_owned(), value.clone()?.into())));
    let environment: serde_json::Map<String, Value> = known.collect();
    let header = json!({
        "version": 2,
        "width": size.columns,
        "height": size.rows,
        "timestamp": since_epoch.as_secs(),
        "env": environment,
    });
    format!("{header}\n")
}

/// The lines behind the first one.
#[derive(Debug, Default)]
pub(super) struct Events {
    /// The beginning of a character of which the end has not come yet: 3 bytes at most.
    begun: Vec<u8>,
}

impl Events {
    /// What was written `at` that time; empty if that is not a whole character yet.
    pub(super) fn output(&mut self, at: Duration, bytes: &[u8]) -> String {
        let mut bytes = [self.begun.as_slice(), bytes].concat();
        self.begun = bytes.split_off(bytes.len() - open_end(&bytes));
        event(at, "o", &String::from_utf8_lossy(&bytes))
    }

    /// The same for a text, before which a character that is not whole will not be any more.
    pub(super) fn text(&mut self, at: Duration, text: &str) -> String {
        let begun = std::mem::take(&mut self.begun);
        event(at, "o", &format!("{}{text}", String::from_utf8_lossy(&begun)))
    }

    /// Another size of the terminal.
    pub(super) fn resize(at: Duration, size: WindowSize) -> String {
        event(at, "r", &format!("{}x{}", size.columns, size.rows))
    }
}

fn event(at: Duration, kind: &str, text: &str) -> String {
    if text.is_empty() {
        return String::new();
    }
    // No more digits than anybody has a use for.
    let seconds = Duration::from_millis(u64::try_from(at.as_millis()).unwrap_or(u64::MAX)).as_secs_f64();
    format!("{}\n", json!([seconds, kind, text]))
}

/// How many bytes at the end are the beginning of a character.
fn open_end(bytes: &[u8]) -> usize {
    let last = bytes.utf8_chunks().last();
    let invalid = last.map(|chunk| chunk.invalid()).unwrap_or_default();
    // What can become a character is cut off by the end, and by nothing else.
    match std::str::from_utf8(invalid) {
        Err(error) if error.error_len().is_none() => invalid.len(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: WindowSize = WindowSize { rows: 24, columns: 80, width: 0, height: 0 };

    fn at(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn it_begins_with_what_a_player_has_to_know() {
        let header =
            header(SIZE, at(1_700_000_000_900), &[("TERM", Some("xterm".to_owned())), ("SHELL", None)]);
        let parsed: Value = serde_json::from_str(&header).unwrap();
        let expected = json!({
            "version": 2, "width": 80, "height": 24, "timestamp": 1_700_000_000, "env": {"TERM": "xterm"}
        });
        assert_eq!(parsed, expected);
        assert!(header.ends_with("}\n") && header.lines().count() == 1, "{header}");
    }

    #[test]
    fn events_have_a_time_and_are_escaped() {
        let mut events = Events::default();
        assert_eq!(events.output(at(0), b"a\r\n"), "[0.0,\"o\",\"a\\r\\n\"]\n");
        assert_eq!(events.output(at(61_234), b"\x1b[1m\"\\"), "[61.234,\"o\",\"\\u001b[1m\\\"\\\\\"]\n");
        assert_eq!(events.output(at(62_000), b""), "");
        assert_eq!(Events::resize(at(1500), SIZE), "[1.5,\"r\",\"80x24\"]\n");
    }

    #[test]
    fn characters_are_joined_wherever_they_are_cut() {
        let text = "aé€😀z";
        for first in 0..=text.len() {
            for second in first..=text.len() {
                let bytes = text.as_bytes();
                let mut events = Events::default();
                let lines: String = [&bytes[..first], &bytes[first..second], &bytes[second..]]
                    .map(|bytes| events.output(at(0), bytes))
                    .concat();
                let joined: String = lines
                    .lines()
                    .map(|line| serde_json::from_str::<(f64, String, String)>(line).unwrap().2)
                    .collect();
                assert_eq!(joined, text, "{first} {second}");
            }
        }
    }

    #[test]
    fn what_is_no_text_is_shown_as_such_and_keeps_nothing_waiting() {
        let mut events = Events::default();
        assert_eq!(events.output(at(0), b"a\xff\xc3"), "[0.0,\"o\",\"a\u{fffd}\"]\n");
        assert_eq!(events.output(at(0), b"b"), "[0.0,\"o\",\"\u{fffd}b\"]\n");
        assert_eq!(events.output(at(0), b"\xf0\x9f\x98"), "");
        assert_eq!(events.text(at(0), "$ "), "[0.0,\"o\",\"\u{fffd}$ \"]\n");
        assert_eq!(events.output(at(0), b"\xed\xa0\x80"), "[0.0,\"o\",\"\u{fffd}\u{fffd}\u{fffd}\"]\n");
    }
}
