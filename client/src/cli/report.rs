//! Where what happened becomes sentences, and the only way to stderr.
//!
//! One line each, beginning with the program's name. The whole line is escaped, so nothing that a peer said can
//! reach the terminal as it is; what is in colours there is so by its role and not by what is in it.

mod failure;
mod outcome;
mod transfer;

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

use common::escape::escape;
use common::job::Signal;

pub(crate) use failure::{advice, explain, what_failed};
pub(crate) use outcome::{outcome, usage};
pub(crate) use transfer::{interrupted, left_out, not_transferred, transferred};

use super::failure::Failure;
use super::style::{Role, Style};
use super::{screen, terminal};

/// How much of a message is shown: what the user wrote may be repeated in it, and be anything.
const LINE_BYTES: usize = 4096;

/// Says things to the user on stderr.
#[derive(Debug, Clone)]
pub(crate) struct Reporter {
    program: String,
    quiet: bool,
}

impl Reporter {
    /// For the program of this name.
    pub(crate) fn new(program: impl Into<String>) -> Self {
        Self { program: program.into(), quiet: false }
    }

    /// Leaves out remarks from now on.
    pub(crate) fn set_quiet(&mut self, quiet: bool) {
        self.quiet = quiet;
    }

    /// Whether remarks are left out.
    pub(crate) fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// The name that messages begin with.
    pub(crate) fn program(&self) -> &str {
        &self.program
    }

    /// Says what the user must know.
    pub(crate) fn say(&self, message: impl Display) {
        self.print(Role::Name, &message.to_string(), None);
    }

    /// Says why this program does not do what it was asked for.
    pub(crate) fn fail(&self, failure: &Failure) {
        self.print(Role::Failure, &failure.to_string(), failure.hint().as_deref());
    }

    /// Says what the exit code tells as well, unless asked to be quiet.
    pub(crate) fn remark(&self, message: impl Display) {
        if !self.quiet {
            self.say(message);
        }
    }

    fn print(&self, role: Role, message: &str, hint: Option<&str>) {
        put(&line(Style::stderr(), (role, &self.program), message, hint));
    }
}

/// `message` behind a name, with the `hint` that it may end with, escaped and cut if it is very long.
fn line(style: Style, (role, name): (Role, &str), message: &str, hint: Option<&str>) -> String {
    let name = format!("{name}:");
    let text = shown(&format!("{name} {message}"));
    let (name, hint) = (escape(&name), escape(hint.unwrap_or_default()));
    // One that was cut off is no hint.
    let (text, hint) = text.strip_suffix(&*hint).map_or((&*text, ""), |text| (text, &*hint));
    let (name, text) = text.strip_prefix(&*name).map_or(("", text), |text| (&*name, text));
    format!("{}{text}{}", style.paint(role, name), style.paint(Role::Hint, hint))
}

/// Ends the line on which a terminal has shown `^C`, if that is where `signal` came from, so that what is said next has one
/// of its own.
pub(crate) fn end_echo(signal: Option<Signal>) {
    if signal == Some(Signal::INT) && io::stderr().is_terminal() {
        print("");
    }
}

/// Writes `line`, escaped and cut if it is very long, to stderr in one piece.
pub(crate) fn print(line: &str) {
    put(&shown(line));
}

/// `line` as it can be shown.
fn shown(line: &str) -> String {
    let shown = line.get(..line.floor_char_boundary(LINE_BYTES)).unwrap_or(line);
    let rest = if shown.len() < line.len() { "…" } else { "" };
    format!("{}{rest}", escape(shown))
}

/// Writes a line that can be shown to stderr.
fn put(line: &str) {
    // On a terminal that is raw a line does not begin where lines begin.
    let (begin, end) =
        if terminal::is_raw() && io::stderr().is_terminal() { ("\r\n", "\r\n") } else { ("", "\n") };
    let line = format!("{begin}{line}{end}");
    screen::make_way();
    terminal::clear_bar();
    // Nobody is left to tell that stderr is gone.
    io::stderr().write_all(line.as_bytes()).ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_shows_its_name_and_its_hint() {
        let line = |style, hint| line(style, (Role::Failure, "client"), "x \x1b[2J failed; do y", hint);
        let coloured = Style::coloured();
        let expected = "\x1b[1;31mclient:\x1b[0m x \\x1b[2J failed; \x1b[2mdo y\x1b[0m";
        assert_eq!(line(coloured, Some("do y")), expected);
        assert_eq!(line(coloured, Some("do")), "\x1b[1;31mclient:\x1b[0m x \\x1b[2J failed; do y");
        assert_eq!(line(Style::plain(), Some("do y")), "client: x \\x1b[2J failed; do y");
    }

    #[test]
    fn what_is_very_long_is_cut() {
        let long = "é".repeat(LINE_BYTES);
        let line = line(Style::plain(), (Role::Name, "client"), &long, Some("éé"));
        assert!(
            line.starts_with("client: é") && line.ends_with("é…") && line.len() <= LINE_BYTES + "…".len()
        );
    }
}
