//! The screen that tests look at shows what a person would see.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::process::{Child, Command};

use tests::{DEADLINE, Sandbox, Screen, wait_until};
use vt100::Color;

/// A screen of 10 by 40 on which a shell runs these lines.
fn shell(lines: &str) -> (Screen, Child, Sandbox) {
    let (screen, sandbox) = (Screen::new(10, 40), Sandbox::new());
    let child = screen.start(&sandbox, Command::new("/bin/sh").args(["-c", lines]));
    (screen, child, sandbox)
}

#[track_caller]
fn ends(child: &mut Child) {
    wait_until("the shell ends", DEADLINE, || child.try_wait().unwrap().is_some());
}

#[test]
fn text_colours_and_the_cursor_are_where_they_were_put() {
    let (mut screen, mut shell, _sandbox) =
        shell(r"printf 'one\r\n\033[31mred\033[m\033[5;7Hthere\033[2;2H'; read done");
    screen.wait_for("there");
    assert_eq!(screen.text(), "one\nred\n\n\n      there");
    assert_eq!((screen.row(4), screen.cursor()), ("      there".to_owned(), (1, 1)));
    assert_eq!((screen.colour(1, 0), screen.colour(0, 0)), (Color::Idx(1), Color::Default));
    screen.keys(b"\r");
    ends(&mut shell);
}

#[test]
fn the_other_screen_comes_and_goes() {
    let (mut screen, mut shell, _sandbox) =
        shell("echo before; tput smcup; echo inside; read go; tput rmcup; echo after; read done");
    screen.wait_until("the other screen", |screen| {
        screen.alternate_screen() && screen.contents().contains("inside")
    });
    assert!(!screen.text().contains("before"));
    screen.keys(b"\r");
    screen.wait_for("after");
    assert!(!screen.is_alternate() && screen.text().contains("before"));
    screen.keys(b"\r");
    ends(&mut shell);
}

#[test]
fn programs_are_told_its_kind_and_its_size_and_when_that_changes() {
    let (mut screen, mut shell, _sandbox) =
        shell("trap 'stty size' WINCH; stty size; echo $TERM; while read line; do echo got $line; done");
    screen.wait_for("10 40");
    screen.wait_for("xterm-256color");
    screen.resize(20, 60);
    // Some shells carry a trap out only once they have read something.
    screen.keys(b"x\r");
    screen.wait_for("20 60");
    screen.keys(b"\x04");
    ends(&mut shell);
}

#[test]
fn what_programs_ask_of_it_is_answered() {
    let ask = r#"stty raw -echo; printf '\033[4;9H\033[6n'; answer=$(dd bs=1 count=6 2>/dev/null | tr '\033' '!')
        stty sane; printf '\033[9;1H%s.' "$answer"; read done"#;
    let (mut screen, mut shell, _sandbox) = shell(ask);
    screen.wait_for("![4;9R.");
    screen.keys(b"\r");
    ends(&mut shell);
}
