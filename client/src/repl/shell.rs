//! The session's shell on the server: one for as long as the session lasts, so that whatever lasts in a shell lasts.
//!
//! - `start.sh`: becomes that shell, there
//! - `dialogue`: what it is told and what its answers mean; pure
//! - `names`: what it knows by name, for completion
//! - `reports`: its answers, put together from records
//! - `output`: what its commands write
//!
//! Commands and answers travel beside the terminal, on descriptors that the commands do not have; nothing is looked for in the output.
//! Does not print on its own account and decides on no exit code.

mod dialogue;
mod names;
mod output;
mod reports;

use std::cell::Cell;
use std::ffi::OsStr;
use std::io;
use std::pin::pin;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use common::job::{ByteString, JobId, Outcome, Signal, StartFailure, WindowSize};
use tokio::sync::watch;
use tokio::time;

use self::dialogue::{BOOT, Dialogue, Heard, Said};
pub(crate) use self::dialogue::{Kind, Mode, PROMPT, Prompt};
pub(crate) use self::names::Names;
use self::output::Output;
pub(crate) use self::output::{Hand, Written};
use self::reports::Reports;
use crate::cli::detach_keys::DetachKeys;
use crate::cli::failure::Failure;
use crate::cli::foreground::{End, Ending, Hands, OnTerminal, attend};
use crate::cli::input::Typed;
use crate::cli::line_status::LineStatus;
use crate::cli::output::Relayed;
use crate::cli::signals::Signals;
use crate::cli::terminal::{self, Controls, Entry, EscapeKey, Traces};
use crate::error::Error;
use crate::repl::recording::Recorder;
use crate::{Client, Finished, From, Job, JobOutput, JobStdin, Offsets, Stdin};

const START: &str = include_str!("shell/start.sh");

/// How long a shell may take to come up, its own files included.
const COME_UP: Duration = Duration::from_secs(15);

/// How long it may take to say what was typed ahead, or which jobs it has.
const ASIDE: Duration = Duration::from_secs(2);

/// How long the server may take to say that it keeps it.
const KEEP: Duration = Duration::from_secs(5);

/// How long it may take to end once it was told to.
const LEAVE: Duration = Duration::from_secs(5);

/// What was typed and not read by the command: whatever the terminal has, line or not, which then has it no more.
const TYPED: &str = "__telex_modes=$(command stty -g <&7); command stty -icanon -echo min 0 time 0 <&7; \
     { $__telex_by printf T; command dd bs=4096 count=3 2>/dev/null <&7 | command tr -d '\\0'; $__telex_by printf '\\0'; } >&9; \
     command stty \"$__telex_modes\" <&7";

/// Its jobs, one on a line. Not in a subshell, where some shells know of none.
const JOBS: &str = "{ $__telex_by printf J; $__telex_by jobs; $__telex_by printf '\\0'; } >&9";

/// What it knows by name, also where the user has said `set -e`.
const NAMES: &str = "__telex_names || :";

/// The shell of a session.
#[derive(Debug)]
pub(crate) struct Shell {
    job: Job,
    voice: Voice,
    stdin: Option<JobStdin>,
    output: Output,
    mode: Mode,
    /// The size that its terminal has.
    size: Option<WindowSize>,
    /// Bytes that were typed into its terminal.
    typed: u64,
}

/// The terminal here, given to the shell for as long as this lasts.
#[derive(Debug)]
pub(crate) struct AtTerminal {
    controls: Option<Controls>,
    typing: Typed,
}

impl AtTerminal {
    /// Gives it to `shell`, whose own gets its size.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn enter(shell: &mut Shell, escape: EscapeKey) -> io::Result<Self> {
        if let Some(size) = terminal::size() {
            shell.resize(size);
        }
        let entry = Entry { keys: true, resizes: true, told: shell.size, traces: Traces::default() };
        let controls = Controls::enter(&entry, escape, &DetachKeys::none())?;
        let typing = Typed::own(&controls.sieve())?;
        Ok(Self { controls: Some(controls), typing })
    }
}

/// Its answers, on their way here.
#[derive(Debug)]
struct Voice {
    control: JobOutput,
    reports: Reports,
    dialogue: Dialogue,
    kind: Kind,
    /// What it has said so far of what it knows.
    names: Names,
}

