//! What the connections of a proxy share with the test: their modes, the cutter, and what has passed. Touches no socket.
//!
//! A pump holds the lock from reading its mode until it has counted what it wrote. So a mode that was set is in force, and a
//! byte that has arrived is counted.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::watch;

use super::cutter::Cutter;
use super::{Direction, Ending, Mode};

/// What a [`super::Proxy`] and its connections share.
#[derive(Debug, Default)]
pub(super) struct Line(Mutex<State>);

#[derive(Debug, Default)]
pub(super) struct State {
    coming: Mode,
    open: HashMap<u64, watch::Sender<Mode>>,
    cutter: Cutter,
    observed: Observed,
}

/// What a proxy has seen since it was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Observed {
    /// Whether it listens.
    pub listening: bool,
    /// Connections that it has accepted.
    pub connections: u64,
    /// Those of them that it has not ended, and whose sides have not both closed.
    pub open: usize,
    /// How many of them were ended by a [`Cutter`].
    pub cuts: u64,
    /// How many of those were reset.
    pub resets: u64,
    /// From the clients.
    pub to_server: Traffic,
    /// From the servers.
    pub to_client: Traffic,
}

/// Bytes in one direction, of all connections together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Traffic {
    /// Bytes that the proxy has read, whatever became of them.
    pub read: u64,
    /// Bytes that were written to the other side.
    pub passed: u64,
    /// In so many writes.
    pub writes: u64,
    /// Bytes that were read in a [`Mode::BlackHole`]. Those that were under way before are only missing.
    pub swallowed: u64,
}

/// A connection's place among those that are open; it has it until it drops this.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) line: Arc<Line>,
    pub(super) mode: watch::Receiver<Mode>,
    number: u64,
}

impl Line {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// A place for a connection that was accepted.
    pub(super) fn admit(self: &Arc<Self>) -> Place {
        let mut state = self.lock();
        let number = state.observed.connections;
        let (sender, mode) = watch::channel(state.coming);
        state.open.insert(number, sender);
        state.observed.connections += 1;
        Place { line: Arc::clone(self), mode, number }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.line.lock().open.remove(&self.number);
    }
}

impl State {
    pub(super) fn set(&mut self, open: Mode, coming: Mode) {
        self.set_open(open);
        self.set_coming(coming);
    }

    pub(super) fn set_open(&self, mode: Mode) {
        for connection in self.open.values() {
            connection.send_replace(mode);
        }
    }

    pub(super) fn set_coming(&mut self, mode: Mode) {
        self.coming = mode;
    }

    pub(super) fn set_cutter(&mut self, cutter: Cutter) {
        self.cutter = cutter;
    }

    pub(super) fn set_listening(&mut self, listening: bool) {
        self.observed.listening = listening;
    }

    pub(super) fn observed(&self) -> Observed {
        Observed { open: self.open.len(), ..self.observed }
    }

    /// How many bytes a connection may pass at most before it is cut, of which `passed` have passed in this direction.
    pub(super) fn most(&self, direction: Direction, passed: u64) -> u64 {
        self.cutter.most(direction, passed)
    }

    /// Counts `bytes` of a connection, of which `passed` have then passed in this direction. Says how it ends, if it is cut.
    pub(super) fn count(&mut self, direction: Direction, passed: u64, bytes: u64) -> Option<Ending> {
        let traffic = self.traffic(direction);
        traffic.passed += bytes;
        traffic.writes += u64::from(bytes > 0);
        let ending = self.cutter.count(direction, passed, bytes)?;
        self.observed.cuts += 1;
        self.observed.resets += u64::from(ending == Ending::Reset);
        Some(ending)
    }

    pub(super) fn count_read(&mut self, direction: Direction, bytes: u64) {
        self.traffic(direction).read += bytes;
    }

    pub(super) fn count_swallowed(&mut self, direction: Direction, bytes: u64) {
        let traffic = self.traffic(direction);
        traffic.read += bytes;
        traffic.swallowed += bytes;
    }

    fn traffic(&mut self, direction: Direction) -> &mut Traffic {
        match direction {
            Direction::ToServer => &mut self.observed.to_server,
            Direction::ToClient => &mut self.observed.to_client,
        }
    }
}
