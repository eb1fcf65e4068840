//! What is true of one job, shared by the task that runs it and by whoever is attached to it. Outlives every connection.

mod handed;
mod heard;
mod past;
mod seat;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime};

use common::frame::{JobNumber, StreamId};
use common::job::{Digest, Ended, JobId, Spec, WindowSize};
use common::message::{ServerMessage, StdinProgress};
use common::packet::{Ack, Packet};
use common::stream::{Budget, Inbound};
use tokio::sync::{Notify, watch};

pub(super) use past::Past;
pub(crate) use past::waits_for_disk;
pub(crate) use seat::NoHold;

use past::shown;
use seat::Seat;

use super::control::Control;
use super::orders::{Command, Orders};
use super::outlet::Outlet;
use super::presence::Presence;
use crate::authorize::Owner;
use crate::clock;

/// One execution of a command.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) id: JobId,
    pub(crate) owner: Owner,
    /// Of the request that started it.
    pub(crate) digest: Digest,
    /// For people.
    command: String,
    requested: SystemTime,
    since: Instant,
    /// Whether it was asked for with a stdin.
    pub(super) takes_stdin: bool,
    /// How large its terminal is, if it has one.
    terminal_size: Mutex<Option<WindowSize>>,
    pub(super) stdin: Inbound,
    pub(super) stdout: Outlet,
    pub(super) stderr: Outlet,
    /// What it has of control descriptors, if it was asked for with some.
    pub(super) control: Option<Control>,
    pub(super) orders: Orders,
    progress: watch::Sender<Progress>,
    seat: Mutex<Seat>,
    seat_changed: Notify,
}

/// How far a job has come.
#[derive(Debug, Clone)]
pub(super) enum Progress {
    Starting,
    Running { process_id: u32 },
    Over { process_id: Option<u32>, ended: Arc<Ended>, at: SystemTime },
}

impl Job {
    /// A job that is about to start. Its stdin may borrow from `budget`.
    pub(crate) fn new(
        owner: Owner,
        id: JobId,
        digest: Digest,
        spec: &Spec,
        budget: &Budget,
        [stdout, stderr]: [Outlet; 2],
    ) -> Self {
        let presence = Presence::new(&spec.keeping);
        Self {
            id,
            owner,
            digest,
            command: shown(&spec.program),
            requested: SystemTime::now(),
            since: clock::now(),
            takes_stdin: spec.stdin,
            terminal_size: Mutex::default(),
            stdin: Inbound::new(budget.clone()),
            stdout,
            stderr,
            control: None,
            orders: Orders::default(),
            progress: watch::Sender::new(Progress::Starting),
            seat: Mutex::new(Seat::new(presence, false)),
            seat_changed: Notify::new(),
        }
    }

    /// A job that is about to start, and whose client is yet to come: from now on it is waited for as if its line were lost.
    pub(crate) fn awaited(
        owner: Owner,
        id: JobId,
        digest: Digest,
        spec: &Spec,
        budget: &Budget,
        outlets: [Outlet; 2],
    ) -> Self {
        let job = Self::new(owner, id, digest, spec, budget, outlets);
        job.lock().presence.wait(clock::now());
        job
    }

    /// A job that is over, with what is kept of its output.
    pub(crate) fn finished(
        owner: Owner,
        id: JobId,
        digest: Digest,
        ended: Ended,
        process_id: Option<u32>,
        outlets: [Outlet; 2],
    ) -> Self {
        let past = Past {
            digest,
            command: String::new(),
            requested: SystemTime::now(),
            process_id,
            ended: Arc::new(ended),
            at: SystemTime::now(),
            since: clock::now(),
            forgotten: false,
        };
        let [stdout, stderr] = outlets;
        Self { stdout, stderr, ..Self::remembered(owner, &id, &past) }
    }

    /// The same with control descriptors.
    pub(crate) fn with_control(self, control: Control) -> Self {
        Self { control: Some(control), ..self }
    }

    /// Waits until there is a process, or will be none.
    pub(crate) async fn process_started(&self) -> Option<u32> {
        let mut progress = self.progress.subscribe();
        progress.wait_for(|progress| !matches!(progress, Progress::Starting)).await.ok();
        self.process_id()
    }

    /// It has a terminal, or will have, of this size at first. What was said of it before stays.
    pub(crate) fn is_on_terminal(&self, size: WindowSize) {
        self.size().get_or_insert(size);
    }

    /// How large its terminal is, or will be; `None` if it has none.
    pub(crate) fn terminal_size(&self) -> Option<WindowSize> {
        *self.size()
    }

    /// Has its terminal made so large, and what runs there told so, also if it is so large already; whether it has one.
    pub(crate) fn resize(&self, size: WindowSize) -> bool {
        {
            let mut known = self.size();
            if known.is_none() {
                return false;
            }
            *known = Some(size);
        }
        self.orders.push(Command::Resize(size));
        true
    }

    fn size(&self) -> MutexGuard<'_, Option<WindowSize>> {
        self.terminal_size.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stdin_progress(&self) -> Option<StdinProgress> {
        let open = self.takes_stdin && !self.stdin.is_ended() && !self.stdin.is_stopped();
        open.then(|| {
            let Ack { received, limit, consumed } = self.stdin.resume();
            StdinProgress { received, limit, consumed }
        })
    }

    /// Says something about its stdin to its client, if it has one.
    pub(super) async fn tell_writer(&self, packet: impl FnOnce(JobNumber) -> Packet<ServerMessage>) {
        let writer = self.lock().writer.clone();
        if let Some(writer) = writer {
            writer.tell(packet).await;
        }
    }

    pub(super) fn runs(&self, process_id: u32) {
        self.progress.send_replace(Progress::Running { process_id });
    }

    /// Has everybody know how it has ended.
    pub(crate) fn conclude(&self, ended: Ended) -> Arc<Ended> {
        let (process_id, ended) = (self.process_id(), Arc::new(ended));
        self.stdin.stop();
        self.outlets().for_each(|(_, outlet)| outlet.end());
        self.progress.send_replace(Progress::Over {
            process_id,
            ended: Arc::clone(&ended),
            at: SystemTime::now(),
        });
        ended
    }

    pub(super) fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&self) -> Option<Arc<Ended>> {
        match &*self.progress.borrow() {
            Progress::Over { ended, .. } => Some(Arc::clone(ended)),
            Progress::Starting | Progress::Running { .. } => None,
        }
    }

    fn process_id(&self) -> Option<u32> {
        match &*self.progress.borrow() {
            Progress::Running { process_id } => Some(*process_id),
            Progress::Over { process_id, .. } => *process_id,
            Progress::Starting => None,
        }
    }

    /// Milliseconds for which a lost line is waited for; `None` if the job is kept.
    pub(super) fn grace_ms(&self) -> Option<u64> {
        self.lock().presence.grace().map(|grace| u64::try_from(grace.as_millis()).unwrap_or(u64::MAX))
    }

    /// What it writes: stdout, stderr, and if it has control descriptors, what it reports.
    pub(super) fn outlets(&self) -> impl Iterator<Item = (StreamId, &Outlet)> {
        let control = self.control.as_ref().map(|control| (StreamId::Control, &control.reports));
        [(StreamId::Stdout, &self.stdout), (StreamId::Stderr, &self.stderr)].into_iter().chain(control)
    }

    pub(super) fn outlet(&self, stream: StreamId) -> Option<&Outlet> {
        self.outlets().find_map(|(of, outlet)| (of == stream).then_some(outlet))
    }

    fn lock(&self) -> MutexGuard<'_, Seat> {
        self.seat.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn unix_ms(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
