//! What to run, in the image of `std::process::Command`.

use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use common::job::{
    ByteString, Extras, JobId, OnDisconnect, Outcome, Program, Spec, StartFailure, Terminal, Variable,
};
use common::message::{self, AttachmentId, Start};

use crate::client::Client;
use crate::error::Error;
use crate::hold::Origin;
use crate::job::Job;
use crate::stdin;

/// What a command reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Stdin {
    /// `/dev/null`.
    #[default]
    Null,
    /// What is written to [`Job::stdin`]. A job of this id that was started before has read the same: what it has of it already is not
    /// sent again.
    Piped,
    /// The same, where somebody types it. To a job that was started before it goes behind what was typed then.
    Typed,
}

/// A command to be run on a server; see [`Client::command`] and [`Client::shell`].
#[derive(Debug, Clone)]
pub struct Command<'a> {
    client: &'a Client,
    spec: Spec,
    extras: Extras,
    id: Option<JobId>,
    /// Whether somebody types what it reads.
    typed: bool,
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
        Self { client, spec: Spec::new(program), extras: Extras::default(), id: None, typed: false }
    }

    /// Adds a word to the argv. A shell string and a login shell have no further words; for one, this has no effect.
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
        self.spec.stdin = stdin != Stdin::Null;
        self.typed = stdin == Stdin::Typed;
        self
    }

    /// Runs it on a terminal of its own. All that it writes comes as its stdout then, and what is written to [`Job::stdin`], if it
    /// is given one, is typed. [`Job::resize`] makes the terminal larger or smaller.
    ///
    /// A server that knows no terminals runs nothing, and the job ends with [`Error::TooOld`]; so it is with a login shell.
    pub fn terminal(&mut self, terminal: Terminal) -> &mut Self {
        self.extras.terminal = Some(terminal);
        self
    }

    /// Gives it control descriptors, for a command that is told what to do while it runs. Its descriptor 0 is a pipe that carries
    /// what [`Job::tell`] is given, and what it writes to its descriptor 9 comes as [`Job::control`]. With a
    /// [terminal](Command::terminal), that is its controlling one all the same, and what [`Stdin::Piped`] sends is typed there;
    /// without one, it cannot have that. Nor can it be [supervised](Command::supervised).
    ///
    /// A server that knows no such thing runs nothing, and the job ends with [`Error::TooOld`].
    pub fn control(&mut self, control: bool) -> &mut Self {
        self.extras.control = control;
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

    /// How long the server keeps the job for this client if the line is lost, to the millisecond; a minute unless set. Without
    /// any, a lost connection is not made again.
    pub fn grace(&mut self, grace: Duration) -> &mut Self {
        self.spec.keeping.grace_ms = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
        self
    }

    /// What becomes of the job when this client goes away; [`OnDisconnect::Kill`] unless set.
    pub fn on_disconnect(&mut self, on_disconnect: OnDisconnect) -> &mut Self {
        self.spec.keeping.on_disconnect = on_disconnect;
        self
    }

    /// Whether the job has a supervisor of its own on the server, which outlives the server and keeps the job's output and
    /// outcome for later; not unless set. A job without one is a little faster to start.
    pub fn supervised(&mut self, supervised: bool) -> &mut Self {
        self.spec.keeping.supervised = supervised;
        self
    }

    /// Has the job go on whoever goes away, with its output kept on the server: [`OnDisconnect::Keep`] and
    /// [`Command::supervised`]. [`Job::detach`] then leaves it there.
    pub fn detached(&mut self) -> &mut Self {
        self.on_disconnect(OnDisconnect::Keep).supervised(true)
    }

    /// What the job may have of the machine's memory, in bytes, all its processes together.
    ///
    /// This and the other limits: a server that can impose none of the kind does not start the job, and says so.
    pub fn memory(&mut self, bytes: u64) -> &mut Self {
        self.spec.limits.memory = Some(bytes);
        self
    }

    /// How much processor time the job may take, in per cent of one processor: 150 is one and a half.
    pub fn cpu_percent(&mut self, percent: u32) -> &mut Self {
        self.spec.limits.cpu_percent = Some(percent);
        self
    }

    /// How many processes and threads the job may have at a time.
    pub fn processes(&mut self, count: u32) -> &mut Self {
        self.spec.limits.processes = Some(count);
        self
    }

    /// The job's niceness, -20 to 19 (setpriority(2)).
    pub fn nice(&mut self, nice: i8) -> &mut Self {
        self.spec.limits.nice = Some(nice);
        self
    }

    /// The job's id, instead of a random one. If its owner has started a job of this id before, with the same request, this
    /// attaches to that one and shows what is kept of its output; with another request, it is refused.
    pub fn id(&mut self, id: JobId) -> &mut Self {
        self.id = Some(id);
        self
    }

    /// Asks the server to run it, without waiting for an answer: [`Job::started`] and [`Job::wait`] do.
    ///
    /// # Errors
    /// [`Error::Spec`] and [`Error::TooLong`] for a command that no server could take, [`Error::TooOld`] for one that this server
    /// cannot; the connection's failure.
    pub async fn start(&self) -> Result<Job, Error> {
        self.spec.check()?;
        self.extras.check()?;
        self.extras.check_with(&self.spec)?;
        let id = self.id.clone().map_or_else(JobId::random, Ok)?;
        let extras = self.extras.clone();
        let start = Start::with(id, AttachmentId::random()?, self.spec.clone(), &extras)?;
        message::check_size(&start.clone().say(&extras))?;
        let hold = self.client.router.hold(Origin::Start(Box::new(start), extras, self.typed)).await?;
        if self.spec.stdin {
            // What was started before has its stdin from somebody else until here, or wants none any more.
            let may_be_known = self.id.is_some();
            let hold = Arc::clone(&hold);
            tokio::spawn(async move {
                if !may_be_known || hold.joined().await.is_ok() {
                    stdin::send(hold).await;
                }
            });
        }
        Ok(Job::new(hold, self.spec.stdin, true))
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

    /// Runs it to its end and collects its output. Memory grows with the output. What it reports by control descriptors nobody hears.
    ///
    /// # Errors
    /// As [`Command::start`] and [`Job::wait`].
    pub async fn output(&self) -> Result<Output, Error> {
        let mut job = self.start().await?;
        drop((job.stdin.take(), job.control.take()));
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
        drop((job.stdin.take(), job.control.take()));
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

#[cfg(test)]
mod tests {
    use common::endpoint::{Endpoint, Target};
    use common::job::{Keeping, ResourceLimits};
    use common::transport::Transport;
    use tokio::net::UnixStream;

    use super::*;

    #[tokio::test]
    async fn every_field_of_a_request_can_be_said() {
        let (stream, _peer) = UnixStream::pair().unwrap();
        let target = Target::from(Endpoint::Unix("/socket".into()));
        let client = Client::over(Transport::Unix(stream), &target);
        let mut command = client.command("program");
        command.arg("one").args(["two", "three"]).env("NAME", "value").current_dir("/tmp");
        command.stdin(Stdin::Piped).merge_output(true).wait_output(true).timeout(Duration::from_millis(1500));
        command.memory(1 << 30).cpu_percent(150).processes(200).nice(-5);
        command.grace(Duration::from_secs(7)).on_disconnect(OnDisconnect::Keep).supervised(true);
        let expected = Spec {
            program: Program::Argv(["program", "one", "two", "three"].map(ByteString::from).to_vec()),
            directory: Some("/tmp".into()),
            environment: vec![Variable { name: "NAME".into(), value: "value".into() }],
            stdin: true,
            merge_output: true,
            wait_output: true,
            timeout_ms: Some(1500),
            limits: ResourceLimits {
                memory: Some(1 << 30),
                cpu_percent: Some(150),
                processes: Some(200),
                nice: Some(-5),
            },
            keeping: Keeping { on_disconnect: OnDisconnect::Keep, grace_ms: 7000, supervised: true },
        };
        assert_eq!(command.spec, expected);
        let terminal = Terminal { name: "xterm".into(), ..Terminal::default() };
        command.terminal(terminal.clone()).control(true);
        assert_eq!(command.extras, Extras { terminal: Some(terminal), control: true });
        assert_eq!(client.login_shell().spec, Spec::new(Program::LoginShell));
        let mut detached = client.shell("true");
        detached.detached();
        let kept = Keeping { on_disconnect: OnDisconnect::Keep, supervised: true, ..Keeping::default() };
        assert_eq!(detached.spec, Spec { keeping: kept, ..Spec::new(Program::Shell("true".into())) });
    }
}
