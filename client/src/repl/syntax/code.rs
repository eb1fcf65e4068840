//! What a byte means in a list of commands.

use super::frames::{Expects, Frame, Kind, Text};
use super::quoting::behind_backslash;
use super::scanner::Scanner;
use super::words::PieceKind;

impl Scanner {
    /// Takes what begins at `at` of `line`; where the next begins.
    pub(super) fn code_byte(&mut self, line: &[u8], at: usize) -> usize {
        let Some(byte) = line.get(at) else { return at };
        match byte {
            b' ' | b'\t' => self.blank(at),
            b'\n' => {
                self.end_line();
                at + 1
            }
            b'#' if self.is_between_words() && !self.is_in(Kind::Test) => self.comment(line, at),
            b'\\' => self.backslash(line, at),
            b'\'' => self.open_quote(at, 1, Text::Single),
            b'"' => self.open_quote(at, 1, Text::Double),
            b'`' => self.open_quote(at, 1, Text::Backquote),
            b'$' => self.dollar(line, at),
            _ if self.is_in(Kind::Test) => self.test_byte(line, at),
            b'(' => self.parenthesis(line, at),
            b')' => self.closing_parenthesis(at),
            b';' | b'&' | b'|' | b'<' | b'>' => self.operator(line, at),
            _ => self.plain(line, at),
        }
    }

    fn blank(&mut self, at: usize) -> usize {
        self.end_word();
        at + 1
    }

    fn is_between_words(&mut self) -> bool {
        self.code().is_some_and(|code| code.word.is_none())
    }

    fn is_in(&mut self, kind: Kind) -> bool {
        self.code().is_some_and(|code| code.kind == kind)
    }

    fn comment(&mut self, line: &[u8], at: usize) -> usize {
        let end = line.len() - usize::from(line.ends_with(b"\n"));
        self.paint(PieceKind::Comment, at, end);
        self.in_comment = true;
        end
    }

    fn backslash(&mut self, line: &[u8], at: usize) -> usize {
        match line.get(at + 1) {
            None | Some(b'\n') => {
                self.is_continued = true;
                line.len()
            }
            Some(_) => {
                let end = behind_backslash(line, at);
                self.not_plain(at);
                self.literal(line, at, end);
                end
            }
        }
    }

    /// A quoted part of a word begins with `length` bytes.
    pub(super) fn open_quote(&mut self, at: usize, length: usize, text: Text) -> usize {
        self.not_plain(at);
        self.paint(PieceKind::String, at, at + length);
        self.push_text(text);
        at + length
    }

    /// Plain text, up to the next byte that may mean something.
    fn plain(&mut self, line: &[u8], at: usize) -> usize {
        let rest = line.get(at + 1..).unwrap_or_default();
        let length = 1 + rest.iter().take_while(|byte| !b" \t\n\\'\"`$();&|<>".contains(byte)).count();
        self.literal(line, at, at + length);
        at + length
    }

    /// Between `[[` and `]]` operators are words like others.
    fn test_byte(&mut self, line: &[u8], at: usize) -> usize {
        let is_operator = |byte: &u8| b"();&|<>".contains(byte);
        if line.get(at).is_some_and(is_operator) {
            self.end_word();
            self.paint(PieceKind::Operator, at, at + 1);
            return at + 1;
        }
        self.plain(line, at)
    }

    fn parenthesis(&mut self, line: &[u8], at: usize) -> usize {
        let is_double = line.get(at + 1) == Some(&b'(');
        let closing = closing_behind(line, at + 1);
        let Some(code) = self.code() else { return at + 1 };
        let (expects, is_prefixed) = (code.expects, code.prefixed);
        let is_command = expects == Expects::Command && !is_prefixed && !code.redirect;
        let word = code.word.as_ref();
        let is_array = word.is_some_and(|word| word.is_assignment() && word.text.ends_with(b"="));
        let is_word = word.is_some();
        let is_name = word.is_none_or(|word| word.is_plain);
        match (expects, closing) {
            _ if is_array => self.open(at, 1, Kind::Array),
            (Expects::Command, Some(closing)) if is_command && is_name => self.function_head(at, closing),
            _ if is_word => {
                self.literal(line, at, at + 1);
                self.not_plain(at);
                self.push_text(Text::Pattern { parentheses: 0 });
                at + 1
            }
            (Expects::Pattern, _) => {
                self.paint(PieceKind::Operator, at, at + 1);
                if let Some(code) = self.code() {
                    code.expects = Expects::PatternRest;
                }
                at + 1
            }
            (Expects::FirstArgument, Some(closing)) => self.function_head(at, closing),
            (Expects::Command | Expects::Name, _) if is_double && !is_prefixed => {
                self.paint(PieceKind::Operator, at, at + 2);
                self.push_text(Text::Arithmetic { parentheses: 0, substitution: false });
                at + 2
            }
            _ if is_command => self.open(at, 1, Kind::Subshell),
            _ => self.error(at, at + 1),
        }
    }

    fn open(&mut self, at: usize, length: usize, kind: Kind) -> usize {
        self.paint(PieceKind::Operator, at, at + length);
        self.push_code(kind);
        at + length
    }

    /// `()` from `at` to before `end`, behind a name or alone: the body comes.
    fn function_head(&mut self, at: usize, end: usize) -> usize {
        self.end_word();
        self.paint(PieceKind::Operator, at, end);
        if let Some(code) = self.code() {
            code.begin_command();
            code.continues = true;
        }
        end
    }

    fn closing_parenthesis(&mut self, at: usize) -> usize {
        self.end_word();
        let Some(code) = self.code() else { return at + 1 };
        match (code.kind, code.expects) {
            (Kind::Case, Expects::Pattern | Expects::PatternRest) => {
                self.paint(PieceKind::Operator, at, at + 1);
                self.push_code(Kind::Branch);
            }
            (Kind::Substitution, _) => {
                self.paint(PieceKind::Variable, at, at + 1);
                self.close();
            }
            (Kind::Subshell | Kind::Array, _) => {
                self.paint(PieceKind::Operator, at, at + 1);
                self.close();
            }
            _ => return self.error(at, at + 1),
        }
        at + 1
    }

    /// What stands there cannot be there, as far as this is known.
    pub(super) fn error(&mut self, from: usize, to: usize) -> usize {
        self.paint(PieceKind::Error, from, to);
        self.is_confused = true;
        to
    }

    /// What seemed arithmetic was a list in two parentheses, and the inner one is closed.
    pub(super) fn not_arithmetic(&mut self, substitution: bool) {
        self.stack.pop();
        self.push_code(if substitution { Kind::Substitution } else { Kind::Subshell });
        if let Some(Frame::Code(code)) = self.stack.last_mut() {
            code.expects = Expects::End;
        }
    }
}

/// Where `)` ends that stands at `at` or behind blanks there.
fn closing_behind(line: &[u8], at: usize) -> Option<usize> {
    let rest = line.get(at..)?;
    let blanks = rest.iter().take_while(|byte| b" \t".contains(byte)).count();
    (rest.get(blanks) == Some(&b')')).then_some(at + blanks + 1)
}
