//! How a server becomes the program that is in its file now. Up to the last step there is a way back: whatever fails, the
//! server goes on as it was.
//!
//! ```text
//!  serving ──SIGUSR2──► examining ──sound──► suspended ──execve──► the next program
//!     ▲                     │                    │
//!     └──────── unsound ────┴──── cannot be ─────┘
//! ```

use std::iter;
use std::sync::Arc;
use std::time::Duration;

use tokio::time;
use tracing::{error, info};

use super::serving::Serving;
use super::signals::{Received, handled_signals};
use crate::handover::{
    HandoverError, ListenerRecord, Record, Unsound, become_successor, examine, listener_record,
};
use crate::job;
use crate::listener::Listener;
use crate::parcel::Packing;
use crate::server::Suspended;

/// How long a signal may be on its way to whoever waits for it.
const UNDER_WAY: Duration = Duration::from_millis(5);

/// What a server does after an upgrade that it is still there after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Onwards {
    Serve,
    Stop,
}

impl Serving<'_> {
    /// Becomes the next program. Returns if that cannot be, or if the server was told to stop meanwhile.
    pub(super) async fn upgrade(&mut self, status: &str) -> Onwards {
        info!(program = %self.program.path().display(), "upgrading");
        let examined = match self.examine(status).await {
            Ok(examined) => examined,
            Err(onwards) => return onwards,
        };
        if let Err(unsound) = examined {
            self.goes_on(&unsound.to_string());
            return Onwards::Serve;
        }
        self.manager.reloading("upgrading");
        // What comes from now on is the next program's: a signal waits, and is not lost on the way.
        handled_signals().thread_block().ok();
        let onwards = self.hand_over().await;
        handled_signals().thread_unblock().ok();
        if onwards == Onwards::Serve {
            self.manager.ready(status);
        }
        onwards
    }

    /// Whether the next program is sound, if the server is not told to stop before that is known.
    async fn examine(&mut self, status: &str) -> Result<Result<(), Unsound>, Onwards> {
        let record = match self.question() {
            Ok(record) => record,
            Err(error) => return Ok(Err(error.into())),
        };
        let program = self.program.clone();
        let mut examined = std::pin::pin!(examine(&program, &record));
        loop {
            tokio::select! {
                examined = &mut examined => return Ok(examined),
                received = self.signals.next() => match received {
                    Received::Stop => return Err(Onwards::Stop),
                    Received::Reload => self.reload(status),
                    // It is under way.
                    Received::Upgrade => {}
                }
            }
        }
    }

    /// Lets go of everything, and becomes the next program. Returns with everything taken back if that cannot be.
    async fn hand_over(&mut self) -> Onwards {
        let suspended = self.running.suspend().await;
        // What came before signals were held back is on its way through the runtime.
        while let Ok(received) = time::timeout(UNDER_WAY, self.signals.next()).await {
            if received == Received::Stop {
                // What was cut off has to end, too.
                self.running.resume(suspended.ok());
                return Onwards::Stop;
            }
        }
        let (error, suspended) = match suspended {
            Ok(suspended) => (self.execute(&suspended), Some(suspended)),
            Err(error) => (error, None),
        };
        self.running.resume(suspended);
        self.goes_on(&error.to_string());
        Onwards::Serve
    }

    /// Why it is still this program.
    fn execute(&self, suspended: &Suspended) -> HandoverError {
        let packed = || {
            let mut packing = Packing::new().map_err(HandoverError::Memory)?;
            let state = suspended.write(&mut packing)?;
            let parcel = packing.finish();
            let record = self.record()?.with_jobs(state, parcel.descriptors());
            Ok::<_, HandoverError>((record, parcel))
        };
        let (record, parcel) = match packed() {
            Ok(packed) => packed,
            Err(error) => return error,
        };
        let mut descriptors: Vec<_> = parcel.descriptors().collect();
        for listener in self.running.listeners() {
            let (socket, lock) = listener.descriptors();
            descriptors.extend([Some(socket), lock].into_iter().flatten());
        }
        self.log.settle();
        become_successor(&self.program, &record, &descriptors)
    }

    /// What the next program is asked about before anything is let go of: what there is now, with jobs such as there may be.
    fn question(&self) -> Result<Record, HandoverError> {
        Ok(self.record()?.with_jobs(job::sample()?, iter::empty()))
    }

    fn record(&self) -> Result<Record, HandoverError> {
        let record_of = |listener: &Arc<Listener>| -> Result<ListenerRecord, HandoverError> {
            let endpoint = listener.endpoint().map_err(HandoverError::Memory)?;
            Ok(listener_record(&listener.origin, &endpoint, listener.descriptors()))
        };
        let listeners = self.running.listeners().iter().map(record_of).collect::<Result<_, _>>()?;
        let upgrades = self.upgrades.saturating_add(1);
        Ok(Record::new(self.program.path(), self.signals.ends_with_terminal(), upgrades, listeners))
    }

    /// The server stays what it is.
    fn goes_on(&mut self, reason: &str) {
        let program = self.program.path().display();
        error!(%program, reason, "not upgraded; this server goes on");
        let reason = format!("{program}: {reason}");
        if let Some(Err(error)) = self.presence.as_mut().map(|presence| presence.upgrade_failed(reason)) {
            info!(%error, "`server upgrade` will not learn of it");
        }
    }
}