/// What the shell is to do.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Task<'a> {
    /// Run this line, which has no NUL.
    Run(&'a [u8]),
    /// Come to the end of what another prompt has had it do.
    Finish,
}

/// How a line has ended.
#[derive(Debug)]
pub(crate) enum LineEnd {
    /// The shell waits for the next one.
    Ready(Prompt),
    /// The shell is over, or nobody here can know any more.
    Over(Result<Finished, Error>),
    /// The shell says what no shell of ours says.
    Garbled,
}

impl End for LineEnd {
    fn is_by_itself(&self) -> bool {
        // From 129 on it says that a signal has ended a command (POSIX, 2.8.2).
        matches!(self, Self::Ready(Prompt { status: ..=128, .. }))
    }
}

/// Something that the shell has answered.
enum Answer {
    Ready(Prompt, Offsets),
    Typed(Vec<u8>),
    Jobs(Vec<u8>),
    Names(Names),
}

impl Shell {
    /// Starts the user's own or the one that is `wanted`, and waits until it is ready.
    ///
    /// # Errors
    /// [`Failure::RestrictedKey`] if the server gives this key no shell, [`Failure::Session`] if none comes up, [`Failure::Client`]
    /// for the connection.
    pub(crate) async fn open(
        client: &Client,
        mode: Mode,
        wanted: Option<&OsStr>,
    ) -> Result<(Self, Prompt), Failure> {
        let mut command = client.shell(dialogue::start(mode, START));
        command.control(true);
        if let Some(wanted) = wanted {
            command.env("SHELL", wanted);
        }
        let mut size = None;
        if mode != Mode::Script {
            let mut terminal = terminal::here();
            size = Some(terminal.size);
            let mut stdin = Stdin::Piped;
            if mode == Mode::Unattended {
                terminal.name = ByteString::default();
                stdin = Stdin::Null;
            }
            command.terminal(terminal).stdin(stdin);
        }
        let mut job = command.start().await?;
        job.tell(Bytes::from_static(BOOT))?;
        let Some(control) = job.control.take() else { return Err(no_control()) };
        let voice = Voice::new(control, Dialogue::new(mode));
        let (stdin, output) = (job.stdin.take(), Output::take(&mut job));
        let mut shell = Self { job, voice, stdin, output, mode, size, typed: 0 };
        match time::timeout(COME_UP, shell.come_up()).await {
            Ok(Ok(prompt)) => Ok((shell, prompt)),
            Ok(Err(failure)) => Err(failure),
            Err(_) => Err(Failure::Session(format!(
                "its files do not come to an end within {} s; `client shell` shows what they do",
                COME_UP.as_secs()
            ))),
        }
    }

    /// Takes over the shell of a prompt that was left, or is elsewhere; it still has to [finish](Task::Finish).
    ///
    /// # Errors
    /// [`Failure::Client`].
    pub(crate) async fn take_over(client: &Client, id: JobId) -> Result<Self, Failure> {
        let mut job = client.job(id).control(true).attach(From::Newest).await?;
        let Some(control) = job.control.take() else { return Err(no_control()) };
        let (dialogue, who) = Dialogue::resume(Mode::Terminal, first_serial());
        job.tell(who.into())?;
        let voice = Voice::new(control, dialogue);
        let (stdin, output) = (job.stdin.take(), Output::take(&mut job));
        Ok(Self { job, voice, stdin, output, mode: Mode::Terminal, size: None, typed: 0 })
    }

    async fn come_up(&mut self) -> Result<Prompt, Failure> {
        let Self { job, voice, output, .. } = self;
        let mut unseen = Vec::new();
        let (tell, until) = watch::channel(None);
        let answers = async {
            loop {
                match voice.next(job).await {
                    Some(Ok(Answer::Ready(prompt, stamp))) => {
                        tell.send_replace(Some(stamp));
                        return Some(Ok(prompt));
                    }
                    Some(Ok(_)) => {}
                    Some(Err(garbled)) => {
                        tell.send_replace(Some(Offsets::default()));
                        return Some(Err(garbled));
                    }
                    None => return None,
                }
            }
        };
        // Its files have their say, and it shows its own prompt once, before it is told that there is to be none.
        let (answer, ()) = tokio::join!(answers, output.hide(until, &mut unseen));
        match answer {
            Some(Ok(prompt)) => Ok(prompt),
            Some(Err(garbled)) => Err(Failure::Session(garbled.to_string())),
            None => Err(refusal(job, &unseen).await),
        }
    }

