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
                    writer.write_all(notation(c).as_bytes())?;
                }
                _ => writer.write_all(piece.as_bytes())?,
            }
        }
        Ok(())
    }
}

/// How a JSON string spells `c` out: as one or two units of UTF-16.
pub fn notation(c: char) -> String {
    c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect()
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
        let text = "a\x1b[2J\u{9b}\u{7f}\u{202e}\r\nö\u{2028}z\u{e0041}";
        let line = String::from_utf8(line(&text).unwrap()).unwrap();
        assert_eq!(line, "\"a\\u001b[2J\\u009b\\u007f\\u202e\\r\\nö\\u2028z\\udb40\\udc41\"\n");
        assert_eq!(serde_json::from_str::<String>(&line).unwrap(), text);
    }
}
