//! A session: a shell on a server, and the connection to it. A prompt has one, or with `:host` several of which one gets the lines.
//!
//! Knows nothing of lines and prints nothing.

use std::ffi::OsStr;

use common::job::{JobId, Signal};

use super::recording::Recorder;
use super::shell::{LineEnd, Mode, Prompt, Shell};
use crate::Client;
use crate::cli::args::ServerOptions;
use crate::cli::connection::Connection;
use crate::cli::failure::Failure;
use crate::cli::foreground::unless_signaled;
use crate::cli::line_status::LineStatus;
use crate::cli::report::Reporter;
use crate::cli::signals::Signals;
use crate::error::Error;

/// One of them.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) connection: Connection,
    pub(super) shell: Shell,
    /// How the last line has left the shell.
    pub(super) prompt: Prompt,
}

/// How sessions are opened here.
#[derive(Debug, Clone, Copy)]
pub(super) struct Opening<'a> {
    /// What was said about servers when this program was started.
    pub(super) server: &'a ServerOptions,
    pub(super) mode: Mode,
    /// The shell, if not the user's own.
    pub(super) shell: Option<&'a OsStr>,
    /// This program's name.
    pub(super) program: &'a str,
}

/// Why there is no session.
pub(super) enum NotOpened {
    Failure(Failure),
    /// This came first.
    Signal(Signal),
}

impl From<Failure> for NotOpened {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

impl From<Signal> for NotOpened {
    fn from(signal: Signal) -> Self {
        Self::Signal(signal)
    }
}

impl Opening<'_> {
    /// Connects to `host`, as if `-H` had named it, and starts a shell there, unless a signal comes.
    ///
    /// # Errors
    /// [`NotOpened`]; nothing is left there then.
    pub(super) async fn open(&self, host: &str, signals: &mut Signals) -> Result<Session, NotOpened> {
        let ServerOptions { key, accept_new, .. } = self.server;
        let server = ServerOptions {
            host: Some(host.to_owned()),
            embedded: false,
            key: key.clone(),
            accept_new: *accept_new,
        };
        let connection = unless_signaled(signals, Connection::open(&server, self.program)).await??;
        match unless_signaled(signals, Shell::open(&connection.client, self.mode, self.shell)).await {
            Ok(Ok((shell, prompt))) => Ok(Session { connection, shell, prompt }),
            Ok(Err(failure)) => {
                connection.close().await;
                Err(failure.into())
            }
            Err(signal) => {
                connection.close().await;
                Err(signal.into())
            }
        }
    }

    /// Starts a shell over `connection`.
    ///
    /// # Errors
    /// [`Failure`].
    pub(super) async fn start(&self, connection: Connection) -> Result<Session, Failure> {
        match Shell::open(&connection.client, self.mode, self.shell).await {
            Ok((shell, prompt)) => Ok(Session { connection, shell, prompt }),
            Err(failure) => {
                connection.close().await;
                Err(failure)
            }
        }
    }
}

impl Session {
    /// The one that has the shell `id`, whoever had it before.
    ///
    /// # Errors
    /// [`Failure`].
    pub(super) async fn resume(connection: Connection, id: JobId) -> Result<Self, Failure> {
        match Shell::take_over(&connection.client, id).await {
            Ok(shell) => Ok(Self { connection, shell, prompt: Prompt::default() }),
            Err(failure) => {
                connection.close().await;
                Err(failure)
            }
        }
    }

    /// What the user calls the server.
    pub(super) fn name(&self) -> &str {
        &self.connection.name
    }

    /// Whether the line to the server is down.
    pub(super) fn is_down(&self) -> bool {
        matches!(*self.connection.client.line().borrow(), crate::Line::Down { .. })
    }

    /// Has what is shown recorded, whenever there is a recording.
    pub(super) fn recorded(mut self, recorder: &Recorder) -> Self {
        self.shell.record(recorder.clone());
        self
    }
}

/// What is said of the line of a session with this connection.
pub(super) fn line_status<'a>(connection: &'a Connection, reporter: &'a Reporter) -> LineStatus<'a> {
    LineStatus::new(&connection.client, &connection.name, reporter)
}

/// Why there is no shell any more.
pub(super) async fn over(client: &Client, shell: &Shell, end: LineEnd) -> Failure {
    match end {
        LineEnd::Over(Ok(_)) if client.is_going_away() => Failure::ServerStopping,
        LineEnd::Over(Ok(finished)) => Failure::Session(finished.outcome.to_string()),
        LineEnd::Over(Err(error @ Error::Superseded { .. })) => error.into(),
        LineEnd::Over(Err(error)) => Failure::lost(shell.job(), error, "").await,
        LineEnd::Garbled | LineEnd::Ready(_) => Failure::Session("its reports make no sense".to_owned()),
    }
}
