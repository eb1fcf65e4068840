//! The server: listeners, the accept loop, and the end of everything.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use common::endpoint::Endpoint;
use common::keys::Trust;
use tokio::{task, time};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{Instrument, info, info_span, warn};

use crate::audit::{Event, ServerChange};
use crate::background::aside;
use crate::config::Config;
use crate::connection::{self, Arrival};
use crate::error::StartError;
use crate::handover::{HandedJobs, HandoverError};
use crate::host_key;
use crate::job::{self, HandingError, Paused};
use crate::listener::{Accepted, Adopted, Listener};
use crate::login::Door;
use crate::parcel::Packing;
use crate::process::{Containment, LeftJournal, end_remains};
use crate::service::{Live, Service};
use crate::supervised::{self, Supervised};

/// Pause after a failed accept: without it, a server that has run out of descriptors would spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long connections may take to end once the server stops. Jobs need 8 s, unless the kernel does not let go of a
/// killed process.
const STOP_TIMEOUT: Duration = Duration::from_millis(9_500);

/// How long a server that is handed over waits for those who are about to log in. A login takes milliseconds; who takes
/// longer keeps others waiting.
const LOGINS_TIMEOUT: Duration = Duration::from_secs(1);

/// How long connections may take then. They let go at once, unless a disk holds one up.
const LETTING_GO_TIMEOUT: Duration = Duration::from_secs(5);

/// Where servers note which jobs they run, in the directory of their state.
const RUNNING: &str = "running";

/// How long what a killed server has left may take to end. What is stuck in the kernel takes longer.
const REMAINS: Duration = Duration::from_secs(10);

/// How often the log may say that connections were turned away.
const REPORT: Duration = Duration::from_secs(1);

/// A server with its listeners bound.
///
/// [`Server::run`] and [`Running::stop`] return when every task has ended that was started, or has been given up after 9.5 s.
#[derive(Debug)]
pub struct Server {
    listeners: Vec<Listener>,
    service: Arc<Service>,
    /// What the program before has left under way.
    cut_off: Vec<Paused>,
}

/// A server that stands still: nobody is connected, and what was under way is cut off.
#[derive(Debug)]
pub(crate) struct Suspended {
    service: Arc<Service>,
    cut_off: Vec<Paused>,
}

impl Suspended {
    /// What the jobs say of themselves, for the next program; what goes along with it is put into `packing`.
    ///
    /// # Errors
    /// [`HandoverError`]; nothing is changed in any case.
    pub(crate) fn write<'a>(&'a self, packing: &mut Packing<'a>) -> Result<Vec<u8>, HandoverError> {
        job::hand_over(&self.service, &self.cut_off, packing).map_err(|error| match error {
            HandingError::Record(error) => error.into(),
            HandingError::System(error) => HandoverError::Memory(error),
        })
    }
}

impl Server {
    /// Binds what `config` names, and makes the host key if there is none.
    ///
    /// # Errors
    /// [`StartError`]; nothing stays bound then.
    pub async fn bind(config: Config) -> Result<Self, StartError> {
        Self::open(config, Vec::new(), HandedJobs::default()).await
    }

    /// The same, going on with listeners that were bound before, and with the jobs of the program before this one.
    ///
    /// # Errors
    /// [`StartError`]; nothing stays bound then.
    pub(crate) async fn open(
        config: Config,
        adopted: Vec<Adopted>,
        jobs: HandedJobs,
    ) -> Result<Self, StartError> {
        let trust = Trust::current();
        let door = Door::new(&config.paths, &trust);
        let tls = host_key::tls(&config.paths.host_key, &trust)?;
        let listeners = Listener::open(&config.listen, adopted, &door).await?;
        let (directory, running) =
            (config.jobs.directory.clone(), config.paths.state_directory.join(RUNNING));
        let (mut service, left) = Service::going_on(Live::open(config)?, door, Some(tls), jobs)?;
        let containment = Arc::clone(&service.containment);
        end_what_was_left(&running, &containment).await;
        let cut_off = left.take(&service);
        service.supervised = match aside("store", move || Supervised::open(&directory, containment)).await? {
            Ok(supervised) => Some(supervised),
            Err(error) => {
                warn!(%error, "no job can outlive this server");
                None
            }
        };
        Ok(Self { listeners, service: Arc::new(service), cut_off })
    }

    /// The addresses it listens on, with the ports that it got.
    ///
    /// # Errors
    /// The system's.
    pub fn endpoints(&self) -> io::Result<Vec<Endpoint>> {
        self.listeners.iter().map(Listener::endpoint).collect()
    }

    /// Its listeners, to be told to others.
    pub(crate) fn listeners(&mut self) -> &mut [Listener] {
        &mut self.listeners
    }

    /// What changes its settings while it runs.
    pub fn settings(&self) -> Settings {
        Settings(Arc::clone(&self.service))
    }

