//! Single lines from the controlling terminal, seen or unseen. Whatever ends a question, the terminal is then as it was:
//! Ctrl-C arrives as a byte, and a signal that would end this program has to wait until the modes are restored.

use std::fs::File;
use std::io::{self, Write};

use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{Mode, OFlags};
use rustix::io::{Errno, retry_on_intr};
use rustix::termios::{
    InputModes, LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
};

use super::{NobodyToAsk, QuestionError};
use crate::cli::input::is_out_of_reach;

/// Room for the longest line that Linux' terminals hand out, with its newline (termios(3)).
pub(super) const LINE: usize = 4096;

/// Whether what is typed is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Echo {
    On,
    Off,
}

/// A terminal with a person before it.
#[derive(Debug)]
pub(super) struct Terminal(File);

impl Terminal {
    /// The controlling terminal.
    ///
    /// # Errors
    /// [`NobodyToAsk`] if there is none, or if this program runs in its background; else the system's.
    pub(super) fn open() -> Result<Self, QuestionError> {
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        match rustix::fs::open("/dev/tty", flags, Mode::empty()) {
            Ok(terminal) if is_out_of_reach(&terminal) => Err(NobodyToAsk::InBackground.into()),
            Ok(terminal) => Ok(Self(terminal.into())),
            // No controlling terminal, one that is gone, or not even the device.
            Err(Errno::NXIO | Errno::IO | Errno::NOENT | Errno::NODEV) => Err(NobodyToAsk::NoTerminal.into()),
            Err(error) => Err(io::Error::from(error).into()),
        }
    }

    /// Sets the terminal up for questions, until what is returned is dropped. What was typed until now is discarded.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn lines(&self, echo: Echo) -> io::Result<Lines<'_>> {
        let before = tcgetattr(&self.0)?;
        let signals = HeldSignals::hold()?;
        let lines = Lines { terminal: &self.0, before, signals };
        tcsetattr(&self.0, OptionalActions::Flush, &line_modes(&lines.before, echo))?;
        Ok(lines)
    }
}

/// A terminal that is set up for questions.
#[derive(Debug)]
pub(super) struct Lines<'a> {
    terminal: &'a File,
    before: Termios,
    /// Let go after the modes are restored.
    signals: HeldSignals,
}

impl Lines<'_> {
    /// # Errors
    /// The system's.
    pub(super) fn print(&self, text: &str) -> io::Result<()> {
        let mut terminal = self.terminal;
        terminal.write_all(text.as_bytes())
    }

    /// Prints a prompt and waits for a line, which is returned without its newline; `None` if it was broken off, by
    /// Ctrl-C, Ctrl-\, Ctrl-D or a signal.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn ask<'b>(&self, prompt: &str, buffer: &'b mut [u8]) -> io::Result<Option<&'b [u8]>> {
        self.print(prompt)?;
        if !self.wait()? {
            return Ok(None);
        }
        let length = retry_on_intr(|| rustix::io::read(self.terminal, &mut *buffer))?;
        Ok(buffer.get(..length).and_then(|line| line.strip_suffix(b"\n")))
    }

    /// Waits until there is something to read; `false` when a signal comes.
    fn wait(&self) -> io::Result<bool> {
        let mut polled =
            [PollFd::new(&self.signals.arrival, PollFlags::IN), PollFd::new(self.terminal, PollFlags::IN)];
        retry_on_intr(|| poll(&mut polled, None))?;
        let [signals, _] = polled;
        Ok(signals.revents().is_empty())
    }
}

impl Drop for Lines<'_> {
    fn drop(&mut self) {
        // If this fails, the terminal is gone.
        tcsetattr(self.terminal, OptionalActions::Now, &self.before).ok();
    }
}

/// Modes in which the terminal edits lines, and in which Ctrl-C and Ctrl-\ end one instead of this program. They do so
/// because they take the places of two characters that end lines; as ordinary ones they would wait for a newline.
fn line_modes(before: &Termios, echo: Echo) -> Termios {
    let mut modes = before.clone();
    modes.input_modes.insert(InputModes::ICRNL);
    modes.input_modes.remove(InputModes::IGNCR | InputModes::INLCR);
    modes.local_modes.insert(LocalModes::ICANON | LocalModes::IEXTEN);
    modes.local_modes.remove(LocalModes::ISIG | LocalModes::ECHONL);
    modes.local_modes.set(LocalModes::ECHO, echo == Echo::On);
    modes.special_codes[SpecialCodeIndex::VEOL] = before.special_codes[SpecialCodeIndex::VINTR];
    modes.special_codes[SpecialCodeIndex::VEOL2] = before.special_codes[SpecialCodeIndex::VQUIT];
    modes
}

/// The signals that end programs, held back from this thread as long as this exists.
#[derive(Debug)]
struct HeldSignals {
    before: SigSet,
    /// Readable once one of them waits. Not read: it is to come when it can.
    arrival: SignalFd,
}

impl HeldSignals {
    fn hold() -> io::Result<Self> {
        let before = SigSet::thread_get_mask()?;
        // One that is held back already is meant for another thread, or for later.
        let held: SigSet = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT]
            .into_iter()
            .filter(|signal| !before.contains(*signal))
            .collect();
        let arrival = SignalFd::with_flags(&held, SfdFlags::SFD_CLOEXEC)?;
        held.thread_swap_mask(SigmaskHow::SIG_BLOCK)?;
        Ok(Self { before, arrival })
    }
}

impl Drop for HeldSignals {
    fn drop(&mut self) {
        // Can fail for a call that is wrong in itself only.
        self.before.thread_set_mask().ok();
    }
}

#[cfg(test)]
pub(super) mod tests;
