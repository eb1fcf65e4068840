//! The task of one job: turns what happens into events for the rules, and does what they say.

use std::future::poll_fn;
use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use common::connection::PacketSender;
use common::frame::StreamId;
use common::job::{Ended, Outcome, Spec, StartFailure, StreamTotal};
use common::message::ServerMessage;
use common::packet::Packet;
use tokio::time::sleep_until;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::input::Input;
use super::output::Output;
use super::rules::{Action, Cause, Event, Rules};
use super::{JobCommand, JobContext};
use crate::process::{Account, Containment, Prepared, Process, SpawnError, Spawned};

/// What is said of a job that a mistake of the server's has ended. The process was killed with the watching of it.
const FAILED: &str = "the server failed while the command ran, and has killed it";

/// Runs a job from its start, for which there has to be a `permission` (or else the reason why there is none), to its report. Returns when nothing of it is left to be watched.
pub(crate) async fn run(
    mut context: JobContext,
    spec: Spec,
    permission: impl Future<Output = Result<(), String>>,
    account: &Account,
    containment: &Arc<Containment>,
    sender: &PacketSender<ServerMessage>,
) -> Ended {
    let started = Instant::now();
    // While that is waited for.
    let prepared = Prepared::new(&spec, account, &context.id, containment);
    let spawned = match permission.await {
        Ok(()) => prepared.map_err(SpawnError::NotStarted).and_then(Prepared::start),
        Err(reason) => Err(SpawnError::NotStarted(StartFailure::Refused(reason))),
    };
    let rules = Rules::new(Instant::now(), spec.timeout(), spec.wait_output);
    // A request may be large, and the job may last.
    drop(spec);
    let mut ended = match spawned {
        Ok(spawned) => {
            let mut watching = pin!(watch(&mut context, spawned, rules, sender));
            poll_fn(|task| poll_caught(watching.as_mut(), task)).await
        }
        Err(SpawnError::NotStarted(failure)) => Ended::without_output(Outcome::NotStarted(failure)),
        Err(error @ SpawnError::Unwatchable(_)) => Ended::without_output(Outcome::Lost(error.to_string())),
    };
    ended.wall_us = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
    info!(job = %context.id, outcome = logged(&ended.outcome), "job ended");
    tell(&context, sender, ServerMessage::Ended(ended.clone())).await;
    ended
}

/// Polls the watching of a job. A mistake of ours in it costs the job its outcome, and must not cost its client the answer.
fn poll_caught(watching: Pin<&mut impl Future<Output = Ended>>, task: &mut Context<'_>) -> Poll<Ended> {
    // What it shares with others is left whole by a panic, or is not looked at again.
    panic::catch_unwind(AssertUnwindSafe(|| watching.poll(task)))
        .unwrap_or_else(|_| Poll::Ready(Ended::without_output(Outcome::Lost(FAILED.to_owned()))))
}

/// The outcome without what the client wrote: what could not be started is named in the audit trail alone.
fn logged(outcome: &Outcome) -> String {
    match outcome {
        Outcome::NotStarted(failure) => format!("not started: {}", failure.name()),
        outcome => outcome.to_string(),
    }
}

async fn tell(context: &JobContext, sender: &PacketSender<ServerMessage>, message: ServerMessage) {
    // Without a connection there is nobody to tell.
    sender.send(Packet::Message { job: context.number, message }).await.ok();
}

async fn watch(
    context: &mut JobContext,
    spawned: Spawned,
    rules: Rules,
    sender: &PacketSender<ServerMessage>,
) -> Ended {
    let Spawned { process, stdin, stdout, stderr } = spawned;
    let process_id = process.id();
    debug!(job = %context.id, process_id, "job started");
    let started = Packet::Message { job: context.number, message: ServerMessage::Started { process_id } };
    let stop_reading = CancellationToken::new();
    let output = |stream| Output {
        job: context.number,
        stream,
        outbound: if stream == StreamId::Stderr { context.stderr.clone() } else { context.stdout.clone() },
        sender: sender.clone(),
        gone: context.gone.clone(),
        stop_reading: stop_reading.clone(),
    };
    let (out, err) = (output(StreamId::Stdout), output(StreamId::Stderr));
    let outputs = async {
        // First of the job's packets, and not waited for outside: the process is watched meanwhile.
        sender.send(started).await.ok();
        let stderr = async {
            match stderr {
                Some(pipe) => err.run(pipe).await,
                None => err.end().await,
            }
        };
        let (stdout, stderr) = tokio::join!(out.run(stdout), stderr);
        Ok::<bool, io::Error>(stdout? | stderr?)
    };
    let input = Input::new(context.number, context.stdin.clone(), sender.clone());
    let feeding = async {
        match stdin {
            Some(pipe) => input.run(pipe).await,
            None => input.refuse().await,
        }
    };
    let (outcome, output_left_open) = {
        let mut supervisor =
            Supervisor { context, process: &process, stop_reading: &stop_reading, failure: None };
        supervisor.run(rules, pin!(outputs), pin!(feeding)).await
    };
    let stdin_consumed = input.consumed();
    let out_of_memory = process.is_out_of_memory();
    let usage = process.reap().inspect_err(|error| warn!(job = %context.id, %error, "cannot reap")).ok();
    let totals = [(StreamId::Stdout, &context.stdout), (StreamId::Stderr, &context.stderr)]
        .map(|(stream, outbound)| StreamTotal { stream, bytes: outbound.sent() });
    let totals = totals.to_vec();
    Ended { outcome, totals, stdin_consumed, output_left_open, wall_us: 0, usage, out_of_memory }
}

