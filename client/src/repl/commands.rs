//! The REPL's own commands, which begin with a colon: one table of what there is, from which `:help` is made, and one parser of
//! their words. Each command has a file with its row and what its arguments mean; none of them is run here.

mod copy;
mod detach;
mod env;
mod fg;
mod get;
mod help;
mod host;
mod hosts;
mod jobs;
mod paths;
mod put;
mod quit;
mod record;
mod set;

use common::job::JobId;
use thiserror::Error;

pub(crate) use self::copy::{Copy, Way};
pub(crate) use self::record::Record;
pub(crate) use self::set::{Change, Set, Setting, switched};

/// A word of a command's line. Names of files need not be text.
type Word = Vec<u8>;

/// What there is to know about a command.
#[derive(Debug)]
pub(crate) struct Command {
    /// The word behind the colon.
    pub(crate) name: &'static str,
    /// What it takes, as it is written in a synopsis.
    pub(crate) arguments: &'static str,
    /// What it does, in a few words.
    pub(crate) summary: &'static str,
    /// What else there is to say; whole lines, or nothing.
    pub(crate) details: &'static str,
    /// What its operands are, for completion.
    operands: &'static [Completes],
    parse: fn(&[Word]) -> Result<Builtin, BuiltinError>,
}

/// What an operand is completed to.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Completes {
    /// A file here.
    Local,
    /// A file on the server.
    Remote,
    /// A variable of the shell there.
    Variables,
    /// What the user calls a server.
    Hosts,
    /// One of these words.
    Words(fn() -> Vec<&'static str>),
}

/// All of them, in the order in which they are listed.
pub(crate) const COMMANDS: [Command; 12] = [
    detach::COMMAND,
    env::COMMAND,
    fg::COMMAND,
    get::COMMAND,
    help::COMMAND,
    host::COMMAND,
    hosts::COMMAND,
    jobs::COMMAND,
    put::COMMAND,
    quit::COMMAND,
    record::COMMAND,
    set::COMMAND,
];

/// One of them, with its arguments.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Builtin {
    /// `:detach`
    Detach,
    /// `:fg`, and the job that is wanted.
    Fg(Option<JobId>),
    /// `:host`, and the server that is wanted.
    Host(Option<String>),
    /// `:hosts`, and the servers that are wanted.
    Hosts(Vec<String>),
    /// `:help`, as what it says.
    Help(String),
    /// `:jobs`
    Jobs,
    /// `:quit`
    Quit,
    /// `:env`, as the shell line that does it.
    Remote(String),
    /// `:put` and `:get`
    Copy(Copy),
    /// `:record`
    Record(Record),
    /// `:set`
    Set(Set),
}

/// Not one of them.
#[derive(Debug, PartialEq, Eq, Error)]
pub(crate) enum BuiltinError {
    /// No such command.
    #[error(
        "no such command: :{0} (:help lists them; a line that is to begin with a colon needs a space before it)"
    )]
    Unknown(String),
    /// Other words than it takes.
    #[error(":{0} takes no such arguments (:help)")]
    Arguments(&'static str),
    /// Not a name that a shell takes.
    #[error("not a variable name: {0} (letters, digits and _, no digit first)")]
    Name(String),
    /// No such setting.
    #[error("no such setting: {0} (:set lists them)")]
    Setting(String),
    /// Not a value that the setting has.
    #[error("not a value of {0}: {1}")]
    Value(&'static str, String),
    /// A server that is named already.
    #[error("{0} is named twice")]
    Twice(String),
    /// Not the id of a job.
    #[error("not a job's id: {0} (:jobs lists them)")]
    JobId(String),
    /// A quote is not closed.
    #[error("a quote is not closed")]
    Quotes,
}

/// The command in `line`, which may begin with a colon; `None` if it does not.
///
/// # Errors
/// [`BuiltinError`].
pub(crate) fn parse(line: &[u8]) -> Option<Result<Builtin, BuiltinError>> {
    let rest = line.strip_prefix(b":")?;
    Some(parse_words(rest))
}

fn parse_words(text: &[u8]) -> Result<Builtin, BuiltinError> {
    let words = split(text)?;
    let (name, arguments) =
        words.split_first().map_or((&[][..], &[][..]), |(name, rest)| (name.as_slice(), rest));
    let command = find(name).ok_or_else(|| BuiltinError::Unknown(text_of(name)))?;
    (command.parse)(arguments)
}

impl Builtin {
    /// Whether it is for one server, and makes no sense for several.
    pub(crate) fn is_for_one(&self) -> bool {
        match self {
            Self::Detach | Self::Fg(_) | Self::Jobs | Self::Copy(_) => true,
            Self::Help(_) | Self::Host(_) | Self::Hosts(_) | Self::Quit => false,
            Self::Remote(_) | Self::Record(_) | Self::Set(_) => false,
        }
    }
}

/// Their names.
pub(crate) fn names() -> Vec<&'static str> {
    const { &COMMANDS }.iter().map(|command| command.name).collect()
}

