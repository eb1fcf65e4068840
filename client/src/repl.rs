//! The REPL: line after line, from a person at the terminal or from a script.
//!
//! - `source`: a person or a script; `lines`: one line after the other; `editor` and `history` for a person
//! - `commands`: lines that begin with a colon
//! - `session`: what lasts from one line to the next

mod commands;
mod editor;
mod history;
mod lines;
mod session;
mod source;

use std::fmt::Display;
use std::io::{self, Write};
use std::pin::pin;

use common::escape::escape;
use common::job::{Outcome, Signal};

use self::commands::Builtin;
use self::lines::{Line, Lines};
use self::session::Session;
use self::source::Source;
use crate::cli::args::{Options, ReplOptions};
use crate::cli::connection::Connection;
use crate::cli::exit_code;
use crate::cli::failure::Failure;
use crate::cli::foreground::{Ending, Hands, attend};
use crate::cli::line_status::LineStatus;
use crate::cli::output::{Relayed, Streams};
use crate::cli::report::{self, Reporter};
use crate::cli::signals::Signals;
use crate::error::Error;
use crate::{Client, Finished, Job};

const LEFT_OPEN: &str =
    "a background process still holds the output open; what it writes from now on is not shown";

/// Runs the REPL; the exit code.
pub(crate) async fn repl(options: &Options, repl: &ReplOptions, reporter: &Reporter) -> u8 {
    match try_repl(options, repl, reporter).await {
        Ok(code) => code,
        Err(failure) => {
            reporter.say(failure);
            exit_code::FAILED
        }
    }
}

async fn try_repl(options: &Options, repl: &ReplOptions, reporter: &Reporter) -> Result<u8, Failure> {
    let source = Source::choose(repl);
    let mut lines = source.lines()?;
    let connection = Connection::open(options, reporter.program()).await?;
    // Until now a signal ends us, which is right while there is nothing to be left in order.
    let (session, signals) = match open(&connection.client).await {
        Ok(opened) => opened,
        Err(failure) => {
            connection.close().await;
            return Err(failure);
        }
    };
    let name = &connection.name;
    // The editor has the terminal to itself.
    let status = LineStatus::new(&connection.client, name, reporter).in_plain_words();
    let mut work =
        Work { session, signals, reporter, source, status, errexit: repl.errexit, name, number: 0, code: 0 };
    let left = work.run(&mut lines).await;
    lines.close().await;
    let code = match left {
        Ok(code) => code,
        Err(Stop::Signal(signal)) => exit_code::of_signal(signal),
        Err(Stop::Failure(failure)) => {
            work.fail(failure);
            exit_code::FAILED
        }
    };
    work.session.close().await;
    connection.close().await;
    Ok(code)
}

async fn open(client: &Client) -> Result<(Session<'_>, Signals), Failure> {
    let session = Session::open(client).await?;
    Ok((session, Signals::install()?))
}

/// A REPL at work.
struct Work<'a> {
    session: Session<'a>,
    signals: Signals,
    reporter: &'a Reporter,
    source: Source<'a>,
    status: LineStatus<'a>,
    errexit: bool,
    /// What the user calls the server.
    name: &'a str,
    /// Of the line that is read or run.
    number: u64,
    /// The last line's exit code.
    code: u8,
}

/// What ends the REPL from outside.
enum Stop {
    Failure(Failure),
    Signal(Signal),
}

impl<E: Into<Failure>> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Failure(error.into())
    }
}

/// What follows a line.
enum Next {
    Line,
    Leave(u8),
}

