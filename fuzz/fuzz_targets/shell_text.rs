//! Any bytes as the text of a shell: cut into commands without loss, and each is complete by itself.

#![no_main]

use client::syntax::{Completeness, commands, is_complete, pieces, word_at};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    let cut = commands(text);
    let mut end = 0;
    for (index, range) in cut.iter().enumerate() {
        assert!(range.start == end && range.end > end);
        end = range.end;
        let completeness = is_complete(&text[range.clone()]);
        if index + 1 < cut.len() {
            assert_eq!(completeness, Completeness::Complete);
        } else {
            assert_eq!(completeness, is_complete(text));
        }
    }
    assert_eq!(end, text.len());
    let mut end = 0;
    for piece in pieces(text) {
        assert!(piece.range.start >= end && piece.range.start < piece.range.end);
        end = piece.range.end;
    }
    assert!(end <= text.len());
    // Of a long text a few: each of them reads it from the beginning.
    for cursor in (0..=text.len()).step_by(1 + text.len() / 64) {
        assert!(word_at(text, cursor).is_none_or(|word| word.start <= cursor));
    }
});
