//! `:fg`: a job of the server's, as `client attach` has it, from this prompt.

use common::job::JobId;

use super::{Builtin, BuiltinError, Command, Word, text_of};

pub(super) const COMMAND: Command = Command {
    name: "fg",
    arguments: "[ID]",
    summary: "attach to another job on the server, as client attach does",
    details: "\
The prompt is back when the job is over, and $? is its exit code, or when it is left to the server, with
Ctrl-\\ and then d. The beginning of an id is enough, and none is needed if only one job runs. What this
shell has in the background itself, its own fg brings back. :record does not have what the job writes.
",
    operands: &[],
    parse,
};

fn parse(words: &[Word]) -> Result<Builtin, BuiltinError> {
    match words {
        [] => Ok(Builtin::Fg(None)),
        [id] => {
            let id: JobId = text_of(id).parse().map_err(|_| BuiltinError::JobId(text_of(id)))?;
            Ok(Builtin::Fg(Some(id)))
        }
        _ => Err(BuiltinError::Arguments(COMMAND.name)),
    }
}
