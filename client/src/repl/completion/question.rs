//! What the server is asked for a completion, and what an answer may be. Pure; nothing is believed of an answer but that it is
//! a number of names.

/// Most names of an answer: more than anybody looks through.
const NAMES: usize = 4096;

/// Longest name, in bytes: twice what Linux takes for one of a file (`NAME_MAX`).
const NAME: usize = 512;

/// Most bytes of an answer that is read.
pub(super) const ANSWER: usize = 512 * 1024;

/// What begins like this?
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Question {
    pub(super) kind: Kind,
    /// What the names begin with.
    pub(super) beginning: String,
}

/// Names of what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// Files in a directory on the server.
    Files(Directory),
    /// Files in a directory here.
    LocalFiles(Directory),
    /// Servers that the user has a name for.
    Hosts,
    /// Commands that the session's shell finds by their names.
    Commands,
    /// Variables of the session's shell.
    Variables,
}

/// A directory, as it was written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Directory {
    /// Whether it counts from the home directory.
    pub(super) in_home: bool,
    /// Without the slash at its end, unless it is the root; empty for the one where we are.
    pub(super) path: String,
}

impl Directory {
    /// Its path: from `home` if it counts from there, else from `directory` unless it is absolute.
    pub(super) fn path(&self, home: &[u8], directory: &[u8]) -> Vec<u8> {
        let base = if self.in_home { home } else { directory };
        match self.path.as_bytes() {
            [b'/', ..] if !self.in_home => self.path.clone().into_bytes(),
            [] => base.to_vec(),
            path => [base, b"/", path].concat(),
        }
    }
}

impl Question {
    /// Whether an answer to this one that is whole has what `other` asks for.
    pub(super) fn covers(&self, other: &Self) -> bool {
        // What is hidden is only listed if it is asked for.
        let is_hidden = self.beginning.is_empty() && other.beginning.starts_with('.');
        self.kind == other.kind && other.beginning.starts_with(&self.beginning) && !is_hidden
    }
}

/// Something that begins so.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Name {
    pub(super) text: String,
    pub(super) is_directory: bool,
}

/// What there is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    /// In order, each once.
    pub(super) names: Vec<Name>,
    /// Whether there were more.
    pub(super) is_cut: bool,
}

impl Answer {
    /// Takes the names that can be one, and can be typed: text without control characters.
    pub(super) fn of(names: impl IntoIterator<Item = Name>) -> Self {
        let mut names: Vec<_> = names
            .into_iter()
            .filter(|name| {
                !name.text.is_empty()
                    && name.text.len() <= NAME
                    && !name.text.contains(|c: char| c.is_control() || c == '/')
            })
            .collect();
        names.sort();
        names.dedup();
        let is_cut = names.len() > NAMES;
        names.truncate(NAMES);
        Self { names, is_cut }
    }

    /// What a job has listed: names, each with a slash behind it if it is a directory's, and a NUL.
    pub(super) fn parse(listed: &[u8]) -> Self {
        let names = listed.split(|byte| *byte == 0).filter_map(|name| str::from_utf8(name).ok());
        Self::of(names.map(|name| match name.strip_suffix('/') {
            Some(name) => Name { text: name.to_owned(), is_directory: true },
            None => Name { text: name.to_owned(), is_directory: false },
        }))
    }

    /// The same with these.
    pub(super) fn and(self, other: impl IntoIterator<Item = Name>) -> Self {
        let is_cut = self.is_cut;
        let all = Self::of(self.names.into_iter().chain(other));
        Self { is_cut: is_cut || all.is_cut, ..all }
    }

    /// Says that there were more.
    pub(super) fn cut(self) -> Self {
        Self { is_cut: true, ..self }
    }

    /// Those that begin so, with the two that every directory has only for somebody who means one of them.
    pub(super) fn beginning(&self, beginning: &str) -> impl Iterator<Item = &Name> {
        let is_meant = move |name: &str| !matches!(name, "." | "..") || beginning == "..";
        self.names.iter().filter(move |name| name.text.starts_with(beginning) && is_meant(&name.text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(path: &str, beginning: &str) -> Question {
        let directory = Directory { in_home: false, path: path.to_owned() };
        Question { kind: Kind::Files(directory), beginning: beginning.to_owned() }
    }

    #[test]
    fn an_answer_serves_what_asks_for_less() {
        assert!(files("a", "").covers(&files("a", "x")));
        assert!(files("a", "x").covers(&files("a", "xy")));
        assert!(!files("a", "xy").covers(&files("a", "x")));
        assert!(!files("a", "").covers(&files("b", "")));
        assert!(!files("a", "").covers(&files("a", ".x")));
        assert!(files("a", ".").covers(&files("a", ".x")));
    }

    #[test]
    fn an_answer_has_only_names() {
        let answer = Answer::parse(b"b b\0a/\0\xff\0a/b\0c\nd\0\x1b[2J\0\0/\0b b\0\xe2\x80\xaex");
        let names: Vec<_> = answer.names.iter().map(|name| (&*name.text, name.is_directory)).collect();
        assert_eq!(names, [("a", true), ("b b", false), ("\u{202e}x", false)]);
        assert!(!answer.is_cut);
        assert!(Answer::parse(&vec![b'x'; NAME + 1]).names.is_empty());
        let many: String = (0..=NAMES).map(|number| format!("{number}\0")).collect();
        let answer = Answer::parse(many.as_bytes());
        assert!(answer.is_cut && answer.names.len() == NAMES);
    }

    #[test]
    fn a_dot_means_hidden_files() {
        let answer = Answer::parse(b"./\0../\0.x\0..y\0");
        let beginning = |beginning| answer.beginning(beginning).map(|name| &*name.text).collect::<Vec<_>>();
        assert_eq!(beginning("."), ["..y", ".x"]);
        assert_eq!(beginning(".."), ["..", "..y"]);
    }

    #[test]
    fn where_a_directory_is() {
        let path =
            |in_home, path: &str| Directory { in_home, path: path.to_owned() }.path(b"/home/me", b"/work");
        assert_eq!(path(false, ""), b"/work");
        assert_eq!(path(false, "a/b"), b"/work/a/b");
        assert_eq!(path(false, "/etc"), b"/etc");
        assert_eq!(path(true, ""), b"/home/me");
        assert_eq!(path(true, "x"), b"/home/me/x");
    }
}
