//! What the remote side has switched on in our terminal emulator, and how to switch it off again, and on.
//!
//! Pure, and of a fixed size: the bytes that were written in, the bytes that undo them out. No picture of the screen is kept.
//! What a command has switched on and not off is not in the modes that `stty` shows: without this, an editor that was killed leaves
//! its screen, no cursor, and a mouse that types.
//!
//! Sequences are those of ECMA-48 and xterm ("ctlseqs"), in their seven-bit form: in UTF-8 there is no other.

use std::io::{self, Write};

/// Numbers of one sequence that are looked at. Nobody sets more modes at once.
const NUMBERS: usize = 16;

/// Deepest stack of keyboard protocols that is counted; emulators keep fewer.
const DEEPEST: u16 = 64;

/// Modes of xterm that are `CSI ? number h` and `l`, and whether they are on by themselves. What is first is switched off first, and
/// the other screen is left last.
const MODES: [(u16, bool); 24] = [
    (9, false),
    (1000, false),
    (1001, false),
    (1002, false),
    (1003, false),
    (1005, false),
    (1006, false),
    (1015, false),
    (1016, false),
    // The emulator tells of its focus, size and colours.
    (1004, false),
    (2048, false),
    (2031, false),
    // A paste is bracketed, output waits for its end.
    (2004, false),
    (2026, false),
    // Keys, the look of the screen, the ends of lines.
    (1, false),
    (66, false),
    (5, false),
    (6, false),
    (45, false),
    (7, true),
    (25, true),
    // The other screen.
    (47, false),
    (1047, false),
    (1049, false),
];

/// Those of [`MODES`] that are the other screen.
const OTHER_SCREEN: [u16; 3] = [47, 1047, 1049];

/// What was switched on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Traces {
    /// Which of [`MODES`] are not as they are by themselves.
    changed: [bool; MODES.len()],
    /// Colours and the like.
    styled: bool,
    /// Letters are inserted.
    inserts: bool,
    /// The usual set of letters is another one: of lines, most of all.
    other_letters: bool,
    /// Another set than that is in use.
    shifted: bool,
    /// Only a part of the screen scrolls.
    region: bool,
    /// The cursor has another shape.
    cursor_shape: bool,
    /// xterm's modifyOtherKeys.
    other_keys: u16,
    /// The keypad sends sequences.
    keypad: bool,
    /// kitty's keyboard protocol, on the usual and the other screen.
    keyboards: [Keyboard; 2],
    parser: Parser,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Keyboard {
    depth: u16,
    flags: u16,
}

/// How far into a sequence the last byte was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Parser {
    #[default]
    Ground,
    Escape,
    /// `ESC` and a byte that says what the next one is about.
    Intermediate(u8),
    Control(Control),
    /// A text to the emulator: a title, a picture. Never looked at.
    Text,
    /// `ESC` in one.
    TextEscape,
}

/// A sequence that began with `CSI`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Control {
    /// `?`, `>`, `<`, `=` or nothing, 0.
    prefix: u8,
    /// What came before the last byte, or 0.
    intermediate: u8,
    numbers: [u16; NUMBERS],
    /// The number that is being read.
    at: usize,
    /// Whether it has any digits.
    begun: bool,
}

impl Control {
    /// The numbers that were read.
    fn numbers(&self) -> &[u16] {
        let count = if self.at == 0 && !self.begun { 0 } else { self.at + 1 };
        self.numbers.get(..count).unwrap_or(&self.numbers)
    }

    fn number(&self, at: usize) -> u16 {
        self.numbers.get(at).copied().unwrap_or_default()
    }

    fn digit(&mut self, digit: u8) {
        self.begun = true;
        if let Some(number) = self.numbers.get_mut(self.at) {
            *number = number.saturating_mul(10).saturating_add(digit.into());
        }
    }

    fn separator(&mut self) {
        self.begun = true;
        self.at = self.at.saturating_add(1).min(NUMBERS);
    }
}

impl Traces {
    /// Whether the other screen is shown, as full-screen programs have it.
    pub(crate) fn are_on_other_screen(&self) -> bool {
        OTHER_SCREEN.into_iter().any(|mode| self.is_changed(mode))
    }

    /// Whether what is written next begins a sequence or a text.
    pub(crate) fn are_between_sequences(&self) -> bool {
        self.parser == Parser::Ground
    }

    /// These bytes were written to the terminal. They may be cut anywhere.
    pub(crate) fn see(&mut self, mut bytes: &[u8]) {
        while let Some((first, rest)) = bytes.split_first() {
            if self.parser == Parser::Ground {
                // Nearly all that is ever written is text.
                let Some(at) = bytes.iter().position(|byte| matches!(byte, 0x1b | 0x0e | 0x0f)) else {
                    return;
                };
                self.ground(bytes.get(at).copied().unwrap_or_default());
                bytes = bytes.get(at + 1..).unwrap_or_default();
            } else {
                self.step(*first);
                bytes = rest;
            }
        }
    }

