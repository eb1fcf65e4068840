//! What is there when a server starts: every job with what is true of it, and what is left of unfinished work swept away.
//! Nothing here stops at a file that is damaged or strange, nor at a directory that is too large.

use std::collections::HashSet;
use std::io;
use std::time::{Duration, Instant};

use super::directory::Directory;
use super::job::NEW;
use super::lock::{DirectoryLock, LOCK, Lock};
use super::log::stored_bytes;
use super::name::JobName;
use super::point::Point;
use super::quota::{Account, Accounts};
use super::record::{Intent, Timestamp};
use super::rules::State;
use super::{DAMAGED, ENTRIES, RETENTION, Store, StoreError};

/// How much work there may be at a time.
#[derive(Debug, Clone, Copy)]
pub struct Bound {
    /// Names in the directory that are looked at.
    pub entries: usize,
    /// When it is enough. A call that the disk does not answer takes as long as it takes: call it where that may be.
    pub until: Instant,
}

/// What was found.
#[derive(Debug, Default)]
pub struct Recovered {
    /// The jobs.
    pub jobs: Vec<Found>,
    /// What cannot be read, and was set aside or left alone; one for each job.
    pub problems: Vec<StoreError>,
    /// How many directories of jobs that never came to be, or were being removed, were taken away.
    pub swept: usize,
    /// Whether that is all: else the work was enough before. What was not reached is found by its id all the same.
    pub complete: bool,
}

/// A job that was found.
#[derive(Debug, Clone)]
pub struct Found {
    /// What was written down when it was made.
    pub intent: Intent,
    /// What is true of it.
    pub state: State,
    /// Bytes of its output.
    pub output_bytes: u64,
}

/// What directories are called that are being removed.
pub(super) const GONE: &str = ".gone-";

/// How long a new directory may have no lock: it gets one within microseconds.
const UNLOCKED: Duration = Duration::from_secs(3600);

/// Files of a directory that is swept away: all that a job may have.
pub(super) const FILES: usize = 8192;

impl Store {
    /// Lists the jobs of all owners, sets aside what cannot be read, and takes away what was left of unfinished work. Settles
    /// nothing.
    ///
    /// # Errors
    /// Only if the directory itself cannot be read.
    pub fn recover(&self, now: Timestamp, bound: Bound) -> Result<Recovered, StoreError> {
        let names =
            self.root.names(bound.entries).map_err(|error| StoreError::system(self.root.path(), error))?;
        let mut found = Recovered { complete: names.complete, ..Recovered::default() };
        let mut accounts = self.accounts();
        if names.complete {
            accounts.clear();
        }
        for name in names.listed {
            if Instant::now() > bound.until {
                found.complete = false;
                break;
            }
            if let Some(job) = JobName::parse(&name) {
                match self.look(&job) {
                    Ok((job_found, account)) => {
                        accounts.set(job, account);
                        found.jobs.push(job_found);
                    }
                    // Removed meanwhile.
                    Err(StoreError::Unknown) => {}
                    Err(problem) => found.problems.push(self.set_aside(&job, problem)),
                }
            } else if self.sweep(&name, now) {
                found.swept += 1;
            }
        }
        Ok(found)
    }

    /// Brings up to date what is known of jobs that run or have come and gone meanwhile, also by other servers.
    pub(super) fn refresh(&self, accounts: &mut Accounts) -> Result<(), StoreError> {
        let names = self.root.names(ENTRIES).map_err(|error| StoreError::system(self.root.path(), error))?;
        let there: HashSet<JobName> = names.listed.iter().filter_map(|name| JobName::parse(name)).collect();
        if names.complete {
            accounts.keep_only(&there);
        }
        for name in there {
            if accounts.account(&name).is_some_and(|account| account.ended.is_some()) {
                continue;
            }
            match self.look(&name) {
                Ok((_, account)) => accounts.set(name, account),
                Err(StoreError::Unknown) => accounts.forget(&name),
                // It counts as before.
                Err(_) => {}
            }
        }
        Ok(())
    }

