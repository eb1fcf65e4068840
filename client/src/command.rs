//! What to run, in the image of `std::process::Command`.

use std::ffi::OsStr;
use std::path::Path;
use std::time::Duration;

use common::job::{ByteString, JobId, Outcome, Program, Spec, StartFailure, Variable};
use common::message::{self, ClientMessage};

use crate::client::Client;
use crate::error::Error;
use crate::job::Job;

/// What a command reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Stdin {
    /// `/dev/null`.
    #[default]
    Null,
    /// What is written to [`Job::stdin`].
    Piped,
}

/// A command to be run on a server; see [`Client::command`] and [`Client::shell`].
#[derive(Debug, Clone)]
pub struct Command<'a> {
    client: &'a Client,
    spec: Spec,
    id: Option<JobId>,
}

/// What a command wrote, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// What became of it.
    pub outcome: Outcome,
    /// All of its stdout.
    pub stdout: Vec<u8>,
    /// All of its stderr.
    pub stderr: Vec<u8>,
}

impl<'a> Command<'a> {
    pub(crate) fn new(client: &'a Client, program: Program) -> Self {
        Self { client, spec: Spec::new(program), id: None }
    }

    /// Adds a word to the argv. A shell string has no further words; for one, this has no effect.
    pub fn arg(&mut self, word: impl AsRef<OsStr>) -> &mut Self {
        if let Program::Argv(words) = &mut self.spec.program {
            words.push(ByteString::from(word.as_ref()));
        }
        self
    }

    /// Adds words to the argv, as [`Command::arg`] does.
    pub fn args<W: AsRef<OsStr>>(&mut self, words: impl IntoIterator<Item = W>) -> &mut Self {
        for word in words {
            self.arg(word);
        }
        self
    }

    /// Sets a variable on top of the server's own clean environment. The value travels in the request, not in an
    /// argv that others could see.
    pub fn env(&mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> &mut Self {
        let (name, value) = (ByteString::from(name.as_ref()), ByteString::from(value.as_ref()));
        self.spec.environment.push(Variable { name, value });
        self
    }

    /// Runs it in `directory`; a relative one counts from the home directory.
    pub fn current_dir(&mut self, directory: impl AsRef<Path>) -> &mut Self {
        self.spec.directory = Some(ByteString::from(directory.as_ref().as_os_str()));
        self
    }

    /// What it reads; [`Stdin::Null`] unless set.
    pub fn stdin(&mut self, stdin: Stdin) -> &mut Self {
        self.spec.stdin = stdin == Stdin::Piped;
        self
    }

    /// The server ends the job after this long, counted from its start, to the millisecond.
    pub fn timeout(&mut self, timeout: Duration) -> &mut Self {
        self.spec.timeout_ms = Some(u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX));
        self
    }

    /// Sends stderr through the same pipe as stdout, in the order in which both were written.
    pub fn merge_output(&mut self, merge: bool) -> &mut Self {
        self.spec.merge_output = merge;
        self
    }

    /// Waits for every process that holds the output open, not only for the command itself.
    pub fn wait_output(&mut self, wait: bool) -> &mut Self {
        self.spec.wait_output = wait;
        self
    }

    /// The job's id, instead of a random one.
    pub fn id(&mut self, id: JobId) -> &mut Self {
        self.id = Some(id);
        self
    }

    /// Asks the server to run it, without waiting for an answer: [`Job::started`] and [`Job::wait`] do.
    ///
    /// # Errors
    /// [`Error::Spec`] and [`Error::TooLong`] for a command that no server could take; the connection's failure.
    pub async fn start(&self) -> Result<Job, Error> {
        self.spec.check()?;
        let id = self.id.clone().map_or_else(JobId::random, Ok)?;
        let request = ClientMessage::Start { id: id.clone(), spec: self.spec.clone() };
        message::check_size(&request)?;
        let shared = self.client.router.start(request).await?;
        Ok(Job::new(id, shared, self.spec.stdin))
    }

    /// Runs it; returns once the command runs on the server or has failed to: then [`Job::wait`] says why.
    ///
    /// # Errors
    /// As [`Command::start`], and whatever happens to the connection until the answer.
    pub async fn spawn(&self) -> Result<Job, Error> {
        let job = self.start().await?;
        job.started().await?;
        Ok(job)
    }

    /// Runs it to its end and collects its output. Memory grows with the output.
    ///
    /// # Errors
    /// As [`Command::start`] and [`Job::wait`].
    pub async fn output(&self) -> Result<Output, Error> {
        let mut job = self.start().await?;
        drop(job.stdin.take());
        let (mut stdout, mut stderr) = (job.stdout.take(), job.stderr.take());
        let (stdout, stderr) = tokio::join!(read_all(&mut stdout), read_all(&mut stderr));
        let outcome = job.wait().await?.outcome;
        Ok(Output { outcome, stdout, stderr })
    }

    /// Runs it to its end and drops its output.
    ///
    /// # Errors
    /// As [`Command::start`] and [`Job::wait`].
    pub async fn status(&self) -> Result<Outcome, Error> {
        let mut job = self.start().await?;
        drop(job.stdin.take());
        let (mut stdout, mut stderr) = (job.stdout.take(), job.stderr.take());
        tokio::join!(drain(&mut stdout), drain(&mut stderr));
        Ok(job.wait().await?.outcome)
    }
}

impl Output {
    /// Why the command never ran, if it did not.
    pub fn start_failure(&self) -> Option<&StartFailure> {
        match &self.outcome {
            Outcome::NotStarted(failure) => Some(failure),
            _ => None,
        }
    }
}

async fn read_all(stream: &mut Option<crate::JobOutput>) -> Vec<u8> {
    match stream {
        Some(stream) => stream.read_to_end().await,
        None => Vec::new(),
    }
}

async fn drain(stream: &mut Option<crate::JobOutput>) {
    if let Some(stream) = stream {
        while stream.next().await.is_some() {}
    }
}
