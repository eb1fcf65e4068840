//! The settings of a terminal by their codes on the wire (RFC 4254, section 8; RFC 8160 for IUTF8). Pure.
//!
//! What is about a line of wire, speeds and bits of a character, is ignored: there is none.

use common::job::TerminalMode;
use rustix::termios::{InputModes, LocalModes, OutputModes, SpecialCodeIndex, Termios};

/// The value of a key that there is not.
const NO_KEY: u32 = 255;

/// The same for the system (`_POSIX_VDISABLE`).
const DISABLED: u8 = 0;

/// What a code sets.
enum Setting {
    Key(SpecialCodeIndex),
    Input(InputModes),
    Local(LocalModes),
    Output(OutputModes),
}

/// Sets what is known of `modes`; of two with one code the later counts.
pub(super) fn apply(modes: &[TerminalMode], to: &mut Termios) {
    for TerminalMode { code, value } in modes {
        let on = *value != 0;
        match setting(*code) {
            Some(Setting::Key(key)) if *value == NO_KEY => to.special_codes[key] = DISABLED,
            Some(Setting::Key(key)) => {
                // What is no byte is no key either.
                to.special_codes[key] = u8::try_from(*value).unwrap_or(DISABLED);
            }
            Some(Setting::Input(mode)) => to.input_modes.set(mode, on),
            Some(Setting::Local(mode)) => to.local_modes.set(mode, on),
            Some(Setting::Output(mode)) => to.output_modes.set(mode, on),
            None => {}
        }
    }
}

fn setting(code: u8) -> Option<Setting> {
    Some(match code {
        1..=18 => Setting::Key(key(code)?),
        30..=42 => Setting::Input(input(code)?),
        50..=62 => Setting::Local(local(code)?),
        70..=75 => Setting::Output(output(code)?),
        _ => return None,
    })
}

fn key(code: u8) -> Option<SpecialCodeIndex> {
    Some(match code {
        1 => SpecialCodeIndex::VINTR,
        2 => SpecialCodeIndex::VQUIT,
        3 => SpecialCodeIndex::VERASE,
        4 => SpecialCodeIndex::VKILL,
        5 => SpecialCodeIndex::VEOF,
        6 => SpecialCodeIndex::VEOL,
        7 => SpecialCodeIndex::VEOL2,
        8 => SpecialCodeIndex::VSTART,
        9 => SpecialCodeIndex::VSTOP,
        10 => SpecialCodeIndex::VSUSP,
        12 => SpecialCodeIndex::VREPRINT,
        13 => SpecialCodeIndex::VWERASE,
        14 => SpecialCodeIndex::VLNEXT,
        18 => SpecialCodeIndex::VDISCARD,
        _ => return None,
    })
}

fn input(code: u8) -> Option<InputModes> {
    Some(match code {
        30 => InputModes::IGNPAR,
        31 => InputModes::PARMRK,
        32 => InputModes::INPCK,
        33 => InputModes::ISTRIP,
        34 => InputModes::INLCR,
        35 => InputModes::IGNCR,
        36 => InputModes::ICRNL,
        37 => InputModes::IUCLC,
        38 => InputModes::IXON,
        39 => InputModes::IXANY,
        40 => InputModes::IXOFF,
        41 => InputModes::IMAXBEL,
        42 => InputModes::IUTF8,
        _ => return None,
    })
}

fn local(code: u8) -> Option<LocalModes> {
    Some(match code {
        50 => LocalModes::ISIG,
        51 => LocalModes::ICANON,
        52 => LocalModes::XCASE,
        53 => LocalModes::ECHO,
        54 => LocalModes::ECHOE,
        55 => LocalModes::ECHOK,
        56 => LocalModes::ECHONL,
        57 => LocalModes::NOFLSH,
        58 => LocalModes::TOSTOP,
        59 => LocalModes::IEXTEN,
        60 => LocalModes::ECHOCTL,
        61 => LocalModes::ECHOKE,
        62 => LocalModes::PENDIN,
        _ => return None,
    })
}

fn output(code: u8) -> Option<OutputModes> {
    Some(match code {
        70 => OutputModes::OPOST,
        71 => OutputModes::OLCUC,
        72 => OutputModes::ONLCR,
        73 => OutputModes::OCRNL,
        74 => OutputModes::ONOCR,
        75 => OutputModes::ONLRET,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use common::job::Terminal;
    use rustix::termios::tcgetattr;

    use super::super::Pty;
    use super::*;

    #[test]
    fn what_is_asked_for_is_set_and_the_rest_stays() {
        let modes =
            [(3, 8), (1, NO_KEY), (2, 1000), (53, 0), (42, 0), (72, 0), (34, 0), (34, 1), (0, 1), (255, 7)];
        let modes = modes.map(|(code, value)| TerminalMode { code, value }).to_vec();
        let set =
            |modes| tcgetattr(&Pty::open(&Terminal { modes, ..Terminal::default() }).unwrap().slave).unwrap();
        let (usual, set) = (set(Vec::new()), set(modes));
        assert_eq!(usual.input_modes | InputModes::INLCR, set.input_modes | InputModes::IUTF8);
        assert!(!set.input_modes.contains(InputModes::IUTF8));
        assert_eq!(usual.local_modes, set.local_modes | LocalModes::ECHO);
        assert!(
            usual.output_modes.contains(OutputModes::ONLCR) && !set.output_modes.contains(OutputModes::ONLCR)
        );
        let keys = [
            SpecialCodeIndex::VERASE,
            SpecialCodeIndex::VINTR,
            SpecialCodeIndex::VQUIT,
            SpecialCodeIndex::VEOF,
        ];
        assert_eq!(keys.map(|key| set.special_codes[key]), [8, DISABLED, DISABLED, 4]);
    }

    #[test]
    fn no_code_and_no_value_does_harm() {
        for value in [0, 1, 254, NO_KEY, u32::MAX] {
            for codes in (0..=u8::MAX).collect::<Vec<_>>().chunks(64) {
                let modes = codes.iter().map(|code| TerminalMode { code: *code, value }).collect();
                Pty::open(&Terminal { modes, ..Terminal::default() }).unwrap();
            }
        }
    }
}
