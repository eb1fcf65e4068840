//! The calls that no safe crate offers as they are needed here. The only `unsafe` code of the server.
//!
//! A process with a directory, a session, closed descriptors, a cgroup, limits and a niceness in one: `std::process::Command`
//! falls back to `fork` for most of these, which costs 27 ms for a server of 500 MB, and posix_spawn knows the first three
//! alone. `TIOCSCTTY` between its birth and its program, `TIOCSIG`. `kill` for real-time signals, which rustix and nix do not name. `signal`,
//! to set a default action. `wait4`, for what a process has used. `AsyncFd::register`, which tokio leaves to its callers to use
//! soundly.

#![allow(unsafe_code, reason = "see above; every block states why it is sound")]

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod child;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod clone;
mod posix_spawn;
#[cfg(test)]
mod tests;

use std::ffi::{CStr, CString};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::ptr;
use std::sync::Arc;

use common::job::{PeakMemory, Signal, Usage};
use nix::sys::resource::{UsageWho, getrusage};
use rustix::process::{Pid, WaitOptions, waitpid};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// The descriptor of what a process reports. The highest that every shell can name.
const CONTROL: i32 = 9;

/// What a new process is made of.
pub(super) struct Image<'a> {
    /// File to execute; relative to `directory` unless absolute.
    pub(super) program: &'a CStr,
    /// Its argv.
    pub(super) arguments: &'a [CString],
    /// Its whole environment, `NAME=value`.
    pub(super) environment: &'a [CString],
    /// Where it starts.
    pub(super) directory: BorrowedFd<'a>,
    /// Its descriptors 0, 1 and 2; it gets no others but this:
    pub(super) stdio: [BorrowedFd<'a>; 3],
    /// Its descriptor [`CONTROL`], if it has one.
    pub(super) control: Option<BorrowedFd<'a>>,
    /// Whether descriptor 1 is a terminal that becomes its controlling one.
    pub(super) terminal: bool,
    /// The cgroup that it is born in; that of the server if `None`.
    pub(super) cgroup: Option<BorrowedFd<'a>>,
    /// What it is held to.
    pub(super) restraints: Restraints,
}

/// What a process is held to by itself, other than by its cgroup.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Restraints {
    /// Bytes of address space (`RLIMIT_AS`).
    pub(super) address_space: Option<u64>,
    /// Processes and threads of its user (`RLIMIT_NPROC`).
    pub(super) processes: Option<u64>,
    /// Niceness.
    pub(super) nice: Option<i8>,
    /// Whether the server is not to be chosen like any other process when memory is short (`oom_score_adj`): its commands are.
    pub(super) reset_oom_score: bool,
}

impl Restraints {
    /// Whether posix_spawn(3) will do.
    fn are_few(&self) -> bool {
        *self == Self { reset_oom_score: self.reset_oom_score, ..Self::default() }
    }
}

/// A process that has just been born, and is waited for by whoever has this.
#[derive(Debug)]
pub(super) struct Born {
    pub(super) id: Pid,
    /// Its pidfd.
    pub(super) descriptor: OwnedFd,
}

/// What kept a process from running its program. There is no process then.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) step: Step,
    pub(super) error: io::Error,
}

/// What there is to do before a program runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum Step {
    /// To be a process, in its cgroup.
    Clone = 1,
    Session,
    AddressSpace,
    Processes,
    Niceness,
    Directory,
    Descriptors,
    /// To have a controlling terminal.
    Terminal,
    Execute,
    /// To be watched by its parent.
    Watch,
}

impl Step {
    const ALL: [Self; 10] = [
        Self::Clone,
        Self::Session,
        Self::AddressSpace,
        Self::Processes,
        Self::Niceness,
        Self::Directory,
        Self::Descriptors,
        Self::Terminal,
        Self::Execute,
        Self::Watch,
    ];

    fn from_number(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|step| *step as u32 == number)
    }
}

/// Whether a process can be given a cgroup, limits and a niceness at its birth.
pub(super) fn can_restrain() -> bool {
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    return clone::is_available();
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    return false;
}

