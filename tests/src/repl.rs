//! A person at the prompt: the real client on a screen of its own.

use std::process::{Child, Command, ExitStatus};

use crate::screen::Screen;
use crate::test_server::TestServer;
use crate::wait::{DEADLINE, wait_until};

/// A REPL on a screen of its own.
pub struct Repl {
    /// What the person sees.
    pub screen: Screen,
    /// The program.
    pub client: Child,
    /// The terminal's modes before the program had it.
    pub before: String,
}

impl Repl {
    /// One of a server that its user calls `db1`, at its prompt.
    #[track_caller]
    pub fn start(server: &TestServer) -> Self {
        Self::with(server, server.address(), "", |_| {})
    }

    /// The same, where the server has this address, with more in `config.toml` and changes of the command.
    #[track_caller]
    pub fn with(
        server: &TestServer,
        address: &str,
        settings: &str,
        change: impl FnOnce(&mut Command),
    ) -> Self {
        server.settings("config.toml", format!("{settings}\n[hosts.db1]\naddress = \"{address}\"\n"));
        let mut command = server.bare_client();
        command.args(["-H", "db1"]);
        change(&mut command);
        let mut repl = Self::busy(&command, server);
        repl.wait_for_row("a prompt", |row| row.contains("db1"));
        repl
    }

    /// What `command` is, which need not come to a prompt at once.
    pub fn busy(command: &Command, server: &TestServer) -> Self {
        let screen = Screen::new(24, 80);
        let before = screen.modes();
        let client = screen.start(server, command);
        Self { screen, client, before }
    }

    /// Presses keys.
    pub fn keys(&mut self, keys: &str) {
        self.screen.keys(keys.as_bytes());
    }

    /// Types a line, and waits until the screen shows `text`.
    #[track_caller]
    pub fn line(&mut self, line: &str, text: &str) {
        self.keys(&format!("{line}\r"));
        self.wait_for_line(text);
        self.wait_for_row("a prompt", |row| row.ends_with('$'));
    }

    /// Waits until one row is this.
    #[track_caller]
    pub fn wait_for_line(&mut self, text: &str) {
        self.screen.wait_until(&format!("the line {text:?}"), |screen| {
            screen.contents().lines().any(|line| line.trim_end() == text)
        });
    }

    /// Waits until the row with the cursor is so.
    #[track_caller]
    pub fn wait_for_row(&mut self, what: &str, is: impl Fn(&str) -> bool) {
        self.screen.wait_until(what, |screen| {
            let (row, _) = screen.cursor_position();
            let (_, columns) = screen.size();
            screen.rows(0, columns.get()).nth(row.into()).is_some_and(|row| is(row.trim_end()))
        });
    }

    /// Waits until the row with the cursor ends so.
    #[track_caller]
    pub fn wait_for_end(&mut self, end: &str) {
        self.wait_for_row(&format!("a row that ends with {end:?}"), |row| row.ends_with(end));
    }

    /// Waits until what is shown in reverse is this.
    #[track_caller]
    pub fn wait_for_reversed(&mut self, text: &str) {
        self.screen.wait_until(&format!("{text:?} in reverse"), |screen| {
            let (rows, columns) = screen.size();
            let cells = (0..rows.get()).flat_map(|row| (0..columns.get()).map(move |column| (row, column)));
            let reversed =
                cells.filter_map(|(row, column)| screen.cell(row, column)).filter(|cell| cell.inverse());
            reversed.map(vt100::Cell::contents).collect::<String>().trim_end() == text
        });
    }

    /// All that is on the screen.
    pub fn text(&mut self) -> String {
        self.screen.text()
    }

    /// Waits for a prompt with nothing typed.
    #[track_caller]
    pub fn wait_for_prompt(&mut self) {
        self.wait_for_row("a prompt", |row| row.ends_with('$'));
    }

    /// Leaves, and requires the terminal as it was.
    #[track_caller]
    pub fn leave(mut self) {
        // Before the prompt is there, the system would take the key for the end of a command's input.
        self.wait_for_prompt();
        self.keys("\x04");
        assert_eq!(self.ends().code(), Some(0), "{}", self.text());
    }

    /// Waits until the program is gone, and requires the terminal as it was.
    #[track_caller]
    pub fn ends(&mut self) -> ExitStatus {
        let mut status = None;
        wait_until("the client ends", DEADLINE, || {
            self.screen.text();
            status = self.client.try_wait().unwrap();
            status.is_some()
        });
        assert_eq!(self.screen.modes(), self.before);
        assert!(!self.screen.is_alternate(), "{}", self.text());
        status.unwrap()
    }
}

impl Drop for Repl {
    fn drop(&mut self) {
        self.client.kill().ok();
        self.client.wait().ok();
    }
}