    /// Has what it writes recorded, whenever there is a recording.
    pub(super) fn record(&mut self, recorder: Recorder) {
        self.output.record(recorder);
    }

    /// Which one it is.
    pub(crate) fn kind(&self) -> &Kind {
        &self.voice.kind
    }

    /// What `$?` is before the next line.
    pub(crate) fn set_status(&mut self, status: u8) {
        self.voice.dialogue.set_status(status);
    }

    /// The job that it is.
    pub(crate) fn job(&self) -> &Job {
        &self.job
    }

    fn resize(&mut self, size: WindowSize) {
        if self.size.replace(size) != Some(size) {
            // Of a job that is over, or whose line is lost for good, the end says more.
            self.job.resize(size).ok();
        }
    }

    /// Has it do `task`, and shows what that writes; on a terminal it gets what is typed.
    ///
    /// # Errors
    /// [`Error::TooLong`], and then nothing has happened.
    pub(crate) async fn run(
        &mut self,
        client: &Client,
        task: Task<'_>,
        person: Option<(&mut AtTerminal, &dyn Fn())>,
        signals: &mut Signals,
        mut status: LineStatus<'_>,
        kept: &dyn Fn(Signal),
    ) -> Result<Ending<LineEnd>, Error> {
        let Self { job, voice, stdin, output, typed, size, .. } = self;
        let recorder = output.recorder();
        if let Task::Run(line) = task {
            job.tell(voice.dialogue.line(line).into())?;
        }
        let (tell, until) = watch::channel(None);
        let end = voice.line_end(job, &tell);
        let told = Cell::new(*size);
        let resize = |size: WindowSize| {
            told.set(Some(size));
            recorder.resize(size);
            // Of a job that is over, or whose line is lost for good, the end says more.
            job.resize(size).ok();
        };
        let Some((at, help)) = person else {
            let hands = Hands { signals, keyboard: None, terminal: None, kept };
            let attended = attend(client, job, end, output.show(until), async { Ok(()) }, hands);
            return Ok(status.during(attended).await);
        };
        let AtTerminal { controls, typing } = at;
        let input = async {
            let Some(stdin) = stdin.as_ref() else { return Ok(()) };
            type_into(typing, stdin, typed).await.map_err(Failure::Input)
        };
        let mut terminal = OnTerminal { entering: None, controls: controls.take(), resize: &resize, help };
        let hands = Hands { signals, keyboard: None, terminal: Some(&mut terminal), kept };
        let repaint = || terminal::size().into_iter().for_each(&resize);
        let attended = attend(client, job, end, output.show(until), input, hands);
        let ending = status.in_bar(&repaint).during(attended).await;
        *controls = terminal.controls;
        *size = told.get();
        Ok(ending)
    }

    /// Has it run `line`, which nobody types into, on a terminal of this size if it has one; `hand` gets what it writes.
    ///
    /// # Errors
    /// [`Error::TooLong`], and then nothing has happened.
    pub(crate) async fn run_unattended(
        &mut self,
        client: &Client,
        line: &[u8],
        hand: Hand,
        size: Option<WindowSize>,
        signals: &mut Signals,
        mut status: LineStatus<'_>,
    ) -> Result<Ending<LineEnd>, Error> {
        if let Some(size) = size.filter(|_| self.mode == Mode::Unattended) {
            self.resize(size);
        }
        let Self { job, voice, output, .. } = self;
        job.tell(voice.dialogue.line(line).into())?;
        let (tell, until) = watch::channel(None);
        let end = voice.line_end(job, &tell);
        let output = async {
            output.hand_out(until, &hand).await;
            Ok(Relayed::default())
        };
        let hands = Hands { signals, keyboard: None, terminal: None, kept: &|_| {} };
        Ok(status.during(attend(client, job, end, output, async { Ok(()) }, hands)).await)
    }

