//! What every connection of a server shares: who it runs commands as, who may come in, what runs, and what may be held.

use std::sync::{Arc, PoisonError, RwLock};

use common::limits;
use common::stream::Budget;
use common::tls::ServerTls;
use tokio_util::sync::CancellationToken;

use crate::audit::{Audit, AuditError, Event};
use crate::config::Config;
use crate::gate::Gate;
use crate::job::Registry;
use crate::login::Door;
use crate::process::ProcessTable;
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
    pub(crate) process_table: ProcessTable,
    pub(crate) registry: Registry,
    pub(crate) budget: Budget,
    live: RwLock<Arc<Live>>,
    /// The server is stopping.
    pub(crate) stopping: CancellationToken,
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
            process_table: ProcessTable::default(),
            registry: Registry::default(),
            budget: Budget::new(WINDOWS),
            live: RwLock::new(Arc::new(live)),
            stopping: CancellationToken::new(),
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
