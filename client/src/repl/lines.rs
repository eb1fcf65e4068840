//! Where lines come from: a thread that waits for one when it is asked to, since both a line editor and a pipe block,
//! and the connection must be kept up meanwhile.
//!
//! - `waiting`: commands that came together and are handed out one after the other

mod waiting;

use std::io::{self, BufRead, Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use common::escape::escape;
use tokio::sync::watch;
use tokio::time;

use self::waiting::Waiting;
use super::completion::{Answers, Asking, Place, Question};
use super::editor::{Editor, PromptData, Shared};
use super::syntax::Scanner;
use crate::cli::failure::Failure;
use crate::config::PromptSettings;

/// How long the editor may take to give the terminal back. It looks several times a second.
const GIVE_BACK: Duration = Duration::from_secs(1);

/// Longest command of a script, the end of its last line included: more than a request can carry, so that one that is
/// merely too long is told from what is no script.
const COMMAND_BYTES: usize = 4 * 1024 * 1024;

/// What came.
#[derive(Debug)]
pub(crate) enum Line {
    /// A line without its end, or the lines of one command without the last one's.
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
    asks: mpsc::SyncSender<Ask>,
    lines: tokio::sync::mpsc::Receiver<(u64, Line)>,
    /// The first line's of what came last, from 1.
    number: u64,
    /// Whether the thread has been asked and has not answered.
    asked: bool,
    /// A person's terminal; a script has nothing of the kind.
    screen: Option<Screen>,
    waiting: Waiting,
    /// What the server is called that lines are for from now on.
    host: Option<String>,
}

/// What is asked for.
#[derive(Debug)]
struct Ask {
    /// What the line is to begin with.
    begun: String,
    /// What the server is called that it is for, if that is another one.
    host: Option<String>,
}

/// What the line editor shares with us.
#[derive(Debug)]
struct Screen {
    shared: Arc<Shared>,
    /// Makes it stop asking.
    stop: Arc<AtomicBool>,
    /// What it completes words with.
    answers: Arc<Answers>,
    /// What it wants to know for that.
    questions: watch::Receiver<Option<Question>>,
}

impl Lines {
    /// From a person at the terminal, whose lines are for the server that is called `host`.
    ///
    /// # Errors
    /// [`Failure::System`].
    pub(crate) fn from_terminal(host: &str, settings: &PromptSettings) -> Result<Self, Failure> {
        let (shared, printer) = Shared::new(settings.clone());
        let (shared, stop) = (Arc::new(shared), Arc::new(AtomicBool::new(false)));
        let (answers, questions) =
            Answers::new().map_err(|error| Failure::System { what: "a descriptor", error })?;
        let screen = Screen {
            shared: Arc::clone(&shared),
            stop: Arc::clone(&stop),
            answers: Arc::clone(&answers),
            questions,
        };
        let host = host.to_owned();
        Self::spawn(Some(screen), move || {
            let mut editor = Editor::new(&host, shared, answers, printer, stop);
            let mut number = 0;
            move |ask: &Ask| {
                number += 1;
                ask.host.iter().for_each(|host| editor.turn_to(host));
                (number, editor.read_line(&ask.begun))
            }
        })
    }

    /// From a script.
    ///
    /// # Errors
    /// [`Failure::System`].
    pub(crate) fn from_script(reader: impl BufRead + Send + 'static) -> Result<Self, Failure> {
        let mut script = Script { reader, number: 0 };
        Self::spawn(None, move || move |_: &Ask| (script.number + 1, script.command()))
    }

    /// `open` runs in the thread; what it opens need not be able to leave it.
    fn spawn<R: FnMut(&Ask) -> (u64, Line)>(
        screen: Option<Screen>,
        open: impl FnOnce() -> R + Send + 'static,
    ) -> Result<Self, Failure> {
        let (asks, asked) = mpsc::sync_channel::<Ask>(1);
        let (answer, lines) = tokio::sync::mpsc::channel(1);
        let serve = move || {
            let mut read = open();
            while let Ok(ask) = asked.recv() {
                if answer.blocking_send(read(&ask)).is_err() {
                    return;
                }
            }
        };
        let thread = thread::Builder::new().name("lines".to_owned()).spawn(serve);
        thread.map_err(|error| Failure::System { what: "a thread", error })?;
        Ok(Self { asks, lines, number: 0, asked: false, screen, waiting: Waiting::default(), host: None })
    }

    /// The next line. Of a paste it is the next command, which is shown behind a prompt of its own.
    pub(crate) async fn next(&mut self) -> Line {
        if let Some(command) = self.waiting.next() {
            self.show(&command);
            return Line::Text(command);
        }
        if !self.asked {
            // There is room: the thread has taken what it was asked before.
            let ask = Ask { begun: self.waiting.take_begun(), host: self.host.take() };
            self.asked = self.asks.send(ask).is_ok();
        }
        let (number, line) = self.lines.recv().await.unwrap_or((self.number, Line::End));
        self.number = number;
        self.asked = false;
        match line {
            Line::Text(text) if self.screen.is_some() => Line::Text(self.waiting.cut(text)),
            line => line,
        }
    }

    /// Lines are for the server that is called `host` from the next one on.
    pub(crate) fn turn_to(&mut self, host: &str) {
        self.host = Some(host.to_owned());
    }

    /// Which line it was that came last, from 1; the first one of several.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// What answers the editor's questions from `place`; none to a script.
    pub(crate) fn asking<'a>(&self, place: Place<'a>) -> Option<Asking<'a>> {
        let screen = self.screen.as_ref()?;
        Some(Asking::new(place, screen.questions.clone(), Arc::clone(&screen.answers)))
    }

    /// A line has run: what was known for completion may be wrong.
    pub(crate) fn forget_answers(&self) {
        if let Some(screen) = &self.screen {
            screen.answers.forget();
        }
    }

    /// How the prompt looks; `None` if there is none.
    pub(crate) fn looks(&self) -> Option<PromptSettings> {
        Some(self.screen.as_ref()?.shared.looks())
    }

    /// Changes how it looks, if there is one.
    pub(crate) fn change_looks(&self, change: impl FnOnce(&mut PromptSettings)) -> bool {
        self.screen.as_ref().map(|screen| screen.shared.change_looks(change)).is_some()
    }

    /// Whether it has no colours, whatever was asked for.
    pub(crate) fn is_plain(&self) -> bool {
        self.screen.as_ref().is_some_and(|screen| !screen.shared.style().colour)
    }

    /// Changes what the prompt says, also while somebody types behind it.
    pub(crate) fn change_prompt(&self, change: impl FnOnce(&mut PromptData)) {
        if let Some(screen) = &self.screen {
            screen.shared.change(change);
        }
    }

    /// Has a line written above the prompt; does not wait.
    /// What is written.
    pub(crate) fn print_above(&self, line: &str) -> String {
        self.screen.as_ref().map(|screen| screen.shared.print_above(line)).unwrap_or_default()
    }

    /// A command was interrupted: what was pasted behind it goes back into the editor.
    pub(crate) fn hold_back(&mut self) {
        self.waiting.hold_back();
    }

    /// Takes what was typed while a command ran and was not read by it: whole commands come next, the rest is what the
    /// next line begins with.
    pub(crate) fn give_back(&mut self, typed: &[u8]) {
        self.waiting.give_back(typed);
    }

    /// An interrupt came while somebody was asked for a line. The editor sees a key instead; without one, what was
    /// typed is gone, and is asked for again.
    pub(crate) fn interrupted(&self) {
        if let Some(screen) = self.screen.as_ref().filter(|screen| screen.shared.style().dumb) {
            screen.stop.store(true, Ordering::Relaxed);
            put(&format!("\n{}", screen.shared.prompt()));
        }
    }

    /// Shows a command as if it had been typed now.
    fn show(&self, command: &[u8]) {
        put(&self.shown(command));
    }

    /// A command as it stands behind the prompt; nothing in a script.
    pub(crate) fn shown(&self, command: &[u8]) -> String {
        let Some(screen) = &self.screen else { return String::new() };
        let text = String::from_utf8_lossy(command);
        let shown = text.lines().map(escape).collect::<Vec<_>>().join("\n> ");
        format!("{}{shown}\n", screen.shared.prompt())
    }

    /// Leaves the terminal as it was, if somebody is being asked for a line there.
    pub(crate) async fn close(mut self) {
        let screen = self.screen.as_ref().filter(|screen| !screen.shared.style().dumb);
        if let (Some(screen), true) = (screen, self.asked) {
            screen.stop.store(true, Ordering::Relaxed);
            time::timeout(GIVE_BACK, self.lines.recv()).await.ok();
        }
    }
}

