//! The audit trail: who came, what ran for them and what became of it, one JSON object a line.
//!
//! Not the log: it has a promised form (`docs/config.md`), holds command lines, and a server can be told to start
//! nothing that it cannot record. Never holds values of variables, output, keys or tokens.
//!
//! - `event`: what is recorded
//! - `line`: how it is written, and kept below 16 KiB
//! - `destination`: where it goes
//! - `trail`: the thread that writes it there

mod destination;
mod event;
mod line;
mod stamp;
mod trail;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use common::reason::system_reason;
use thiserror::Error;
use tokio::sync::oneshot;
use tokio::time::{self, Instant};

use self::destination::{AuditFile, Destination, Stderr};
use self::stamp::Stamp;
use self::trail::{Entry, Health, Trail};
use crate::background::{Background, NotTaken};
use crate::config::{AuditDestination, AuditSettings, OnFailure};

pub(crate) use self::event::{
    Authentication, ConnectionChange, Deed, Enrolment, Event, JobEnd, JobIntervention, JobStart,
    ServerChange, Verdict,
};

/// Events that may wait to be written; each has at most 16 KiB, and few have more than one.
const WAITING: usize = 1024;

/// How long what is about to happen waits for its record. A disk that is busy takes a second or two; whatever takes longer
/// is stuck, and then nobody waits until it moves again.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where events are recorded. Shared by all connections. Nothing here waits for a reader: what could is
/// done by a thread.
///
/// When it is dropped, it waits up to 400 ms until everything is written.
#[derive(Debug)]
pub(crate) struct Audit {
    /// `None` if nothing is recorded.
    writer: Option<Writer>,
    commands: bool,
    on_failure: OnFailure,
    sync: bool,
}

#[derive(Debug)]
struct Writer {
    thread: Background<Entry, Trail>,
    health: Arc<Health>,
    /// The destination, for messages.
    to: String,
    /// See [`PATIENCE`].
    patience: Duration,
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
        Self::to(destination, settings, PATIENCE)
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

    fn to(
        destination: Option<Box<dyn Destination>>,
        settings: &AuditSettings,
        patience: Duration,
    ) -> Result<Self, AuditError> {
        Ok(Self {
            writer: destination.map(|to| Writer::open(to, patience)).transpose()?,
            commands: settings.commands,
            on_failure: settings.on_failure,
            sync: settings.sync,
        })
    }

    /// Records that `event` happens now, as soon as those before it are recorded.
    ///
    /// The operator learns of the first failure in a row, and of its end, from the log.
    pub(crate) fn record(&self, event: &Event<'_>) {
        let Some(writer) = &self.writer else { return };
        let offered = self.entry(event).and_then(|entry| writer.offer(entry));
        if let Err(error) = offered {
            writer.health.note(Some(&error));
        }
    }

    /// Records `event`, which announces something: the start of a job, an enrolment. It is under way when this returns, and
    /// [`Announced::permission`] tells whether what was announced may go on.
    pub(crate) fn announce(&self, event: &Event<'_>) -> Announced {
        let Some(writer) = &self.writer else {
            return Announced { begun: Ok(None), on_failure: self.on_failure };
        };
        let begun = self.entry(event).and_then(|entry| writer.begin(entry));
        if let Err(error) = &begun {
            writer.health.note(Some(error));
        }
        Announced { begun: begun.map(Some), on_failure: self.on_failure }
    }

    /// Records `event` and waits until [`Announced::permission`] is there.
    ///
    /// # Errors
    /// As there.
    pub(crate) async fn admit(&self, event: &Event<'_>) -> Result<(), Refusal> {
        self.announce(event).permission().await
    }

    /// Waits until everything is written that was recorded, for 400 ms at most.
    pub(crate) fn settle(&self) {
        if let Some(writer) = &self.writer {
            writer.thread.settle();
        }
    }

    fn entry(&self, event: &Event<'_>) -> Result<Entry, AuditError> {
        let line = event.line(Stamp::now(), self.commands).into_bytes();
        let line = line.map_err(AuditError::Line)?;
        Ok(Entry { line, sync: self.sync && event.is_worth_syncing(), answer: None })
    }
}

impl Writer {
    fn open(destination: Box<dyn Destination>, patience: Duration) -> Result<Self, AuditError> {
        let to = destination.to_string();
        let health = Arc::<Health>::default();
        let trail = Trail::open(destination, Arc::clone(&health))?;
        let thread = Background::new("audit", WAITING, trail);
        Ok(Self { thread, health, to, patience })
    }

    fn offer(&self, entry: Entry) -> Result<(), AuditError> {
        self.thread.offer(entry).map_err(|reason| AuditError::NotTaken { to: self.to.clone(), reason })
    }

    fn begin(&self, mut entry: Entry) -> Result<Awaited, AuditError> {
        let (answer, answered) = oneshot::channel();
        entry.answer = Some(answer);
        let awaited = Awaited {
            answered,
            health: Arc::clone(&self.health),
            to: self.to.clone(),
            until: Instant::now() + self.patience,
            patience: self.patience,
        };
        if self.health.is_stuck() {
            return Err(awaited.stuck());
        }
        self.offer(entry).map(|()| awaited)
    }
}

/// Something that was announced. Whoever drops it does without it, and then it is not recorded if that has not begun yet.
#[derive(Debug)]
#[must_use = "what was announced may not be permitted"]
pub(crate) struct Announced {
    /// `None` if nothing is to be waited for.
    begun: Result<Option<Awaited>, AuditError>,
    on_failure: OnFailure,
}

#[derive(Debug)]
struct Awaited {
    answered: oneshot::Receiver<Result<(), AuditError>>,
    health: Arc<Health>,
    to: String,
    until: Instant,
    /// How long that was from the beginning.
    patience: Duration,
}

impl Announced {
    /// Whether it may go on. Then the system has the whole line, and with `sync` the disk has it. Takes 5 s at most.
    ///
    /// # Errors
    /// [`Refusal`] if it cannot be recorded and the operator wants nothing to happen then.
    pub(crate) async fn permission(self) -> Result<(), Refusal> {
        let recorded = match self.begun {
            Ok(None) => Ok(()),
            Ok(Some(awaited)) => awaited.answer().await,
            Err(error) => Err(error),
        };
        match self.on_failure {
            OnFailure::Refuse => recorded.map_err(Refusal),
            OnFailure::Continue => Ok(()),
        }
    }
}

impl Awaited {
    async fn answer(mut self) -> Result<(), AuditError> {
        let failure = match time::timeout_at(self.until, &mut self.answered).await {
            // Noted where it was found out.
            Ok(Ok(result)) => return result,
            Ok(Err(_)) => AuditError::NotTaken { to: self.to.clone(), reason: NotTaken::Over },
            Err(_) => {
                self.health.hangs();
                self.stuck()
            }
        };
        self.health.note(Some(&failure));
        Err(failure)
    }

    fn stuck(&self) -> AuditError {
        AuditError::Stuck { to: self.to.clone(), patience: self.patience }
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
    /// It has taken nothing for too long: nobody reads the pipe, or the disk does not answer.
    #[error("cannot write to the audit trail {to}: it has taken nothing for {patience:?}")]
    Stuck {
        /// The file, or `stderr`.
        to: String,
        /// How long was waited.
        patience: Duration,
    },
    /// It is not even tried.
    #[error("cannot write to the audit trail {to}: {reason}")]
    NotTaken {
        /// The file, or `stderr`.
        to: String,
        /// Why.
        reason: NotTaken,
    },
    /// The event has no line.
    #[error("cannot write down an event: {0}")]
    Line(io::Error),
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
