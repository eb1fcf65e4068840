//! `:detach`: leaves the shell of this prompt to the server.

use super::{Builtin, BuiltinError, Command, Word};

pub(super) const COMMAND: Command = Command {
    name: "detach",
    arguments: "",
    summary: "leave, and let this shell and all that runs in it go on",
    details: "\
The shell is then a job as any other: client jobs lists it, client attach ID comes back to this prompt, and
client signal ID HUP ends it. Once detached, it stays when the window is closed after coming back, too.
",
    operands: &[],
    parse,
};

fn parse(words: &[Word]) -> Result<Builtin, BuiltinError> {
    if words.is_empty() { Ok(Builtin::Detach) } else { Err(BuiltinError::Arguments(COMMAND.name)) }
}
