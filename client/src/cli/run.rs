//! `run`: one command, as if it were this program.

mod request;

use std::future::Future;
use std::io;
use std::pin::pin;
use std::thread;
use std::time::Duration;

use common::job::{JobId, Outcome, Signal};
use tokio::{task, time};

use super::args::{Options, RunOptions};
use super::connection::Connection;
use super::exit_code;
use super::failure::Failure;
use super::foreground::{Ending, attend, ends_us};
use super::input::Input;
use super::json::{Ended, Event, Narrator};
use super::output::{Relayed, Streams};
use super::report::{self, Reporter};
use super::signals::Signals;
use crate::error::Error;
use crate::{Finished, Job};

/// How long the last event may take when the user or a failure has ended the call: stdout may be what is stuck.
const LAST_EVENT: Duration = Duration::from_millis(200);

const CUT_SHORT: &str = "the command is over, but not all of its output is written";

const LEFT_OPEN: &str = "a background process still holds the output open; \
     what it writes from now on is not shown (--wait-output waits)";

/// Runs the command; the exit code.
pub(crate) async fn run(options: &Options, run: &RunOptions, reporter: &Reporter) -> u8 {
    let narrator = run.json.then(Narrator::new);
    match Call::start(options, run, reporter.program()).await {
        Ok(call) => call.follow(run, narrator, reporter).await,
        Err(failure) => {
            reporter.say(&failure);
            tell_last(narrator, &Event::Error { message: failure.to_string() }).await;
            exit_code::FAILED
        }
    }
}

/// A command that the server has been asked to run, and all that belongs to it here.
struct Call {
    connection: Connection,
    job: Job,
    input: Input,
    signals: Signals,
}

impl Call {
    async fn start(options: &Options, run: &RunOptions, program: &str) -> Result<Self, Failure> {
        let variables = request::variables(run)?;
        let input = request::input(run)?;
        let connection = Connection::open(options, program).await?;
        let started = request::command(&connection.client, run, variables, &input).start().await;
        // The request leaves now, and the rest is done while the server is busy; one on this machine may need our
        // processor for that. A signal that comes before the handlers ends us, and so the job.
        task::yield_now().await;
        thread::yield_now();
        match started {
            Ok(job) => Ok(Self { connection, job, input, signals: Signals::install()? }),
            Err(error) => {
                connection.end().await;
                Err(error.into())
            }
        }
    }

    async fn follow(mut self, run: &RunOptions, narrator: Option<Narrator>, reporter: &Reporter) -> u8 {
        let streams = Streams::take(&mut self.job);
        let stdin = self.job.stdin.take();
        let output = relay(&self.job, narrator.as_ref(), streams);
        let ending =
            attend(&self.connection.client, &self.job, output, self.input.feed(stdin), &mut self.signals)
                .await;
        match ending {
            Ending::Over { result: Ok(finished), relayed, signal } => {
                if report::outcome(&finished, None, false).is_some() {
                    report::end_echo(signal);
                }
                self.finish(run, &finished, relayed, narrator, reporter).await
            }
            Ending::Over { result: Err(error), signal, .. } => {
                report::end_echo(signal);
                self.lose(error, narrator, reporter).await
            }
            Ending::Left => {
                let id = self.job.id();
                report::end_echo(Some(Signal::INT));
                reporter.say(format_args!(
                    "interrupted twice: leaving job {id} to the server, which ends it (HUP, TERM after 1 s, KILL after 10 s)"
                ));
                self.abandon(narrator).await;
                exit_code::INTERRUPTED
            }
            Ending::Unanswered(signal) => {
                report::end_echo(Some(signal));
                reporter.say(format_args!(
                    "the server does not answer: leaving job {}, which it ends if it still can",
                    self.job.id()
                ));
                self.abandon(narrator).await;
                exit_code::of_signal(signal)
            }
            Ending::CutShort { result, signal } => {
                report::end_echo(Some(signal));
                reporter.say(CUT_SHORT);
                if let Ok(finished) = result {
                    self.input.settle(finished.stdin_consumed);
                    tell_last(narrator, &Event::Ended(Ended::reported(self.job.id(), &finished))).await;
                }
                self.connection.end().await;
                exit_code::of_signal(signal)
            }
            Ending::Broken(failure) => {
                reporter.say(&failure);
                self.abandon(narrator).await;
                exit_code::FAILED
            }
        }
    }