    /// What was typed while a line ran, and not read by it; nothing if nobody has typed.
    pub(crate) async fn typed_ahead(&mut self) -> Vec<u8> {
        let typed = std::mem::take(&mut self.typed);
        let Some(stdin) = self.stdin.as_ref().filter(|_| typed > 0) else { return Vec::new() };
        let (job, voice, output) = (&self.job, &mut self.voice, &mut self.output);
        let ask = async {
            // It is asked beside the terminal, and must not be asked before all is there.
            stdin.all_consumed().await;
            voice
                .ask(job, TYPED, |answer| match answer {
                    Answer::Typed(typed) => Some(typed),
                    _ => None,
                })
                .await
        };
        let (_tell, until) = watch::channel(None);
        tokio::select! {
            typed = time::timeout(ASIDE, ask) => typed.ok().flatten().unwrap_or_default(),
            _ = output.show(until) => Vec::new(),
        }
    }

    /// The jobs that it has in the background, as it says so itself, one on a line.
    pub(crate) async fn jobs(&mut self) -> Vec<u8> {
        let (job, voice) = (&self.job, &mut self.voice);
        let ask = voice.ask(job, JOBS, |answer| match answer {
            Answer::Jobs(jobs) => Some(jobs),
            _ => None,
        });
        time::timeout(ASIDE, ask).await.ok().flatten().unwrap_or_default()
    }

    /// Asks it for the names that it knows, which come while it is idle.
    pub(crate) fn ask_names(&mut self) {
        let Self { job, voice, .. } = self;
        // Whoever waits for them does not wait long.
        job.tell(voice.dialogue.aside(NAMES).into()).ok();
    }

    /// What happens while nothing runs in the foreground: whole lines from what does in the background, or the end of the shell.
    pub(crate) async fn idle(&mut self) -> Idle {
        let Self { job, voice, output, mode, .. } = self;
        let (_tell, until) = watch::channel(None);
        let quiet = async {
            match mode {
                Mode::Terminal | Mode::Unattended => Ok(output.lines().await),
                Mode::Script => output.show(until).await.map(|_| Bytes::new()),
            }
        };
        let mut quiet = pin!(quiet);
        let mut shown = None;
        loop {
            tokio::select! {
                lines = &mut quiet, if shown.is_none() => match lines {
                    Ok(lines) if lines.is_empty() => shown = Some(()),
                    Ok(lines) => return Idle::Lines(lines),
                    Err(failure) => return Idle::Broken(failure),
                },
                answer = voice.next(job) => match answer {
                    Some(Ok(Answer::Names(names))) => return Idle::Names(names),
                    Some(Ok(_)) => {}
                    Some(Err(reports::Garbled)) => return Idle::Over(LineEnd::Garbled),
                    None => return Idle::Over(LineEnd::Over(job.wait().await)),
                },
            }
        }
    }

    /// Tells it to exit, and shows what it still has to say. `None` if it does not.
    ///
    /// # Errors
    /// [`Failure::Output`].
    pub(crate) async fn leave(&mut self) -> Result<Option<Result<Finished, Error>>, Failure> {
        let Self { job, voice, output, .. } = self;
        // As if `exit` were the next line.
        let exit = format!(" {}exit\n", dialogue::was(voice.dialogue.status()));
        if job.tell(exit.into()).is_err() {
            return Ok(None);
        }
        let (_tell, until) = watch::channel(None);
        let over = async {
            output.show(until).await?;
            while voice.next(job).await.is_some() {}
            Ok(job.wait().await)
        };
        match time::timeout(LEAVE, over).await {
            Ok(over) => over.map(Some),
            Err(_) => Ok(None),
        }
    }

    /// Ends it and all that runs there, whatever it does at the moment.
    pub(crate) fn end(&self) {
        // Of a job that is over, or whose line is lost for good, nothing is to be ended.
        self.job.cancel().ok();
    }

    /// Leaves it to the server, which keeps it whoever goes away.
    ///
    /// # Errors
    /// As [`Job::detach`].
    pub(crate) async fn detach(self) -> Result<JobId, Error> {
        let Self { job, voice, stdin, output, .. } = self;
        voice.control.abandon();
        drop((stdin.map(JobStdin::abandon), output));
        match time::timeout(KEEP, job.detach()).await {
            Ok(detached) => detached,
            Err(_) => Err(Error::Closed),
        }
    }
}

/// What happens at the prompt.
#[derive(Debug)]
pub(crate) enum Idle {
    /// Something in the background has written these lines.
    Lines(Bytes),
    /// It has said which names it knows.
    Names(Names),
    /// The shell is over.
    Over(LineEnd),
    /// One of our own streams failed.
    Broken(Failure),
}

