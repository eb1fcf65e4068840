//! The terminal behind stderr, as far as a status line shares it with a command's output: who has left the cursor where.
//!
//! There is one in a program. A line that is shown makes way for whatever else is written.

use std::io::{self, IsTerminal, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

use common::escape::escape;
use rustix::termios::tcgetwinsize;

/// A terminal that does not tell its width.
const COLUMNS: u16 = 80;

/// Back to the first column, and everything from there is gone (ECMA-48).
const CLEAR: &str = "\r\x1b[K";

static SCREEN: Mutex<Screen> = Mutex::new(Screen { status: false, open: [false; 2] });

#[derive(Debug)]
struct Screen {
    /// Whether the cursor is behind a status line.
    status: bool,
    /// Whether stdout, and stderr, was left inside a line.
    open: [bool; 2],
}

/// One of this program's own streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    Stdout,
    Stderr,
}

/// Whether there is a terminal to show a status line on.
pub(crate) fn is_there() -> bool {
    io::stderr().is_terminal()
}

/// Takes the status line away, because something else is about to be written.
pub(crate) fn make_way() {
    let mut screen = lock();
    if std::mem::take(&mut screen.status) {
        put(CLEAR);
    }
}

/// Something was written to `stream` that ends with this byte.
pub(crate) fn wrote(stream: Stream, last: u8) {
    if let Some(open) = lock().open.get_mut(stream as usize) {
        *open = last != b'\n';
    }
}

/// Shows `line` in place of the status line, on a line of its own, cut to the width of the terminal.
pub(crate) fn show(line: &str) {
    let mut screen = lock();
    let [stdout, stderr] = screen.open;
    let inside = (stdout && io::stdout().is_terminal()) || stderr;
    let begin = if !screen.status && inside { "\n" } else { "" };
    let columns = tcgetwinsize(rustix::stdio::stderr()).map_or(0, |size| size.ws_col);
    let columns = usize::from(if columns == 0 { COLUMNS } else { columns });
    let line: String = escape(line).chars().take(columns - 1).collect();
    put(&format!("{begin}{CLEAR}{line}"));
    *screen = Screen { status: true, open: [false; 2] };
}

fn put(text: &str) {
    // Nobody is left to tell that stderr is gone.
    io::stderr().write_all(text.as_bytes()).ok();
}

fn lock() -> MutexGuard<'static, Screen> {
    SCREEN.lock().unwrap_or_else(PoisonError::into_inner)
}
