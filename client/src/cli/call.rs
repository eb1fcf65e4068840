//! A job in the foreground from its first byte to this program's exit code: `run` has started it, `attach` has found it.

use std::future::pending;
use std::io;
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use common::duration;
use common::frame::StreamId;
use common::job::{Outcome, Signal, WindowSize};
use tokio::sync::watch;
use tokio::time;

use super::args::Shown;
use super::connection::{Connection, Parting};
use super::detach_keys::DetachKeys;
use super::exit_code;
use super::failure::Failure;
use super::foreground::{Ending, Hands, OnTerminal, attend, ends_us, unless_signaled};
use super::input::Input;
use super::json::{Ended, Event, Narrator};
use super::keyboard::Keyboard;
use super::line_status::LineStatus;
use super::output::{Relayed, Streams};
use super::report::{self, Reporter};
use super::screen;
use super::signals::Signals;
use super::terminal::{self, Controls, Entry};
use crate::error::Error;
use crate::{Finished, Job, JobStdin, Line};

/// How long the last event may take when the user or a failure has ended the call: stdout may be what is stuck.
const LAST_EVENT: Duration = Duration::from_millis(200);

/// How long the server may take to say that it keeps the job.
const KEEP: Duration = Duration::from_secs(5);

const CUT_SHORT: &str = "the command is over, but not all of its output is written";

const LEFT_OPEN: &str = "a background process still holds the output open; \
     what it writes from now on is not shown (--wait-output waits)";

/// A job that the server has been asked for, and all that belongs to it here.
pub(crate) struct Call<'a> {
    pub(crate) connection: &'a Connection,
    pub(crate) job: Job,
    pub(crate) input: Input,
    /// What the command had to read before.
    pub(crate) stdin_began: u64,
    pub(crate) signals: &'a mut Signals,
    pub(crate) shown: &'a Shown,
    /// The limit that was asked for, for people.
    pub(crate) timeout: Option<Duration>,
    /// Whether the job may have run before, and all of its output is wanted.
    pub(crate) late: bool,
    /// Whether it is only looked at.
    pub(crate) read_only: bool,
    /// How it has the terminal here, if it is on one.
    pub(crate) terminal: Option<Entry>,
    pub(crate) reporter: &'a Reporter,
}

/// What a call comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Called {
    /// The exit code.
    pub(crate) code: u8,
    /// How the connection may be parted with.
    pub(crate) parting: Parting,
    /// What has ended the call before its job was over, if that was a signal.
    pub(crate) signal: Option<Signal>,
}

impl Called {
    /// Nothing is left to be said.
    fn over(code: u8) -> Self {
        Self { code, parting: Parting::End, signal: None }
    }

    /// What was said of the job has still to be heard.
    fn left(code: u8) -> Self {
        Self { code, parting: Parting::Close, signal: None }
    }

    fn signaled(self, signal: Signal) -> Self {
        Self { code: exit_code::of_signal(signal), signal: Some(signal), ..self }
    }
}

