//! A stdin that can only be read, not looked at: a terminal, a socket, a character device.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use rustix::buffer::spare_capacity;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::termios::isatty;

use super::typed::Typed;
use super::{Reader, Sink};
use crate::cli::keyboard::{Keyboard, NEXT_KEY};
use crate::cli::terminal::Sieve;

/// Bytes read at a time.
const CHUNK: usize = 64 * 1024;

/// How often to look whether a terminal's foreground is ours again.
const FOREGROUND_POLL: Timespec = Timespec { tv_sec: 0, tv_nsec: 250_000_000 };

/// Something to read from.
#[derive(Debug)]
pub(crate) struct Device {
    source: Option<Source>,
    /// Dropping it stops the reading thread.
    _stop: OwnedFd,
}

/// Why waiting ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Waited {
    Readable,
    /// No key has come that what is held back waits for.
    Late,
    /// Nobody wants more.
    Stopped,
}

/// What the reading thread has.
#[derive(Debug)]
struct Source {
    descriptor: OwnedFd,
    stop: OwnedFd,
    terminal: bool,
    /// Where keys are looked for that are not for the command.
    keyboard: Option<Arc<Keyboard>>,
    /// The same, where the terminal is raw.
    sieve: Option<Arc<Sieve>>,
}

impl Device {
    /// # Errors
    /// The system's, if it has no descriptors left.
    pub(crate) fn new(descriptor: OwnedFd) -> io::Result<Self> {
        let (stop, hold) = pipe_with(PipeFlags::CLOEXEC)?;
        let terminal = isatty(&descriptor);
        Ok(Self {
            source: Some(Source { descriptor, stop, terminal, keyboard: None, sieve: None }),
            _stop: hold,
        })
    }

    /// Whether somebody types what is read.
    pub(super) fn is_terminal(&self) -> bool {
        self.source.as_ref().is_some_and(|source| source.terminal)
    }

    /// Looks for `keyboard`'s keys in what is read from now on.
    pub(super) fn watch(&mut self, keyboard: &Arc<Keyboard>) {
        if let Some(source) = self.source.as_mut().filter(|source| source.terminal) {
            source.keyboard = Some(Arc::clone(keyboard));
        }
    }

    /// Takes out of what is read from now on what `sieve` holds back.
    pub(super) fn sift(&mut self, sieve: Arc<Sieve>) {
        if let Some(source) = self.source.as_mut().filter(|source| source.terminal) {
            source.sieve = Some(sieve);
        }
    }

    /// Sends what is read. It is read in one place, so a second call finds nothing.
    pub(super) async fn feed(&mut self, sink: Sink<'_>) -> io::Result<()> {
        let Some(source) = self.source.take() else { return Ok(()) };
        if let Some(typed) = source.typed() {
            return typed.feed(sink).await;
        }
        let reader = Reader::spawn(CHUNK, move |buffer| source.read(buffer))?;
        sink.pump(reader).await
    }
}

impl Source {
    /// The same to be read without a thread, if it is a terminal that allows that.
    fn typed(&self) -> Option<Typed> {
        let sieve = self.sieve.as_ref().filter(|_| self.keyboard.is_none())?;
        Typed::open(&self.descriptor, sieve).ok()
    }

    /// Reads once there is something; 0 at the end or when told to stop.
    fn read(&self, buffer: &mut Vec<u8>) -> io::Result<usize> {
        loop {
            match self.wait()? {
                Waited::Stopped => return Ok(0),
                Waited::Late => {
                    if let Some(sieve) = &self.sieve {
                        sieve.late(buffer);
                    }
                    if !buffer.is_empty() {
                        return Ok(buffer.len());
                    }
                    continue;
                }
                Waited::Readable => {}
            }
            if self.terminal && is_in_background(&self.descriptor) {
                if self.is_stopped_within(&FOREGROUND_POLL)? {
                    return Ok(0);
                }
                continue;
            }
            if let Some(keyboard) = &self.keyboard {
                let typed = keyboard.typed();
                if !typed.is_empty() {
                    buffer.extend(&typed);
                    return Ok(typed.len());
                }
                // It may have been read there meanwhile.
                if !has_something(&self.descriptor)? {
                    continue;
                }
            }
            match rustix::io::read(&self.descriptor, spare_capacity(buffer)) {
                Err(Errno::INTR | Errno::AGAIN) => {}
                // The terminal is gone.
                Err(Errno::IO) if self.terminal => return Ok(0),
                read => {
                    let read = read?;
                    match (&self.sieve, &self.keyboard) {
                        (Some(sieve), _) if read > 0 => sieve.sift(buffer),
                        (None, Some(keyboard)) if read > 0 => keyboard.sift(buffer),
                        _ => return Ok(read),
                    }
                    if !buffer.is_empty() {
                        return Ok(buffer.len());
                    }
                }
            }
        }
    }

    /// Waits for something to read, or for the rest of what is held back.
    fn wait(&self) -> io::Result<Waited> {
        let waits = self.sieve.as_ref().is_some_and(|sieve| sieve.waits());
        let timeout = waits.then(|| Timespec { tv_sec: NEXT_KEY.as_secs().cast_signed(), tv_nsec: 0 });
        let mut polled =
            [PollFd::new(&self.stop, PollFlags::empty()), PollFd::new(&self.descriptor, PollFlags::IN)];
        let ready = poll(&mut polled, timeout.as_ref());
        let is_late = ready == Ok(0);
        ignore_interrupt(ready)?;
        let [stop, _] = polled;
        Ok(match stop.revents().is_empty() {
            false => Waited::Stopped,
            true if is_late => Waited::Late,
            true => Waited::Readable,
        })
    }

    fn is_stopped_within(&self, time: &Timespec) -> io::Result<bool> {
        let mut polled = [PollFd::new(&self.stop, PollFlags::empty())];
        Ok(ignore_interrupt(poll(&mut polled, Some(time)))? > 0)
    }
}

/// Whether a read would not have to wait.
pub(super) fn has_something(descriptor: impl AsFd) -> io::Result<bool> {
    let mut polled = [PollFd::new(&descriptor, PollFlags::IN)];
    Ok(ignore_interrupt(poll(&mut polled, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })))? > 0)
}

/// Whether this is our controlling terminal and another process group has its foreground.
pub(super) fn is_in_background(terminal: impl AsFd) -> bool {
    // An error means that it is not our controlling terminal, and then nobody stops us. Our own group is 0 in a
    // process namespace that it is not part of, which rustix's type cannot say.
    rustix::termios::tcgetpgrp(terminal)
        .is_ok_and(|foreground| foreground.as_raw_nonzero().get() != nix::unistd::getpgrp().as_raw())
}

fn ignore_interrupt(polled: Result<usize, Errno>) -> io::Result<usize> {
    match polled {
        Err(Errno::INTR) => Ok(0),
        polled => Ok(polled?),
    }
}
