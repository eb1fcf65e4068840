//! What a word says as far as it is written: its quotes and backslashes undone. Pure.

use super::question::Directory;
use crate::repl::syntax::Quote;

/// A word, up to the cursor, as the path that it could become.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Beginning {
    /// All of it up to its last slash.
    pub(super) directory: Directory,
    /// The rest.
    pub(super) name: String,
    /// Where that begins, with its quote if it has one.
    pub(super) start: usize,
    /// In which quotes it is to be written, and whether they have to be opened.
    pub(super) quote: Quote,
    pub(super) opens: bool,
    /// Whether any slash was written.
    pub(super) has_slash: bool,
}

/// What a word means there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Language {
    /// A shell's: what is to be expanded cannot be completed.
    Shell,
    /// That of our own commands, with quotes and backslashes and no more.
    Own,
}

/// Where the words of `text` begin that are apart from one another, and the last one, which may be empty.
pub(super) fn words(text: &str) -> Vec<usize> {
    let (mut starts, mut quote, mut in_word) = (Vec::new(), Quote::Bare, false);
    let mut rest = text.char_indices();
    while let Some((at, c)) = rest.next() {
        if quote == Quote::Bare && c.is_ascii_whitespace() {
            in_word = false;
            continue;
        }
        if !in_word {
            starts.push(at);
            in_word = true;
        }
        quote = match (quote, c) {
            (Quote::Bare, '\'') => Quote::Single,
            (Quote::Bare, '"') => Quote::Double,
            (Quote::Single, '\'') | (Quote::Double, '"') => Quote::Bare,
            (Quote::Bare | Quote::Double, '\\') => {
                rest.next();
                quote
            }
            (quote, _) => quote,
        };
    }
    if !in_word {
        starts.push(text.len());
    }
    starts
}

impl Beginning {
    /// Of `word`, which stands at `start`; `None` for what only a shell can tell.
    pub(super) fn read(word: &str, start: usize, language: Language) -> Option<Self> {
        let mut reader = Reader::new(start);
        let mut rest = word.char_indices().peekable();
        while let Some((at, c)) = rest.next() {
            match (reader.quote, c) {
                (Quote::Bare, '~') if at == 0 => {
                    // Of others only the shell knows their homes.
                    if !matches!(rest.next(), Some((_, '/'))) {
                        return None;
                    }
                    reader.go_home(start + 2);
                }
                (Quote::Bare | Quote::Double, '$' | '`') if language == Language::Shell => return None,
                (Quote::Bare, '*' | '?' | '[') if language == Language::Shell => return None,
                (Quote::Bare, '=') if language == Language::Shell => reader.begin_anew(start + at + 1),
                (Quote::Bare, '\\') => reader.found.name.push(rest.next()?.1),
                (Quote::Double, '\\') => match rest.next_if(|(_, next)| "$`\"\\".contains(*next)) {
                    Some((_, next)) => reader.found.name.push(next),
                    None => reader.found.name.push('\\'),
                },
                (Quote::Bare, '\'') => reader.open(Quote::Single, start + at),
                (Quote::Bare, '"') => reader.open(Quote::Double, start + at),
                (Quote::Single, '\'') | (Quote::Double, '"') => reader.quote = Quote::Bare,
                (_, '/') => reader.slash(start + at + 1),
                (_, '\0') => return None,
                (_, c) => reader.found.name.push(c),
            }
        }
        Some(reader.found)
    }
}

/// What was read.
struct Reader {
    found: Beginning,
    /// The quotes that are open.
    quote: Quote,
}

impl Reader {
    fn new(start: usize) -> Self {
        let found = Beginning {
            directory: Directory::default(),
            name: String::new(),
            start,
            quote: Quote::Bare,
            opens: false,
            has_slash: false,
        };
        Self { found, quote: Quote::Bare }
    }

    /// A quote opens. If the name begins with it, it stays.
    fn open(&mut self, quote: Quote, at: usize) {
        self.quote = quote;
        if self.found.start == at {
            self.found.quote = quote;
            self.found.opens = true;
        }
    }

    /// The name begins behind this.
    fn begin_name(&mut self, at: usize) {
        self.found.name.clear();
        self.found.start = at;
        self.found.quote = self.quote;
        self.found.opens = false;
    }

    fn slash(&mut self, behind: usize) {
        let path = &mut self.found.directory.path;
        if !path.is_empty() && !path.ends_with('/') {
            path.push('/');
        }
        path.push_str(&self.found.name);
        if path.is_empty() && !self.found.directory.in_home {
            path.push('/');
        }
        self.found.has_slash = true;
        self.begin_name(behind);
    }

    fn go_home(&mut self, behind: usize) {
        self.found.directory.in_home = true;
        self.found.has_slash = true;
        self.begin_name(behind);
    }

    /// What stands before this is no part of the path.
    fn begin_anew(&mut self, at: usize) {
        self.found.directory = Directory::default();
        self.found.has_slash = false;
        self.begin_name(at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(word: &str) -> Option<(String, String, usize, Quote, bool)> {
        let found = Beginning::read(word, 0, Language::Shell)?;
        let home = if found.directory.in_home { "~" } else { "" };
        let directory = format!("{home}{}", found.directory.path);
        Some((directory, found.name, found.start, found.quote, found.opens))
    }

    #[track_caller]
    fn check(word: &str, directory: &str, name: &str, start: usize, quote: Quote, opens: bool) {
        assert_eq!(read(word), Some((directory.to_owned(), name.to_owned(), start, quote, opens)), "{word}");
    }

    #[test]
    fn a_path_has_a_directory_and_the_beginning_of_a_name() {
        check("ab", "", "ab", 0, Quote::Bare, false);
        check("", "", "", 0, Quote::Bare, false);
        check("a/b/c", "a/b", "c", 4, Quote::Bare, false);
        check("/c", "/", "c", 1, Quote::Bare, false);
        check("/a/b/", "/a/b", "", 5, Quote::Bare, false);
        check("//a//b", "/a/", "b", 5, Quote::Bare, false);
        check("~/x/y", "~x", "y", 4, Quote::Bare, false);
        check("~/", "~", "", 2, Quote::Bare, false);
        check("--file=a/b", "a", "b", 9, Quote::Bare, false);
    }

    #[test]
    fn quotes_are_undone_and_stay_as_they_are() {
        check("a\\ b", "", "a b", 0, Quote::Bare, false);
        check("\"a b", "", "a b", 0, Quote::Double, true);
        check("'it is/a b", "it is", "a b", 7, Quote::Single, false);
        check("x/'a b", "x", "a b", 2, Quote::Single, true);
        check("\"\\$a\\b", "", "$a\\b", 0, Quote::Double, true);
        check("a'b c'd", "", "ab cd", 0, Quote::Bare, false);
        check("'a'/é", "a", "é", 4, Quote::Bare, false);
    }

    #[test]
    fn what_only_a_shell_can_tell_is_left_to_it() {
        for word in ["$a/b", "\"$a", "`x`/", "*.c", "a?", "~you/x", "~", "a\\", "a\0b"] {
            assert_eq!(read(word), None, "{word:?}");
        }
        assert!(Beginning::read("$a*", 0, Language::Own).is_some_and(|found| found.name == "$a*"));
        assert!(read("'$a*'").is_some());
    }

    #[test]
    fn words_are_apart_where_blanks_are_not_quoted() {
        assert_eq!(words("a b\\ c  'd e"), [0, 2, 8]);
        assert_eq!(words("put "), [0, 4]);
        assert_eq!(words(""), [0]);
    }
}
