//! `:get`: from the server to here.

use super::copy::{self, Way};
use super::{Builtin, BuiltinError, Command, Completes, Word};

pub(super) const COMMAND: Command = Command {
    name: "get",
    arguments: "[-f] REMOTE [LOCAL]",
    summary: "copy a file or directory from the server",
    details: copy::DETAILS,
    operands: &[Completes::Remote, Completes::Local],
    parse,
};

fn parse(words: &[Word]) -> Result<Builtin, BuiltinError> {
    copy::parse(Way::Get, COMMAND.name, words)
}
