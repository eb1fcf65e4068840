//! `:env`: the exported variables.

use super::{Builtin, BuiltinError, Command, Completes, Word, text_of};

pub(super) const COMMAND: Command = Command {
    name: "env",
    arguments: "[NAME[=VALUE]]",
    summary: "list the exported variables, show one, or set one",
    details: "",
    operands: &[Completes::Variables],
    parse,
};

fn parse(words: &[Word]) -> Result<Builtin, BuiltinError> {
    match words {
        [] => Ok(Builtin::Remote("env".to_owned())),
        [word] => variable(&text_of(word)).map(Builtin::Remote),
        _ => Err(BuiltinError::Arguments(COMMAND.name)),
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