/// Everything that is waited for while a process runs.
struct Supervisor<'a> {
    context: &'a mut JobContext,
    process: &'a Process,
    stop_reading: &'a CancellationToken,
    /// What makes the outcome uncertain, whatever the process did.
    failure: Option<io::Error>,
}

impl Supervisor<'_> {
    async fn run(
        &mut self,
        mut rules: Rules,
        // Pinned by the caller: as arguments they would be held twice, once to be moved from.
        mut outputs: Pin<&mut impl Future<Output = io::Result<bool>>>,
        mut feeding: Pin<&mut impl Future<Output = io::Result<()>>>,
    ) -> (Outcome, bool) {
        let mut waiting = Waiting::default();
        loop {
            let deadline = rules.deadline();
            let event = tokio::select! {
                exited = self.process.exited(), if waiting.exit => {
                    waiting.exit = false;
                    Event::Exited(exited.unwrap_or_else(|error| Outcome::Lost(error.to_string())))
                }
                ended = &mut outputs, if waiting.outputs => {
                    waiting.outputs = false;
                    Event::OutputsEnded { left_open: self.output_ended(ended) }
                }
                fed = &mut feeding, if waiting.feeding => {
                    waiting.feeding = false;
                    if let Err(error) = fed {
                        // The command may have taken what was cut for the whole.
                        self.failure = Some(error);
                    }
                    continue;
                }
                command = self.context.commands.next() => match command {
                    JobCommand::Cancel => Event::Stop(Cause::Cancelled),
                    JobCommand::Signal(signal) => {
                        // The group may be gone already.
                        self.process.signal_group(signal).ok();
                        Event::Signalled(signal)
                    }
                },
                () = self.context.gone.cancelled(), if waiting.gone => {
                    waiting.gone = false;
                    Event::Stop(Cause::ClientGone)
                }
                () = self.context.stopping.cancelled(), if waiting.stopping => {
                    waiting.stopping = false;
                    Event::Stop(Cause::ServerStopping)
                }
                () = sleep_until(deadline.unwrap_or_else(Instant::now).into()), if deadline.is_some() => {
                    Event::Elapsed
                }
            };
            if let Some(end) = self.act(&mut rules, event).await {
                return end;
            }
        }
    }

    /// Does what the rules say to `event`; the end, once they say so.
    async fn act(&mut self, rules: &mut Rules, event: Event) -> Option<(Outcome, bool)> {
        let mut actions = rules.handle(event, Instant::now());
        while !actions.is_empty() {
            for action in std::mem::take(&mut actions) {
                match action {
                    Action::SignalTree(signal) => self.process.signal_tree(signal).await,
                    Action::StopReading => self.stop_reading.cancel(),
                    Action::LookAtTree if self.process.tree_is_gone().await => {
                        actions.extend(rules.handle(Event::TreeGone, Instant::now()));
                    }
                    Action::LookAtTree => {}
                    Action::Finish { outcome, output_left_open } => {
                        let outcome = match self.failure.take() {
                            None => outcome,
                            Some(error) => {
                                Outcome::Lost(format!("{outcome}, but a stream of it was cut: {error}"))
                            }
                        };
                        return Some((outcome, output_left_open));
                    }
                }
            }
        }
        None
    }

    fn output_ended(&mut self, ended: io::Result<bool>) -> bool {
        ended.unwrap_or_else(|error| {
            self.failure = Some(error);
            false
        })
    }
}

/// What has not happened yet.
#[expect(
    clippy::struct_excessive_bools,
    reason = "five independent sources of events, each waited for or not"
)]
struct Waiting {
    exit: bool,
    outputs: bool,
    feeding: bool,
    gone: bool,
    stopping: bool,
}

impl Default for Waiting {
    fn default() -> Self {
        Self { exit: true, outputs: true, feeding: true, gone: true, stopping: true }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_mistake_of_ours_costs_a_job_its_outcome_and_not_its_end() {
        let mut watching = pin!(async {
            tokio::task::yield_now().await;
            panic!("a mistake");
        });
        let ended = poll_fn(|task| poll_caught(watching.as_mut(), task)).await;
        assert_eq!(ended.outcome, Outcome::Lost(FAILED.to_owned()));
    }
}
