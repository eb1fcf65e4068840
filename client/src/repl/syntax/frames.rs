//! What can be open in the text of a shell, one inside the other.

use std::fmt;

/// What a text waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Open {
    /// The end of a quoted text, or of `${`.
    Quote,
    /// The end of a heredoc.
    Heredoc,
    /// The line behind a backslash.
    Line,
    /// A command behind `|`, `&&`, `||` or the head of a function.
    Command,
    /// The end of a compound command, or of `$(`.
    Compound,
}

impl Open {
    /// Whether an empty line may well be part of what is missing.
    pub fn is_text(self) -> bool {
        matches!(self, Self::Quote | Self::Heredoc)
    }
}

impl fmt::Display for Open {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Quote => "a quote",
            Self::Heredoc => "a heredoc",
            Self::Line => "a line behind a backslash",
            Self::Command => "a command behind an operator",
            Self::Compound => "a compound command",
        })
    }
}

/// One of them.
#[derive(Debug)]
pub(super) enum Frame {
    Code(Code),
    Text(Text),
}

/// Text that is no list of commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Text {
    /// `'…'`
    Single,
    /// `$'…'`
    Escaped,
    /// `"…"`
    Double,
    /// `` `…` ``: the shell looks for the end before it looks inside.
    Backquote,
    /// `${…}`; `quotes`: whether `'` quotes there, `double`: whether it stands inside `"…"`.
    Parameter { quotes: bool, double: bool },
    /// `$((…))`, `((…))` with parentheses of its own that are open. If it ends with one parenthesis only, it was a
    /// subshell in another parenthesis.
    Arithmetic { parentheses: usize, substitution: bool },
    /// `@(…)` and the like in the middle of a word.
    Pattern { parentheses: usize },
}

/// A list of commands, or what has words of its own.
#[derive(Debug)]
pub(super) struct Code {
    pub(super) kind: Kind,
    pub(super) expects: Expects,
    /// The word that is being read.
    pub(super) word: Option<Word>,
    /// A command must come: behind `|`, `&&`, `||`, the head of a function.
    pub(super) continues: bool,
    /// A redirection or an assignment stands before the command, so that it is no reserved word.
    pub(super) prefixed: bool,
    /// The next word belongs to a redirection.
    pub(super) redirect: bool,
    /// The number of the line on which it began.
    pub(super) begun: usize,
}

impl Code {
    pub(super) fn new(kind: Kind, begun: usize) -> Self {
        let expects = match kind {
            Kind::For => Expects::Name,
            Kind::Case => Expects::CaseWord,
            Kind::Test | Kind::Array => Expects::Words,
            _ => Expects::Command,
        };
        Self { kind, expects, word: None, continues: false, prefixed: false, redirect: false, begun }
    }

    /// Another command may begin.
    pub(super) fn begin_command(&mut self) {
        self.expects = Expects::Command;
        self.prefixed = false;
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Top,
    /// `(…)`
    Subshell,
    /// `$(…)`, `<(…)`, `>(…)`
    Substitution,
    /// `{…}`
    Group,
    /// Between `if` or `elif` and `then`.
    If,
    /// Between `then` and `fi`.
    Then,
    /// Between `else` and `fi`.
    Else,
    /// Between `while` or `until` and `do`.
    While,
    /// Between `for` or `select` and `do`.
    For,
    /// Between `do` and `done`.
    Loop,
    /// Between `case` and `esac`, where no command is.
    Case,
    /// The commands of one pattern.
    Branch,
    /// `[[…]]`
    Test,
    /// `name=(…)`
    Array,
}

/// What the next word of a list is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expects {
    /// A command, or a reserved word.
    Command,
    /// The first argument, or the parentheses of a function.
    FirstArgument,
    Arguments,
    /// A separator, a redirection or another closing word.
    End,
    /// Behind `function`.
    FunctionName,
    /// Behind `for`.
    Name,
    /// `in`, `do` or a separator.
    In,
    /// Words of a list; they mean nothing more.
    Words,
    /// `do`, after separators.
    Do,
    /// Behind `case`.
    CaseWord,
    CaseIn,
    /// A pattern, or `esac`.
    Pattern,
    /// Behind the first word of a pattern.
    PatternRest,
}

/// A word that is being read.
#[derive(Debug)]
pub(super) struct Word {
    /// Where it began, in bytes of the whole text.
    pub(super) start: usize,
    /// Its first bytes: as many as the longest reserved word or variable's name of interest has.
    pub(super) text: Vec<u8>,
    /// Whether `text` is all of it, without anything quoted or put in.
    pub(super) is_plain: bool,
    /// Which pieces are coloured by what it turns out to be.
    pub(super) pieces: Vec<usize>,
}

impl Word {
    /// Most bytes of `text`.
    pub(super) const KEPT: usize = 256;

    /// Whether it is `text`, unquoted.
    pub(super) fn is(&self, text: &str) -> bool {
        self.is_plain && self.text == text.as_bytes()
    }

    /// Whether it begins as `NAME=`, `NAME+=` or `NAME[…]=`.
    pub(super) fn is_assignment(&self) -> bool {
        let Some(end) = self.text.iter().position(|byte| *byte == b'=') else { return false };
        let name = self.text.get(..end).unwrap_or_default();
        let name = name.strip_suffix(b"+").unwrap_or(name);
        let name = name.split(|byte| *byte == b'[').next().unwrap_or(name);
        name.first().is_some_and(|first| is_name(*first) && !first.is_ascii_digit())
            && name.iter().all(|byte| is_name(*byte))
    }
}

/// Whether a variable's name may hold this.
pub(super) fn is_name(byte: u8) -> bool {
    byte == b'_' || byte.is_ascii_alphanumeric()
}
