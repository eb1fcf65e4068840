//! Commands that were pasted together or typed ahead. Pure.

use std::collections::VecDeque;
use std::mem;

use crate::repl::syntax::{Completeness, commands, is_complete};

/// Most bytes that are typed ahead; what is more is lost.
const TYPED: usize = 64 * 1024;

/// What is still to be handed out.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    commands: VecDeque<Vec<u8>>,
    /// What the next line begins with.
    begun: String,
}

impl Waiting {
    /// The next command.
    pub(super) fn next(&mut self) -> Option<Vec<u8>> {
        self.commands.pop_front()
    }

    /// What the next line begins with.
    pub(super) fn take_begun(&mut self) -> String {
        mem::take(&mut self.begun)
    }

    /// Keeps all commands in `text` but the first, which it returns. Blank lines and comments are none.
    pub(super) fn cut(&mut self, text: Vec<u8>) -> Vec<u8> {
        let mut cut =
            commands(&text).into_iter().filter_map(|range| text.get(range)).filter(|text| is_any(text));
        let first = cut.next().map(without_end).unwrap_or_default();
        self.commands.extend(cut.map(without_end));
        first
    }

    /// What is to be handed out goes into the next line.
    pub(super) fn hold_back(&mut self) {
        let held = self.commands.drain(..).map(|command| plain(&command));
        let mut lines: Vec<_> = held.collect();
        if !self.begun.is_empty() {
            lines.push(self.take_begun());
        }
        self.begun = lines.join("\n");
    }

    /// Takes what was typed ahead.
    pub(super) fn give_back(&mut self, typed: &[u8]) {
        let typed = typed.get(..TYPED).unwrap_or(typed);
        for range in commands(typed) {
            let Some(text) = typed.get(range) else { continue };
            if text.ends_with(b"\n") && is_complete(text) == Completeness::Complete {
                self.commands.extend(is_any(text).then(|| without_end(text)));
            } else {
                self.begun.push_str(&plain(text));
            }
        }
    }
}

/// Whether there is a command in `text`.
fn is_any(text: &[u8]) -> bool {
    text.trim_ascii_start().first().is_some_and(|first| *first != b'#')
}

fn without_end(text: &[u8]) -> Vec<u8> {
    text.strip_suffix(b"\n").unwrap_or(text).to_vec()
}

/// `text` for the editor: what keys like the arrows send is no text.
fn plain(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let mut plain = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\x1b' => skip_key(&mut rest),
            '\x7f' | '\x08' => {
                plain.pop();
            }
            '\r' => plain.push('\n'),
            c if c.is_control() && c != '\n' && c != '\t' => {}
            c => plain.push(c),
        }
    }
    plain
}

/// The rest of what a key sends behind ESC: one letter, or `[` or `O` and what belongs to it.
fn skip_key(rest: &mut impl Iterator<Item = char>) {
    if let Some('[' | 'O') = rest.next() {
        rest.find(|c| ('@'..='~').contains(c));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(waiting: &mut Waiting) -> Vec<String> {
        std::iter::from_fn(|| waiting.next()).map(|command| String::from_utf8(command).unwrap()).collect()
    }

    #[test]
    fn a_paste_is_several_commands() {
        let mut waiting = Waiting::default();
        assert_eq!(waiting.cut(b"one\n\n# two\nif a\nthen b\nfi\nthree".to_vec()), b"one");
        assert_eq!(all(&mut waiting), ["if a\nthen b\nfi", "three"]);
        assert_eq!(waiting.cut(b"ls".to_vec()), b"ls");
        assert_eq!(waiting.cut(b"\n # x".to_vec()), b"");
        assert_eq!(waiting.cut(b"if a\n".to_vec()), b"if a");
        assert!(all(&mut waiting).is_empty());
    }

    #[test]
    fn what_is_held_back_is_in_the_next_line() {
        let mut waiting = Waiting::default();
        waiting.cut(b"one\ntwo\nthree 'a\nb'".to_vec());
        waiting.give_back(b"four");
        waiting.hold_back();
        assert_eq!(waiting.next(), None);
        assert_eq!(waiting.take_begun(), "two\nthree 'a\nb'\nfour");
        assert_eq!(waiting.take_begun(), "");
    }

    #[test]
    fn what_is_typed_ahead_runs_as_far_as_it_is_whole() {
        let mut waiting = Waiting::default();
        waiting.give_back(b"ls\n\nif a\nthen");
        assert_eq!(all(&mut waiting), ["ls"]);
        assert_eq!(waiting.take_begun(), "if a\nthen");
        waiting.give_back(b"ax\x7fb\x1b[1;5C\x1bOAc\x01\xff");
        assert_eq!(waiting.take_begun(), "abc\u{fffd}");
        waiting.give_back(&[b'x'; TYPED + 1]);
        assert_eq!(waiting.take_begun().len(), TYPED);
    }
}
