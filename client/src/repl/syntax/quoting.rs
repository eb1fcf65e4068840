//! What a byte means in a quoted text, and what a dollar begins.

use super::frames::{Frame, Kind, Text, is_name};
use super::scanner::Scanner;
use super::words::PieceKind;

impl Scanner {
    /// Takes what begins at `at` of `line` inside `text`; where the next begins.
    pub(super) fn text_byte(&mut self, line: &[u8], at: usize, text: Text) -> usize {
        match text {
            Text::Single => self.until(line, at, b'\'', false),
            Text::Escaped => self.until(line, at, b'\'', true),
            Text::Backquote => self.until(line, at, b'`', true),
            Text::Double => self.double_byte(line, at),
            Text::Parameter { quotes, .. } => self.parameter_byte(line, at, quotes),
            Text::Arithmetic { parentheses, substitution } => {
                self.arithmetic_byte(line, at, parentheses, substitution)
            }
            Text::Pattern { parentheses } => self.pattern_byte(line, at, parentheses),
        }
    }

    /// A text that ends with `end`, and has nothing in it but, perhaps, backslashes.
    fn until(&mut self, line: &[u8], at: usize, end: u8, escapes: bool) -> usize {
        let rest = line.get(at..).unwrap_or_default();
        let mut length = 0;
        while let Some(byte) = rest.get(length) {
            length += 1;
            if *byte == end {
                self.close();
                break;
            }
            if escapes && *byte == b'\\' && length < rest.len() {
                length += 1;
            }
        }
        self.paint(PieceKind::String, at, at + length);
        at + length
    }

    fn double_byte(&mut self, line: &[u8], at: usize) -> usize {
        match line.get(at) {
            Some(b'"') => self.close_text(at),
            Some(b'\\') => self.string(line, at, behind_backslash(line, at)),
            Some(b'$') => self.dollar(line, at),
            Some(b'`') => self.open_quote(at, 1, Text::Backquote),
            _ => self.run(line, at, b"\"\\$`"),
        }
    }

    fn parameter_byte(&mut self, line: &[u8], at: usize, quotes: bool) -> usize {
        match line.get(at) {
            Some(b'}') => {
                self.paint(PieceKind::Variable, at, at + 1);
                self.close();
                at + 1
            }
            Some(b'\\') => self.string(line, at, behind_backslash(line, at)),
            Some(b'\'') if quotes => self.open_quote(at, 1, Text::Single),
            Some(b'"') => self.open_quote(at, 1, Text::Double),
            Some(b'$') => self.dollar(line, at),
            Some(b'`') => self.open_quote(at, 1, Text::Backquote),
            _ => {
                let end = run_end(line, at, b"}\\'\"$`");
                self.paint(PieceKind::Variable, at, end);
                end
            }
        }
    }

    fn arithmetic_byte(&mut self, line: &[u8], at: usize, parentheses: usize, substitution: bool) -> usize {
        let kind = if substitution { PieceKind::Variable } else { PieceKind::Operator };
        match line.get(at) {
            Some(b')') if parentheses > 0 => {
                self.set(Text::Arithmetic { parentheses: parentheses - 1, substitution });
            }
            Some(b')') if line.get(at + 1) == Some(&b')') => {
                self.paint(kind, at, at + 2);
                self.close();
                return at + 2;
            }
            Some(b')') => {
                self.paint(kind, at, at + 1);
                self.not_arithmetic(substitution);
                return at + 1;
            }
            Some(b'(') => self.set(Text::Arithmetic { parentheses: parentheses + 1, substitution }),
            Some(b'\\') => return at + 2,
            Some(b'\'') => return self.open_quote(at, 1, Text::Single),
            Some(b'"') => return self.open_quote(at, 1, Text::Double),
            Some(b'$') => return self.dollar(line, at),
            Some(b'`') => return self.open_quote(at, 1, Text::Backquote),
            _ => return run_end(line, at, b"()\\'\"$`"),
        }
        at + 1
    }

