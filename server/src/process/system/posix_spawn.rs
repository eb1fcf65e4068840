//! posix_spawn(3): how a process is started where clone3(2) is refused, or on another processor.
//!
//! It knows a directory, a session, a terminal and closed descriptors, and no cgroup, limits or niceness: an [`Image`] with any of those
//! must not come here.

use std::ffi::{CString, c_char, c_int};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::AsRawFd;
use std::ptr;

use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::{Born, CONTROL, Failure, Image, Step};

/// Starts `image`; see [`super::start`].
pub(super) fn start(image: &Image<'_>) -> Result<Born, Failure> {
    let id = spawn(image).map_err(|error| Failure { step: Step::Execute, error })?;
    if image.restraints.reset_oom_score {
        // It may have allocated something by now; better late.
        std::fs::write(format!("/proc/{id}/oom_score_adj"), "0").ok();
    }
    pidfd_open(id, PidfdFlags::empty()).map(|descriptor| Born { id, descriptor }).map_err(|error| {
        // Not waited for yet, so the id is still this process and nothing else.
        super::kill_group(id, common::job::Signal::KILL).ok();
        super::wait_for(id);
        Failure { step: Step::Watch, error: error.into() }
    })
}

/// Starts a process in a session of its own, with default signal actions and an empty signal mask, sharing memory
/// with the caller until it executes (posix_spawn(3)). The error is that of whichever step failed in the child.
fn spawn(image: &Image<'_>) -> io::Result<Pid> {
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
            if let Some(control) = image.control {
                // Behind those that could have this number, and before any could be given its own.
                let control = control.as_raw_fd();
                check(libc::posix_spawn_file_actions_adddup2(&mut actions.0, control, CONTROL))?;
            }
            if image.terminal {
                // The leader of a session gets the terminal that it opens first; the session is made before all of this.
                let (own, flags) = (c"/proc/self/fd/1".as_ptr(), libc::O_RDWR);
                check(libc::posix_spawn_file_actions_addopen(&mut actions.0, 3, own, flags, 0))?;
            }
            let mut others = 3;
            if image.control.is_some() {
                for number in others..CONTROL {
                    check(libc::posix_spawn_file_actions_addclose(&mut actions.0, number))?;
                }
                others = CONTROL + 1;
            }
            check(libc::posix_spawn_file_actions_addclosefrom_np(&mut actions.0, others))?;
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
