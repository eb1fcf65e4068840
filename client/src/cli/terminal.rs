//! The terminal here, when it is given to a command there: raw, so that every key goes as it is typed, and as it was before in the end.
//!
//! - `keys`: which keys are for this program; pure
//! - `traces`: what the command has switched on in the emulator; pure
//! - `bar`: what says on its screen that the line is down; pure
//! - `controls`: one owner of all this, for whoever stays with a job on a terminal
//!
//! There is one terminal in a program, and so one state, which a panic finds, too. It is changed only while the terminal's foreground is
//! ours: in the background it is somebody else's, and to touch it would stop us (SIGTTOU).

mod bar;
mod controls;
mod forced_panic;
mod keys;
mod traces;

use std::env;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

use common::job::{self, ByteString, TerminalMode, WindowSize, terminal_modes};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Signal, kill_current_process_group};
use rustix::termios::{
    OptionalActions, SpecialCodeIndex, Termios, isatty, tcgetattr, tcgetwinsize, tcsetattr,
};
use tokio::signal::unix::{self, SignalKind};

use self::bar::Bar;
pub(crate) use self::controls::{Controls, Event, Sieve};
pub(crate) use self::keys::EscapeKey;
pub(crate) use self::traces::Traces;
use super::input::is_out_of_reach;

/// How long an emulator may keep us waiting that takes nothing, once this program wants to be gone.
const LAST_WORDS: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

/// The size of a terminal of which nothing is known.
pub(crate) const UNKNOWN: WindowSize = WindowSize { rows: 24, columns: 80, width: 0, height: 0 };

static TERMINAL: Mutex<Option<Terminal>> = Mutex::new(None);

/// Whether it was put back while a command still had something to write.
static GIVEN_BACK: AtomicBool = AtomicBool::new(false);

/// How the terminal here is given to a job.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    /// Whether what is typed here is for the job, key by key. Otherwise the terminal stays in its modes, and only what the job's
    /// programs switch on in the emulator is undone.
    pub(crate) keys: bool,
    /// Whether the job's terminal has the size of this one.
    pub(crate) resizes: bool,
    /// The size that it was asked for with; `None` if it was there before, and is to be painted anew.
    pub(crate) told: Option<WindowSize>,
    /// What its programs have switched on until now.
    pub(crate) traces: Traces,
}

/// The terminal and what is to be put right about it.
#[derive(Debug)]
struct Terminal {
    /// The terminal that is to be raw, if it is.
    descriptor: Option<OwnedFd>,
    /// Its modes before it was raw; none while it is as it was.
    before: Option<Termios>,
    /// Whether it is the job's at present.
    is_given: bool,
    traces: Traces,
    /// Whether what is written to stdout gets to an emulator.
    shows: bool,
    /// Whether all is written that is to be written.
    finished: bool,
    /// Whether something of the job's is being written.
    writing: bool,
    /// What is over it.
    bar: Option<Bar>,
}

/// The terminal, given to a job: the one that is stdin is raw, if keys are. Dropping it puts everything back.
#[derive(Debug)]
pub(crate) struct GivenTerminal(());

