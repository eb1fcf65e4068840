//! The terminal here, when it is given to a command there: raw, so that every key goes as it is typed, and as it was before in the end.
//!
//! - `keys`: which keys are for this program; pure
//! - `traces`: what the command has switched on in the emulator; pure
//! - `controls`: one owner of all this, for whoever stays with a job on a terminal
//!
//! There is one terminal in a program, and so one state, which a panic finds, too. It is changed only while the terminal's foreground is
//! ours: in the background it is somebody else's, and to touch it would stop us (SIGTTOU).

mod controls;
mod forced_panic;
mod keys;
mod traces;

use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

use common::job::WindowSize;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Signal, kill_current_process_group};
use rustix::termios::{
    OptionalActions, SpecialCodeIndex, Termios, isatty, tcgetattr, tcgetwinsize, tcsetattr,
};
use tokio::signal::unix::{self, SignalKind};

pub(crate) use self::controls::{Controls, Event, HELP, Sieve};
pub(crate) use self::keys::EscapeKey;
use self::traces::Traces;
use super::input::is_out_of_reach;

/// How long an emulator may keep us waiting that takes nothing, once this program wants to be gone.
const LAST_WORDS: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

static TERMINAL: Mutex<Option<Terminal>> = Mutex::new(None);

/// Whether it was put back while a command still had something to write.
static GIVEN_BACK: AtomicBool = AtomicBool::new(false);

/// The terminal and what is to be put right about it.
#[derive(Debug)]
struct Terminal {
    descriptor: OwnedFd,
    /// Its modes before it was raw; none while it is as it was.
    before: Option<Termios>,
    traces: Traces,
    /// Whether what is written to stdout gets to an emulator.
    shows: bool,
    /// Whether all is written that is to be written.
    finished: bool,
}

/// The terminal that is stdin, raw. Dropping it puts everything back.
#[derive(Debug)]
pub(crate) struct RawTerminal(());

impl RawTerminal {
    /// Makes it raw; where others have its foreground, [`RawTerminal::resume`] can do that later. `None` if stdin is no terminal.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn enter() -> io::Result<Option<Self>> {
        let stdin = rustix::stdio::stdin();
        if !isatty(stdin) {
            return Ok(None);
        }
        let descriptor = rustix::io::fcntl_dupfd_cloexec(stdin, 3)?;
        let shows = isatty(rustix::stdio::stdout());
        GIVEN_BACK.store(false, Ordering::Relaxed);
        *lock() =
            Some(Terminal { descriptor, before: None, traces: Traces::default(), shows, finished: false });
        let entered = Self(());
        entered.resume()?;
        Ok(Some(entered))
    }

    /// As it was, until [`RawTerminal::resume`].
    pub(crate) fn suspend(&self) {
        if let Some(terminal) = lock().as_mut() {
            terminal.put_back();
        }
    }

    /// Raw again, if its foreground is ours; whether it is.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn resume(&self) -> io::Result<bool> {
        match lock().as_mut() {
            Some(terminal) => terminal.make_raw(),
            None => Ok(false),
        }
    }

    /// The command is over, and all that it has written is on the terminal. If it has ended by itself, what it has switched on is
    /// meant to stay.
    pub(crate) fn finish(&self, keep_traces: bool) {
        if let Some(terminal) = lock().as_mut() {
            terminal.finished = true;
            terminal.shows &= !keep_traces;
        }
    }

    /// Stops this program and all that a shell has started with it, as Ctrl-Z does on a terminal that is not raw. Comes back when it
    /// was told to go on.
    ///
    /// # Errors
    /// The system's, when it goes on.
    pub(crate) fn stop(&self) -> io::Result<()> {
        self.suspend();
        // Not SIGSTOP: where nobody would tell us to go on, because we are no shell's job, the system ignores this one.
        kill_current_process_group(Signal::TSTP)?;
        self.resume().map(drop)
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        restore_now();
    }
}

