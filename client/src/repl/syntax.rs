//! Where commands begin and end in the text of a shell: POSIX, and what bash and zsh add to it. Knows no terminal, runs
//! nothing, and takes time in proportion to the text.
//!
//! It is no parser: it says whether the shell would want more, and when in doubt that it would not. The shell then says
//! what is wrong, and nothing is held back that it would have taken. Texts are bytes; all that counts in them is ASCII.
//!
//! - `scanner`: line after line, what is open
//! - `frames`: the things that can be open, `code`, `quoting` and `operators`: what each byte means in them
//! - `words`: what a word is where it stands

mod code;
mod frames;
mod operators;
mod quoting;
mod scanner;
mod words;

use std::ops::Range;

pub use self::frames::Open;
pub use self::scanner::Scanner;
pub use self::words::{Piece, PieceKind, Quote, Role, WordAt};

/// Whether the shell would run a text as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Completeness {
    /// It would, or would say what is wrong.
    Complete,
    /// It would wait for more.
    Open(Open),
}

/// Whether the shell would run `text`, which may be several commands: it is about the last. A command that begins with a
/// colon is the REPL's own, and one line.
pub fn is_complete(text: &[u8]) -> Completeness {
    let mut scanner = Scanner::new();
    for line in lines(text) {
        if !scanner.is_own(line) {
            scanner.line(line);
        }
    }
    scanner.completeness()
}

/// `text` cut into complete commands, each with the end of its last line; the last one may be open. Nothing is left out,
/// so that blank lines and comments are commands, too.
pub fn commands(text: &[u8]) -> Vec<Range<usize>> {
    let mut commands = Vec::new();
    let mut scanner = Scanner::new();
    let (mut begin, mut end) = (0, 0);
    for line in lines(text) {
        end += line.len();
        if scanner.is_own(line) || scanner.line(line) {
            commands.push(begin..end);
            begin = end;
        }
    }
    if begin < end {
        commands.push(begin..end);
    }
    commands
}

/// What each stretch of `text` is, in order and without overlaps. What is not in one is plain.
pub fn pieces(text: &[u8]) -> Vec<Piece> {
    let mut scanner = Scanner::painting();
    for line in lines(text) {
        if scanner.is_own(line) {
            scanner.skip(line);
        } else {
            scanner.line(line);
        }
    }
    scanner.into_pieces()
}

/// The word that ends at byte `cursor` of `text`, or is to begin there; `None` where none can be completed: in a comment,
/// the text of a heredoc, a line of the REPL's own.
pub fn word_at(text: &[u8], cursor: usize) -> Option<WordAt> {
    let text = text.get(..cursor).unwrap_or(text);
    let mut scanner = Scanner::new();
    for line in lines(text) {
        let is_whole = line.ends_with(b"\n");
        if scanner.is_own(line) {
            if !is_whole {
                return None;
            }
            scanner.skip(line);
        } else if is_whole {
            scanner.line(line);
        } else {
            scanner.part(line);
            scanner.skip(line);
        }
    }
    scanner.word_at_end(text)
}

/// The lines of `text`, each with its end.
fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split_inclusive(|byte| *byte == b'\n')
}

#[cfg(test)]
mod tests;
