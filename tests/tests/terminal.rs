//! `run -t` as a person has it, with the real programs: what is typed gets there once and is shown once, the size follows the
//! window, and a command ends there as it would here. What becomes of the terminal here is in `terminal_restored`.
//!
//! What the line and the server can do to it is in `lines`, full-screen programs are in `programs`, who comes later is in `attached`, what is said of a
//! lost line is in `bar`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "terminal/attached.rs"]
mod attached;
#[path = "terminal/bar.rs"]
mod bar;
#[path = "terminal/lines.rs"]
mod lines;
#[path = "terminal/programs.rs"]
mod programs;

use std::fs;
use std::process::{Child, Command};

use tests::{DEADLINE, Mark, Ran, Screen, TestServer, wait_until};

/// Tells the size when it changes, until it is interrupted.
const SIZES: &str =
    "trap 'stty size' WINCH; trap 'exit 3' INT; stty size; sleep 1000 & while :; do wait; done";

/// A client on a screen of its own.
struct Session {
    screen: Screen,
    client: Child,
    before: String,
}

impl Session {
    /// `client run -t ARGUMENTS`.
    fn run(server: &TestServer, arguments: &[&str]) -> Self {
        Self::start(server, server.client().args(["run", "-t"]).args(arguments))
    }

    /// The same for one text that bash executes.
    fn bash(server: &TestServer, text: &str) -> Self {
        Self::run(server, &["--", "bash", "-c", text])
    }

    fn start(server: &TestServer, command: &Command) -> Self {
        let screen = Screen::new(24, 80);
        let before = screen.modes();
        let client = screen.start(server, command);
        Self { screen, client, before }
    }

    /// Waits for its end, and requires this exit code and the terminal as it was; what is on the screen then.
    #[track_caller]
    fn exits(mut self, code: i32) -> String {
        let mut status = None;
        wait_until("the client ends", DEADLINE, || {
            self.screen.text();
            status = self.client.try_wait().unwrap();
            status.is_some()
        });
        let text = self.screen.text();
        assert_eq!(status.unwrap().code(), Some(code), "{text}");
        assert_eq!(self.screen.modes(), self.before);
        assert!(!self.screen.is_alternate(), "{text}");
        text
    }
}

/// What a command has left in a file there, if it is a whole line.
#[track_caller]
fn line_in(server: &TestServer, file: &str) -> String {
    let path = server.path(file);
    wait_until("a line is written", DEADLINE, || fs::read(&path).is_ok_and(|line| line.ends_with(b"\n")));
    fs::read_to_string(path).unwrap().trim().to_owned()
}

#[test]
fn what_is_typed_is_shown_once_and_the_exit_code_is_the_commands() {
    let server = TestServer::start();
    let mut session = Session::bash(&server, "tty > /dev/null && echo ready; cat; exit 5");
    session.screen.wait_for("ready");
    session.screen.keys(b"one\r");
    session.screen.wait_for("one\none");
    // Corrected before the command has it.
    session.screen.keys("twö\x7f\x7fo\r".as_bytes());
    session.screen.wait_until("to, twice", |screen| screen.contents().matches("\nto").count() == 2);
    session.screen.keys(b"\x04");
    let text = session.exits(5);
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    assert_eq!(lines, ["ready", "one", "one", "to", "to"]);
}

#[test]
fn the_size_is_the_windows_from_the_first_line_on() {
    let server = TestServer::start();
    let mut session = Session::bash(&server, SIZES);
    session.screen.wait_for("24 80");
    for (rows, columns) in [(30, 100), (10, 40), (43, 132)] {
        session.screen.resize(rows, columns);
        session.screen.wait_for(&format!("{rows} {columns}"));
    }
    session.screen.keys(b"\x03");
    session.exits(3);
}