    /// Serves until `stop` is ready; then ends every job and connection, in less than 10 s.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let running = self.start();
        stop.await;
        running.stop().await;
    }

    /// Serves from now on. To be called from inside a runtime.
    pub fn start(self) -> Running {
        let Self { listeners, service, cut_off } = self;
        let watching = TaskTracker::new();
        let watch = watch(Arc::clone(&service));
        watching.spawn(service.stopping.clone().run_until_cancelled_owned(watch));
        let mut running = Running {
            listeners: listeners.into_iter().map(Arc::new).collect(),
            accepting: Accepting::default(),
            watching,
            connections: TaskTracker::new(),
            service,
        };
        running.service.resume(cut_off);
        running.accept();
        running.service.record(&Event::Server(ServerChange::Started));
        running
    }
}

/// A server that serves. Dropped without a word, it goes on.
#[derive(Debug)]
pub struct Running {
    service: Arc<Service>,
    listeners: Vec<Arc<Listener>>,
    accepting: Accepting,
    watching: TaskTracker,
    connections: TaskTracker,
}

/// The tasks that accept connections, until they are told to stop.
#[derive(Debug, Default)]
struct Accepting {
    over: CancellationToken,
    tasks: TaskTracker,
}

impl Running {
    /// What changes its settings.
    pub fn settings(&self) -> Settings {
        Settings(Arc::clone(&self.service))
    }

    /// Ends every job and connection, in less than 10 s, and stops listening.
    pub async fn stop(mut self) {
        info!("stopping");
        self.service.record(&Event::Server(ServerChange::Stopping));
        self.service.stopping.cancel();
        self.accept_no_more().await;
        // Whoever comes now is refused at once, and does not wait for nothing.
        self.listeners.clear();
        self.watching.close();
        self.watching.wait().await;
        self.connections.close();
        self.service.jobs.close();
        let ended = async { tokio::join!(self.connections.wait(), self.service.jobs.wait()) };
        if time::timeout(STOP_TIMEOUT, ended).await.is_err() {
            let (connections, jobs) = (self.connections.len(), self.service.jobs.len());
            warn!(connections, jobs, "some connections and jobs did not end in time");
        }
    }

    /// Its listeners.
    pub(crate) fn listeners(&self) -> &[Arc<Listener>] {
        &self.listeners
    }

    /// Lets go of everybody who is connected, and cuts off what is under way, so that another program can go on: who comes from
    /// now on waits. Takes 9 s at most.
    ///
    /// # Errors
    /// [`HandoverError::Connections`] if some do not end, [`HandoverError::Jobs`] if some cannot be cut off.
    pub(crate) async fn suspend(&self) -> Result<Suspended, HandoverError> {
        self.accept_no_more().await;
        // Those who are about to log in would take it for a server that does not want them.
        time::timeout(LOGINS_TIMEOUT, self.service.gate.clear()).await.ok();
        self.service.gate.evict_all();
        self.service.handing_over.begin();
        self.connections.close();
        let ended = time::timeout(LETTING_GO_TIMEOUT, self.connections.wait()).await;
        ended.map_err(|_| HandoverError::Connections(self.connections.len()))?;
        let cut_off = self.service.cut_off().await?;
        self.service.record(&Event::Server(ServerChange::HandingOver));
        self.service.live().audit.settle();
        Ok(Suspended { service: Arc::clone(&self.service), cut_off })
    }

    /// Goes on as before [`Running::suspend`].
    pub(crate) fn resume(&mut self, suspended: Option<Suspended>) {
        if let Some(Suspended { service, cut_off }) = suspended {
            service.resume(cut_off);
        }
        self.service.handing_over.give_up();
        self.connections.reopen();
        self.accept();
    }

    fn accept(&mut self) {
        self.accepting = Accepting::default();
        for listener in &self.listeners {
            let (listener, over) = (Arc::clone(listener), self.accepting.over.clone());
            let accept = accept(listener, over, Arc::clone(&self.service), self.connections.clone());
            self.accepting.tasks.spawn(accept);
        }
    }

    /// Leaves those who come from now on to wait in the system.
    async fn accept_no_more(&self) {
        self.accepting.over.cancel();
        self.accepting.tasks.close();
        self.accepting.tasks.wait().await;
    }
}

/// Changes the settings of a server that runs.
#[derive(Debug, Clone)]
pub struct Settings(Arc<Service>);

impl Settings {
    /// Has the server go by `config` from now on; addresses, paths and the log's form stay as they were, and the log
    /// says so if they should have changed. The audit trail is opened anew.
    ///
    /// # Errors
    /// [`StartError::Audit`]; everything stays as it was then.
    pub fn change(&self, config: Config) -> Result<(), StartError> {
        let live = Live::open(config)?;
        for setting in live.config.fixed_changes(&self.0.live().config) {
            warn!(setting, "changed in the file; it needs a restart to count");
        }
        self.0.go_by(live);
        self.0.record(&Event::Server(ServerChange::Reloaded));
        Ok(())
    }

