//! The signals of the server: what they ask for, and that none is lost.

use std::io;

use nix::sys::signal::{SigSet, Signal};
use rustix::io::Errno;
use tokio::signal::unix::{self, SignalKind, signal};

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Received {
    /// To end.
    Stop,
    /// To read the settings again.
    Reload,
    /// To become the program that is in this one's file now.
    Upgrade,
}

/// SIGTERM and SIGINT stop the server, SIGUSR2 has it become another program. SIGHUP has it read its settings again, unless it comes of the end of the terminal
/// that the server was started on; then it stops the server, too, as it does any program (but not under nohup(1)).
#[derive(Debug)]
pub(super) struct Signals {
    terminate: unix::Signal,
    interrupt: unix::Signal,
    hang_up: unix::Signal,
    upgrade: unix::Signal,
    /// Whether it has a terminal whose end would concern it.
    terminal: bool,
}

impl Signals {
    /// Catches them from now on. Whether the process ends with its terminal is told by the program that was handed over, if
    /// there was one: it has caught what may have been ignored before.
    pub(super) fn install(ends_with_terminal: Option<bool>) -> io::Result<Self> {
        let terminal = ends_with_terminal.unwrap_or_else(|| !is_hang_up_ignored() && has_terminal());
        // A signal that came between a handler and its registration would be lost.
        handled_signals().thread_block()?;
        let signals = Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
            upgrade: signal(SignalKind::user_defined2())?,
            terminal,
        };
        // Also if whoever started this program has blocked them.
        handled_signals().thread_unblock()?;
        Ok(signals)
    }

    /// Whether the process ends with its terminal.
    pub(super) fn ends_with_terminal(&self) -> bool {
        self.terminal
    }

    /// The next one. One that is not waited for to the end is not lost.
    pub(super) async fn next(&mut self) -> Received {
        tokio::select! {
            _ = self.terminate.recv() => Received::Stop,
            _ = self.interrupt.recv() => Received::Stop,
            _ = self.upgrade.recv() => Received::Upgrade,
            _ = self.hang_up.recv() => {
                if self.terminal && is_terminal_gone() { Received::Stop } else { Received::Reload }
            }
        }
    }
}

/// Those that a server takes.
pub(super) fn handled_signals() -> SigSet {
    [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGUSR2].into_iter().collect()
}

/// Whether this process has a controlling terminal that is still there.
fn has_terminal() -> bool {
    std::fs::File::open("/dev/tty").is_ok()
}

/// Whether it has none any more (tty(4)). That it cannot be opened for another reason, such as no descriptors, says
/// nothing.
fn is_terminal_gone() -> bool {
    let gone = io::Error::from(Errno::NXIO).raw_os_error();
    std::fs::File::open("/dev/tty").is_err_and(|error| error.raw_os_error() == gone)
}

/// Whether this process was started with SIGHUP ignored: bit 0 of `SigIgn` (proc_pid_status(5)).
fn is_hang_up_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}
