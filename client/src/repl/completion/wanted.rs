//! What is asked for at the cursor, and what is written there instead. Pure.

use super::beginning::{Beginning, Language, words};
use super::question::{Answer, Kind, Name, Question};
use crate::repl::commands::{self, Completes};
use crate::repl::syntax::{Quote, Role, commands, word_at};

/// What a shell would take for more than a part of a word, outside of quotes.
const SPECIAL: &str = " \t\n|&;<>()$`\\\"'*?[]#~=%!{}^";

/// A place in a text where something can be completed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// The bytes that are replaced: from here to the cursor.
    pub(crate) start: usize,
    /// Where what could stand there is from.
    pub(crate) source: Source,
    /// What stands there now, without quotes.
    beginning: String,
    quote: Quote,
    /// Whether the quote has to be written, too.
    opens: bool,
    /// What follows a name that is no directory's, in front of the blank.
    close: &'static str,
}

/// Where it is from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// It is known here.
    Known(Answer),
    /// Somebody else has to be asked.
    Asked(Question),
}

/// Something that could stand there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Candidate {
    /// What is written, quoted as is needed.
    pub(crate) text: String,
    /// What it is called; not safe for a terminal.
    pub(crate) name: String,
    /// Whether the word ends with it.
    pub(crate) is_whole: bool,
}

impl Wanted {
    /// At byte `cursor` of `text`; `None` where nothing can be completed.
    pub(crate) fn at(text: &str, cursor: usize) -> Option<Self> {
        let text = text.get(..cursor)?;
        let command = commands(text.as_bytes()).last().map_or(0, |command| command.start);
        match text.get(command..)?.strip_prefix(':') {
            Some(own) => own_command(own, command + 1),
            None => shell_word(text),
        }
    }

    /// What could stand there, of an answer that covers the question.
    pub(crate) fn candidates(&self, answer: &Answer) -> Vec<Candidate> {
        answer.beginning(&self.beginning).map(|name| self.candidate(name)).collect()
    }

    /// What all of them begin with, written as they are; as it is if that is no more, or there may be others.
    pub(crate) fn common(&self, answer: &Answer) -> Option<String> {
        let mut names = answer.beginning(&self.beginning).filter(|_| !answer.is_cut);
        let first = names.next()?;
        let length = names.fold(first.text.len(), |length, name| common(&first.text, &name.text).min(length));
        let all = first.text.get(..length)?;
        (length > self.beginning.len()).then(|| self.written(all))
    }

    fn candidate(&self, name: &Name) -> Candidate {
        let mut text = self.written(&name.text);
        let slash = if name.is_directory { "/" } else { "" };
        text.push_str(slash);
        if !name.is_directory {
            text.push_str(match self.quote {
                Quote::Single => "'",
                Quote::Double => "\"",
                Quote::Bare | Quote::Escaped => self.close,
            });
        }
        Candidate { text, name: format!("{}{slash}", name.text), is_whole: !name.is_directory }
    }

    /// `name` as it is written there, and its quote left open.
    fn written(&self, name: &str) -> String {
        let mut written = String::with_capacity(name.len() + 2);
        match self.quote {
            Quote::Single if self.opens => written.push('\''),
            Quote::Double if self.opens => written.push('"'),
            _ => {}
        }
        for c in name.chars() {
            match (self.quote, c) {
                (Quote::Single, '\'') => written.push_str("'\\'"),
                (Quote::Double, '$' | '`' | '"' | '\\') => written.push('\\'),
                (Quote::Bare, c) if SPECIAL.contains(c) => written.push('\\'),
                _ => {}
            }
            written.push(c);
        }
        written
    }

    fn of(found: Beginning, source: Source) -> Self {
        let Beginning { name, start, quote, opens, .. } = found;
        Self { start, source, beginning: name, quote, opens, close: "" }
    }

    fn asked(found: Beginning, kind: Kind) -> Self {
        let question = Question { kind, beginning: found.name.clone() };
        Self::of(found, Source::Asked(question))
    }

