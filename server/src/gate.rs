//! The rules of admission, applied: connections that were accepted enter here, and say how they ended.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::admission::{Admission, AdmissionRefusal, ConnectionId, Decision, Ending, Limits, Origin};

/// Strangers that broke the protocol of whom the log tells in one [`PERIOD`]; whoever finds the port can be many.
const TOLD: u32 = 10;

/// See [`TOLD`].
const PERIOD: Duration = Duration::from_secs(10);

/// Where connections enter.
#[derive(Debug)]
pub(crate) struct Gate {
    state: Mutex<State>,
    /// Somebody has authenticated, or is gone.
    fewer: Notify,
}

#[derive(Debug)]
struct State {
    admission: Admission,
    /// Who has not authenticated yet, and can be told to go.
    waiting: HashMap<ConnectionId, CancellationToken>,
    /// How many strangers were told of, and since when.
    told: (u32, Instant),
}

/// A connection that has entered. Dropped without a word it counts as ended by our own doing.
#[derive(Debug)]
pub(crate) struct Visitor {
    gate: Arc<Gate>,
    id: ConnectionId,
    /// Cancelled when it has to make room for somebody else.
    pub(crate) evicted: CancellationToken,
    /// Somebody makes room for it, and has not had the time to go yet.
    pub(crate) displaces: bool,
    ending: Ending,
}

impl Gate {
    /// A gate that nobody has come to.
    pub(crate) fn new(limits: Limits) -> Arc<Self> {
        let state =
            State { admission: Admission::new(limits), waiting: HashMap::new(), told: (0, Instant::now()) };
        Arc::new(Self { state: Mutex::new(state), fewer: Notify::new() })
    }

    /// Lets somebody in who has come over the network (`exempt`: from an address that is never penalised), or over a
    /// Unix socket.
    ///
    /// # Errors
    /// The [`AdmissionRefusal`], if there is no place.
    pub(crate) fn enter(
        self: &Arc<Self>,
        address: Option<IpAddr>,
        exempt: bool,
    ) -> Result<Visitor, AdmissionRefusal> {
        let origin = address.map_or(Origin::Local, |address| Origin::network(address, exempt));
        let mut state = self.lock();
        match state.admission.arrive(origin, Instant::now()) {
            Decision::Refused(refusal) => Err(refusal),
            Decision::Admitted { id, evicted } => {
                let displaced = evicted.and_then(|evicted| state.waiting.remove(&evicted));
                if let Some(token) = &displaced {
                    token.cancel();
                }
                let evicted = CancellationToken::new();
                state.waiting.insert(id, evicted.clone());
                Ok(Visitor {
                    gate: Arc::clone(self),
                    id,
                    evicted,
                    displaces: displaced.is_some(),
                    ending: Ending::OurFault,
                })
            }
        }
    }

    /// Waits until everybody has authenticated, or is gone.
    pub(crate) async fn clear(&self) {
        loop {
            let fewer = self.fewer.notified();
            if self.lock().waiting.is_empty() {
                return;
            }
            fewer.await;
        }
    }

    /// Sends everybody away who has not authenticated.
    pub(crate) fn evict_all(&self) {
        for evicted in self.lock().waiting.values() {
            evicted.cancel();
        }
    }

    /// Whether one more stranger may be told of.
    pub(crate) fn may_tell(&self) -> bool {
        let mut state = self.lock();
        let (told, since) = &mut state.told;
        if since.elapsed() >= PERIOD {
            (*told, *since) = (0, Instant::now());
        }
        *told += 1;
        *told <= TOLD
    }

    /// Says in the log how many were turned away, if there is something to say.
    pub(crate) fn report(&self) {
        if let Some(summary) = self.lock().admission.report(Instant::now()) {
            warn!(%summary, "turned connections away");
        }
    }

    /// Changes the limits for those who come from now on.
    pub(crate) fn set_limits(&self, limits: Limits) {
        self.lock().admission.set_limits(limits);
    }

    /// See [`Service::pulse`](crate::service::Service::pulse).
    pub(crate) fn pulse(&self) {
        drop(self.lock());
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Visitor {
    /// It has authenticated; whether it is still here to do so.
    pub(crate) fn authenticated(&mut self) -> bool {
        self.ending = Ending::Authenticated;
        let mut state = self.gate.lock();
        state.waiting.remove(&self.id);
        self.gate.fewer.notify_waiters();
        state.admission.authenticated(self.id)
    }

    /// Its number in the life of this server.
    pub(crate) fn id(&self) -> ConnectionId {
        self.id
    }

    /// How it ends, when it does.
    pub(crate) fn ends(&mut self, ending: Ending) {
        self.ending = ending;
    }
}

impl Drop for Visitor {
    fn drop(&mut self) {
        let mut state = self.gate.lock();
        state.waiting.remove(&self.id);
        self.gate.fewer.notify_waiters();
        state.admission.ended(self.id, self.ending, Instant::now());
    }
}
