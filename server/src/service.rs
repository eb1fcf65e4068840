//! What every connection of a server shares: who it runs commands as, who may come in, what runs, and what may be held.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use common::keys::Trust;
use common::limits;
use common::stream::Budget;
use common::tls::ServerTls;
use tokio::sync::watch;
use tokio::time;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::audit::{Audit, AuditError, Event};
use crate::config::Config;
use crate::gate::Gate;
use crate::handover::{HandedJobs, HandoverError};
use crate::job::{self, Handed, Paused, Registry, Spools};
use crate::login::Door;
use crate::parcel::Unpacking;
use crate::pause::Pause;
use crate::process::Containment;
use crate::sessions::Sessions;
use crate::supervised::Supervised;

/// What the windows of all connections may hold together, beyond each stream's initial one.
const WINDOWS: u64 = 512 * 1024 * 1024;

/// How long jobs may take to stand still. They do at once, unless a disk holds them up.
const STILL: Duration = Duration::from_secs(3);

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
    /// The tasks of all jobs, whoever started them.
    pub(crate) jobs: TaskTracker,
    pub(crate) budget: Budget,
    /// Jobs that outlive it; `None` if it can have none.
    pub(crate) supervised: Option<Supervised>,
    /// Where output goes that nobody takes; a server without files has no such place.
    pub(crate) spools: Option<Spools>,
    live: RwLock<Arc<Live>>,
    /// Whether it serves one job, and servers are its clients.
    pub(crate) is_supervisor: bool,
    /// The server is stopping.
    pub(crate) stopping: CancellationToken,
    /// Another program takes its place.
    pub(crate) handing_over: HandingOver,
    /// What is under way is cut off.
    pub(crate) pause: Pause,
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

/// What the program before this one has left.
#[derive(Debug)]
pub(crate) struct Left(Option<(Handed, Unpacking)>);

impl Left {
    /// Has `service` know its jobs. Those that were under way are to be [resumed](Service::resume).
    pub(crate) fn take(self, service: &Service) -> Vec<Paused> {
        self.0.map_or_else(Vec::new, |(handed, mut unpacking)| handed.take(service, &mut unpacking))
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
        Self::contained(live, door, tls, Containment::of_server())
    }

    fn contained(live: Live, door: Door, tls: Option<ServerTls>, containment: Arc<Containment>) -> Self {
        Self {
            door,
            tls,
            gate: Gate::new(live.config.admission()),
            sessions: Sessions::default(),
            containment,
            registry: Registry::default(),
            jobs: TaskTracker::new(),
            budget: Budget::new(WINDOWS),
            spools: live.config.spool_directory().map(Spools::new),
            live: RwLock::new(Arc::new(live)),
            is_supervisor: false,
            supervised: None,
            stopping: CancellationToken::new(),
            handing_over: HandingOver::default(),
            pause: Pause::default(),
        }
    }

    /// A service of the supervisor of one job: nobody comes to it over TCP, and it has no files.
    pub(crate) fn of_supervisor(live: Live, has_cgroups: bool) -> Self {
        let door = Door::new(&live.config.paths, &Trust::current());
        let containment = Containment::of_supervisor(has_cgroups);
        Self { is_supervisor: true, ..Self::contained(live, door, None, containment) }
    }

    /// A service that runs no processes.
    #[cfg(test)]
    pub(crate) fn of_histories() -> Self {
        let live = Live::open(Config::without_files()).unwrap();
        let door = Door::new(&live.config.paths, &Trust::current());
        Self::contained(live, door, None, Containment::by_sweep(false))
    }

    /// A service like this one, with nothing running.
    #[cfg(test)]
    pub(crate) fn anew(&self, is_supervisor: bool, supervised: Option<Supervised>) -> Self {
        let live = Live::open(self.live().config.clone()).unwrap();
        let service = Self::contained(live, self.door.clone(), None, Arc::clone(&self.containment));
        Self { is_supervisor, supervised, ..service }
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

    /// A service that goes on with what the program before this one has left; its jobs are to be [taken](Left::take).
    ///
    /// # Errors
    /// [`HandoverError`] if it cannot be understood what they are.
    pub(crate) fn going_on(
        live: Live,
        door: Door,
        tls: Option<ServerTls>,
        jobs: HandedJobs,
    ) -> Result<(Self, Left), HandoverError> {
        let HandedJobs { state, descriptors } = jobs;
        let Some(mut handed) = Handed::read(&state)? else {
            return Ok((Self::new(live, door, tls), Left(None)));
        };
        let mut unpacking = Unpacking::new(descriptors);
        let containment = handed.containment(&mut unpacking).map_err(HandoverError::Memory)?;
        Ok((Self::contained(live, door, tls, containment), Left(Some((handed, unpacking)))))
    }

    /// Cuts off everything that is under way.
    ///
    /// # Errors
    /// [`HandoverError::Jobs`] if something does not stand still soon; then it all goes on.
    pub(crate) async fn cut_off(self: &Arc<Self>) -> Result<Vec<Paused>, HandoverError> {
        self.pause.begin();
        self.jobs.close();
        let still = time::timeout(STILL, self.jobs.wait()).await;
        let moving = self.jobs.len();
        self.jobs.reopen();
        let cut_off = self.pause.end();
        if still.is_err() {
            self.resume(cut_off);
            return Err(HandoverError::Jobs(moving));
        }
        Ok(cut_off)
    }

    /// Goes on with what was cut off.
    pub(crate) fn resume(self: &Arc<Self>, cut_off: Vec<Paused>) {
        cut_off.into_iter().for_each(|job| job::resume(self, job));
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
