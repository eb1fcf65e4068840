//! The settings of a terminal by their codes on the wire (RFC 4254, section 8; RFC 8160 for IUTF8), and how they are usually. Pure.
//!
//! What is about a line of wire, speeds and bits of a character, is left out: there is none.

use rustix::termios::{InputModes, LocalModes, OutputModes, SpecialCodeIndex, Termios};

use super::terminal::TerminalMode;

/// The value of a key that there is not.
const NO_KEY: u32 = 255;

/// The same for the system (`_POSIX_VDISABLE`).
const DISABLED: u8 = 0;

/// The code of the mode in which a character is rubbed out as a whole.
const IUTF8: u8 = 42;

/// What a code sets.
#[derive(Debug, Clone, Copy)]
enum Setting {
    Key(SpecialCodeIndex),
    Input(InputModes),
    Local(LocalModes),
    Output(OutputModes),
}

use Setting::{Input, Key, Local, Output};

/// Each code, what it sets, and the value that this has on a new terminal for a job: the system's own, with [`InputModes::IUTF8`].
const SETTINGS: [(u8, Setting, u32); 45] = [
    (1, Key(SpecialCodeIndex::VINTR), 0x03),
    (2, Key(SpecialCodeIndex::VQUIT), 0x1c),
    (3, Key(SpecialCodeIndex::VERASE), 0x7f),
    (4, Key(SpecialCodeIndex::VKILL), 0x15),
    (5, Key(SpecialCodeIndex::VEOF), 0x04),
    (6, Key(SpecialCodeIndex::VEOL), NO_KEY),
    (7, Key(SpecialCodeIndex::VEOL2), NO_KEY),
    (8, Key(SpecialCodeIndex::VSTART), 0x11),
    (9, Key(SpecialCodeIndex::VSTOP), 0x13),
    (10, Key(SpecialCodeIndex::VSUSP), 0x1a),
    (12, Key(SpecialCodeIndex::VREPRINT), 0x12),
    (13, Key(SpecialCodeIndex::VWERASE), 0x17),
    (14, Key(SpecialCodeIndex::VLNEXT), 0x16),
    (18, Key(SpecialCodeIndex::VDISCARD), 0x0f),
    (30, Input(InputModes::IGNPAR), 0),
    (31, Input(InputModes::PARMRK), 0),
    (32, Input(InputModes::INPCK), 0),
    (33, Input(InputModes::ISTRIP), 0),
    (34, Input(InputModes::INLCR), 0),
    (35, Input(InputModes::IGNCR), 0),
    (36, Input(InputModes::ICRNL), 1),
    (37, Input(InputModes::IUCLC), 0),
    (38, Input(InputModes::IXON), 1),
    (39, Input(InputModes::IXANY), 0),
    (40, Input(InputModes::IXOFF), 0),
    (41, Input(InputModes::IMAXBEL), 0),
    (IUTF8, Input(InputModes::IUTF8), 1),
    (50, Local(LocalModes::ISIG), 1),
    (51, Local(LocalModes::ICANON), 1),
    (52, Local(LocalModes::XCASE), 0),
    (53, Local(LocalModes::ECHO), 1),
    (54, Local(LocalModes::ECHOE), 1),
    (55, Local(LocalModes::ECHOK), 1),
    (56, Local(LocalModes::ECHONL), 0),
    (57, Local(LocalModes::NOFLSH), 0),
    (58, Local(LocalModes::TOSTOP), 0),
    (59, Local(LocalModes::IEXTEN), 1),
    (60, Local(LocalModes::ECHOCTL), 1),
    (61, Local(LocalModes::ECHOKE), 1),
    (70, Output(OutputModes::OPOST), 1),
    (71, Output(OutputModes::OLCUC), 0),
    (72, Output(OutputModes::ONLCR), 1),
    (73, Output(OutputModes::OCRNL), 0),
    (74, Output(OutputModes::ONOCR), 0),
    (75, Output(OutputModes::ONLRET), 0),
];

/// Sets what is known of `modes`; of two with one code the later counts.
pub fn apply(modes: &[TerminalMode], to: &mut Termios) {
    for TerminalMode { code, value } in modes {
        let on = *value != 0;
        match SETTINGS.iter().find(|(known, ..)| known == code) {
            Some((_, Key(key), _)) if *value == NO_KEY => to.special_codes[*key] = DISABLED,
            // What is no byte is no key either.
            Some((_, Key(key), _)) => to.special_codes[*key] = u8::try_from(*value).unwrap_or(DISABLED),
            Some((_, Input(mode), _)) => to.input_modes.set(*mode, on),
            Some((_, Local(mode), _)) => to.local_modes.set(*mode, on),
            Some((_, Output(mode), _)) => to.output_modes.set(*mode, on),
            None => {}
        }
    }
}

/// What is set otherwise than usually. Nothing of [`InputModes::IUTF8`]: it is off where nobody has thought of it.
pub fn unusual(terminal: &Termios) -> Vec<TerminalMode> {
    let set = SETTINGS.iter().map(|(code, setting, usual)| (*code, setting.value(terminal), *usual));
    set.filter(|(code, value, usual)| value != usual && *code != IUTF8)
        .map(|(code, value, _)| TerminalMode { code, value })
        .collect()
}

impl Setting {
    fn value(self, of: &Termios) -> u32 {
        match self {
            Key(key) => match of.special_codes[key] {
                DISABLED => NO_KEY,
                byte => byte.into(),
            },
            Input(mode) => of.input_modes.contains(mode).into(),
            Local(mode) => of.local_modes.contains(mode).into(),
            Output(mode) => of.output_modes.contains(mode).into(),
        }
    }
}