impl Work<'_> {
    /// Runs lines until there are no more or one says so; what to exit with.
    async fn run(&mut self, lines: &mut Lines) -> Result<u8, Stop> {
        loop {
            let prompt = self.prompt().await?;
            self.number += 1;
            let next = match self.next_line(lines, prompt).await? {
                Line::Text(text) => self.line(&text).await?,
                Line::Cleared => Next::Line,
                Line::End => Next::Leave(self.last_code()),
                Line::Failed(error) => return Err(self.source.failure(error).into()),
            };
            if let Next::Leave(code) = next {
                return Ok(code);
            }
        }
    }

    async fn prompt(&mut self) -> Result<String, Stop> {
        if self.source != Source::Terminal {
            return Ok(String::new());
        }
        let interrupted = tokio::select! {
            asked = self.status.during(self.session.ask_directory()) => asked.map(|()| None)?,
            // A server that does not answer: the directory known before will do.
            signal = self.signals.next() => Some(signal),
        };
        interrupted.map_or(Ok(()), |signal| self.check(signal))?;
        let directory = String::from_utf8_lossy(self.session.directory());
        Ok(escape(&format!("{}:{directory}$ ", self.name)).into_owned())
    }

    async fn next_line(&mut self, lines: &mut Lines, prompt: String) -> Result<Line, Stop> {
        let mut next = pin!(lines.next(prompt));
        loop {
            tokio::select! {
                line = &mut next => return Ok(line),
                failure = self.session.lost() => return Err(failure.into()),
                signal = self.signals.next() => self.check(signal)?,
            }
        }
    }

    /// Whether to go on after a signal that came while no command ran. The editor sees Ctrl-C as a key; an interrupt
    /// that comes as a signal is somebody else's, and an interactive shell ignores it.
    fn check(&self, signal: Signal) -> Result<(), Stop> {
        match (self.source, signal) {
            (Source::Terminal, Signal::INT) => Ok(()),
            _ => Err(Stop::Signal(signal)),
        }
    }

    async fn line(&mut self, text: &[u8]) -> Result<Next, Stop> {
        let text = text.trim_ascii_end();
        let is_comment = text.trim_ascii_start().first().is_none_or(|first| *first == b'#');
        match commands::parse(text) {
            _ if is_comment => return Ok(Next::Line),
            None => return self.remote(text).await,
            Some(Ok(Builtin::Remote(line))) => return self.remote(line.as_bytes()).await,
            Some(Ok(Builtin::Quit)) => return Ok(Next::Leave(self.last_code())),
            Some(Ok(Builtin::Help)) => {
                let written = writeln!(io::stdout(), "{}", commands::HELP);
                written.map_err(Failure::Stdout)?;
                self.code = 0;
            }
            Some(Err(error)) => {
                self.complain(error);
                self.code = exit_code::FAILED;
            }
        }
        Ok(self.after(None))
    }

    /// Has the server run `text`.
    async fn remote(&mut self, text: &[u8]) -> Result<Next, Stop> {
        let mut job = match self.session.command(text).start().await {
            Ok(job) => job,
            Err(error @ (Error::Spec(_) | Error::TooLong(_))) => {
                self.complain(report::explain(&error));
                self.code = exit_code::FAILED;
                return Ok(self.after(None));
            }
            Err(error) => return Err(error.into()),
        };
        let output = Streams::take(&mut job).relay();
        let ending = self.attend(&job, output).await;
        let signal = match ending {
            Ending::Over { result: Ok(finished), signal, .. } => {
                if let Some(code) = self.session.left(&finished.outcome).await? {
                    return Ok(Next::Leave(code));
                }
                self.finish(&finished, signal);
                signal
            }
            Ending::Over { result: Err(error), signal, .. } => {
                report::end_echo(signal);
                return Err(Failure::lost(&job, error, "").await.into());
            }
            Ending::Left => {
                self.leave(&job);
                Some(Signal::INT)
            }
            Ending::Unanswered(signal) => {
                report::end_echo(Some(signal));
                self.complain("the server does not answer");
                self.code = exit_code::of_signal(signal);
                Some(signal)
            }
            Ending::CutShort { signal, .. } => {
                self.code = exit_code::of_signal(signal);
                Some(signal)
            }
            Ending::Broken(failure) => {
                let fate = "the job is being ended".to_owned();
                return Err(Failure::Broken { failure: Box::new(failure), fate }.into());
            }
            // Nobody looks for keys here.
            Ending::Detached | Ending::Escaped => None,
        };
        self.session.set_status(self.code);
        Ok(self.after(signal))
    }

    /// Stays with `job`, and says so when the line is lost meanwhile.
    async fn attend(&mut self, job: &Job, output: impl Future<Output = Result<Relayed, Failure>>) -> Ending {
        let reporter = self.reporter;
        let kept = |signal: Signal| {
            report::end_echo(Some(signal));
            reporter.say(format_args!(
                "the line is down: SIG{signal} is kept, and goes to the command once the line is back; Ctrl-C twice leaves it"
            ));
        };
        let hands = Hands { signals: &mut self.signals, keyboard: None, terminal: None, kept: &kept };
        let ending = attend(self.session.client(), job, output, async { Ok(()) }, hands);
        self.status.during(ending).await
    }

    fn finish(&mut self, finished: &Finished, signal: Option<Signal>) {
        report::end_echo(signal);
        self.code = exit_code::of_outcome(&finished.outcome);
        match &finished.outcome {
            Outcome::Exited(0) => {}
            Outcome::Exited(code) => self.complain(format_args!("exit {code}")),
            _ => self.complain(report::outcome(finished, None, false).unwrap_or_default()),
        }
        if finished.output_left_open {
            self.complain(LEFT_OPEN);
        }
    }

    /// Gives up waiting for `job`, which is cancelled when it is dropped.
    fn leave(&mut self, job: &Job) {
        report::end_echo(Some(Signal::INT));
        self.code = exit_code::INTERRUPTED;
        self.complain(format_args!("interrupted twice: the server ends job {}", job.id()));
    }

    /// What follows a line that is done, during which `signal` may have come.
    fn after(&self, signal: Option<Signal>) -> Next {
        let at_terminal = self.source == Source::Terminal;
        match signal {
            Some(Signal::INT) if at_terminal => Next::Line,
            Some(Signal::USR1 | Signal::USR2) => Next::Line,
            Some(signal) => Next::Leave(exit_code::of_signal(signal)),
            None if self.errexit && self.code != 0 => Next::Leave(self.code),
            None => Next::Line,
        }
    }

    /// What to exit with when lines end: a script's last exit code. A person has seen what there was to see.
    fn last_code(&self) -> u8 {
        if self.source == Source::Terminal { 0 } else { self.code }
    }

    /// Says why it is over.
    fn fail(&self, failure: Failure) {
        match self.source {
            Source::Terminal => self.reporter.say(failure),
            Source::Stdin | Source::File(_) => self.complain(failure),
        }
    }

    /// Says something about the present line.
    fn complain(&self, message: impl Display) {
        match self.source {
            Source::Terminal => report::print(&message.to_string()),
            Source::Stdin => self.reporter.say(format_args!("line {}: {message}", self.number)),
            Source::File(path) => {
                self.reporter.say(format_args!("{}:{}: {message}", path.display(), self.number));
            }
        }
    }
}
