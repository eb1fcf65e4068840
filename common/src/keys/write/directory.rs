//! A directory that files are put into: its lock, and the temporary files that take the places of others. Knows
//! nothing of what is in the files.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{
    AtFlags, FlockOperation, Gid, Mode, OFlags, RenameFlags, Stat, Uid, fchmod, fchown, flock, fstat, fsync,
    linkat, open, openat, renameat, renameat_with, unlinkat,
};
use rustix::io::Errno;

use crate::keys::file::permissions;

/// How long another process may take to write. It has a megabyte to write at most. Less than a client waits for a server
/// that has to write before it can answer.
const LOCK_WAIT: Duration = Duration::from_secs(5);

/// How often the lock is tried: there is no way to wait for one with a limit.
const LOCK_EVERY: Duration = Duration::from_millis(10);

/// What is locked in a directory that others can open.
const LOCK_FILE: &str = ".telex-lock";

/// An open directory.
#[derive(Debug)]
pub(super) struct Directory(OwnedFd);

/// That others are kept out; until it is dropped.
#[derive(Debug)]
pub(super) struct Lock(#[expect(dead_code, reason = "it holds the lock")] OwnedFd);

impl Directory {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self(open(path, flags, Mode::empty())?))
    }

    /// Keeps others that do the same out; `None` if that could not be had in time.
    pub(super) fn lock(&self) -> io::Result<Option<Lock>> {
        let target = self.lock_target()?;
        let deadline = Instant::now() + LOCK_WAIT;
        loop {
            match flock(&target, FlockOperation::NonBlockingLockExclusive) {
                Err(Errno::WOULDBLOCK) if Instant::now() < deadline => thread::sleep(LOCK_EVERY),
                Err(Errno::WOULDBLOCK) => return Ok(None),
                locked => return Ok(locked.map(|()| Some(Lock(target)))?),
            }
        }
    }

    /// What is locked (flock(2)): the directory itself, so that no file is left lying about. But whoever can open a
    /// directory can lock it, and keep others from revoking a key: in one that others can open, it is a file that they
    /// cannot.
    fn lock_target(&self) -> io::Result<OwnedFd> {
        let found = fstat(&self.0)?;
        if permissions(&found) & 0o044 == 0 {
            return self.0.try_clone();
        }
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = openat(&self.0, LOCK_FILE, flags, Mode::RUSR | Mode::WUSR)?;
        if fstat(&file)?.st_uid != found.st_uid {
            // Made by root for somebody who has to be able to lock it, too.
            fchown(&file, Some(Uid::from_raw(found.st_uid)), None).ok();
        }
        Ok(file)
    }

    /// Writes a file under a name that nobody uses, down to the disk.
    pub(super) fn write_temporary(&self, contents: &[u8], manner: Manner) -> io::Result<Temporary<'_>> {
        let number = getrandom::u64().map_err(io::Error::other)?;
        let name = format!(".telex-{number:016x}");
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file = File::from(openat(&self.0, &name, flags, Mode::RUSR | Mode::WUSR)?);
        let temporary = Temporary { directory: self, name };
        manner.apply(&file)?;
        file.write_all(contents)?;
        file.sync_all()?;
        Ok(temporary)
    }

    /// Makes what was done to its names outlast a power cut.
    pub(super) fn sync(&self) -> io::Result<()> {
        Ok(fsync(&self.0)?)
    }
}

impl AsFd for Directory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Whose a file is, and who may do what with it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Manner {
    mode: u32,
    owner: Option<(u32, u32)>,
}

impl Manner {
    /// The user's own.
    pub(super) fn new(mode: u32) -> Self {
        Self { mode, owner: None }
    }

    /// That of another file.
    pub(super) fn of(stat: &Stat) -> Self {
        Self { mode: permissions(stat), owner: Some((stat.st_uid, stat.st_gid)) }
    }

    /// The owner first: a change of owner takes away mode bits, and must not come to a file that is already open to
    /// its group.
    fn apply(self, file: &File) -> io::Result<()> {
        let found = fstat(file)?;
        if let Some((user, group)) = self.owner.filter(|owner| *owner != (found.st_uid, found.st_gid)) {
            fchown(file, Some(Uid::from_raw(user)), Some(Gid::from_raw(group)))?;
        }
        Ok(fchmod(file, Mode::from_raw_mode(self.mode))?)
    }
}

/// A file on its way to its name; removed when it does not get there.
#[derive(Debug)]
pub(super) struct Temporary<'a> {
    directory: &'a Directory,
    name: String,
}

impl Temporary<'_> {
    /// Gives it `name`, if nothing is called so (`AlreadyExists`).
    pub(super) fn publish(self, name: &OsStr) -> io::Result<()> {
        match renameat_with(self.directory, &self.name, self.directory, name, RenameFlags::NOREPLACE) {
            // Not every file system can do it so (rename(2)).
            Err(Errno::INVAL | Errno::NOSYS) => self.link(name),
            renamed => Ok(renamed?),
        }
    }

    pub(super) fn link(&self, name: &OsStr) -> io::Result<()> {
        Ok(linkat(self.directory, &self.name, self.directory, name, AtFlags::empty())?)
    }

    /// Gives it `name`, in the place of what may be called so.
    pub(super) fn replace(self, name: &OsStr) -> io::Result<()> {
        Ok(renameat(self.directory, &self.name, self.directory, name)?)
    }
}

impl Drop for Temporary<'_> {
    fn drop(&mut self) {
        // Under its own name it is there only if it got no other; what was renamed is not found.
        unlinkat(self.directory, &self.name, AtFlags::empty()).ok();
    }
}
