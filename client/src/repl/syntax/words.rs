//! What a word is where it stands: a command, an argument, or a word that opens and closes something.

use std::ops::Range;

use super::frames::{Code, Expects, Frame, Kind, Text, Word, is_name};
use super::scanner::Scanner;

/// A stretch of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Its bytes.
    pub range: Range<usize>,
    /// What it is.
    pub kind: PieceKind,
}

/// What a stretch of a text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PieceKind {
    /// The name of a command.
    Command,
    /// An argument that begins with a dash.
    Option,
    /// Any other word.
    Argument,
    /// Quoted text.
    String,
    /// A variable, or what is put in for a command.
    Variable,
    /// `|`, `;`, `>` and the like.
    Operator,
    /// `if`, `for`, `{` and the like.
    Reserved,
    /// From `#` to the end of a line.
    Comment,
    /// What cannot be there.
    Error,
    /// A word that is not known yet. Nobody gets to see it.
    Word,
}

/// A word at which somebody is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WordAt {
    /// Where it begins, with its quotes.
    pub start: usize,
    /// What it is.
    pub role: Role,
    /// In which quotes its end is.
    pub quote: Quote,
}

/// What a word is to its command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The name of a command.
    Command,
    /// An argument.
    Argument,
    /// The file of a redirection.
    File,
    /// The name of a variable, behind `$` or `${`.
    Variable,
}

/// In which quotes something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quote {
    /// In none: backslashes.
    Bare,
    /// `'…'`
    Single,
    /// `$'…'`
    Escaped,
    /// `"…"`
    Double,
}

impl Scanner {
    /// The word that is being read is over.
    pub(super) fn end_word(&mut self) {
        let Some(word) = self.code().and_then(|code| code.word.take()) else { return };
        let kind = self.take_word(&word);
        self.paint_word(&word, kind);
    }

    /// What `word` is, and all that follows from it.
    fn take_word(&mut self, word: &Word) -> PieceKind {
        let number = self.number;
        let Some(code) = self.code() else { return PieceKind::Argument };
        if std::mem::take(&mut code.redirect) {
            return PieceKind::Argument;
        }
        match code.expects {
            Expects::Command if word.is_assignment() => {
                code.prefixed = true;
                PieceKind::Variable
            }
            Expects::Command | Expects::End => self.command_word(word),
            Expects::FirstArgument | Expects::Arguments => {
                code.expects = Expects::Arguments;
                // Closes in zsh, not in others.
                let is_doubtful = word.is("}") && code.kind == Kind::Group && code.begun == number;
                self.is_doubtful |= is_doubtful;
                argument(word)
            }
            Expects::Words if code.kind == Kind::Test && word.is("]]") => {
                self.close();
                PieceKind::Reserved
            }
            Expects::Words => argument(word),
            Expects::FunctionName => {
                code.expects = Expects::Command;
                code.continues = true;
                PieceKind::Command
            }
            Expects::Name => {
                code.expects = Expects::In;
                PieceKind::Variable
            }
            Expects::In if word.is("in") => {
                code.expects = Expects::Words;
                PieceKind::Reserved
            }
            Expects::In | Expects::Do => self.loop_body(word),
            Expects::CaseWord => {
                code.expects = Expects::CaseIn;
                PieceKind::Argument
            }
            Expects::CaseIn if word.is("in") => {
                code.expects = Expects::Pattern;
                PieceKind::Reserved
            }
            Expects::CaseIn => self.wrong(),
            Expects::Pattern if word.is("esac") => {
                self.close();
                PieceKind::Reserved
            }
            Expects::Pattern | Expects::PatternRest => {
                code.expects = Expects::PatternRest;
                PieceKind::Argument
            }
        }
    }

    /// Where a command is expected, or one is closed.
    fn command_word(&mut self, word: &Word) -> PieceKind {
        let Some(code) = self.code() else { return PieceKind::Argument };
        let is_end = code.expects == Expects::End;
        let reserved = word.is_plain && !code.prefixed;
        let text = std::str::from_utf8(&word.text).unwrap_or_default();
        match text {
            "then" | "elif" | "else" | "fi" | "do" | "done" | "esac" | "}" if reserved => {
                self.close_with(text)
            }
            // Behind a group, zsh has another one.
            "always" if is_end && code.kind != Kind::Top => {
                code.begin_command();
                PieceKind::Reserved
            }
            _ if is_end => self.wrong(),
            "if" | "while" | "until" | "for" | "select" | "case" | "{" | "[[" if reserved => {
                self.open_with(text)
            }
            "function" if reserved => {
                code.expects = Expects::FunctionName;
                code.continues = false;
                PieceKind::Reserved
            }
            "!" | "time" | "coproc" if reserved => PieceKind::Reserved,
            _ => {
                code.expects = Expects::FirstArgument;
                code.continues = false;
                PieceKind::Command
            }
        }
    }