fn put(text: &str) {
    // Nobody is left to see it if stderr is gone.
    io::stderr().write_all(text.as_bytes()).ok();
}

/// A script that is read.
struct Script<R> {
    reader: R,
    /// Lines that were read.
    number: u64,
}

impl<R: BufRead> Script<R> {
    /// The next command: a line, or as many as it takes.
    fn command(&mut self) -> Line {
        let (mut command, mut scanner) = (Vec::new(), Scanner::new());
        loop {
            let begin = command.len();
            let room = (COMMAND_BYTES + 1).saturating_sub(begin) as u64;
            match self.reader.by_ref().take(room).read_until(b'\n', &mut command) {
                Ok(0) if command.is_empty() => return Line::End,
                // The shell says what is missing.
                Ok(0) => return Line::Text(command),
                Ok(_) if command.len() > COMMAND_BYTES => {
                    return too_long(if begin == 0 { "line" } else { "command" });
                }
                Ok(_) => {}
                Err(error) => return Line::Failed(error),
            }
            self.number += 1;
            let line = command.get(begin..).unwrap_or_default();
            if scanner.is_own(line) || scanner.line(line) {
                command.pop_if(|last| *last == b'\n');
                return Line::Text(command);
            }
        }
    }
}

fn too_long(what: &str) -> Line {
    Line::Failed(io::Error::other(format!("a {what} of more than {} KiB", COMMAND_BYTES / 1024)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commands(script: &[u8]) -> Vec<(u64, Vec<u8>)> {
        let mut script = Script { reader: io::Cursor::new(script.to_vec()), number: 0 };
        let mut found = Vec::new();
        loop {
            match (script.number + 1, script.command()) {
                (number, Line::Text(command)) => found.push((number, command)),
                (_, Line::End) => return found,
                (_, other) => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn a_script_has_lines() {
        let expected = [(1, b"one".to_vec()), (2, Vec::new()), (3, b"\xff three".to_vec())];
        assert_eq!(commands(b"one\n\n\xff three"), expected);
    }

    #[test]
    fn a_command_of_several_lines_is_one() {
        let script = b"a\nif b\nthen\n:c\nfi\n:env A='\ncat <<E\n\n'\nE\nd";
        let found = commands(script);
        let found: Vec<_> = found.iter().map(|(number, text)| (*number, text.as_slice())).collect();
        let expected: [(u64, &[u8]); 5] =
            [(1, b"a"), (2, b"if b\nthen\n:c\nfi"), (6, b":env A='"), (7, b"cat <<E\n\n'\nE"), (11, b"d")];
        assert_eq!(found, expected);
    }

    #[test]
    fn what_is_never_closed_is_handed_out_at_the_end() {
        assert_eq!(commands(b"a 'b\nc\n"), [(1, b"a 'b\nc\n".to_vec())]);
    }

    #[test]
    fn what_is_never_closed_has_a_limit() {
        let lines = [b"'\n".to_vec(), b"x\n".repeat(COMMAND_BYTES / 2)].concat();
        let mut script = Script { reader: io::Cursor::new(lines), number: 0 };
        assert!(matches!(script.command(), Line::Failed(_)));
        let line = vec![b'x'; COMMAND_BYTES];
        let mut script = Script { reader: io::Cursor::new(line), number: 0 };
        assert!(matches!(script.command(), Line::Text(text) if text.len() == COMMAND_BYTES));
    }
}
