//! What Rust's runtime does before `main`, as far as this program needs it: the C runtime calls us directly, because
//! Rust's would read `/proc/self/maps` and set up handlers for stack overflows first, a tenth of a one-shot's time.

use std::io;
use std::mem;
use std::os::fd::BorrowedFd;

use nix::sys::signal::{SigSet, Signal};
use rustix::fs::{Mode, OFlags, open};
use rustix::io::{Errno, fcntl_getfd};

/// Makes the process what the rest of this program expects.
///
/// # Errors
/// The system's, if `/dev/null` cannot be opened.
pub(super) fn prepare() -> io::Result<()> {
    open_standard_descriptors()?;
    block_broken_pipe_signal()
}

/// Opens `/dev/null` where a standard descriptor is closed, or the next file to be opened would be taken for it.
fn open_standard_descriptors() -> io::Result<()> {
    let standard: [BorrowedFd<'_>; 3] =
        [rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr()];
    for descriptor in standard {
        if fcntl_getfd(descriptor) == Err(Errno::BADF) {
            // Gets the lowest number that is free: this one, since those below it are open by now.
            mem::forget(open("/dev/null", OFlags::RDWR, Mode::empty())?);
        }
    }
    Ok(())
}

/// A write to a reader that is gone is an error here, and no signal. Blocked, because no safe function ignores it; threads
/// inherit that, and programs that the standard library starts do not.
fn block_broken_pipe_signal() -> io::Result<()> {
    let mut set = SigSet::empty();
    set.add(Signal::SIGPIPE);
    Ok(set.thread_block()?)
}