    fn open_with(&mut self, word: &str) -> PieceKind {
        self.push_code(match word {
            "if" => Kind::If,
            "while" | "until" => Kind::While,
            "for" | "select" => Kind::For,
            "case" => Kind::Case,
            "[[" => Kind::Test,
            _ => Kind::Group,
        });
        PieceKind::Reserved
    }

    /// A word that closes what is open, or the first part of it.
    fn close_with(&mut self, word: &str) -> PieceKind {
        let Some(code) = self.code() else { return PieceKind::Argument };
        let next = match (word, code.kind) {
            ("then", Kind::If) => Some(Kind::Then),
            ("elif", Kind::Then) => Some(Kind::If),
            ("else", Kind::Then) => Some(Kind::Else),
            ("do", Kind::While) => Some(Kind::Loop),
            ("fi", Kind::Then | Kind::Else) | ("done", Kind::Loop) | ("}", Kind::Group) => None,
            ("esac", Kind::Branch) => {
                self.stack.pop();
                None
            }
            _ => return self.wrong(),
        };
        match next {
            Some(kind) => self.go_on_as(kind),
            None => self.close(),
        }
        PieceKind::Reserved
    }

    /// Where `do` is expected. A brace will do in most shells.
    fn loop_body(&mut self, word: &Word) -> PieceKind {
        if word.is("do") {
            self.go_on_as(Kind::Loop);
        } else if word.is("{") {
            self.go_on_as(Kind::Group);
        } else {
            return self.wrong();
        }
        PieceKind::Reserved
    }

    /// What is innermost goes on with its next part.
    fn go_on_as(&mut self, kind: Kind) {
        let number = self.number;
        if let Some(code) = self.code() {
            *code = Code::new(kind, number);
        }
    }

    fn wrong(&mut self) -> PieceKind {
        self.is_confused = true;
        PieceKind::Error
    }

    /// The word at the end of `text`, which was read, if there can be one.
    pub(super) fn word_at_end(&self, text: &[u8]) -> Option<WordAt> {
        if self.in_comment || self.is_in_heredoc() {
            return None;
        }
        let variable = variable_at_end(text);
        let mut quote = Quote::Bare;
        for frame in self.stack.iter().rev() {
            match frame {
                Frame::Text(Text::Single) => quote = Quote::Single,
                Frame::Text(Text::Escaped) => quote = Quote::Escaped,
                Frame::Text(Text::Double) => quote = Quote::Double,
                Frame::Text(Text::Parameter { .. }) if variable.is_some() => {}
                Frame::Text(_) => return None,
                Frame::Code(code) => {
                    if let Some(start) = variable.filter(|_| matches!(quote, Quote::Bare | Quote::Double)) {
                        return Some(WordAt { start, role: Role::Variable, quote });
                    }
                    let start = code.word.as_ref().map_or(self.offset, |word| word.start);
                    return Some(WordAt { start, role: role(code), quote });
                }
            }
        }
        None
    }
}

/// Where the name of a variable begins with which `text` ends, perhaps before its first letter.
fn variable_at_end(text: &[u8]) -> Option<usize> {
    let name = text.iter().rev().take_while(|byte| is_name(**byte)).count();
    let start = text.len() - name;
    let before = text.get(..start)?;
    let before = before.strip_suffix(b"{").unwrap_or(before).strip_suffix(b"$")?;
    let is_quoted = before.iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 1;
    (!is_quoted).then_some(start)
}

fn role(code: &Code) -> Role {
    match code.expects {
        _ if code.redirect => Role::File,
        Expects::Command if code.word.as_ref().is_none_or(|word| !word.is_assignment()) => Role::Command,
        _ => Role::Argument,
    }
}

fn argument(word: &Word) -> PieceKind {
    if word.text.first() == Some(&b'-') { PieceKind::Option } else { PieceKind::Argument }
}