impl Voice {
    fn new(control: JobOutput, dialogue: Dialogue) -> Self {
        let (reports, kind, names) = (Reports::default(), Kind::default(), Names::default());
        Self { control, reports, dialogue, kind, names }
    }

    /// What the shell answers next; `None` if it is over, or the job is lost. Nothing is lost when this is dropped.
    async fn next(&mut self, job: &Job) -> Option<Result<Answer, reports::Garbled>> {
        loop {
            if let Some(report) = self.reports.next() {
                let answer = match Said::parse(&report.text) {
                    // Of what was said to another prompt, this may be a part.
                    None if self.dialogue.is_resuming() => continue,
                    None => return Some(Err(reports::Garbled)),
                    Some(Said::Kind { kind, status }) => {
                        self.kind = kind;
                        self.dialogue.was(status);
                        continue;
                    }
                    Some(Said::Typed(typed)) => Answer::Typed(typed),
                    Some(Said::Jobs(jobs)) => Answer::Jobs(jobs),
                    Some(Said::Name(name)) if self.names.take(&name) => {
                        Answer::Names(std::mem::take(&mut self.names))
                    }
                    Some(Said::Name(_)) => continue,
                    Some(Said::Prompt { serial, line, prompt }) => {
                        match self.dialogue.prompt(serial, line, prompt) {
                            Heard::Ready(prompt) => Answer::Ready(prompt, report.stamp),
                            Heard::Again(unit) => {
                                // It is not longer than it was, and what was told before is taken.
                                job.tell(unit.into()).ok();
                                continue;
                            }
                            Heard::Nothing => continue,
                        }
                    }
                };
                return Some(Ok(answer));
            }
            let bytes = self.control.next().await?;
            if let Err(garbled) = self.reports.push(&bytes) {
                return Some(Err(garbled));
            }
        }
    }

    async fn line_end(&mut self, job: &Job, until: &watch::Sender<Option<Offsets>>) -> LineEnd {
        loop {
            match self.next(job).await {
                Some(Ok(Answer::Ready(prompt, stamp))) => {
                    until.send_replace(Some(stamp));
                    return LineEnd::Ready(prompt);
                }
                Some(Ok(_)) => {}
                Some(Err(reports::Garbled)) => return LineEnd::Garbled,
                None => return LineEnd::Over(job.wait().await),
            }
        }
    }

    /// Has the shell carry out `text`, and waits for the answer that is `wanted`; `None` if there is none to come.
    async fn ask<T>(&mut self, job: &Job, text: &str, wanted: impl Fn(Answer) -> Option<T>) -> Option<T> {
        job.tell(self.dialogue.aside(text).into()).ok()?;
        loop {
            let answer = self.next(job).await?.ok()?;
            if let Some(answer) = wanted(answer) {
                return Some(answer);
            }
        }
    }
}

/// Sends what is typed until nobody wants more; counts it.
async fn type_into(typing: &Typed, stdin: &JobStdin, typed: &mut u64) -> io::Result<()> {
    while let Some(bytes) = typing.next().await? {
        let mut bytes = Bytes::from(bytes);
        *typed += bytes.len() as u64;
        while !bytes.is_empty() {
            if !stdin.write_part(&mut bytes).await {
                return Ok(());
            }
        }
    }
    Ok(())
}

fn no_control() -> Failure {
    Failure::Session("it has no control descriptors".to_owned())
}

/// Greater than any serial of a prompt that was opened before; time enough for a million units a second.
fn first_serial() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or_default()
}

/// Why there is no shell.
async fn refusal(job: &Job, unseen: &[u8]) -> Failure {
    let said = String::from_utf8_lossy(unseen.trim_ascii());
    let last_line = said.lines().next_back().unwrap_or_default();
    match job.wait().await {
        Err(error) => error.into(),
        Ok(Finished { outcome: Outcome::NotStarted(StartFailure::Refused(reason)), .. })
            if is_about_the_key(&reason) =>
        {
            Failure::RestrictedKey
        }
        Ok(finished) if last_line.is_empty() => Failure::Session(finished.outcome.to_string()),
        Ok(finished) => Failure::Session(format!("{last_line} ({})", finished.outcome)),
    }
}

fn is_about_the_key(reason: &str) -> bool {
    reason.contains("this key")
}
