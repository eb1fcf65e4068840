//! What every connection of a server shares: who it runs commands as, who may come in, what runs, and what may be held.

use std::sync::{Arc, PoisonError, RwLock};

use common::limits;
use common::stream::Budget;
use common::tls::ServerTls;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::audit::{Audit, AuditError, Event};
use crate::config::Config;
use crate::gate::Gate;
use crate::handover::HandedJobs;
use crate::job::Registry;
use crate::login::Door;
use crate::process::Containment;
use crate::sessions::Sessions;

/// What the windows of all connections may hold together, beyond each stream's initial one.
const WINDOWS: u64 = 512 * 1024 * 1024;

/// The state of a server that its connections share.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) door: Door,
    /// How it proves to be this server; a server without TCP does not.
    pub(crate) tls: Option<ServerTls>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) sessions: Sessions,
    pub(crate) containment: Arc<Containment>,
    pub(crate) registry: Registry,
    pub(crate) budget: Budget,
    live: RwLock<Arc<Live>>,
    /// The server is stopping.
    pub(crate) stopping: CancellationToken,
    /// Another program takes its place.
    pub(crate) handing_over: HandingOver,
}

/// Whether another program is about to take the place of this one. It may turn out that it cannot.
#[derive(Debug, Default)]
pub(crate) struct HandingOver(watch::Sender<bool>);

impl HandingOver {
    /// From now on. Whoever is connected lets go of the connection at once, and says nothing: to the other end the line is
    /// lost, so that it comes again.
    pub(crate) fn begin(&self) {
        self.0.send_replace(true);
    }

    /// It could not be.
    pub(crate) fn give_up(&self) {
        self.0.send_replace(false);
    }

    /// Waits until it begins.
    pub(crate) async fn begun(&self) {
        // The sender is here, so it does not fail.
        self.0.subscribe().wait_for(|begun| *begun).await.ok();
    }
}

/// What can be changed while the server runs.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) config: Config,
    pub(crate) audit: Audit,
}

impl Live {
    /// These settings, with the audit trail that they ask for.
    ///
    /// # Errors
    /// [`AuditError`] if the trail cannot be opened.
    pub(crate) fn open(config: Config) -> Result<Self, AuditError> {
        let audit = Audit::open(&config.audit)?;
        Ok(Self { config, audit })
    }
}

impl Service {
    /// A service with nothing running.
    pub(crate) fn new(live: Live, door: Door, tls: Option<ServerTls>) -> Self {
        Self {
            door,
            tls,
            gate: Gate::new(live.config.admission()),
            sessions: Sessions::default(),
            containment: Containment::of_server(),
            registry: Registry::default(),
            budget: Budget::new(WINDOWS),
            live: RwLock::new(Arc::new(live)),
            stopping: CancellationToken::new(),
            handing_over: HandingOver::default(),
        }
    }

    /// The settings that hold now.
    pub(crate) fn live(&self) -> Arc<Live> {
        Arc::clone(&self.live.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Records what has happened. If that fails the log says so; what is about to happen asks
    /// [`Audit::admit`](crate::audit::Audit::admit) instead.
    pub(crate) fn record(&self, event: &Event<'_>) {
        self.live().audit.record(event);
    }

    /// The jobs, for the program that takes over; none are handed over yet, so those that are left have ended.
    pub(crate) fn give_jobs(&self) -> HandedJobs {
        HandedJobs::default()
    }

    /// Goes on with the jobs of the program before, or with those that nobody has taken over.
    pub(crate) fn take_jobs(&self, jobs: HandedJobs) {
        drop(jobs);
    }

    /// Goes by other settings from now on; what concerns addresses and files needs another server.
    pub(crate) fn go_by(&self, live: Live) {
        self.gate.set_limits(live.config.admission());
        *self.live.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(live);
    }

    /// Takes and gives back what no connection can do without. Does not return if somebody never gives it back.
    pub(crate) fn pulse(&self) {
        drop(self.live());
        self.gate.pulse();
        self.sessions.pulse();
    }

    /// The share of one connection.
    pub(crate) fn connection_budget(&self) -> Budget {
        self.budget.child(limits::CONNECTION_WINDOW)
    }
}
