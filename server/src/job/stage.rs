//! Commands that only play: for tests that have no process, no pipe and no clock but their own. What the rules of a job say is
//! done to them as to real ones.
//!
//! A stage belongs to its thread; where there is none, jobs run real commands.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use common::frame::StreamId;
use common::job::{Ended, Extras, JobId, Outcome, Signal, Spec, StartFailure, StreamTotal};
use common::packet::{Ack, Packet};
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::orders::Command;
use super::rules::{Action, Cause, Event, Rules};
use super::state::Job;
use super::task::{self, Course};
use crate::service::Service;

thread_local! {
    static STAGE: RefCell<Option<Stage>> = const { RefCell::new(None) };
}

/// What all streams of a job are made of: any piece of it tells at which offset of which stream it was.
const PERIOD: usize = 251;

/// Everything that was started in one test.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stage(Arc<Mutex<Scene>>);

#[derive(Debug, Default)]
struct Scene {
    plays: Vec<Arc<Play>>,
    /// Processes of servers and supervisors that are alive, by the address of their service.
    alive: Vec<usize>,
    supervisors: Vec<(JobId, Arc<Service>, AbortHandle)>,
    /// What supervisors are made like.
    model: Option<Arc<Service>>,
    begun: Option<Instant>,
}

/// One start of a command.
#[derive(Debug)]
pub(crate) struct Play {
    pub(crate) id: JobId,
    /// Whose child it is.
    parent: usize,
    script: Mutex<Script>,
    changed: Notify,
}

/// What a command is to do, and what it has done.
#[derive(Debug, Default, Clone)]
pub(crate) struct Script {
    cues: VecDeque<Cue>,
    /// How much of stdin it still reads; `None` for whatever comes.
    pub(crate) appetite: Option<u64>,
    pub(crate) closes_stdin: bool,
    /// Whether HUP ends it; else it takes KILL.
    pub(crate) heeds_hup: bool,
    killed: Option<Signal>,
    /// The orders of clients that have reached it.
    pub(crate) signals: Vec<i32>,
    /// Bytes that it has written to stdout and stderr.
    pub(crate) written: [u64; 2],
    /// Bytes of stdin that it has read.
    pub(crate) read: u64,
    pub(crate) stdin_ended: bool,
    /// What it has read was not what was sent.
    pub(crate) misread: bool,
    /// How it has ended by itself, or by a signal.
    pub(crate) over: Option<Outcome>,
}

/// The next that a command does.
#[derive(Debug, Clone)]
pub(crate) enum Cue {
    /// Writes so many bytes, and waits as long as there is no room for them.
    Write(StreamId, usize),
    /// Exits with this code.
    Exit(u8),
}

/// Bytes of a stream from `offset` on, at most 64 KiB.
pub(crate) fn content(stream: StreamId, offset: u64, len: usize) -> Bytes {
    thread_local! {
        static TABLE: Bytes = (0..256 * PERIOD + 65_536).map(|at| (at % PERIOD) as u8).collect();
    }
    let shift = 83 * stream as u64;
    let from = ((offset + shift) % PERIOD as u64) as usize;
    TABLE.with(|table| table.slice(from..from + len.min(65_536)))
}

/// Whether `bytes` are those of the stream from `offset` on.
pub(crate) fn is_content(stream: StreamId, mut offset: u64, mut bytes: &[u8]) -> bool {
    while !bytes.is_empty() {
        let expected = content(stream, offset, bytes.len());
        let (head, rest) = bytes.split_at(expected.len());
        if head != expected {
            return false;
        }
        offset += head.len() as u64;
        bytes = rest;
    }
    true
}

/// As [`task::run`], but on this thread's stage, if there is one.
pub(crate) async fn run(
    job: &Job,
    spec: Spec,
    extras: Extras,
    permission: impl Future<Output = Result<(), String>>,
    service: &Service,
) -> Ended {
    match Stage::present() {
        Some(stage) => stage.run(job, &spec, permission, service).await,
        None => task::run(job, spec, extras, permission, service).await,
    }
}

/// As [`task::start`], but on this thread's stage, if there is one: there a job is over when this returns.
pub(super) async fn start(
    job: &Job,
    spec: Spec,
    extras: Extras,
    permission: impl Future<Output = Result<(), String>>,
    service: &Service,
) -> Result<Course, Ended> {
    match Stage::present() {
        Some(stage) => Err(stage.run(job, &spec, permission, service).await),
        None => task::start(job, spec, extras, permission, service).await,
    }
}

impl Stage {
    /// The stage of this thread from now on, with supervisors like `model`.
    pub(crate) fn raise(model: &Arc<Service>) -> Self {
        let stage = Self::default();
        {
            let mut scene = stage.lock();
            scene.model = Some(Arc::clone(model));
            scene.begun = Some(Instant::now());
        }
        STAGE.set(Some(stage.clone()));
        stage
    }

