//! Who holds what: flock(2) on open file descriptions, which ends with the last process that has one, however it ends.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, OFlags, flock, fstat};
use rustix::io::Errno;

use super::StoreError;
use super::directory::Directory;

/// The file in a job's directory that its supervisor holds.
pub(super) const LOCK: &str = "lock";

/// How long a lock that is only looked at may be held: looking takes microseconds.
const GLANCE: Duration = Duration::from_millis(50);

/// How long others may take to write down what is forgotten. Less than a client waits.
const DIRECTORY_WAIT: Duration = Duration::from_secs(5);

/// There is no way to wait for a lock with a limit.
const EVERY: Duration = Duration::from_millis(1);

/// That a job has a holder: the server that makes it, and then its supervisor, which gets the same open file description.
/// Free as soon as no process has it any more.
#[derive(Debug)]
pub struct Lock(OwnedFd);

impl Lock {
    /// What was inherited from whoever made the job in `directory`.
    pub(super) fn inherited(descriptor: OwnedFd, directory: &Directory) -> Result<Self, StoreError> {
        let not_it = || StoreError::NotOurs {
            path: directory.path().join(LOCK),
            reason: "another file was handed over as its lock".to_owned(),
        };
        let found = fstat(&descriptor).map_err(|error| directory.error(LOCK, error))?;
        let expected =
            directory.stat(LOCK).map_err(|error| directory.error(LOCK, error))?.ok_or_else(not_it)?;
        if (found.st_dev, found.st_ino) != (expected.st_dev, expected.st_ino) {
            return Err(not_it());
        }
        // Of the description that holds it already, this changes nothing.
        match try_lock(&descriptor, FlockOperation::NonBlockingLockExclusive) {
            Ok(true) => Ok(Self(descriptor)),
            Ok(false) => Err(StoreError::Running),
            Err(error) => Err(directory.error(LOCK, error)),
        }
    }

    /// That of a job that is being made; `None` if a sweep was faster.
    pub(super) fn new(directory: &Directory) -> io::Result<Option<Self>> {
        let descriptor = directory.file(LOCK, OFlags::RDWR | OFlags::CREATE | OFlags::EXCL)?.into();
        let locked = try_lock(&descriptor, FlockOperation::NonBlockingLockExclusive)?;
        let found = fstat(&descriptor)?;
        let is_there = directory
            .stat(LOCK)?
            .is_some_and(|there| (there.st_dev, there.st_ino) == (found.st_dev, found.st_ino));
        Ok((locked && is_there).then_some(Self(descriptor)))
    }

    /// That of a job that nobody holds; `None` if somebody does.
    pub(super) fn take(directory: &Directory) -> io::Result<Option<Self>> {
        let descriptor: OwnedFd = directory.file(LOCK, OFlags::RDWR)?.into();
        let until = Instant::now() + GLANCE;
        while !try_lock(&descriptor, FlockOperation::NonBlockingLockExclusive)? {
            if Instant::now() > until {
                return Ok(None);
            }
            thread::sleep(EVERY);
        }
        Ok(Some(Self(descriptor)))
    }

    /// Whether somebody holds it. Those who only look do not disturb each other.
    pub(super) fn is_held(directory: &Directory) -> io::Result<bool> {
        let descriptor: OwnedFd = directory.file(LOCK, OFlags::RDWR)?.into();
        Ok(!try_lock(&descriptor, FlockOperation::NonBlockingLockShared)?)
    }
}

impl AsFd for Lock {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// That no other process changes what belongs to all jobs; until it is dropped.
#[derive(Debug)]
pub(super) struct DirectoryLock(#[expect(dead_code, reason = "it holds the lock")] OwnedFd);

impl DirectoryLock {
    pub(super) fn take(directory: &Directory) -> Result<Self, StoreError> {
        let error = |source: io::Error| StoreError::system(directory.path(), source);
        let descriptor = directory.reopen().map_err(error)?;
        let until = Instant::now() + DIRECTORY_WAIT;
        while !try_lock(&descriptor, FlockOperation::NonBlockingLockExclusive).map_err(error)? {
            if Instant::now() > until {
                return Err(StoreError::Busy { path: directory.path().to_owned() });
            }
            thread::sleep(EVERY);
        }
        Ok(Self(descriptor))
    }
}

fn try_lock(descriptor: &OwnedFd, operation: FlockOperation) -> io::Result<bool> {
    loop {
        match flock(descriptor, operation) {
            Err(Errno::INTR) => {}
            Err(Errno::WOULDBLOCK) => return Ok(false),
            locked => return Ok(locked.map(|()| true)?),
        }
    }
}
