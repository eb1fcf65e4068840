//! However a command ends that has the terminal here, or whoever leaves it: the terminal is as it was before.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::process::{Child, Command, ExitStatus};

use rustix::process::{Pid, Signal, kill_process};
use tests::{DEADLINE, Screen, TestServer, wait_until};
use vt100::MouseProtocolMode;

/// Takes over the emulator as an editor does, and goes on for as long as it is left.
const EDITOR: &str = r"printf '\033[?1049h\033[?1002h\033[?1h\033[?25l\033[31minside'; exec sleep 1000";

/// A client with its terminal, in the middle of a command.
struct Session {
    server: TestServer,
    screen: Screen,
    client: Child,
    before: String,
}

impl Session {
    /// Runs `command` with these options, and waits until it has said that it is `inside`.
    #[track_caller]
    fn start(options: &[&str], change: impl FnOnce(&mut Command), command: &str) -> Self {
        let server = TestServer::start();
        let mut screen = Screen::new(24, 80);
        let before = screen.modes();
        let mut program = server.client();
        program.args(["run", "-t"]).args(options).arg(command);
        change(&mut program);
        let client = screen.start(&server, &program);
        screen.wait_for("inside");
        wait_until("the terminal is raw", DEADLINE, || screen.modes() != before);
        Self { server, screen, client, before }
    }

    fn editor() -> Self {
        let mut session = Self::start(&[], |_| {}, EDITOR);
        assert!(session.screen.is_alternate());
        session
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.client), signal).unwrap();
    }

    /// Waits until the client is gone; requires that it has left nothing behind.
    #[track_caller]
    fn ends_restored(mut self) -> (ExitStatus, String) {
        let mut status = None;
        wait_until("the client ends", DEADLINE, || {
            self.screen.text();
            status = self.client.try_wait().unwrap();
            status.is_some()
        });
        assert_eq!(self.screen.modes(), self.before);
        self.screen.wait_until("nothing of the command's", |screen| {
            !screen.alternate_screen()
                && !screen.hide_cursor()
                && !screen.application_cursor()
                && screen.mouse_protocol_mode() == MouseProtocolMode::None
                && screen.fgcolor() == vt100::Color::Default
        });
        (status.unwrap(), self.screen.text())
    }
}

#[test]
fn when_a_signal_ends_it() {
    for signal in [Signal::TERM, Signal::HUP, Signal::INT] {
        let session = Session::editor();
        session.signal(signal);
        let (status, text) = session.ends_restored();
        assert_eq!(status.code(), Some(128 + signal.as_raw()), "{text}");
    }
}

#[test]
fn when_the_user_leaves() {
    let mut session = Session::editor();
    session.screen.keys(b"~.");
    let (status, text) = session.ends_restored();
    assert_eq!(status.code(), Some(130));
    assert!(text.contains("client: leaving job"), "{text}");
}

#[test]
fn when_the_user_leaves_it_to_the_server() {
    let mut session = Session::editor();
    session.screen.keys(b"\x1cd");
    let (status, text) = session.ends_restored();
    assert_eq!(status.code(), Some(0), "{text}");
    assert!(text.contains("client: detached: job"), "{text}");
}

#[test]
fn when_the_server_is_gone_for_good() {
    let session = Session::start(&["--grace", "0"], |_| {}, EDITOR);
    session.server.signal(Signal::KILL);
    let (status, text) = session.ends_restored();
    assert_eq!(status.code(), Some(125), "{text}");
}

#[test]
fn when_the_client_panics() {
    let mut session = Session::start(&[], |client| _ = client.env("TELEX_PANIC_AFTER", "3"), EDITOR);
    session.screen.keys(b"abc");
    let (status, text) = session.ends_restored();
    assert_eq!(status.code(), Some(125), "{text}");
    assert!(text.contains("TELEX_PANIC_AFTER"), "{text}");
}

#[test]
fn what_a_command_leaves_that_ends_by_itself_is_meant() {
    let command = r"printf 'inside\033[?25l'; head -c 2 > /dev/null; exit 3";
    let mut session = Session::start(&[], |_| {}, command);
    session.screen.keys(b"x\r");
    let mut status = None;
    wait_until("the client ends", DEADLINE, || {
        status = session.client.try_wait().unwrap();
        status.is_some()
    });
    assert_eq!(status.unwrap().code(), Some(3));
    assert_eq!(session.screen.modes(), session.before);
    session.screen.wait_until("no cursor", vt100::Screen::hide_cursor);
}

#[test]
fn when_the_command_never_starts() {
    let server = TestServer::start();
    let mut screen = Screen::new(24, 80);
    let before = screen.modes();
    let mut client = screen.start(&server, server.client().args(["run", "-t", "--", "/no/such/program"]));
    let mut status = None;
    wait_until("the client ends", DEADLINE, || {
        status = client.try_wait().unwrap();
        status.is_some()
    });
    assert_eq!(status.unwrap().code(), Some(127), "{}", screen.text());
    assert_eq!(screen.modes(), before);
}

#[test]
fn keys_go_as_they_are_typed_and_orders_do_not() {
    let mut session =
        Session::start(&[], |_| {}, "stty raw -echo 2> /dev/null; printf inside; head -c 6 | od -An -c");
    session.screen.keys(b"~?");
    session.screen.wait_for("~~   one ~ for the command");
    // Nobody ends the line, and Ctrl-C is a key.
    session.screen.keys(b"~~a\x03b\x1c");
    session.screen.keys(b"c");
    session.screen.wait_for(r"~   a 003   b 034   c");
    session.ends_restored();
}

#[test]
fn the_help_names_the_key_that_is_in_use() {
    let mut session = Session::start(&["--escape-key", "ctrl-]"], |_| {}, EDITOR);
    session.screen.keys(b"\x1d?");
    session.screen.wait_for("^]^]   one ^] for the command");
    session.screen.keys(b"\x1d.");
    session.ends_restored();
}

#[test]
fn while_the_client_is_stopped() {
    let server = TestServer::start();
    let mut screen = Screen::new(24, 80);
    let before = screen.modes();
    let script = "set -m; $CLIENT run -t \"$EDITOR\"; printf 'stopped'; read line; fg; printf 'left with %s' $?; read line";
    let mut shell = server.script("/bin/bash", script);
    shell.env("EDITOR", EDITOR);
    let mut shell = screen.start(&server, &shell);
    screen.wait_for("inside");
    wait_until("the terminal is raw", DEADLINE, || screen.modes() != before);
    screen.keys(b"~\x1a");
    screen.wait_for("stopped");
    assert_eq!(screen.modes(), before);
    assert!(!screen.is_alternate());
    screen.keys(b"\r");
    screen.wait_until("the other screen", vt100::Screen::alternate_screen);
    wait_until("the terminal is raw", DEADLINE, || screen.modes() != before);
    screen.keys(b"~.");
    screen.wait_for("left with 130");
    assert_eq!(screen.modes(), before);
    assert!(!screen.is_alternate());
    screen.keys(b"\r");
    wait_until("the shell ends", DEADLINE, || shell.try_wait().unwrap().is_some());
}
