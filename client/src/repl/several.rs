//! `:hosts` at work: a shell on each of several servers, which run a line side by side.
//!
//! - `labels`: what stands before each line

mod labels;

use std::io::{self, IsTerminal};
use std::mem;
use std::pin::pin;

use common::frame::StreamId;
use common::job::WindowSize;
use futures_util::future::join_all;
use tokio::sync::mpsc;

use self::labels::Label;
use super::lines::Lines;
use super::recording::Recorder;
use super::session::{self, NotOpened, Opening, Session, line_status};
use super::shell::{Hand, LineEnd, Written};
use super::source::Source;
use super::{Next, Stop, Work, check};
use crate::cli::failure::Failure;
use crate::cli::foreground::Ending;
use crate::cli::output::Writer;
use crate::cli::report::Reporter;
use crate::cli::signals::Signals;
use crate::cli::style::Style;
use crate::cli::{exit_code, report, terminal};
use crate::error::Error;

/// Pieces of output on their way to the screen: what is not taken waits in the windows of the streams.
const PIECES: usize = 16;

/// How a line has ended on one of the servers.
enum Ended {
    /// With this status; there is a next line.
    Status(u8),
    /// Its shell is over, with this and for this reason.
    Over(u8, String),
    /// It was not run.
    Refused(String),
}

impl Work<'_> {
    /// Has the next lines go to these servers, or to one again if there are none.
    pub(super) async fn turn_to_several(
        &mut self,
        names: &[String],
        lines: &mut Lines,
    ) -> Result<Next, Stop> {
        let mut opened = Vec::new();
        for name in names {
            let opening = Opening { mode: self.source.mode().unattended(), ..self.opening };
            match opening.open(name, &mut self.signals).await {
                Ok(session) => opened.push(session),
                Err(not) => {
                    close_all(opened).await;
                    return Ok(match not {
                        NotOpened::Failure(failure) => self.not_there(format!("{name}: {failure}"), lines),
                        NotOpened::Signal(signal) => {
                            report::end_echo(Some(signal));
                            self.done(exit_code::of_signal(signal));
                            self.after(Some(signal))
                        }
                    });
                }
            }
        }
        close_all(mem::replace(&mut self.several, opened)).await;
        self.introduce(lines);
        self.done(0);
        Ok(Next::Line)
    }

    /// Has all of them run `text`.
    pub(super) async fn run_on_several(&mut self, text: &[u8], lines: &mut Lines) -> Result<Next, Stop> {
        let endings = self.attend_several(text).await?;
        let sessions = mem::take(&mut self.several);
        let (count, mut code) = (sessions.len(), 0);
        for (mut session, ending) in sessions.into_iter().zip(endings) {
            let (status, remark) = match end_of(&mut session, ending).await? {
                Ended::Status(0) => (0, None),
                Ended::Status(status) => (status, Some(format!("exit {status}"))),
                Ended::Refused(why) => (exit_code::FAILED, Some(why)),
                Ended::Over(status, why) => {
                    self.complain(format!("{}: {why}; it gets no more lines", session.name()));
                    close_all(vec![session]).await;
                    code = if code == 0 { status } else { code };
                    continue;
                }
            };
            if let Some(remark) = remark {
                self.complain(format!("{}: {remark}", session.name()));
            }
            code = if code == 0 { status } else { code };
            self.several.push(session);
        }
        Ok(self.after_several(code, self.several.len() < count, lines))
    }

    /// What follows a line that has come to `code`; `is_fewer` servers are left.
    fn after_several(&mut self, code: u8, is_fewer: bool, lines: &mut Lines) -> Next {
        self.code = code;
        if is_fewer {
            // Lines that come next were meant for all of them.
            lines.hold_back();
            self.introduce(lines);
            if self.source != Source::Terminal {
                return Next::Leave(code);
            }
            if self.several.is_empty() {
                self.complain(format!("none is left; this is {} again", self.session.name()));
                self.done(code);
            }
        }
        self.after(None)
    }

    /// Stays with all of them until they have run it, in the order of the servers.
    async fn attend_several(&mut self, text: &[u8]) -> Result<Vec<Result<Ending<LineEnd>, Error>>, Stop> {
        let Self { several, signals, source, reporter, recorder, .. } = self;
        let width = several.iter().map(|session| session.name().chars().count()).max().unwrap_or(0);
        let (is_tame, style) = (io::stdout().is_terminal(), Style::stdout());
        let label = |session: &Session| Label::new(session.name(), width, is_tame, style);
        let labels: Vec<_> = several.iter().map(label).collect();
        let (sender, pieces) = mpsc::channel(PIECES);
        let runs = several.iter_mut().enumerate().map(|(server, session)| {
            let hand = Hand { server, sender: sender.clone() };
            run_on_one(session, text, hand, width, reporter)
        });
        let (mut all, mut shown) = (pin!(join_all(runs)), pin!(show(pieces, &labels, recorder)));
        drop(sender);
        let (mut endings, mut is_shown) = (None, false);
        loop {
            tokio::select! {
                ended = &mut all, if endings.is_none() => endings = Some(ended),
                // Nobody writes any more, or nothing can be written.
                done = &mut shown, if !is_shown => {
                    done?;
                    is_shown = true;
                }
                // What is for the commands they get themselves.
                signal = signals.next() => check(*source, signal)?,
            }
            if let (Some(endings), true) = (endings.take_if(|_| is_shown), is_shown) {
                return Ok(endings);
            }
        }
    }
}

