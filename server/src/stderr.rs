//! The process's stderr, for lines: written at once where that cannot block. Log and audit trail may both go there.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Mutex, OnceLock, PoisonError, TryLockError};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{FileType, Mode, OFlags, fstat, open};
use rustix::io::{Errno, write as write_once};
use rustix::stdio::stderr;

/// What a pipe takes in one piece or not at all (pipe(7), `PIPE_BUF`).
const PIECE: usize = 4096;

/// Held while it is written to: a long line is written in several pieces, between which none may come.
static WRITING: Mutex<()> = Mutex::new(());

/// Writes `bytes`, however long that takes; how many of them were taken before an error, if some were.
///
/// # Errors
/// The system's, if none were taken.
pub(crate) fn write(bytes: &[u8]) -> io::Result<usize> {
    let _writing = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
    let mut written = 0;
    while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
        // The standard library's would take a closed stderr for one that has taken everything.
        match write_once(stderr(), rest) {
            Ok(0) => break,
            Ok(count) => written += count,
            Err(Errno::INTR) => {}
            // Whoever shares it may have made it so.
            Err(Errno::AGAIN) => wait_for_room()?,
            Err(_) if written > 0 => break,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(written)
}

/// Writes `bytes` if stderr is a pipe that has room for them; `None` if not, or if that cannot be told. Never waits: not
/// even for a file, whose disk may stand still.
pub(crate) fn write_now(bytes: &[u8]) -> Option<io::Result<usize>> {
    let _writing = match WRITING.try_lock() {
        Ok(writing) => writing,
        Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
        Err(TryLockError::WouldBlock) => return None,
    };
    let pipe = pipe().filter(|_| bytes.len() <= PIECE)?;
    match write_once(pipe, bytes) {
        Err(Errno::AGAIN | Errno::INTR) => None,
        written => Some(written.map_err(Into::into)),
    }
}

/// The pipe that stderr is, opened once more: so it does not block here, and does for those who share it.
fn pipe() -> Option<&'static OwnedFd> {
    static PIPE: OnceLock<Option<OwnedFd>> = OnceLock::new();
    let open_again = || {
        let found = fstat(stderr()).ok()?;
        let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let is_pipe = FileType::from_raw_mode(found.st_mode) == FileType::Fifo;
        is_pipe.then(|| open("/proc/self/fd/2", flags, Mode::empty()).ok()).flatten()
    };
    PIPE.get_or_init(open_again).as_ref()
}

fn wait_for_room() -> io::Result<()> {
    let stderr = stderr();
    let mut descriptors = [PollFd::new(&stderr, PollFlags::OUT)];
    match poll(&mut descriptors, None) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