    /// Writes what leaves the emulator as a shell expects it. Of more than that it says nothing: an emulator in which nothing was
    /// switched on gets no byte.
    ///
    /// # Errors
    /// Those of `to`.
    pub(crate) fn undo(&self, to: &mut impl Write) -> io::Result<()> {
        self.finish_sequence(to)?;
        if self.styled {
            to.write_all(b"\x1b[m")?;
        }
        if self.inserts {
            to.write_all(b"\x1b[4l")?;
        }
        if self.shifted {
            to.write_all(b"\x0f")?;
        }
        if self.other_letters {
            to.write_all(b"\x1b(B")?;
        }
        if self.cursor_shape {
            to.write_all(b"\x1b[0 q")?;
        }
        if self.keypad {
            to.write_all(b"\x1b>")?;
        }
        if self.other_keys > 0 {
            to.write_all(b"\x1b[>4m")?;
        }
        if self.region {
            // It takes the cursor to the corner, which matters where it is not put back by leaving the other screen.
            let (save, back): (&[u8], &[u8]) =
                if self.are_on_other_screen() { (b"", b"") } else { (b"\x1b7", b"\x1b8") };
            to.write_all(save)?;
            to.write_all(b"\x1b[r")?;
            to.write_all(back)?;
        }
        let [usual, other] = self.keyboards;
        if self.are_on_other_screen() {
            other.undo(to)?;
        }
        for (mode, is_on) in self.changed_modes() {
            write!(to, "\x1b[?{mode}{}", if is_on { 'h' } else { 'l' })?;
        }
        usual.undo(to)
    }

    /// Writes what switches on again what [`Traces::undo`] has switched off, as far as a program does not do that itself when it
    /// draws anew.
    ///
    /// # Errors
    /// Those of `to`.
    pub(crate) fn redo(&self, to: &mut impl Write) -> io::Result<()> {
        let [usual, other] = self.keyboards;
        usual.redo(to)?;
        for (mode, is_on) in self.changed_modes().rev() {
            write!(to, "\x1b[?{mode}{}", if is_on { 'l' } else { 'h' })?;
        }
        if self.are_on_other_screen() {
            other.redo(to)?;
        }
        if self.keypad {
            to.write_all(b"\x1b=")?;
        }
        if self.other_keys > 0 {
            write!(to, "\x1b[>4;{}m", self.other_keys)?;
        }
        Ok(())
    }

    /// A sequence that nobody will finish would take our own text for its rest.
    fn finish_sequence(&self, to: &mut impl Write) -> io::Result<()> {
        match self.parser {
            Parser::Ground => Ok(()),
            Parser::Escape | Parser::Intermediate(_) | Parser::Control(_) => to.write_all(b"\x18"),
            Parser::Text => to.write_all(b"\x1b\\"),
            Parser::TextEscape => to.write_all(b"\\"),
        }
    }

    /// The modes that are not as they are by themselves, and how they are by themselves.
    fn changed_modes(&self) -> impl DoubleEndedIterator<Item = (u16, bool)> {
        MODES.into_iter().zip(self.changed).filter(|(_, changed)| *changed).map(|(mode, _)| mode)
    }

    fn is_changed(&self, mode: u16) -> bool {
        self.changed_modes().any(|(changed, _)| changed == mode)
    }

    fn ground(&mut self, byte: u8) {
        match byte {
            0x1b => self.parser = Parser::Escape,
            0x0e => self.shifted = true,
            _ => self.shifted = false,
        }
    }

    /// A byte of a sequence.
    fn step(&mut self, byte: u8) {
        self.parser = match (self.parser, byte) {
            (Parser::Text, 0x1b) => Parser::TextEscape,
            (Parser::TextEscape, b'\\') => Parser::Ground,
            // Any other sequence ends a text, too.
            (Parser::TextEscape, _) => return self.escape(byte),
            (Parser::Text, 0x07 | 0x18 | 0x1a) => Parser::Ground,
            (Parser::Text, _) => Parser::Text,
            (_, 0x18 | 0x1a) => Parser::Ground,
            (_, 0x1b) => Parser::Escape,
            // Controls are carried out in the middle of a sequence.
            (parser, 0..=0x1f | 0x7f) => parser,
            (Parser::Ground, _) => Parser::Ground,
            (Parser::Escape, _) => return self.escape(byte),
            (Parser::Intermediate(kind), 0x30..) => return self.letters(kind, byte),
            (Parser::Intermediate(kind), _) => Parser::Intermediate(kind),
            (Parser::Control(control), _) => return self.control(control, byte),
        };
    }

