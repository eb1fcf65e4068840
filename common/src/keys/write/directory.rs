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

/// How long another process may take to write. It has a megabyte to write at most.
const LOCK_WAIT: Duration = Duration::from_secs(10);

/// How often the lock is tried: there is no way to wait for one with a limit.
const LOCK_EVERY: Duration = Duration::from_millis(10);

/// An open directory; its lock, if it was taken, is given back when it is dropped.
#[derive(Debug)]
pub(super) struct Directory(OwnedFd);

impl Directory {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self(open(path, flags, Mode::empty())?))
    }

    /// Keeps others that do the same out. It is the directory that is locked (flock(2)), so that no lock file is left
    /// lying about, belonging to whoever came first. Whether it could be had in time.
    pub(super) fn lock(&self) -> io::Result<bool> {
        let deadline = Instant::now() + LOCK_WAIT;
        loop {
            match flock(&self.0, FlockOperation::NonBlockingLockExclusive) {
                Err(Errno::WOULDBLOCK) if Instant::now() < deadline => thread::sleep(LOCK_EVERY),
                Err(Errno::WOULDBLOCK) => return Ok(false),
                locked => return Ok(locked.map(|()| true)?),
            }
        }
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
