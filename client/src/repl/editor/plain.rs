//! Lines from a terminal that can only be written to (`TERM=dumb`), where nothing can be drawn twice: the system edits
//! the line, and there is no history.

use std::io::{self, BufRead, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use reedline::ExternalPrinter;

use super::reading::wants_more;
use super::shared::Shared;
use crate::cli::report;
use crate::repl::lines::Line;

/// Most bytes of a command; one that is open then is sent.
const COMMAND_BYTES: u64 = 1024 * 1024;

/// Asks for lines, and no more.
pub(crate) struct Plain {
    pub(super) shared: Arc<Shared>,
    pub(super) printer: ExternalPrinter<String>,
    /// Whether an interrupt has taken the lines back that belong to the same command.
    pub(super) interrupted: Arc<AtomicBool>,
}

impl Plain {
    /// Asks for a line that begins with `begun`, which cannot be taken back.
    pub(super) fn read_line(&self, begun: &str) -> Line {
        while let Some(line) = self.printer.get_line() {
            put(&format!("{line}\n"));
        }
        put(&format!("{}{begun}", self.shared.prompt()));
        let mut text = begun.as_bytes().to_vec();
        loop {
            let begin = text.len();
            let room = COMMAND_BYTES.saturating_sub(begin as u64);
            match io::stdin().lock().take(room).read_until(b'\n', &mut text) {
                Ok(0) if text.is_empty() => {
                    // Ctrl-D is not shown.
                    report::print("");
                    return Line::End;
                }
                Ok(0) => return Line::Text(text),
                Ok(_) => {}
                Err(error) => return Line::Failed(error),
            }
            text.pop_if(|last| *last == b'\n');
            if self.interrupted.swap(false, Ordering::Relaxed) {
                text.drain(..begin);
            }
            if !wants_more(&text) {
                return Line::Text(text);
            }
            text.push(b'\n');
            put("> ");
        }
    }
}

fn put(text: &str) {
    // Nobody is left to see it if stderr is gone.
    io::stderr().write_all(text.as_bytes()).ok();
}