impl Call<'_> {
    /// Stays with the job until it is over or left.
    pub(crate) async fn follow(mut self, narrator: Option<Narrator>) -> Called {
        let keyboard = self.keyboard();
        let ending = self.attend(narrator.as_ref(), keyboard.as_ref()).await;
        if let Some(keyboard) = keyboard {
            keyboard.restore();
        }
        let ending = match ending {
            Ok(ending) => ending,
            Err(signal) => {
                report::end_echo(Some(signal));
                return self.leave(narrator).await.signaled(signal);
            }
        };
        match ending {
            Ending::Over { result: Ok(finished), relayed, signal } => {
                if report::outcome(&finished, None, false).is_some() {
                    report::end_echo(signal);
                }
                self.finish(&finished, relayed, narrator).await
            }
            Ending::Over { result: Err(error), signal, .. } => {
                report::end_echo(signal);
                self.lose(error, narrator).await
            }
            Ending::Left => {
                report::end_echo(Some(Signal::INT));
                self.reporter.say(format_args!("interrupted twice: {}", self.parting()));
                self.leave(narrator).await
            }
            Ending::Escaped => {
                report::end_echo(Some(Signal::INT));
                self.reporter.say(self.parting());
                self.leave(narrator).await
            }
            Ending::Unanswered(signal) => {
                report::end_echo(Some(signal));
                let why = if self.is_down() { "the line is not back" } else { "the server does not answer" };
                self.reporter.say(format_args!("{why}: {}", self.unheard()));
                self.leave(narrator).await.signaled(signal)
            }
            Ending::CutShort { result, signal } => {
                report::end_echo(Some(signal));
                self.reporter.say(CUT_SHORT);
                if let Ok(finished) = result {
                    self.settle(&finished);
                    tell_last(narrator, &Event::Ended(Ended::reported(self.job.id(), &finished))).await;
                }
                Called::over(exit_code::FAILED).signaled(signal)
            }
            Ending::Detached => {
                report::end_echo(Some(Signal::INT));
                self.detach(narrator).await
            }
            Ending::Broken(failure) => {
                let fate =
                    if self.goes_on() { self.goes_on_there() } else { "the job is being ended".to_owned() };
                self.reporter.fail(&Failure::Broken { failure: Box::new(failure), fate });
                Called { code: exit_code::FAILED, ..self.leave(narrator).await }
            }
        }
    }

    /// The keys that leave the job, where there is somebody to type them and a server to leave it to.
    fn keyboard(&mut self) -> Option<Arc<Keyboard>> {
        if self.terminal.is_some_and(|terminal| terminal.keys) {
            return None;
        }
        let keyboard = Keyboard::open(&self.detach_keys())?;
        self.input.watch(&keyboard);
        Some(keyboard)
    }

    fn detach_keys(&self) -> DetachKeys {
        if self.read_only || self.connection.is_private() {
            return DetachKeys::none();
        }
        self.shown.detach_keys.clone().unwrap_or_default()
    }

    /// Stays with the job.
    ///
    /// # Errors
    /// The signal that has ended this for somebody who only looks on.
    async fn attend(
        &mut self,
        narrator: Option<&Narrator>,
        keyboard: Option<&Arc<Keyboard>>,
    ) -> Result<Ending, Signal> {
        let streams = Streams::take(&mut self.job);
        let stdin = self.job.stdin.take();
        self.stdin_began = stdin.as_ref().map_or(0, JobStdin::began);
        let (detach, escape) = (self.detach_keys(), self.shown.escape_key.unwrap_or_default());
        let (late, terminal, read_only) = (self.late, self.terminal, self.read_only);
        let resizes = terminal.is_some_and(|terminal| terminal.resizes);
        let Self { connection, job, input, signals, reporter, .. } = self;
        let (client, job, reporter) = (&connection.client, &*job, *reporter);
        // Opens once the terminal is the job's, or never will be.
        let (open, gate) = watch::channel(None);
        let output = async {
            if terminal.is_some() {
                // What is written before is not known to have been, and nobody would undo it.
                gate.clone().wait_for(Option::is_some).await.ok();
            }
            if late {
                say_what_is_missing(job, reporter).await;
            }
            relay(job, narrator, streams).await
        };
        let kept = |signal: Signal| {
            if reporter.is_quiet() {
                return;
            }
            report::end_echo(Some(signal));
            reporter.say(format_args!(
                "the line is down: SIG{signal} is kept, and goes to the job once the line is back; Ctrl-C twice leaves at once"
            ));
        };
        let entering = async {
            // Dropped with this, it lets the streams go as well.
            let open = open;
            // Until it runs, what is said is said on a terminal as it should be.
            let Some(entry) = terminal else { return Ok(None) };
            if !matches!(job.started().await, Ok(Some(_))) {
                return Ok(None);
            }
            let controls = Controls::enter(&entry, escape, &detach)?;
            open.send_replace(Some(controls.sieve()));
            Ok(Some(controls))
        };
        let input = async {
            if terminal.is_some_and(|terminal| terminal.keys)
                && let Ok(opened) = gate.clone().wait_for(Option::is_some).await
                && let Some(sieve) = &*opened
            {
                input.sift(Arc::clone(sieve));
            }
            input.feed(stdin).await
        };
        let resize = |size: WindowSize| {
            // Of a job that is over, or whose line is lost for good, the end says more.
            job.resize(size).ok();
        };
        let help = || escape.help().iter().for_each(|line| reporter.say(line));
        let mut terminal = terminal.map(|_| OnTerminal {
            entering: Some(Box::pin(entering)),
            controls: None,
            resize: &resize,
            help: &help,
        });
        let is_on_terminal = terminal.is_some();
        // What somebody does who only looks on is not the job's business.
        let mut others = Signals::none();
        let (signals, own) =
            if read_only { (&mut others, Some(&mut **signals)) } else { (&mut **signals, None) };
        let hands = Hands { signals, keyboard, terminal: terminal.as_mut(), kept: &kept };
        let mut status = LineStatus::new(client, &connection.name, reporter);
        let repaint = || {
            if let (true, Some(size)) = (resizes, terminal::size()) {
                resize(size);
            }
        };
        if is_on_terminal {
            status = status.in_bar(&repaint);
        }
        tokio::select! {
            biased;
            signal = ended(own) => Err(signal),
            ending = status.during(attend(client, job, job.wait(), output, input, hands)) => Ok(ending),
        }
    }

    async fn finish(mut self, finished: &Finished, relayed: Relayed, narrator: Option<Narrator>) -> Called {
        self.settle(finished);
        let event = Event::Ended(Ended::reported(self.job.id(), finished));
        match unless_signaled(self.signals, tell(narrator, &event)).await {
            Ok(Ok(())) => {}
            Ok(Err(failure)) => {
                self.reporter.fail(&failure);
                return Called::over(exit_code::FAILED);
            }
            Err(signal) => {
                report::end_echo(Some(signal));
                self.reporter.say(CUT_SHORT);
                return Called::over(exit_code::FAILED).signaled(signal);
            }
        }
        self.remark(finished, relayed);
        Called::over(exit_code::of_outcome(&finished.outcome))
    }

    /// Leaves our stdin where the command has left it.
    fn settle(&mut self, finished: &Finished) {
        let consumed = finished.stdin_consumed.saturating_sub(self.stdin_began);
        mem::replace(&mut self.input, Input::Nothing).settle(consumed);
    }

    async fn lose(self, error: Error, narrator: Option<Narrator>) -> Called {
        let id = self.job.id();
        let ran = matches!(self.job.started().await, Ok(Some(_)));
        if let Error::Superseded { .. } = error {
            self.reporter.say(report::explain(&error));
            tell_last(narrator, &Event::Superseded { id }).await;
        } else if error.never_ran() && !ran {
            let failure = Failure::Client(error);
            self.reporter.fail(&failure);
            tell_last(narrator, &Event::Error { message: failure.to_string() }).await;
        } else {
            let failure = Failure::lost(&self.job, error, &self.come_back()).await;
            self.reporter.fail(&failure);
            tell_last(narrator, &Event::Ended(Ended::lost(id, failure.to_string()))).await;
        }
        Called::over(exit_code::FAILED)
    }

    /// Leaves the job to the server, where it goes on.
    async fn detach(self, narrator: Option<Narrator>) -> Called {
        let (id, come_back) = (self.job.id().clone(), self.come_back());
        let kept_already = self.goes_on();
        match time::timeout(KEEP, self.job.detach()).await {
            Ok(Ok(_)) => {}
            _ if kept_already => {}
            Ok(Err(error @ Error::Declined { .. })) => {
                self.reporter.say(format_args!("{}; the server ends it", report::explain(&error)));
                tell_last(narrator, &Event::Ended(Ended::cancelled(&id))).await;
                return Called::left(exit_code::FAILED);
            }
            Ok(Err(_)) | Err(_) => {
                self.reporter.say(format_args!(
                    "left, but the server does not say that it keeps job {id}: see what became of it with `{come_back}`"
                ));
                tell_last(narrator, &Event::Detached { id: &id }).await;
                return Called::left(exit_code::FAILED);
            }
        }
        self.reporter
            .say(format_args!("detached: job {id} goes on at {}; {come_back}", self.connection.name));
        tell_last(narrator, &Event::Detached { id: &id }).await;
        Called::left(0)
    }

    /// Leaves a job that is not known to be over. It goes on if that was agreed; else the server ends it.
    async fn leave(self, narrator: Option<Narrator>) -> Called {
        let (id, goes_on) = (self.job.id().clone(), self.goes_on());
        let is_down = self.is_down();
        if goes_on {
            self.job.leave();
            tell_last(narrator, &Event::Detached { id: &id }).await;
        } else {
            // Dropping a job cancels it, or has the server do what was agreed.
            drop(self.job);
            let event = if is_down {
                Ended::lost(&id, "the line was down when this client left".to_owned())
            } else {
                Ended::cancelled(&id)
            };
            tell_last(narrator, &Event::Ended(event)).await;
        }
        Called::left(exit_code::INTERRUPTED)
    }

    /// Whether the job goes on when this client leaves.
    fn goes_on(&self) -> bool {
        self.read_only || self.job.grace().is_none()
    }

    fn is_down(&self) -> bool {
        matches!(*self.connection.client.line().borrow(), Line::Down { .. })
    }

    fn come_back(&self) -> String {
        self.connection.come_back(self.reporter.program(), self.job.id())
    }

    fn goes_on_there(&self) -> String {
        format!("job {} goes on; {}", self.job.id(), self.come_back())
    }

    /// What becomes of a job that the user leaves.
    fn parting(&self) -> String {
        let id = self.job.id();
        match self.job.grace() {
            _ if self.goes_on() => format!("leaving; {}", self.goes_on_there()),
            Some(grace) if self.is_down() => format!(
                "leaving job {id} while the line is down; the server ends it once it has waited {} for this client",
                duration::shown(grace)
            ),
            _ => format!(
                "leaving job {id} to the server, which ends it (HUP, TERM after 1 s, KILL after 10 s)"
            ),
        }
    }

    /// The same, where nobody is there to be told.
    fn unheard(&self) -> String {
        if self.is_down() {
            return self.parting();
        }
        if self.goes_on() {
            return format!(
                "leaving job {}, which goes on if the server can; {}",
                self.job.id(),
                self.come_back()
            );
        }
        format!("leaving job {}, which it ends if it still can", self.job.id())
    }

    /// Says what the exit code does not tell a person.
    fn remark(&self, finished: &Finished, relayed: Relayed) {
        let (outcome, reporter) = (&finished.outcome, self.reporter);
        let sentence = report::outcome(finished, self.timeout, self.connection.client.is_going_away());
        // A local pipeline does not speak of a writer whose reader has gone.
        let expected =
            matches!(outcome, Outcome::Signaled { signal: Signal::PIPE, .. }) && relayed.reader_gone;
        match (sentence, outcome) {
            (None, _) => {}
            (Some(_), _) if expected => {}
            (Some(sentence), Outcome::Signaled { .. } | Outcome::TimedOut) => reporter.remark(sentence),
            (Some(sentence), _) => reporter.say(sentence),
        }
        if finished.output_left_open {
            reporter.remark(LEFT_OPEN);
        }
        let began = self.job.began();
        let missed = finished.missed.saturating_sub(began.stdout + began.stderr);
        if missed > 0 {
            reporter.say(format_args!(
                "{missed} bytes of its output are left out: they were not kept for this client"
            ));
        }
        // Of what never ran, or nobody knows, there is nothing to be said.
        let ran = !matches!(outcome, Outcome::NotStarted(_) | Outcome::Lost(_));
        if self.shown.time && ran {
            reporter.say(report::usage(finished));
        }
    }
}

