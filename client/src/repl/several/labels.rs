//! A line of one of several servers, as it is shown. Pure.
//!
//! On a terminal, a line is what is left of it there, without colours, and no server's line can look like another's.

use common::escape::escape;

use crate::cli::style::{Role, Style};

/// What stands before the lines of a server.
#[derive(Debug, Clone)]
pub(super) struct Label {
    text: String,
    /// Whether lines are for a terminal, and may not do there what they like.
    is_tame: bool,
}

impl Label {
    /// For the server that is called `name`, in a column that is `width` characters wide.
    pub(super) fn new(name: &str, width: usize, is_tame: bool, style: Style) -> Self {
        let name = format!("{}:", escape(name));
        let blanks = (width + 2).saturating_sub(name.chars().count());
        Self { text: format!("{}{:blanks$}", style.paint(Role::Name, &name), ""), is_tame }
    }

    /// Adds `lines`, each behind the label and with an end, to `shown`.
    pub(super) fn put(&self, lines: &[u8], shown: &mut Vec<u8>) {
        let lines = lines.strip_suffix(b"\n").unwrap_or(lines);
        for line in lines.split(|byte| *byte == b'\n') {
            // A terminal there ends its lines so.
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            shown.extend_from_slice(self.text.as_bytes());
            match self.is_tame {
                true => shown.extend_from_slice(tame(line).as_bytes()),
                false => shown.extend_from_slice(line),
            }
            shown.push(b'\n');
        }
    }
}

/// What stands there in the end, tabs and all.
fn tame(line: &[u8]) -> String {
    let line = line.rsplit(|byte| *byte == b'\r').next().unwrap_or(line);
    let line = String::from_utf8_lossy(line);
    let cells = without_colours(&line);
    cells.split('\t').map(escape).collect::<Vec<_>>().join("\t")
}

/// Without what only colours it (ECMA-48, SGR).
fn without_colours(line: &str) -> String {
    let mut parts = line.split("\x1b[");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let rest = part.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';' || c == ':');
        match rest.strip_prefix('m') {
            Some(rest) => text.push_str(rest),
            None => text.extend(["\x1b[", part]),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(is_tame: bool, lines: &[u8]) -> String {
        let mut shown = Vec::new();
        Label::new("a", 3, is_tame, Style::plain()).put(lines, &mut shown);
        String::from_utf8_lossy(&shown).into_owned()
    }

    #[test]
    fn each_line_has_a_label() {
        assert_eq!(shown(false, b"one\n\ntwo"), "a:   one\na:   \na:   two\n");
        assert_eq!(shown(true, b"one\r\ntwo\r\n"), "a:   one\na:   two\n");
    }

    #[test]
    fn a_terminal_gets_what_stands_there_in_the_end() {
        assert_eq!(shown(true, b"10%\r20%\rdone\r\n"), "a:   done\n");
        assert_eq!(shown(true, b"\x1b[1;31mred\x1b[0m\tgreen\n"), "a:   red\tgreen\n");
    }

    #[test]
    fn no_line_looks_like_anothers() {
        assert_eq!(shown(true, b"\x1b[2K\x1b[1Gb: fine\n"), "a:   \\x1b[2K\\x1b[1Gb: fine\n");
        assert_eq!(shown(false, b"\x1b[2K\n"), "a:   \x1b[2K\n");
    }
}
