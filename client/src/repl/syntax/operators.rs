//! `;`, `&`, `|` and redirections, with heredocs.

use super::frames::{Expects, Frame, Kind};
use super::scanner::{Heredoc, Scanner};
use super::words::PieceKind;

/// Longest end of a heredoc; a longer one is left to the shell.
const END: usize = 256;

impl Scanner {
    /// Takes the operator at `at` of `line`; where it ends.
    pub(super) fn operator(&mut self, line: &[u8], at: usize) -> usize {
        let rest = line.get(at..).unwrap_or_default();
        match rest {
            [b'<' | b'>', b'(', ..] => {
                self.not_plain(at);
                self.paint(PieceKind::Variable, at, at + 2);
                self.push_code(Kind::Substitution);
                at + 2
            }
            [b'<', b'<', b'<', ..] => self.redirection(at, 3),
            [b'<', b'<', ..] => self.heredoc(line, at),
            [b'&', b'>', b'>', ..] => self.redirection(at, 3),
            [b'&', b'>', ..] | [b'<', b'>' | b'&', ..] | [b'>', b'>' | b'|' | b'&', ..] => {
                self.redirection(at, 2)
            }
            [b'<' | b'>', ..] => self.redirection(at, 1),
            [b'&', b'&', ..] | [b'|', b'|' | b'&', ..] => self.connect(at, 2),
            [b'|', ..] => self.connect(at, 1),
            [b';', b';', b'&', ..] => self.end_branch(at, 3),
            [b';', b';' | b'&' | b'|', ..] => self.end_branch(at, 2),
            _ => self.separate(at),
        }
    }

    fn redirection(&mut self, at: usize, length: usize) -> usize {
        self.end_number();
        let Some(code) = self.code() else { return at + length };
        let twice = std::mem::replace(&mut code.redirect, true);
        code.prefixed |= code.expects == Expects::Command;
        let is_here = !matches!(code.expects, Expects::Words | Expects::Name | Expects::In | Expects::Do)
            && !matches!(code.kind, Kind::Case);
        if twice || !is_here {
            return self.error(at, at + length);
        }
        self.paint(PieceKind::Operator, at, at + length);
        at + length
    }

    /// The word before a redirection, which may be the number of a descriptor.
    fn end_number(&mut self) {
        let is_number =
            |word: &mut super::frames::Word| word.is_plain && word.text.iter().all(u8::is_ascii_digit);
        let number = self.code().and_then(|code| code.word.take_if(is_number));
        match number {
            Some(word) => self.paint_word(&word, PieceKind::Operator),
            None => self.end_word(),
        }
    }

    /// `<<` with its word. What is no whole word on this line is left to the shell.
    fn heredoc(&mut self, line: &[u8], at: usize) -> usize {
        let is_indented = line.get(at + 2) == Some(&b'-');
        let operator = at + 2 + usize::from(is_indented);
        self.redirection(at, operator - at);
        let blanks = line.get(operator..).unwrap_or_default();
        let begin = operator + blanks.iter().take_while(|byte| b" \t".contains(byte)).count();
        let Some((end, length)) = unquoted_word(line.get(begin..).unwrap_or_default()) else {
            self.is_confused = true;
            return operator;
        };
        self.paint(PieceKind::String, begin, begin + length);
        let level = self.level;
        if let Some(Frame::Code(code)) = self.stack.last_mut() {
            code.redirect = false;
            self.heredocs.push((level, Heredoc { end, is_indented }));
        }
        begin + length
    }

    /// `|`, `&&`, `||`: another command has to come.
    fn connect(&mut self, at: usize, length: usize) -> usize {
        self.end_word();
        let Some(code) = self.code() else { return at + length };
        match code.expects {
            Expects::PatternRest | Expects::Pattern if length == 1 => {}
            Expects::FirstArgument | Expects::Arguments | Expects::End => code.continues = true,
            // An assignment or a redirection is a command, too.
            Expects::Command if code.prefixed => code.continues = true,
            _ => return self.error(at, at + length),
        }
        if code.kind != Kind::Case {
            code.begin_command();
        }
        if code.redirect {
            return self.error(at, at + length);
        }
        self.paint(PieceKind::Operator, at, at + length);
        at + length
    }

    /// `;;` and the like.
    fn end_branch(&mut self, at: usize, length: usize) -> usize {
        self.end_word();
        if self.code().is_none_or(|code| code.kind != Kind::Branch || code.redirect) {
            return self.error(at, at + length);
        }
        self.paint(PieceKind::Operator, at, at + length);
        self.stack.pop();
        if let Some(code) = self.code() {
            code.expects = Expects::Pattern;
        }
        at + length
    }

    /// `;` or `&`.
    fn separate(&mut self, at: usize) -> usize {
        self.end_word();
        let Some(code) = self.code() else { return at + 1 };
        match code.expects {
            _ if code.redirect => return self.error(at, at + 1),
            Expects::Words if code.kind == Kind::For => code.expects = Expects::Do,
            Expects::In => code.expects = Expects::Do,
            Expects::Do => {}
            Expects::FirstArgument | Expects::Arguments | Expects::End => code.begin_command(),
            Expects::Command if code.prefixed => code.begin_command(),
            _ => return self.error(at, at + 1),
        }
        self.paint(PieceKind::Operator, at, at + 1);
        at + 1
    }
}

/// The word at the beginning of `text` without its quotes, and how long it is with them; `None` if there is none that
/// ends on this line.
fn unquoted_word(text: &[u8]) -> Option<(Vec<u8>, usize)> {
    let (mut word, mut quote, mut is_escaped) = (Vec::new(), None, false);
    let mut length = 0;
    for byte in text {
        match (byte, quote) {
            (b'\n', _) => break,
            (_, _) if is_escaped => {
                is_escaped = false;
                word.push(*byte);
            }
            (b'\\', None | Some(b'"')) => is_escaped = true,
            (b'\'' | b'"', None) => quote = Some(*byte),
            (_, Some(open)) if open == *byte => quote = None,
            (b' ' | b'\t' | b';' | b'&' | b'|' | b'<' | b'>' | b'(' | b')', None) => break,
            _ => word.push(*byte),
        }
        length += 1;
    }
    (length > 0 && quote.is_none() && !is_escaped && word.len() <= END).then_some((word, length))
}