    fn file(found: Beginning, kind: fn(super::question::Directory) -> Kind) -> Self {
        let kind = kind(found.directory.clone());
        Self::asked(found, kind)
    }
}

/// A word of the shell's at the end of `text`.
fn shell_word(text: &str) -> Option<Wanted> {
    let at = word_at(text.as_bytes(), text.len())?;
    let word = text.get(at.start..)?;
    if at.role == Role::Variable {
        return variable(text, at.start);
    }
    let found = Beginning::read(word, at.start, Language::Shell)?;
    if at.role != Role::Command || found.has_slash {
        return Some(Wanted::file(found, Kind::Files));
    }
    // All that there is, nobody wants to see.
    let question = Question { kind: Kind::Commands, beginning: found.name.clone() };
    (!found.name.is_empty()).then(|| Wanted::of(found, Source::Asked(question)))
}

fn variable(text: &str, start: usize) -> Option<Wanted> {
    let (before, name) = text.split_at_checked(start)?;
    let question = Question { kind: Kind::Variables, beginning: name.to_owned() };
    Some(Wanted {
        start,
        source: Source::Asked(question),
        beginning: name.to_owned(),
        quote: Quote::Bare,
        opens: false,
        close: if before.ends_with('{') { "}" } else { "" },
    })
}

/// A word of one of our own commands, whose text `own` begins at `start`, behind the colon.
fn own_command(own: &str, start: usize) -> Option<Wanted> {
    let words = words(own);
    let last = words.last().copied()?;
    let read = |at: usize| Beginning::read(own.get(at..)?, start + at, Language::Own);
    let [name, arguments @ ..] = words.as_slice() else { return None };
    if arguments.is_empty() {
        return Some(Wanted::of(read(last)?, Source::Known(named(commands::names()))));
    }
    let end = |at: usize| words.iter().copied().find(|next| *next > at).unwrap_or(own.len());
    let is_operand = |at: &&usize| !own.get(**at..end(**at)).is_some_and(|word| word.starts_with('-'));
    let command = own.get(*name..end(*name))?.trim_end();
    let operands = arguments.iter().take(arguments.len() - 1).filter(is_operand).count();
    let found = read(last)?;
    match commands::completes(command, operands)? {
        Completes::Local => Some(Wanted::file(found, Kind::LocalFiles)),
        Completes::Remote => Some(Wanted::file(found, Kind::Files)),
        Completes::Variables => Some(Wanted::asked(found, Kind::Variables)),
        Completes::Hosts => Some(Wanted::asked(found, Kind::Hosts)),
        Completes::Words(known) => Some(Wanted::of(found, Source::Known(named(known())))),
    }
}

fn named(names: Vec<&'static str>) -> Answer {
    Answer::of(names.into_iter().map(|name| Name { text: name.to_owned(), is_directory: false }))
}

