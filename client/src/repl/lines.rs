//! Where lines come from: a thread that waits for one when it is asked to, since both a line editor and a pipe block,
//! and the connection must be kept up meanwhile.

use std::io::{self, BufRead, Read};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use tokio::time;

use super::editor::Editor;
use crate::cli::failure::Failure;

/// How long the editor may take to give the terminal back. It looks several times a second.
const GIVE_BACK: Duration = Duration::from_secs(1);

/// Longest line of a script, its end included: more than a request can carry, so that one that is merely too long is
/// told from what is no script.
const LINE_BYTES: u64 = 4 * 1024 * 1024;

/// What came.
#[derive(Debug)]
pub(crate) enum Line {
    /// A line, without its end.
    Text(Vec<u8>),
    /// Ctrl-C: the line is given up.
    Cleared,
    /// No more will come.
    End,
    /// No more can be had.
    Failed(io::Error),
}

/// Asks for lines, one at a time. The thread ends after the answer that it waits for when this is dropped, or with
/// the program.
#[derive(Debug)]
pub(crate) struct Lines {
    prompts: mpsc::SyncSender<String>,
    lines: tokio::sync::mpsc::Receiver<Line>,
    /// Whether the thread has been asked and has not answered.
    asked: bool,
    /// Makes the line editor stop asking; a script has nothing of the kind.
    stop: Option<Arc<AtomicBool>>,
}

impl Lines {
    /// From a person at the terminal.
    ///
    /// # Errors
    /// [`Failure::System`].
    pub(crate) fn from_terminal() -> Result<Self, Failure> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        Self::spawn(Some(stop), move || {
            let mut editor = Editor::new(stopped);
            move |prompt: &str| editor.read_line(prompt)
        })
    }

    /// From a script.
    ///
    /// # Errors
    /// [`Failure::System`].
    pub(crate) fn from_script(mut script: impl BufRead + Send + 'static) -> Result<Self, Failure> {
        Self::spawn(None, move || move |_: &str| read_script_line(&mut script))
    }

    /// `open` runs in the thread; what it opens need not be able to leave it.
    fn spawn<R: FnMut(&str) -> Line>(
        stop: Option<Arc<AtomicBool>>,
        open: impl FnOnce() -> R + Send + 'static,
    ) -> Result<Self, Failure> {
        let (prompts, asked) = mpsc::sync_channel::<String>(1);
        let (answer, lines) = tokio::sync::mpsc::channel(1);
        let serve = move || {
            let mut read = open();
            while let Ok(prompt) = asked.recv() {
                if answer.blocking_send(read(&prompt)).is_err() {
                    return;
                }
            }
        };
        let thread = thread::Builder::new().name("lines".to_owned()).spawn(serve);
        thread.map_err(|error| Failure::System { what: "a thread", error })?;
        Ok(Self { prompts, lines, asked: false, stop })
    }

    /// The next line.
    pub(crate) async fn next(&mut self, prompt: String) -> Line {
        if !self.asked {
            // There is room: the thread has taken what it was asked before.
            self.asked = self.prompts.send(prompt).is_ok();
        }
        let line = self.lines.recv().await.unwrap_or(Line::End);
        self.asked = false;
        line
    }

    /// Leaves the terminal as it was, if somebody is being asked for a line there.
    pub(crate) async fn close(mut self) {
        if let (Some(stop), true) = (&self.stop, self.asked) {
            stop.store(true, Ordering::Relaxed);
            time::timeout(GIVE_BACK, self.lines.recv()).await.ok();
        }
    }
}

fn read_script_line(script: &mut impl BufRead) -> Line {
    let mut line = Vec::new();
    match script.take(LINE_BYTES + 1).read_until(b'\n', &mut line) {
        Ok(0) => Line::End,
        Ok(read) if read as u64 > LINE_BYTES => {
            Line::Failed(io::Error::other(format!("a line of more than {} KiB", LINE_BYTES / 1024)))
        }
        Ok(_) => {
            line.pop_if(|last| *last == b'\n');
            Line::Text(line)
        }
        Err(error) => Line::Failed(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_has_lines() {
        let mut script = io::Cursor::new(b"one\n\n\xff three".to_vec());
        let mut next = || match read_script_line(&mut script) {
            Line::Text(line) => Some(line),
            Line::End => None,
            other => panic!("{other:?}"),
        };
        assert_eq!(next().unwrap(), b"one");
        assert_eq!(next().unwrap(), b"");
        assert_eq!(next().unwrap(), b"\xff three");
        assert!(next().is_none());
    }
}
