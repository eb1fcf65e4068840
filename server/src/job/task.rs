//! The task of one job: turns what happens into events for the rules, and does what they say.

use std::future::poll_fn;
use std::io;
use std::os::fd::OwnedFd;
use std::panic::{self, AssertUnwindSafe};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use common::job::{Ended, Extras, Outcome, Signal, Spec, StartFailure, StreamTotal, WindowSize};
use tokio::time::sleep_until;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::control::Reports;
use super::input::{Feed, Input, Stage};
use super::orders::Command;
use super::output::{Output, Source};
use super::rules::{Action, Cause, Event, Rules};
use super::state::Job;
use super::tide::{Ebb, Tide};
use crate::crash_point::{CrashPoint, reach};
use crate::process::{self, ControlEnds, Prepared, Process, SpawnError, Spawned};
use crate::service::Service;

/// What is said of a job that a mistake of the server's has ended. The process was killed with the watching of it.
const FAILED: &str = "the server failed while the command ran, and has killed it";

/// A job whose process was started, and nothing of which is on its way anywhere: it can go on later, here or elsewhere.
#[derive(Debug)]
pub(super) struct Course {
    pub(super) process: Process,
    /// Of stdout, stderr and what it reports.
    pub(super) sources: [Source; 3],
    pub(super) feed: Feed,
    /// Where it is told what to do, if it is.
    pub(super) commands: Option<Arc<OwnedFd>>,
    pub(super) rules: Rules,
    /// Whether the ends of its outputs are not waited for any more.
    pub(super) stops_reading: bool,
    /// What makes the outcome uncertain, whatever the process does.
    pub(super) failure: Option<String>,
    /// When it was asked for.
    pub(super) since: Instant,
    /// Whether it was cut off before.
    pub(super) again: bool,
}

/// How watching a job has ended.
#[derive(Debug)]
pub(super) enum Watched {
    /// The job is over. What is left of its process is to be dropped once everybody has been told.
    Over(Ended, Option<Box<Process>>),
    /// It was cut off, and is to go on.
    Paused(Box<Course>),
}

/// Runs a job with these extras from its start, for which there has to be a `permission` (or else the reason why
/// there is none), to its end. Returns when nothing of it is left to be watched. [`Job::conclude`] tells everybody.
pub(crate) async fn run(
    job: &Job,
    spec: Spec,
    extras: Extras,
    permission: impl Future<Output = Result<(), String>>,
    service: &Service,
) -> Ended {
    let mut course = match Box::pin(start(job, spec, extras, permission, service)).await {
        Ok(course) => course,
        Err(ended) => return ended,
    };
    loop {
        match go_on(job, course, service, &CancellationToken::new()).await {
            Watched::Over(ended, _) => return ended,
            Watched::Paused(again) => course = *again,
        }
    }
}

/// Starts the process of a job, once there is `permission`; its end, if there is no process.
pub(super) async fn start(
    job: &Job,
    spec: Spec,
    extras: Extras,
    permission: impl Future<Output = Result<(), String>>,
    service: &Service,
) -> Result<Course, Ended> {
    let since = Instant::now();
    let mut starting = pin!(spawn(job, spec, extras, permission, service, since));
    match poll_fn(|task| poll_caught(starting.as_mut(), task)).await {
        Some(started) => started,
        None => Err(over(job, Outcome::Lost(FAILED.to_owned()), since)),
    }
}

async fn spawn(
    job: &Job,
    spec: Spec,
    extras: Extras,
    permission: impl Future<Output = Result<(), String>>,
    service: &Service,
    since: Instant,
) -> Result<Course, Ended> {
    let Service { door, containment, .. } = service;
    if let Some(terminal) = &extras.terminal {
        job.is_on_terminal(terminal.size);
    }
    // While that is waited for.
    let prepared = Prepared::new(&spec, &extras, &door.account, &job.id, containment);
    let spawned = match permission.await {
        Ok(()) => prepared.map_err(SpawnError::NotStarted).and_then(Prepared::start),
        Err(reason) => Err(SpawnError::NotStarted(StartFailure::Refused(reason))),
    };
    let rules = Rules::new(Instant::now(), spec.timeout(), spec.wait_output);
    match spawned {
        Ok(spawned) => Ok(Course::new(spawned, rules, since)),
        Err(SpawnError::NotStarted(failure)) => Err(over(job, Outcome::NotStarted(failure), since)),
        Err(error @ SpawnError::Unwatchable(_)) => Err(over(job, Outcome::Lost(error.to_string()), since)),
    }
}

