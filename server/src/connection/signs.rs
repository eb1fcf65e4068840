//! Signs of life of a client: asked for while it is quiet, and when it has to be known what it has received.

use std::collections::VecDeque;
use std::future::pending;
use std::time::Instant;

use bytes::Bytes;
use common::connection::{ConnectionError, Liveness, Sign};
use common::packet::{Echo, Packet};
use tokio::time::sleep_until;

use super::Sender;
use super::departure::Path;
use super::jobs::Jobs;

/// The pings of one connection.
#[derive(Debug)]
pub(super) struct Signs {
    /// `None` where the system tells when the other end is gone, and silence means nothing.
    liveness: Option<Liveness>,
    /// Pings that were not answered yet, and how many ends of jobs the answer confirms.
    asked: VecDeque<(u64, u64)>,
    last_token: u64,
}

impl Signs {
    pub(super) fn new(path: Path) -> Self {
        let remote = matches!(path, Path::Direct | Path::Indirect);
        let liveness = remote.then(|| Liveness::new(Instant::now()));
        Self { liveness, asked: VecDeque::new(), last_token: 0 }
    }

    /// Waits until [`Signs::look`] has something to do.
    pub(super) async fn due(&self) {
        match &self.liveness {
            Some(liveness) => sleep_until(liveness.deadline().into()).await,
            None => pending().await,
        }
    }

    /// Asks for a sign of life if the client was quiet for long.
    ///
    /// # Errors
    /// [`ConnectionError::Silent`] if it was for too long.
    pub(super) fn look(&mut self, jobs: &Jobs, sender: &Sender) -> Result<(), ConnectionError> {
        match self.liveness.as_mut().map(|liveness| liveness.look(Instant::now())) {
            Some(Sign::Lost) => return Err(ConnectionError::Silent),
            Some(Sign::Ask) => self.send(jobs, sender),
            Some(Sign::Wait) | None => {}
        }
        Ok(())
    }

    /// Something came from the client.
    pub(super) fn heard(&mut self) {
        if let Some(liveness) = &mut self.liveness {
            liveness.heard(Instant::now());
        }
    }

    /// Asks for a sign of life, unless one is on its way.
    pub(super) fn ask(&mut self, jobs: &Jobs, sender: &Sender) {
        if self.asked.is_empty() {
            self.send(jobs, sender);
        }
    }

    /// Takes a sign of life: the client has received everything that was sent before it was asked for.
    ///
    /// # Errors
    /// [`ConnectionError`] if it was not asked for.
    pub(super) fn answered(&mut self, echo: &Echo, jobs: &Jobs) -> Result<(), ConnectionError> {
        match self.asked.pop_front() {
            Some((token, ended)) if token == echo.token => {
                jobs.confirm(ended);
                Ok(())
            }
            _ => Err(ConnectionError::Violation("a pong without its ping")),
        }
    }

    fn send(&mut self, jobs: &Jobs, sender: &Sender) {
        let token = self.last_token + 1;
        let ended = jobs.ended();
        // Behind everything that was sent. With a full queue the client is not reading, and is asked later.
        if sender.try_send(Packet::Ping(Echo { token, payload: Bytes::new() })).is_ok() {
            self.last_token = token;
            self.asked.push_back((token, ended));
        }
    }
}
