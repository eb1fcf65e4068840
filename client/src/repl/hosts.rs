//! `:host` at work: other servers from the same prompt, each with a shell that goes on while the lines go to another one.

use std::fmt::Write as _;
use std::mem;

use common::escape::escape;

use super::lines::Lines;
use super::session::NotOpened;
use super::several::close_all;
use super::source::Source;
use super::{Next, Stop, Work};
use crate::cli::style::{Role, Style};
use crate::cli::{exit_code, report};

/// Most sessions of a prompt: more than anybody keeps apart, and few enough connections for any limit.
const SESSIONS: usize = 16;

impl Work<'_> {
    /// Has the next lines go to the server that is `wanted`; without one, lists the sessions.
    pub(super) async fn host(&mut self, wanted: Option<&str>, lines: &mut Lines) -> Result<Next, Stop> {
        let Some(name) = wanted else {
            self.show(&self.list_sessions())?;
            self.done(0);
            return Ok(Next::Line);
        };
        close_all(mem::take(&mut self.several)).await;
        if name != self.session.name() {
            let opened = match self.others.iter().position(|session| session.name() == name) {
                Some(at) => self.others.remove(at),
                None if self.others.len() + 1 >= SESSIONS => {
                    return Ok(
                        self.not_there(format!("{SESSIONS} servers are as many as there can be"), lines)
                    );
                }
                None => match self.opening.open(name, &mut self.signals).await {
                    Ok(session) => session.recorded(&self.recorder),
                    Err(NotOpened::Failure(failure)) => return Ok(self.not_there(failure, lines)),
                    Err(NotOpened::Signal(signal)) => {
                        report::end_echo(Some(signal));
                        self.done(exit_code::of_signal(signal));
                        return Ok(self.after(Some(signal)));
                    }
                },
            };
            self.others.push(mem::replace(&mut self.session, opened));
            lines.turn_to(self.session.name());
        }
        self.introduce(lines);
        self.done(0);
        Ok(Next::Line)
    }

    /// Lines that come next were meant for another machine: a person gets them back, a script ends.
    pub(super) fn not_there(&mut self, why: impl std::fmt::Display, lines: &mut Lines) -> Next {
        self.complain(why);
        self.done(exit_code::FAILED);
        lines.hold_back();
        if self.source == Source::Terminal { Next::Line } else { Next::Leave(self.code) }
    }

    /// Whether there is another session for a person to go on with, once this one is over. A script's lines were meant for this one.
    pub(super) fn falls_back(&self) -> bool {
        self.source == Source::Terminal && !self.others.is_empty()
    }

    /// Goes on with the session that was used last; this one is over, with `code`.
    pub(super) async fn fall_back(&mut self, code: u8, lines: &mut Lines) {
        let Some(back) = self.others.pop() else { return };
        let over = mem::replace(&mut self.session, back);
        self.complain(format!(
            "the shell at {} has ended; this is {} again",
            over.name(),
            self.session.name()
        ));
        over.connection.end().await;
        self.done(code);
        lines.hold_back();
        lines.turn_to(self.session.name());
        self.introduce(lines);
    }

    fn list_sessions(&self) -> String {
        let sessions = || std::iter::once(&self.session).chain(self.others.iter().rev());
        let cell = |text: &str| escape(text).into_owned();
        let width = sessions().map(|session| cell(session.name()).chars().count()).max().unwrap_or(0).max(4);
        let heading = format!("HOST{:1$}  LINE  DIRECTORY", "", width - 4);
        let mut table = format!("{}\n", Style::stdout().paint(Role::Heading, &heading));
        for session in sessions() {
            let (name, directory) =
                (cell(session.name()), cell(&String::from_utf8_lossy(&session.prompt.directory)));
            let (line, role) = if session.is_down() { ("down", Role::Bad) } else { ("up  ", Role::Good) };
            let line = Style::stdout().paint(role, line);
            // Writing to a string cannot fail.
            writeln!(table, "{name:width$}  {line}  {directory}").ok();
        }
        table
    }
}
