//! One record as one line of JSON: never more than [`MAX_BYTES`], whatever its texts are, and safe to show on a terminal.
//!
//! A field always has the same type, so that no text can make a log store refuse the record. What did not fit is cut,
//! and the field's name stands in `truncated`; what is not UTF-8 is written with `\xNN` and `\\` for the backslash, and
//! the field's name stands in `escaped`.

use std::io;

use common::escape::is_unsafe;
use common::json::TerminalSafe;
use serde::{Serialize, Serializer};

/// Most bytes of a line, its end included: what syslog daemons and log stores take in one piece.
pub(super) const MAX_BYTES: usize = 16 * 1024;

/// What a field's text may take in JSON. The test of every event holds the sum of what one has below [`MAX_BYTES`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Budget(usize);

impl Budget {
    /// A name, a path, a reason.
    pub(super) const TEXT: Self = Self(1024);
    /// A command line.
    pub(super) const COMMAND: Self = Self(8 * 1024);
    /// Names of variables.
    pub(super) const NAMES: Self = Self(3 * 1024);
}

/// A record that is being put together.
#[derive(Debug, Default)]
pub(super) struct Line {
    fields: Vec<(&'static str, Value)>,
    truncated: Vec<&'static str>,
    escaped: Vec<&'static str>,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Value {
    Number(u64),
    Seconds(f64),
    Flag(bool),
    Text(String),
    Texts(Vec<String>),
    Names(Vec<&'static str>),
}

impl Line {
    pub(super) fn number(&mut self, name: &'static str, number: u64) {
        self.fields.push((name, Value::Number(number)));
    }

    /// Seconds with three decimals.
    pub(super) fn seconds(&mut self, name: &'static str, time: std::time::Duration) {
        let seconds = (time.as_secs_f64() * 1e3).round() / 1e3;
        self.fields.push((name, Value::Seconds(seconds)));
    }

    pub(super) fn flag(&mut self, name: &'static str, flag: bool) {
        self.fields.push((name, Value::Flag(flag)));
    }

    /// A text that is short by its type: a word of ours, a number, an address, an id.
    pub(super) fn word(&mut self, name: &'static str, word: impl Into<String>) {
        self.fields.push((name, Value::Text(word.into())));
    }

    /// A text of any length, from anyone.
    pub(super) fn text(&mut self, name: &'static str, text: &[u8], budget: Budget) {
        let mut clip = Clip { left: budget.0, escaping: str::from_utf8(text).is_err(), whole: true };
        let text = clip.text(text);
        self.note(name, &clip);
        self.fields.push((name, Value::Text(text)));
    }

    /// Any number of texts, which share the budget.
    pub(super) fn texts<'a>(
        &mut self,
        name: &'static str,
        texts: impl Iterator<Item = &'a [u8]> + Clone,
        budget: Budget,
    ) {
        let escaping = texts.clone().any(|text| str::from_utf8(text).is_err());
        let mut clip = Clip { left: budget.0, escaping, whole: true };
        let texts = texts.map_while(|text| clip.item(text)).collect();
        self.note(name, &clip);
        self.fields.push((name, Value::Texts(texts)));
    }

    fn note(&mut self, name: &'static str, clip: &Clip) {
        if !clip.whole {
            self.truncated.push(name);
        }
        if clip.escaping {
            self.escaped.push(name);
        }
    }

    /// The line, with its end.
    ///
    /// # Errors
    /// None that could come from the record: the encoder has them in its type.
    pub(super) fn into_bytes(mut self) -> io::Result<Vec<u8>> {
        for (name, fields) in [("truncated", self.truncated), ("escaped", self.escaped)] {
            if !fields.is_empty() {
                self.fields.push((name, Value::Names(fields)));
            }
        }
        let mut bytes = Vec::with_capacity(512);
        let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, TerminalSafe);
        serializer.collect_map(self.fields)?;
        bytes.push(b'\n');
        debug_assert!(bytes.len() <= MAX_BYTES, "an event has too many texts for its budgets");
        Ok(bytes)
    }
}

/// Takes texts until the budget of a field is used up.
#[derive(Debug)]
struct Clip {
    left: usize,
    escaping: bool,
    /// Whether nothing was left out so far.
    whole: bool,
}

impl Clip {
    /// An item of a list; `None` once there is no room for another.
    fn item(&mut self, text: &[u8]) -> Option<String> {
        // Its quotes and its comma.
        let left = self.left.checked_sub(3).filter(|_| self.whole);
        let Some(left) = left else {
            self.whole = false;
            return None;
        };
        self.left = left;
        Some(self.text(text))
    }

    fn text(&mut self, text: &[u8]) -> String {
        let mut out = String::new();
        if self.escaping {
            for byte in text {
                // A byte's notation is not cut in two.
                let notation = std::ascii::escape_default(*byte).to_string();
                if !self.take(notation.chars().map(width).sum()) {
                    break;
                }
                out.push_str(&notation);
            }
        } else {
            for c in str::from_utf8(text).unwrap_or_default().chars() {
                if !self.take(width(c)) {
                    break;
                }
                out.push(c);
            }
        }
        out
    }

