//! A connection to a server, as the library's users hold it.

use std::borrow::Borrow;
use std::ffi::OsStr;
use std::sync::Arc;
use std::time::Duration;

use common::connection::packet_queue;
use common::endpoint::{Endpoint, Target};
use common::greeting::{Hello, Method};
use common::invitation::{Invitation, InvitationError};
use common::job::{ByteString, Program};
use common::keys::PublicKey;
use common::packet::Packet;
use common::transport::Transport;
use tokio::task::JoinHandle;
use tokio::time;

use crate::access::{Access, UnknownHosts};
use crate::command::Command;
use crate::dial;
use crate::error::Error;
use crate::router::{self, Router};

/// How long a clean close may take to write what is queued.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// Name and version that HELLO carries.
const SOFTWARE: &str = concat!("telex-client/", env!("CARGO_PKG_VERSION"));

/// A connection to a server; it carries any number of jobs at a time.
///
/// Dropping it cuts the connection, and the server then ends the jobs that ran on it. [`Client::close`] says
/// everything first that is still to be said.
#[derive(Debug)]
pub struct Client {
    pub(crate) router: Arc<Router>,
    reader: JoinHandle<()>,
    writer: JoinHandle<()>,
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
        Self::establish(target, || Ok(access)).await
    }

    /// Connects; `access` is only asked for where a key is needed.
    async fn establish<A: Borrow<Access>>(
        target: &Target,
        access: impl FnOnce() -> Result<A, Error>,
    ) -> Result<Self, Error> {
        match &target.endpoint {
            Endpoint::Unix(path) => Ok(Self::over(dial::unix(&target.endpoint, path).await?, target)),
            Endpoint::Tcp { host, port } => {
                let access = access()?;
                let access = access.borrow();
                let (transport, new) = dial::tcp(host, *port, access).await?;
                // Before it hears anything: one that cannot be written down would be as new the next time.
                new.map_or(Ok(()), |new| new.remember(access))?;
                Ok(Self::greet(transport, target, Some(access.public_key()), Method::Transport))
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
        let (transport, new) = dial::tcp(host, *port, &access).await?;
        let target = Target::from(invitation.endpoint.clone());
        let method = Method::Invitation(invitation.token.clone());
        let client = Self::greet(transport, &target, Some(access.public_key()), method);
        client.ready().await?;
        new.map_or(Ok(()), |new| new.remember(&access))?;
        Ok(client)
    }

    /// Speaks over a stream that is open already. `target` is for the greeting's user name and for messages.
    pub fn over(transport: Transport, target: &Target) -> Self {
        Self::greet(transport, target, None, Method::Transport)
    }

    fn greet(transport: Transport, target: &Target, key: Option<PublicKey>, method: Method) -> Self {
        let stall = transport.write_stall();
        let (read, write) = transport.split();
        let (sender, queue) = packet_queue();
        let user = target.user.as_deref().unwrap_or_default();
        let hello = Hello { method, ..Hello::new(user, SOFTWARE) };
        // The queue is new and has room; the greeting is first in it.
        let greeted = sender.try_send_control(Packet::Hello(hello)).is_ok();
        debug_assert!(greeted, "an empty queue takes a packet");
        let router = Arc::new(Router::new(sender, target.endpoint.clone(), key));
        let writer = tokio::spawn(router::write(Arc::clone(&router), queue, write, stall));
        let reader = tokio::spawn(router::read(Arc::clone(&router), read));
        Self { router, reader, writer }
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

    /// Asks the server for a sign of life; how long it took.
    ///
    /// # Errors
    /// What is wrong with the server or the connection.
    pub async fn ping(&self) -> Result<Duration, Error> {
        self.router.ping().await
    }

    /// Whether the server has said that it is stopping.
    pub fn is_going_away(&self) -> bool {
        self.router.is_going_away()
    }

    /// Writes what is queued and closes. Jobs that still run are ended by the server.
    pub async fn close(mut self) {
        self.router.close();
        // A peer that does not read loses what it would not take; the deadline is all it gets.
        time::timeout(CLOSE_TIMEOUT, &mut self.writer).await.ok();
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.router.close();
        self.reader.abort();
        self.writer.abort();
    }
}
