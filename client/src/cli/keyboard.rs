//! The detach keys on a terminal that stays in its usual modes: there a line comes as a whole, and Ctrl-\ is a signal.
//!
//! Whatever the first key does there, it does: a signal comes as one, and anything else is made to end the line. Only then are the
//! modes changed, and for [`NEXT_KEY`] at most, so that others who read the same terminal (`client run … | less`) are in nobody's
//! way. What turns out not to be the whole sequence is handed on as it was typed.

use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use common::job::Signal;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::termios::{
    InputModes, LocalModes, OptionalActions, SpecialCodeIndex, Termios, isatty, tcgetattr, tcsetattr,
};
use tokio::sync::{Notify, oneshot};

use super::detach_keys::DetachKeys;
use super::input::is_out_of_reach;

/// How long the next key is waited for. Nobody types a sequence more slowly, and a signal can wait that long.
pub(super) const NEXT_KEY: Duration = Duration::from_secs(1);

/// Control characters that a key may be, and then is not while the sequence is waited for.
const SPECIAL: [SpecialCodeIndex; 12] = [
    SpecialCodeIndex::VSTART,
    SpecialCodeIndex::VSTOP,
    SpecialCodeIndex::VINTR,
    SpecialCodeIndex::VQUIT,
    SpecialCodeIndex::VSUSP,
    SpecialCodeIndex::VERASE,
    SpecialCodeIndex::VKILL,
    SpecialCodeIndex::VEOF,
    SpecialCodeIndex::VLNEXT,
    SpecialCodeIndex::VWERASE,
    SpecialCodeIndex::VREPRINT,
    SpecialCodeIndex::VDISCARD,
];

/// A terminal that is stdin, and the keys that detach.
#[derive(Debug)]
pub(crate) struct Keyboard {
    terminal: OwnedFd,
    first: First,
    rest: Vec<u8>,
    /// What was typed, and read while the sequence was waited for.
    typed: Mutex<Vec<u8>>,
    modes: Mutex<Modes>,
    pressed: Notify,
}

/// How the first key shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum First {
    Signal(Signal),
    Byte(u8),
}

#[derive(Debug, Default)]
struct Modes {
    /// What the terminal was like before it was changed.
    before: Option<Termios>,
    /// It is not to be changed any more.
    closed: bool,
}

/// What came after the first key.
#[derive(Debug, PartialEq, Eq)]
enum Rest {
    Whole,
    Other(Vec<u8>),
}

impl Keyboard {
    /// `keys` on stdin, if that is a terminal that a person types to us on, and there are any.
    pub(crate) fn open(keys: &DetachKeys) -> Option<Arc<Self>> {
        let (&key, rest) = keys.bytes().split_first()?;
        let stdin = rustix::stdio::stdin();
        if !isatty(stdin) || is_out_of_reach(stdin) {
            return None;
        }
        let terminal = rustix::io::fcntl_dupfd_cloexec(stdin, 3).ok()?;
        let now = tcgetattr(&terminal).ok()?;
        let sends = |code| now.local_modes.contains(LocalModes::ISIG) && now.special_codes[code] == key;
        let first = match () {
            () if sends(SpecialCodeIndex::VQUIT) => First::Signal(Signal::QUIT),
            () if sends(SpecialCodeIndex::VINTR) => First::Signal(Signal::INT),
            () => First::Byte(key),
        };
        let keyboard = Self {
            terminal,
            first,
            rest: rest.to_vec(),
            typed: Mutex::default(),
            modes: Mutex::default(),
            pressed: Notify::new(),
        };
        if let First::Byte(key) = first {
            keyboard.change(|modes| {
                // The others may be typed before they are waited for.
                free(modes, keys.bytes());
                modes.special_codes[SpecialCodeIndex::VEOL] = key;
            });
        }
        Some(Arc::new(keyboard))
    }

    /// Whether `signal` may be the first key.
    pub(crate) fn begins_with(&self, signal: Signal) -> bool {
        self.first == First::Signal(signal) && !is_out_of_reach(&self.terminal)
    }

    /// After the signal that is the first key: whether the others follow.
    pub(crate) async fn follows(self: &Arc<Self>) -> bool {
        let (keyboard, (tell, told)) = (Arc::clone(self), oneshot::channel());
        let spawned = thread::Builder::new().name("keys".to_owned()).spawn(move || {
            let whole = match keyboard.rest() {
                Rest::Whole => true,
                Rest::Other(typed) => {
                    keyboard.lock_typed().extend(typed);
                    false
                }
            };
            // The job may be over.
            tell.send(whole).ok();
        });
        spawned.is_ok() && told.await.unwrap_or(false)
    }

