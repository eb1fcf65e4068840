//! Jobs that outlive the server: each has a supervisor, a process of its own, which keeps its output on the disk.
//!
//! ```text
//!   client ◄── TLS ──► connection ◄── relay ──► Unix socket ◄──► supervisor ◄── pipes ──► command
//!                                                                   │
//!                                                                   └──► store: intent, logs, end
//! ```
//!
//! - [`launch`]: how a [supervisor](crate::supervisor) is started
//! - [`relay`]: how a client's connection reaches it
//! - [`listing`]: what is said of all of them
//! - [`full_disk`]: what the log says when their output has no room
//! - [`turns`]: who may start a job when several want to
//! - [`watch`]: what the server does about them that nobody has asked for
//! - [`Supervised`]: what the server knows of such jobs, which is what the store says
//!
//! The server holds no truth about them: it can be killed, and the next one finds everything where it was.

mod full_disk;
mod launch;
mod listing;
mod relay;
#[cfg(test)]
mod staged;
mod turns;
mod watch;

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use common::job::{Extras, JobId};
use common::message::{Refusal, Start};
use common::reason::system_reason;
use rustix::fs::{Mode, OFlags, open};
use thiserror::Error;
use tokio::net::UnixStream;
use tokio::time::{self, Instant};
use tracing::{info, warn};

pub(crate) use full_disk::watch_disk;
pub(crate) use launch::{CGROUPS, Gone, NONE_KEPT, socket_in};
#[cfg(not(test))]
use launch::{Raised, raise};
pub(crate) use relay::{Relay, RelayEnd, Relayed};
#[cfg(test)]
use staged::{Raised, raise};
use turns::{Turn, Turns};
use watch::Watched;
pub(crate) use watch::tend;

use crate::authorize::Owner;
use crate::background::aside;
use crate::crash_point::{CrashPoint, reach};
use crate::job::{Job, Log, Outlet};
use crate::process::{Containment, Remains, end_remains, ticks_at};
use crate::scope::Scope;
use crate::service::Service;
use crate::store::{
    self, Bound, Creation, Custody, Intent, LogStream, Recovered, Request, State, Store, StoreError,
    Timestamp,
};

/// Name and version that greetings between server and supervisor carry.
const SOFTWARE: &str = concat!("telex-server/", env!("CARGO_PKG_VERSION"));

/// What the supervisor's socket is called in the directory of its job.
pub(crate) const SOCKET: &str = "socket";

/// How long a supervisor may take to be reached. One that hangs must not hold up those that do not.
const REACH: Duration = Duration::from_secs(2);

/// Between two attempts at a supervisor that is just starting or ending.
const REACH_PAUSE: Duration = Duration::from_millis(10);

/// How much of a start may be spent on looking at jobs of before.
const RECOVERY: Duration = Duration::from_secs(2);

/// How long what a killed supervisor has left may take to end. What is stuck in the kernel takes longer, and keeps nobody.
const REMAINS: Duration = Duration::from_secs(5);

/// Jobs of before that are looked at when a server starts; the others are when somebody asks for them.
const ENTRIES: usize = 16 * 1024;

/// The jobs of a server that outlive it.
#[derive(Debug, Clone)]
pub(crate) struct Supervised {
    store: Arc<Store>,
    containment: Arc<Containment>,
    watched: Arc<Watched>,
    turns: Arc<Turns>,
    /// What was there when the server began, until it is seen to.
    before: Arc<Mutex<Option<Recovered>>>,
}

/// A job that was found.
#[derive(Debug)]
pub(crate) enum Found {
    /// One whose supervisor can be spoken to.
    Alive {
        /// With the supervisor.
        stream: UnixStream,
        /// Whose the job is.
        owner: Owner,
        /// Its whole id.
        id: JobId,
    },
    /// One that is here: it is over, and this is what is left of it; or it is this server's own.
    Here(Arc<Job>),
}

