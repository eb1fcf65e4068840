//! Finding a program as execvp(3) does, but along the command's own `PATH` and from its own directory.

use std::ffi::OsStr;
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use common::job::StartFailure;
use common::reason::system_reason;
use rustix::fs::{Access, AtFlags, FileType, Mode, OFlags, accessat, fstat, openat};
use rustix::io::Errno;

/// Most of a name or a list of directories that a message repeats, in bytes.
const SHOWN: usize = 2048;

/// The file to execute for `program`; relative to `directory` unless absolute.
pub(super) fn find(
    program: &OsStr,
    path: &OsStr,
    directory: BorrowedFd<'_>,
) -> Result<PathBuf, StartFailure> {
    if program.as_bytes().contains(&b'/') {
        let file = PathBuf::from(program);
        return match executable(directory, &file) {
            Ok(()) => Ok(file),
            Err(Errno::NOENT | Errno::NOTDIR) => Err(not_found(program, OsStr::new(""))),
            Err(error) => Err(not_executable(&file, error)),
        };
    }
    let mut denied = None;
    for prefix in path.as_bytes().split(|byte| *byte == b':') {
        // An empty entry is the current directory (execvp(3)).
        let prefix = if prefix.is_empty() { b"." } else { prefix };
        let file = Path::new(OsStr::from_bytes(prefix)).join(program);
        match executable(directory, &file) {
            Ok(()) => return Ok(file),
            Err(Errno::ACCESS) => denied = denied.or(Some(file)),
            Err(_) => {}
        }
    }
    match denied {
        Some(file) => Err(not_executable(&file, Errno::ACCESS)),
        None => Err(not_found(program, path)),
    }
}

/// What the failure to execute `file` says about the command.
pub(super) fn not_executable(file: &Path, error: Errno) -> StartFailure {
    StartFailure::NotExecutable { program: shown(file.as_os_str()), reason: system_reason(&error.into()) }
}

/// `text` as far as a message has room for it: all that is shown must fit a RESPONSE (`common::limits`).
pub(super) fn shown(text: &OsStr) -> String {
    let mut text = text.to_string_lossy().into_owned();
    if text.len() > SHOWN {
        text.truncate(text.floor_char_boundary(SHOWN));
        text.push('…');
    }
    text
}

/// What a want of the machine's says about the command.
pub(super) fn exhausted(error: &io::Error) -> StartFailure {
    StartFailure::Exhausted(system_reason(error))
}

fn not_found(program: &OsStr, path: &OsStr) -> StartFailure {
    StartFailure::NotFound { program: shown(program), searched: shown(path) }
}

fn executable(directory: BorrowedFd<'_>, file: &Path) -> Result<(), Errno> {
    accessat(directory, file, Access::EXEC_OK, AtFlags::EACCESS)?;
    // A directory passes for executable, and would be tried for nothing.
    let found = openat(directory, file, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    match FileType::from_raw_mode(fstat(&found)?.st_mode) {
        FileType::RegularFile => Ok(()),
        _ => Err(Errno::ACCESS),
    }
}