    async fn finish(
        mut self,
        run: &RunOptions,
        finished: &Finished,
        relayed: Relayed,
        narrator: Option<Narrator>,
        reporter: &Reporter,
    ) -> u8 {
        self.input.settle(finished.stdin_consumed);
        let event = Event::Ended(Ended::reported(self.job.id(), finished));
        match unless_signaled(&mut self.signals, tell(narrator, &event)).await {
            Ok(Ok(())) => {}
            Ok(Err(failure)) => {
                reporter.say(&failure);
                return exit_code::FAILED;
            }
            Err(signal) => {
                report::end_echo(Some(signal));
                reporter.say(CUT_SHORT);
                return exit_code::of_signal(signal);
            }
        }
        let going_away = self.connection.client.is_going_away();
        remark(run, finished, relayed, going_away, reporter);
        self.connection.end().await;
        exit_code::of_outcome(&finished.outcome)
    }

    async fn lose(self, error: Error, narrator: Option<Narrator>, reporter: &Reporter) -> u8 {
        let id = self.job.id();
        if error.never_ran() {
            let failure = Failure::Client(error);
            reporter.say(&failure);
            tell_last(narrator, &Event::Error { message: failure.to_string() }).await;
        } else {
            let failure = Failure::lost(&self.job, error).await;
            reporter.say(&failure);
            tell_last(narrator, &Event::Ended(Ended::lost(id, failure.to_string()))).await;
        }
        self.connection.end().await;
        exit_code::FAILED
    }

    /// Leaves a job that is not known to be over, and asks the server to end it.
    async fn abandon(self, narrator: Option<Narrator>) {
        let id: JobId = self.job.id().clone();
        // Dropping a job cancels it.
        drop(self.job);
        tell_last(narrator, &Event::Ended(Ended::cancelled(&id))).await;
        self.connection.close().await;
    }
}

async fn relay(job: &Job, narrator: Option<&Narrator>, streams: Streams) -> Result<Relayed, Failure> {
    let Some(narrator) = narrator else { return streams.relay().await };
    // A job that never starts, and a lost connection, are told at the end.
    if let Ok(Some(process_id)) = job.started().await {
        let told = narrator.tell(&Event::Started { id: job.id(), process_id }).await;
        let relayed = super::output::reader_gone(told, "stdout")?;
        if relayed.reader_gone {
            return Ok(relayed);
        }
    }
    narrator.relay(streams).await
}

async fn tell(narrator: Option<Narrator>, event: &Event<'_>) -> Result<(), Failure> {
    let Some(narrator) = narrator else { return Ok(()) };
    let told: io::Result<()> = async {
        narrator.tell(event).await?;
        narrator.finish().await
    }
    .await;
    super::output::reader_gone(told, "stdout").map(drop)
}

/// Tells the last event of a call that has failed, for which nothing more can be done.
async fn tell_last(narrator: Option<Narrator>, event: &Event<'_>) {
    time::timeout(LAST_EVENT, tell(narrator, event)).await.ok();
}

/// What `future` comes to, unless a signal comes first that would have ended a program that does not pass it on.
async fn unless_signaled<T>(signals: &mut Signals, future: impl Future<Output = T>) -> Result<T, Signal> {
    let mut future = pin!(future);
    loop {
        tokio::select! {
            biased;
            done = &mut future => return Ok(done),
            signal = signals.next() => {
                if ends_us(signal) {
                    return Err(signal);
                }
            }
        }
    }
}

/// Says what the exit code does not tell a person.
fn remark(run: &RunOptions, finished: &Finished, relayed: Relayed, going_away: bool, reporter: &Reporter) {
    let outcome = &finished.outcome;
    let sentence = report::outcome(finished, run.timeout, going_away);
    // A local pipeline does not speak of a writer whose reader has gone.
    let expected = matches!(outcome, Outcome::Signaled { signal: Signal::PIPE, .. }) && relayed.reader_gone;
    match (sentence, outcome) {
        (None, _) => {}
        (Some(_), _) if expected => {}
        (Some(sentence), Outcome::Signaled { .. } | Outcome::TimedOut) => reporter.remark(sentence),
        (Some(sentence), _) => reporter.say(sentence),
    }
    if finished.output_left_open {
        reporter.remark(LEFT_OPEN);
    }
}
