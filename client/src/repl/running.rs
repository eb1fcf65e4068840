//! A line at work: the shell there runs it, with the terminal or with pipes, and what has come of it is told.

use std::pin::pin;

use common::job::{Outcome, Signal};

use super::lines::Lines;
use super::session::{self, Session, line_status};
use super::shell::{AtTerminal, LineEnd, Prompt, Task};
use super::source::Source;
use super::{Next, Stop, Work, check};
use crate::Finished;
use crate::cli::exit_code;
use crate::cli::failure::Failure;
use crate::cli::foreground::Ending;
use crate::cli::report;
use crate::cli::signals::Signals;
use crate::cli::terminal::EscapeKey;
use crate::error::Error;

impl Work<'_> {
    /// Has the shell run `text`.
    pub(super) async fn remote(&mut self, text: &[u8], lines: &mut Lines) -> Result<Next, Stop> {
        if text.contains(&0) {
            self.complain("a line with a NUL byte, which no shell can take");
            self.done(exit_code::FAILED);
            return Ok(self.after(None));
        }
        if !self.several.is_empty() {
            return self.run_on_several(text, lines).await;
        }
        self.task(Task::Run(text), lines).await
    }

    /// Has the shell do `task`.
    pub(super) async fn task(&mut self, task: Task<'_>, lines: &mut Lines) -> Result<Next, Stop> {
        let attended = match self.source {
            Source::Terminal => self.attend_at_terminal(task, lines).await?,
            Source::Stdin | Source::File(_) => self.attend_script(task).await,
        };
        let ending = match attended {
            Ok(ending) => ending,
            Err(error @ Error::TooLong(_)) => {
                self.complain(report::explain(&error));
                self.done(exit_code::FAILED);
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
                return self.shell_over(&finished).map(Next::Over).map_err(Stop::Shell);
            }
            Ending::Over { result, signal, .. } => {
                report::end_echo(signal);
                let Session { connection, shell, .. } = &self.session;
                return Err(Stop::Shell(session::over(&connection.client, shell, result).await));
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
        task: Task<'_>,
        lines: &mut Lines,
    ) -> Result<Result<Ending<LineEnd>, Error>, Stop> {
        let escape = EscapeKey::default();
        let Self { session: Session { connection, shell, .. }, signals, reporter, source, .. } = self;
        let mut at = AtTerminal::enter(shell, escape).map_err(Failure::Terminal)?;
        let status = line_status(connection, reporter);
        let help = || escape.help().iter().for_each(|line| reporter.say(line));
        let ran = {
            let mut none = Signals::none();
            let run = shell.run(&connection.client, task, Some((&mut at, &help)), &mut none, status, &|_| {});
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
    async fn attend_script(&mut self, task: Task<'_>) -> Result<Ending<LineEnd>, Error> {
        let Self { session: Session { connection, shell, .. }, signals, reporter, .. } = self;
        let status = line_status(connection, reporter).in_plain_words();
        let kept = |signal: Signal| {
            report::end_echo(Some(signal));
            reporter.say(format_args!(
                "the line is down: SIG{signal} is kept, and goes to the command once the line is back; Ctrl-C twice leaves it"
            ));
        };
        shell.run(&connection.client, task, None, signals, status, &kept).await
    }

    fn finish(&mut self, prompt: Prompt) {
        self.code = prompt.status;
        self.session.prompt = prompt;
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
        if self.session.connection.client.is_going_away() {
            return Err(Failure::ServerStopping);
        }
        if !matches!(finished.outcome, Outcome::Exited(_)) {
            self.complain(report::outcome(finished, None, false).unwrap_or_default());
        }
        Ok(exit_code::of_outcome(&finished.outcome))
    }
}

/// The signal that has ended a command of this status, as shells tell it (POSIX, 2.8.2).
fn signal_of(status: u8) -> Option<Signal> {
    Signal::from_number(i32::from(status.checked_sub(128)?)).ok()
}
