//! What supervised jobs leave on disk, so that it outlasts them, their supervisors and the server.
//!
//! ```text
//!   jobs/                          0700, the user's own
//!     memory                       how far back there is a record of every job
//!     9f…c1/                       a job: a hash of its owner and id; made under another name, and whole when it is here
//!       intent                     which job it is: on the disk before anything else happens
//!       lock                       held (flock(2)) by whoever made the job, then by its supervisor
//!       begun, started             its process may run; its process runs
//!       stdout.…, stderr.…         its output
//!       ended                      what became of it: written once
//!       told                       the audit trail has it
//!       removed                    how long its output was, when that is gone
//!     damaged/                     jobs that cannot be read any more
//! ```
//!
//! From the bottom up:
//!
//! - `directory`, `lock`: files and locks by name; nothing of jobs
//! - [`record`]: what the files say, and how it is kept
//! - [`log`]: the output
//! - [`rules`], `quota`: what is true of a job, and which jobs make room; pure
//! - `job`: the directory of one job; [`Custody`] writes, [`Job`] reads
//! - `recovery`, `room`, `damaged`, and [`Store`]: all of them
//!
//! Every call blocks as long as the disk does: never on a thread that others wait for. Knows no process and no connection.

mod damaged;
mod directory;
mod error;
mod job;
mod lock;
pub mod log;
mod name;
mod point;
mod quota;
pub mod record;
mod recovery;
mod room;
pub mod rules;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use common::job::{Digest, JobId, Spec};
use rustix::fs::fstatvfs;

pub use damaged::Damaged;
pub use error::{Quota, StoreError};
pub use job::{Custody, Job};
pub use lock::Lock;
pub use log::{LogLimits, LogReader, LogStream, Output};
pub use point::Point;
pub use quota::Quotas;
pub use record::{BootId, Cause, Command, End, Intent, Started, Timestamp};
pub use recovery::{Bound, Found, Recovered};
pub use room::{EXPIRE_AT_ONCE, Gone};
pub use rules::State;

use crate::authorize::Owner;
use crate::scope::{NotOne, Scope};
use directory::Directory;
use job::{NewJob, same_request};
use name::{JobName, OwnerTag};
use point::{Observer, nobody};
use quota::{Account, Accounts};
use record::{Kept, Memory, variable_names};

/// How long the record of a finished job is kept: as long as its start may be repeated, and as people come back from a
/// holiday.
pub const RETENTION: Duration = Duration::from_secs(7 * 24 * 3600);

/// Names that are listed at a time: more than there may be jobs.
const ENTRIES: usize = 65_536;

/// Where jobs are kept that cannot be read.
const DAMAGED: &str = "damaged";

/// The jobs of one server, or of several that share a directory.
#[derive(Debug)]
pub struct Store {
    root: Directory,
    quotas: Quotas,
    logs: LogLimits,
    boot: BootId,
    /// What is kept, as far as this process knows: exact after [`Store::recover`], and never too little for jobs of its own.
    accounts: Mutex<Accounts>,
}

/// What is asked for when a job is made.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Whose it is.
    pub owner: Owner,
    /// Its id among those of its owner.
    pub id: &'a JobId,
    /// What tells the same request from another.
    pub digest: Digest,
    /// When its client sent it for the first time: it may have been sent before, and been a job whose record is gone.
    pub first_sent: Timestamp,
    /// What it is. Values of variables are not kept.
    pub spec: &'a Spec,
}

/// What became of a request.
#[derive(Debug)]
pub enum Creation {
    /// There was no such job. It is the caller's now, to be handed to a supervisor, and must not begin before [`Store::persist`].
    New(Custody),
    /// The same request has made it before.
    Existing(Job),
}

impl Store {
    /// The jobs in the directory `path`, which is made if it is missing. Quotas are those of its file system.
    ///
    /// # Errors
    /// [`StoreError::NotOurs`] if others can reach it, or it is a link; [`StoreError::System`] if it cannot be written to.
    pub fn open(path: &Path, now: Timestamp) -> Result<Self, StoreError> {
        Self::open_with(path, now, None, LogLimits::default(), nobody)
    }

