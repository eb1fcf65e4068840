//! This side's files: what a tree is, and where one grows that comes from a server.
//!
//! What is written goes through descriptors of directories, and follows no link: what a server says, and what an earlier one has
//! left behind, cannot lead out of the tree. All of it may block.

use std::ffi::OsStr;
use std::fs::{self, File, Metadata};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags, RawMode, RenameFlags};
use rustix::io::Errno;

use super::hash::Hash;
use super::plan::{ENTRIES, Entry, Kind, ListingError, MODE, Standing, Tree};
use super::{Side, TransferError};

/// For what is not whole yet.
const OURS: Mode = Mode::from_raw_mode(0o600);
const OUR_DIRECTORY: Mode = Mode::from_raw_mode(0o700);

/// The error of doing this to that.
pub(super) fn failure<E: Into<io::Error>>(
    doing: &'static str,
    path: &Path,
) -> impl FnOnce(E) -> TransferError {
    let path = path.to_owned();
    move |error| TransferError::Local { doing, path, error: error.into() }
}

/// What stands at `path`.
pub(super) fn standing(path: &Path) -> Result<Standing, TransferError> {
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Standing::Nothing),
        Err(error) => return Err(failure("look at", path)(error)),
    };
    let is_link_to_directory =
        || found.is_symlink() && fs::metadata(path).is_ok_and(|target| target.is_dir());
    Ok(match found.file_type() {
        kind if kind.is_dir() || is_link_to_directory() => Standing::Directory,
        kind if kind.is_file() || kind.is_symlink() => Standing::File,
        _ => Standing::Other,
    })
}

/// The tree at `path`; `None` if there is nothing. A link at its root is followed if that is wanted, and there alone.
pub(super) fn walk(path: &Path, follow: bool) -> Result<Option<Tree>, TransferError> {
    let found = if follow { fs::metadata(path) } else { fs::symlink_metadata(path) };
    let found = match found {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failure("read", path)(error)),
    };
    let mut entries = vec![entry(Vec::new(), path, &found)?];
    let mut directories = if found.is_dir() { vec![Vec::new()] } else { Vec::new() };
    while let Some(directory) = directories.pop() {
        let at = below(path, &directory);
        for found in fs::read_dir(&at).map_err(failure("list", &at))? {
            let found = found.map_err(failure("list", &at))?;
            let metadata = found.metadata().map_err(failure("read", &found.path()))?;
            let slash: &[u8] = if directory.is_empty() { b"" } else { b"/" };
            let name = [&directory, slash, found.file_name().as_bytes()].concat();
            if metadata.is_dir() {
                directories.push(name.clone());
            }
            entries.push(entry(name, &found.path(), &metadata)?);
            if entries.len() > ENTRIES {
                return Err(ListingError::TooLong.into());
            }
        }
    }
    Ok(Tree::new(entries)?)
}

fn entry(name: Vec<u8>, path: &Path, found: &Metadata) -> Result<Entry, TransferError> {
    let kind = match found.file_type() {
        kind if kind.is_dir() => Kind::Directory,
        kind if kind.is_file() => Kind::File { bytes: found.len() },
        kind if kind.is_symlink() => {
            let to = fs::read_link(path).map_err(failure("read", path))?;
            Kind::Link { to: to.into_os_string().into_encoded_bytes() }
        }
        _ => Kind::Other,
    };
    Ok(Entry { path: name, kind, mode: found.mode() & MODE })
}

/// What is below `root`; itself for an empty path.
pub(super) fn below(root: &Path, path: &[u8]) -> PathBuf {
    if path.is_empty() { root.to_owned() } else { root.join(OsStr::from_bytes(path)) }
}

/// The hashes of the first so many bytes of files below `root`.
pub(super) fn hashes(root: &Path, files: &[(Vec<u8>, u64)]) -> Result<Vec<(Vec<u8>, Hash)>, TransferError> {
    let hash = |(name, bytes): &(Vec<u8>, u64)| {
        let path = below(root, name);
        let file = open(&path)?;
        Ok((name.clone(), Hash::of_beginning(&file, *bytes).map_err(failure("read", &path))?))
    };
    files.iter().map(hash).collect()
}

/// Opens a file to read it. Not to wait for: what was a file may be a FIFO now.
pub(super) fn open(path: &Path) -> Result<File, TransferError> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = rustix::fs::open(path, flags, Mode::empty()).map_err(failure("read", path))?;
    Ok(File::from(file))
}

