//! A connection to a server, as the library's users hold it.

use std::ffi::OsStr;
use std::sync::Arc;
use std::time::Duration;

use common::endpoint::{Endpoint, Target};
use common::greeting::Method;
use common::invitation::{Invitation, InvitationError};
use common::job::{ByteString, JobId, Program};
use common::keys::PublicKey;
use common::message::{ClientMessage, JobSummary};
use common::transport::Transport;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time;

use crate::access::{Access, UnknownHosts};
use crate::command::Command;
use crate::dial;
use crate::error::Error;
use crate::known_job::KnownJob;
use crate::line::{self, Connected, Dialer, Greeting, Opened};
use crate::router::{Line, Router};

/// How long a clean close may take to write what is queued.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// A line to a server; it carries any number of jobs at a time.
///
/// If the connection is lost while there are jobs, another one is made, with growing pauses, for as long as the server keeps
/// them; [`Client::line`] tells. Dropping the client cuts the connection, and the server then ends the jobs that this client
/// has started, unless they are kept. [`Client::close`] says everything first that is still to be said.
#[derive(Debug)]
pub struct Client {
    pub(crate) router: Arc<Router>,
    keeper: JoinHandle<()>,
}

impl Client {
    /// Connects and sends the greeting, without waiting for the answer: a first command can travel with it, and
    /// a refusal shows in the first call that waits. [`Client::ready`] waits for the answer alone.
    ///
    /// A server over TCP is verified before anything else is sent. [`Access::of_user`] says with which key, and which
    /// servers are known; nobody is asked.
    ///
    /// # Errors
    /// [`Error`] if there is no connection, or the server is not the one that is known.
    pub async fn connect(target: &Target) -> Result<Self, Error> {
        Self::establish(target, Access::of_user).await
    }

    /// As [`Client::connect`], with a key and known servers of the caller's.
    ///
    /// # Errors
    /// As [`Client::connect`].
    pub async fn connect_with(target: &Target, access: &Access) -> Result<Self, Error> {
        Self::establish(target, || Ok(access.clone())).await
    }

    /// Connects; `access` is only asked for where a key is needed.
    async fn establish(
        target: &Target,
        access: impl FnOnce() -> Result<Access, Error>,
    ) -> Result<Self, Error> {
        match &target.endpoint {
            Endpoint::Unix(path) => {
                let connected = dial::unix(&target.endpoint, path).await?;
                let dialer = Dialer::new(target.clone(), None);
                Ok(Self::greet(connected, target, None, Method::Transport, Some(dialer)))
            }
            Endpoint::Tcp { host, port } => {
                let access = access()?;
                let (connected, new) = dial::tcp(host, *port, &access).await?;
                // Before it hears anything: one that cannot be written down would be as new the next time.
                new.map_or(Ok(()), |new| new.remember(&access))?;
                Ok(Self::over_tcp(connected, target, access, Method::Transport))
            }
        }
    }

    /// Has a server authorise the key of `access`, as `invitation` allows, and trusts the server from now on. The
    /// invitation is spent by that.
    ///
    /// A server that lets nobody in is not written down: all that was known of it came with an invitation that is worth
    /// nothing. One that does, and cannot be written down, is [`Error::Write`]; the key is then authorised, and the
    /// same invitation will do again.
    ///
    /// # Errors
    /// As [`Client::connect`], and what the server says to the invitation.
    pub async fn join(invitation: &Invitation, access: &Access) -> Result<Self, Error> {
        let Endpoint::Tcp { host, port } = &invitation.endpoint else {
            return Err(InvitationError::Incomplete.into());
        };
        let access = access.clone().unknown_hosts(UnknownHosts::Expect(invitation.host_key));
        let (connected, new) = dial::tcp(host, *port, &access).await?;
        let target = Target::from(invitation.endpoint.clone());
        let method = Method::Invitation(invitation.token.clone());
        let client = Self::over_tcp(connected, &target, access.clone(), method);
        client.ready().await?;
        new.map_or(Ok(()), |new| new.remember(&access))?;
        Ok(client)
    }

