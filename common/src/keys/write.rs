//! Writes files so that whoever reads one finds it whole: the old or the new, after a power cut as well.
//!
//! Knows nothing of what is in them. Blocks; call it where that is allowed.

mod directory;

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use thiserror::Error;

use super::file::{self, FileError, FileProblem, TRUSTED_FILE_BYTES};
use crate::reason::system_reason;
use directory::{Directory, Manner};

/// What only its owner may read.
const PRIVATE: u32 = 0o600;

/// Writes a new file that only the user can read, and directories (0700) where they are missing. A file that is there
/// already stays as it is, also if it appears in the meantime. Nothing is left behind on an error.
///
/// # Errors
/// [`WriteError::AlreadyExists`] if there is something of that name; else the system's.
pub fn create_private(path: &Path, contents: &[u8]) -> Result<(), WriteError> {
    let system = |source| WriteError::System { path: path.to_owned(), source };
    let name = path.file_name().ok_or_else(|| system(io::ErrorKind::InvalidInput.into()))?;
    let directory = make_parent(path).and_then(Directory::open).map_err(system)?;
    let new = directory.write_temporary(contents, Manner::new(PRIVATE)).map_err(system)?;
    new.publish(name).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => WriteError::AlreadyExists { path: path.to_owned() },
        _ => system(error),
    })?;
    directory.sync().map_err(system)
}

/// Adds `line` at the end, and the newline that is missing before it, if `check` agrees. A new file gets `mode`, whatever
/// the umask; an old one keeps its own. Loses nothing that another process adds at the same time by this or [`rewrite`],
/// and waits for it, 5 s at most.
///
/// `check` gets the contents as they are and as they would be, and says whether the line is to be added. No other process
/// changes the file between that and the writing by these functions, so what was found out before, and may have changed
/// meanwhile, is to be looked at again there. It keeps others waiting: it is to decide, not to wait.
///
/// # Errors
/// That of `check`; [`WriteError::NotOneLine`] for a line with a line break; else as [`rewrite`]. The old contents are then
/// still there.
pub fn append_line<E: From<WriteError>>(
    path: &Path,
    line: &str,
    mode: u32,
    check: impl FnOnce(&[u8], &[u8]) -> Result<bool, E>,
) -> Result<(), E> {
    if line.contains(['\n', '\r', '\0']) {
        return Err(WriteError::NotOneLine.into());
    }
    update(path, mode, |old| {
        let new = with_line(old, line);
        Ok(check(old, &new)?.then_some(new))
    })
}

fn with_line(old: &[u8], line: &str) -> Vec<u8> {
    let mut new = Vec::with_capacity(old.len() + line.len() + 2);
    new.extend_from_slice(old);
    if old.last().is_some_and(|last| *last != b'\n') {
        new.push(b'\n');
    }
    new.extend_from_slice(line.as_bytes());
    new.push(b'\n');
    new
}

/// Puts what `change` makes of the contents in their place; a file that is not there counts as empty, and is made 0600.
/// No other process changes it meanwhile by the functions here. A link stays, and what it points to changes.
///
/// # Errors
/// [`WriteError`]; the old contents are then still there.
pub fn rewrite(path: &Path, change: impl FnOnce(&[u8]) -> Vec<u8>) -> Result<(), WriteError> {
    update(path, PRIVATE, |old| Ok(Some(change(old))))
}

/// Puts what `change` makes of the contents in their place; leaves them if that is nothing, or an error.
fn update<E: From<WriteError>>(
    path: &Path,
    mode: u32,
    change: impl FnOnce(&[u8]) -> Result<Option<Vec<u8>>, E>,
) -> Result<(), E> {
    let system = |source| WriteError::System { path: path.to_owned(), source };
    let real = resolve(path).map_err(system)?;
    let (Some(parent), Some(name)) = (real.parent(), real.file_name()) else {
        return Err(system(io::ErrorKind::IsADirectory.into()).into());
    };
    let directory = Directory::open(parent).map_err(system)?;
    let Some(_lock) = directory.lock().map_err(system)? else {
        return Err(WriteError::Busy { path: path.to_owned() }.into());
    };
    let old = file::found(read(&directory, name.as_ref()))
        .map_err(|problem| WriteError::File(FileError::new(path, problem)))?;
    let (old, manner) = old.map_or_else(|| (None, Manner::new(mode)), |(old, manner)| (Some(old), manner));
    let Some(new) = change(old.as_deref().unwrap_or_default())?.filter(|new| old.as_ref() != Some(new))
    else {
        return Ok(());
    };
    if new.len() > TRUSTED_FILE_BYTES {
        return Err(WriteError::TooLarge { path: path.to_owned(), size: new.len() }.into());
    }
    let temporary = directory.write_temporary(&new, manner).map_err(system)?;
    temporary.replace(name).map_err(system)?;
    Ok(directory.sync().map_err(system)?)
}

fn read(directory: &Directory, name: &Path) -> Result<(Vec<u8>, Manner), FileProblem> {
    let (opened, stat) = file::open_regular(directory, name, OFlags::NOFOLLOW)?;
    Ok((file::read(opened, &stat, TRUSTED_FILE_BYTES)?, Manner::of(&stat)))
}

/// Where `path` leads, with its directories made.
fn resolve(path: &Path) -> io::Result<PathBuf> {
    match fs::canonicalize(path) {
        // A link that leads nowhere is not taken for a missing file: it would be replaced.
        Err(error) if error.kind() == io::ErrorKind::NotFound && !path.is_symlink() => {
            let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
            Ok(fs::canonicalize(make_parent(path)?)?.join(name))
        }
        other => other,
    }
}

/// The directory of `path`, made if there is none, for the user alone.
fn make_parent(path: &Path) -> io::Result<&Path> {
    let parent =
        path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    match DirBuilder::new().recursive(true).mode(0o700).create(parent) {
        // Something stands there, and it is the file that would be said to exist.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            Err(io::ErrorKind::NotADirectory.into())
        }
        made => made.map(|()| parent),
    }
}

/// Why a file is as it was.
#[derive(Debug, Error)]
pub enum WriteError {
    /// There is something of that name, and it is not replaced.
    #[error("{} already exists", path.display())]
    AlreadyExists {
        /// The file.
        path: PathBuf,
    },
    /// The system's reason: no space, no permission, no such directory.
    #[error("cannot write {}: {}", path.display(), system_reason(source))]
    System {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// What is there is no file that can be changed.
    #[error(transparent)]
    File(FileError),
    /// It would become longer than anybody reads.
    #[error("cannot write {}: it would have {size} bytes; at most {TRUSTED_FILE_BYTES} are read", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// How many bytes it would have.
        size: usize,
    },
    /// Another process has held its directory for 5 s.
    #[error("cannot write {}: another process is writing there", path.display())]
    Busy {
        /// The file.
        path: PathBuf,
    },
    /// The caller's fault: one line would have become several.
    #[error("not one line of text")]
    NotOneLine,
}

#[cfg(test)]
mod tests;
