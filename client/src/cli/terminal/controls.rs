//! What a person has who sits before a job on a terminal: the raw terminal, its size, and the keys that are for this program.
//!
//! Owns all of it, says what has happened, and decides nothing about the job.

use std::future::pending;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use common::job::WindowSize;
use tokio::sync::mpsc;
use tokio::time;

use super::keys::{Act, EscapeKey, Keys};
use super::{Entry, GivenTerminal, WindowChanges, forced_panic, size};
use crate::cli::detach_keys::DetachKeys;

/// How often to look whether the terminal's foreground is ours again.
const FOREGROUND_POLL: Duration = Duration::from_millis(250);

/// Orders that may wait. Whoever types more of them before one is carried out does not mean them.
const ACTS: usize = 8;

/// Something that has happened before the terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    /// It has this size now, or what it shows may have been painted over: the job is to be told either way.
    Resized(WindowSize),
    /// The user leaves.
    Leave,
    /// The user leaves the job to the server.
    Detach,
    /// The user wants to know the keys.
    Help,
}

/// The terminal that is given to a job, and who watches it. Dropping it puts the terminal back.
#[derive(Debug)]
pub(crate) struct Controls {
    given: GivenTerminal,
    windows: WindowChanges,
    acts: mpsc::Receiver<Act>,
    sieve: Arc<Sieve>,
    /// Whether the job is told of sizes.
    resizes: bool,
    /// What it was told last.
    told: Option<WindowSize>,
    /// Whether the terminal is ours.
    has_foreground: bool,
    /// Nothing was looked at yet.
    is_new: bool,
}

/// Takes out of what is typed what is for this program. For the thread that reads.
#[derive(Debug)]
pub(crate) struct Sieve {
    keys: Mutex<Keys>,
    acts: mpsc::Sender<Act>,
}

impl Controls {
    /// Gives the terminal here to a job.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn enter(entry: &Entry, escape: EscapeKey, detach: &DetachKeys) -> io::Result<Self> {
        let windows = WindowChanges::install()?;
        let given = GivenTerminal::enter(entry)?;
        let (tell, acts) = mpsc::channel(ACTS);
        let sieve = Arc::new(Sieve { keys: Mutex::new(Keys::new(escape, detach)), acts: tell });
        let has_foreground = !entry.keys || super::is_raw();
        let (resizes, told) = (entry.resizes, entry.told);
        Ok(Self { given, windows, acts, sieve, resizes, told, has_foreground, is_new: true })
    }

    /// The command is over, and all that it has written is on the terminal. If it has ended by itself, what it has switched on in the
    /// emulator is meant to stay.
    pub(crate) fn finish(&self, keep_traces: bool) {
        self.given.finish(keep_traces);
    }

    /// For whoever reads what is typed.
    pub(crate) fn sieve(&self) -> Arc<Sieve> {
        Arc::clone(&self.sieve)
    }

    /// Waits for what happens next. Stopping this program on request is done here, and shows as [`Event::Resized`] afterwards.
    ///
    /// # Errors
    /// The system's, if the terminal cannot be made raw again.
    pub(crate) async fn next(&mut self) -> io::Result<Event> {
        // It may have changed while the job was being started.
        if std::mem::take(&mut self.is_new)
            && let Some(event) = self.look(false)?
        {
            return Ok(event);
        }
        loop {
            let event = tokio::select! {
                act = self.acts.recv() => match act {
                    Some(Act::Leave) => Some(Event::Leave),
                    Some(Act::Detach) => Some(Event::Detach),
                    Some(Act::Help) => Some(Event::Help),
                    Some(Act::Suspend) => {
                        self.given.stop()?;
                        self.look(true)?
                    }
                    Some(Act::Send(_)) | None => pending().await,
                },
                () = self.windows.next() => self.look(true)?,
                () = forced_panic::reached() => None,
                () = time::sleep(FOREGROUND_POLL), if !self.has_foreground => self.look(false)?,
            };
            if let Some(event) = event {
                return Ok(event);
            }
        }
    }

    /// Takes the terminal again, and reads its size. To `say_so` is to say a size that is known, too.
    fn look(&mut self, say_so: bool) -> io::Result<Option<Event>> {
        let had_foreground = std::mem::replace(&mut self.has_foreground, self.given.resume()?);
        let before = self.told;
        self.told = size().or(before);
        let is_news = say_so || self.told != before || (self.has_foreground && !had_foreground);
        Ok(self.told.filter(|_| is_news && self.resizes).map(Event::Resized))
    }
}

impl Sieve {
    /// Leaves in `typed` what goes to the command; maybe nothing.
    pub(crate) fn sift(&self, typed: &mut Vec<u8>) {
        forced_panic::typed(typed.len());
        let acts = self.lock().typed(typed);
        typed.clear();
        self.carry_out(acts, typed);
    }

    /// Whether something is held back that goes if no other key comes soon.
    pub(crate) fn waits(&self) -> bool {
        self.lock().waits()
    }

    /// Adds to `typed` what was held back.
    pub(crate) fn late(&self, typed: &mut Vec<u8>) {
        let acts = self.lock().late();
        self.carry_out(acts, typed);
    }

    fn carry_out(&self, acts: Vec<Act>, typed: &mut Vec<u8>) {
        for act in acts {
            match act {
                Act::Send(bytes) => typed.extend(bytes),
                // One too many is not carried out.
                act => drop(self.acts.try_send(act)),
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Keys> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