    fn pattern_byte(&mut self, line: &[u8], at: usize, parentheses: usize) -> usize {
        match line.get(at) {
            Some(b'\n') => {
                self.stack.pop();
                return self.error(at, at + 1);
            }
            Some(b')') if parentheses > 0 => self.set(Text::Pattern { parentheses: parentheses - 1 }),
            Some(b')') => self.close(),
            Some(b'(') => self.set(Text::Pattern { parentheses: parentheses + 1 }),
            Some(b'\\') => return at + 2,
            Some(b'\'') => return self.open_quote(at, 1, Text::Single),
            Some(b'"') => return self.open_quote(at, 1, Text::Double),
            Some(b'$') => return self.dollar(line, at),
            Some(b'`') => return self.open_quote(at, 1, Text::Backquote),
            _ => return run_end(line, at, b"\n()\\'\"$`"),
        }
        at + 1
    }

    /// What begins with the dollar at `at`.
    pub(super) fn dollar(&mut self, line: &[u8], at: usize) -> usize {
        self.not_plain(at);
        let in_code = matches!(self.stack.last(), Some(Frame::Code(_)));
        let double = self.is_in_double();
        let end = match line.get(at + 1) {
            Some(b'(') if line.get(at + 2) == Some(&b'(') => {
                self.push_text(Text::Arithmetic { parentheses: 0, substitution: true });
                at + 3
            }
            Some(b'(') => {
                self.push_code(Kind::Substitution);
                at + 2
            }
            Some(b'{') => {
                let quotes = !double || has_pattern(line, at + 2);
                self.push_text(Text::Parameter { quotes, double });
                at + 2
            }
            Some(b'\'') if !double => return self.open_quote(at, 2, Text::Escaped),
            Some(b'"') if in_code => return self.open_quote(at, 2, Text::Double),
            Some(byte) if byte.is_ascii_digit() || b"@*#?-$!".contains(byte) => at + 2,
            Some(byte) if is_name(*byte) => {
                let rest = line.get(at + 1..).unwrap_or_default();
                at + 1 + rest.iter().take_while(|byte| is_name(**byte)).count()
            }
            _ if in_code => {
                self.literal(line, at, at + 1);
                return at + 1;
            }
            _ => return self.string(line, at, at + 1),
        };
        self.paint(PieceKind::Variable, at, end);
        end
    }

    /// Whether a single quote is a letter like others here.
    fn is_in_double(&self) -> bool {
        match self.stack.last() {
            Some(Frame::Text(Text::Double)) => true,
            Some(Frame::Text(Text::Parameter { quotes, double })) => *double && !*quotes,
            _ => false,
        }
    }

    fn close_text(&mut self, at: usize) -> usize {
        self.paint(PieceKind::String, at, at + 1);
        self.close();
        at + 1
    }

    fn string(&mut self, line: &[u8], from: usize, to: usize) -> usize {
        let to = to.min(line.len());
        self.paint(PieceKind::String, from, to);
        to
    }

    /// Text up to one of `ends`.
    fn run(&mut self, line: &[u8], at: usize, ends: &[u8]) -> usize {
        let end = run_end(line, at, ends);
        self.string(line, at, end)
    }

    fn set(&mut self, text: Text) {
        if let Some(Frame::Text(now)) = self.stack.last_mut() {
            *now = text;
        }
    }
}

/// Where the backslash at `at` and the letter that it quotes end.
pub(super) fn behind_backslash(line: &[u8], at: usize) -> usize {
    let rest = line.get(at + 2..).unwrap_or_default();
    // Of a letter that is several bytes of UTF-8 all belong to it.
    let more = rest.iter().take(3).take_while(|byte| (0x80..0xc0).contains(*byte)).count();
    (at + 2 + more).min(line.len())
}

/// Where one of `ends` stands behind `at`, or the line ends.
fn run_end(line: &[u8], at: usize, ends: &[u8]) -> usize {
    let rest = line.get(at + 1..).unwrap_or_default();
    at + 1 + rest.iter().take_while(|byte| !ends.contains(byte)).count()
}

/// Whether `${…}`, whose name begins at `at`, has a pattern behind it: quotes count there, even inside `"…"`.
fn has_pattern(line: &[u8], at: usize) -> bool {
    let rest = line.get(at..).unwrap_or_default();
    let rest = rest.strip_prefix(b"!").unwrap_or(rest);
    let name = match rest.first() {
        Some(byte) if is_name(*byte) => rest.iter().take_while(|byte| is_name(**byte)).count(),
        _ => 1,
    };
    rest.get(name).is_some_and(|byte| b"#%/^,".contains(byte))
}
