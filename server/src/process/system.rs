//! The calls that no safe crate offers as they are needed here. The only `unsafe` code of the server.
//!
//! `posix_spawn` with a directory, a session and closed descriptors in one: `std::process::Command` falls back to
//! `fork` for any of these, which costs 27 ms for a server of 500 MB, and nix's wrapper has neither the directory
//! nor the closing. `kill` for real-time signals, which rustix and nix do not name. `signal`, to set
//! a default action. `wait4`, for what a process has used. `AsyncFd::register`, which tokio leaves to its callers to use soundly.

#![allow(unsafe_code, reason = "see above; every block states why it is sound")]

use std::ffi::{CString, c_char, c_int};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::ptr;
use std::sync::Arc;

use common::job::{PeakMemory, Signal, Usage};
use nix::sys::resource::{UsageWho, getrusage};
use rustix::process::Pid;
use tokio::io::unix::AsyncFd;

/// What a new process is made of.
pub(super) struct Image<'a> {
    /// File to execute; relative to `directory` unless absolute.
    pub(super) program: &'a CString,
    /// Its argv.
    pub(super) arguments: &'a [CString],
    /// Its whole environment, `NAME=value`.
    pub(super) environment: &'a [CString],
    /// Where it starts.
    pub(super) directory: BorrowedFd<'a>,
    /// Its descriptors 0, 1 and 2; it gets no others.
    pub(super) stdio: [BorrowedFd<'a>; 3],
}

/// Starts a process in a session of its own, with default signal actions and an empty signal mask, sharing memory
/// with the caller until it executes (posix_spawn(3)). The error is that of whichever step failed in the child.
pub(super) fn posix_spawn(image: &Image<'_>) -> io::Result<Pid> {
    let actions = FileActions::new(image)?;
    let attributes = Attributes::new()?;
    let arguments = pointers(image.arguments);
    let environment = pointers(image.environment);
    let mut id = 0;
    // SAFETY: both arrays end in a null pointer and point to strings that live in `image`; actions and attributes
    // are initialised.
    check(unsafe {
        libc::posix_spawn(
            &mut id,
            image.program.as_ptr(),
            &actions.0,
            &attributes.0,
            arguments.as_ptr(),
            environment.as_ptr(),
        )
    })?;
    Pid::from_raw(id).ok_or_else(|| io::Error::other("posix_spawn gave no process id"))
}

/// Sends `signal` to the process group `group`.
pub(super) fn kill_group(group: Pid, signal: Signal) -> io::Result<()> {
    // SAFETY: kill takes no pointers.
    match unsafe { libc::kill(-group.as_raw_nonzero().get(), signal.number()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Makes the children of this process wait to be asked how they ended, even if whoever started it had it ignore them:
/// the system would forget their ends otherwise (wait(2)). For programs; a library has no say in this.
pub(crate) fn keep_children() {
    // SAFETY: the default action runs no code of ours. It cannot fail for a signal that exists.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) };
}

/// Lets tasks wait for an owned descriptor.
pub(crate) fn register(descriptor: Arc<OwnedFd>) -> io::Result<AsyncFd<Arc<OwnedFd>>> {
    // SAFETY: an `OwnedFd` stays open, and the same, until the last clone is dropped, and the `AsyncFd` holds one.
    unsafe { AsyncFd::register(descriptor) }.map_err(io::Error::from)
}

struct FileActions(libc::posix_spawn_file_actions_t);

impl FileActions {
    fn new(image: &Image<'_>) -> io::Result<Self> {
        let mut actions = MaybeUninit::uninit();
        // SAFETY: init writes the whole structure, and is checked before it is taken for initialised.
        let mut actions = unsafe {
            check(libc::posix_spawn_file_actions_init(actions.as_mut_ptr()))?;
            Self(actions.assume_init())
        };
        let directory = image.directory.as_raw_fd();
        // SAFETY: the structure is initialised; descriptors are plain numbers to these calls.
        unsafe {
            check(libc::posix_spawn_file_actions_addfchdir_np(&mut actions.0, directory))?;
            for (number, descriptor) in (0..).zip(image.stdio) {
                check(libc::posix_spawn_file_actions_adddup2(
                    &mut actions.0,
                    descriptor.as_raw_fd(),
                    number,
                ))?;
            }
            check(libc::posix_spawn_file_actions_addclosefrom_np(&mut actions.0, 3))?;
        }
        Ok(actions)
    }
}

impl Drop for FileActions {
    fn drop(&mut self) {
        // SAFETY: initialised in `new`, destroyed once.
        unsafe { libc::posix_spawn_file_actions_destroy(&mut self.0) };
    }
}

struct Attributes(libc::posix_spawnattr_t);

impl Attributes {
    fn new() -> io::Result<Self> {
        let mut attributes = MaybeUninit::uninit();
        // SAFETY: init writes the whole structure, and is checked before it is taken for initialised.
        let mut attributes = unsafe {
            check(libc::posix_spawnattr_init(attributes.as_mut_ptr()))?;
            Self(attributes.assume_init())
        };
        let flags = libc::POSIX_SPAWN_SETSID
            | libc::POSIX_SPAWN_SETSIGMASK as libc::c_short
            | libc::POSIX_SPAWN_SETSIGDEF as libc::c_short;
        // SAFETY: the structure and both sets are initialised before they are read.
        unsafe {
            let mut set = MaybeUninit::uninit();
            libc::sigemptyset(set.as_mut_ptr());
            check(libc::posix_spawnattr_setsigmask(&mut attributes.0, set.as_ptr()))?;
            libc::sigfillset(set.as_mut_ptr());
            check(libc::posix_spawnattr_setsigdefault(&mut attributes.0, set.as_ptr()))?;
            check(libc::posix_spawnattr_setflags(&mut attributes.0, flags))?;
        }
        Ok(attributes)
    }
}

impl Drop for Attributes {
    fn drop(&mut self) {
        // SAFETY: initialised in `new`, destroyed once.
        unsafe { libc::posix_spawnattr_destroy(&mut self.0) };
    }
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

/// The strings as a C array; valid as long as they are.
fn pointers(strings: &[CString]) -> Vec<*mut c_char> {
    strings.iter().map(|string| string.as_ptr().cast_mut()).chain([ptr::null_mut()]).collect()
}

fn check(result: c_int) -> io::Result<()> {
    match result {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}
