//! The signals that are passed on to a job instead of ending this program.

use std::fs::File;
use std::future::poll_fn;
use std::io;
use std::task::Poll;

use common::job::Signal;
use nix::sys::signal::{SigSet, SigmaskHow, Signal as Name};
use rustix::buffer::spare_capacity;
use tokio::signal::unix::{self, SignalKind};

use super::failure::Failure;

/// What is passed on.
const FORWARDED: [Signal; 6] =
    [Signal::INT, Signal::TERM, Signal::HUP, Signal::QUIT, Signal::USR1, Signal::USR2];

/// Handlers for the signals that are passed on. tokio keeps them for good, so there is one of these in a program.
#[derive(Debug)]
pub(crate) struct Signals(Vec<(Signal, unix::Signal)>);

impl Signals {
    /// Installs the handlers, except for signals that were ignored when this program started: `nohup` and a
    /// script's `&` mean them to stay ignored.
    ///
    /// # Errors
    /// [`Failure::System`].
    pub(crate) fn install() -> Result<Self, Failure> {
        let ignored = ignored_signals();
        let wanted = FORWARDED.into_iter().filter(|signal| !is_in(ignored, *signal));
        install(|| wanted.map(|signal| Ok((signal, handler(signal)?))).collect()).map(Self)
    }

    /// No handlers: whatever comes does to this program what it does to others.
    pub(crate) fn none() -> Self {
        Self(Vec::new())
    }

    /// Waits for the next signal.
    pub(crate) async fn next(&mut self) -> Signal {
        poll_fn(|context| {
            for (signal, handler) in &mut self.0 {
                if handler.poll_recv(context).is_ready() {
                    return Poll::Ready(*signal);
                }
            }
            Poll::Pending
        })
        .await
    }
}

/// Installs handlers while the signals are held back: one that came between a handler and its registration would be
/// lost.
///
/// # Errors
/// [`Failure::System`].
pub(super) fn install<T>(handlers: impl FnOnce() -> io::Result<T>) -> Result<T, Failure> {
    let hold = || -> io::Result<T> {
        // Whoever started us may have blocked some of them, which is not ours to undo.
        let before = handled().thread_swap_mask(SigmaskHow::SIG_BLOCK)?;
        let installed = handlers();
        before.thread_set_mask()?;
        installed
    };
    hold().map_err(|error| Failure::System { what: "a signal handler", error })
}

/// Keeps signals away from this thread, so that they all come to the one that installs handlers.
pub(super) fn leave_to_main_thread() {
    // Nothing can fail here that is not wrong in the call itself.
    handled().thread_block().ok();
}

fn handled() -> SigSet {
    [Name::SIGINT, Name::SIGTERM, Name::SIGHUP, Name::SIGQUIT, Name::SIGUSR1, Name::SIGUSR2]
        .into_iter()
        .collect()
}

fn handler(signal: Signal) -> io::Result<unix::Signal> {
    unix::signal(SignalKind::from_raw(signal.number()))
}

/// The set of ignored signals, bit 0 for signal 1. The kernel's own report is the one place where it can be read
/// without unsafe code; where there is no report, nothing counts as ignored.
fn ignored_signals() -> u64 {
    kernel_report().and_then(|status| parse_ignored(&status)).unwrap_or_default()
}

/// The kernel writes it into one page, so one call reads it all.
fn kernel_report() -> Option<String> {
    let mut page = Vec::with_capacity(4096);
    let status = File::open("/proc/self/status").ok()?;
    rustix::io::read(status, spare_capacity(&mut page)).ok()?;
    Some(String::from_utf8_lossy(&page).into_owned())
}

fn parse_ignored(status: &str) -> Option<u64> {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"))?;
    u64::from_str_radix(mask.trim(), 16).ok()
}

fn is_in(set: u64, signal: Signal) -> bool {
    set >> (signal.number() - 1) & 1 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_report() {
        let status = "Name:\tclient\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\nSigCgt:\t0000000000000002\n";
        let set = parse_ignored(status).unwrap();
        assert!(is_in(set, Signal::HUP) && is_in(set, Signal::PIPE));
        assert!(!is_in(set, Signal::INT) && !is_in(set, Signal::TERM));
        assert_eq!(parse_ignored("Name:\tclient\n"), None);
    }
}