    fn open_with(
        path: &Path,
        now: Timestamp,
        quotas: Option<Quotas>,
        logs: LogLimits,
        observer: Observer,
    ) -> Result<Self, StoreError> {
        let system = |error: std::io::Error| StoreError::system(path, error);
        let root = Directory::open_own(path, observer)?;
        let boot = BootId::current().map_err(system)?;
        room::remember(&root, now)?;
        let quotas = match quotas {
            Some(quotas) => quotas,
            None => {
                let size = fstatvfs(&root).map_err(|error| system(error.into()))?;
                Quotas::of_file_system(size.f_blocks.saturating_mul(size.f_frsize))
            }
        };
        Ok(Self { root, quotas, logs, boot, accounts: Mutex::default() })
    }

    /// Bytes that the file system still has for this user.
    ///
    /// # Errors
    /// The system's.
    pub fn room(&self) -> Result<u64, StoreError> {
        let size = fstatvfs(&self.root).map_err(|error| StoreError::system(self.root.path(), error))?;
        Ok(size.f_bavail.saturating_mul(size.f_frsize))
    }

    /// How much output of a job is kept, as its supervisor is to be told.
    pub fn log_limits(&self) -> LogLimits {
        self.logs
    }

    /// Of every job that was made at that time or later there is a record. Who asks for an older one, and finds none, cannot
    /// know that it never ran.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], or the system's: then nothing is known of any job that has no record.
    pub fn remembers_since(&self) -> Result<Timestamp, StoreError> {
        let missing = || StoreError::damaged(&self.root.path().join(Memory::FILE), "it is missing");
        Memory::read(&self.root)?.map(|memory| memory.since).ok_or_else(missing)
    }

    /// Makes the job, unless there is one: of any number of requests with one owner and id, in whatever processes, one makes
    /// it. It is on the disk when this returns. Makes room first, where that is needed.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if the id belongs to another request, [`StoreError::Forgotten`] if nobody can know that it was
    /// not a job before, [`StoreError::StorageFull`], [`StoreError::DiskFull`], [`StoreError::Damaged`] or [`StoreError::Newer`] if
    /// there is a job that cannot be read, or the system's. Nothing was made then.
    pub fn create(&self, request: Request<'_>, now: Timestamp) -> Result<(Creation, Vec<Gone>), StoreError> {
        let Request { owner, id, digest, first_sent, spec } = request;
        let name = JobName::of(&owner, id);
        if let Some(job) = self.known_job(&name)? {
            return Ok((Creation::Existing(same_request(job, &digest)?), Vec::new()));
        }
        // Only now: what goes is noted before it goes.
        let since = match self.remembers_since() {
            // Somebody has removed it, or it was written over: what is said now for the first time is new all the same.
            Err(StoreError::Damaged { .. }) => {
                room::remember(&self.root, now)?;
                self.remembers_since()?
            }
            remembered => remembered?,
        };
        if first_sent < since {
            return Err(StoreError::Forgotten { since });
        }
        let gone = self.make_room(&owner, self.logs.segment, now)?;
        let intent = Intent {
            owner,
            id: id.clone(),
            digest,
            created: now,
            boot: self.boot,
            command: Command::of(&spec.program),
            variables: variable_names(spec),
            keeping: spec.keeping,
        };
        match NewJob::make(&self.root)?.publish(intent)? {
            Some(custody) => {
                let account = Account { output: self.logs.job, ended: None, created: now };
                self.accounts().set(name, account);
                Ok((Creation::New(custody), gone))
            }
            // Somebody was faster.
            None => {
                let job = self.known_job(&name)?.ok_or(StoreError::Unknown)?;
                Ok((Creation::Existing(same_request(job, &digest)?), gone))
            }
        }
    }

    /// Waits until every job that was made is on the disk to stay, so that it may begin.
    ///
    /// # Errors
    /// The system's; those that were made since the last time must not begin then.
    pub fn persist(&self) -> Result<(), StoreError> {
        self.root.sync().map_err(|error| StoreError::system(self.root.path(), error))?;
        self.root.mark(Point::JobDurable);
        Ok(())
    }

    /// Where the job that `owner` calls `id` is, if there is one.
    pub fn place(&self, owner: &Owner, id: &JobId) -> PathBuf {
        self.root.path().join(JobName::of(owner, id).as_str())
    }

