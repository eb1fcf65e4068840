//! An open directory, and files by their names in it: read with a limit, or put there whole. Knows nothing of jobs.
//!
//! Names are never paths, links are never followed, and what is no ordinary file is not opened. A directory that is
//! renamed meanwhile is still the same one.

use std::fmt;
use std::fs::{DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, Dir, FileType, Mode, OFlags, RenameFlags, Stat, fstat, fsync, linkat, mkdirat, open, openat,
    renameat, renameat_with, statat, unlinkat,
};
use rustix::io::Errno;
use rustix::process::geteuid;

use super::StoreError;
use super::point::{Observer, Point};

const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// What every file is opened with: not to hang on a FIFO, nor to follow a link.
const FILE: OFlags = OFlags::NOFOLLOW.union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);

/// What only its owner may read.
const PRIVATE: Mode = Mode::RUSR.union(Mode::WUSR);

/// Ours alone.
pub(super) struct Directory {
    descriptor: OwnedFd,
    /// Where it was when it was opened; for messages.
    path: PathBuf,
    observer: Observer,
}

/// What becomes of a file in a power cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Durability {
    /// It is there when the call returns, with its name.
    Synced,
    /// It may be missing. Never half there: it has a checksum.
    Unsynced,
}

impl Directory {
    /// Opens `path`, and makes it where it is missing, for the user alone.
    pub(super) fn open_own(path: &Path, observer: Observer) -> Result<Self, StoreError> {
        let system = |source: io::Error| StoreError::system(path, source);
        match DirBuilder::new().recursive(true).mode(0o700).create(path) {
            // Something else stands there: the opening says what.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => made.map_err(system)?,
        }
        Self::open(path, observer)
    }

    /// Opens `path`, which has to be ours.
    pub(super) fn open(path: &Path, observer: Observer) -> Result<Self, StoreError> {
        let not_ours =
            |reason: &str| StoreError::NotOurs { path: path.to_owned(), reason: reason.to_owned() };
        let descriptor = match open(path, DIRECTORY, Mode::empty()) {
            Err(Errno::LOOP | Errno::NOTDIR) => return Err(not_ours("it is a link, or no directory")),
            opened => opened.map_err(|error| StoreError::system(path, error))?,
        };
        let found = fstat(&descriptor).map_err(|error| StoreError::system(path, error))?;
        if found.st_uid != geteuid().as_raw() {
            return Err(not_ours(&format!("it belongs to uid {}", found.st_uid)));
        }
        let mode = found.st_mode & 0o7777;
        if mode & 0o077 != 0 {
            return Err(not_ours(&format!("it is open to others (mode {mode:04o}), and has to be 0700")));
        }
        Ok(Self { descriptor, path: path.to_owned(), observer })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Tells whoever watches that something has happened to the disk.
    pub(super) fn mark(&self, point: Point) {
        (self.observer)(point);
    }

    /// What went wrong with `name`.
    pub(super) fn error(&self, name: &str, source: impl Into<io::Error>) -> StoreError {
        StoreError::system(&self.path.join(name), source)
    }

    /// The directory `name` in it.
    pub(super) fn child(&self, name: &str) -> io::Result<Self> {
        let descriptor = openat(&self.descriptor, name, DIRECTORY, Mode::empty())?;
        Ok(Self { descriptor, path: self.path.join(name), observer: self.observer })
    }

    /// Makes the directory `name`.
    pub(super) fn make_child(&self, name: &str) -> io::Result<Self> {
        mkdirat(&self.descriptor, name, Mode::RWXU)?;
        self.mark(Point::DirectoryMade);
        self.child(name)
    }

    /// Whether it is still what is called `name` in `parent`.
    pub(super) fn is_still(&self, parent: &Self, name: &str) -> io::Result<bool> {
        let own = fstat(self)?;
        Ok(parent.stat(name)?.is_some_and(|found| (found.st_dev, found.st_ino) == (own.st_dev, own.st_ino)))
    }

    /// Another handle of the same directory.
    pub(super) fn try_clone(&self) -> io::Result<Self> {
        let descriptor = self.descriptor.try_clone()?;
        Ok(Self { descriptor, path: self.path.clone(), observer: self.observer })
    }

    /// Opens an ordinary file. What is none is an error of the kind `InvalidInput`.
    pub(super) fn file(&self, name: &str, flags: OFlags) -> io::Result<File> {
        let file = match openat(&self.descriptor, name, flags | FILE, PRIVATE) {
            // A link, a directory, a socket.
            Err(Errno::LOOP | Errno::ISDIR | Errno::NXIO) => return Err(io::ErrorKind::InvalidInput.into()),
            opened => File::from(opened?),
        };
        if file.metadata()?.is_file() { Ok(file) } else { Err(io::ErrorKind::InvalidInput.into()) }
    }

    /// The contents of `name`, if there is such a file; of one that is longer than `limit`, one byte more than that.
    pub(super) fn read(&self, name: &str, limit: usize) -> io::Result<Option<Vec<u8>>> {
        let file = match self.file(name, OFlags::RDONLY) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        let mut contents = Vec::new();
        file.take(limit as u64 + 1).read_to_end(&mut contents)?;
        Ok(Some(contents))
    }

    /// Puts `contents` under `name`, if nothing is called so; `false` if something is. Only one process at a time may do so
    /// with one name. On the way it is called `.name`; room that was reserved there is used.
    pub(super) fn publish(&self, name: &str, contents: &[u8], durability: Durability) -> io::Result<bool> {
        self.put(name, contents, durability, |from| self.rename(from, self, name))
    }

    /// Puts `contents` under `name`, in the place of what may be called so.
    pub(super) fn replace(&self, name: &str, contents: &[u8]) -> io::Result<()> {
        self.put(name, contents, Durability::Synced, |from| {
            renameat(&self.descriptor, from, &self.descriptor, name)?;
            Ok(true)
        })?;
        Ok(())
    }

    fn put(
        &self,
        name: &str,
        contents: &[u8],
        durability: Durability,
        give_name: impl FnOnce(&str) -> io::Result<bool>,
    ) -> io::Result<bool> {
        let temporary = temporary(name);
        let file = self.file(&temporary, OFlags::WRONLY | OFlags::CREATE)?;
        // Not cut before it is written: what was reserved would be given back.
        file.write_all_at(contents, 0)?;
        file.set_len(contents.len() as u64)?;
        self.mark(Point::RecordWritten);
        if durability == Durability::Synced {
            file.sync_all()?;
            self.mark(Point::RecordSynced);
        }
        let named = give_name(&temporary)?;
        self.mark(Point::RecordNamed);
        if !named {
            self.unlink(&temporary)?;
        }
        if durability == Durability::Synced {
            self.sync()?;
            self.mark(Point::RecordDurable);
        }
        Ok(named)
    }

    /// Renames what is called `from` into `directory`, if nothing there is called `to`; `false` if something is.
    pub(super) fn rename(&self, from: &str, directory: &Self, to: &str) -> io::Result<bool> {
        match renameat_with(self, from, directory, to, RenameFlags::NOREPLACE) {
            Err(Errno::EXIST | Errno::NOTEMPTY) => Ok(false),
            // Not every file system can do it so (rename(2)).
            Err(Errno::INVAL | Errno::NOSYS) => self.rename_otherwise(from, directory, to),
            renamed => Ok(renamed.map(|()| true)?),
        }
    }

    /// A link does not replace a file, and a directory replaces only an empty one, which is no job.
    fn rename_otherwise(&self, from: &str, directory: &Self, to: &str) -> io::Result<bool> {
        let found = statat(self, from, AtFlags::SYMLINK_NOFOLLOW)?;
        let renamed = match FileType::from_raw_mode(found.st_mode) {
            FileType::Directory => renameat(self, from, directory, to),
            _ => linkat(self, from, directory, to, AtFlags::empty())
                .and_then(|()| unlinkat(self, from, AtFlags::empty())),
        };
        match renamed {
            Err(Errno::EXIST | Errno::NOTEMPTY) => Ok(false),
            renamed => Ok(renamed.map(|()| true)?),
        }
    }

    pub(super) fn stat(&self, name: &str) -> io::Result<Option<Stat>> {
        match statat(self, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => Ok(None),
            found => Ok(found.map(Some)?),
        }
    }

    /// Removes the file `name`, if it is there.
    pub(super) fn unlink(&self, name: &str) -> io::Result<()> {
        match unlinkat(self, name, AtFlags::empty()) {
            Err(Errno::NOENT) => Ok(()),
            removed => Ok(removed?),
        }
    }

    /// Removes the directory `name` with the files in it, at most `limit` of them; it has no directories.
    pub(super) fn remove_child(&self, name: &str, limit: usize) -> io::Result<()> {
        let child = match self.child(name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            opened => opened?,
        };
        let names = match child.names(limit) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            names => names?,
        };
        for file in names.listed {
            child.unlink(&file)?;
            self.mark(Point::FileRemoved);
        }
        match unlinkat(self, name, AtFlags::REMOVEDIR) {
            // Somebody else has swept it away meanwhile.
            Err(Errno::NOENT) => {}
            removed => removed?,
        }
        self.mark(Point::JobRemoved);
        Ok(())
    }

