//! A connection to a server, as the library's users hold it.

use std::ffi::OsStr;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use common::connection::packet_queue;
use common::endpoint::{Endpoint, Target};
use common::greeting::Hello;
use common::job::{ByteString, Program};
use common::packet::Packet;
use common::transport::Transport;
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinHandle;
use tokio::time;

use crate::command::Command;
use crate::error::Error;
use crate::router::{self, Router};

/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

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
    /// # Errors
    /// [`Error::Resolve`] and [`Error::Connect`].
    pub async fn connect(target: &Target) -> Result<Self, Error> {
        let transport =
            time::timeout(CONNECT_TIMEOUT, open(&target.endpoint)).await.unwrap_or_else(|_| {
                Err(connect_error(&target.endpoint, io::Error::from(io::ErrorKind::TimedOut)))
            })?;
        Ok(Self::over(transport, target))
    }

    /// Speaks over a stream that is open already. `target` is for the greeting's user name and for messages.
    pub fn over(transport: Transport, target: &Target) -> Self {
        let stall = transport.write_stall();
        let (read, write) = transport.split();
        let (sender, queue) = packet_queue();
        let hello = Hello::new(target.user.as_deref().unwrap_or_default(), SOFTWARE);
        // The queue is new and has room; the greeting is first in it.
        let greeted = sender.try_send_control(Packet::Hello(hello)).is_ok();
        debug_assert!(greeted, "an empty queue takes a packet");
        let router = Arc::new(Router::new(sender, target.endpoint.clone()));
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

async fn open(endpoint: &Endpoint) -> Result<Transport, Error> {
    let failed = |source| connect_error(endpoint, source);
    match endpoint {
        Endpoint::Unix(path) => Ok(Transport::Unix(UnixStream::connect(path).await.map_err(failed)?)),
        Endpoint::Tcp { host, port } => {
            let addresses = tokio::net::lookup_host((host.as_str(), *port))
                .await
                .map_err(|source| Error::Resolve { host: host.clone(), source: Arc::new(source) })?;
            let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
            for address in addresses {
                match TcpStream::connect(address).await {
                    Ok(stream) => return Transport::tcp(stream).map_err(failed),
                    Err(error) => last = error,
                }
            }
            Err(failed(last))
        }
    }
}

fn connect_error(endpoint: &Endpoint, source: io::Error) -> Error {
    Error::Connect { endpoint: endpoint.clone(), source: Arc::new(source) }
}