/// Waits for a signal that would have ended us.
async fn ended(signals: Option<&mut Signals>) -> Signal {
    let Some(signals) = signals else { return pending().await };
    loop {
        let signal = signals.next().await;
        if ends_us(signal) {
            return signal;
        }
    }
}

/// Says which output of a job that has run before this client came is not kept any more.
async fn say_what_is_missing(job: &Job, reporter: &Reporter) {
    // A failure shows in the job's end.
    if job.started().await.is_err() {
        return;
    }
    let began = job.began();
    for (stream, bytes) in [(StreamId::Stdout, began.stdout), (StreamId::Stderr, began.stderr)] {
        if bytes > 0 {
            reporter.say(format_args!("the first {bytes} bytes of {stream} are not kept"));
        }
    }
}

async fn relay(job: &Job, narrator: Option<&Narrator>, streams: Streams) -> Result<Relayed, Failure> {
    let Some(narrator) = narrator else { return streams.relay().await };
    // A job that never starts, and a lost connection, are told at the end.
    if let Ok(Some(process_id)) = job.started().await {
        let told = narrator.tell(&Event::Started { id: job.id(), process_id }).await;
        let relayed = super::output::reader_gone(told, "stdout")?;
        if relayed.reader_gone {
            streams.close();
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
pub(crate) async fn tell_last(narrator: Option<Narrator>, event: &Event<'_>) {
    screen::make_way();
    time::timeout(LAST_EVENT, tell(narrator, event)).await.ok();
}
