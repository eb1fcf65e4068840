//! The terminal that a job is asked to run on: what is said of it, and its checks. No descriptor.

use serde::{Deserialize, Serialize};

use super::byte_string::{ByteString, bounded};
use super::spec::SpecError;
use crate::limits;

/// A terminal that a job gets as its controlling terminal, with stdin, stdout and stderr on it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Terminal {
    /// What kind it is, for `TERM`: printable ASCII without spaces, at most [`limits::TERMINAL_NAME`] bytes; `dumb` if empty.
    pub name: ByteString,
    /// How large it is at first.
    pub size: WindowSize,
    /// How it is set where that is not as usual; of two with one code the later counts.
    #[serde(deserialize_with = "bounded::<{ limits::TERMINAL_MODES }, _, _>")]
    pub modes: Vec<TerminalMode>,
}

/// The size of a terminal, as ioctl_tty(2) has it. Zero where it is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct WindowSize {
    /// Lines of text.
    pub rows: u16,
    /// Characters in a line.
    pub columns: u16,
    /// Pixels across.
    pub width: u16,
    /// Pixels down.
    pub height: u16,
}

/// A setting of a terminal: its code in RFC 4254, section 8, and its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TerminalMode {
    /// Which setting. Those that are not known are ignored.
    pub code: u8,
    /// A character, 0 or 1, or a speed.
    pub value: u32,
}

impl Terminal {
    /// Checks what the types cannot say.
    ///
    /// # Errors
    /// [`SpecError::TerminalName`] for a name that no terminal has, [`SpecError::TooManyModes`].
    pub fn check(&self) -> Result<(), SpecError> {
        let name = &self.name.0;
        if name.len() > limits::TERMINAL_NAME || !name.iter().all(u8::is_ascii_graphic) {
            return Err(SpecError::TerminalName { name: self.name.to_text() });
        }
        if self.modes.len() > limits::TERMINAL_MODES {
            return Err(SpecError::TooManyModes { count: self.modes.len() });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_and_printable() {
        let long = "x".repeat(limits::TERMINAL_NAME);
        for (name, good) in
            [("", true), ("xterm-256color", true), (&long, true), (&format!("{long}x"), false)]
                .into_iter()
                .chain([("a b", false), ("a\n", false), ("größe", false), ("a\0", false)])
        {
            let terminal = Terminal { name: name.into(), ..Terminal::default() };
            assert_eq!(terminal.check().is_ok(), good, "{name:?}");
        }
    }

    #[test]
    fn settings_are_few() {
        let modes = vec![TerminalMode { code: 3, value: 8 }; limits::TERMINAL_MODES + 1];
        let terminal = Terminal { modes, ..Terminal::default() };
        assert_eq!(terminal.check(), Err(SpecError::TooManyModes { count: limits::TERMINAL_MODES + 1 }));
    }
}
