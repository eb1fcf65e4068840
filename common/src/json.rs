//! JSON that may be shown on a terminal. Knows no event and no field.

use std::io;

use serde::Serialize;
use serde_json::Serializer;
use serde_json::ser::Formatter;

use crate::escape::is_unsafe;

/// JSON in which also those characters are escaped that only a terminal takes for more than text.
#[derive(Debug)]
pub struct TerminalSafe;

impl Formatter for TerminalSafe {
    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        for piece in fragment.split_inclusive(is_unsafe) {
            match piece.char_indices().next_back() {
                Some((at, c)) if is_unsafe(c) => {
                    writer.write_all(piece.as_bytes().get(..at).unwrap_or_default())?;
                    write!(writer, "\\u{:04x}", u32::from(c))?;
                }
                _ => writer.write_all(piece.as_bytes())?,
            }
        }
        Ok(())
    }
}

/// `value` on one line, with its end.
///
/// # Errors
/// That of the value, if it cannot be JSON.
pub fn line(value: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(512);
    value.serialize(&mut Serializer::with_formatter(&mut bytes, TerminalSafe))?;
    bytes.push(b'\n');
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_line_moves_a_cursor_or_turns_the_text() {
        let text = "a\x1b[2J\u{9b}\u{7f}\u{202e}\r\nö\u{2028}z";
        let line = String::from_utf8(line(&text).unwrap()).unwrap();
        assert_eq!(line, "\"a\\u001b[2J\\u009b\\u007f\\u202e\\r\\nö\\u2028z\"\n");
        assert_eq!(serde_json::from_str::<String>(&line).unwrap(), text);
    }
}