/// Runs a line on one of them; every one hears the signals that come.
async fn run_on_one(
    session: &mut Session,
    text: &[u8],
    hand: Hand,
    width: usize,
    reporter: &Reporter,
) -> Result<Ending<LineEnd>, Error> {
    let Session { connection, shell, .. } = session;
    let mut signals = match Signals::install() {
        Ok(signals) => signals,
        Err(failure) => return Ok(Ending::Broken(failure)),
    };
    let label = u16::try_from(width + 2).unwrap_or(u16::MAX);
    let beside = |size: WindowSize| WindowSize { columns: size.columns.saturating_sub(label).max(1), ..size };
    let size = terminal::size().filter(|size| size.columns > 0).map(beside);
    let status = line_status(connection, reporter).in_plain_words();
    shell.run_unattended(&connection.client, text, hand, size, &mut signals, status).await
}

/// Writes what comes, each line behind its label.
async fn show(
    mut pieces: mpsc::Receiver<(usize, Written)>,
    labels: &[Label],
    recorder: &Recorder,
) -> Result<(), Failure> {
    let (mut stdout, mut stderr) = (Writer::stdout(), Writer::stderr());
    while let Some((server, Written { stream, lines })) = pieces.recv().await {
        let Some(label) = labels.get(server) else { continue };
        let mut shown = Vec::with_capacity(lines.len() * 2);
        label.put(&lines, &mut shown);
        recorder.output(&shown);
        let (writer, name) = match stream {
            StreamId::Stderr => (&mut stderr, "stderr"),
            _ => (&mut stdout, "stdout"),
        };
        let written = writer.write(shown.into()).await;
        written.map_err(|error| Failure::Output { stream: name, error })?;
    }
    stdout.flush().await.map_err(|error| Failure::Output { stream: "stdout", error })?;
    stderr.flush().await.map_err(|error| Failure::Output { stream: "stderr", error })
}

async fn end_of(session: &mut Session, ending: Result<Ending<LineEnd>, Error>) -> Result<Ended, Stop> {
    let Session { connection, shell, prompt } = session;
    Ok(match ending {
        Err(error) => Ended::Refused(report::explain(&error)),
        Ok(
            Ending::Over { result: LineEnd::Ready(ready), .. }
            | Ending::CutShort { result: LineEnd::Ready(ready), .. },
        ) => {
            *prompt = ready;
            Ended::Status(prompt.status)
        }
        Ok(Ending::Over { result: LineEnd::Over(Ok(finished)), .. })
            if !connection.client.is_going_away() =>
        {
            let said = report::outcome(&finished, None, false);
            let code = exit_code::of_outcome(&finished.outcome);
            Ended::Over(code, said.unwrap_or_else(|| format!("its shell has ended: exit {code}")))
        }
        Ok(Ending::Over { result, .. } | Ending::CutShort { result, .. }) => {
            let failure = session::over(&connection.client, shell, result).await;
            Ended::Over(exit_code::FAILED, failure.to_string())
        }
        Ok(Ending::Broken(failure)) => return Err(failure.into()),
        Ok(Ending::Left | Ending::Escaped | Ending::Unanswered(_) | Ending::Detached) => {
            shell.end();
            Ended::Over(exit_code::INTERRUPTED, "left; the server ends what runs there".to_owned())
        }
    })
}

/// Ends their shells, as `exit` does.
pub(super) async fn close_all(mut sessions: Vec<Session>) {
    // What they still say was not asked for.
    join_all(sessions.iter_mut().map(|session| session.shell.leave())).await;
    join_all(sessions.into_iter().map(|session| session.connection.close())).await;
}