    /// The one of this thread.
    pub(crate) fn present() -> Option<Self> {
        STAGE.with_borrow(Clone::clone)
    }

    /// From now on this thread's jobs are real.
    pub(crate) fn strike() {
        STAGE.set(None);
    }

    /// The time by the calendar.
    pub(crate) fn calendar(&self) -> SystemTime {
        let elapsed = self.lock().begun.map_or(Duration::ZERO, |begun| begun.elapsed());
        SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 30) + elapsed
    }

    /// The service of another supervisor.
    pub(crate) fn supervisor(&self) -> Arc<Service> {
        let model = self.lock().model.clone().unwrap();
        let service = Arc::new(model.anew(true, None));
        self.born(&service);
        service
    }

    /// A supervisor has begun.
    pub(crate) fn stays(&self, id: JobId, service: Arc<Service>, task: AbortHandle) {
        self.lock().supervisors.push((id, service, task));
    }

    /// The supervisor of this job is killed, if it has one.
    pub(crate) fn kill_supervisor(&self, id: &JobId) -> bool {
        let found =
            self.lock().supervisors.iter().find(|(of, _, task)| of == id && !task.is_finished()).cloned();
        let Some((_, service, task)) = found else { return false };
        self.dies(&service);
        task.abort();
        // Its connections end with it, and say nothing.
        service.handing_over.begin();
        true
    }

    /// A server or a supervisor has begun.
    pub(crate) fn born(&self, service: &Service) {
        self.lock().alive.push(address(service));
    }

    /// It was killed: what it does from now on does not happen, and its commands are dead.
    pub(crate) fn dies(&self, service: &Service) {
        let mut scene = self.lock();
        scene.alive.retain(|alive| *alive != address(service));
        for play in scene.plays.iter().filter(|play| play.parent == address(service)) {
            play.signal_tree(Signal::KILL);
        }
    }

    /// All starts under this id.
    pub(crate) fn plays(&self, id: &JobId) -> Vec<Arc<Play>> {
        self.lock().plays.iter().filter(|play| play.id == *id).map(Arc::clone).collect()
    }

    async fn run(
        &self,
        job: &Job,
        spec: &Spec,
        permission: impl Future<Output = Result<(), String>>,
        service: &Service,
    ) -> Ended {
        if let Err(reason) = permission.await {
            return Ended::without_output(Outcome::NotStarted(StartFailure::Refused(reason)));
        }
        let Some((play, number)) = self.begin(&job.id, service) else { return std::future::pending().await };
        job.runs(u32::try_from(number).unwrap());
        let rules = Rules::new(now(), spec.timeout(), spec.wait_output);
        let outcome = play.perform(job, rules, &service.stopping).await;
        let totals = job.outlets().map(|(stream, outlet)| StreamTotal { stream, bytes: outlet.kept().1 });
        Ended {
            totals: totals.collect(),
            stdin_consumed: play.script().read,
            ..Ended::without_output(outcome)
        }
    }

    /// Begins a play; none is begun by who is dead.
    fn begin(&self, id: &JobId, service: &Service) -> Option<(Arc<Play>, usize)> {
        let mut scene = self.lock();
        let parent = address(service);
        if !scene.alive.contains(&parent) {
            return None;
        }
        let script = Mutex::new(Script { appetite: Some(0), ..Script::default() });
        let play = Arc::new(Play { id: id.clone(), parent, script, changed: Notify::new() });
        scene.plays.push(Arc::clone(&play));
        Some((play, scene.plays.len()))
    }

    fn lock(&self) -> MutexGuard<'_, Scene> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Play {
    /// What it has done until now.
    pub(crate) fn script(&self) -> Script {
        self.lock().clone()
    }

    /// Has it do this when it has done what it was told before.
    pub(crate) fn cue(&self, cue: Cue) {
        self.change(|script| script.cues.push_back(cue));
    }

    /// Changes what it does.
    pub(crate) fn change(&self, change: impl FnOnce(&mut Script)) {
        change(&mut self.lock());
        self.changed.notify_waiters();
    }

    /// It reads no more of its stdin.
    pub(crate) fn close_stdin(&self) {
        self.change(|script| script.closes_stdin = true);
    }

    fn signal_tree(&self, signal: Signal) {
        self.change(|script| {
            let deadly = signal == Signal::KILL || (script.heeds_hup && signal == Signal::HUP);
            if deadly && script.over.is_none() {
                script.killed.get_or_insert(signal);
            }
        });
    }

    async fn perform(&self, job: &Job, mut rules: Rules, stopping: &CancellationToken) -> Outcome {
        let mut acting = std::pin::pin!(self.act(job));
        let mut reading = std::pin::pin!(self.read(job));
        let (mut acts, mut reads, mut client, mut server) = (true, true, true, true);
        loop {
            let deadline = rules.deadline();
            let events = tokio::select! {
                outcome = &mut acting, if acts => {
                    acts = false;
                    job.outlets().for_each(|(_, outlet)| outlet.end());
                    vec![Event::Exited(outcome), Event::OutputsEnded { left_open: false }]
                }
                () = &mut reading, if reads => {
                    reads = false;
                    Vec::new()
                }
                command = job.orders.next() => match command {
                    Command::Cancel => vec![Event::Stop(Cause::Cancelled)],
                    Command::Signal(signal) => {
                        self.change(|script| script.signals.push(signal.number()));
                        vec![Event::Signalled(signal)]
                    }
                    Command::Resize(_) => Vec::new(),
                },
                () = job.abandoned(), if client => {
                    client = false;
                    job.outlets().for_each(|(_, outlet)| outlet.overwrite());
                    vec![Event::Stop(Cause::ClientGone)]
                }
                () = stopping.cancelled(), if server => {
                    server = false;
                    vec![Event::Stop(Cause::ServerStopping)]
                }
                () = sleep_until(deadline.map_or_else(Instant::now, Instant::from)), if deadline.is_some() => {
                    vec![Event::Elapsed]
                }
            };
            for event in events {
                if let Some(outcome) = self.obey(&mut rules, event) {
                    return outcome;
                }
            }
        }
    }

    /// Does what the rules say; the outcome, once they say so.
    fn obey(&self, rules: &mut Rules, event: Event) -> Option<Outcome> {
        let mut actions = VecDeque::from(rules.handle(event, now()));
        while let Some(action) = actions.pop_front() {
            match action {
                Action::SignalTree(signal) => self.signal_tree(signal),
                Action::LookAtTree if self.lock().over.is_some() => {
                    actions.extend(rules.handle(Event::TreeGone, now()));
                }
                Action::LookAtTree | Action::StopReading => {}
                Action::Finish { outcome, .. } => return Some(outcome),
            }
        }
        None
    }

    /// What the command does, until it ends.
    async fn act(&self, job: &Job) -> Outcome {
        let outcome = tokio::select! {
            biased;
            outcome = self.killed() => outcome,
            outcome = self.follow(job) => outcome,
        };
        self.change(|script| script.over = Some(outcome.clone()));
        outcome
    }

    async fn killed(&self) -> Outcome {
        self.when(|script| script.killed.map(|signal| Outcome::Signaled { signal, core_dumped: false })).await
    }

    async fn follow(&self, job: &Job) -> Outcome {
        loop {
            match self.when(|script| script.cues.pop_front()).await {
                Cue::Exit(code) => return Outcome::Exited(code),
                Cue::Write(stream, mut left) => {
                    let Some(outlet) = job.outlet(stream) else { continue };
                    while left > 0 {
                        // Who writes into a closed pipe and survives goes on.
                        let Ok(room) = outlet.room().await else { break };
                        let index = usize::from(stream == StreamId::Stderr);
                        let offset = self.lock().written[index];
                        let bytes = content(stream, offset, left.min(room.bytes()));
                        left -= bytes.len();
                        self.lock().written[index] += bytes.len() as u64;
                        if outlet.put(bytes, room).await.is_err() {
                            break;
                        }
                    }
                }
            }
        }
    }

    /// What the command reads, as far as it likes.
    async fn read(&self, job: &Job) {
        loop {
            let goes_on = |script: &mut Script| match script.appetite {
                _ if script.closes_stdin => Some(false),
                Some(0) => None,
                Some(_) | None => Some(true),
            };
            let next = async { if self.when(goes_on).await { Some(job.stdin.next().await) } else { None } };
            match next.await {
                None => {
                    if job.stdin.stop() {
                        job.tell_writer(|job| Packet::StopSending { job, stream: StreamId::Stdin }).await;
                    }
                    return;
                }
                Some(None) => return self.change(|script| script.stdin_ended = true),
                Some(Some(bytes)) => {
                    let read = {
                        let mut script = self.lock();
                        script.misread |= !is_content(StreamId::Stdin, script.read, &bytes);
                        script.read += bytes.len() as u64;
                        script.appetite = script.appetite.map(|left| left.saturating_sub(bytes.len() as u64));
                        script.read
                    };
                    acknowledge(job, job.stdin.delivered(bytes.len())).await;
                    acknowledge(job, job.stdin.consumed(read)).await;
                }
            }
        }
    }

    async fn when<T>(&self, ready: impl Fn(&mut Script) -> Option<T>) -> T {
        loop {
            let changed = self.changed.notified();
            if let Some(value) = ready(&mut self.lock()) {
                return value;
            }
            changed.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn acknowledge(job: &Job, ack: Option<Ack>) {
    if let Some(ack) = ack {
        job.tell_writer(|job| Packet::Ack { job, stream: StreamId::Stdin, ack }).await;
    }
}

fn address(service: &Service) -> usize {
    std::ptr::from_ref(service).addr()
}

fn now() -> std::time::Instant {
    Instant::now().into_std()
}
