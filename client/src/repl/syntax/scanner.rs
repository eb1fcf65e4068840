//! Reads line after line and knows what is open behind each.

use std::collections::VecDeque;
use std::mem;

use super::Completeness;
use super::frames::{Code, Expects, Frame, Kind, Open, Text, Word};
use super::words::{Piece, PieceKind};

/// Most things inside one another; what is deeper is left to the shell.
const DEPTH: usize = 256;

/// Reads the text of a shell line by line. Each line is looked at once, so that a script can be cut while it is read.
#[derive(Debug)]
pub struct Scanner {
    pub(super) stack: Vec<Frame>,
    /// Heredocs whose text begins behind this line, in order; with the number of `$(` that they stand in.
    pub(super) heredocs: Vec<(usize, Heredoc)>,
    /// Those whose text is being read, the first of them now.
    reading: VecDeque<Heredoc>,
    /// How many `$(` are open.
    pub(super) level: usize,
    /// What cannot be, or is not understood: the shell may judge.
    pub(super) is_confused: bool,
    /// Something on this line may have closed what seems open.
    pub(super) is_doubtful: bool,
    /// The line ended with a backslash.
    pub(super) is_continued: bool,
    /// A comment reaches to the end of what was read.
    pub(super) in_comment: bool,
    /// Whether nothing was read since the last complete command.
    is_fresh: bool,
    /// Bytes and lines before the line that is read.
    pub(super) offset: usize,
    pub(super) number: usize,
    pub(super) pieces: Option<Vec<Piece>>,
}

/// A heredoc that waits for its end.
#[derive(Debug)]
pub(super) struct Heredoc {
    pub(super) end: Vec<u8>,
    /// `<<-`
    pub(super) is_indented: bool,
}

impl Default for Scanner {
    fn default() -> Self {
        Self::new()
    }
}

impl Scanner {
    /// At the beginning of a text.
    pub fn new() -> Self {
        Self {
            stack: vec![Frame::Code(Code::new(Kind::Top, 0))],
            heredocs: Vec::new(),
            reading: VecDeque::new(),
            level: 0,
            is_confused: false,
            is_doubtful: false,
            is_continued: false,
            in_comment: false,
            is_fresh: true,
            offset: 0,
            number: 0,
            pieces: None,
        }
    }

    /// The same, and keeps what each stretch of the text is.
    pub(super) fn painting() -> Self {
        Self { pieces: Some(Vec::new()), ..Self::new() }
    }

    /// Whether `line` would be one of the REPL's own: it begins with a colon, and nothing is open before it.
    pub fn is_own(&self, line: &[u8]) -> bool {
        self.is_fresh && line.first() == Some(&b':')
    }

    /// Leaves out a line.
    pub(super) fn skip(&mut self, line: &[u8]) {
        self.offset += line.len();
        self.number += 1;
    }

    /// Reads the next line, with or without its end; whether a complete command ends with it.
    pub fn line(&mut self, line: &[u8]) -> bool {
        self.is_continued = false;
        self.part(line);
        if !line.ends_with(b"\n") && !self.is_continued && self.reading.is_empty() {
            self.end_line();
        }
        self.offset += line.len();
        self.number += 1;
        let is_complete = self.is_confused || self.completeness() == Completeness::Complete;
        if is_complete {
            self.begin_anew();
        }
        is_complete
    }

    /// Reads a line, or the beginning of one, and does not take its end for that of a word.
    pub(super) fn part(&mut self, line: &[u8]) {
        self.is_fresh = false;
        self.in_comment = false;
        self.is_doubtful = false;
        if let Some(is_end) = self.reading.front().map(|heredoc| heredoc.ends_with(line)) {
            return self.heredoc_line(line, is_end);
        }
        let mut at = 0;
        while at < line.len() {
            let next = match self.stack.last() {
                Some(Frame::Text(text)) => self.text_byte(line, at, *text),
                _ => self.code_byte(line, at),
            };
            // Whatever happens, it ends.
            at = next.max(at + 1);
        }
    }

    /// What the text so far is, taken as whole lines.
    pub fn completeness(&self) -> Completeness {
        let Some(top) = self.stack.last() else { return Completeness::Complete };
        let open = match top {
            _ if self.is_confused => return Completeness::Complete,
            _ if !self.reading.is_empty() || !self.heredocs.is_empty() => Open::Heredoc,
            Frame::Text(Text::Arithmetic { .. } | Text::Pattern { .. }) => Open::Compound,
            Frame::Text(_) => Open::Quote,
            Frame::Code(_) if self.is_continued => Open::Line,
            Frame::Code(code) if code.kind != Kind::Top => Open::Compound,
            Frame::Code(code) if code.continues => Open::Command,
            Frame::Code(_) => return Completeness::Complete,
        };
        Completeness::Open(open)
    }

    /// What each stretch of the text is.
    pub(super) fn into_pieces(mut self) -> Vec<Piece> {
        self.paint_open_words();
        self.pieces.unwrap_or_default()
    }

    /// Words whose end is not there.
    fn paint_open_words(&mut self) {
        for frame in mem::take(&mut self.stack) {
            if let Frame::Code(Code { word: Some(word), .. }) = frame {
                self.paint_word(&word, PieceKind::Argument);
            }
        }
    }

