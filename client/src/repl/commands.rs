//! The REPL's own commands, which begin with a colon.

use thiserror::Error;

/// What `:help` says.
pub(crate) const HELP: &str = "\
Every line is run by the shell on the server; the directory and exported variables last from line to line.
Commands have no terminal and read nothing.
  :env                 list the exported variables
  :env NAME            show one
  :env NAME=VALUE      set one
  :help                this
  :quit                leave, as Ctrl-D and exit do
Ctrl-C interrupts the command that runs; twice within a second has the server end it.";

/// One of them.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Builtin {
    /// `:help`
    Help,
    /// `:quit`
    Quit,
    /// `:env`, as the shell line that does it.
    Remote(String),
}

/// Not one of them.
#[derive(Debug, PartialEq, Eq, Error)]
pub(crate) enum BuiltinError {
    /// No such command.
    #[error(
        "no such command: :{0} (:help lists them; a line that is to begin with a colon needs a space before it)"
    )]
    Unknown(String),
    /// More words than it takes.
    #[error(":{0} takes no such arguments (:help)")]
    Arguments(&'static str),
    /// Not a name that a shell takes.
    #[error("not a variable name: {0} (letters, digits and _, no digit first)")]
    Name(String),
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
    Some(parse_words(&String::from_utf8_lossy(rest)))
}

fn parse_words(text: &str) -> Result<Builtin, BuiltinError> {
    let words = shell_words::split(text).map_err(|_| BuiltinError::Quotes)?;
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["help"] => Ok(Builtin::Help),
        ["quit"] => Ok(Builtin::Quit),
        ["env"] => Ok(Builtin::Remote("env".to_owned())),
        ["env", word] => variable(word).map(Builtin::Remote),
        ["help", ..] => Err(BuiltinError::Arguments("help")),
        ["quit", ..] => Err(BuiltinError::Arguments("quit")),
        ["env", ..] => Err(BuiltinError::Arguments("env")),
        [other, ..] => Err(BuiltinError::Unknown((*other).to_owned())),
        [] => Err(BuiltinError::Unknown(String::new())),
    }
}

/// The shell line that shows or sets a variable.
fn variable(word: &str) -> Result<String, BuiltinError> {
    let (name, value) = word.split_once('=').map_or((word, None), |(name, value)| (name, Some(value)));
    if !is_name(name) {
        return Err(BuiltinError::Name(name.to_owned()));
    }
    Ok(match value {
        Some(value) => format!("export {name}={}", shell_words::quote(value)),
        None => format!(
            "if [ -n \"${{{name}+x}}\" ]; then printf '%s\\n' \"${name}\"; else echo '{name} is not set' >&2; false; fi"
        ),
    })
}

fn is_name(name: &str) -> bool {
    let word = |c: char| c == '_' || c.is_ascii_alphanumeric();
    name.starts_with(|c: char| word(c) && !c.is_ascii_digit()) && name.chars().all(word)
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
        assert_eq!(line(":help"), Ok(Builtin::Help));
        assert_eq!(line(": quit "), Ok(Builtin::Quit));
        assert_eq!(line(":env"), Ok(Builtin::Remote("env".to_owned())));
        assert_eq!(line(":env A=b"), Ok(Builtin::Remote("export A=b".to_owned())));
        assert_eq!(
            line(":env 'A=it'\"'\"'s; ls'"),
            Ok(Builtin::Remote("export A='it'\\''s; ls'".to_owned()))
        );
        assert_eq!(line(":env A="), Ok(Builtin::Remote("export A=''".to_owned())));
        assert!(matches!(line(":env A"), Ok(Builtin::Remote(text)) if text.contains("${A+x}")));
    }

    #[test]
    fn refusals() {
        assert_eq!(line(":"), Err(BuiltinError::Unknown(String::new())));
        assert_eq!(line(":exit"), Err(BuiltinError::Unknown("exit".to_owned())));
        assert_eq!(line(":quit now"), Err(BuiltinError::Arguments("quit")));
        assert_eq!(line(":env A B"), Err(BuiltinError::Arguments("env")));
        assert_eq!(line(":env 1A=x"), Err(BuiltinError::Name("1A".to_owned())));
        assert_eq!(line(":env $(reboot)=x"), Err(BuiltinError::Name("$(reboot)".to_owned())));
        assert_eq!(line(":env 'x"), Err(BuiltinError::Quotes));
    }
}
