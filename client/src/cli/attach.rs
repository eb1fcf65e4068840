//! `attach`: goes on with a job as if `run` had started it here.

use common::frame::StreamId;
use common::job::{JobId, WindowSize};
use rustix::stdio::{stdin, stdout};
use rustix::termios::isatty;

use super::args::{AttachOptions, Beginning, Options};
use super::call::{Call, tell_last};
use super::connection::Connection;
use super::exit_code;
use super::failure::Failure;
use super::input::Input;
use super::json::{Event, Narrator};
use super::report::Reporter;
use super::signals::Signals;
use super::terminal::{self, Entry, Traces};
use crate::error::Error;
use crate::{From, Job, KnownJob, Position, repl};

/// How much of what was written last is looked at for what is switched on. What full-screen programs have been writing for longer
/// than that is not worth the time that it would take.
const LOOKED_AT: u64 = 256 * 1024;

/// A job's terminal, and how far its output had come when that was asked.
#[derive(Debug, Clone, Copy)]
struct RemoteTerminal {
    size: WindowSize,
    end: u64,
}

/// What is attached to.
enum Found {
    Job(Box<Held>),
    /// The shell of a prompt, which comes back with it.
    Prompt(JobId),
}

/// A job that this client has from now on, and what that is to have here.
pub(crate) struct Held {
    job: Job,
    input: Input,
    terminal: Option<Entry>,
}

/// Attaches to the job; the exit code.
pub(crate) async fn attach(options: &Options, attach: &AttachOptions, reporter: &Reporter) -> u8 {
    let narrator = attach.shown.json.then(Narrator::new);
    let failure = match find(options, attach, reporter).await {
        Ok((connection, Found::Prompt(id))) => {
            match Box::pin(repl::resume(options, connection, id, reporter)).await {
                Ok(code) => return code,
                Err(failure) => failure,
            }
        }
        Ok((connection, Found::Job(held))) => match signals(attach, &held) {
            Ok(mut signals) => {
                let call = held.call(&connection, attach, &mut signals, reporter);
                let called = call.follow(narrator).await;
                connection.part(called.parting).await;
                return called.code;
            }
            Err(failure) => failure,
        },
        Err(failure) => failure,
    };
    reporter.fail(&failure);
    tell_last(narrator, &Event::Error { message: failure.to_string() }).await;
    exit_code::FAILED
}

/// Who only looks on leaves as any program does, unless there is something to be put right then.
fn signals(attach: &AttachOptions, held: &Held) -> Result<Signals, Failure> {
    if attach.read_only && held.terminal.is_none() { Ok(Signals::none()) } else { Signals::install() }
}

async fn find(
    options: &Options,
    attach: &AttachOptions,
    reporter: &Reporter,
) -> Result<(Connection, Found), Failure> {
    // Before anything else: what cannot be read is said before the server is asked.
    let own = Held::own(attach)?;
    let connection = Connection::open(&options.server, reporter.program()).await?;
    if let Some(id) = prompt(&connection, attach).await {
        return Ok((connection, Found::Prompt(id)));
    }
    match Held::take(&connection, attach, own, reporter).await {
        Ok(held) => Ok((connection, Found::Job(Box::new(held)))),
        Err(failure) => {
            connection.end().await;
            Err(failure)
        }
    }
}

impl Held {
    /// What there is here for the job to read.
    ///
    /// # Errors
    /// [`Failure::Input`].
    pub(crate) fn own(attach: &AttachOptions) -> Result<Input, Failure> {
        if attach.no_stdin || attach.read_only { Ok(Input::Nothing) } else { Input::own() }
    }

    /// Becomes the client of the job, which gets `own` to read unless it has the terminal.
    ///
    /// # Errors
    /// [`Failure`].
    pub(crate) async fn take(
        connection: &Connection,
        attach: &AttachOptions,
        own: Input,
        reporter: &Reporter,
    ) -> Result<Self, Failure> {
        let (job, terminal) = take_hold(connection.client.job(attach.job.clone()), attach, reporter).await?;
        let input = if terminal.is_some_and(|terminal| terminal.keys) { Input::own_keys()? } else { own };
        Ok(Self { job, input, terminal })
    }

    /// It in the foreground.
    pub(crate) fn call<'a>(
        self,
        connection: &'a Connection,
        attach: &'a AttachOptions,
        signals: &'a mut Signals,
        reporter: &'a Reporter,
    ) -> Call<'a> {
        let Self { job, input, terminal } = self;
        Call {
            connection,
            job,
            input,
            stdin_began: 0,
            signals,
            shown: &attach.shown,
            timeout: None,
            late: beginning(attach, terminal.as_ref()) == Beginning::Oldest,
            read_only: attach.read_only,
            terminal,
            reporter,
        }
    }
}

