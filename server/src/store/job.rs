//! The directory of one job: what it shows to anybody, and what its holder writes into it.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use common::job::{Digest, Ended, JobId, StreamTotal};
use rustix::fs::{FallocateFlags, FlockOperation, OFlags, fallocate, flock};

use super::StoreError;
use super::directory::{Directory, Durability, temporary};
use super::lock::{LOCK, Lock};
use super::log::{self, LogLimits, LogReader, LogStream, Output};
use super::name::JobName;
use super::point::{Observer, Point, nobody};
use super::record::{Begun, BootId, Cause, End, Intent, Kept, Removed, Started, Timestamp};
use super::rules::{Evidence, State, judge, verdict};

/// Room for the end of a job, taken when it is made: a block. An end that has no sentence of thousands of bytes in it can be
/// written down also when the disk is full.
const END_BYTES: u64 = 4096;

/// That its end was told, if anything is in it.
const TOLD: &str = "told";

/// A job as its directory shows it.
#[derive(Debug)]
pub struct Job {
    directory: Directory,
    name: JobName,
    intent: Intent,
    boot: BootId,
}

impl Job {
    /// The job in `directory`, if that is called as it should be.
    pub(super) fn open(directory: Directory, name: JobName, boot: BootId) -> Result<Self, StoreError> {
        let damaged = |reason| StoreError::damaged(directory.path(), reason);
        let intent =
            Intent::read(&directory)?.ok_or_else(|| damaged("it does not say which job it is of"))?;
        if JobName::of(&intent.owner, &intent.id) != name {
            return Err(damaged("it says that it is of another job"));
        }
        Ok(Self { directory, name, intent, boot })
    }

    pub(super) fn name(&self) -> &JobName {
        &self.name
    }

    pub(super) fn directory(&self) -> &Directory {
        &self.directory
    }

    /// What was written down when it was made.
    pub fn intent(&self) -> &Intent {
        &self.intent
    }

    /// Its directory: for its supervisor, which puts its socket there.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Whether somebody has removed it, so that nobody can have anything of it any more.
    pub fn is_removed(&self) -> bool {
        is_removed(&self.directory)
    }

    /// What is true of it now.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] if it was removed meanwhile, [`StoreError::Damaged`] if what became of it cannot be read,
    /// [`StoreError::Newer`], or the system's.
    pub fn state(&self) -> Result<State, StoreError> {
        self.evidence().map(judge).map_err(|error| unless_removed(&self.directory, error))
    }

    fn evidence(&self) -> Result<Evidence, StoreError> {
        let mut evidence = self.no_evidence();
        evidence.end = End::read(&self.directory)?;
        if evidence.end.is_some() {
            return Ok(evidence);
        }
        evidence.held = Lock::is_held(&self.directory).map_err(|error| self.lock_error(error))?;
        // From here on: what a supervisor has written that is gone now is there.
        self.read_without_lock(&mut evidence)?;
        Ok(evidence)
    }

    fn no_evidence(&self) -> Evidence {
        let same_boot = self.intent.boot == self.boot;
        Evidence { end: None, held: false, begun: false, had_ended: false, started: None, same_boot }
    }

