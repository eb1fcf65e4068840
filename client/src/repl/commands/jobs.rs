//! `:jobs`: what `client jobs` lists.

use super::{Builtin, BuiltinError, Command, Word};

pub(super) const COMMAND: Command = Command {
    name: "jobs",
    arguments: "",
    summary: "list your jobs on the server, as client jobs does",
    details: "The shell of this prompt is one of them. What it has in the background, its own jobs tells.\n",
    operands: &[],
    parse,
};

fn parse(words: &[Word]) -> Result<Builtin, BuiltinError> {
    if words.is_empty() { Ok(Builtin::Jobs) } else { Err(BuiltinError::Arguments(COMMAND.name)) }
}
