//! The process that stays with one job, whatever becomes of the server: owns its pipes, keeps its output, reaps what it leaves
//! and writes down how it ends.
//!
//! One thread. To whoever connects it is a server that has one job, so clients are relayed to it and nothing is said twice.

use std::env;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, IoSliceMut, Read};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener as StdUnixListener, UnixStream as StdUnixStream};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use common::job::{Ended, Extras};
use common::limits;
use common::message::{self, ClientMessage, Start};
use common::stream::Budget;
use rustix::fs::{Mode, OFlags, open};
use rustix::io::fcntl_dupfd_cloexec;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use rustix::process::setsid;
use tokio::io::AsyncReadExt;
use tokio::net::{UnixListener, UnixStream};
use tokio::runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time;
use tokio_util::task::TaskTracker;

use crate::authorize::Owner;
use crate::config::Config;
use crate::connection;
use crate::crash_point::{CrashPoint, reach};
use crate::job::{self, Job, Log, Outlet, Registered};
use crate::listener::Accepted;
use crate::process::SUPERVISE;
use crate::process::{own_process, started as process_start};
use crate::service::{Live, Service};
use crate::store::{Custody, LogLimits, LogStream, Output, Started, Timestamp};
use crate::supervised::{CGROUPS, NONE_KEPT, SOCKET, socket_in};

/// How long those who are attached at the end may take to hear of it here; then they get the rest from the disk.
const FAREWELL: Duration = Duration::from_secs(2);

/// How soon a disk is tried again that does not take the end of the job, for which room was reserved where a file system can.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// How often before those who are attached are told all the same: they wait no longer than for output that is not taken.
const TRIES_BEFORE: usize = 30;

/// And how often after that, for those who ask later.
const TRIES_AFTER: usize = 3600;

/// How long the directory of its job may take to be written to the disk. A server that is gone is noticed at once.
const MAKING: Duration = Duration::from_secs(600);

/// Pause after a failed accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Whether this process is to be a supervisor.
pub(crate) fn is_wanted(mut arguments: impl Iterator<Item = OsString>) -> bool {
    arguments.nth(1).is_some_and(|word| word == SUPERVISE)
}