    /// Waits until the keys were found in what was typed.
    pub(crate) async fn pressed(&self) {
        self.pressed.notified().await;
    }

    /// What was typed for the command and is not in stdin any more. Waits while a sequence is waited for.
    pub(super) fn typed(&self) -> Vec<u8> {
        std::mem::take(&mut *self.lock_typed())
    }

    /// Takes the keys out of what was read from the terminal, if they are there.
    pub(super) fn sift(&self, bytes: &mut Vec<u8>) {
        let First::Byte(key) = self.first else { return };
        let whole: Vec<u8> = [&[key], &*self.rest].concat();
        // Where others have taken the terminal out of its usual modes, they come at once.
        if let Some(at) = bytes.windows(whole.len()).position(|window| window == whole) {
            bytes.truncate(at);
            return self.pressed.notify_one();
        }
        if bytes.last() != Some(&key) {
            return;
        }
        match self.rest() {
            Rest::Whole => {
                bytes.pop();
                self.pressed.notify_one();
            }
            Rest::Other(typed) => bytes.extend(typed),
        }
    }

    /// Waits for the keys after the first.
    fn rest(&self) -> Rest {
        // Whoever reads stdin waits.
        let _reading = self.lock_typed();
        let before = tcgetattr(&self.terminal).ok();
        self.change(|modes| {
            modes.local_modes -= LocalModes::ICANON | LocalModes::ECHO;
            modes.input_modes -= InputModes::IXON | InputModes::ICRNL;
            modes.special_codes[SpecialCodeIndex::VMIN] = 1;
            modes.special_codes[SpecialCodeIndex::VTIME] = 0;
            free(modes, &self.rest);
        });
        let mut typed = Vec::new();
        while typed.len() < self.rest.len() && self.rest.starts_with(&typed) {
            match self.next_key() {
                Some(key) => typed.push(key),
                None => break,
            }
        }
        let mut state = self.lock_modes();
        if let (Some(before), false) = (before, state.closed) {
            tcsetattr(&self.terminal, OptionalActions::Now, &before).ok();
            // What others do with it from here on is theirs.
            state.before.take_if(|_| matches!(self.first, First::Signal(_)));
        }
        drop(state);
        if typed == self.rest { Rest::Whole } else { Rest::Other(typed) }
    }

    fn next_key(&self) -> Option<u8> {
        let timeout = Timespec { tv_sec: NEXT_KEY.as_secs().cast_signed(), tv_nsec: 0 };
        let mut polled = [PollFd::new(&self.terminal, PollFlags::IN)];
        match poll(&mut polled, Some(&timeout)) {
            Ok(1..) => {}
            Ok(0) | Err(_) => return None,
        }
        let mut key = [0];
        match rustix::io::read(&self.terminal, &mut key) {
            Ok(1) => key.first().copied(),
            Ok(_) | Err(Errno::INTR) | Err(_) => None,
        }
    }

    fn change(&self, change: impl FnOnce(&mut Termios)) {
        let mut state = self.lock_modes();
        let Ok(mut modes) = tcgetattr(&self.terminal) else { return };
        if state.closed {
            return;
        }
        state.before.get_or_insert_with(|| modes.clone());
        change(&mut modes);
        // Without it the keys do nothing, and all else is as it was.
        tcsetattr(&self.terminal, OptionalActions::Now, &modes).ok();
    }

    /// Leaves the terminal as it was found.
    pub(crate) fn restore(&self) {
        let mut state = self.lock_modes();
        state.closed = true;
        if let Some(before) = state.before.take()
            && !is_out_of_reach(&self.terminal)
        {
            tcsetattr(&self.terminal, OptionalActions::Now, &before).ok();
        }
    }

    fn lock_typed(&self) -> MutexGuard<'_, Vec<u8>> {
        self.typed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_modes(&self) -> MutexGuard<'_, Modes> {
        self.modes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes their special meanings from `keys`.
fn free(modes: &mut Termios, keys: &[u8]) {
    for code in SPECIAL {
        if keys.contains(&modes.special_codes[code]) {
            modes.special_codes[code] = 0;
        }
    }
}
