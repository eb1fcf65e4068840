//! The writing of the trail: one line after the other, and the destination opened again after a failure.

use std::borrow::Cow;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::oneshot;
use tracing::{error, info};

use super::AuditError;
use super::destination::{Destination, Opened, Sink};
use crate::background::Work;

/// One line to be written.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) line: Vec<u8>,
    /// Whether the disk should have it.
    pub(super) sync: bool,
    /// Who waits for it. Nobody is interested in a line any more who has stopped to.
    pub(super) answer: Option<Answer>,
}

type Answer = oneshot::Sender<Result<(), AuditError>>;

/// How the writing goes; shared by those who wait for it.
#[derive(Debug, Default)]
pub(super) struct Health {
    /// Whether the last event could not be recorded.
    failing: AtomicBool,
    /// Whether somebody has waited in vain, and nothing was written since.
    stuck: AtomicBool,
}

impl Health {
    /// Tells the operator of the first failure in a row, and of its end.
    pub(super) fn note(&self, failure: Option<&AuditError>) {
        let before = self.failing.swap(failure.is_some(), Ordering::Relaxed);
        match failure {
            Some(error) if !before => error!(%error, "events are not recorded"),
            None if before => info!("events are recorded again"),
            _ => {}
        }
    }

    /// Whether waiting is in vain.
    pub(super) fn is_stuck(&self) -> bool {
        self.stuck.load(Ordering::Relaxed)
    }

    /// Somebody has waited in vain.
    pub(super) fn hangs(&self) {
        self.stuck.store(true, Ordering::Relaxed);
    }

    fn moves(&self) {
        self.stuck.store(false, Ordering::Relaxed);
    }

    #[cfg(test)]
    pub(super) fn is_failing(&self) -> bool {
        self.failing.load(Ordering::Relaxed)
    }
}

/// A destination, and how far the writing has come there.
#[derive(Debug)]
pub(super) struct Trail {
    destination: Box<dyn Destination>,
    /// `None` after a failure: the next event opens again what may have been mended.
    sink: Option<Box<dyn Sink>>,
    /// Whether the last line lacks its end, because there was no room for it.
    mid_line: bool,
    health: Arc<Health>,
}

impl Trail {
    /// The trail at `destination`, open.
    ///
    /// # Errors
    /// [`AuditError::Open`].
    pub(super) fn open(destination: Box<dyn Destination>, health: Arc<Health>) -> Result<Self, AuditError> {
        let mut trail = Self { destination, sink: None, mid_line: false, health };
        trail.sink = Some(trail.reopen()?);
        Ok(trail)
    }

    /// Writes `line` to the end, and to the disk with `sync`.
    fn append(&mut self, line: &[u8], sync: bool) -> Result<(), AuditError> {
        // One that was removed would take everything, and keep nothing.
        let sink = match self.sink.take().filter(|sink| sink.is_there()) {
            Some(sink) => sink,
            None => self.reopen()?,
        };
        let bytes = self.behind_the_last(line);
        let written = append(&*sink, &bytes);
        self.account(written, &bytes)?;
        let synced = if sync { sink.sync() } else { Ok(()) };
        self.sink = Some(sink);
        synced.map_err(|source| AuditError::Sync { to: self.name(), source })
    }

    /// If the line before lacks its end, that comes first, in the same call.
    fn behind_the_last<'a>(&self, line: &'a [u8]) -> Cow<'a, [u8]> {
        if self.mid_line { Cow::Owned([b"\n", line].concat()) } else { Cow::Borrowed(line) }
    }

    /// What came of writing `bytes`.
    fn account(&mut self, written: io::Result<usize>, bytes: &[u8]) -> Result<(), AuditError> {
        let written = written.map_err(|source| AuditError::Write { to: self.name(), source })?;
        if let Some(last) = written.checked_sub(1).and_then(|last| bytes.get(last)) {
            self.mid_line = *last != b'\n';
        }
        if written < bytes.len() {
            return Err(AuditError::Short { to: self.name(), written, length: bytes.len() });
        }
        Ok(())
    }

    fn tell(&self, answer: Option<Answer>, result: Result<(), AuditError>) {
        self.health.moves();
        self.health.note(result.as_ref().err());
        if let Some(answer) = answer {
            answer.send(result).ok();
        }
    }

    fn reopen(&mut self) -> Result<Box<dyn Sink>, AuditError> {
        let Opened { sink, mid_line } =
            self.destination.open().map_err(|source| AuditError::Open { to: self.name(), source })?;
        self.mid_line = mid_line.unwrap_or(self.mid_line);
        Ok(sink)
    }

    fn name(&self) -> String {
        self.destination.to_string()
    }
}

impl Work<Entry> for Trail {
    fn try_now(&mut self, entry: Entry) -> Result<(), Entry> {
        // A file is opened and synced where a slow disk delays nobody.
        let Some(sink) = self.sink.take_if(|_| !entry.sync) else { return Err(entry) };
        let bytes = self.behind_the_last(&entry.line);
        let written = sink.append_now(&bytes).filter(|written| !is_interrupted(written));
        let result = written.map(|written| self.account(written, &bytes));
        drop(bytes);
        let Some(result) = result else {
            self.sink = Some(sink);
            return Err(entry);
        };
        self.sink = result.is_ok().then_some(sink);
        self.tell(entry.answer, result);
        Ok(())
    }

    fn run(&mut self, entry: Entry) {
        if entry.answer.as_ref().is_some_and(oneshot::Sender::is_closed) {
            // What it announces was refused meanwhile.
            return;
        }
        let result = self.append(&entry.line, entry.sync);
        self.tell(entry.answer, result);
    }
}

/// One call that takes something: a signal may come before it has.
fn append(sink: &dyn Sink, bytes: &[u8]) -> io::Result<usize> {
    loop {
        let written = sink.append(bytes);
        if !is_interrupted(&written) {
            return written;
        }
    }
}

fn is_interrupted(written: &io::Result<usize>) -> bool {
    written.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::Interrupted)
}