    /// The names in it that are UTF-8, which ours are; at most `limit`.
    pub(super) fn names(&self, limit: usize) -> io::Result<Names> {
        let mut names = Names { listed: Vec::new(), complete: true };
        for entry in Dir::read_from(self)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().to_str() else { continue };
            if matches!(name, "." | "..") {
                continue;
            }
            if names.listed.len() == limit {
                names.complete = false;
                break;
            }
            names.listed.push(name.to_owned());
        }
        Ok(names)
    }

    /// Makes what was done to its names outlast a power cut.
    pub(super) fn sync(&self) -> io::Result<()> {
        Ok(fsync(self)?)
    }

    /// A new open file description of it, which can be locked.
    pub(super) fn reopen(&self) -> io::Result<OwnedFd> {
        Ok(openat(self, ".", DIRECTORY, Mode::empty())?)
    }

    /// Writes a new file down to the disk, without a name of its own on the way: in a directory that nobody else knows yet.
    pub(super) fn write_new(&self, name: &str, contents: &[u8]) -> io::Result<()> {
        let mut file = self.file(name, OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL)?;
        file.write_all(contents)?;
        self.mark(Point::IntentWritten);
        file.sync_all()?;
        self.mark(Point::IntentSynced);
        Ok(())
    }
}

/// Names in a directory.
#[derive(Debug)]
pub(super) struct Names {
    pub(super) listed: Vec<String>,
    /// Whether these are all.
    pub(super) complete: bool,
}

/// What `name` is called while it is written.
pub(super) fn temporary(name: &str) -> String {
    format!(".{name}")
}

impl AsFd for Directory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

impl fmt::Debug for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Directory")
            .field(&self.path.as_os_str().as_bytes().escape_ascii().to_string())
            .finish()
    }
}
