//! clone3(2): how a process is started that is to be born in a cgroup, or with limits and a niceness of its own.
//!
//! Like posix_spawn(3), the child shares the memory of its parent, which the kernel stops until the child executes or ends.
//! So it costs the same however large the server is, and a failed step is told through memory. The child goes on where its
//! parent was stopped, on the part of the same stack that is free there; it never returns from there, so what the parent
//! has on the stack stays as it was.

use std::arch::asm;
use std::ffi::{CString, c_char, c_int, c_long};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};

use rustix::process::Pid;

use super::child::{self, Plan};
use super::{Born, Failure, Image, Step};

/// To be born in a cgroup; libc's constant is too small for it.
const CLONE_INTO_CGROUP: u64 = 1 << 33;

/// As the kernel has it: bit n - 1 for signal n.
type SignalMask = u64;

/// Whether this system starts processes so: clone3 is not kept back (seccomp(2)), and close_range(2) is there.
pub(super) fn is_available() -> bool {
    static AVAILABLE: OnceLock<bool> = OnceLock::new();
    *AVAILABLE.get_or_init(|| {
        // SAFETY: a null pointer of size 0 is refused as such by a system that knows the call; the range has no descriptor.
        unsafe {
            let cloned = libc::syscall(libc::SYS_clone3, ptr::null::<libc::clone_args>(), 0_usize);
            let known = cloned == -1 && io::Error::last_os_error().raw_os_error() == Some(libc::EINVAL);
            known && libc::syscall(libc::SYS_close_range, u32::MAX, u32::MAX, 0) == 0
        }
    })
}

/// Starts `image`; see [`super::start`].
pub(super) fn start(image: &Image<'_>) -> Result<Born, Failure> {
    let (arguments, environment) = (pointers(image.arguments), pointers(image.environment));
    let nice = image.restraints.nice.map(|nice| nice.to_string()).unwrap_or_default();
    let plan = Plan {
        program: image.program.as_ptr(),
        arguments: arguments.as_ptr(),
        environment: environment.as_ptr(),
        directory: image.directory.as_raw_fd(),
        stdio: image.stdio.map(|descriptor| descriptor.as_raw_fd()),
        control: image.control.map_or(-1, |descriptor| descriptor.as_raw_fd()),
        terminal: image.terminal,
        restraints: image.restraints,
        nice: nice.as_ptr(),
        nice_length: nice.len(),
        failed_step: AtomicU32::new(0),
        failed_with: AtomicI32::new(0),
    };
    let mut descriptor: c_int = -1;
    // SAFETY: zeros are a valid value: no flags, no pointers.
    let mut arguments: libc::clone_args = unsafe { std::mem::zeroed() };
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PIDFD;
    arguments.flags = u64::from(flags.unsigned_abs());
    arguments.pidfd = ptr::from_mut(&mut descriptor) as u64;
    arguments.exit_signal = u64::from(libc::SIGCHLD.unsigned_abs());
    if let Some(cgroup) = image.cgroup {
        arguments.flags |= CLONE_INTO_CGROUP;
        arguments.cgroup = u64::from(cgroup.as_raw_fd().unsigned_abs());
    }
    let before = block_signals();
    // SAFETY: the memory of `plan`, and all it points to, outlives the call, which returns only once the child has executed
    // or ended. No signal handler runs in the child: all signals are blocked until it has none.
    let result = unsafe { clone_vfork(&arguments, child::run, &plan) };
    set_signal_mask(before);
    let Some(id) = i32::try_from(result).ok().filter(|id| *id > 0).and_then(Pid::from_raw) else {
        let error = io::Error::from_raw_os_error(i32::try_from(-result).unwrap_or(libc::EINVAL));
        return Err(Failure { step: Step::Clone, error });
    };
    // SAFETY: the kernel has just opened it, for us alone.
    let descriptor = unsafe { OwnedFd::from_raw_fd(descriptor) };
    match Step::from_number(plan.failed_step.load(Ordering::Relaxed)) {
        None => Ok(Born { id, descriptor }),
        Some(step) => {
            super::wait_for(id);
            let error = io::Error::from_raw_os_error(plan.failed_with.load(Ordering::Relaxed));
            Err(Failure { step, error })
        }
    }
}

/// The system call. In the child, `entry` is called with `plan`; in the parent, the result is the child's id or a negative
/// error number.
///
/// # Safety
/// `arguments` has to have CLONE_VM and CLONE_VFORK and no stack. `entry` may do nothing that is not async-signal-safe.
#[cfg(target_arch = "x86_64")]
unsafe fn clone_vfork(
    arguments: &libc::clone_args,
    entry: unsafe extern "C" fn(*const Plan) -> !,
    plan: &Plan,
) -> isize {
    let result;
    // SAFETY: the stack is aligned for a call here, and what is below its pointer is nobody's. The registers that the child
    // changes are its own; the parent's are those that the kernel has kept.
    unsafe {
        asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "mov rdi, {plan}",
            "call {entry}",
            "ud2",
            "2:",
            entry = in(reg) entry,
            plan = in(reg) ptr::from_ref(plan),
            inlateout("rax") libc::SYS_clone3 as isize => result,
            in("rdi") ptr::from_ref(arguments),
            in("rsi") size_of::<libc::clone_args>(),
            out("rcx") _,
            out("r11") _,
        );
    }
    result
}

/// The same, for aarch64.
///
/// # Safety
/// The same.
#[cfg(target_arch = "aarch64")]
unsafe fn clone_vfork(
    arguments: &libc::clone_args,
    entry: unsafe extern "C" fn(*const Plan) -> !,
    plan: &Plan,
) -> isize {
    let result;
    // SAFETY: as above.
    unsafe {
        asm!(
            "svc 0",
            "cbnz x0, 2f",
            "mov x0, {plan}",
            "blr {entry}",
            "brk 1",
            "2:",
            entry = in(reg) entry,
            plan = in(reg) ptr::from_ref(plan),
            in("x8") libc::SYS_clone3,
            inlateout("x0") ptr::from_ref(arguments) => result,
            in("x1") size_of::<libc::clone_args>(),
        );
    }
    result
}

/// Blocks every signal for this thread, those too that the C library keeps for itself and does not let anybody block.
/// Returns what was blocked before.
fn block_signals() -> SignalMask {
    swap_signal_mask(SignalMask::MAX)
}

fn set_signal_mask(mask: SignalMask) {
    swap_signal_mask(mask);
}

pub(super) fn swap_signal_mask(mask: SignalMask) -> SignalMask {
    let mut before = 0;
    // SAFETY: both are masks of the size that is told. Cannot fail with these arguments.
    let _unused: c_long = unsafe {
        libc::syscall(
            libc::SYS_rt_sigprocmask,
            libc::SIG_SETMASK,
            ptr::from_ref(&mask),
            ptr::from_mut(&mut before),
            size_of::<SignalMask>(),
        )
    };
    before
}

/// The strings as a C array; valid as long as they are.
fn pointers(strings: &[CString]) -> Vec<*const c_char> {
    strings.iter().map(|string| string.as_ptr()).chain([ptr::null()]).collect()
}