/// The whole process.
pub(crate) fn main() -> ExitCode {
    // Nobody reads what it would say; what has gone wrong shows in what is not written down.
    match Duty::take_up().and_then(serve) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// What a supervisor is started with.
struct Duty {
    connection: StdUnixStream,
    /// Where its job will be.
    path: PathBuf,
    start: Start,
    extras: Extras,
    /// Whether the job can have a cgroup.
    has_cgroups: bool,
    /// Whether it may be kept when its client has left.
    keeps: bool,
}

/// A job that it is in charge of.
pub(crate) struct Charge {
    pub(crate) connection: StdUnixStream,
    pub(crate) listener: StdUnixListener,
    pub(crate) custody: Custody,
    pub(crate) start: Start,
    pub(crate) extras: Extras,
}

impl Duty {
    fn take_up() -> io::Result<Self> {
        // Whoever starts it otherwise than the server does.
        setsid().ok();
        let is_said = |setting: &str| env::args_os().skip(3).any(|word| word == setting);
        let (has_cgroups, keeps) = (is_said(CGROUPS), !is_said(NONE_KEPT));
        let path = env::args_os().nth(2).map(PathBuf::from).ok_or(io::ErrorKind::InvalidInput)?;
        let [connection, request] = inherited()?;
        let mut bytes = Vec::new();
        File::from(request).take(limits::REQUEST_PAYLOAD as u64 + 1).read_to_end(&mut bytes)?;
        let (start, extras) = match message::decode(&bytes).map_err(io::Error::other)? {
            ClientMessage::Start(start) => (start, Extras::default()),
            ClientMessage::StartWith { start, extras } => {
                (*start, Extras::try_from(extras).map_err(io::Error::other)?)
            }
            _ => return Err(io::ErrorKind::InvalidData.into()),
        };
        Ok(Self { connection: connection.into(), path, start, extras, has_cgroups, keeps })
    }

    /// Waits for the lock of the job, and is in charge of it. Nothing else is done meanwhile.
    fn take_charge(self) -> io::Result<Charge> {
        let lock = receive_lock(&self.connection)?;
        let custody = Custody::inherit(&self.path, lock).map_err(io::Error::other)?;
        let listener = listen(&self.path)?;
        reach(CrashPoint::Charged);
        Ok(Charge { connection: self.connection, listener, custody, start: self.start, extras: self.extras })
    }
}

/// What `supervised/launch.rs` sends with `Raised::charge`.
fn receive_lock(connection: &StdUnixStream) -> io::Result<OwnedFd> {
    connection.set_read_timeout(Some(MAKING))?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    // One byte, so that nothing of what follows is taken.
    recvmsg(connection, &mut [IoSliceMut::new(&mut [0])], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let mut received = control.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
        _ => None,
    });
    received.next().and_then(|mut locks| locks.next()).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

/// Both descriptors, which no command gets; the standard streams are nothing from here on.
fn inherited() -> io::Result<[OwnedFd; 2]> {
    let take = |descriptor| fcntl_dupfd_cloexec(descriptor, 3);
    let taken = [take(rustix::stdio::stdin())?, take(rustix::stdio::stdout())?];
    let null = open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    rustix::stdio::dup2_stderr(&null)?;
    Ok(taken)
}

/// Listens in the directory of a job.
pub(crate) fn listen(directory: &Path) -> io::Result<StdUnixListener> {
    match std::fs::remove_file(directory.join(SOCKET)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let directory = open(directory, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let listener = StdUnixListener::bind(socket_in(&directory))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

fn serve(duty: Duty) -> io::Result<()> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(supervise(duty))
}

async fn supervise(duty: Duty) -> io::Result<()> {
    own_process();
    let mut config = Config::without_files();
    config.jobs.keep = duty.keeps;
    let live = Live::open(config).map_err(io::Error::other)?;
    let service = Arc::new(Service::of_supervisor(live, duty.has_cgroups));
    let charge = duty.take_charge()?;
    let mut terminate = signal(SignalKind::terminate())?;
    let stop = async {
        terminate.recv().await;
        service.stopping.cancel();
        std::future::pending::<()>().await;
    };
    tokio::select! {
        stayed = stay(charge, &service) => stayed,
        () = stop => Ok(()),
        () = service.containment.reap_orphans() => Ok(()),
    }
}

/// Stays with the job until it is over, and everybody has heard of it.
pub(crate) async fn stay(charge: Charge, service: &Arc<Service>) -> io::Result<()> {
    let Charge { connection, listener, custody, start, extras } = charge;
    connection.set_nonblocking(true)?;
    let (mut first, listener) = (UnixStream::from_std(connection)?, UnixListener::from_std(listener)?);
    let output = Arc::new(Mutex::new(custody.output(LogLimits::default()).map_err(io::Error::other)?));
    let job = make_job(service, &custody, &output, &start)?;
    extras.terminal.iter().for_each(|terminal| job.is_on_terminal(terminal.size));
    // What `Charged::permit` says there.
    time::timeout(MAKING, first.read_exact(&mut [0])).await??;
    let sessions = TaskTracker::new();
    let serving = async {
        serve_connection(service, &sessions, first);
        loop {
            match listener.accept().await {
                Ok((stream, _)) => serve_connection(service, &sessions, stream),
                Err(_) => time::sleep(ACCEPT_PAUSE).await,
            }
        }
    };
    let running = async {
        let cgroup = service.containment.cgroup().and_then(Path::to_str).map(ToOwned::to_owned);
        let permission = async {
            let begun = custody.begin(cgroup, Timestamp::now()).map_err(|error| error.to_string());
            reach(CrashPoint::Begun);
            begun
        };
        let record = record_start(&job, &custody);
        let run = async {
            let ended = job::run(&job, start.spec, extras, permission, service).await;
            conclude(&job, &custody, &output, ended).await;
        };
        tokio::join!(run, record);
    };
    tokio::select! {
        () = running => {}
        () = serving => {}
    }
    // New ones find everything on the disk; those that are here already are still served.
    std::fs::remove_file(custody.job().path().join(SOCKET)).ok();
    reach(CrashPoint::SupervisorLeft);
    while let Ok(Ok((stream, _))) = time::timeout(Duration::ZERO, listener.accept()).await {
        serve_connection(service, &sessions, stream);
    }
    sessions.close();
    time::timeout(FAREWELL, sessions.wait()).await.ok();
    Ok(())
}

fn make_job(
    service: &Service,
    custody: &Custody,
    output: &Arc<Mutex<Output>>,
    start: &Start,
) -> io::Result<Arc<Job>> {
    let outlet = |stream| {
        let reader = custody.job().log(stream).map_err(io::Error::other)?;
        Ok::<_, io::Error>(Outlet::Log(Log::written(stream, reader, Arc::clone(output))))
    };
    let outlets = [outlet(LogStream::Stdout)?, outlet(LogStream::Stderr)?];
    // To the supervisor, its server is the owner: who may reach the job was decided there.
    let owner = Owner::User(service.door.account.uid);
    let budget: Budget = service.connection_budget();
    let make = || Job::awaited(owner, start.id.clone(), start.digest, &start.spec, &budget, outlets);
    match service.registry.register(owner, &start.id, start.digest, Duration::ZERO, make) {
        Ok(Registered::New(job, _place)) => Ok(job),
        _ => Err(io::ErrorKind::AlreadyExists.into()),
    }
}

fn serve_connection(service: &Arc<Service>, sessions: &TaskTracker, stream: UnixStream) {
    // Who cannot be told who it is cannot be served.
    let Ok(accepted) = Accepted::unix(stream) else { return };
    if let Ok(visitor) = service.gate.enter(accepted.address(), true) {
        sessions.spawn(connection::serve(Arc::clone(service), accepted.arrive(visitor)));
    }
}

/// Writes down which process it is, once there is one.
async fn record_start(job: &Job, custody: &Custody) {
    if let Some(process_id) = job.process_started().await {
        let started = Started {
            process_id,
            process_start: process_start(process_id).unwrap_or_default(),
            at: Timestamp::now(),
        };
        // The job goes on without.
        custody.started(started).ok();
        reach(CrashPoint::StartWritten);
    }
}

/// Writes down how it has ended, and has everybody know: in this order, unless the disk does not take it.
async fn conclude(job: &Job, custody: &Custody, output: &Mutex<Output>, ended: Ended) {
    output.lock().unwrap_or_else(PoisonError::into_inner).sync().ok();
    reach(CrashPoint::OutputSynced);
    let written = record_end(custody, &ended, TRIES_BEFORE).await;
    job.conclude(ended.clone());
    if !written {
        record_end(custody, &ended, TRIES_AFTER).await;
    }
}

/// Writes down how it has ended; whether that is done, or nobody can ask for it any more.
async fn record_end(custody: &Custody, ended: &Ended, tries: usize) -> bool {
    for _ in 0..tries {
        if custody.end(ended, Timestamp::now()).is_ok() || custody.job().is_removed() {
            reach(CrashPoint::EndWritten);
            return true;
        }
        time::sleep(TRY_AGAIN).await;
    }
    false
}

#[cfg(test)]
mod tests {
    use common::job::{JobId, Outcome, Program, Spec};
    use common::message::AttachmentId;

    use super::*;
    use crate::store::{Creation, Request, State, Store};

    /// A job that runs, and whose end cannot be written down while a directory is in the way of its record.
    fn job(directory: &Path) -> (Arc<Job>, Custody, Arc<Mutex<Output>>, PathBuf) {
        let store = Store::open(&directory.join("jobs"), Timestamp(1)).unwrap();
        let (id, spec): (JobId, _) = ("x".parse().unwrap(), Spec::new(Program::Shell("true".into())));
        let start = Start::new(id, AttachmentId(1), spec).unwrap();
        let Start { id, digest, spec, .. } = &start;
        let request = Request { owner: Owner::User(1), id, digest: *digest, spec, first_sent: Timestamp(2) };
        let Ok((Creation::New(custody), _)) = store.create(request, Timestamp(2)) else {
            panic!("it is new")
        };
        custody.begin(None, Timestamp(3)).unwrap();
        let obstacle = custody.job().path().join(".ended");
        std::fs::remove_file(&obstacle).unwrap();
        std::fs::create_dir(&obstacle).unwrap();
        let service = Service::of_supervisor(Live::open(Config::without_files()).unwrap(), false);
        let output = Arc::new(Mutex::new(custody.output(LogLimits::default()).unwrap()));
        let job = make_job(&service, &custody, &output, &start).unwrap();
        (job, custody, output, obstacle)
    }

    #[tokio::test(start_paused = true)]
    async fn an_end_that_the_disk_does_not_take_is_said_after_half_a_minute_and_written_down_when_it_does() {
        let directory = tempfile::tempdir().unwrap();
        let (job, custody, output, obstacle) = job(directory.path());
        let ended = Ended::without_output(Outcome::Exited(3));
        let mut concluding = std::pin::pin!(conclude(&job, &custody, &output, ended));
        assert!(time::timeout(Duration::from_secs(28), &mut concluding).await.is_err());
        assert_eq!(job.ended(), None);
        assert!(time::timeout(Duration::from_secs(4), &mut concluding).await.is_err());
        assert_eq!(job.ended().unwrap().outcome, Outcome::Exited(3));
        std::fs::remove_dir(obstacle).unwrap();
        time::timeout(Duration::from_secs(2), concluding).await.unwrap();
        let State::Ended(end) = custody.job().state().unwrap() else { panic!("it is not written down") };
        assert_eq!(end.ended.outcome, Outcome::Exited(3));
    }
}
