//! `:hosts`: the next lines go to several servers.

use super::{Builtin, BuiltinError, Command, Completes, Word, text_of};

pub(super) const COMMAND: Command = Command {
    name: "hosts",
    arguments: "[NAME…]",
    summary: "run the next lines on several servers; without NAME, on one again",
    details: "\
Each server gets a shell of its own, which keeps its directory and variables from line to line. They run a
line side by side; of what it writes, each line stands behind the name of its server. Nobody can type into
it: it reads nothing. Ctrl-C is for all. $? is the first in the order of the names that is not 0.
",
    operands: &[Completes::Hosts; SERVERS],
    parse,
};

/// Most servers: what they write is to be read.
const SERVERS: usize = 16;

fn parse(words: &[Word]) -> Result<Builtin, BuiltinError> {
    let mut names: Vec<String> = Vec::new();
    for word in words {
        let name = text_of(word);
        if name.is_empty() || names.len() == SERVERS {
            return Err(BuiltinError::Arguments(COMMAND.name));
        }
        if names.contains(&name) {
            return Err(BuiltinError::Twice(name));
        }
        names.push(name);
    }
    Ok(Builtin::Hosts(names))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(line: &str) -> Result<Builtin, BuiltinError> {
        super::super::parse(line.as_bytes()).unwrap()
    }

    #[test]
    fn which_servers() {
        assert_eq!(hosts(":hosts"), Ok(Builtin::Hosts(Vec::new())));
        assert_eq!(hosts(":hosts a b"), Ok(Builtin::Hosts(vec!["a".to_owned(), "b".to_owned()])));
        assert_eq!(hosts(":hosts a b a"), Err(BuiltinError::Twice("a".to_owned())));
        assert_eq!(hosts(":hosts ''"), Err(BuiltinError::Arguments("hosts")));
        let many = |count: usize| (0..count).map(|number| format!(" h{number}")).collect::<String>();
        assert!(hosts(&format!(":hosts{}", many(SERVERS))).is_ok());
        assert_eq!(hosts(&format!(":hosts{}", many(SERVERS + 1))), Err(BuiltinError::Arguments("hosts")));
    }
}
