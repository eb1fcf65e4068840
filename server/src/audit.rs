//! The audit trail: who came, what ran for them and what became of it, one JSON object a line.
//!
//! Not the log: it has a promised form (`docs/config.md`), holds command lines, and a server can be told to start
//! nothing that it cannot record. Never holds values of variables, output, keys or tokens.
//!
//! - `event`: what is recorded
//! - `line`: how it is written, and kept below 16 KiB
//! - `destination`: where it goes

mod destination;
mod event;
mod line;
mod stamp;

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use common::reason::system_reason;
use thiserror::Error;
use tracing::{error, info};

use self::destination::{AuditFile, Destination, Opened, Sink, Stderr};
use self::stamp::Stamp;
use crate::config::{AuditDestination, AuditSettings, OnFailure};

pub(crate) use self::event::{
    Authentication, ConnectionChange, Enrolment, Event, JobEnd, JobStart, ServerChange, Verdict,
};

/// Where events are recorded. Shared by all connections; each call may block for as long as the disk takes.
#[derive(Debug)]
pub(crate) struct Audit {
    /// `None` if nothing is recorded.
    destination: Option<Box<dyn Destination>>,
    commands: bool,
    on_failure: OnFailure,
    sync: bool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// `None` after a failure: the next event opens again what may have been mended.
    sink: Option<Arc<dyn Sink>>,
    /// Whether the last line lacks its end, because there was no room for it.
    mid_line: bool,
    /// Whether the last event could not be recorded.
    failing: bool,
}

impl Audit {
    /// The trail that `settings` ask for, open.
    ///
    /// # Errors
    /// [`AuditError::Open`], so that a server that could record nothing does not start.
    pub(crate) fn open(settings: &AuditSettings) -> Result<Self, AuditError> {
        let destination: Option<Box<dyn Destination>> = match &settings.to {
            AuditDestination::Off => None,
            AuditDestination::Stderr => Some(Box::new(Stderr)),
            AuditDestination::File(path) => Some(Box::new(AuditFile(path.clone()))),
        };
        Self::to(destination, settings)
    }

    /// Whether [`Audit::open`] would succeed, as far as can be seen without making a file.
    ///
    /// # Errors
    /// As [`Audit::open`].
    pub(crate) fn check(settings: &AuditSettings) -> Result<(), AuditError> {
        let AuditDestination::File(path) = &settings.to else { return Ok(()) };
        let file = AuditFile(path.clone());
        file.check().map_err(|source| AuditError::Open { to: file.to_string(), source })
    }

    fn to(destination: Option<Box<dyn Destination>>, settings: &AuditSettings) -> Result<Self, AuditError> {
        let audit = Self {
            destination,
            commands: settings.commands,
            on_failure: settings.on_failure,
            sync: settings.sync,
            state: Mutex::default(),
        };
        audit.reopen()?;
        Ok(audit)
    }

    /// Opens the file anew, for those who have moved it away (logrotate(8)). What is open stays in use if that fails.
    ///
    /// # Errors
    /// [`AuditError::Open`].
    pub(crate) fn reopen(&self) -> Result<(), AuditError> {
        let Some(destination) = &self.destination else { return Ok(()) };
        let mut state = self.lock();
        state.open(&**destination).map(drop)
    }

    /// Records that `event` happens now. When this returns, the system has the whole line, and with `sync` the disk has
    /// the starts and ends of jobs.
    ///
    /// The operator learns of the first failure in a row, and of its end, from the log.
    ///
    /// # Errors
    /// [`AuditError`]. The next event tries everything again.
    pub(crate) fn record(&self, event: &Event<'_>) -> Result<(), AuditError> {
        let Some(destination) = &self.destination else { return Ok(()) };
        let line = event.line(Stamp::now(), self.commands).into_bytes();
        let result = line
            .map_err(|source| AuditError::Write { to: destination.to_string(), source })
            .and_then(|line| self.append(&**destination, &line))
            .and_then(|sink| {
                if self.sync && event.is_worth_syncing() { sync(&**destination, &*sink) } else { Ok(()) }
            });
        self.lock().note(result.as_ref().err());
        result
    }

    /// Records `event` and says whether what it announces may go on: the start of a job, a login.
    ///
    /// # Errors
    /// [`Refusal`] if it cannot be recorded and the operator wants nothing to happen then.
    pub(crate) fn admit(&self, event: &Event<'_>) -> Result<(), Refusal> {
        decide(self.record(event), self.on_failure)
    }