/// Goes on with a job until it is over, or cut off by the `pause`.
pub(super) async fn go_on(
    job: &Job,
    course: Course,
    service: &Service,
    pause: &CancellationToken,
) -> Watched {
    let since = course.since;
    let mut watching = pin!(watch(job, course, &service.stopping, pause));
    match poll_fn(|task| poll_caught(watching.as_mut(), task)).await {
        Some(Watched::Over(ended, left)) => Watched::Over(finished(job, ended, since), left),
        Some(paused) => paused,
        None => Watched::Over(over(job, Outcome::Lost(FAILED.to_owned()), since), None),
    }
}

fn over(job: &Job, outcome: Outcome, since: Instant) -> Ended {
    finished(job, Ended::without_output(outcome), since)
}

fn finished(job: &Job, mut ended: Ended, since: Instant) -> Ended {
    ended.wall_us = u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX);
    info!(job = %job.id, outcome = logged(&ended.outcome), "job ended");
    ended
}

/// Polls what is done for a job; ready with nothing if that panics. A mistake of ours in it costs the job its outcome, and must not
/// cost its client the answer.
fn poll_caught<T>(work: Pin<&mut impl Future<Output = T>>, task: &mut Context<'_>) -> Poll<Option<T>> {
    // What it shares with others is left whole by a panic, or is not looked at again.
    let polled = panic::catch_unwind(AssertUnwindSafe(|| work.poll(task)));
    polled.map_or(Poll::Ready(None), |polled| polled.map(Some))
}

/// The outcome without what the client wrote: what could not be started is named in the audit trail alone.
fn logged(outcome: &Outcome) -> String {
    match outcome {
        Outcome::NotStarted(failure) => format!("not started: {}", failure.name()),
        outcome => outcome.to_string(),
    }
}

impl Course {
    fn new(spawned: Spawned, rules: Rules, since: Instant) -> Self {
        let Spawned { process, stdin, stdout, stderr, control } = spawned;
        let (commands, reports) =
            control.map(|ControlEnds { commands, reports }| (Arc::new(commands), reports)).unzip();
        let source = |end: Option<OwnedFd>| end.map_or(Source::Over(Ok(false)), Source::Open);
        let sources = [Source::Open(stdout), source(stderr), source(reports)];
        let feed = Feed::new(stdin);
        let (stops_reading, failure, again) = (false, None, false);
        Self { process, sources, feed, commands, rules, stops_reading, failure, since, again }
    }
}

