//! Lines from the server that go above the prompt: harmless, whatever they are.

use common::escape::escape;

/// Most bytes of one line.
const LINE: usize = 4096;

/// `line` with all that a terminal would obey spelt out, but for colours if `colour` says so, and without colours at
/// its end. Tabs become blanks.
pub(super) fn harmless(line: &str, colour: bool) -> String {
    let line = line.get(..line.floor_char_boundary(LINE)).unwrap_or(line);
    let mut shown = String::with_capacity(line.len());
    let mut is_coloured = false;
    let mut rest = line;
    while let Some(at) = rest.find("\x1b[") {
        let (before, sequence) = rest.split_at(at);
        shown.push_str(&text(before));
        let length = colour_length(sequence);
        let (taken, behind) = sequence.split_at(length.unwrap_or("\x1b[".len()));
        match length {
            Some(_) if colour => {
                shown.push_str(taken);
                is_coloured = true;
            }
            Some(_) => {}
            None => shown.push_str(&escape(taken)),
        }
        rest = behind;
    }
    shown.push_str(&text(rest));
    if is_coloured {
        shown.push_str("\x1b[0m");
    }
    shown
}

fn text(text: &str) -> String {
    escape(&text.replace('\t', "    ")).into_owned()
}

/// How long the sequence is with which `text` begins, if it only sets a colour or the like (SGR, ECMA-48).
fn colour_length(text: &str) -> Option<usize> {
    let parameters = text.strip_prefix("\x1b[")?;
    let length = parameters.bytes().take_while(|byte| byte.is_ascii_digit() || b";:".contains(byte)).count();
    (parameters.as_bytes().get(length) == Some(&b'm')).then_some("\x1b[".len() + length + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_stay_and_all_else_is_spelt_out() {
        assert_eq!(harmless("plain é", true), "plain é");
        assert_eq!(harmless("\x1b[1;31mred", true), "\x1b[1;31mred\x1b[0m");
        assert_eq!(harmless("\x1b[1;31mred\x1b[0m", false), "red");
        assert_eq!(harmless("a\x1b[2Jb\x1b]0;t\x07\r\n", true), "a\\x1b[2Jb\\x1b]0;t\\x07\\x0d\\x0a");
        assert_eq!(harmless("a\tb\x1b[", true), "a    b\\x1b[");
        assert_eq!(harmless("\x1b[>4m\x1b[?25l", true), "\\x1b[>4m\\x1b[?25l");
        assert!(harmless(&"é".repeat(9000), true).len() <= LINE);
    }
}
