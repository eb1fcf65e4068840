//! The process's stderr, for lines: written at once where that cannot block. Log and audit trail may both go there.

use std::io;
use std::sync::{Mutex, PoisonError, TryLockError};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::stdio::stderr;

/// What a pipe takes in one piece if it takes anything at all (pipe(7), `PIPE_BUF`).
const PIECE: usize = 4096;

/// Held while it is written to, so that nobody takes the room that another has found.
static WRITING: Mutex<()> = Mutex::new(());

/// Writes `bytes` in one call, however long that takes; how many of them were taken.
pub(crate) fn write(bytes: &[u8]) -> io::Result<usize> {
    let _writing = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
    write_once(bytes)
}

/// Writes `bytes` if they are taken without waiting for a reader, `None` if not. Only another process that writes to the
/// same pipe at the same moment can make that wrong.
pub(crate) fn write_now(bytes: &[u8]) -> Option<io::Result<usize>> {
    let _writing = match WRITING.try_lock() {
        Ok(writing) => writing,
        Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
        Err(TryLockError::WouldBlock) => return None,
    };
    (bytes.len() <= PIECE && has_room()).then(|| write_once(bytes))
}

fn has_room() -> bool {
    let stderr = stderr();
    let mut descriptors = [PollFd::new(&stderr, PollFlags::OUT)];
    poll(&mut descriptors, Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
}

fn write_once(bytes: &[u8]) -> io::Result<usize> {
    // The standard library's would take a closed stderr for one that has taken everything.
    Ok(rustix::io::write(stderr(), bytes)?)
}
