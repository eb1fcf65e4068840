//! Lines of key files, and the words in them: the part of the syntax that `authorized_keys`, `known_hosts` and
//! `revoked_keys` share.
//!
//! Splits and bounds; what a word means is for the file that it stands in.

use std::borrow::Cow;

use super::LineError;

/// Bytes of a line: room for a key, 64 patterns and a forced command of some pages.
pub const LINE_BYTES: usize = 8 * 1024;

/// Bytes of a wrong text that are kept for the message about it.
const QUOTE_BYTES: usize = 64;

/// Bytes of the comment in a line that is written here; a longer one is cut.
const COMMENT_BYTES: usize = 255;

/// A line that says something.
#[derive(Debug)]
pub(super) struct Line<'a> {
    /// Its number in the file, from 1.
    pub(super) number: usize,
    /// Its text, of whatever length, with U+FFFD for what is not UTF-8. Not to be trusted if there is a fault.
    pub(super) text: Cow<'a, str>,
    /// What is wrong with the line as such.
    pub(super) fault: Option<LineError>,
}

/// The lines of a file that are neither blank nor comments, without their ends (LF or CRLF). What comes after `limit`
/// lines of any kind is one line with the fault [`LineError::TooMany`] and no text.
pub(super) fn lines(bytes: &[u8], limit: usize) -> impl Iterator<Item = Line<'_>> {
    bytes.splitn(limit.saturating_add(1), |byte| *byte == b'\n').zip(1..).filter_map(
        move |(bytes, number)| {
            if number > limit {
                let is_blank = bytes.trim_ascii().is_empty();
                let fault = Some(LineError::TooMany { limit });
                return (!is_blank).then_some(Line { number, text: Cow::Borrowed(""), fault });
            }
            let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes).trim_ascii_start();
            (!bytes.is_empty() && !bytes.starts_with(b"#")).then(|| line(number, bytes))
        },
    )
}

fn line(number: usize, bytes: &[u8]) -> Line<'_> {
    let text = String::from_utf8_lossy(bytes);
    let fault = if bytes.len() > LINE_BYTES {
        Some(LineError::TooLong)
    } else {
        matches!(text, Cow::Owned(_)).then_some(LineError::NotUtf8)
    };
    Line { number, text, fault }
}

/// The first word of `text`, and what comes after the blanks behind it. Both are empty if there is no word.
pub(super) fn split_word(text: &str) -> (&str, &str) {
    let text = text.trim_start_matches(is_blank);
    let (word, rest) = text.split_once(is_blank).unwrap_or((text, ""));
    (word, rest.trim_start_matches(is_blank))
}

/// The first word of `text`, in which blanks may stand between double quotes, and the rest. A quote behind a backslash
/// opens and closes nothing. `None` if a quote is not closed.
pub(super) fn split_quoted_word(text: &str) -> Option<(&str, &str)> {
    let mut is_quoted = false;
    let mut previous = ' ';
    for (at, c) in text.char_indices() {
        match c {
            '"' if previous != '\\' => is_quoted = !is_quoted,
            _ if is_blank(c) && !is_quoted => {
                let (word, rest) = text.split_at_checked(at)?;
                return Some((word, rest.trim_start_matches(is_blank)));
            }
            _ => {}
        }
        previous = c;
    }
    (!is_quoted).then_some((text, ""))
}

/// A line of `words` and a comment, without an end. The comment is cut to 255 bytes and keeps no control characters, so
/// that it can neither start another line nor make this one too long.
pub(super) fn join(words: &str, comment: &str) -> String {
    let comment = cut(comment, COMMENT_BYTES).replace(char::is_control, " ");
    format!("{words} {}", comment.trim()).trim().to_owned()
}

/// As much of a wrong text as a message about it quotes.
pub(super) fn shortened(text: &str) -> String {
    cut(text, QUOTE_BYTES).to_owned()
}

fn cut(text: &str, limit: usize) -> &str {
    text.get(..text.floor_char_boundary(limit)).unwrap_or_default()
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers_and_texts(bytes: &[u8], limit: usize) -> Vec<(usize, String)> {
        lines(bytes, limit).map(|line| (line.number, line.text.into_owned())).collect()
    }

    #[test]
    fn blank_lines_and_comments_are_passed_over_but_counted() {
        let lines = numbers_and_texts(b"\n# one\n \t# two\r\n\r\na b\r\n\t c # d\xc3\xa9", 100);
        assert_eq!(lines, [(5, "a b".to_owned()), (6, "c # dé".to_owned())]);
        assert_eq!(numbers_and_texts(b"#\xff", 100), []);
    }

    #[test]
    fn a_line_that_is_too_long_or_not_text_has_a_fault_and_a_text() {
        let fault_and_text = |bytes: &[u8]| {
            let line = lines(bytes, 1).next().unwrap();
            (line.fault, line.text.into_owned())
        };
        let longest = "x".repeat(LINE_BYTES);
        assert_eq!(fault_and_text(longest.as_bytes()), (None, longest.clone()));
        let too_long = longest + "y";
        assert_eq!(fault_and_text(too_long.as_bytes()), (Some(LineError::TooLong), too_long));
        assert_eq!(fault_and_text(b"host \xff"), (Some(LineError::NotUtf8), "host \u{fffd}".to_owned()));
    }

    #[test]
    fn what_comes_after_the_last_line_is_told_once() {
        assert_eq!(numbers_and_texts(b"a\nb\n", 2), [(1, "a".to_owned()), (2, "b".to_owned())]);
        for rest in ["c", "\nc\nd", "\n\n#"] {
            let text = format!("a\nb\n{rest}");
            let last = lines(text.as_bytes(), 2).last().unwrap();
            assert_eq!((last.number, last.fault), (3, Some(LineError::TooMany { limit: 2 })), "{rest:?}");
        }
        assert_eq!(lines(b"a\nb\n\n \r\n", 2).count(), 2);
    }

    #[test]
    fn words_end_at_blanks_outside_quotes() {
        assert_eq!(split_word(" \ta\t  b c"), ("a", "b c"));
        assert_eq!(split_word(" \t"), ("", ""));
        let table = [
            (r#"a="b c",d  e f"#, Some((r#"a="b c",d"#, "e f"))),
            (r#"a="b \" c" d"#, Some((r#"a="b \" c""#, "d"))),
            (r#"a="b \\" c" d"#, Some((r#"a="b \\" c""#, "d"))),
            (r#"a\" b"#, Some((r#"a\""#, "b"))),
            (r#"a="b # c"#, None),
            ("a", Some(("a", ""))),
        ];
        for (text, split) in table {
            assert_eq!(split_quoted_word(text), split, "{text}");
        }
    }

    #[test]
    fn a_comment_stays_on_its_line() {
        assert_eq!(join("a b", "me\n* ssh-ed25519 \r\0"), "a b me * ssh-ed25519");
        assert_eq!(join("a b", " "), "a b");
        assert_eq!(join("a", &"é".repeat(200)).len(), 2 + 254);
    }
}