/// What became of the wish to start a job.
pub(crate) enum Launched {
    /// It is new: its supervisor, and the end of that.
    New(UnixStream, Gone),
    /// It was started before.
    Before(Found),
}

/// Why a job cannot be had.
#[derive(Debug, Error)]
pub(crate) enum SupervisedError {
    /// The store's reason.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The supervisor cannot be started.
    #[error("cannot start a supervisor: {}", system_reason(.0))]
    Launch(io::Error),
    /// The supervisor lives, and cannot be reached.
    #[error("its supervisor does not answer: {}", system_reason(.0))]
    Unreachable(io::Error),
}

impl Supervised {
    /// The jobs in `directory`. What cannot be read is set aside and said. Those whose supervisor is gone are seen to by [`tend`].
    ///
    /// # Errors
    /// [`StoreError`] if the directory cannot be used.
    pub(crate) fn open(directory: &Path, containment: Arc<Containment>) -> Result<Self, StoreError> {
        let store = Store::open(directory, Timestamp::now())?;
        let bound = Bound { entries: ENTRIES, until: std::time::Instant::now() + RECOVERY };
        let recovered = store.recover(Timestamp::now(), bound)?;
        for problem in &recovered.problems {
            warn!(error = %problem, "a job cannot be read");
        }
        let running = recovered.jobs.iter().filter(|job| matches!(job.state, State::Running { .. })).count();
        if !recovered.jobs.is_empty() {
            info!(jobs = recovered.jobs.len(), running, "jobs of before");
        }
        let (store, before) = (Arc::new(store), Arc::new(Mutex::new(Some(recovered))));
        Ok(Self { store, containment, watched: Arc::default(), turns: Arc::default(), before })
    }

    /// Starts the job that `start` asks for, which was not [`known`](Self::known), unless it was made since then.
    ///
    /// # Errors
    /// [`SupervisedError`]; it has not run then.
    pub(crate) async fn start(
        &self,
        owner: Owner,
        (start, extras): (&Start, &Extras),
        keeps: bool,
    ) -> Result<Launched, SupervisedError> {
        let (store, request) = (Arc::clone(&self.store), start.clone());
        let place = store.place(&owner, &start.id);
        let creating = self.on_disk(move || {
            let Start { id, digest, spec, age_ms, .. } = &request;
            let now = Timestamp::now();
            // What is said for the first time has not run, whatever the calendar was set to meanwhile.
            let first_sent = if *age_ms == 0 { u64::MAX } else { now.0.saturating_sub(*age_ms) };
            let first_sent = Timestamp(first_sent);
            store.create(Request { owner, id, digest: *digest, spec, first_sent }, now)
        });
        // It gets ready while the disk does its part, which is begun first.
        let raising = async {
            let raised = raise(&place, (start, extras), keeps, &self.containment);
            reach(CrashPoint::SupervisorSpawned);
            raised
        };
        let (created, raised) = tokio::join!(biased; creating, raising);
        let raised = raised.map_err(SupervisedError::Launch)?;
        let (creation, gone) = match created {
            Ok(created) => created,
            Err(error) => {
                raised.dismiss().await;
                return Err(error);
            }
        };
        for gone in gone {
            info!(job = %gone.id, record = gone.record, "output removed to make room");
        }
        match creation {
            Creation::New(custody) => self.begin(raised, custody).await,
            Creation::Existing(job) => {
                raised.dismiss().await;
                self.reach(job).await.map(Launched::Before)
            }
        }
    }