/// A place in the file system where a tree is, or is to be.
#[derive(Debug)]
pub(super) struct Place {
    parent: OwnedFd,
    path: PathBuf,
}

impl Place {
    /// The place at `path`, whose directory is there.
    ///
    /// # Errors
    /// [`TransferError::NoParent`] if it is not.
    pub(super) fn at(path: &Path) -> Result<Self, TransferError> {
        let parent = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let parent =
            rustix::fs::open(parent, OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::RDONLY, Mode::empty())
                .map_err(|error| match error {
                    Errno::NOENT | Errno::NOTDIR => TransferError::NoParent {
                        side: Side::Here,
                        path: parent.as_os_str().as_bytes().to_vec(),
                    },
                    error => failure("open", parent)(error),
                })?;
        Ok(Self { parent, path: path.to_owned() })
    }

    /// Finds the file or directory of an earlier try here, or makes one. Only its owner's, so that nobody is fed anything in a
    /// directory where others can write; a file with two names is a target, from which only this name was not taken away yet.
    pub(super) fn prepare(&self, directory: bool) -> Result<(), TransferError> {
        let found = match fs::symlink_metadata(&self.path) {
            Ok(found) => Some(found),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(failure("look at", &self.path)(error)),
        };
        if let Some(found) = found {
            let is_one = if directory { found.is_dir() } else { found.is_file() && found.nlink() == 1 };
            if is_one && found.uid() == rustix::process::geteuid().as_raw() {
                return self.open_up();
            }
            self.remove(b"")?;
        }
        if directory { self.create_directory(b"") } else { self.open_file(b"", 0).map(drop) }
    }

    /// An earlier try may have come as far as to set the modes.
    fn open_up(&self) -> Result<(), TransferError> {
        let mut found = vec![self.path.clone()];
        while let Some(path) = found.pop() {
            let metadata = fs::symlink_metadata(&path).map_err(failure("look at", &path))?;
            if metadata.is_symlink() {
                continue;
            }
            let mode = metadata.mode() | if metadata.is_dir() { 0o700 } else { 0o600 };
            if mode != metadata.mode() {
                fs::set_permissions(&path, fs::Permissions::from_mode(mode))
                    .map_err(failure("change", &path))?;
            }
            if metadata.is_dir() {
                for inner in fs::read_dir(&path).map_err(failure("list", &path))? {
                    found.push(inner.map_err(failure("list", &path))?.path());
                }
            }
        }
        Ok(())
    }