impl GivenTerminal {
    /// Gives it; where others have its foreground, [`GivenTerminal::resume`] can do that later.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn enter(entry: &Entry) -> io::Result<Self> {
        let descriptor =
            entry.keys.then(|| rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)).transpose()?;
        let shows = isatty(rustix::stdio::stdout());
        GIVEN_BACK.store(false, Ordering::Relaxed);
        *lock() = Some(Terminal {
            descriptor,
            before: None,
            is_given: false,
            traces: entry.traces,
            shows,
            finished: false,
            writing: false,
            bar: None,
        });
        let entered = Self(());
        entered.resume()?;
        Ok(entered)
    }

    /// As it was, until [`GivenTerminal::resume`].
    pub(crate) fn suspend(&self) {
        if let Some(terminal) = lock().as_mut() {
            terminal.put_back();
        }
    }

    /// The job's again, if its foreground is ours; whether it is.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn resume(&self) -> io::Result<bool> {
        match lock().as_mut() {
            Some(terminal) => terminal.give(),
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

impl Drop for GivenTerminal {
    fn drop(&mut self) {
        restore_now();
    }
}

impl Terminal {
    fn give(&mut self) -> io::Result<bool> {
        if !self.make_raw()? {
            return Ok(false);
        }
        if !self.is_given {
            self.is_given = true;
            self.tell(Traces::redo);
        }
        Ok(true)
    }

    /// Unless its foreground is others'; whether it is ours.
    fn make_raw(&mut self) -> io::Result<bool> {
        let Some(descriptor) = &self.descriptor else { return Ok(true) };
        if is_out_of_reach(descriptor) {
            return Ok(false);
        }
        // Somebody may have changed it while we were stopped without having been asked; what was found first is what counts.
        let found = tcgetattr(descriptor)?;
        let mut raw = found.clone();
        raw.make_raw();
        raw.special_codes[SpecialCodeIndex::VMIN] = 1;
        raw.special_codes[SpecialCodeIndex::VTIME] = 0;
        // At once: to wait until all is written is to wait for an emulator that may have stopped.
        tcsetattr(descriptor, OptionalActions::Now, &raw)?;
        self.before.get_or_insert(found);
        Ok(true)
    }

    fn put_back(&mut self) {
        if !self.is_given || self.descriptor.as_ref().is_some_and(is_out_of_reach) {
            return;
        }
        self.is_given = false;
        self.clear_bar();
        self.tell(Traces::undo);
        if let (Some(descriptor), Some(before)) = (&self.descriptor, self.before.take()) {
            // Nobody is left to tell that it is gone.
            tcsetattr(descriptor, OptionalActions::Now, &before).ok();
        }
    }

    /// Shows `line` over what is there, if that can be done without harm.
    fn show_bar(&mut self, line: &str) {
        let is_ours = self.is_given && !self.descriptor.as_ref().is_some_and(is_out_of_reach);
        // In the middle of a sequence it would be a part of it.
        if !is_ours || self.writing || self.finished || !self.traces.are_between_sequences() {
            return;
        }
        let (rows, columns) =
            tcgetwinsize(rustix::stdio::stdout()).map_or((0, 0), |size| (size.ws_row, size.ws_col));
        if rows < 2 {
            return;
        }
        let place = Bar::place(self.traces.are_on_other_screen(), rows);
        let mut text = String::new();
        if self.bar != Some(place) {
            self.clear_bar();
            text.push_str(place.room());
            self.bar = Some(place);
        }
        text.push_str(&place.draw(line, columns));
        // It is drawn again soon.
        Emulator.write_all(text.as_bytes()).ok();
    }

    fn clear_bar(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.clear(&mut Emulator).ok();
        }
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

impl Write for Emulator {
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

/// Something is about to be written to stdout.
pub(crate) fn writes() {
    if let Some(terminal) = lock().as_mut() {
        terminal.clear_bar();
        terminal.writing = true;
    }
}

/// These bytes were written to stdout.
pub(crate) fn wrote(bytes: &[u8]) {
    if let Some(terminal) = lock().as_mut() {
        terminal.writing = false;
        if terminal.shows {
            terminal.traces.see(bytes);
        }
    }
}

/// Shows `line` in a bar over what the job shows, or in place of the one that is there; `false` if the job's output does not get
/// to an emulator. If it cannot be shown at the moment, it is not.
pub(crate) fn show_bar(line: &str) -> bool {
    let mut terminal = lock();
    let Some(terminal) = terminal.as_mut().filter(|terminal| terminal.shows) else { return false };
    terminal.show_bar(line);
    true
}

/// Takes the bar away.
pub(crate) fn clear_bar() {
    if let Some(terminal) = lock().as_mut() {
        terminal.clear_bar();
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

/// A terminal like the one here, to ask a server for.
pub(crate) fn here() -> job::Terminal {
    let name = ByteString::from(env::var_os("TERM").unwrap_or_default());
    let size = size().unwrap_or(UNKNOWN);
    let mut terminal = job::Terminal { name, size, modes: unusual_modes() };
    // What is no kind of terminal here is none there.
    if terminal.check().is_err() {
        terminal.name = ByteString::default();
    }
    terminal
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

/// How the terminal here is set, where that is not as usual; nothing of a stdin that is none.
fn unusual_modes() -> Vec<TerminalMode> {
    tcgetattr(rustix::stdio::stdin()).map_or_else(|_| Vec::new(), |set| terminal_modes::unusual(&set))
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
