//! `run`: one command, as if it were this program, or left to the server.

mod request;

use std::io::{self, Write};
use std::thread;

use tokio::task;

use super::args::{Options, RunOptions};
use super::call::{Call, tell_last};
use super::connection::Connection;
use super::exit_code;
use super::failure::Failure;
use super::input::Input;
use super::json::{Event, Narrator};
use super::report::{self, Reporter};
use super::signals::Signals;
use super::terminal::{Entry, Traces};
use crate::{Job, Stdin};

/// Runs the command; the exit code.
pub(crate) async fn run(options: &Options, run: &RunOptions, reporter: &Reporter) -> u8 {
    if run.detach {
        return detach(options, run, reporter).await.unwrap_or_else(|failure| {
            reporter.fail(&failure);
            exit_code::FAILED
        });
    }
    let narrator = run.shown.json.then(Narrator::new);
    let (connection, started) = match start(options, run, reporter).await {
        Ok(started) => started,
        Err(failure) => {
            reporter.fail(&failure);
            tell_last(narrator, &Event::Error { message: failure.to_string() }).await;
            return exit_code::FAILED;
        }
    };
    let Started { job, input, mut signals, terminal } = started;
    let call = Call {
        connection: &connection,
        job,
        input,
        stdin_began: 0,
        signals: &mut signals,
        shown: &run.shown,
        timeout: run.timeout,
        // Only what has a name can have been started before.
        late: run.id.is_some(),
        read_only: false,
        terminal,
        reporter,
    };
    let called = call.follow(narrator).await;
    connection.part(called.parting).await;
    called.code
}

/// A command that was asked for, and what it is to have here.
struct Started {
    job: Job,
    input: Input,
    signals: Signals,
    terminal: Option<Entry>,
}

async fn start(
    options: &Options,
    run: &RunOptions,
    reporter: &Reporter,
) -> Result<(Connection, Started), Failure> {
    let variables = request::variables(run)?;
    let terminal = request::terminal(run, reporter);
    let input = request::input(run, terminal.is_some())?;
    let is_typed = input.mode() == Stdin::Typed;
    let connection = Connection::open(&options.server, reporter.program()).await?;
    let started =
        request::command(&connection.client, run, variables, input.mode(), terminal.as_ref()).start().await;
    // The request leaves now, and the rest is done while the server is busy; one on this machine may need our
    // processor for that. A signal that comes before the handlers ends us, and so the job.
    task::yield_now().await;
    thread::yield_now();
    match started {
        Ok(job) => {
            let terminal = terminal.map(|terminal| Entry {
                keys: is_typed,
                resizes: true,
                told: Some(terminal.size).filter(|_| run.id.is_none()),
                traces: Traces::default(),
            });
            Ok((connection, Started { job, input, signals: Signals::install()?, terminal }))
        }
        Err(error) => {
            connection.end().await;
            Err(error.into())
        }
    }
}

/// Runs the command, and leaves it to the server once it runs.
async fn detach(options: &Options, run: &RunOptions, reporter: &Reporter) -> Result<u8, Failure> {
    let variables = request::variables(run)?;
    let terminal = request::terminal(run, reporter);
    // Whoever attaches to it may type.
    let stdin = if terminal.is_some() && !run.no_stdin { Stdin::Typed } else { Stdin::Null };
    let connection = Connection::open(&options.server, reporter.program()).await?;
    let job =
        match request::command(&connection.client, run, variables, stdin, terminal.as_ref()).start().await {
            Ok(job) => job,
            Err(error) => {
                connection.end().await;
                return Err(error.into());
            }
        };
    let code = match job.started().await {
        Ok(Some(_)) => name(job),
        Ok(None) => Ok(not_started(&job, run, reporter).await),
        Err(error) if error.never_ran() => Err(error.into()),
        Err(error) => {
            let come_back = connection.come_back(reporter.program(), job.id());
            let failure = Failure::lost(&job, error, &come_back).await;
            job.leave();
            Err(failure)
        }
    };
    connection.close().await;
    code
}

/// Leaves a job that runs, and says which it is.
fn name(job: Job) -> Result<u8, Failure> {
    let id = job.leave();
    match writeln!(io::stdout(), "{id}") {
        Ok(()) => Ok(0),
        Err(error) => Err(Failure::Unnamed { id, error }),
    }
}

async fn not_started(job: &Job, run: &RunOptions, reporter: &Reporter) -> u8 {
    match job.wait().await {
        Ok(finished) => {
            if let Some(sentence) = report::outcome(&finished, run.timeout, false) {
                reporter.say(sentence);
            }
            exit_code::of_outcome(&finished.outcome)
        }
        Err(error) => {
            reporter.say(report::explain(&error));
            exit_code::FAILED
        }
    }
}
