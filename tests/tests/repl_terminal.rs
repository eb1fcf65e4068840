//! The REPL with a person at a terminal: prompt, line editing, Ctrl-C, Ctrl-D.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use std::process::Command;

use tests::{DEADLINE, Mark, Ran, TestServer, wait_until};

/// A terminal of tmux' with a REPL in it. Says `left with CODE` when the REPL is gone.
struct Terminal<'a> {
    server: &'a TestServer,
}

impl<'a> Terminal<'a> {
    fn with_repl(server: &'a TestServer) -> Self {
        let terminal = Self { server };
        let client = server.bare_client();
        let script = format!(
            "stty -g > {before}; {client} -H {address}; code=$?; stty -g > {after}; echo left with $code; cat",
            client = client.get_program().display(),
            address = server.address(),
            before = server.path("before").display(),
            after = server.path("after").display(),
        );
        let arguments = ["-f", "/dev/null", "new-session", "-d", "-x", "100", "-y", "30", &script];
        Ran::of(terminal.tmux().args(arguments).env("SHELL", "/bin/sh")).succeeds();
        terminal.wait_for_screen("a prompt", |screen| screen.ends_with("$\n"));
        terminal
    }

    fn tmux(&self) -> Command {
        let mut command = self.server.command("/usr/bin/tmux");
        command.arg("-S").arg(self.server.path("tmux")).env("TERM", "xterm");
        command
    }

    /// Types text or presses keys by their names.
    fn keys(&self, keys: &[&str]) {
        Ran::of(self.tmux().arg("send-keys").args(keys)).succeeds();
    }

    /// Types a line.
    fn line(&self, line: &str) {
        self.keys(&["-l", line]);
        self.keys(&["Enter"]);
    }

    /// What is to be seen, without the blank rest.
    fn screen(&self) -> String {
        let screen = Ran::of(self.tmux().args(["capture-pane", "-p"])).text();
        format!("{}\n", screen.trim_end())
    }

    #[track_caller]
    fn wait_for(&self, text: &str) {
        self.wait_for_screen(text, |screen| screen.contains(text));
    }

    /// Waits until the last line is a prompt in `directory`, whatever it notes before.
    #[track_caller]
    fn wait_for_prompt(&self, directory: &str) {
        let prompt = format!("{}:{directory}$", self.server.address());
        self.wait_for_screen(&prompt, |screen| {
            screen.lines().last().is_some_and(|line| line.trim().ends_with(&prompt))
        });
    }

    #[track_caller]
    fn wait_for_screen(&self, what: &str, condition: impl Fn(&str) -> bool) {
        let mut last = String::new();
        let start = std::time::Instant::now();
        wait_until("the screen shows it", 2 * DEADLINE, || {
            last = self.screen();
            assert!(start.elapsed() < DEADLINE, "the screen does not show {what:?}:\n{last}");
            condition(&last)
        });
    }
}

impl Drop for Terminal<'_> {
    fn drop(&mut self) {
        self.tmux().arg("kill-server").output().unwrap();
    }
}

#[test]
fn the_prompt_says_where_one_is() {
    let server = TestServer::start();
    let terminal = Terminal::with_repl(&server);
    terminal.line("cd /tmp");
    terminal.wait_for_prompt("/tmp");
    terminal.line("cd /usr/bin");
    terminal.wait_for_prompt("/usr/bin");
    terminal.line("echo $((6 * 7))");
    terminal.wait_for("\n42\n");
    terminal.wait_for_prompt("/usr/bin");
}

#[test]
fn an_outcome_other_than_0_is_shown() {
    let server = TestServer::start();
    let terminal = Terminal::with_repl(&server);
    terminal.line("cd /tmp; (exit 3)");
    terminal.wait_for("[3] ");
    terminal.wait_for_prompt("/tmp");
    terminal.wait_for("\n[3] ");
}

#[test]
fn ctrl_c_ends_the_command_and_not_the_session() {
    let server = TestServer::start();
    let mark = Mark::new();
    let (name, value) = mark.variable();
    let terminal = Terminal::with_repl(&server);
    terminal.line(&format!("cd /tmp; export {name}={value}"));
    terminal.wait_for_prompt("/tmp");
    terminal.line("echo go; sleep 100");
    terminal.wait_for("\ngo\n");
    mark.wait_for_program("sleep");
    terminal.keys(&["C-c"]);
    mark.wait_until_gone();
    terminal.wait_for_prompt("/tmp");
    terminal.line("echo still $((40 + 2))");
    terminal.wait_for("\nstill 42\n");
}

#[test]
fn ctrl_c_at_the_prompt_drops_the_line() {
    let server = TestServer::start();
    let terminal = Terminal::with_repl(&server);
    terminal.line("cd /tmp");
    terminal.wait_for_prompt("/tmp");
    terminal.keys(&["-l", "echo never-$((1 + 1))"]);
    terminal.wait_for("never-");
    terminal.keys(&["C-c"]);
    terminal.wait_for_prompt("/tmp");
    terminal.line("echo next-$((1 + 1))");
    terminal.wait_for("\nnext-2\n");
    assert!(!terminal.screen().contains("never-2"));
}

#[test]
fn ctrl_d_leaves_and_the_terminal_is_as_it_was() {
    let server = TestServer::start();
    let terminal = Terminal::with_repl(&server);
    terminal.line("cd /tmp");
    terminal.wait_for_prompt("/tmp");
    terminal.keys(&["C-d"]);
    terminal.wait_for("left with 0");
    let modes = |name: &str| std::fs::read_to_string(server.path(name)).unwrap();
    assert_eq!(modes("before"), modes("after"));
}

#[test]
fn quit_leaves() {
    let server = TestServer::start();
    let terminal = Terminal::with_repl(&server);
    terminal.line(":quit");
    terminal.wait_for("left with 0");
}

#[test]
fn a_line_can_be_edited_and_the_last_one_be_had_again() {
    let server = TestServer::start();
    let terminal = Terminal::with_repl(&server);
    terminal.line("cd /tmp");
    terminal.wait_for_prompt("/tmp");
    terminal.keys(&["-l", "echo abX"]);
    terminal.keys(&["BSpace"]);
    terminal.line("c-$((1 + 1))");
    terminal.wait_for("\nabc-2\n");
    terminal.wait_for_prompt("/tmp");
    terminal.keys(&["Up"]);
    terminal.line("; echo again-$((1 + 2))");
    terminal.wait_for("\nabc-2\nagain-3\n");
}

#[test]
fn the_remote_command_does_not_eat_what_is_typed_for_the_prompt() {
    let server = TestServer::start();
    let terminal = Terminal::with_repl(&server);
    terminal.line("cd /tmp; true");
    terminal.wait_for_prompt("/tmp");
    terminal.line("echo one-$((1 + 1)); true");
    terminal.line("echo two-$((1 + 1))");
    // The terminal shows what is typed meanwhile wherever the cursor is, as it does for a local shell.
    terminal.wait_for("two-2\n");
    assert!(terminal.screen().contains("one-2"), "{}", terminal.screen());
}
