//! What a new process does between its birth and its program: system calls, and nothing else.
//!
//! It runs in the memory of its parent, which stands still meanwhile. So nothing here may allocate, lock, panic, or return.

use std::ffi::{c_char, c_int, c_long, c_uint};
use std::ptr;
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};

use super::clone::swap_signal_mask;
use super::{CONTROL, Restraints, Step};

/// How a process ends whose program could not be executed. Nobody sees it.
const NEVER_RAN: c_int = 127;

/// Descriptors that a program knows by their number.
const STANDARD: c_int = 3;

/// Signals that the kernel has.
const SIGNALS: c_int = 64;

/// What the child is to do, and what it tells of it.
#[repr(C)]
pub(super) struct Plan {
    pub(super) program: *const c_char,
    /// Ends in a null pointer, like `environment`.
    pub(super) arguments: *const *const c_char,
    pub(super) environment: *const *const c_char,
    pub(super) directory: c_int,
    pub(super) stdio: [c_int; 3],
    /// What becomes [`CONTROL`]; -1 if there is none.
    pub(super) control: c_int,
    /// Whether descriptor 1 becomes its controlling terminal.
    pub(super) terminal: bool,
    pub(super) restraints: Restraints,
    /// The niceness as a text; of length 0 if there is none.
    pub(super) nice: *const u8,
    pub(super) nice_length: usize,
    /// The [`Step`] that failed; 0 if none has.
    pub(super) failed_step: AtomicU32,
    /// Its error number.
    pub(super) failed_with: AtomicI32,
}

/// `struct sigaction` as the kernel has it, on the processors that this is for.
#[repr(C)]
struct SignalAction {
    handler: usize,
    flags: usize,
    restorer: usize,
    mask: u64,
}

/// Becomes the program of `plan`, or tells which step failed, and ends.
///
/// # Safety
/// Only in a process that was made with CLONE_VM and CLONE_VFORK, with all signals blocked, while everything that `plan`
/// points to is valid.
pub(super) unsafe extern "C" fn run(plan: *const Plan) -> ! {
    // SAFETY: as promised by the caller.
    unsafe {
        let plan = &*plan;
        let step = match prepare(plan) {
            Ok(()) => {
                swap_signal_mask(0);
                libc::execve(plan.program, plan.arguments, plan.environment);
                Step::Execute
            }
            Err(step) => step,
        };
        plan.failed_with.store(*libc::__errno_location(), Ordering::Relaxed);
        plan.failed_step.store(step as u32, Ordering::Relaxed);
        libc::_exit(NEVER_RAN)
    }
}

/// # Safety
/// As [`run`].
unsafe fn prepare(plan: &Plan) -> Result<(), Step> {
    // SAFETY: none of these calls takes a pointer to anything that is not valid here.
    unsafe {
        done(libc::setsid(), Step::Session)?;
        default_signal_actions();
        restrain(plan)?;
        done(libc::fchdir(plan.directory), Step::Directory)?;
        // Out of the way of all that is given a number below. One that has the right number already would close, too.
        let control = match plan.control {
            descriptor if (0..=CONTROL).contains(&descriptor) => {
                libc::fcntl(descriptor, libc::F_DUPFD_CLOEXEC, CONTROL + 1)
            }
            descriptor => descriptor,
        };
        if plan.control >= 0 {
            done(control, Step::Descriptors)?;
        }
        let mut stdio = plan.stdio;
        for descriptor in &mut stdio {
            if *descriptor < STANDARD {
                // Else it could be written over before it is taken.
                *descriptor = libc::fcntl(*descriptor, libc::F_DUPFD_CLOEXEC, STANDARD);
                done(*descriptor, Step::Descriptors)?;
            }
        }
        for (number, descriptor) in (0..STANDARD).zip(stdio) {
            done(libc::dup2(descriptor, number), Step::Descriptors)?;
        }
        if plan.terminal {
            // A leader of a session that has none may take one; its group is in the foreground then.
            done(libc::ioctl(libc::STDOUT_FILENO, libc::TIOCSCTTY, 0), Step::Terminal)?;
        }
        if plan.control < 0 {
            return close_range(STANDARD, c_uint::MAX);
        }
        done(libc::dup2(control, CONTROL), Step::Descriptors)?;
        close_range(STANDARD, (CONTROL - 1).unsigned_abs())?;
        close_range(CONTROL + 1, c_uint::MAX)
    }
}

/// # Safety
/// As [`run`].
unsafe fn close_range(first: c_int, last: c_uint) -> Result<(), Step> {
    // SAFETY: descriptors are plain numbers to it.
    done_long(unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) }, Step::Descriptors)
}

/// Handlers would run in the parent's memory, and what is ignored would stay so in the program. The C library keeps two
/// signals for itself, so it is not asked.
///
/// # Safety
/// As [`run`].
unsafe fn default_signal_actions() {
    let default = SignalAction { handler: libc::SIG_DFL, flags: 0, restorer: 0, mask: 0 };
    for signal in 1..=SIGNALS {
        // SAFETY: the kernel reads a structure of its own layout. KILL and STOP are refused, and have no other action.
        unsafe {
            libc::syscall(
                libc::SYS_rt_sigaction,
                signal,
                ptr::from_ref(&default),
                ptr::null_mut::<SignalAction>(),
                size_of::<u64>(),
            );
        }
    }
}

/// # Safety
/// As [`run`].
unsafe fn restrain(plan: &Plan) -> Result<(), Step> {
    let restraints = &plan.restraints;
    // SAFETY: strings and structures are valid for the length of the calls.
    unsafe {
        if restraints.reset_oom_score {
            // Where it may not be lowered, it stays: then the program is only more likely to be chosen.
            write_to(c"/proc/self/oom_score_adj".as_ptr(), b"0".as_ptr(), 1);
        }
        if let Some(bytes) = restraints.address_space {
            let limit = libc::rlimit { rlim_cur: bytes, rlim_max: bytes };
            done(libc::setrlimit(libc::RLIMIT_AS, &limit), Step::AddressSpace)?;
        }
        if let Some(count) = restraints.processes {
            let limit = libc::rlimit { rlim_cur: count, rlim_max: count };
            done(libc::setrlimit(libc::RLIMIT_NPROC, &limit), Step::Processes)?;
        }
        if let Some(nice) = restraints.nice {
            done(libc::setpriority(libc::PRIO_PROCESS, 0, c_int::from(nice)), Step::Niceness)?;
            // Where the kernel weighs sessions first, it is the session's that counts (sched(7)).
            write_to(c"/proc/self/autogroup".as_ptr(), plan.nice, plan.nice_length);
        }
    }
    Ok(())
}

/// # Safety
/// `path` has to be a string, and `bytes` as long as `length` says.
unsafe fn write_to(path: *const c_char, bytes: *const u8, length: usize) {
    // SAFETY: the bytes are valid for the length of the call.
    unsafe {
        let file = libc::open(path, libc::O_WRONLY | libc::O_CLOEXEC);
        if file >= 0 {
            libc::write(file, bytes.cast(), length);
            libc::close(file);
        }
    }
}

fn done(result: c_int, step: Step) -> Result<(), Step> {
    if result == -1 { Err(step) } else { Ok(()) }
}

fn done_long(result: c_long, step: Step) -> Result<(), Step> {
    if result == -1 { Err(step) } else { Ok(()) }
}
