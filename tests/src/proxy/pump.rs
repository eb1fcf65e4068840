//! One direction of one connection: takes what one side says and gives it to the other, as the mode and the cutter have it.
//!
//! A step does what can be done at once, under the lock of the line; between steps nothing is done but waiting.

use std::future::pending;
use std::io::ErrorKind;
use std::time::Duration;

use bytes::BufMut;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::line::{Line, Place, State};
use super::pieces::Pieces;
use super::{Direction, Ending, Mode};

/// Most that is under way in the proxy itself: without a delay, and with one, where it bounds how fast the line is.
const UNDER_WAY: usize = 256 * 1024;
const UNDER_WAY_DELAYED: usize = 16 * 1024 * 1024;

/// Most that is dropped at once.
const SWALLOW: usize = 64 * 1024;

#[derive(Debug)]
pub(super) struct Pump<'a> {
    from: &'a TcpStream,
    to: &'a TcpStream,
    direction: Direction,
    line: &'a Line,
    mode: watch::Receiver<Mode>,
    pieces: Pieces,
    /// Bytes that were written.
    passed: u64,
    /// How `from` has ended, if it has, and when that is due.
    end: Option<(End, Instant)>,
}

/// How a side ends by itself.
#[derive(Debug, Clone, Copy)]
pub(super) enum End {
    /// It says nothing more.
    Finished,
    /// It was reset.
    Broken,
}

/// What reading came to.
enum Taken {
    Bytes(usize),
    NothingYet,
    End(End),
}

/// What a step leaves to wait for, besides another mode.
#[derive(Debug, Default)]
struct Wait {
    to_read: bool,
    to_write: bool,
    until: Option<Instant>,
}

/// What a step comes to.
enum Step {
    Wait(Wait),
    /// The end of the stream was passed on.
    Over,
    /// The whole connection ends.
    End(Ending),
}

impl<'a> Pump<'a> {
    pub(super) fn new(
        from: &'a TcpStream,
        to: &'a TcpStream,
        direction: Direction,
        place: &'a Place,
    ) -> Self {
        let mode = place.mode.clone();
        Self { from, to, direction, line: &place.line, mode, pieces: Pieces::default(), passed: 0, end: None }
    }

    /// Carries until the end of the stream was passed on.
    ///
    /// # Errors
    /// How the whole connection ends, if it does.
    pub(super) async fn run(mut self) -> Result<(), Ending> {
        loop {
            match self.step() {
                Step::Wait(wait) => self.wait(wait).await,
                Step::Over => return Ok(()),
                Step::End(ending) => return Err(ending),
            }
        }
    }

    fn step(&mut self) -> Step {
        let mut state = self.line.lock();
        let mode = *self.mode.borrow_and_update();
        match mode {
            Mode::Pass => self.carry(&mut state, Duration::ZERO, usize::MAX),
            Mode::Delay(delay) => self.carry(&mut state, delay, usize::MAX),
            Mode::ByteByByte => self.carry(&mut state, Duration::ZERO, 1),
            Mode::Stall => Step::Wait(Wait::default()),
            Mode::BlackHole => self.swallow(&mut state),
            Mode::Cut => Step::End(Ending::Fin),
            Mode::Reset => Step::End(Ending::Reset),
        }
    }

    /// Takes in what there is, if there is room, and writes at most `size` of what is due.
    fn carry(&mut self, state: &mut State, delay: Duration, size: usize) -> Step {
        let now = Instant::now();
        let limit = if delay.is_zero() { UNDER_WAY } else { UNDER_WAY_DELAYED };
        if self.end.is_none() && self.pieces.has_room(limit) {
            let taken = take(self.from, &mut self.pieces.space(limit));
            match taken {
                Taken::Bytes(len) => {
                    self.pieces.add(len, now + delay);
                    state.count_read(self.direction, len as u64);
                }
                Taken::NothingYet => {}
                Taken::End(end) => self.end = Some((end, now + delay)),
            }
        }
        if let Some(ending) = self.give(state, now, size) {
            return Step::End(ending);
        }
        match self.end {
            Some((end, due)) if self.pieces.is_empty() && due <= now => self.pass_on(end),
            _ => Step::Wait(self.next(now, limit)),
        }
    }

    /// Writes once, if something is due. Says how the connection ends with that, if it does.
    fn give(&mut self, state: &mut State, now: Instant, size: usize) -> Option<Ending> {
        let due = self.pieces.due(now);
        if due.is_empty() {
            return None;
        }
        let most = usize::try_from(state.most(self.direction, self.passed)).unwrap_or(usize::MAX);
        let written = match &due[..due.len().min(size).min(most)] {
            [] => Ok(0),
            bytes => self.to.try_write(bytes),
        };
        match written {
            Ok(written) => {
                self.pieces.advance(written);
                self.passed += written as u64;
                state.count(self.direction, self.passed, written as u64)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => None,
            Err(_) => Some(Ending::Reset),
        }
    }

    fn pass_on(&self, end: End) -> Step {
        match end {
            End::Finished => {
                rustix::net::shutdown(self.to, rustix::net::Shutdown::Write).ok();
                Step::Over
            }
            End::Broken => Step::End(Ending::Reset),
        }
    }

    fn next(&self, now: Instant, limit: usize) -> Wait {
        let next_due = self.pieces.next_due().or_else(|| self.end.map(|(_, due)| due));
        Wait {
            to_read: self.end.is_none() && self.pieces.has_room(limit),
            to_write: !self.pieces.due(now).is_empty(),
            until: next_due.filter(|due| *due > now),
        }
    }

    fn swallow(&mut self, state: &mut State) -> Step {
        self.pieces.clear();
        if self.end.is_none() {
            let end = swallow(self.from, self.direction, state);
            self.end = end.map(|end| (end, Instant::now()));
        }
        Step::Wait(Wait { to_read: self.end.is_none(), ..Wait::default() })
    }

    async fn wait(&mut self, wait: Wait) {
        let until = async {
            match wait.until {
                Some(due) => sleep_until(due).await,
                None => pending().await,
            }
        };
        // What fails here fails again where it is read or written, which says how.
        tokio::select! {
            changed = self.mode.changed() => changed.unwrap(),
            _ = self.from.readable(), if wait.to_read => {}
            _ = self.to.writable(), if wait.to_write => {}
            () = until => {}
        }
    }
}

/// Reads what a side has said, and drops it. Says how the side has ended, if it has.
pub(super) fn swallow(from: &TcpStream, direction: Direction, state: &mut State) -> Option<End> {
    match take(from, &mut [0; SWALLOW].as_mut_slice()) {
        Taken::Bytes(len) => state.count_swallowed(direction, len as u64),
        Taken::NothingYet => {}
        Taken::End(end) => return Some(end),
    }
    None
}

fn take(from: &TcpStream, space: &mut impl BufMut) -> Taken {
    match from.try_read_buf(space) {
        Ok(0) => Taken::End(End::Finished),
        Ok(len) => Taken::Bytes(len),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Taken::NothingYet,
        Err(_) => Taken::End(End::Broken),
    }
}
