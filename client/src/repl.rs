//! The REPL: line after line, from a person at the terminal or from a script, run by one shell on the server.
//!
//! - `source`: a person or a script; `lines`: one line after the other; `editor` and `history` for a person
//! - `commands`: lines that begin with a colon
//! - `listing`: `:jobs`
//! - `copying` and `progress_bar`: `:put` and `:get`
//! - `syntax`: where commands begin and end
//! - `shell`: the shell there, and so all that lasts from one line to the next

mod commands;
mod copying;
mod editor;
mod history;
mod lines;
mod listing;
mod progress_bar;
mod shell;
mod source;
pub mod syntax;

use std::fmt::Display;
use std::io::{self, Write};
use std::pin::pin;
use std::time::{Duration, Instant};

use common::job::{Outcome, Signal};

use self::commands::Builtin;
use self::lines::{Line, Lines};
use self::shell::{AtTerminal, Idle, LineEnd, Mode, Prompt, Shell};
use self::source::Source;
use crate::cli::args::{Options, ReplOptions};
use crate::cli::connection::Connection;
use crate::cli::exit_code;
use crate::cli::failure::Failure;
use crate::cli::foreground::{Ending, ends_us};
use crate::cli::line_status::LineStatus;
use crate::cli::report::{self, Reporter};
use crate::cli::signals::Signals;
use crate::cli::terminal::EscapeKey;
use crate::error::Error;
use crate::{Client, Finished};

/// Runs the REPL; the exit code.
pub(crate) async fn repl(options: &Options, repl: &ReplOptions, reporter: &Reporter) -> u8 {
    match try_repl(options, repl, reporter).await {
        Ok(code) => code,
        Err(failure) => {
            reporter.fail(&failure);
            exit_code::FAILED
        }
    }
}

async fn try_repl(options: &Options, repl: &ReplOptions, reporter: &Reporter) -> Result<u8, Failure> {
    let source = Source::choose(repl);
    let opened = source.open()?;
    let connection = Connection::open(options, reporter.program()).await?;
    let mut lines = opened.lines(&connection)?;
    // Until now a signal ends us, which is right while there is nothing to be left in order.
    let (shell, prompt, signals) = match open(&connection.client, source, repl).await {
        Ok(opened) => opened,
        Err(failure) => {
            connection.close().await;
            return Err(failure);
        }
    };
    let (client, name) = (&connection.client, &*connection.name);
    let errexit = repl.errexit;
    let mut work = Work {
        client,
        shell,
        prompt,
        signals,
        reporter,
        source,
        errexit,
        name,
        warned: false,
        number: 0,
        code: 0,
        took: None,
    };
    work.introduce(&lines);
    let left = work.run(&mut lines).await;
    lines.close().await;
    let code = match left {
        Ok(code) => work.leave(code).await,
        Err(Stop::Signal(signal)) => exit_code::of_signal(signal),
        Err(Stop::Failure(failure)) => {
            work.fail(failure);
            exit_code::FAILED
        }
    };
    drop(work);
    connection.close().await;
    Ok(code)
}

async fn open(
    client: &Client,
    source: Source<'_>,
    repl: &ReplOptions,
) -> Result<(Shell, Prompt, Signals), Failure> {
    let mode = match source {
        Source::Terminal => Mode::Terminal,
        Source::Stdin | Source::File(_) => Mode::Script,
    };
    let (shell, prompt) = Shell::open(client, mode, repl.shell.as_deref()).await?;
    Ok((shell, prompt, Signals::install()?))
}

/// A REPL at work.
struct Work<'a> {
    client: &'a Client,
    shell: Shell,
    /// How the last line has left the shell.
    prompt: Prompt,
    signals: Signals,
    reporter: &'a Reporter,
    source: Source<'a>,
    errexit: bool,
    /// What the user calls the server.
    name: &'a str,
    /// Whether the user was told what leaving ends.
    warned: bool,
    /// Of the line that is read or run.
    number: u64,
    /// The last line's exit code.
    code: u8,
    /// How long the last line took.
    took: Option<Duration>,
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

impl<'a> Work<'a> {
    /// Says what is not as the user may expect it, and has the prompt know what does not change.
    fn introduce(&self, lines: &Lines) {
        let kind = self.shell.kind();
        lines.change_prompt(|prompt| {
            self.name.clone_into(&mut prompt.host);
            prompt.user =
                Some(String::from_utf8_lossy(&kind.user).into_owned()).filter(|user| !user.is_empty());
            prompt.home = Some(kind.home.clone());
        });
        if self.source == Source::Terminal && kind.name != kind.login {
            let [name, login] = [&kind.name, &kind.login].map(|name| String::from_utf8_lossy(name));
            self.reporter.remark(format_args!(
                "{login} cannot be the shell of a prompt like this one: it is {name} (`client shell` gives you {login})"
            ));
        }
    }

