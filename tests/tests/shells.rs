//! The prompt's shell, in every shell that it may be: what one line has done is there in the next, a line that is interrupted or wrong
//! takes nothing with it, and what a command should not see it does not see.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::process::Child;

use tests::{DEADLINE, Ran, Screen, TestServer, wait_until};

/// Somebody at the prompt.
struct Session<'a> {
    server: &'a TestServer,
    screen: Screen,
    client: Child,
    before: String,
    lines: u32,
}

impl<'a> Session<'a> {
    #[track_caller]
    fn with(server: &'a TestServer, shell: &str) -> Self {
        let screen = Screen::new(40, 100);
        let before = screen.modes();
        let client = screen.start(server, server.client().args(["repl", "--shell", shell]));
        let mut session = Self { server, screen, client, before, lines: 0 };
        session.wait_for_prompt();
        session
    }

    /// Waits until the cursor is behind a prompt with nothing typed.
    #[track_caller]
    fn wait_for_prompt(&mut self) {
        self.screen.wait_until("a prompt", |screen| {
            let (row, column) = screen.cursor_position();
            let line = screen.rows(0, 100).nth(row.into()).unwrap_or_default();
            line.trim_end().ends_with('$') && usize::from(column) == line.trim_end().len() + 1
        });
    }

    /// Types a line and waits until it is done.
    #[track_caller]
    fn line(&mut self, line: &str) {
        self.types(line);
        self.wait_for_prompt();
    }

    /// Types a line that says, in front of all, that it runs, and waits until it does.
    #[track_caller]
    fn types(&mut self, line: &str) {
        self.lines += 1;
        let (lines, begun) = (self.lines, self.server.path("begun"));
        forget(&begun);
        self.screen.keys(format!("echo {lines} >{}; {line}\r", begun.display()).as_bytes());
        self.screen.wait_until(&format!("{line:?} begun"), |_| begun.exists());
    }

    /// Has a command in the foreground that does nothing, and waits until it is there: a key before that would be the
    /// shell's own.
    #[track_caller]
    fn sleeps(&mut self) {
        let asleep = self.server.path("asleep");
        forget(&asleep);
        self.types(&format!("sh -c 'echo >{}; exec sleep 1000'", asleep.display()));
        self.screen.wait_until("a command that sleeps", |_| asleep.exists());
    }

    /// What a command writes.
    #[track_caller]
    fn says(&mut self, command: &str) -> String {
        let (file, whole) = (self.server.path("said"), self.server.path("said-whole"));
        forget(&whole);
        let (written, moved) = (file.display(), whole.display());
        self.screen.keys(format!("{{ {command}; }} >{written} 2>&1; mv {written} {moved}\r").as_bytes());
        wait_until("the command is done", DEADLINE, || {
            self.screen.text();
            whole.exists()
        });
        self.wait_for_prompt();
        fs::read_to_string(whole).unwrap().trim_end().to_owned()
    }

    #[track_caller]
    fn leaves(mut self, line: &str) -> Option<i32> {
        self.screen.keys(line.as_bytes());
        let mut status = None;
        wait_until("the client ends", 2 * DEADLINE, || {
            self.screen.text();
            status = self.client.try_wait().unwrap();
            status.is_some()
        });
        assert_eq!(self.screen.modes(), self.before);
        status.unwrap().code()
    }
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        self.client.kill().ok();
        self.client.wait().ok();
    }
}

fn forget(file: &Path) {
    match fs::remove_file(file) {
        Err(error) if error.kind() != ErrorKind::NotFound => panic!("{}: {error}", file.display()),
        _ => {}
    }
}

