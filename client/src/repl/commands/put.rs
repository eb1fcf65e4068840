//! `:put`: from here to the server.

use super::copy::{self, Way};
use super::{Builtin, BuiltinError, Command, Completes, Word};

pub(super) const COMMAND: Command = Command {
    name: "put",
    arguments: "[-f] LOCAL [REMOTE]",
    summary: "copy a file or directory to the server",
    details: copy::DETAILS,
    operands: &[Completes::Local, Completes::Remote],
    parse,
};

fn parse(words: &[Word]) -> Result<Builtin, BuiltinError> {
    copy::parse(Way::Put, COMMAND.name, words)
}

#[cfg(test)]
mod tests {
    use super::super::Copy;
    use super::*;

    fn put(words: &[&str]) -> Result<Builtin, BuiltinError> {
        let words: Vec<Word> = words.iter().map(|word| word.as_bytes().to_vec()).collect();
        parse(&words)
    }

    fn copy(force: bool, from: &str, to: Option<&str>) -> Result<Builtin, BuiltinError> {
        let to = to.map(|to| to.as_bytes().to_vec());
        Ok(Builtin::Copy(Copy { way: Way::Put, force, from: from.as_bytes().to_vec(), to }))
    }

    #[test]
    fn options_come_first_and_end_with_two_dashes() {
        assert_eq!(put(&["a"]), copy(false, "a", None));
        assert_eq!(put(&["-f", "a b", "c"]), copy(true, "a b", Some("c")));
        assert_eq!(put(&["-f", "--", "-f", "--"]), copy(true, "-f", Some("--")));
        assert_eq!(put(&["a", "-f"]), copy(false, "a", Some("-f")));
        for wrong in [&[][..], &["-f"], &["-x", "a"], &["a", "b", "c"], &["--force", "a"]] {
            assert_eq!(put(wrong), Err(BuiltinError::Arguments("put")), "{wrong:?}");
        }
    }
}