/// The shell of a prompt, if that is what is meant, and there is somebody to be prompted. A server that does not say is asked for a job.
async fn prompt(connection: &Connection, attach: &AttachOptions) -> Option<JobId> {
    let is_plain = !attach.shown.json && !attach.read_only && !attach.no_stdin && attach.from.is_none();
    if !is_plain || !repl::is_possible() {
        return None;
    }
    let listed = connection.client.jobs(false).await.ok()?;
    let mut meant = listed.iter().filter(|job| job.id.as_str().starts_with(attach.job.as_str()));
    let first = meant.next().filter(|job| repl::is_shell(job));
    first.filter(|_| meant.next().is_none()).map(|job| job.id.clone())
}

async fn take_hold(
    known: KnownJob<'_>,
    attach: &AttachOptions,
    reporter: &Reporter,
) -> Result<(Job, Option<Entry>), Error> {
    let is_shown = !attach.shown.json && (isatty(stdin()) || isatty(stdout()));
    let remote = if is_shown { remote_terminal(&known).await? } else { None };
    let entry = remote.map(|_| Entry {
        keys: !attach.no_stdin && !attach.read_only && isatty(stdin()),
        resizes: !attach.read_only,
        told: None,
        traces: Traces::default(),
    });
    if attach.read_only {
        if let Some(remote) = remote {
            say_if_it_does_not_fit(remote.size, reporter);
        }
        return Ok((known.follow(from(beginning(attach, entry.as_ref()))).await?, entry));
    }
    if let (Some(entry), Some(remote), None) = (entry, remote, attach.from)
        && entry.keys
        && let Some((traces, end)) = switched_on(&known, remote.end).await
    {
        let from = From::Each { stdout: Position::At(end), stderr: Position::Newest };
        return Ok((known.attach(from).await?, Some(Entry { traces, ..entry })));
    }
    Ok((known.attach(from(beginning(attach, entry.as_ref()))).await?, entry))
}

/// Asks for the terminal that a job runs on; `None` if there is none, or the job is over.
async fn remote_terminal(known: &KnownJob<'_>) -> Result<Option<RemoteTerminal>, Error> {
    let job = known.clone().only(StreamId::Stdout).read(From::Newest).await?;
    match job.wait().await {
        // What there is to be read has been, and so all has been said.
        Err(Error::Closed) => {}
        Ok(_) => return Ok(None),
        Err(error) => return Err(error),
    }
    Ok(job.terminal().map(|size| RemoteTerminal { size, end: job.began().stdout }))
}

/// What a job's programs have switched on in an emulator, and up to where that is known; `None` if nobody knows.
async fn switched_on(known: &KnownJob<'_>, end: u64) -> Option<(Traces, u64)> {
    let from = Position::At(end.saturating_sub(LOOKED_AT));
    let last = From::Each { stdout: from, stderr: Position::Newest };
    let mut job = known.clone().only(StreamId::Stdout).read(last).await.ok()?;
    let mut output = job.stdout.take()?;
    let (mut traces, mut at) = (Traces::default(), end.saturating_sub(LOOKED_AT));
    while let Some((offset, bytes)) = output.next_at().await {
        traces.see(&bytes);
        at = offset + bytes.len() as u64;
    }
    Some((traces, at))
}

fn say_if_it_does_not_fit(theirs: WindowSize, reporter: &Reporter) {
    let Some(ours) = terminal::size() else { return };
    let [theirs, ours] = [theirs, ours].map(|size| (size.rows, size.columns));
    if theirs != ours {
        reporter.remark(format_args!(
            "its terminal has {} rows of {} columns, and this one {} of {}: what it shows may look broken",
            theirs.0, theirs.1, ours.0, ours.1
        ));
    }
}

/// From where its output is wanted. Where it can be painted anew, what was painted before is not.
fn beginning(attach: &AttachOptions, terminal: Option<&Entry>) -> Beginning {
    let usual =
        if terminal.is_some_and(|terminal| terminal.keys) { Beginning::Now } else { Beginning::Oldest };
    attach.from.unwrap_or(usual)
}

/// A number is one of stdout's; where stderr was then, nobody knows.
fn from(beginning: Beginning) -> From {
    match beginning {
        Beginning::Oldest => From::Oldest,
        Beginning::Now => From::Newest,
        Beginning::At(offset) => From::Each { stdout: Position::At(offset), stderr: Position::Oldest },
    }
}