    /// Without a lock nobody can say whether it has a supervisor.
    fn lock_error(&self, error: io::Error) -> StoreError {
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::InvalidInput => {
                StoreError::damaged(&self.directory.path().join(LOCK), "it is no lock")
            }
            _ => self.directory.error(LOCK, error),
        }
    }

    fn read_without_lock(&self, evidence: &mut Evidence) -> Result<(), StoreError> {
        // Before the end: where somebody writes it at this moment, these are not yet so, or it is there.
        evidence.had_ended =
            self.has(TOLD)? || self.has(Removed::FILE)? || !self.has(&temporary(End::FILE))?;
        evidence.end = End::read(&self.directory)?;
        // Whatever is in it: that it is there says enough.
        evidence.begun = self.has(Begun::FILE)? || (!evidence.held && self.has_output()?);
        evidence.started = match Started::read(&self.directory) {
            Err(StoreError::Damaged { .. }) => {
                evidence.begun = true;
                None
            }
            read => read?,
        };
        // Looked at last: an end that went with its job was never missing before the intent was.
        if evidence.end.is_none() && is_removed(&self.directory) {
            return Err(StoreError::Unknown);
        }
        Ok(())
    }

    fn has(&self, name: &str) -> Result<bool, StoreError> {
        let found = self.directory.stat(name).map_err(|error| self.directory.error(name, error))?;
        Ok(found.is_some())
    }

    fn has_output(&self) -> Result<bool, StoreError> {
        let bytes = log::stored_bytes(&self.directory);
        Ok(bytes.map_err(|error| StoreError::system(self.directory.path(), error))? > 0)
    }

    /// What is true of it now, and stays so unless it runs: a job without a supervisor gets its end written down, as far as
    /// it is known.
    ///
    /// # Errors
    /// As [`Job::state`], and [`StoreError::DiskFull`].
    pub fn settle(&self, now: Timestamp) -> Result<State, StoreError> {
        self.settle_there(now).map_err(|error| unless_removed(&self.directory, error))
    }

    fn settle_there(&self, now: Timestamp) -> Result<State, StoreError> {
        let state = self.state()?;
        if matches!(state, State::Ended(_) | State::Running { .. }) {
            return Ok(state);
        }
        let lock = Lock::take(&self.directory).map_err(|error| self.lock_error(error))?;
        let Some(_lock) = lock else {
            // Somebody was faster, or it is really held.
            return self.state();
        };
        let mut evidence = self.no_evidence();
        self.read_without_lock(&mut evidence)?;
        if evidence.end.is_none()
            && let Some(seen) = End::read_unnamed(&self.directory)
        {
            // Its supervisor has seen it end, and was killed before the file had its name.
            return self.write_end(seen).map(State::Ended);
        }
        let state = judge(evidence);
        let Some((ended, cause)) = verdict(&state, self.totals()?) else { return Ok(state) };
        let started = match state {
            State::Unknown { started, .. } => started,
            _ => None,
        };
        self.write_end(End { ended, cause, at: now, started }).map(State::Ended)
    }

    /// How long its logs are.
    fn totals(&self) -> Result<Vec<StreamTotal>, StoreError> {
        let total = |stream: LogStream| {
            let bytes = log::end_of(&self.directory, stream)?;
            Ok(StreamTotal { stream: stream.into(), bytes })
        };
        LogStream::ALL.into_iter().map(total).collect()
    }

    /// Writes `end` down, by whoever holds the lock. If there is an end already, that one counts.
    fn write_end(&self, end: End) -> Result<End, StoreError> {
        if !end.write(&self.directory, Durability::Synced)? {
            let missing = || StoreError::damaged(self.directory.path(), "its end came and went");
            return End::read(&self.directory)?.ok_or_else(missing);
        }
        // Said in the end as well, and each is a block of the disk.
        for file in [Begun::FILE, Started::FILE] {
            self.directory.unlink(file).ok();
        }
        Ok(end)
    }

    /// Has `say` told how it has ended, if it has and that was not told before; whether it was now. Should this process be killed
    /// in between, it is told twice rather than never.
    ///
    /// # Errors
    /// [`StoreError::Running`] if it is not over; [`StoreError::DiskFull`], or the system's.
    pub fn tell_end(&self, say: impl FnOnce(&End)) -> Result<bool, StoreError> {
        let end = End::read(&self.directory)?.ok_or(StoreError::Running)?;
        let tell = || -> io::Result<bool> {
            let file = self.directory.file(TOLD, OFlags::RDWR | OFlags::CREATE)?;
            // One tells it at a time.
            flock(&file, FlockOperation::LockExclusive)?;
            if file.metadata()?.len() > 0 {
                return Ok(false);
            }
            say(&end);
            file.write_all_at(b"1", 0)?;
            Ok(true)
        };
        tell().map_err(|error| self.directory.error(TOLD, error))
    }

    /// The cgroup that everything of it is in, if it began and got one.
    pub fn cgroup(&self) -> Option<PathBuf> {
        Begun::read(&self.directory).ok().flatten()?.cgroup.map(PathBuf::from)
    }

    /// Where its output went, if it is not kept any more.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], or the system's.
    pub fn removed(&self) -> Result<Option<Removed>, StoreError> {
        Removed::read(&self.directory)
    }

    /// One of its logs.
    ///
    /// # Errors
    /// The system's.
    pub fn log(&self, stream: LogStream) -> Result<LogReader, StoreError> {
        Ok(LogReader::new(self.clone_directory()?, stream))
    }

    fn clone_directory(&self) -> Result<Directory, StoreError> {
        self.directory.try_clone().map_err(|error| StoreError::system(self.directory.path(), error))
    }

    /// Removes its output, and says in its place how long it was. For a job that is over, under the lock of the directory of
    /// all jobs.
    pub(super) fn remove_output(&self, now: Timestamp) -> Result<(), StoreError> {
        let [stdout, stderr] =
            [LogStream::Stdout, LogStream::Stderr].map(|stream| log::end_of(&self.directory, stream));
        // One that has a hole is removed as well.
        let length = |end: Result<u64, StoreError>| match end {
            Err(StoreError::Damaged { .. }) => Ok(0),
            other => other,
        };
        Removed { stdout: length(stdout)?, stderr: length(stderr)?, at: now }
            .write(&self.directory, Durability::Unsynced)?;
        log::remove_all(&self.directory).map_err(|error| StoreError::system(self.directory.path(), error))
    }
}