    /// The byte behind `ESC`.
    fn escape(&mut self, byte: u8) {
        self.parser = match byte {
            b'[' => Parser::Control(Control::default()),
            b']' | b'P' | b'X' | b'^' | b'_' => Parser::Text,
            0x20..=0x2f => Parser::Intermediate(byte),
            0x1b => Parser::Escape,
            _ => Parser::Ground,
        };
        match byte {
            b'=' => self.keypad = true,
            b'>' => self.keypad = false,
            b'c' => *self = Self::default(),
            b'n' | b'o' => self.shifted = true,
            _ => {}
        }
    }

    /// `ESC`, `kind` and the last byte.
    fn letters(&mut self, kind: u8, last: u8) {
        self.parser = Parser::Ground;
        if kind == b'(' {
            self.other_letters = last != b'B';
        }
    }

    fn control(&mut self, mut control: Control, byte: u8) {
        match byte {
            b'0'..=b'9' => control.digit(byte - b'0'),
            b';' | b':' => control.separator(),
            b'<'..=b'?' => control.prefix = byte,
            0x20..=0x2f => control.intermediate = byte,
            _ => {
                self.parser = Parser::Ground;
                return self.carry_out(&control, byte);
            }
        }
        self.parser = Parser::Control(control);
    }

    fn carry_out(&mut self, control: &Control, last: u8) {
        match (control.prefix, control.intermediate, last) {
            (b'?', 0, b'h' | b'l') => {
                for number in control.numbers() {
                    self.set(*number, last == b'h');
                }
            }
            (0, 0, b'h' | b'l') if control.numbers().contains(&4) => self.inserts = last == b'h',
            (0, 0, b'm') => self.styled = control.numbers().iter().any(|number| *number != 0),
            (0, 0, b'r') => self.region = !control.numbers().is_empty(),
            (0, b' ', b'q') => self.cursor_shape = control.number(0) != 0,
            // A soft reset.
            (0, b'!', b'p') => self.reset(),
            (b'>', 0, b'm') if control.number(0) == 4 => self.other_keys = control.number(1),
            (b'>', 0, b'm') if control.numbers().is_empty() => self.other_keys = 0,
            (b'>', 0, b'n') if control.number(0) == 4 => self.other_keys = 0,
            (b'>' | b'<' | b'=', 0, b'u') => self.keyboard().take(control),
            _ => {}
        }
    }

    fn set(&mut self, number: u16, on: bool) {
        if number == 1048 {
            return;
        }
        for ((mode, usually), changed) in MODES.into_iter().zip(&mut self.changed) {
            // Either of the three leaves the other screen, whichever has gone there.
            let same =
                mode == number || (!on && OTHER_SCREEN.contains(&number) && OTHER_SCREEN.contains(&mode));
            if same {
                *changed = on != usually;
            }
        }
    }

    /// What `CSI ! p` sets back.
    fn reset(&mut self) {
        for number in [1, 66, 6] {
            self.set(number, false);
        }
        for number in [25, 7] {
            self.set(number, true);
        }
        (self.styled, self.inserts, self.region, self.keypad) = (false, false, false, false);
        (self.shifted, self.other_letters) = (false, false);
    }

    fn keyboard(&mut self) -> &mut Keyboard {
        let on_other = self.are_on_other_screen();
        let [usual, other] = &mut self.keyboards;
        if on_other { other } else { usual }
    }
}

impl Keyboard {
    fn take(&mut self, control: &Control) {
        match control.prefix {
            b'>' => {
                self.depth = self.depth.saturating_add(1).min(DEEPEST);
                self.flags = control.number(0);
            }
            b'<' => {
                let count = control.number(0).max(1);
                self.depth = self.depth.saturating_sub(count);
                if self.depth == 0 {
                    self.flags = 0;
                }
            }
            _ => self.flags = control.number(0),
        }
    }

    fn undo(self, to: &mut impl Write) -> io::Result<()> {
        match self {
            Self { depth: 0, flags: 0 } => Ok(()),
            Self { depth: 0, .. } => to.write_all(b"\x1b[=0u"),
            Self { depth, .. } => write!(to, "\x1b[<{depth}u"),
        }
    }

    fn redo(self, to: &mut impl Write) -> io::Result<()> {
        match self {
            Self { depth: 0, flags: 0 } => Ok(()),
            Self { depth: 0, flags } => write!(to, "\x1b[={flags}u"),
            Self { depth, flags } => (0..depth).try_for_each(|_| write!(to, "\x1b[>{flags}u")),
        }
    }
}

#[cfg(test)]
mod tests;
