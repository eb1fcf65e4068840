//! Text from elsewhere, made safe for a terminal and for one line.

use std::borrow::Cow;
use std::fmt::Write;
use std::ops::RangeInclusive;

/// `text` with its control and format characters spelt out, so that it can neither move the cursor nor pretend to be
/// another line, another order of words, or another text.
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

/// Whether [`escape`] spells `c` out: C0, DEL, C1, line and paragraph separators, and the format characters (Unicode's
/// category Cf), which change the order of a text or are not seen at all.
pub fn is_unsafe(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') || is_format(c)
}

/// Whether `c` is among the [`FORMAT`] characters.
fn is_format(c: char) -> bool {
    FORMAT.iter().any(|range| range.contains(&c))
}

/// Unicode 17's category Cf, without the numeral and verse signs of Arabic, Syriac and Kaithi: those are seen.
const FORMAT: [RangeInclusive<char>; 14] = [
    '\u{ad}'..='\u{ad}',
    '\u{61c}'..='\u{61c}',
    '\u{180e}'..='\u{180e}',
    '\u{200b}'..='\u{200f}',
    '\u{202a}'..='\u{202e}',
    '\u{2060}'..='\u{2064}',
    '\u{2066}'..='\u{206f}',
    '\u{feff}'..='\u{feff}',
    '\u{fff9}'..='\u{fffb}',
    '\u{13430}'..='\u{1343f}',
    '\u{1bca0}'..='\u{1bca3}',
    '\u{1d173}'..='\u{1d17a}',
    '\u{e0001}'..='\u{e0001}',
    '\u{e0020}'..='\u{e007f}',
];

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

    #[test]
    fn what_cannot_be_seen_is_spelt_out() {
        assert_eq!(escape("build\u{200b}"), "build\\u{200b}");
        assert_eq!(escape("a\u{ad}b\u{2060}c\u{feff}d"), "a\\u{ad}b\\u{2060}c\\u{feff}d");
        assert_eq!(escape("\u{e0001}\u{e0041}"), "\\u{e0001}\\u{e0041}");
        assert!(matches!(escape("\u{6dd}\u{e0100}"), Cow::Borrowed(_)));
    }
}
