//! Descriptors that this process was started with, told by their numbers alone: taken into safe hands, once, before anything
//! else is opened. Knows nothing of what they are for.

#![allow(unsafe_code, reason = "a number becomes a descriptor that is owned; the only place where one does")]

use std::io;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::io::{Errno, FdFlags, fcntl_getfd, fcntl_setfd};

/// The first that is not one of the three standard ones.
pub(crate) const FIRST: RawFd = 3;

/// The descriptors of a program that has just started. There is one of these in a process, and it is gone before the
/// program opens any of its own.
#[derive(Debug)]
pub(crate) struct Inherited {
    taken: Vec<RawFd>,
}

impl Inherited {
    /// All that are open now. `None` if it was asked for before: what is open now may be somebody's.
    pub(crate) fn at_start() -> Option<Self> {
        static ASKED: AtomicBool = AtomicBool::new(false);
        (!ASKED.swap(true, Ordering::Relaxed)).then(|| Self { taken: Vec::new() })
    }

    /// The descriptor `number`, which closes on exec from now on.
    ///
    /// # Errors
    /// `EBADF` if there is none, or if it was taken already, or is a standard one.
    pub(crate) fn take(&mut self, number: RawFd) -> io::Result<OwnedFd> {
        if number < FIRST || self.taken.contains(&number) {
            return Err(Errno::BADF.into());
        }
        // SAFETY: it is borrowed for these two calls only, and for one that is not open they fail.
        let borrowed = unsafe { BorrowedFd::borrow_raw(number) };
        let flags = fcntl_getfd(borrowed)?;
        fcntl_setfd(borrowed, flags | FdFlags::CLOEXEC)?;
        self.taken.push(number);
        // SAFETY: it is open, and nobody's: whoever started this program has left it for it, nothing else was opened since
        // (see above), and it is taken once.
        Ok(unsafe { OwnedFd::from_raw_fd(number) })
    }
}

/// Whether the program that this process becomes (execve(2)) shall have `descriptor`, too.
pub(crate) fn pass_on(descriptor: impl AsFd, pass_on: bool) -> io::Result<()> {
    let flags = fcntl_getfd(&descriptor)?;
    fcntl_setfd(&descriptor, if pass_on { flags - FdFlags::CLOEXEC } else { flags | FdFlags::CLOEXEC })?;
    Ok(())
}