    fn take(&mut self, width: usize) -> bool {
        match self.left.checked_sub(width) {
            Some(left) => self.left = left,
            None => self.whole = false,
        }
        self.whole
    }
}

/// Bytes of a character in a JSON string as [`TerminalSafe`] writes it.
fn width(c: char) -> usize {
    match c {
        '"' | '\\' | '\n' | '\r' | '\t' | '\x08' | '\x0c' => 2,
        c if is_unsafe(c) => 6 * c.len_utf16(),
        c => c.len_utf8(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value as Json;

    use super::*;

    fn line(fill: impl FnOnce(&mut Line)) -> (String, Json) {
        let mut line = Line::default();
        fill(&mut line);
        let text = String::from_utf8(line.into_bytes().unwrap()).unwrap();
        let json = serde_json::from_str(&text).unwrap();
        (text, json)
    }

    #[test]
    fn fields_stand_in_the_order_in_which_they_came() {
        let (text, _) = line(|line| {
            line.word("event", "x");
            line.number("bytes", u64::MAX);
            line.seconds("wall", std::time::Duration::from_micros(1_234_567));
            line.flag("core", false);
            line.texts("argv", [&b"a b"[..], b""].into_iter(), Budget::COMMAND);
        });
        let expected =
            r#"{"event":"x","bytes":18446744073709551615,"wall":1.235,"core":false,"argv":["a b",""]}"#;
        assert_eq!(text, format!("{expected}\n"));
    }

    #[test]
    fn what_a_terminal_would_obey_is_spelt_out_and_still_the_same_text() {
        let hostile = "a\x1b]52;\x07\u{9b}2J\u{202e}\u{2028}\u{7f}\0\n\"\\ü日";
        let (text, json) = line(|line| line.text("user", hostile.as_bytes(), Budget::TEXT));
        assert_eq!(json["user"], hostile);
        assert_eq!(text.chars().filter(|c| is_unsafe(*c)).collect::<String>(), "\n");
        assert!(json.get("escaped").is_none() && json.get("truncated").is_none());
    }

    #[test]
    fn widths_are_what_the_encoder_writes() {
        for c in ('\0'..='\u{ffff}').chain('\u{1d170}'..='\u{1d17f}').chain('\u{e0000}'..='\u{e007f}') {
            let (text, _) = line(|line| line.text("t", c.to_string().as_bytes(), Budget::TEXT));
            assert_eq!(text.len(), "{\"t\":\"\"}\n".len() + width(c), "{c:?}");
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_written_so_that_they_can_be_had_back() {
        let (_, json) =
            line(|line| line.texts("argv", [&b"caf\xe9"[..], b"\\xe9"].into_iter(), Budget::COMMAND));
        assert_eq!(json["argv"][0], "caf\\xe9");
        assert_eq!(json["argv"][1], "\\\\xe9");
        assert_eq!(json["escaped"], serde_json::json!(["argv"]));
    }

    #[test]
    fn what_is_too_long_is_a_prefix_and_says_so() {
        for filling in ["x", "\x01", "\u{202e}", "\u{e0041}", "ü", "\"", "😀"] {
            let long = filling.repeat(100_000);
            let (text, json) = line(|line| line.text("t", long.as_bytes(), Budget::TEXT));
            let kept = json["t"].as_str().unwrap();
            assert!(long.starts_with(kept) && kept.len() >= 1024 / 6 / 3, "{filling:?}");
            assert_eq!(json["truncated"], serde_json::json!(["t"]));
            assert!(text.len() < 1024 + 64, "{filling:?}");
        }
        let (text, json) = line(|line| line.text("t", &[0xff; 100_000], Budget::TEXT));
        assert_eq!(json["t"].as_str().unwrap(), "\\xff".repeat(1024 / 5));
        assert!(text.len() < 1024 + 64);
    }

    #[test]
    fn words_share_a_budget_and_none_comes_after_a_cut_one() {
        let long = vec![b'x'; 9000];
        let words = [&b"first"[..], &long, b"last"];
        let (_, json) = line(|line| line.texts("argv", words.into_iter(), Budget::COMMAND));
        let kept = json["argv"].as_array().unwrap();
        assert_eq!((kept.len(), &kept[0]), (2, &"first".into()));
        assert_eq!(json["truncated"], serde_json::json!(["argv"]));
        let empty = std::iter::repeat_n(&b""[..], 4096);
        let (text, json) = line(|line| line.texts("argv", empty, Budget::COMMAND));
        assert!(text.len() < 8 * 1024 + 64);
        assert_eq!(json["truncated"], serde_json::json!(["argv"]));
    }
}