    /// The job that `owner` calls `id`.
    ///
    /// # Errors
    /// [`StoreError::Unknown`], also for the jobs of others; [`StoreError::Damaged`], [`StoreError::Newer`], or the system's.
    pub fn find(&self, owner: &Owner, id: &JobId) -> Result<Job, StoreError> {
        self.known_job(&JobName::of(owner, id))?.ok_or(StoreError::Unknown)
    }

    /// The same, if it was made by a request with this digest.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if it was not; else as [`Store::find`].
    pub fn find_same(&self, owner: &Owner, id: &JobId, digest: &Digest) -> Result<Job, StoreError> {
        same_request(self.find(owner, id)?, digest)
    }

    /// The job in `scope` with this id, or the only one whose id begins so.
    ///
    /// # Errors
    /// [`StoreError::Unknown`], [`StoreError::Ambiguous`]; else as [`Store::find`].
    pub fn find_by_prefix(&self, scope: Scope, reference: &str) -> Result<Job, StoreError> {
        if let Ok(id) = reference.parse() {
            match self.find(&scope.owner(), &id) {
                Err(StoreError::Unknown) => {}
                found => return found,
            }
        }
        let (mut ids, mut unreadable) = (Vec::new(), Vec::new());
        for name in self.names_in(scope)? {
            match self.open_job(&name) {
                Ok(Some(job)) => ids.push((job.intent().owner, job.intent().id.clone())),
                Err(StoreError::Damaged { .. }) => unreadable.push(name),
                Ok(None) | Err(_) => {}
            }
        }
        match scope.meant(reference, ids.iter().map(|(owner, id)| (*owner, id))) {
            Ok((owner, id)) => self.find(&owner, &id),
            Err(NotOne::Unknown) => {
                Err(self.damaged_by_prefix(scope, reference, unreadable).unwrap_or(StoreError::Unknown))
            }
            Err(not_one) => Err(not_one.into()),
        }
    }

    /// The jobs in `scope`, from the oldest to the youngest, and what cannot be read.
    ///
    /// # Errors
    /// Only if the directory itself cannot be read.
    pub fn list(&self, scope: Scope) -> Result<(Vec<Found>, Vec<StoreError>), StoreError> {
        let (mut jobs, mut problems) = (Vec::new(), Vec::new());
        for name in self.names_in(scope)? {
            match self.look(&name) {
                Ok((found, _)) => jobs.push(found),
                Err(StoreError::Unknown) => {}
                Err(problem) => problems.push(problem),
            }
        }
        jobs.sort_by(|a, b| (a.intent.created, &a.intent.id).cmp(&(b.intent.created, &b.intent.id)));
        Ok((jobs, problems))
    }

    fn names_in(&self, scope: Scope) -> Result<Vec<JobName>, StoreError> {
        let names = self.root.names(ENTRIES).map_err(|error| StoreError::system(self.root.path(), error))?;
        let owner = OwnerTag::of(&scope.owner());
        let is_in = |name: &JobName| scope.is_everyones() || name.is_of(&owner);
        Ok(names.listed.iter().filter_map(|name| JobName::parse(name)).filter(is_in).collect())
    }

    /// The job called `name`, if its directory is there.
    fn open_job(&self, name: &JobName) -> Result<Option<Job>, StoreError> {
        match self.root.child(name.as_str()) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => {
                Err(StoreError::damaged(&self.root.path().join(name.as_str()), "it is no directory"))
            }
            opened => {
                let error = |error| self.root.error(name.as_str(), error);
                let directory = opened.map_err(error)?;
                let job = Job::open(directory.try_clone().map_err(error)?, name.clone(), self.boot);
                // What is being removed is not damaged.
                if job.is_err() && !directory.is_still(&self.root, name.as_str()).map_err(error)? {
                    return Ok(None);
                }
                job.map(Some)
            }
        }
    }

    /// The same; an error for one that was set aside.
    fn known_job(&self, name: &JobName) -> Result<Option<Job>, StoreError> {
        if let Some(job) = self.open_job(name)? {
            return Ok(Some(job));
        }
        let path = Path::new(DAMAGED).join(name.as_str());
        let path = path.to_string_lossy();
        match self.root.stat(&path).map_err(|error| self.root.error(&path, error))? {
            Some(_) => Err(StoreError::damaged(&self.root.path().join(&*path), "it was set aside")),
            None => Ok(None),
        }
    }

    fn accounts(&self) -> MutexGuard<'_, Accounts> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