    /// Speaks over a stream that is open already, and makes no other. `target` is for the greeting's user name and for
    /// messages.
    pub fn over(transport: Transport, target: &Target) -> Self {
        let connected = Connected { transport, address: None };
        Self::greet(connected, target, None, Method::Transport, None)
    }

    fn over_tcp(connected: Connected, target: &Target, access: Access, method: Method) -> Self {
        let key = access.public_key();
        // The next time, it is known or is not the same.
        let dialer = Dialer::new(target.clone(), Some(access.unknown_hosts(UnknownHosts::Refuse)));
        Self::greet(connected, target, Some(key), method, Some(dialer))
    }

    fn greet(
        connected: Connected,
        target: &Target,
        key: Option<PublicKey>,
        method: Method,
        dialer: Option<Dialer>,
    ) -> Self {
        let user = target.user.clone().unwrap_or_default();
        let opened = Opened::new(connected, Greeting { user: user.clone(), method });
        let router = Arc::new(Router::new(target.endpoint.clone(), key));
        router.begin(opened.sender());
        let keeper = tokio::spawn(line::keep(Arc::clone(&router), opened, dialer, user));
        Self { router, keeper }
    }

    /// Speaks over whatever lines its `router` is given.
    #[cfg(feature = "model")]
    pub(crate) fn without_line(router: Arc<Router>) -> Self {
        Self { router, keeper: tokio::spawn(std::future::pending()) }
    }

    /// Waits until the server has accepted the greeting.
    ///
    /// # Errors
    /// What is wrong with the server or the connection.
    pub async fn ready(&self) -> Result<(), Error> {
        self.router.ready().await
    }

    /// A command of exactly these words: `program` and what [`Command::arg`] adds. No shell sees it.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command<'_> {
        Command::new(self, Program::Argv(vec![ByteString::from(program.as_ref())]))
    }

    /// A string for the server's `/bin/sh -c`.
    pub fn shell(&self, text: impl AsRef<OsStr>) -> Command<'_> {
        Command::new(self, Program::Shell(ByteString::from(text.as_ref())))
    }

    /// The login shell of the account that it runs as on the server. It reads commands if it is given a stdin, and is what people
    /// are used to on a [terminal](Command::terminal).
    pub fn login_shell(&self) -> Command<'_> {
        Command::new(self, Program::LoginShell)
    }

    /// Asks the server for a sign of life; how long it took.
    ///
    /// # Errors
    /// What is wrong with the server or the connection.
    pub async fn ping(&self) -> Result<Duration, Error> {
        self.router.ping().await
    }

    /// A job that is there already: its id, or the beginning of one with which no other begins. Nothing is asked yet.
    pub fn job(&self, id: JobId) -> KnownJob<'_> {
        KnownJob::new(self, id)
    }

    /// The jobs that this client may know of, the youngest last; with `all` those that are over, too.
    ///
    /// # Errors
    /// [`Error::NotListed`], and the connection's failure.
    pub async fn jobs(&self, all: bool) -> Result<Vec<JobSummary>, Error> {
        self.router.ask(ClientMessage::List { all }).await?.map_err(Error::NotListed)
    }

    /// The state of the line to the server, and its changes.
    pub fn line(&self) -> watch::Receiver<Line> {
        self.router.line()
    }

    /// Whether the server has said that it is stopping.
    pub fn is_going_away(&self) -> bool {
        self.router.is_going_away()
    }

    /// Writes what is queued and closes. Jobs that still run are ended by the server, unless they are kept.
    pub async fn close(mut self) {
        self.router.close();
        // A peer that does not read loses what it would not take; the deadline is all it gets.
        time::timeout(CLOSE_TIMEOUT, &mut self.keeper).await.ok();
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.router.close();
        self.keeper.abort();
    }
}