/// Starts a process in a session of its own, with default signal actions, an empty signal mask and descriptors 0, 1 and 2.
///
/// # Errors
/// The step that failed. [`Step::Watch`]: the program ran, and was killed at once.
pub(super) fn start(image: &Image<'_>) -> Result<Born, Failure> {
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    if clone::is_available() {
        return clone::start(image);
    }
    if image.cgroup.is_some() || !image.restraints.are_few() {
        return Err(Failure { step: Step::Clone, error: io::ErrorKind::Unsupported.into() });
    }
    posix_spawn::start(image)
}

/// Waits for the end of a process that has been told to end.
pub(super) fn wait_for(id: Pid) {
    // Whoever is given to wait for it is us.
    waitpid(Some(id), WaitOptions::empty()).ok();
}

/// Sends `signal` to the process group `group`.
pub(super) fn kill_group(group: Pid, signal: Signal) -> io::Result<()> {
    // SAFETY: kill takes no pointers.
    match unsafe { libc::kill(-group.as_raw_nonzero().get(), signal.number()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Sends `signal` to the process group that is in the foreground of a terminal, by its other end `master`, as the key does that
/// stands for it (ioctl_tty(2), `TIOCSIG`). The system takes INT, QUIT and TSTP.
pub(super) fn signal_foreground(master: BorrowedFd<'_>, signal: Signal) -> io::Result<()> {
    // SAFETY: the request takes a number, and no pointer.
    match unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCSIG, signal.number()) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// Makes the children of this process wait to be asked how they ended, even if whoever started it had it ignore them:
/// the system would forget their ends otherwise (wait(2)). For programs; a library has no say in this.
pub(super) fn keep_children() {
    // SAFETY: the default action runs no code of ours. It cannot fail for a signal that exists.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) };
}

/// Lets tasks wait for an owned descriptor.
pub(crate) fn register(descriptor: Arc<OwnedFd>) -> io::Result<AsyncFd<Arc<OwnedFd>>> {
    // SAFETY: an `OwnedFd` stays open, and the same, until the last clone is dropped, and the `AsyncFd` holds one.
    unsafe { AsyncFd::register(descriptor) }.map_err(io::Error::from)
}

/// Lets tasks wait until there is something to read, and wakes them for nothing else.
pub(crate) fn register_reading(descriptor: Arc<OwnedFd>) -> io::Result<AsyncFd<Arc<OwnedFd>>> {
    // SAFETY: as above.
    unsafe { AsyncFd::register_with_interest(descriptor, Interest::READABLE) }.map_err(io::Error::from)
}

/// Takes leave of a process that has exited (wait4(2)), the only call that tells what it has used.
pub(super) fn reap(id: Pid) -> io::Result<Usage> {
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    let id = id.as_raw_nonzero().get();
    // SAFETY: the kernel writes into a structure of its own layout, of which zeros are a valid value as well.
    let (reaped, usage) = unsafe {
        let reaped = libc::wait4(id, ptr::null_mut(), libc::WNOHANG, usage.as_mut_ptr());
        (reaped, usage.assume_init())
    };
    match reaped {
        -1 => Err(io::Error::last_os_error()),
        0 => Err(io::Error::from(io::ErrorKind::WouldBlock)),
        _ => Ok(Usage {
            cpu_us: microseconds(usage.ru_utime).saturating_add(microseconds(usage.ru_stime)),
            peak_memory: peak_memory(usage.ru_maxrss),
        }),
    }
}

/// From the number of KiB that the system tells (getrusage(2)).
fn peak_memory(kib: libc::c_long) -> PeakMemory {
    let bytes = u64::try_from(kib).unwrap_or_default().saturating_mul(1024);
    let own = getrusage(UsageWho::RUSAGE_SELF).map_or(kib, |usage| usage.max_rss());
    if kib > own { PeakMemory::Exactly(bytes) } else { PeakMemory::AtMost(bytes) }
}

fn microseconds(time: libc::timeval) -> u64 {
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    seconds.saturating_mul(1_000_000).saturating_add(u64::try_from(time.tv_usec).unwrap_or_default())
}