#[test]
fn keys_that_are_not_the_usual_ones_here_are_not_there() {
    let server = TestServer::start();
    let shell = "stty erase '^H' stop undef -ixon; exec \"$@\"";
    let mut command = server.command("/bin/bash");
    let client = server.client();
    command.args(["-c", shell, "bash"]).arg(client.get_program()).args(client.get_args());
    command.args(["run", "-t", "stty -a; read -r line; echo \"got $line\""]);
    command.envs(client.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let mut session = Session::start(&server, &command);
    session.screen.wait_for("erase = ^H;");
    let text = session.screen.text();
    assert!(
        text.contains("stop = <undef>;") && text.contains("-ixon") && text.contains("intr = ^C;"),
        "{text}"
    );
    session.before = session.screen.modes();
    session.screen.wait_for("echoke");
    session.screen.keys(b"one\x08\x08wl\r");
    session.screen.wait_for("got owl");
    wait_until("the client ends", DEADLINE, || session.client.try_wait().unwrap().is_some());
}

#[test]
fn a_command_without_a_terminal_here_has_one_of_no_kind() {
    let server = TestServer::start();
    let mut client = server.client();
    client.env_remove("TERM").args(["run", "-tt", "stty size; echo $TERM; test -t 0 -a -t 1 -a -t 2"]);
    let ran = Ran::of(&mut client).exits(0);
    assert!(ran.text().ends_with("24 80\r\ndumb\r\n"), "{ran:?}");
    let ran = server.run(["-tt", "-e", "TERM=vt52", "echo $TERM"]).exits(0);
    assert!(ran.text().ends_with("vt52\r\n"), "{ran:?}");
}

#[test]
fn what_is_written_just_before_the_end_comes_to_its_last_byte() {
    let server = TestServer::start();
    let expected: String = (1..=12_000).map(|number| format!("{number}\n")).collect();
    for _ in 0..10 {
        let ran = server.run(["-tt", "-n", "stty -opost; seq 1 12000; exit 7"]).exits(7);
        assert!(ran.stdout == expected.as_bytes(), "{} of {} bytes", ran.stdout.len(), expected.len());
    }
}

#[test]
fn a_file_is_typed_and_then_its_end() {
    let server = TestServer::start();
    let lines: String = (1..=40_000).map(|number| format!("{number}\n")).collect();
    for (number, input) in ["", "one\ntwo\n", "one\ntwo", &lines].into_iter().enumerate() {
        let file = format!("sum.{number}");
        let command = format!("cat | cksum > {}; exit 6", server.path(&file).display());
        server.run_with_input(["-tt", &command], input.as_bytes()).exits(6);
        let expected = Ran::with_input(&mut server.command("/usr/bin/cksum"), input.as_bytes()).succeeds();
        assert_eq!(line_in(&server, &file), expected.trim(), "{} bytes", input.len());
    }
}

#[test]
fn ctrl_c_interrupts_what_is_in_the_foreground() {
    let server = TestServer::start();
    let mut session =
        Session::bash(&server, "trap : INT; (echo ready; exec sleep 1000); echo \"left with $?\"; exit 4");
    session.screen.wait_for("ready");
    session.screen.keys(b"\x03");
    assert_eq!(session.exits(4), "ready\n^Cleft with 130");
}

#[test]
fn a_signal_that_has_a_key_goes_where_the_key_would() {
    for options in [&[][..], &["--id", "front"]] {
        let server = TestServer::start();
        // Each command has a process group of its own.
        let text = "set -m; trap 'echo wrong' INT
             bash -c \"trap 'exit 9' INT; echo ready; while :; do sleep 0.02; done\"; echo \"left with $?\"; exit 4";
        let mut session = Session::run(&server, &[options, &["--", "bash", "-c", text]].concat());
        session.screen.wait_for("ready");
        let list = Ran::of(server.client().arg("jobs")).succeeds();
        let id = list.lines().nth(1).unwrap().split(' ').next().unwrap();
        Ran::of(server.client().args(["signal", id, "INT"])).succeeds();
        session.screen.wait_for("left with 9");
        assert_eq!(session.exits(4), "ready\nleft with 9");
    }
}

#[test]
fn a_command_that_takes_too_long_is_ended_with_all_that_is_on_its_terminal() {
    let server = TestServer::start();
    let mark = Mark::new();
    let mark_option = mark.option();
    let mut arguments = vec!["--timeout", "1s"];
    arguments.extend(mark_option.iter().map(String::as_str));
    arguments.extend(["--", "bash", "-c", "set -m; sleep 1000 & echo ready; cat"]);
    let mut session = Session::run(&server, &arguments);
    session.screen.wait_for("ready");
    let text = session.exits(124);
    assert!(text.contains("\nclient: timed out after 1s"), "{text}");
    mark.wait_until_gone();
}