/// What the operand of the command `name` is that has as many before it.
pub(crate) fn completes(name: &str, before: usize) -> Option<Completes> {
    find(name.as_bytes())?.operands.get(before).copied()
}

fn find(name: &[u8]) -> Option<&'static Command> {
    const { &COMMANDS }.iter().find(|command| command.name.as_bytes() == name)
}

/// Splits as a shell does: quotes and backslashes, whatever the bytes.
fn split(text: &[u8]) -> Result<Vec<Word>, BuiltinError> {
    // A character for each byte, so that nothing is lost on the way through a text.
    let characters: String = text.iter().copied().map(char::from).collect();
    let words = shell_words::split(&characters).map_err(|_| BuiltinError::Quotes)?;
    let bytes = |word: String| word.chars().filter_map(|character| u8::try_from(character).ok()).collect();
    Ok(words.into_iter().map(bytes).collect())
}

fn text_of(word: &[u8]) -> String {
    String::from_utf8_lossy(word).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Result<Builtin, BuiltinError> {
        parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn ordinary_lines_are_not_ours() {
        assert_eq!(parse(b"ls"), None);
        assert_eq!(parse(b" :"), None);
        assert_eq!(parse(b""), None);
    }

    #[test]
    fn our_own() {
        assert!(matches!(line(":help"), Ok(Builtin::Help(_))));
        assert_eq!(line(": quit "), Ok(Builtin::Quit));
        assert_eq!(line(":env"), Ok(Builtin::Remote("env".to_owned())));
        assert_eq!(line(":env A=b"), Ok(Builtin::Remote("export A=b".to_owned())));
        assert_eq!(
            line(":env 'A=it'\"'\"'s; ls'"),
            Ok(Builtin::Remote("export A='it'\\''s; ls'".to_owned()))
        );
        assert_eq!(line(":env 'A=é'"), Ok(Builtin::Remote("export A=é".to_owned())));
        assert_eq!(line(":env A="), Ok(Builtin::Remote("export A=''".to_owned())));
        assert!(matches!(line(":env A"), Ok(Builtin::Remote(text)) if text.contains("${A+x}")));
    }

    #[test]
    fn refusals() {
        assert_eq!(line(":"), Err(BuiltinError::Unknown(String::new())));
        assert_eq!(line(":exit"), Err(BuiltinError::Unknown("exit".to_owned())));
        assert_eq!(line(":jobs --all"), Err(BuiltinError::Arguments("jobs")));
        assert_eq!(line(":quit now"), Err(BuiltinError::Arguments("quit")));
        assert_eq!(line(":env A B"), Err(BuiltinError::Arguments("env")));
        assert_eq!(line(":env 1A=x"), Err(BuiltinError::Name("1A".to_owned())));
        assert_eq!(line(":env $(reboot)=x"), Err(BuiltinError::Name("$(reboot)".to_owned())));
        assert_eq!(line(":env 'x"), Err(BuiltinError::Quotes));
        assert_eq!(line(":help exit"), Err(BuiltinError::Unknown("exit".to_owned())));
        assert_eq!(line(":help put get"), Err(BuiltinError::Arguments("help")));
    }

    #[test]
    fn words_are_bytes_and_quoted_as_in_a_shell() {
        let words = split(b"put 'a b'\\ c \"d'e\" \xff\xa0\x85 ''").unwrap();
        let expected: [&[u8]; 5] = [b"put", b"a b c", b"d'e", b"\xff\xa0\x85", b""];
        assert_eq!(words, expected);
    }

    #[test]
    fn help_has_every_command_and_more_about_each() {
        let Ok(Builtin::Help(all)) = line(":help") else { panic!("no help") };
        for command in &COMMANDS {
            assert!(all.contains(&format!("\n  :{}", command.name)), "{all}");
            let Ok(Builtin::Help(one)) = line(&format!(":help {}", command.name)) else { panic!("no help") };
            assert!(
                one.starts_with(&format!(":{}", command.name)) && one.contains(command.details.trim_end()),
                "{one}"
            );
            assert!(one.lines().chain(all.lines()).all(|line| line.len() <= 110), "{one}\n{all}");
        }
        let mut names: Vec<_> = COMMANDS.iter().map(|command| command.name).collect();
        names.dedup();
        assert!(names.is_sorted() && names.len() == COMMANDS.len());
    }
}