    /// Runs lines until there are no more or one says so; what to exit with.
    async fn run(&mut self, lines: &mut Lines) -> Result<u8, Stop> {
        loop {
            lines.change_prompt(|prompt| {
                self.prompt.directory.clone_into(&mut prompt.directory);
                prompt.status = self.code;
                prompt.took = self.took;
            });
            let line = self.next_line(lines).await?;
            self.number = lines.number();
            let next = match line {
                Line::Text(text) => self.timed_line(&text, lines).await?,
                Line::Cleared => Next::Line,
                Line::End if self.must_ask().await => Next::Line,
                Line::End => Next::Leave(self.last_code()),
                Line::Failed(error) => return Err(self.source.failure(error).into()),
            };
            if let Next::Leave(code) = next {
                return Ok(code);
            }
        }
    }

    async fn next_line(&mut self, lines: &mut Lines) -> Result<Line, Stop> {
        let mut line = self.client.line();
        loop {
            let is_down = matches!(*line.borrow_and_update(), crate::Line::Down { .. });
            lines.change_prompt(|prompt| prompt.is_down = is_down);
            tokio::select! {
                line = lines.next() => return Ok(line),
                happened = self.shell.idle() => match happened {
                    Idle::Lines(written) => {
                        let written = String::from_utf8_lossy(&written);
                        written.lines().for_each(|line| lines.print_above(line));
                    }
                    Idle::Over(end) => return Err(self.over(end).await.into()),
                    Idle::Broken(failure) => return Err(failure.into()),
                },
                signal = self.signals.next() => {
                    check(self.source, signal)?;
                    lines.interrupted();
                }
                // It is never dropped while there is a client.
                Ok(()) = line.changed() => {}
            }
        }
    }

    async fn timed_line(&mut self, text: &[u8], lines: &mut Lines) -> Result<Next, Stop> {
        let begun = Instant::now();
        let next = self.line(text, lines).await?;
        self.took = Some(begun.elapsed());
        if self.code == exit_code::INTERRUPTED {
            lines.hold_back();
        }
        Ok(next)
    }