/// A job in the hands of the one process that may write to it: the server that has made it, then its supervisor.
#[derive(Debug)]
pub struct Custody {
    job: Job,
    lock: Lock,
}

impl Custody {
    /// The job in the directory at `path`, by the lock that was inherited from the server.
    ///
    /// # Errors
    /// [`StoreError::NotOurs`] if that is not its lock, [`StoreError::Running`] if somebody else holds it; else as
    /// [`Job::state`].
    pub fn inherit(path: &Path, lock: OwnedFd) -> Result<Self, StoreError> {
        Self::inherit_watched(path, lock, nobody)
    }

    pub(super) fn inherit_watched(
        path: &Path,
        lock: OwnedFd,
        observer: Observer,
    ) -> Result<Self, StoreError> {
        let directory = Directory::open(path, observer)?;
        let name = path.file_name().and_then(|name| name.to_str()).and_then(JobName::parse);
        let name = name.ok_or_else(|| StoreError::NotOurs {
            path: path.to_owned(),
            reason: "it is not the directory of a job".to_owned(),
        })?;
        let boot = BootId::current().map_err(|error| StoreError::system(path, error))?;
        let lock = Lock::inherited(lock, &directory)?;
        Ok(Self { job: Job::open(directory, name, boot)?, lock })
    }

    /// The job.
    pub fn job(&self) -> &Job {
        &self.job
    }

    /// The lock, to be handed to a supervisor. The job is in its hands when this process has none any more.
    pub fn lock(&self) -> &Lock {
        &self.lock
    }

    /// Writes down that the process is about to be started, in this cgroup: from here on the job may have run. Not down to the disk: after a
    /// power cut a job counts as one that may have run in any case.
    ///
    /// # Errors
    /// [`StoreError::Begun`] if that was done before, [`StoreError::DiskFull`], or the system's: then it must not be started.
    pub fn begin(&self, cgroup: Option<String>, now: Timestamp) -> Result<(), StoreError> {
        // Of what is over, the file that says that it has begun is gone.
        if End::read(&self.job.directory)?.is_some() {
            return Err(StoreError::Begun);
        }
        let first = Begun { at: now, cgroup }.write(&self.job.directory, Durability::Unsynced)?;
        if first { Ok(()) } else { Err(StoreError::Begun) }
    }

    /// Writes down which process it is. Whoever needs to know does so before the machine is started anew, so the disk need not.
    ///
    /// # Errors
    /// [`StoreError::DiskFull`], or the system's. The job can go on without.
    pub fn started(&self, started: Started) -> Result<(), StoreError> {
        started.write(&self.job.directory, Durability::Unsynced).map(drop)
    }

    /// Its logs, to be written.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], or the system's.
    pub fn output(&self, limits: LogLimits) -> Result<Output, StoreError> {
        Output::open(self.job.clone_directory()?, limits)
    }

