//! `:host`: the next lines go to another server.

use super::{Builtin, BuiltinError, Command, Completes, Word, text_of};

pub(super) const COMMAND: Command = Command {
    name: "host",
    arguments: "[NAME]",
    summary: "go on at another server; without NAME, list those that are open",
    details: "\
NAME is what -H takes. The shell that was left keeps all that it has, and :host comes back to it. exit ends
one shell and goes back to the one before; Ctrl-D and :quit leave them all. In a script, a server that
cannot be reached ends it: the lines behind it are not for another one.
",
    operands: &[Completes::Hosts],
    parse,
};

fn parse(words: &[Word]) -> Result<Builtin, BuiltinError> {
    match words {
        [] => Ok(Builtin::Host(None)),
        [name] if !name.is_empty() => Ok(Builtin::Host(Some(text_of(name)))),
        _ => Err(BuiltinError::Arguments(COMMAND.name)),
    }
}
