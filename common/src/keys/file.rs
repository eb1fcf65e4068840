//! Reads files that decide who may do what, and files with secrets: only those that nobody else can have written. And
//! others, without waiting for what is no file.
//!
//! Knows nothing of what is in them, and changes nothing. The rules are those of OpenSSH's `StrictModes`.

mod error;
mod parents;

use std::env;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, OFlags, Stat, fstat, openat};
use rustix::io::Errno;
use rustix::process::geteuid;
use zeroize::Zeroizing;

pub use error::{FileError, FileProblem, Place};

use super::private_key;

/// Bytes that a file of keys may have: as a limit for [`read_trusted`], and the limit of what is written. Some ten
/// thousand keys.
pub const TRUSTED_FILE_BYTES: usize = 1024 * 1024;

/// Who may have written a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trust {
    /// Directories are checked from the file up to this one; up to `/` for a file that is not below it.
    pub home: PathBuf,
    /// Whose files they are. Root's are trusted as well.
    pub uid: u32,
}

impl Trust {
    /// The user that this process runs as, and the home directory that its environment names (`/` if none).
    pub fn current() -> Self {
        let home = env::home_dir().filter(|home| home.is_absolute());
        Self { home: home.unwrap_or_else(|| PathBuf::from("/")), uid: geteuid().as_raw() }
    }
}

/// What is in a file that decides about access; `None` if there is no such file. Links are followed; what counts is
/// where the file really is. Blocks for as long as the file system does, never for a FIFO or a device.
///
/// Nobody can exchange the file between its check and its reading. Links are resolved first; on the path without
/// links, every directory is opened from the one above it, checked as it was opened, and the file is opened from the
/// last. So whoever would put another file there must write to a directory that was found to be closed to them.
///
/// # Errors
/// [`FileError`] unless it is a regular file of at most `limit` bytes, which only root or the user can write to, in
/// directories of which the same is true up to the home directory.
pub fn read_trusted(path: &Path, trust: &Trust, limit: usize) -> Result<Option<Vec<u8>>, FileError> {
    found(open_trusted(path, trust).and_then(|(file, stat)| read(file, &stat, limit)))
        .map_err(|problem| FileError::new(path, problem))
}

/// What is in a private key file, 64 KiB at most; `None` if there is no such file. Its directories are not looked at,
/// as they are not by OpenSSH: what is found is the user's own secret wherever it lies.
///
/// # Errors
/// [`FileError`] unless it is a regular file that belongs to `trust.uid`, and that nobody else may read or write.
pub fn read_private(path: &Path, trust: &Trust) -> Result<Option<Zeroizing<Vec<u8>>>, FileError> {
    found(open_private(path, trust).and_then(|(file, stat)| read(file, &stat, private_key::FILE_BYTES)))
        .map(|text| text.map(Zeroizing::new))
        .map_err(|problem| FileError::new(path, problem))
}

/// What is in a file that decides nothing, such as the public half of a key; `None` if there is no such file. Anybody may
/// have written it. Overwritten when it is dropped, since users also name files with secrets here.
///
/// # Errors
/// [`FileError`] unless it is a regular file of at most `limit` bytes that this process may read.
pub fn read_untrusted(path: &Path, limit: usize) -> Result<Option<Zeroizing<Vec<u8>>>, FileError> {
    found(open_regular(CWD, path, OFlags::empty()).and_then(|(file, stat)| read(file, &stat, limit)))
        .map(|text| text.map(Zeroizing::new))
        .map_err(|problem| FileError::new(path, problem))
}

fn open_trusted(path: &Path, trust: &Trust) -> Result<(File, Stat), FileProblem> {
    let path = fs::canonicalize(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound if path.is_symlink() => FileProblem::DanglingLink,
        _ => error.into(),
    })?;
    let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(FileProblem::NotRegular { kind: "a directory" });
    };
    let directory = parents::open_checked(directory, trust)?;
    let (file, stat) = open_regular(directory, name.as_ref(), OFlags::NOFOLLOW)?;
    check_closed(&stat, &Place::File, trust)?;
    let mode = permissions(&stat);
    // Root reads everything. A user must not have root read for them what they could not (`ln -s /etc/shadow …`).
    if stat.st_uid != trust.uid && trust.uid != 0 && mode & 0o004 == 0 {
        return Err(FileProblem::NotReadable { mode, uid: trust.uid });
    }
    Ok((file, stat))
}

fn open_private(path: &Path, trust: &Trust) -> Result<(File, Stat), FileProblem> {
    let (file, stat) = open_regular(CWD, path, OFlags::empty())?;
    if stat.st_uid != trust.uid {
        return Err(FileProblem::Owner { place: Place::File, owner: stat.st_uid, uid: trust.uid });
    }
    let mode = permissions(&stat);
    if mode & 0o077 != 0 {
        return Err(FileProblem::NotPrivate { mode });
    }
    Ok((file, stat))
}

/// Opens what is there without waiting for a FIFO's writer or taking a terminal, and says what it is.
pub(super) fn open_regular(
    directory: impl AsFd,
    path: &Path,
    flags: OFlags,
) -> Result<(File, Stat), FileProblem> {
    let flags = flags | OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let descriptor = match openat(directory, path, flags, Mode::empty()) {
        Err(Errno::NXIO) => return Err(FileProblem::NotRegular { kind: "a socket" }),
        opened => opened?,
    };
    let stat = fstat(&descriptor)?;
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => return Ok((descriptor.into(), stat)),
        FileType::Directory => "a directory",
        FileType::Fifo => "a FIFO",
        _ => "a device",
    };
    Err(FileProblem::NotRegular { kind })
}

/// Whether nobody but root and the user can write to it.
fn check_closed(stat: &Stat, place: &Place, trust: &Trust) -> Result<(), FileProblem> {
    let (mode, owner, uid) = (permissions(stat), stat.st_uid, trust.uid);
    if owner != uid && owner != 0 {
        return Err(FileProblem::Owner { place: place.clone(), owner, uid });
    }
    if mode & 0o022 != 0 {
        return Err(FileProblem::Writable { place: place.clone(), mode, own: owner == uid });
    }
    Ok(())
}

/// At most `limit` bytes, also of a file that grows.
pub(super) fn read(file: File, stat: &Stat, limit: usize) -> Result<Vec<u8>, FileProblem> {
    let too_large = |size| FileProblem::TooLarge { size, limit };
    let size = u64::try_from(stat.st_size).unwrap_or_default();
    let expected = usize::try_from(size).ok().filter(|size| *size <= limit).ok_or_else(|| too_large(size))?;
    // With room to spare nothing is moved, so that no copy of a secret stays behind.
    let mut text = Vec::with_capacity(expected + 64);
    file.take(limit as u64 + 1).read_to_end(&mut text)?;
    if text.len() > limit { Err(too_large(text.len() as u64)) } else { Ok(text) }
}

/// `None` for what is not there.
pub(super) fn found<T>(result: Result<T, FileProblem>) -> Result<Option<T>, FileProblem> {
    match result {
        Err(FileProblem::System(error)) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        other => other.map(Some),
    }
}

/// The bits that `chmod` sets.
pub(super) fn permissions(stat: &Stat) -> u32 {
    stat.st_mode & 0o7777
}

#[cfg(test)]
mod tests;
