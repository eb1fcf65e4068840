//! `:record`: what is shown from now on goes into a file.

use super::paths::take_force;
use super::{Builtin, BuiltinError, Command, Completes, Word};

/// What is asked for. The path is as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Record {
    /// `:record FILE`
    Start {
        /// Where to.
        path: Vec<u8>,
        /// Whether a file that is there is replaced.
        force: bool,
    },
    /// `:record`
    Stop,
}

pub(super) const COMMAND: Command = Command {
    name: "record",
    arguments: "[[-f] FILE]",
    summary: "record what is shown in a file here; without FILE, stop",
    details: DETAILS,
    operands: &[Completes::Local],
    parse,
};

const DETAILS: &str = "\
The file is an asciicast (v2), which asciinema plays. It has the lines that are run, all that is written to
the terminal, and its sizes; of what is typed it has what the terminal shows, so no password.
A file that is there is not replaced without -f. Nobody else can read it (mode 0600).
";

fn parse(words: &[Word]) -> Result<Builtin, BuiltinError> {
    match take_force(words) {
        Some((false, [])) => Ok(Builtin::Record(Record::Stop)),
        Some((force, [path])) if !path.is_empty() => {
            Ok(Builtin::Record(Record::Start { path: path.clone(), force }))
        }
        _ => Err(BuiltinError::Arguments(COMMAND.name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(words: &[&str]) -> Result<Builtin, BuiltinError> {
        let words: Vec<Word> = words.iter().map(|word| word.as_bytes().to_vec()).collect();
        parse(&words)
    }

    fn start(path: &str, force: bool) -> Result<Builtin, BuiltinError> {
        Ok(Builtin::Record(Record::Start { path: path.as_bytes().to_vec(), force }))
    }

    #[test]
    fn a_file_begins_and_nothing_stops() {
        assert_eq!(record(&[]), Ok(Builtin::Record(Record::Stop)));
        assert_eq!(record(&["a b"]), start("a b", false));
        assert_eq!(record(&["-f", "a"]), start("a", true));
        assert_eq!(record(&["--", "-f"]), start("-f", false));
        assert_eq!(record(&["-f", "--", "-f"]), start("-f", true));
        assert_eq!(record(&["--"]), Ok(Builtin::Record(Record::Stop)));
        for wrong in [&["-f"][..], &["-x", "a"], &["a", "b"], &[""], &["-f", "-f"]] {
            assert_eq!(record(wrong), Err(BuiltinError::Arguments("record")), "{wrong:?}");
        }
    }
}