    async fn begin(&self, raised: Raised, custody: Custody) -> Result<Launched, SupervisedError> {
        reach(CrashPoint::IntentWritten);
        let charged = match raised.charge(&custody) {
            Ok(charged) => charged,
            Err((raised, error)) => {
                raised.dismiss().await;
                return Err(SupervisedError::Launch(error));
            }
        };
        // From here on the lock is the supervisor's alone.
        drop(custody);
        reach(CrashPoint::LockGiven);
        let store = Arc::clone(&self.store);
        if let Err(error) = self.on_disk(move || store.persist()).await {
            charged.dismiss().await;
            return Err(error);
        }
        reach(CrashPoint::IntentDurable);
        let (stream, gone) = charged.permit();
        reach(CrashPoint::Permitted);
        Ok(Launched::New(stream, gone))
    }

    /// Waits until no other start of the job that `owner` calls `id` is under way here.
    pub(crate) async fn turn(&self, owner: Owner, id: &JobId) -> Turn {
        self.turns.take(owner, id).await
    }

    /// The job of `owner` that the same request has made before; `None` if there is none with this id.
    ///
    /// # Errors
    /// [`SupervisedError`] if that cannot be found out, or another request has made it: nothing may be started then.
    pub(crate) async fn known(
        &self,
        owner: Owner,
        start: &Start,
    ) -> Result<Option<store::Job>, SupervisedError> {
        let (store, id, digest) = (Arc::clone(&self.store), start.id.clone(), start.digest);
        match self.on_disk(move || store.find_same(&owner, &id, &digest)).await {
            Ok(job) => Ok(Some(job)),
            Err(SupervisedError::Store(StoreError::Unknown)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Finds the job in `scope` with this id, or the only one whose id begins so.
    ///
    /// # Errors
    /// [`SupervisedError`].
    pub(crate) async fn find(&self, scope: Scope, reference: &JobId) -> Result<Found, SupervisedError> {
        let job = self.look_up(scope, reference).await?;
        self.reach(job).await
    }

    /// The record of the job in `scope` with this id, or of the only one whose id begins so.
    ///
    /// # Errors
    /// [`SupervisedError`].
    pub(crate) async fn look_up(
        &self,
        scope: Scope,
        reference: &JobId,
    ) -> Result<store::Job, SupervisedError> {
        let (store, reference) = (Arc::clone(&self.store), reference.as_str().to_owned());
        self.on_disk(move || store.find_by_prefix(scope, &reference)).await
    }

    /// Its supervisor, or what is left of it. One whose supervisor holds it and cannot be spoken to is just starting or ending, most
    /// likely: it is looked at again.
    ///
    /// # Errors
    /// [`SupervisedError`].
    pub(crate) async fn reach(&self, mut job: store::Job) -> Result<Found, SupervisedError> {
        let until = Instant::now() + REACH;
        loop {
            let (looked_at, state) = self
                .on_disk(move || {
                    let state = settle(&job)?;
                    Ok((job, state))
                })
                .await?;
            job = looked_at;
            match state {
                State::Running { .. } => match connect(job.path()).await {
                    Ok(stream) => {
                        let Intent { owner, id, .. } = job.intent().clone();
                        return Ok(Found::Alive { stream, owner, id });
                    }
                    Err(error) if Instant::now() >= until => return Err(SupervisedError::Unreachable(error)),
                    Err(_) => time::sleep(REACH_PAUSE).await,
                },
                State::Ended(end) => return self.over(job, end).await,
                State::NeverBegan | State::Unknown { .. } => {
                    let unknown = io::Error::other("nobody knows what became of it");
                    return Err(SupervisedError::Unreachable(unknown));
                }
            }
        }
    }

    async fn over(&self, job: store::Job, end: store::End) -> Result<Found, SupervisedError> {
        let job = self.on_disk(move || finished(&job, end)).await?;
        Ok(Found::Here(Arc::new(job)))
    }

    /// Forgets a job that is over.
    ///
    /// # Errors
    /// [`SupervisedError`].
    pub(crate) async fn forget(
        &self,
        service: &Arc<Service>,
        job: store::Job,
    ) -> Result<(), SupervisedError> {
        let (store, service) = (Arc::clone(&self.store), Arc::clone(service));
        self.on_disk(move || {
            if matches!(settle(&job)?, State::Running { .. }) {
                return Err(StoreError::Running);
            }
            let Intent { owner, id, .. } = job.intent();
            // Nobody could any more.
            job.tell_end(|end| watch::record(&service, None, *owner, id, end))?;
            store.forget(owner, id)?;
            reach(CrashPoint::Forgotten);
            Ok(())
        })
        .await
    }

    async fn on_disk<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, SupervisedError> {
        match aside("store", work).await {
            Ok(done) => Ok(done?),
            Err(error) => Err(SupervisedError::Launch(error)),
        }
    }
}

impl SupervisedError {
    /// Whether it may be that the job has run before.
    pub(crate) fn leaves_doubt(&self) -> bool {
        use StoreError::{Damaged, Forgotten, Newer};
        matches!(self, Self::Store(Forgotten { .. } | Damaged { .. } | Newer { .. }) | Self::Unreachable(_))
    }

    /// What the client is told.
    pub(crate) fn refusal(&self) -> Refusal {
        match self {
            Self::Store(StoreError::Unknown) => Refusal::Unknown,
            Self::Store(StoreError::Conflict { .. }) => Refusal::Conflict,
            Self::Store(StoreError::Running) => Refusal::Running,
            Self::Store(StoreError::Ambiguous { count }) => {
                Refusal::Ambiguous { jobs: u32::try_from(*count).unwrap_or(u32::MAX) }
            }
            error => Refusal::Unavailable(error.said()),
        }
    }

    /// What is wrong, with what to do where the client cannot know.
    pub(crate) fn said(&self) -> String {
        match self {
            Self::Store(error) if error.is_set_aside() => format!(
                "{error}; what is left of the job is there, on the server: ask whoever runs it; once that directory is removed, \
                 the id can be used again"
            ),
            Self::Store(StoreError::Damaged { .. }) => {
                format!("{self}; what is left of the job is beside that, on the server: ask whoever runs it")
            }
            error => error.to_string(),
        }
    }
}

/// A connection to the supervisor of the job in `directory`.
async fn connect(directory: &Path) -> io::Result<UnixStream> {
    let directory = open(directory, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let connecting = UnixStream::connect(socket_in(&directory));
    time::timeout(REACH, connecting).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// What is true of a job now. If its supervisor was killed, what it has left is ended before that is written down.
fn settle(job: &store::Job) -> Result<State, StoreError> {
    if let State::Unknown { started, restarted: false, over: false } = job.state()? {
        let Intent { id, created, .. } = job.intent();
        let leader = started.filter(|started| started.process_start != 0);
        let remains = Remains {
            id: id.clone(),
            leader: leader.map(|started| (started.process_id, started.process_start)),
            cgroup: job.cgroup(),
            since: leader.map_or_else(|| ticks_at(earlier(*created)), |started| started.process_start),
        };
        warn!(job = %id, "its supervisor was killed: what it has left is ended");
        if !end_remains(&[remains], REMAINS) {
            warn!(job = %id, "something of it does not end");
        }
    }
    job.settle(Timestamp::now())
}

/// The calendar and the system's ticks agree to a few seconds.
fn earlier(created: Timestamp) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(created.0).saturating_sub(Duration::from_secs(3))
}

/// A job that is over, with its output.
fn finished(job: &store::Job, end: store::End) -> Result<Job, StoreError> {
    let outlet = |stream: LogStream| {
        let total = end.ended.total(stream.into());
        Ok::<_, StoreError>(Outlet::Log(Log::finished(stream, job.log(stream)?, total)?))
    };
    let outlets = [outlet(LogStream::Stdout)?, outlet(LogStream::Stderr)?];
    let intent = job.intent();
    let process_id = end.started.map(|started| started.process_id);
    Ok(Job::finished(intent.owner, intent.id.clone(), intent.digest, end.ended, process_id, outlets))
}