    /// Writes down how it has ended, once, down to the disk: what counts is in the answer. Room for it was taken when the job
    /// was made. The output is to be synced before.
    ///
    /// # Errors
    /// [`StoreError::DiskFull`] for an end of thousands of bytes, [`StoreError::TooLong`], or the system's. It can be tried
    /// again.
    pub fn end(&self, ended: &Ended, now: Timestamp) -> Result<End, StoreError> {
        let started = Started::read(&self.job.directory).unwrap_or_default();
        self.job.write_end(End { ended: ended.clone(), cause: Cause::Seen, at: now, started })
    }
}

/// What is being removed is not damaged: its intent goes before everything else.
pub(super) fn unless_removed(directory: &Directory, error: StoreError) -> StoreError {
    if is_removed(directory) { StoreError::Unknown } else { error }
}

/// Whether the job in `directory` is gone, or going.
pub(super) fn is_removed(directory: &Directory) -> bool {
    matches!(directory.stat(Intent::FILE), Ok(None))
}

/// A directory that nobody knows yet, on its way to becoming that of a job. Removed when it does not get there.
pub(super) struct NewJob<'a> {
    root: &'a Directory,
    directory: Directory,
    temporary: String,
    lock: Option<Lock>,
}

/// What such directories are called.
pub(super) const NEW: &str = ".new-";

/// How often a name is tried that a sweep may take away at the same moment.
const ATTEMPTS: usize = 4;

/// Files in a new directory.
const FILES: usize = 16;

impl<'a> NewJob<'a> {
    pub(super) fn make(root: &'a Directory) -> Result<Self, StoreError> {
        for _ in 0..ATTEMPTS {
            let number =
                JobId::random().map_err(|error| StoreError::system(root.path(), io::Error::other(error)))?;
            let temporary = format!("{NEW}{number}");
            let directory = root.make_child(&temporary).map_err(|error| root.error(&temporary, error))?;
            let mut new = Self { root, directory, temporary, lock: None };
            match Lock::new(&new.directory) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                lock => new.lock = lock.map_err(|error| new.directory.error(LOCK, error))?,
            }
            if new.lock.is_some() {
                new.directory.mark(Point::LockTaken);
                return Ok(new);
            }
        }
        Err(StoreError::Busy { path: root.path().to_owned() })
    }

    /// Writes `intent` down and gives the directory its name, all of it down to the disk; `None` if there is a job of that
    /// name.
    pub(super) fn publish(mut self, intent: Intent) -> Result<Option<Custody>, StoreError> {
        let name = JobName::of(&intent.owner, &intent.id);
        let error = |error| StoreError::system(self.directory.path(), error);
        self.reserve_end().map_err(error)?;
        self.directory.write_new(Intent::FILE, &intent.sealed()?).map_err(error)?;
        self.directory.sync().map_err(error)?;
        self.directory.mark(Point::JobSynced);
        let named = self.root.rename(&self.temporary, self.root, name.as_str()).map_err(error)?;
        if !named {
            return Ok(None);
        }
        self.root.mark(Point::JobNamed);
        let directory = self.root.child(name.as_str()).map_err(error)?;
        let boot = intent.boot;
        Ok(self.lock.take().map(|lock| Custody { job: Job { directory, name, intent, boot }, lock }))
    }

    fn reserve_end(&self) -> io::Result<()> {
        let file = self.directory.file(&temporary(End::FILE), OFlags::WRONLY | OFlags::CREATE)?;
        match fallocate(&file, FallocateFlags::empty(), 0, END_BYTES) {
            // Not every file system can; on those a full disk may cost the exit code of a job.
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => {}
            reserved => reserved?,
        }
        self.directory.mark(Point::EndReserved);
        Ok(())
    }
}

impl Drop for NewJob<'_> {
    fn drop(&mut self) {
        // Under its own name it is there only if it got no other.
        self.root.remove_child(&self.temporary, FILES).ok();
    }
}

/// Whether a repeated request is the same one.
pub(super) fn same_request(job: Job, digest: &Digest) -> Result<Job, StoreError> {
    if job.intent.digest == *digest {
        Ok(job)
    } else {
        Err(StoreError::Conflict { id: job.intent.id.clone() })
    }
}
