//! `:fg` at work: a job of the server's in the foreground of this prompt, as `client attach` has it, and back.

use common::job::JobId;

use super::source::Source;
use super::{Next, Stop, Work};
use crate::cli::args::{AttachOptions, Shown};
use crate::cli::attach::Held;
use crate::cli::exit_code;
use crate::cli::failure::Failure;
use crate::cli::foreground::unless_signaled;
use crate::cli::{jobs, report};
use crate::repl::is_shell;
use crate::repl::session::line_status;
use crate::{JobState, JobSummary};

/// What is meant by `:fg`.
enum Meant {
    Job(JobId),
    /// None, and why.
    None(String),
    /// One of these.
    OneOf(Vec<JobSummary>),
}

impl Work<'_> {
    /// Stays with the job that is `wanted`, or else the only one that runs, until it is over or left.
    pub(super) async fn attach(&mut self, wanted: Option<&JobId>) -> Result<Next, Stop> {
        let connection = &self.session.connection;
        let mut status = line_status(connection, self.reporter).in_plain_words();
        let listed = unless_signaled(&mut self.signals, status.during(connection.client.jobs(false))).await;
        let listed = match listed {
            Ok(Ok(listed)) => listed,
            Ok(Err(error)) => return Ok(self.not_attached(report::explain(&error))),
            Err(signal) => {
                report::end_echo(Some(signal));
                self.done(exit_code::of_signal(signal));
                return Ok(self.after(Some(signal)));
            }
        };
        match self.meant(wanted, listed) {
            Meant::Job(id) => self.attach_to(id).await,
            Meant::None(why) => Ok(self.not_attached(why)),
            Meant::OneOf(jobs) => {
                self.show(&jobs::list(jobs))?;
                Ok(self.not_attached("which of these jobs? (:fg ID; the beginning of its id is enough)"))
            }
        }
    }

    /// A job that is not among the `listed` may be over, and have something to say all the same.
    fn meant(&self, wanted: Option<&JobId>, listed: Vec<JobSummary>) -> Meant {
        let begins = |job: &JobSummary, id: &JobId| job.id.as_str().starts_with(id.as_str());
        let Some(id) = wanted else {
            let runs = |job: &JobSummary| !matches!(job.state, JobState::Over { .. }) && !is_shell(job);
            let mut jobs: Vec<_> = listed.into_iter().filter(runs).collect();
            return match jobs.len() {
                0 => Meant::None(format!(
                    "no job of yours runs at {} but shells of prompts",
                    self.session.name()
                )),
                1 => jobs.pop().map_or_else(|| Meant::OneOf(Vec::new()), |job| Meant::Job(job.id)),
                _ => Meant::OneOf(jobs),
            };
        };
        let shell = listed.iter().find(|job| is_shell(job) && begins(job, id));
        match shell {
            Some(job) if job.id == *self.session.shell.job().id() => {
                Meant::None("that is the shell of this prompt".to_owned())
            }
            Some(job) => Meant::None(format!(
                "job {} is the shell of another prompt; `{}` comes back to that",
                job.id,
                self.session.connection.come_back(self.reporter.program(), &job.id)
            )),
            None => Meant::Job(id.clone()),
        }
    }

    async fn attach_to(&mut self, job: JobId) -> Result<Next, Stop> {
        let attach = AttachOptions {
            job,
            read_only: false,
            from: None,
            // Of a script, stdin is the lines that come next.
            no_stdin: self.source != Source::Terminal,
            shown: Shown::default(),
        };
        let connection = &self.session.connection;
        let mut status = line_status(connection, self.reporter).in_plain_words();
        let held = async { Held::take(connection, &attach, Held::own(&attach)?, self.reporter).await };
        let called = match unless_signaled(&mut self.signals, status.during(held)).await {
            Ok(Ok(held)) => {
                held.call(connection, &attach, &mut self.signals, self.reporter).follow(None).await
            }
            Ok(Err(Failure::Client(error))) => return Ok(self.not_attached(report::explain(&error))),
            Ok(Err(failure)) => return Ok(self.not_attached(failure)),
            Err(signal) => {
                report::end_echo(Some(signal));
                self.done(exit_code::of_signal(signal));
                return Ok(self.after(Some(signal)));
            }
        };
        self.done(called.code);
        Ok(self.after(called.signal))
    }

    fn not_attached(&mut self, why: impl std::fmt::Display) -> Next {
        self.complain(why);
        self.done(exit_code::FAILED);
        self.after(None)
    }
}
