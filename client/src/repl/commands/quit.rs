//! `:quit`: leaves.

use super::{Builtin, BuiltinError, Command, Word};

pub(super) const COMMAND: Command = Command {
    name: "quit",
    arguments: "",
    summary: "leave, as Ctrl-D and exit do",
    details: "",
    operands: &[],
    parse,
};

fn parse(words: &[Word]) -> Result<Builtin, BuiltinError> {
    if words.is_empty() { Ok(Builtin::Quit) } else { Err(BuiltinError::Arguments(COMMAND.name)) }
}
