//! Any text, made safe for a terminal: no control and no change of direction is left, safe text is left alone, and nothing
//! that was escaped is escaped again.

#![no_main]

use std::borrow::Cow;

use common::escape::{escape, is_unsafe};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let escaped = escape(text);
    for c in escaped.chars() {
        assert!(!matches!(c, '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}'), "{escaped:?}");
        assert!(!matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}'), "{escaped:?}");
        assert!(!matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'), "{escaped:?}");
    }
    let is_safe = !text.chars().any(is_unsafe);
    assert_eq!(is_safe, matches!(escaped, Cow::Borrowed(_)));
    assert!(!is_safe || escaped == text);
    assert_eq!(escape(&escaped), escaped);
    let kept: String = text.chars().filter(|c| !is_unsafe(*c)).collect();
    let mut rest = escaped.chars();
    assert!(kept.chars().all(|c| rest.any(|found| found == c)), "{escaped:?} lacks some of {text:?}");
});
