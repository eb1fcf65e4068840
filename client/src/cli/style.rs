//! The looks of what is said: a role each, and the colour of a role. `docs/ui.md` says the same for people.
//!
//! Only for text that is safe to show: what is painted must be escaped before. Knows no sentence and no layout.

use std::borrow::Cow;
use std::env;
use std::ffi::OsStr;
use std::io::{self, IsTerminal};

/// What a piece of text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// The name before something that is said.
    Name,
    /// The same, where something has failed.
    Failure,
    /// What to do about it.
    Hint,
    /// The first line of a table.
    Heading,
    /// Something that goes on, or went well.
    Good,
    /// Something that did not.
    Bad,
    /// Something that is not known, or was ended on request.
    Doubtful,
}

/// How text looks at one place: in colours, or plain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Style {
    colours: bool,
}

impl Style {
    /// On stdout.
    pub(crate) fn stdout() -> Self {
        Self { colours: io::stdout().is_terminal() && wants_colours() }
    }

    /// On stderr.
    pub(crate) fn stderr() -> Self {
        Self { colours: io::stderr().is_terminal() && wants_colours() }
    }

    /// Where nothing but text is wanted.
    #[cfg(test)]
    pub(crate) fn plain() -> Self {
        Self { colours: false }
    }

    /// Where colours are.
    #[cfg(test)]
    pub(crate) fn coloured() -> Self {
        Self { colours: true }
    }

    /// `text` as one of its role looks here.
    pub(crate) fn paint(self, role: Role, text: &str) -> Cow<'_, str> {
        // Of the sixteen colours that belong to the user's own theme, and never the background.
        let code = match role {
            Role::Name | Role::Heading => "1",
            Role::Failure => "1;31",
            Role::Hint => "2",
            Role::Good => "32",
            Role::Bad => "31",
            Role::Doubtful => "33",
        };
        if self.colours && !text.is_empty() {
            format!("\x1b[{code}m{text}\x1b[0m").into()
        } else {
            text.into()
        }
    }
}

/// Whether the user's environment allows them (no-color.org).
fn wants_colours() -> bool {
    allows(env::var_os("NO_COLOR").as_deref(), env::var_os("TERM").as_deref())
}

fn allows(no_colour: Option<&OsStr>, terminal: Option<&OsStr>) -> bool {
    no_colour.is_none_or(OsStr::is_empty) && terminal.is_some_and(|kind| !kind.is_empty() && kind != "dumb")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_terminal_that_has_colours_and_a_user_who_wants_them() {
        let allows = |no_colour: Option<&str>, terminal: Option<&str>| {
            allows(no_colour.map(OsStr::new), terminal.map(OsStr::new))
        };
        assert!(allows(None, Some("xterm")) && allows(Some(""), Some("linux")));
        assert!(!allows(Some("0"), Some("xterm")));
        assert!(!allows(None, Some("dumb")) && !allows(None, Some("")) && !allows(None, None));
    }

    #[test]
    fn what_is_painted_is_followed_by_what_was_before() {
        assert_eq!(Style::coloured().paint(Role::Bad, "lost"), "\x1b[31mlost\x1b[0m");
        assert_eq!(Style::coloured().paint(Role::Bad, ""), "");
        assert_eq!(Style::plain().paint(Role::Bad, "lost"), "lost");
    }
}