    /// What is true of one job, and what it costs.
    pub(super) fn look(&self, name: &JobName) -> Result<(Found, Account), StoreError> {
        let job = self.open_job(name)?.ok_or(StoreError::Unknown)?;
        let state = job.state()?;
        let output_bytes = stored_bytes(job.directory())
            .map_err(|error| StoreError::system(job.directory().path(), error))?;
        let ended = match &state {
            State::Ended(end) => Some(end.at),
            _ => None,
        };
        // What remains of an output that was being removed when somebody was killed.
        if output_bytes > 0 && ended.is_some() && matches!(job.removed(), Ok(Some(_))) {
            super::log::remove_all(job.directory()).ok();
        }
        let account = Account { output: output_bytes, ended, created: job.intent().created };
        Ok((Found { intent: job.intent().clone(), state, output_bytes }, account))
    }

    /// Takes a job that cannot be read out of the way of the others. It is known by its name from then on, and never started
    /// again. One that somebody holds stays where it is, and so does one of a newer version.
    fn set_aside(&self, name: &JobName, problem: StoreError) -> StoreError {
        if !matches!(problem, StoreError::Damaged { .. }) {
            return problem;
        }
        let directory = self.root.child(name.as_str());
        let is_held = directory.is_ok_and(|directory| Lock::is_held(&directory).unwrap_or(false));
        // Under the lock its name cannot become another job's. Whoever has that lock is waited for next time.
        if !is_held
            && let Ok(_lock) = DirectoryLock::take(&self.root)
            && let Err(StoreError::Damaged { .. }) = self.look(name)
            && let Ok(true) = self.rename_damaged(name)
        {
            self.root.mark(Point::SetAside);
        }
        problem
    }

    fn rename_damaged(&self, name: &JobName) -> io::Result<bool> {
        let damaged = self.damaged_directory()?;
        let named = self.root.rename(name.as_str(), &damaged, name.as_str())?;
        // Not to come back after a power cut under the name of a job that was never there.
        damaged.sync()?;
        self.root.sync()?;
        Ok(named)
    }

    pub(super) fn damaged_directory(&self) -> io::Result<Directory> {
        match self.root.child(DAMAGED) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.root.make_child(DAMAGED),
            opened => opened,
        }
    }

    /// Removes what was being removed, or was being made by somebody who is dead; whether there was anything of that kind.
    fn sweep(&self, name: &str, now: Timestamp) -> bool {
        if name.starts_with(GONE) {
            return self.root.remove_child(name, FILES).is_ok();
        }
        if !name.starts_with(NEW) {
            return false;
        }
        let Ok(directory) = self.root.child(name) else { return false };
        match directory.stat(LOCK) {
            Ok(Some(_)) => {
                // Held until it is gone: whoever is about to take it finds that, and makes another.
                let lock = Lock::take(&directory).unwrap_or_default();
                lock.is_some() && self.root.remove_child(name, FILES).is_ok()
            }
            _ => self.is_old(name, now) && self.root.remove_child(name, FILES).is_ok(),
        }
    }

    fn is_old(&self, name: &str, now: Timestamp) -> bool {
        let changed = self.changed(&self.root, name);
        changed.is_some_and(|changed| changed < now.before(UNLOCKED))
    }

    /// When something was last done to what is called `name` in `directory`.
    pub(super) fn changed(&self, directory: &Directory, name: &str) -> Option<Timestamp> {
        let found = directory.stat(name).ok().flatten()?;
        let seconds = u64::try_from(found.st_ctime).ok()?;
        Some(Timestamp(seconds.saturating_mul(1000)))
    }

    /// Removes what was set aside for longer than a record is kept.
    pub(super) fn expire_damaged(&self, now: Timestamp, entries: usize) -> io::Result<()> {
        let Ok(damaged) = self.root.child(DAMAGED) else { return Ok(()) };
        for name in damaged.names(entries)?.listed {
            let is_over = |changed: Timestamp| changed < now.before(RETENTION);
            if self.changed(&damaged, &name).is_some_and(is_over) {
                damaged.remove_child(&name, FILES)?;
            }
        }
        Ok(())
    }
}
