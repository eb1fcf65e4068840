//! From the command's pipe or terminal to the job's outlet, as fast as that has room and no faster.

mod reading;

use std::io;
use std::os::fd::OwnedFd;
use std::pin::pin;

use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::LARGE_PIPE;
use super::outlet::{Outlet, Room};
use super::rules::DRAIN;
use super::tide::Ebb;
use crate::crash_point::{CrashPoint, reach};
use reading::Reading;

/// Where an output stream of a job comes from.
#[derive(Debug)]
pub(super) enum Source {
    /// From here, still.
    Open(OwnedFd),
    /// Nothing comes any more: whether a process still held it open, or why it could not be read to its end.
    Over(Result<bool, String>),
}

/// One output stream of a job, on its way in.
#[derive(Debug)]
pub(super) struct Output<'a> {
    pub(super) outlet: &'a Outlet,
    /// It is cut off, with nothing on its way, and will go on later.
    pub(super) pause: CancellationToken,
    /// Nobody waits for the end any more: take what is there, and end.
    pub(super) stop_reading: CancellationToken,
    /// Who must not be ahead of it.
    pub(super) ebb: Ebb<'a>,
}

/// How long the end of the stream is waited for.
#[derive(Debug, Default)]
struct Patience {
    /// When the client last took something after it had let the window close.
    blocked_until: Option<Instant>,
    /// How much may still be read, once nobody waits for the end any more.
    left: Option<usize>,
}

/// How reading goes on after a wait.
enum Next {
    /// So much may be read.
    Read(Room),
    /// It is asked how far it has come.
    Answer,
    /// The stream is over.
    End,
}

impl Output<'_> {
    /// Moves everything, then ends the stream; or moves what it can until the pause.
    pub(super) async fn run(mut self, source: Source, again: bool) -> Source {
        let Source::Open(descriptor) = source else {
            self.ebb.end();
            return source;
        };
        let over = match Reading::new(descriptor) {
            Ok(mut reading) => match self.copy(&mut reading, again).await {
                Ok(None) => match reading.into_descriptor() {
                    Ok(descriptor) => return Source::Open(descriptor),
                    Err(error) => Err(error),
                },
                Ok(Some(left_open)) => Ok(left_open),
                Err(error) => Err(error),
            },
            Err(error) => Err(error),
        };
        self.outlet.end();
        self.ebb.end();
        Source::Over(over.map_err(|error| error.to_string()))
    }

    /// Whether a process still held it open at the end; `None` if it is to go on later.
    async fn copy(&mut self, reading: &mut Reading, again: bool) -> io::Result<Option<bool>> {
        // Nobody has read while it was cut off, which may have blocked them.
        let mut patience = Patience { blocked_until: again.then(Instant::now), ..Patience::default() };
        let pause = self.pause.clone();
        let mut paused = pin!(pause.cancelled());
        loop {
            let next = tokio::select! {
                biased;
                () = &mut paused => return Ok(None),
                next = self.wait(reading, &mut patience) => next?,
            };
            match next {
                Next::Read(room) => match reading.read(room.bytes()) {
                    Ok(bytes) if bytes.is_empty() => return Ok(Some(false)),
                    Ok(bytes) => {
                        let count = bytes.len();
                        patience.left = patience.left.map(|left| left.saturating_sub(count));
                        self.outlet.put(bytes, room).await.map_err(io::Error::other)?;
                        self.ebb.read(count);
                        reach(CrashPoint::OutputKept);
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        // There was less than there might have been.
                        patience.left = patience.left.map(|_| 0);
                        self.ebb.read_all();
                    }
                    Err(error) => return Err(error),
                },
                Next::Answer => self.ebb.owe(reading.unread()?),
                Next::End if self.outlet.is_closed() => return Ok(Some(false)),
                Next::End if reading.has_writers()? => return Ok(Some(true)),
                // Nothing can be added any more, so what is there is the rest.
                Next::End => match reading.unread()? {
                    0 => return Ok(Some(false)),
                    rest => patience.left = Some(rest),
                },
            }
        }
    }

    /// Waits until there is something to read and room for it.
    async fn wait(&mut self, reading: &Reading, patience: &mut Patience) -> io::Result<Next> {
        let blocked = self.outlet.is_full();
        let Ok(room) = self.outlet.room().await else { return Ok(Next::End) };
        if blocked {
            patience.blocked_until = Some(Instant::now());
        }
        if patience.left == Some(0) {
            return Ok(Next::End);
        }
        let Self { outlet, stop_reading, ebb, .. } = self;
        tokio::select! {
            biased;
            () = ebb.asked() => return Ok(Next::Answer),
            () = give_up(stop_reading, patience.blocked_until), if patience.left.is_none() => {
                patience.left = Some(reading.unread()?);
            }
            ready = reading.readable() => ready?,
            _closed = outlet.closed() => return Ok(Next::End),
        }
        let left = patience.left.unwrap_or(usize::MAX);
        Ok(match room {
            _ if left == 0 => Next::End,
            Room::Memory(most) => Next::Read(Room::Memory(most.min(left))),
            Room::Disk(most) => Next::Read(Room::Disk(most.min(left))),
        })
    }
}

/// Waits until nobody waits for the end of the stream any more. While the client did not take what was there, no process could
/// write, so it gets its time from then.
async fn give_up(stop_reading: &CancellationToken, blocked_until: Option<Instant>) {
    stop_reading.cancelled().await;
    if let Some(unblocked) = blocked_until {
        sleep_until(unblocked + DRAIN).await;
    }
}
