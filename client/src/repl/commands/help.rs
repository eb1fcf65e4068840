//! `:help`: what the table has.

use super::{Builtin, BuiltinError, COMMANDS, Command, Completes, Word, find, names, text_of};

pub(super) const COMMAND: Command = Command {
    name: "help",
    arguments: "[COMMAND]",
    summary: "this, or more about one of them",
    details: "",
    operands: &[Completes::Words(names)],
    parse,
};

const BEFORE: &str = "\
One shell on the server runs every line of this prompt, and has the terminal while it does.
";

const BEHIND: &str =
    "~. at the beginning of a line leaves while a command runs, ~? tells more. exit and Ctrl-D leave.";

fn parse(words: &[Word]) -> Result<Builtin, BuiltinError> {
    match words {
        [] => Ok(Builtin::Help(all())),
        [word] => {
            let name = word.strip_prefix(b":").unwrap_or(word);
            find(name)
                .map(|command| Builtin::Help(one(command)))
                .ok_or_else(|| BuiltinError::Unknown(text_of(name)))
        }
        _ => Err(BuiltinError::Arguments(COMMAND.name)),
    }
}

fn all() -> String {
    let synopses = COMMANDS.each_ref().map(synopsis);
    let width = synopses.iter().map(String::len).max().unwrap_or_default();
    let lines = synopses.iter().zip(&COMMANDS);
    let lines: String =
        lines.map(|(synopsis, command)| format!("  {synopsis:width$}  {}\n", command.summary)).collect();
    format!("{BEFORE}{lines}{BEHIND}")
}

fn one(command: &Command) -> String {
    let details = command.details.trim_end();
    let separator = if details.is_empty() { "" } else { "\n" };
    format!("{}: {}{separator}{details}", synopsis(command), command.summary)
}

fn synopsis(command: &Command) -> String {
    format!(":{} {}", command.name, command.arguments).trim_end().to_owned()
}
