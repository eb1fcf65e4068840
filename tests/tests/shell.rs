//! `client shell`: a login shell there, as a person has it who sits before a terminal here.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::process::{Child, ExitStatus};

use tests::{DEADLINE, Ran, Screen, TestServer, wait_until};

/// Says that it is there, and stays. The quotes keep the words out of what is typed.
const SLEEPER: &str = "sh -c 'echo sl\"\"eeping; exec sleep 1000'";

/// Somebody before a terminal, with a shell on the server.
struct Session {
    screen: Screen,
    client: Child,
    before: String,
}

impl Session {
    /// `client shell` with these words.
    #[track_caller]
    fn start(server: &TestServer, words: &[&str]) -> Self {
        let screen = Screen::new(24, 80);
        let before = screen.modes();
        let client = screen.start(server, server.client().arg("shell").args(words));
        Self { screen, client, before }
    }

    /// The same, once the shell has carried out a line.
    #[track_caller]
    fn at_prompt(server: &TestServer, words: &[&str]) -> Self {
        let mut session = Self::start(server, words);
        wait_until("the terminal is raw", DEADLINE, || {
            session.screen.text();
            session.screen.modes() != session.before
        });
        session.line("echo re''ady");
        session.screen.wait_for("ready");
        session
    }

    #[track_caller]
    fn line(&mut self, line: &str) {
        self.screen.keys(format!("{line}\r").as_bytes());
    }

    /// Waits for its end; requires that the terminal is as it was.
    #[track_caller]
    fn ends(&mut self) -> ExitStatus {
        let mut status = None;
        wait_until("the client ends", DEADLINE, || {
            self.screen.text();
            status = self.client.try_wait().unwrap();
            status.is_some()
        });
        assert_eq!(self.screen.modes(), self.before);
        status.unwrap()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if self.client.try_wait().is_ok_and(|status| status.is_none()) {
            self.client.kill().ok();
            self.client.wait().ok();
        }
    }
}

#[test]
fn it_is_a_login_shell_and_its_code_is_ours() {
    let server = TestServer::start();
    let mut session = Session::at_prompt(&server, &["--cwd", "/", "-e", "TELEX_TEST=kept"]);
    session.line("printf 'name=%s %s in %s\\n' \"$0\" \"$TELEX_TEST\" \"$PWD\"");
    session.screen.wait_for("name=-");
    session.screen.wait_for("kept in /");
    session.line("exit 7");
    assert_eq!(session.ends().code(), Some(7));
}

#[test]
fn keys_interrupt_and_stop_what_runs_in_it() {
    let server = TestServer::start();
    let mut session = Session::at_prompt(&server, &[]);
    session.line(SLEEPER);
    session.screen.wait_for("sleeping");
    session.screen.keys(b"\x03");
    session.line("echo \"interrupted: $?\"");
    session.screen.wait_for("interrupted: 130");
    session.line("clear");
    session.screen.wait_until("an empty screen", |screen| !screen.contents().contains("interrupted"));
    session.line(SLEEPER);
    session.screen.wait_for("sleeping");
    session.screen.keys(b"\x1a");
    session.line("echo \"stopped: $?\"");
    session.screen.wait_for("stopped: 148");
    session.line("fg");
    session.screen.wait_until("the job again", |screen| {
        screen.contents().lines().rev().take(3).any(|line| line.starts_with("sh -c"))
    });
    session.screen.keys(b"\x03");
    session.line("echo \"in the end: $?\"");
    session.screen.wait_for("in the end: 130");
    session.line("exit 0");
    assert_eq!(session.ends().code(), Some(0));
}

#[test]
fn it_has_the_size_of_the_terminal_here_also_when_that_changes() {
    let server = TestServer::start();
    let mut session = Session::at_prompt(&server, &[]);
    session.line("stty size");
    session.screen.wait_for("24 80");
    session.screen.resize(30, 100);
    session.line("until test \"$(stty size)\" = '30 100'; do sleep 0.05; done; echo si''zed");
    session.screen.wait_for("sized");
    session.line("exit");
    assert_eq!(session.ends().code(), Some(0));
}

#[test]
fn a_program_may_have_the_terminal_in_its_place() {
    let server = TestServer::start();
    let mut session = Session::start(&server, &["--", "sh", "-c", "tty; echo \"name=$0.\"; exit 5", "x y"]);
    assert_eq!(session.ends().code(), Some(5));
    session.screen.wait_for("/dev/pts/");
    session.screen.wait_for("name=x y.");
}

#[test]
fn without_a_terminal_nothing_is_started_and_that_is_said() {
    let server = TestServer::start();
    let ran = Ran::of(server.client().arg("shell")).exits(125);
    assert_eq!(ran.text(), "");
    assert_eq!(
        ran.errors(),
        "client: stdin is no terminal, and a shell needs one; to run a command: client run \"…\", \
         on a terminal in any case: client run -tt \"…\"\n"
    );
}
#[test]
fn one_that_was_left_to_the_server_is_there_again_under_its_id() {
    let server = TestServer::start();
    let mut session = Session::at_prompt(&server, &["--id", "desk"]);
    session.line("left=behind");
    session.line("echo se''t");
    session.screen.wait_for("set");
    session.screen.keys(b"\x1cd");
    assert_eq!(session.ends().code(), Some(0), "{}", session.screen.text());
    let mut again = Session::start(&server, &["--id", "desk"]);
    again.screen.wait_for("set");
    again.line("echo \"found $left\"");
    again.screen.wait_for("found behind");
    again.line("exit 3");
    assert_eq!(again.ends().code(), Some(3));
}