    async fn line(&mut self, text: &[u8], lines: &mut Lines) -> Result<Next, Stop> {
        let text = text.trim_ascii_end();
        let is_comment = text.trim_ascii_start().first().is_none_or(|first| *first == b'#');
        self.warned = false;
        match commands::parse(text) {
            _ if is_comment => return Ok(Next::Line),
            None => return self.remote(text, lines).await,
            Some(Ok(Builtin::Remote(line))) => return self.remote(line.as_bytes(), lines).await,
            Some(Ok(Builtin::Quit)) => return Ok(Next::Leave(self.last_code())),
            Some(Ok(Builtin::Copy(copy))) => return self.copy(&copy).await,
            Some(Ok(Builtin::Jobs)) => return self.list_jobs().await,
            Some(Ok(Builtin::Help(text))) => {
                let written = writeln!(io::stdout(), "{text}");
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

    /// Has the shell run `text`.
    async fn remote(&mut self, text: &[u8], lines: &mut Lines) -> Result<Next, Stop> {
        if text.contains(&0) {
            self.complain("a line with a NUL byte, which no shell can take");
            self.code = exit_code::FAILED;
            return Ok(self.after(None));
        }
        let attended = match self.source {
            Source::Terminal => self.attend_at_terminal(text, lines).await?,
            Source::Stdin | Source::File(_) => self.attend_script(text).await,
        };
        let ending = match attended {
            Ok(ending) => ending,
            Err(error @ Error::TooLong(_)) => {
                self.complain(report::explain(&error));
                self.code = exit_code::FAILED;
                return Ok(self.after(None));
            }
            Err(error) => return Err(error.into()),
        };
        let signal = match ending {
            Ending::Over { result: LineEnd::Ready(prompt), signal, .. } => {
                self.finish(prompt);
                signal
            }
            Ending::Over { result: LineEnd::Over(Ok(finished)), .. } => {
                return self.shell_over(&finished).map(Next::Leave).map_err(Stop::Failure);
            }
            Ending::Over { result, signal, .. } => {
                report::end_echo(signal);
                return Err(self.over(result).await.into());
            }
            Ending::Left | Ending::Escaped => {
                report::end_echo(Some(Signal::INT));
                self.complain(
                    "leaving; the server ends what runs there (HUP, TERM after 1 s, KILL after 10 s)",
                );
                return Err(Stop::Signal(Signal::INT));
            }
            Ending::Unanswered(signal) => {
                report::end_echo(Some(signal));
                self.complain("the server does not answer");
                return Err(Stop::Signal(signal));
            }
            Ending::CutShort { signal, .. } => return Err(Stop::Signal(signal)),
            Ending::Broken(failure) => {
                let fate = "what runs there is being ended".to_owned();
                return Err(Failure::Broken { failure: Box::new(failure), fate }.into());
            }
            // Nobody looks for keys here.
            Ending::Detached => None,
        };
        Ok(self.after(signal))
    }

    /// Runs a line with the terminal given to it.
    async fn attend_at_terminal(
        &mut self,
        text: &[u8],
        lines: &mut Lines,
    ) -> Result<Result<Ending<LineEnd>, Error>, Stop> {
        let escape = EscapeKey::default();
        let mut at = AtTerminal::enter(&mut self.shell, escape).map_err(Failure::Terminal)?;
        let status = self.line_status();
        let Self { client, shell, signals, reporter, source, .. } = self;
        let help = || escape.help().iter().for_each(|line| reporter.say(line));
        let ran = {
            let mut none = Signals::none();
            let run = shell.run(client, text, Some((&mut at, &help)), &mut none, status, &|_| {});
            let mut run = pin!(run);
            loop {
                tokio::select! {
                    ran = &mut run => break ran,
                    // They are for this program: what is for the command is typed.
                    signal = signals.next() => check(*source, signal)?,
                }
            }
        };
        if let Ok(Ending::Over { result: LineEnd::Ready(_), .. }) = &ran {
            let typed = shell.typed_ahead().await;
            drop(at);
            if typed.last().is_some_and(|last| *last != b'\n') {
                // It stands where it was shown when it was typed.
                report::print("");
            }
            lines.give_back(&typed);
        }
        Ok(ran)
    }

    /// Runs a line of a script.
    async fn attend_script(&mut self, text: &[u8]) -> Result<Ending<LineEnd>, Error> {
        let status = self.line_status().in_plain_words();
        let Self { client, shell, signals, reporter, .. } = self;
        let kept = |signal: Signal| {
            report::end_echo(Some(signal));
            reporter.say(format_args!(
                "the line is down: SIG{signal} is kept, and goes to the command once the line is back; Ctrl-C twice leaves it"
            ));
        };
        shell.run(client, text, None, signals, status, &kept).await
    }

    fn line_status(&self) -> LineStatus<'a> {
        LineStatus::new(self.client, self.name, self.reporter)
    }

    fn finish(&mut self, prompt: Prompt) {
        self.code = prompt.status;
        self.prompt = prompt;
        if self.source == Source::Terminal {
            // The prompt says so.
            return;
        }
        match (self.code, signal_of(self.code)) {
            (0, _) => {}
            (code, Some(signal)) => self.complain(format_args!("exit {code}, as after SIG{signal}")),
            (code, None) => self.complain(format_args!("exit {code}")),
        }
    }

    /// The shell has ended; what to exit with.
    fn shell_over(&self, finished: &Finished) -> Result<u8, Failure> {
        if self.client.is_going_away() {
            return Err(Failure::ServerStopping);
        }
        if !matches!(finished.outcome, Outcome::Exited(_)) {
            self.complain(report::outcome(finished, None, false).unwrap_or_default());
        }
        Ok(exit_code::of_outcome(&finished.outcome))
    }

    /// Why there is no shell any more.
    async fn over(&self, end: LineEnd) -> Failure {
        match end {
            LineEnd::Over(Ok(_)) if self.client.is_going_away() => Failure::ServerStopping,
            LineEnd::Over(Ok(finished)) => Failure::Session(finished.outcome.to_string()),
            LineEnd::Over(Err(error)) => Failure::lost(self.shell.job(), error, "").await,
            LineEnd::Garbled | LineEnd::Ready(_) => Failure::Session("its reports make no sense".to_owned()),
        }
    }

    /// Whether a person who leaves has to be told first what that ends.
    async fn must_ask(&mut self) -> bool {
        if self.source != Source::Terminal || self.warned {
            return false;
        }
        let jobs = self.shell.jobs().await;
        let jobs = String::from_utf8_lossy(&jobs);
        if jobs.trim().is_empty() {
            return false;
        }
        jobs.lines().for_each(report::print);
        self.complain("these jobs end with the session; Ctrl-D once more leaves");
        self.warned = true;
        true
    }

    /// Ends the shell; what to exit with.
    async fn leave(&mut self, code: u8) -> u8 {
        if self.warned {
            // Dropping it ends all that runs there.
            return code;
        }
        let left = self.shell.leave();
        tokio::select! {
            left = left => match left {
                Ok(_) => code,
                Err(failure) => {
                    self.complain(failure);
                    exit_code::FAILED
                }
            },
            signal = self.signals.next() => exit_code::of_signal(signal),
        }
    }

    /// What follows a line that is done, during which `signal` may have come.
    fn after(&self, signal: Option<Signal>) -> Next {
        match signal.filter(|signal| ends_us(*signal)) {
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
            Source::Terminal => self.reporter.fail(&failure),
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

/// The signal that has ended a command of this status, as shells tell it (POSIX, 2.8.2).
fn signal_of(status: u8) -> Option<Signal> {
    Signal::from_number(i32::from(status.checked_sub(128)?)).ok()
}

/// Whether to go on after a signal that was not for a command. The editor sees Ctrl-C as a key; an interrupt that comes as a signal is
/// somebody else's, and an interactive shell ignores it.
fn check(source: Source<'_>, signal: Signal) -> Result<(), Stop> {
    match (source, signal) {
        (Source::Terminal, Signal::INT | Signal::USR1 | Signal::USR2) => Ok(()),
        _ => Err(Stop::Signal(signal)),
    }
}