    /// Returns at once, unless something in the server is stuck that all connections need.
    pub(crate) fn pulse(&self) {
        self.0.pulse();
    }
}

/// Serves one connection that is open already, until it ends or `stop` is ready. The host key is read or made only if
/// the connection needs one.
///
/// # Errors
/// [`StartError::HostKey`].
pub(crate) async fn serve_one(
    config: Config,
    accepted: Accepted,
    stop: impl Future<Output = ()>,
) -> Result<(), StartError> {
    let trust = Trust::current();
    let door = Door::new(&config.paths, &trust);
    let tls = match accepted {
        Accepted::Unix(..) => None,
        Accepted::Tcp(..) => Some(host_key::tls(&config.paths.host_key, &trust)?),
    };
    let service = Arc::new(Service::new(Live::open(config)?, door, tls));
    let stopping = service.stopping.clone();
    let Some(arrival) = enter(&service, accepted).await else { return Ok(()) };
    let jobs = service.jobs.clone();
    let serving = async {
        connection::serve(Arc::clone(&service), arrival).await;
        // Nobody can come back to a server of one connection.
        stopping.cancel();
        jobs.close();
        jobs.wait().await;
    };
    let mut serving = std::pin::pin!(serving);
    tokio::select! {
        () = &mut serving => return Ok(()),
        () = stop => stopping.cancel(),
        // For ever: a key that is taken back takes this connection along, too.
        () = watch(Arc::clone(&service)) => {}
    }
    if time::timeout(STOP_TIMEOUT, serving).await.is_err() {
        warn!("the connection did not end in time");
    }
    Ok(())
}

/// Ends what servers that were killed have left running, in a thread for which nobody waits; and has the next one do so with
/// what this one leaves.
async fn end_what_was_left(running: &Path, containment: &Arc<Containment>) {
    let (directory, own) = (running.to_owned(), Arc::clone(containment));
    let look = move || {
        let left = LeftJournal::all(&directory);
        own.keep_journal(&directory);
        left
    };
    let left = match aside("running", look).await {
        Ok(Ok(left)) => left,
        Ok(Err(error)) | Err(error) => {
            warn!(path = %running.display(), %error, "what a killed server has left running is left alone");
            return;
        }
    };
    let jobs: Vec<_> = left.iter().flat_map(|journal| &journal.jobs).cloned().collect();
    let containment = Arc::clone(containment);
    let end = move || {
        if !end_remains(&jobs, REMAINS) {
            warn!("something that a killed server has left running does not end");
        }
        left.into_iter().for_each(LeftJournal::remove);
        containment.clean();
        if !jobs.is_empty() {
            info!(jobs = jobs.len(), "ended what a killed server had left running");
        }
    };
    tokio::spawn(async move {
        if let Err(error) = aside("remains", end).await {
            warn!(%error, "what a killed server has left running is left alone");
        }
    });
}

/// What has to be looked at again and again.
async fn watch(service: Arc<Service>) {
    let reports = async {
        loop {
            time::sleep(REPORT).await;
            service.gate.report();
        }
    };
    let supervised = supervised::tend(&service);
    let disk = supervised::watch_disk(&service);
    tokio::join!(
        service.sessions.watch(&service.door.keys),
        reports,
        service.containment.reap_orphans(),
        supervised,
        disk
    );
}

/// Takes connections until it is `over`. Greets nobody itself: one silent peer delays no other.
async fn accept(
    listener: Arc<Listener>,
    over: CancellationToken,
    service: Arc<Service>,
    connections: TaskTracker,
) {
    let mut failing = false;
    // Only the waiting is given up, and never somebody who was accepted.
    while let Some(accepted) = over.run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok(accepted) => {
                failing = false;
                let span = info_span!("connection", peer = %accepted);
                if let Some(arrival) = enter(&service, accepted).await {
                    let serve = connection::serve(Arc::clone(&service), arrival);
                    connections.spawn(serve.instrument(span));
                }
            }
            Err(error) => {
                // Once for a row of failures: there may be ten a second.
                if !std::mem::replace(&mut failing, true) {
                    warn!(%error, "cannot accept connections; trying on");
                }
                over.run_until_cancelled(time::sleep(ACCEPT_PAUSE)).await;
            }
        }
    }
}

/// Brings a connection through the gate, or sends it away.
async fn enter(service: &Service, accepted: Accepted) -> Option<Arrival> {
    let address = accepted.address();
    let exempt = address.is_some_and(|address| service.live().config.limits.is_exempt(address));
    match service.gate.enter(address, exempt) {
        Ok(visitor) => {
            if visitor.displaces {
                // Else a burst of newcomers would be held beside all those who make room for it.
                task::yield_now().await;
            }
            Some(accepted.arrive(visitor))
        }
        Err(refusal) => {
            accepted.turn_away(refusal);
            None
        }
    }
}