    /// The end of a line, in a list of commands.
    pub(super) fn end_line(&mut self) {
        self.end_word();
        let level = self.level;
        while let Some((_, heredoc)) = self.heredocs.pop_if(|(of, _)| *of >= level) {
            self.reading.push_front(heredoc);
        }
        let doubtful = self.is_doubtful;
        let Some(code) = self.code() else { return };
        let is_wrong = match code.expects {
            _ if code.redirect => true,
            Expects::FunctionName | Expects::Name | Expects::CaseWord => true,
            Expects::Command | Expects::FirstArgument | Expects::Arguments | Expects::End => {
                code.begin_command();
                false
            }
            Expects::Words if code.kind == Kind::For => {
                code.expects = Expects::Do;
                false
            }
            _ => false,
        };
        if is_wrong || (doubtful && self.stack.len() > 1) {
            self.is_confused = true;
        }
    }

    fn begin_anew(&mut self) {
        self.paint_open_words();
        let pieces = mem::take(&mut self.pieces);
        let (offset, number) = (self.offset, self.number);
        *self = Self { pieces, offset, number, ..Self::new() };
    }

    fn heredoc_line(&mut self, line: &[u8], is_end: bool) {
        self.paint(PieceKind::String, 0, line.len());
        if is_end {
            self.reading.pop_front();
        }
    }

    /// Whether the text of a heredoc is being read.
    pub(super) fn is_in_heredoc(&self) -> bool {
        !self.reading.is_empty()
    }

    /// The list of commands that is innermost; `None` inside a quoted text.
    pub(super) fn code(&mut self) -> Option<&mut Code> {
        match self.stack.last_mut() {
            Some(Frame::Code(code)) => Some(code),
            _ => None,
        }
    }

    /// Opens something.
    pub(super) fn push(&mut self, frame: Frame) {
        if self.stack.len() >= DEPTH {
            self.is_confused = true;
            return;
        }
        if matches!(&frame, Frame::Code(code) if code.kind == Kind::Substitution) {
            self.level += 1;
        }
        self.stack.push(frame);
    }

    pub(super) fn push_code(&mut self, kind: Kind) {
        let begun = self.number;
        self.push(Frame::Code(Code::new(kind, begun)));
    }

    pub(super) fn push_text(&mut self, text: Text) {
        self.push(Frame::Text(text));
    }

    /// Closes what is innermost. What it stands in goes on: with its word, or behind a compound command.
    pub(super) fn close(&mut self) {
        let closed = self.stack.pop();
        let is_part_of_word = match closed {
            Some(Frame::Code(Code { kind: Kind::Substitution, .. })) => {
                self.level = self.level.saturating_sub(1);
                let level = self.level;
                // Their text does not come any more: the shell may say so.
                while self.heredocs.pop_if(|(of, _)| *of > level).is_some() {}
                true
            }
            Some(Frame::Code(Code { kind, .. })) => kind == Kind::Array,
            Some(Frame::Text(Text::Arithmetic { substitution, .. })) => substitution,
            _ => true,
        };
        if self.stack.is_empty() {
            self.push_code(Kind::Top);
            self.is_confused = true;
        }
        if let Some(code) = self.code().filter(|_| !is_part_of_word) {
            code.continues = false;
            code.prefixed = false;
            // `for ((…))` has its words there.
            code.expects = if code.kind == Kind::For { Expects::Do } else { Expects::End };
        }
    }

    /// The word that is being read, begun at `at` of this line if there is none; `None` inside a quoted text.
    pub(super) fn word(&mut self, at: usize) -> Option<&mut Word> {
        let start = self.offset + at;
        let word = &mut self.code()?.word;
        Some(word.get_or_insert_with(|| Word { start, text: Vec::new(), is_plain: true, pieces: Vec::new() }))
    }

    /// Something that is no plain text belongs to the word.
    pub(super) fn not_plain(&mut self, at: usize) {
        if let Some(word) = self.word(at) {
            word.is_plain = false;
        }
    }

    /// A stretch of this line is of this kind.
    pub(super) fn paint(&mut self, kind: PieceKind, from: usize, to: usize) {
        let (start, end) = (self.offset + from, self.offset + to);
        let Some(pieces) = &mut self.pieces else { return };
        match pieces.last_mut() {
            Some(last) if last.kind == kind && last.range.end == start && kind != PieceKind::Word => {
                last.range.end = end;
            }
            _ if start < end => pieces.push(Piece { range: start..end, kind }),
            _ => {}
        }
    }

    /// The literal parts of `word` are of this kind.
    pub(super) fn paint_word(&mut self, word: &Word, kind: PieceKind) {
        let Some(pieces) = &mut self.pieces else { return };
        for index in &word.pieces {
            if let Some(piece) = pieces.get_mut(*index) {
                piece.kind = kind;
            }
        }
    }

    /// Literal text of a word.
    pub(super) fn literal(&mut self, line: &[u8], from: usize, to: usize) {
        self.paint(PieceKind::Word, from, to);
        let index = self.pieces.as_ref().and_then(|pieces| pieces.len().checked_sub(1));
        let text = line.get(from..to).unwrap_or_default();
        let Some(word) = self.word(from) else { return };
        word.pieces.extend(index);
        let room = Word::KEPT.saturating_sub(word.text.len());
        word.text.extend(text.iter().take(room));
        word.is_plain &= text.len() <= room;
    }
}

impl Heredoc {
    fn ends_with(&self, line: &[u8]) -> bool {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let tabs = line.iter().take_while(|byte| **byte == b'\t').count();
        let line = if self.is_indented { line.get(tabs..).unwrap_or_default() } else { line };
        line == self.end
    }
}