    /// The directory that `path` is in, and its name there.
    fn find<'a>(&'a self, path: &'a [u8]) -> io::Result<(Directory<'a>, &'a OsStr)> {
        let root = self.path.file_name().ok_or(Errno::INVAL)?;
        let Some(name) = path.rsplit(|byte| *byte == b'/').next().filter(|name| !name.is_empty()) else {
            return Ok((Directory::Root(&self.parent), root));
        };
        let mut directory = open_directory(&self.parent, root)?;
        let parents = path.get(..path.len() - name.len()).unwrap_or_default();
        for name in parents.split(|byte| *byte == b'/').filter(|name| !name.is_empty()) {
            directory = open_directory(&directory, OsStr::from_bytes(name))?;
        }
        Ok((Directory::Inner(directory), OsStr::from_bytes(name)))
    }

    fn path_of(&self, path: &[u8]) -> PathBuf {
        below(&self.path, path)
    }

    pub(super) fn create_directory(&self, path: &[u8]) -> Result<(), TransferError> {
        let create = || {
            let (directory, name) = self.find(path)?;
            Ok(rustix::fs::mkdirat(directory.fd(), name, OUR_DIRECTORY)?)
        };
        create().map_err(failure::<io::Error>("make", &self.path_of(path)))
    }

    /// Opens a file to write behind its first `from` bytes, which are there; makes it if there is none.
    pub(super) fn open_file(&self, path: &[u8], from: u64) -> Result<File, TransferError> {
        let open = || {
            let (directory, name) = self.find(path)?;
            let exclusive = if from == 0 { OFlags::EXCL | OFlags::CREATE } else { OFlags::empty() };
            let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let open = |more| rustix::fs::openat(directory.fd(), name, flags | more, OURS);
            let file = match open(exclusive) {
                // Nothing of it is there but its name.
                Err(Errno::EXIST) => open(OFlags::empty())?,
                opened => opened?,
            };
            let file = File::from(file);
            if file.metadata()?.len() == from { Ok(file) } else { Err(Errno::STALE.into()) }
        };
        open().map_err(failure::<io::Error>("write", &self.path_of(path)))
    }

    pub(super) fn link(&self, path: &[u8], to: &[u8]) -> Result<(), TransferError> {
        let link = || {
            let (directory, name) = self.find(path)?;
            Ok(rustix::fs::symlinkat(OsStr::from_bytes(to), directory.fd(), name)?)
        };
        link().map_err(failure::<io::Error>("make", &self.path_of(path)))
    }

    /// Takes it away, with all that is in it; that it is gone already is all right.
    pub(super) fn remove(&self, path: &[u8]) -> Result<(), TransferError> {
        let remove = || {
            let (directory, name) = match self.find(path) {
                Ok(found) => found,
                Err(error)
                    if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
                {
                    return Ok(());
                }
                Err(error) => return Err(error),
            };
            match rustix::fs::unlinkat(directory.fd(), name, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => Ok(()),
                // The library's way down follows no links.
                Err(Errno::ISDIR) => fs::remove_dir_all(self.path_of(path)),
                Err(error) => Err(error.into()),
            }
        };
        remove().map_err(failure::<io::Error>("remove", &self.path_of(path)))
    }

    pub(super) fn set_mode(&self, path: &[u8], mode: u32, directory: bool) -> Result<(), TransferError> {
        let set = || {
            let (parent, name) = self.find(path)?;
            let kind = if directory { OFlags::DIRECTORY } else { OFlags::NONBLOCK };
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | kind;
            let file = rustix::fs::openat(parent.fd(), name, flags, Mode::empty())?;
            Ok(rustix::fs::fchmod(file, Mode::from_raw_mode(RawMode::from(mode & MODE)))?)
        };
        set().map_err(failure::<io::Error>("change", &self.path_of(path)))
    }

    /// Gives all of it the name that `target` has. `false` if there is something of that name, and it is not to give way.
    pub(super) fn become_target(&self, target: &Self, replace: bool) -> Result<bool, TransferError> {
        let rename = || {
            let ((from, old), (to, new)) = (self.find(b"")?, target.find(b"")?);
            let flags = if replace { RenameFlags::empty() } else { RenameFlags::NOREPLACE };
            match rustix::fs::renameat_with(from.fd(), old, to.fd(), new, flags) {
                Ok(()) => Ok(true),
                Err(Errno::EXIST | Errno::NOTEMPTY) if !replace => Ok(false),
                // A file system that cannot promise it (NFS): a second name never takes another's, and a directory never that
                // of one with something in it, or of a file.
                Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) if !replace => {
                    match rustix::fs::linkat(from.fd(), old, to.fd(), new, AtFlags::empty()) {
                        Ok(()) => rustix::fs::unlinkat(from.fd(), old, AtFlags::empty()).map(|()| true),
                        Err(Errno::EXIST) => Ok(false),
                        Err(Errno::PERM) if fs::symlink_metadata(&self.path)?.is_dir() => {
                            rustix::fs::renameat(from.fd(), old, to.fd(), new).map(|()| true)
                        }
                        Err(error) => Err(error),
                    }
                    .map_err(io::Error::from)
                }
                Err(error) => Err(error.into()),
            }
        };
        rename().map_err(failure::<io::Error>("make", &target.path))
    }

    /// Moves one file or link to its place in `target`.
    pub(super) fn move_to(&self, target: &Self, path: &[u8]) -> Result<(), TransferError> {
        let rename = || {
            let ((from, old), (to, new)) = (self.find(path)?, target.find(path)?);
            Ok(rustix::fs::renameat(from.fd(), old, to.fd(), new)?)
        };
        rename().map_err(failure::<io::Error>("make", &target.path_of(path)))
    }

    /// The error of doing this to something in it.
    pub(super) fn failure(&self, doing: &'static str, path: &[u8], error: io::Error) -> TransferError {
        failure(doing, &self.path_of(path))(error)
    }

    /// Whether a directory is there, and not a link to one.
    pub(super) fn has_directory(&self, path: &[u8]) -> bool {
        let open = || {
            let (directory, name) = self.find(path)?;
            open_directory(directory.fd(), name)
        };
        open().is_ok()
    }
}

/// A directory that is open.
enum Directory<'a> {
    Root(&'a OwnedFd),
    Inner(OwnedFd),
}

impl Directory<'_> {
    fn fd(&self) -> &OwnedFd {
        match self {
            Self::Root(fd) => fd,
            Self::Inner(fd) => fd,
        }
    }
}

fn open_directory(parent: &OwnedFd, name: &OsStr) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(parent, name, flags, Mode::empty())?)
}

#[cfg(test)]
mod tests;
