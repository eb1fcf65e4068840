//! Text from elsewhere, made safe for a terminal and for one line.

use std::borrow::Cow;
use std::fmt::Write;

/// `text` with its control characters and its changes of writing direction spelt out, so that it can neither move
/// the cursor nor pretend to be another line or another order of words.
pub fn escape(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if !is_unsafe(c) {
            out.push(c);
        } else if c.is_ascii() {
            // Writing to a string cannot fail.
            write!(out, "\\x{:02x}", u32::from(c)).ok();
        } else {
            write!(out, "\\u{{{:x}}}", u32::from(c)).ok();
        }
    }
    Cow::Owned(out)
}

/// Whether [`escape`] spells `c` out: C0, DEL, C1, line and paragraph separators, and the bidirectional controls.
pub fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_text_is_left_alone() {
        assert!(matches!(escape("größe = 5 µs, 日本 \\"), Cow::Borrowed(_)));
    }

    #[test]
    fn controls_are_spelt_out() {
        assert_eq!(escape("a\x1b[2Jb\r\n\t\x7f"), "a\\x1b[2Jb\\x0d\\x0a\\x09\\x7f");
        assert_eq!(escape("\u{9b}2J"), "\\u{9b}2J");
        assert_eq!(escape("x\u{202e}y\u{2066}z\u{2028}"), "x\\u{202e}y\\u{2066}z\\u{2028}");
        assert_eq!(escape("\0"), "\\x00");
    }
}
