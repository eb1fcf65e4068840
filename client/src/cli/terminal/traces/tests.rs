use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn after(text: &str) -> Traces {
    let mut traces = Traces::default();
    traces.see(text.as_bytes());
    traces
}

/// Whether nothing is left to be undone.
fn are_none(traces: Traces) -> bool {
    traces == Traces::default()
}

fn undone(text: &str) -> String {
    let mut bytes = Vec::new();
    after(text).undo(&mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}

fn redone(text: &str) -> String {
    let mut bytes = Vec::new();
    after(text).redo(&mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}

#[test]
fn nothing_is_said_to_an_emulator_in_which_nothing_is_on() {
    for text in [
        "",
        "plain text\r\n",
        "\x1b[31mred\x1b[0m",
        "\x1b[1;31mred\x1b[m",
        "\x1b[2J\x1b[H\x1b[10;20Hx",
        "\x1b[?1049h\x1b[?25lx\x1b[?25h\x1b[?1049l",
        "\x1b[?1000;1006h\x1b[?1000;1006l",
        "\x1b=\x1b>",
        "\x1b]0;a title [31m\x07",
        "\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\",
        "\x1bP+q544e\x1b\\",
        "\x1b[>1u\x1b[<u",
        "\x1b[2;10r\x1b[r",
        "\x1b[?1048h\x1b[?12h",
        "\x1b[?2004h\x1b[?1h\x1b[31m\x1bc",
        "ünï ☃ 漢字",
        "\x1b(0lqk\x1b(B",
        "\x1b)0\x0elqk\x0f",
    ] {
        assert_eq!(undone(text), "", "{text:?}");
        assert!(are_none(after(text)), "{text:?}");
    }
}

#[test]
fn what_is_on_is_switched_off() {
    for (text, undo) in [
        ("\x1b[?1049h", "\x1b[?1049l"),
        ("\x1b[?47h\x1b[?1049l", ""),
        ("\x1b[?25l", "\x1b[?25h"),
        ("\x1b[?7l", "\x1b[?7h"),
        ("\x1b[?1;2004h", "\x1b[?2004l\x1b[?1l"),
        ("\x1b[?1006;1002h", "\x1b[?1002l\x1b[?1006l"),
        ("\x1b=", "\x1b>"),
        ("\x1b[31m", "\x1b[m"),
        ("\x1b[38;5;0m", "\x1b[m"),
        ("\x1b[38:2::1:2:3m", "\x1b[m"),
        ("\x1b[4h", "\x1b[4l"),
        ("\x1b(0", "\x1b(B"),
        ("\x1b)0\x0e", "\x0f"),
        ("\x1b[6 q", "\x1b[0 q"),
        ("\x1b[>4;2m", "\x1b[>4m"),
        ("\x1b[>1u\x1b[>3u", "\x1b[<2u"),
        ("\x1b[=5u", "\x1b[=0u"),
        ("\x1b[2;10r", "\x1b7\x1b[r\x1b8"),
        ("\x1b[?1049h\x1b[>1u\x1b[2;10r", "\x1b[r\x1b[<1u\x1b[?1049l"),
    ] {
        assert_eq!(undone(text), undo, "{text:?}");
        assert_eq!(are_none(after(text)), undo.is_empty(), "{text:?}");
    }
}

#[test]
fn a_sequence_that_nobody_finishes_is_ended() {
    assert_eq!(undone("\x1b"), "\x18");
    assert_eq!(undone("\x1b[?10"), "\x18");
    assert_eq!(undone("\x1b]0;half a ti"), "\x1b\\");
    assert_eq!(undone("\x1b]0;half a ti\x1b"), "\\");
    assert_eq!(undone("\x1b[31m\x1b[?10"), "\x18\x1b[m");
}

#[test]
fn what_was_undone_is_done_again() {
    let text = "\x1b[>1u\x1b[?1049h\x1b[?1002h\x1b[?25l\x1b=\x1b[>5u\x1b[>4;2m";
    assert_eq!(redone(text), "\x1b[>1u\x1b[?1049h\x1b[?25l\x1b[?1002h\x1b[>5u\x1b=\x1b[>4;2m");
    assert_eq!(after(text), after(&redone(text)));
    assert_eq!(redone("plain"), "");
}

#[test]
fn numbers_without_end_are_harmless() {
    let many = format!("\x1b[{}25lx\x1b[?{}h", ";".repeat(1000), "9".repeat(1000));
    assert_eq!(undone(&many), "");
}

/// Text, sequences that do something, and beginnings of sequences.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ -~\r\n]{0,6}",
        "\x1b\\[\\?(1|7|25|1000|1006|1049|2004|47)(;1002)?[hl]",
        "\x1b\\[[>=<][0-4]u",
        "\x1b\\[[0-9;]{0,4}[mrh]",
        "\x1b[=>c7(]",
        "\x1b\\][ -~]{0,4}(\x07|\x1b\\\\)",
        Just("\x1b[!p".to_owned()),
        "[\x0e\x0f\x18\x1b]",
    ]
}

proptest! {
    #[test]
    fn where_it_is_cut_makes_no_difference(pieces in vec(piece(), 0..12)) {
        let text = pieces.concat();
        let mut traces = Traces::default();
        for byte in text.bytes() {
            traces.see(&[byte]);
        }
        prop_assert_eq!(traces, after(&text));
    }

    #[test]
    fn nothing_is_left_once_it_is_undone(pieces in vec(piece(), 0..12)) {
        let text = pieces.concat();
        let left = after(&(text.clone() + &undone(&text)));
        // The other screen has a keyboard of its own, which is undone where that is shown.
        let left = Traces { keyboards: Default::default(), ..left };
        prop_assert!(are_none(left), "{text:?}: {left:?}");
    }

    #[test]
    fn any_bytes_are_harmless(bytes in vec(any::<u8>(), 0..200)) {
        let mut traces = Traces::default();
        traces.see(&bytes);
        let mut undo = Vec::new();
        traces.undo(&mut undo).unwrap();
        prop_assert!(undo.len() < 512);
    }
}