impl Terminal {
    fn make_raw(&mut self) -> io::Result<bool> {
        if is_out_of_reach(&self.descriptor) {
            return Ok(false);
        }
        // Somebody may have changed it while we were stopped without having been asked; what was found first is what counts.
        let again = self.before.is_none();
        let found = tcgetattr(&self.descriptor)?;
        let mut raw = found.clone();
        raw.make_raw();
        raw.special_codes[SpecialCodeIndex::VMIN] = 1;
        raw.special_codes[SpecialCodeIndex::VTIME] = 0;
        // At once: to wait until all is written is to wait for an emulator that may have stopped.
        tcsetattr(&self.descriptor, OptionalActions::Now, &raw)?;
        self.before.get_or_insert(found);
        if again {
            self.tell(Traces::redo);
        }
        Ok(true)
    }

    fn put_back(&mut self) {
        let Some(before) = &self.before else { return };
        if is_out_of_reach(&self.descriptor) {
            return;
        }
        self.tell(Traces::undo);
        // Nobody is left to tell that it is gone.
        tcsetattr(&self.descriptor, OptionalActions::Now, before).ok();
        self.before = None;
    }

    /// Writes to the emulator, unless that takes nothing.
    fn tell(&self, words: impl Fn(&Traces, &mut Emulator) -> io::Result<()>) {
        if self.shows {
            words(&self.traces, &mut Emulator).ok();
        }
    }
}

/// The emulator behind stdout. Takes what it takes soon, and allocates nothing.
struct Emulator;

impl io::Write for Emulator {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let stdout = rustix::stdio::stdout();
        match poll(&mut [PollFd::from_borrowed_fd(stdout, PollFlags::OUT)], Some(&LAST_WORDS))? {
            0 => Err(io::ErrorKind::TimedOut.into()),
            _ => Ok(rustix::io::write(stdout, bytes)?),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether the terminal is raw, so that a line needs a carriage return to begin where lines begin.
pub(crate) fn is_raw() -> bool {
    lock().as_ref().is_some_and(|terminal| terminal.before.is_some())
}

/// Whether the terminal was put back, until the next command has it, and what comes late is not to be written to it any more.
pub(crate) fn is_given_back() -> bool {
    GIVEN_BACK.load(Ordering::Relaxed)
}

/// These bytes were written to stdout.
pub(crate) fn wrote(bytes: &[u8]) {
    if let Some(terminal) = lock().as_mut().filter(|terminal| terminal.shows) {
        terminal.traces.see(bytes);
    }
}

/// Puts everything back, for good. Does nothing where nothing is to be done, waits for nobody, and allocates nothing: for a panic.
pub(crate) fn restore_now() {
    let mut terminal = match TERMINAL.try_lock() {
        Ok(terminal) => terminal,
        Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
        // It is for a moment at most that somebody has it; whoever ends this program comes here again.
        Err(TryLockError::WouldBlock) => return,
    };
    if let Some(mut terminal) = terminal.take() {
        GIVEN_BACK.store(!terminal.finished, Ordering::Relaxed);
        terminal.put_back();
    }
}

/// The size of the terminal here: stdin's, or else stdout's or stderr's.
pub(crate) fn size() -> Option<WindowSize> {
    let streams = [rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr()];
    let size = streams.into_iter().find_map(|stream| tcgetwinsize(stream).ok())?;
    Some(WindowSize {
        rows: size.ws_row,
        columns: size.ws_col,
        width: size.ws_xpixel,
        height: size.ws_ypixel,
    })
}

/// Tells when the terminal may have another size, or may have been somebody else's for a while.
#[derive(Debug)]
pub(crate) struct WindowChanges {
    resized: unix::Signal,
    continued: unix::Signal,
}

impl WindowChanges {
    /// From now on.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn install() -> io::Result<Self> {
        let resized = unix::signal(SignalKind::window_change())?;
        let continued = unix::signal(SignalKind::from_raw(Signal::CONT.as_raw()))?;
        Ok(Self { resized, continued })
    }

    /// Waits for the next change. Several that come together are one.
    pub(crate) async fn next(&mut self) {
        tokio::select! {
            _ = self.resized.recv() => {}
            _ = self.continued.recv() => {}
        }
    }
}

fn lock() -> MutexGuard<'static, Option<Terminal>> {
    TERMINAL.lock().unwrap_or_else(PoisonError::into_inner)
}