/// How many bytes both begin with, whole characters.
fn common(one: &str, other: &str) -> usize {
    let same = one.chars().zip(other.chars()).take_while(|(one, other)| one == other);
    same.map(|(c, _)| c.len_utf8()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `text` becomes with each of these files there.
    fn with(text: &str, listed: &[u8]) -> Vec<String> {
        let wanted = Wanted::at(text, text.len()).unwrap();
        let candidates = wanted.candidates(&Answer::parse(listed));
        candidates.iter().map(|candidate| format!("{}{}", &text[..wanted.start], candidate.text)).collect()
    }

    fn extended(text: &str, listed: &[u8]) -> Option<String> {
        let wanted = Wanted::at(text, text.len()).unwrap();
        wanted.common(&Answer::parse(listed)).map(|common| format!("{}{common}", &text[..wanted.start]))
    }

    fn question(text: &str) -> Option<String> {
        let Source::Asked(question) = Wanted::at(text, text.len())?.source else { return None };
        let (kind, directory) = match question.kind {
            Kind::Files(directory) => ("file", directory.path),
            Kind::LocalFiles(directory) => ("local", directory.path),
            Kind::Hosts => ("host", String::new()),
            Kind::Commands => ("command", String::new()),
            Kind::Variables => ("variable", String::new()),
        };
        Some(format!("{kind} {directory} {}", question.beginning))
    }

    #[test]
    fn names_are_written_as_a_shell_takes_them() {
        assert_eq!(with("cat my", b"my notes.txt"), ["cat my\\ notes.txt"]);
        assert_eq!(with("cat 'my", b"my notes.txt\0my"), ["cat 'my'", "cat 'my notes.txt'"]);
        assert_eq!(with("cat \"a/my", b"my $x\0my \"y\""), ["cat \"a/my \\\"y\\\"\"", "cat \"a/my \\$x\""]);
        assert_eq!(with("cat 'i", b"it's"), ["cat 'it'\\''s'"]);
        assert_eq!(with("cd d", b"d e/"), ["cd d\\ e/"]);
        assert_eq!(with("cd 'd", b"d e/"), ["cd 'd e/"]);
        assert_eq!(with("cat ", b"$(reboot)\0;x\0~"), ["cat \\$\\(reboot\\)", "cat \\;x", "cat \\~"]);
        assert_eq!(with("echo ${HO", b"HOME"), ["echo ${HOME}"]);
        assert_eq!(with("echo \"$HO", b"HOME"), ["echo \"$HOME"]);
    }

    #[test]
    fn what_all_begin_with_is_written_and_no_more() {
        assert_eq!(extended("cat m", b"my a\0my b"), Some("cat my\\ ".to_owned()));
        assert_eq!(extended("cat 'm", b"my a\0my b"), Some("cat 'my ".to_owned()));
        assert_eq!(extended("cat m", b"ma\0mb"), None);
        assert_eq!(extended("cat ", b"\xc3\xa9\0\xc3\xa8"), None);
        let wanted = Wanted::at("cat m", 5).unwrap();
        assert_eq!(wanted.common(&Answer::parse(b"my a\0my b").cut()), None);
    }

    #[test]
    fn what_is_asked_for() {
        assert_eq!(question("l").as_deref(), Some("command  l"));
        assert_eq!(question("a | gr").as_deref(), Some("command  gr"));
        assert_eq!(question("./l").as_deref(), Some("file . l"));
        assert_eq!(question("ls a/b").as_deref(), Some("file a b"));
        assert_eq!(question("ls >a").as_deref(), Some("file  a"));
        assert_eq!(question("A=/tm").as_deref(), Some("file / tm"));
        assert_eq!(question("echo $A").as_deref(), Some("variable  A"));
        for nothing in ["", "a; ", "ls $x/a", "# a", "cat <<E\na"] {
            assert_eq!(question(nothing), None, "{nothing:?}");
        }
    }

    #[test]
    fn our_own_commands_know_what_they_take() {
        assert_eq!(with(":pu", b""), Vec::<String>::new());
        let own = |text: &str| {
            let wanted = Wanted::at(text, text.len()).unwrap();
            let Source::Known(answer) = &wanted.source else { panic!("{text} is not known") };
            wanted.candidates(answer).into_iter().map(|candidate| candidate.text).collect::<Vec<_>>()
        };
        assert_eq!(own(":pu"), ["put"]);
        assert_eq!(own("ls\n:q"), ["quit"]);
        assert_eq!(own(":help je"), Vec::<String>::new());
        assert_eq!(own(":help j"), ["jobs"]);
        assert!(own(":").len() > 4);
        assert_eq!(question(":put a/b").as_deref(), Some("local a b"));
        assert_eq!(question(":put -f 'x y' a/b").as_deref(), Some("file a b"));
        assert_eq!(question(":get ").as_deref(), Some("file  "));
        assert_eq!(question(":get a $b").as_deref(), Some("local  $b"));
        assert_eq!(question(":env A").as_deref(), Some("variable  A"));
        assert_eq!(question(":host w").as_deref(), Some("host  w"));
        for nothing in [":jobs a", ":put a b c", ":nothing a"] {
            assert_eq!(Wanted::at(nothing, nothing.len()), None, "{nothing:?}");
        }
    }
}