async fn watch(
    job: &Job,
    course: Course,
    stopping: &CancellationToken,
    pause: &CancellationToken,
) -> Watched {
    let Course { mut process, sources, feed, commands, rules, stops_reading, failure, since, again } = course;
    if !again {
        reach(CrashPoint::Spawned);
    }
    let process_id = process.id();
    debug!(job = %job.id, process_id, again, "job runs");
    job.runs(process_id);
    let stop_reading = CancellationToken::new();
    // Once the command itself is gone, nobody reports anything more.
    let stop_reports = stop_reading.child_token();
    if stops_reading {
        stop_reading.cancel();
    }
    if rules.has_exited() {
        stop_reports.cancel();
    }
    let tide = Tide::default();
    let ebbs = if job.control.is_some() { tide.readers() } else { <[Ebb<'_>; 2]>::default() };
    let output =
        |outlet, ebb| Output { outlet, stop_reading: stop_reading.clone(), pause: pause.clone(), ebb };
    let [stdout, stderr] = ebbs;
    let (out, err) = (output(&job.stdout, stdout), output(&job.stderr, stderr));
    let reports = job.control.as_ref().map(|control| Reports {
        job,
        outlet: &control.reports,
        tide: &tide,
        pause: pause.clone(),
        stop: stop_reports.clone(),
    });
    let [stdout, stderr, reported] = sources;
    if matches!(stderr, Source::Over(_)) {
        err.outlet.end();
    }
    let outputs = async {
        let reported = async {
            match reports {
                Some(reports) => reports.run(reported).await,
                None => reported,
            }
        };
        tokio::join!(out.run(stdout, again), err.run(stderr, again), reported).into()
    };
    let telling = async {
        match (&job.control, &commands) {
            (Some(control), Some(pipe)) => control.commands.write_to(pipe).await,
            _ => Ok(()),
        }
    };
    let input = Input::new(job, feed);
    let waiting = Waiting::new(&rules, &input);
    let mut supervisor = Supervisor {
        job,
        process: &process,
        input: &input,
        stop_reading: &stop_reading,
        stop_reports: &stop_reports,
        stopping,
        pause,
        failure,
        rules,
    };
    let end = {
        let (outputs, feeding, telling) = (pin!(outputs), pin!(input.run()), pin!(telling));
        supervisor.run(waiting, outputs, feeding, telling).await
    };
    let Supervisor { failure, rules, .. } = supervisor;
    let (outcome, output_left_open) = match end {
        End::Over { outcome, output_left_open } => (outcome, output_left_open),
        End::Paused(sources) => {
            if let Some(size) = job.orders.take_size() {
                resize(&input, size);
            }
            let (feed, stops_reading) = (input.into_feed(), stop_reading.is_cancelled());
            let again = true;
            let course =
                Course { process, sources, feed, commands, rules, stops_reading, failure, since, again };
            return Watched::Paused(Box::new(course));
        }
    };
    let stdin_consumed = input.consumed();
    let out_of_memory = process.is_out_of_memory();
    let usage = process.reap().inspect_err(|error| warn!(job = %job.id, %error, "cannot reap")).ok();
    reach(CrashPoint::Reaped);
    let totals = job.outlets().map(|(stream, outlet)| StreamTotal { stream, bytes: outlet.kept().1 });
    let totals = totals.collect();
    let ended = Ended { outcome, totals, stdin_consumed, output_left_open, wall_us: 0, usage, out_of_memory };
    Watched::Over(ended, Some(Box::new(process)))
}

/// Everything that is waited for while a process runs.
struct Supervisor<'a> {
    job: &'a Job,
    process: &'a Process,
    input: &'a Input<'a>,
    stop_reading: &'a CancellationToken,
    stop_reports: &'a CancellationToken,
    /// The server is stopping.
    stopping: &'a CancellationToken,
    /// It is to be cut off.
    pause: &'a CancellationToken,
    /// What makes the outcome uncertain, whatever the process did.
    failure: Option<String>,
    rules: Rules,
}

/// Why a process is not watched any more.
enum End {
    /// The job is over.
    Over { outcome: Outcome, output_left_open: bool },
    /// It was cut off, with this left to read.
    Paused([Source; 3]),
}

impl Supervisor<'_> {
    async fn run(
        &mut self,
        mut waiting: Waiting,
        // Pinned by the caller: as arguments they would be held twice, once to be moved from.
        mut outputs: Pin<&mut impl Future<Output = [Source; 3]>>,
        mut feeding: Pin<&mut impl Future<Output = io::Result<()>>>,
        mut telling: Pin<&mut impl Future<Output = io::Result<()>>>,
    ) -> End {
        loop {
            let deadline = self.rules.deadline();
            let event = tokio::select! {
                exited = self.process.exited(), if waiting.exit => {
                    waiting.exit = false;
                    self.stop_reports.cancel();
                    reach(CrashPoint::Exited);
                    Event::Exited(exited.unwrap_or_else(|error| Outcome::Lost(error.to_string())))
                }
                sources = &mut outputs, if waiting.outputs => {
                    waiting.outputs = false;
                    match self.outputs_ended(&sources) {
                        Some(left_open) => {
                            // Nobody reads what a terminal still says; as with a pipe, those who have it are to hear that. Where nobody has
                            // it, there is only a command that is about to exit, and HUP would come in between.
                            if left_open || self.job.stdout.is_closed() {
                                self.input.hang_up();
                            }
                            Event::OutputsEnded { left_open }
                        }
                        None => return End::Paused(sources),
                    }
                }
                // While there is output to come, that is what ends first.
                () = self.pause.cancelled(), if !waiting.outputs => {
                    return End::Paused([(); 3].map(|()| Source::Over(Ok(false))));
                }
                fed = &mut feeding, if waiting.feeding => {
                    waiting.feeding = false;
                    if let Err(error) = fed {
                        // The command may have taken what was cut for the whole.
                        self.failed(&error.to_string());
                    }
                    continue;
                }
                told = &mut telling, if waiting.telling => {
                    waiting.telling = false;
                    if let Err(error) = told {
                        self.failed(&error.to_string());
                    }
                    continue;
                }
                command = self.job.orders.next() => match command {
                    Command::Cancel => Event::Stop(Cause::Cancelled),
                    Command::Signal(signal) => {
                        self.signal(signal);
                        Event::Signalled(signal)
                    }
                    Command::Resize(size) => {
                        resize(self.input, size);
                        continue;
                    }
                },
                () = self.job.abandoned(), if waiting.client => {
                    waiting.client = false;
                    // It can still write while it cleans up.
                    self.job.outlets().for_each(|(_, outlet)| outlet.overwrite());
                    Event::Stop(Cause::ClientGone)
                }
                () = self.stopping.cancelled(), if waiting.stopping => {
                    waiting.stopping = false;
                    Event::Stop(Cause::ServerStopping)
                }
                () = sleep_until(deadline.unwrap_or_else(Instant::now).into()), if deadline.is_some() => {
                    Event::Elapsed
                }
            };
            if let Some(end) = self.act(event).await {
                return end;
            }
        }
    }

    /// Does what the rules say to `event`; the end, once they say so.
    async fn act(&mut self, event: Event) -> Option<End> {
        let mut actions = self.rules.handle(event, Instant::now());
        while !actions.is_empty() {
            for action in std::mem::take(&mut actions) {
                match action {
                    Action::SignalTree(signal) => self.process.signal_tree(signal).await,
                    Action::StopReading => {
                        self.stop_reading.cancel();
                        self.job.outlets().for_each(|(_, outlet)| outlet.hurry());
                    }
                    Action::LookAtTree if self.process.tree_is_gone().await => {
                        actions.extend(self.rules.handle(Event::TreeGone, Instant::now()));
                    }
                    Action::LookAtTree => {}
                    Action::Finish { outcome, output_left_open } => {
                        let outcome = match self.failure.take() {
                            None => outcome,
                            Some(error) => {
                                Outcome::Lost(format!("{outcome}, but a stream of it was cut: {error}"))
                            }
                        };
                        return Some(End::Over { outcome, output_left_open });
                    }
                }
            }
        }
        None
    }

    /// Sends a signal of the client's. With a terminal those that are keys go where the keys would reach; the command itself may
    /// have put another group in its foreground.
    fn signal(&self, signal: Signal) {
        // The group may be gone already.
        match self.input.terminal().filter(|_| process::is_key(signal)) {
            Some(terminal) => process::signal_foreground(&terminal, signal).ok(),
            None => self.process.signal_group(signal).ok(),
        };
    }

    /// Something makes the outcome uncertain; beside what did before.
    fn failed(&mut self, error: &str) {
        let before = self.failure.take().map(|before| format!("{before}; "));
        self.failure = Some(before.unwrap_or_default() + error);
    }

    /// Whether an output was left open, once all have ended.
    fn outputs_ended(&mut self, sources: &[Source; 3]) -> Option<bool> {
        let mut left_open = false;
        for source in sources {
            match source {
                Source::Open(_) => return None,
                Source::Over(Ok(open)) => left_open |= open,
                Source::Over(Err(error)) => self.failed(error),
            }
        }
        Some(left_open)
    }
}

fn resize(input: &Input<'_>, size: WindowSize) {
    if let Some(terminal) = input.terminal() {
        // The system refuses none of a terminal that is there.
        process::resize(&terminal, size).ok();
    }
}

/// What has not happened yet.
#[expect(
    clippy::struct_excessive_bools,
    reason = "six independent sources of events, each waited for or not"
)]
struct Waiting {
    exit: bool,
    outputs: bool,
    feeding: bool,
    telling: bool,
    client: bool,
    stopping: bool,
}

impl Waiting {
    /// What is still to happen to such a job.
    fn new(rules: &Rules, input: &Input<'_>) -> Self {
        let (exit, outputs) = (!rules.has_exited(), !rules.have_outputs_ended());
        let feeding = input.stage() != Stage::Over;
        Self { exit, outputs, feeding, telling: true, client: true, stopping: true }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_mistake_of_ours_in_a_job_goes_no_further() {
        let mut watching = pin!(async {
            tokio::task::yield_now().await;
            panic!("a mistake");
        });
        let ended: Option<()> = poll_fn(|task| poll_caught(watching.as_mut(), task)).await;
        assert_eq!(ended, None);
    }
}
