//! A terminal with an emulator behind it: what a person would see of a program, and not only what it has written.
//!
//! Answers what programs ask a terminal (where is the cursor, who are you), since they wait for that.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::mem;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use rustix::fs::{OFlags, fcntl_setfl};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use vt100::{Callbacks, Parser};

use crate::running::Ran;
use crate::sandbox::Sandbox;
use crate::wait::{DEADLINE, wait_until};

/// The name that terminfo(5) has for what is emulated.
const KIND: &str = "xterm-256color";

/// Where a screen keeps lines that have scrolled away.
const SCROLLBACK: usize = 1000;

/// A terminal and what it shows. Dropping it hangs up on the program.
pub struct Screen {
    own: File,
    path: PathBuf,
    emulator: Parser<Answers>,
    bytes: Vec<u8>,
}

/// What the emulator says to the program of its own accord.
#[derive(Debug, Default)]
struct Answers(Vec<u8>);

impl Callbacks for Answers {
    fn unhandled_csi(
        &mut self,
        screen: &mut vt100::Screen,
        first: Option<u8>,
        second: Option<u8>,
        parameters: &[&[u16]],
        last: char,
    ) {
        let parameter = parameters.first().and_then(|numbers| numbers.first()).copied().unwrap_or_default();
        match (first, second, last, parameter) {
            (None, None, 'n', 6) => {
                let (row, column) = screen.cursor_position();
                self.0.extend(format!("\x1b[{};{}R", row + 1, column + 1).bytes());
            }
            (None, None, 'n', 5) => self.0.extend(b"\x1b[0n"),
            // A VT220, which is what xterm says of itself, with colours.
            (None, None, 'c', 0) => self.0.extend(b"\x1b[?62;22c"),
            (Some(b'>'), None, 'c', 0) => self.0.extend(b"\x1b[>1;10;0c"),
            _ => {}
        }
    }
}

impl Screen {
    /// A new one of this size, with nobody on it.
    pub fn new(rows: u16, columns: u16) -> Self {
        let own = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&own).unwrap();
        unlockpt(&own).unwrap();
        let path = ptsname(&own, Vec::new()).unwrap().into_string().unwrap().into();
        fcntl_setfl(&own, OFlags::NONBLOCK).unwrap();
        tcsetwinsize(&own, size(rows, columns)).unwrap();
        let emulator =
            Parser::new_with_callbacks(count(rows), count(columns), SCROLLBACK, Answers::default());
        Self { own: own.into(), path, emulator, bytes: Vec::new() }
    }

    /// Where a program finds its end.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The end of a program's.
    pub fn end(&self) -> File {
        File::options().read(true).write(true).open(&self.path).unwrap()
    }

    /// Starts `command` with this as its controlling terminal, stdin, stdout and stderr.
    pub fn start(&self, sandbox: &Sandbox, command: &Command) -> Child {
        let mut wrapped = sandbox.command("/usr/bin/setsid");
        // setsid(1) passes on no argv[0] of its own.
        wrapped.args(["--ctty", "/bin/bash", "-c", "exec -a client \"$@\"", "bash"]);
        wrapped.arg(command.get_program()).args(command.get_args());
        command.get_current_dir().into_iter().for_each(|directory| {
            wrapped.current_dir(directory);
        });
        wrapped.env("TERM", KIND);
        wrapped.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        wrapped.stdin(self.end()).stdout(self.end()).stderr(self.end()).spawn().unwrap()
    }

    /// Presses keys, and takes what is shown meanwhile.
    #[track_caller]
    pub fn keys(&mut self, keys: &[u8]) {
        let mut left = keys;
        wait_until("the keys are taken", DEADLINE, || {
            self.show();
            match self.own.write(left) {
                Ok(written) => left = &left[written..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => panic!("keys: {error}"),
            }
            left.is_empty()
        });
    }

    /// Gives the window another size, of which the program is told.
    pub fn resize(&mut self, rows: u16, columns: u16) {
        self.show();
        self.emulator.screen_mut().set_size(count(rows), count(columns));
        tcsetwinsize(&self.own, size(rows, columns)).unwrap();
    }

    /// The emulator's own view of it.
    pub fn shown(&mut self) -> &vt100::Screen {
        self.show()
    }

    /// All that is on the screen, without the blanks at the ends of lines.
    pub fn text(&mut self) -> String {
        self.show().contents()
    }

    /// One row of it, the first is 0.
    pub fn row(&mut self, row: u16) -> String {
        let (_, columns) = self.show().size();
        self.show().rows(0, columns.get()).nth(row.into()).unwrap_or_default()
    }

    /// All that was ever written to it, as it was written.
    pub fn written(&mut self) -> &[u8] {
        self.show();
        &self.bytes
    }

    /// Row and column of the cursor, from 0.
    pub fn cursor(&mut self) -> (u16, u16) {
        self.show().cursor_position()
    }

    /// Whether the other screen is shown, as full-screen programs have it.
    pub fn is_alternate(&mut self) -> bool {
        self.show().alternate_screen()
    }

    /// The colour of what is written there.
    pub fn colour(&mut self, row: u16, column: u16) -> vt100::Color {
        self.show().cell(row, column).map_or(vt100::Color::Default, vt100::Cell::fgcolor)
    }

    /// Waits until it shows `text`.
    #[track_caller]
    pub fn wait_for(&mut self, text: &str) {
        self.wait_until(&format!("{text:?}"), |screen| screen.contents().contains(text));
    }

    /// Waits until `is` is true of it. If that never is, the failure shows what was there.
    #[track_caller]
    pub fn wait_until(&mut self, what: &str, is: impl Fn(&vt100::Screen) -> bool) {
        let shown = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            wait_until(&format!("{what} on the screen"), DEADLINE, || is(self.show()));
        }));
        if let Err(failure) = shown {
            eprintln!("the screen:\n{}\n(cursor {:?})", self.text(), self.cursor());
            std::panic::resume_unwind(failure);
        }
    }

    /// Its modes and control characters, as `stty` writes them.
    pub fn modes(&self) -> String {
        let ran = Ran::of(Command::new("stty").arg("-g").arg("-F").arg(&self.path));
        ran.text()
    }

    /// Takes what was written to it, and answers what was asked.
    fn show(&mut self) -> &vt100::Screen {
        let mut bytes = [0; 4096];
        loop {
            match self.own.read(&mut bytes) {
                Ok(read @ 1..) => {
                    self.bytes.extend(&bytes[..read]);
                    self.emulator.process(&bytes[..read]);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // Nothing for now, or nobody at the other end (EIO).
                Ok(0) | Err(_) => break,
            }
        }
        let answers = mem::take(&mut self.emulator.callbacks_mut().0);
        if !answers.is_empty() {
            // A program that has asked and gone needs no answer.
            self.own.write_all(&answers).ok();
        }
        self.emulator.screen()
    }
}

fn count(cells: u16) -> NonZero<u16> {
    NonZero::new(cells).unwrap()
}

fn size(rows: u16, columns: u16) -> Winsize {
    Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }
}