#[track_caller]
fn is_a_whole_shell(shell: &str) {
    let server = TestServer::start();
    let directory = server.directory("some where", 0o755);
    let mut session = Session::with(&server, shell);

    session.line(&format!(
        "cd '{}'; f() {{ echo \"f has $1\"; }}; alias g='echo g has'; umask 027; X=y",
        directory.display()
    ));
    let expected = format!("{}\nf has 1\n{}\ny", directory.display(), umask(shell));
    assert_eq!(session.says("pwd; f 1; umask; echo $X"), expected);
    session.line(&format!("g 2 >{}", server.path("aliased").display()));
    assert_eq!(fs::read_to_string(server.path("aliased")).unwrap(), "g has 2\n");

    // What is wrong with a line is its own.
    session.line("(exit 7)");
    assert_eq!(session.says("echo $?"), "7");
    for wrong in ["fi", "set -u; echo $NOPE", "set +u; . /no/such/file"] {
        session.screen.keys(wrong.as_bytes());
        session.screen.wait_for(wrong);
        session.screen.keys(b"\r");
        session.wait_for_prompt();
    }
    assert_eq!(session.says("echo still"), "still");
    session.line("set -e; test -e / && true || false");
    assert_eq!(session.says("set +e; echo \"still $?\""), "still 0");

    // Names of its own are its own.
    session.line("printf() { :; }; jobs() { :; }; history() { :; }; IFS=0123456789");
    assert_eq!(session.says("(exit 130); echo on"), "on");
    session.line("unset -f printf jobs history; unset IFS");

    // It can be interrupted and stopped.
    session.sleeps();
    session.screen.keys(b"\x03");
    session.wait_for_prompt();
    assert_eq!(session.says("echo $?"), "130");
    session.sleeps();
    session.screen.keys(b"\x1a");
    session.wait_for_prompt();
    assert!(session.says("jobs").contains("sleep 1000"));
    session.types("fg");
    session.screen.keys(b"\x03");
    session.wait_for_prompt();
    assert_eq!(session.says("jobs"), "");

    // What a command reads is the terminal, and the shell's own descriptors are not there.
    assert_eq!(session.says("test -t 0 && echo terminal"), "terminal");
    let descriptors = session.says("ls /proc/self/fd | tr '\\n' ' '; env | grep -i __telex; true");
    assert_eq!(descriptors, "0 1 2 3", "and the one of the directory itself");

    // Lines in lines, quotes in quotes.
    assert_eq!(session.says("for i in a b; do echo \"it's $i\"; done; echo '\"'"), "it's a\nit's b\n\"");
    assert_eq!(session.leaves("exit 5\r"), Some(5));
}

fn umask(shell: &str) -> &'static str {
    if shell.ends_with("zsh") || shell.ends_with("mksh") { "027" } else { "0027" }
}

#[test]
fn bash_is() {
    is_a_whole_shell("/bin/bash");
}

#[test]
fn dash_is() {
    is_a_whole_shell("/bin/dash");
}

#[test]
fn zsh_is() {
    is_a_whole_shell("/bin/zsh");
}

#[test]
fn mksh_is() {
    is_a_whole_shell("/bin/mksh");
}

#[test]
fn busybox_is() {
    is_a_whole_shell("/bin/busybox");
}

#[test]
fn a_shell_that_cannot_be_one_is_replaced_and_named() {
    let server = TestServer::start();
    let mut session = Session::with(&server, "/usr/bin/env");
    session.screen.wait_for("env cannot be the shell of a prompt like this one: it is sh");
    assert_eq!(session.says("echo $((1 + 1))"), "2");
    assert_eq!(session.leaves("\x04"), Some(0));
}

/// One script, which every shell runs alike.
const SCRIPT: &str = "cd /tmp; f() { echo f $1; }; alias g='echo g'\nf 1; g 2; pwd\n(exit 3)\necho $?\n\
                      printf() { echo mine; }; IFS=0123456789\nunset -f printf; unset IFS\ncat; echo read\nset -u\necho \"${X-none}\"\necho err >&2\nexit 4\necho never\n";

#[track_caller]
fn runs_a_script(shell: &str) {
    let server = TestServer::start();
    let ran = Ran::with_input(server.client().args(["repl", "--shell", shell]), SCRIPT.as_bytes()).exits(4);
    assert_eq!(ran.text(), "f 1\ng 2\n/tmp\n3\nread\nnone\n", "{shell}: {ran:?}");
    let errors = ran.errors();
    assert!(errors.contains("line 3: exit 3\n") && errors.contains("err\n"), "{errors}");
    assert!(Path::new(shell).exists());
}

#[test]
fn every_one_runs_a_script() {
    for shell in ["/bin/bash", "/bin/dash", "/bin/zsh", "/bin/mksh", "/bin/busybox"] {
        runs_a_script(shell);
    }
}
