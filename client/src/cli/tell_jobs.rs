//! `wait`, `signal` and `forget`: what is said to jobs, and heard of them, without their streams.

use std::time::Duration;

use common::duration;
use common::job::{JobId, Outcome};
use tokio::time;

use super::args::{ForgetOptions, Options, SignalOptions, WaitOptions};
use super::connection::Connection;
use super::exit_code;
use super::failure::Failure;
use super::line_status::LineStatus;
use super::report::{self, Reporter};
use crate::error::Error;
use crate::{Client, Job};

/// Waits for jobs; the exit code.
pub(crate) async fn wait(options: &Options, wait: &WaitOptions, reporter: &Reporter) -> u8 {
    told(try_wait(options, wait, reporter).await, reporter)
}

/// Sends a signal to a job; the exit code.
pub(crate) async fn signal(options: &Options, signal: &SignalOptions, reporter: &Reporter) -> u8 {
    told(try_signal(options, signal, reporter).await, reporter)
}

/// Has jobs forgotten; the exit code.
pub(crate) async fn forget(options: &Options, forget: &ForgetOptions, reporter: &Reporter) -> u8 {
    told(try_forget(options, forget, reporter).await, reporter)
}

fn told(code: Result<u8, Failure>, reporter: &Reporter) -> u8 {
    code.unwrap_or_else(|failure| {
        reporter.fail(&failure);
        exit_code::FAILED
    })
}

async fn try_wait(options: &Options, wait: &WaitOptions, reporter: &Reporter) -> Result<u8, Failure> {
    let connection = Connection::open(&options.server, reporter.program()).await?;
    let mut status = LineStatus::new(&connection.client, &connection.name, reporter);
    let waiting = status.during(Waiting { client: &connection.client, wait, reporter }.all());
    let code = match wait.timeout {
        Some(limit) => {
            time::timeout(limit, waiting).await.unwrap_or_else(|_| over_time(wait, limit, reporter))
        }
        None => waiting.await,
    };
    connection.end().await;
    Ok(code)
}

fn over_time(wait: &WaitOptions, limit: Duration, reporter: &Reporter) -> u8 {
    let limit = duration::shown(limit);
    let what = match &wait.jobs[..] {
        [job] => format!("job {job} was not over after {limit}, and goes on"),
        jobs => format!("not all of {} jobs were over after {limit}; the others go on", jobs.len()),
    };
    reporter.say(what);
    exit_code::TIMED_OUT
}

struct Waiting<'a> {
    client: &'a Client,
    wait: &'a WaitOptions,
    reporter: &'a Reporter,
}

impl Waiting<'_> {
    /// Waits for all; the code of the last that has failed.
    async fn all(self) -> u8 {
        let mut held = Vec::new();
        // All at first, so that one that is not there is said at once.
        for id in &self.wait.jobs {
            held.push((id, self.client.job(id.clone()).observe().await.map_err(|error| self.refused(error))));
        }
        let mut code = 0;
        for (id, job) in held {
            let ended = match job {
                Ok(job) => self.one(id, &job).await,
                Err(code) => code,
            };
            code = if ended == 0 { code } else { ended };
        }
        code
    }

    async fn one(&self, id: &JobId, job: &Job) -> u8 {
        match job.wait().await {
            Ok(finished) => {
                self.remark(id, &finished.outcome);
                exit_code::of_outcome(&finished.outcome)
            }
            Err(error) => self.refused(error),
        }
    }

    fn remark(&self, id: &JobId, outcome: &Outcome) {
        let alone = self.wait.jobs.len() == 1;
        match outcome {
            Outcome::Exited(0) => {}
            Outcome::Exited(_) if alone => {}
            outcome => self.reporter.say(format_args!("job {id}: {outcome}")),
        }
    }

    fn refused(&self, error: Error) -> u8 {
        self.reporter.say(report::explain(&error));
        exit_code::FAILED
    }
}

async fn try_signal(options: &Options, signal: &SignalOptions, reporter: &Reporter) -> Result<u8, Failure> {
    let connection = Connection::open(&options.server, reporter.program()).await?;
    let mut status = LineStatus::new(&connection.client, &connection.name, reporter);
    let sent = status.during(connection.client.job(signal.job.clone()).signal(signal.signal)).await;
    connection.end().await;
    sent?;
    Ok(0)
}

async fn try_forget(options: &Options, forget: &ForgetOptions, reporter: &Reporter) -> Result<u8, Failure> {
    let connection = Connection::open(&options.server, reporter.program()).await?;
    let mut code = 0;
    for id in &forget.jobs {
        if let Err(error) = connection.client.job(id.clone()).forget().await {
            // The others are forgotten all the same.
            reporter.say(report::explain(&error));
            code = exit_code::FAILED;
        }
    }
    connection.end().await;
    Ok(code)
}