    fn append(&self, destination: &dyn Destination, line: &[u8]) -> Result<Arc<dyn Sink>, AuditError> {
        let mut state = self.lock();
        let sink = match &state.sink {
            Some(sink) => Arc::clone(sink),
            None => state.open(destination)?,
        };
        state.append(&*sink, line).map_err(|failure| match failure {
            Failure::System(source) => AuditError::Write { to: destination.to_string(), source },
            Failure::Short { written, length } => {
                AuditError::Short { to: destination.to_string(), written, length }
            }
        })?;
        Ok(sink)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change of the state is a single assignment, so there is no half of one to fear.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn sync(destination: &dyn Destination, sink: &dyn Sink) -> Result<(), AuditError> {
    sink.sync().map_err(|source| AuditError::Sync { to: destination.to_string(), source })
}

/// What an event that could not be recorded means for what it announces.
fn decide(recorded: Result<(), AuditError>, on_failure: OnFailure) -> Result<(), Refusal> {
    match on_failure {
        OnFailure::Refuse => recorded.map_err(Refusal),
        OnFailure::Continue => Ok(()),
    }
}

enum Failure {
    System(io::Error),
    Short { written: usize, length: usize },
}

impl State {
    fn open(&mut self, destination: &dyn Destination) -> Result<Arc<dyn Sink>, AuditError> {
        let Opened { sink, mid_line } =
            destination.open().map_err(|source| AuditError::Open { to: destination.to_string(), source })?;
        self.mid_line = mid_line.unwrap_or(self.mid_line);
        self.sink = Some(Arc::clone(&sink));
        Ok(sink)
    }

    /// Writes `line`. If the one before it lacks its end, that comes first, in the same call.
    fn append(&mut self, sink: &dyn Sink, line: &[u8]) -> Result<(), Failure> {
        let with_end = self.mid_line.then(|| [b"\n", line].concat());
        let bytes = with_end.as_deref().unwrap_or(line);
        let written = match write(sink, bytes) {
            Ok(written) => written,
            Err(error) => {
                self.sink = None;
                return Err(Failure::System(error));
            }
        };
        if let Some(last) = written.checked_sub(1).and_then(|last| bytes.get(last)) {
            self.mid_line = *last != b'\n';
        }
        if written < bytes.len() {
            self.sink = None;
            return Err(Failure::Short { written, length: bytes.len() });
        }
        Ok(())
    }

    fn note(&mut self, failure: Option<&AuditError>) {
        match failure {
            Some(error) if !self.failing => error!(%error, "events are not recorded"),
            None if self.failing => info!("events are recorded again"),
            _ => {}
        }
        self.failing = failure.is_some();
    }
}

/// One call that takes something: a signal may come before it has.
fn write(sink: &dyn Sink, bytes: &[u8]) -> io::Result<usize> {
    loop {
        match sink.append(bytes) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// An event that is not recorded. The fault of this machine or its operator, never of the peer.
#[derive(Debug, Error)]
pub enum AuditError {
    /// It cannot be opened, or others could write to it.
    #[error("cannot open the audit trail {to}: {}", system_reason(source))]
    Open {
        /// The file, or `stderr`.
        to: String,
        /// The system's error, or ours.
        source: io::Error,
    },
    /// The system took nothing of the line.
    #[error("cannot write to the audit trail {to}: {}", system_reason(source))]
    Write {
        /// The file, or `stderr`.
        to: String,
        /// The system's error.
        source: io::Error,
    },
    /// The system took the beginning of the line: the disk is full, or a limit is reached.
    #[error("cannot write to the audit trail {to}: there was room for {written} of {length} bytes")]
    Short {
        /// The file, or `stderr`.
        to: String,
        /// Bytes taken.
        written: usize,
        /// Bytes of the line.
        length: usize,
    },
    /// It may not be on the disk.
    #[error("cannot sync the audit trail {to}: {}", system_reason(source))]
    Sync {
        /// The file, or `stderr`.
        to: String,
        /// The system's error.
        source: io::Error,
    },
}

/// What would go unrecorded is not done. Says no more than a peer may know; the reason is in the source.
#[derive(Debug, Error)]
#[error("the server cannot record it")]
pub(crate) struct Refusal(#[source] AuditError);

#[cfg(test)]
mod tests;
