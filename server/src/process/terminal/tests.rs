//! How a new terminal is set.

use common::job::TerminalMode;
use rustix::termios::OutputModes;

use super::*;

#[test]
fn what_is_asked_for_is_set_and_the_rest_stays() {
    let modes = [(3, 8), (1, 255), (2, 1000), (53, 0), (42, 0), (72, 0), (34, 0), (34, 1), (0, 1), (255, 7)];
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
    let keys =
        [SpecialCodeIndex::VERASE, SpecialCodeIndex::VINTR, SpecialCodeIndex::VQUIT, SpecialCodeIndex::VEOF];
    assert_eq!(keys.map(|key| set.special_codes[key]), [8, 0, 0, 4]);
}

#[test]
fn what_is_usual_is_not_said_and_what_is_not_is_said_with_its_value() {
    let pty = Pty::open(&Terminal::default()).unwrap();
    let mut settings = tcgetattr(&pty.slave).unwrap();
    assert_eq!(terminal_modes::unusual(&settings), []);
    settings.special_codes[SpecialCodeIndex::VERASE] = 8;
    settings.special_codes[SpecialCodeIndex::VSTOP] = 0;
    settings.input_modes.remove(InputModes::IXON);
    settings.local_modes.insert(LocalModes::TOSTOP);
    let modes = terminal_modes::unusual(&settings);
    let said: Vec<_> = modes.iter().map(|mode| (mode.code, mode.value)).collect();
    assert_eq!(said, [(3, 8), (9, 255), (38, 0), (58, 1)]);
    let other = Pty::open(&Terminal { modes: modes.clone(), ..Terminal::default() }).unwrap();
    assert_eq!(terminal_modes::unusual(&tcgetattr(&other.slave).unwrap()), modes);
}

#[test]
fn no_code_and_no_value_does_harm() {
    for value in [0, 1, 254, 255, u32::MAX] {
        for codes in (0..=u8::MAX).collect::<Vec<_>>().chunks(64) {
            let modes = codes.iter().map(|code| TerminalMode { code: *code, value }).collect();
            Pty::open(&Terminal { modes, ..Terminal::default() }).unwrap();
        }
    }
}
