//! Where peers under a test's control wait for the client.

use std::io;
use std::net::TcpListener;
use std::os::unix::net::UnixListener;

use common::greeting::{Features, VERSION, Welcome};
use common::keys::PrivateKey;
use common::message::ClientMessage;
use common::packet::Packet;
use rustls::StreamOwned;
use tempfile::TempDir;

use crate::raw_peer::RawServer;
use crate::tls;
use crate::wait::{DEADLINE, wait_until};

/// Where a [`RawServer`] waits for its client.
#[derive(Debug)]
pub struct RawListener {
    socket: Socket,
    /// For TLS over TCP.
    key: Option<&'static PrivateKey>,
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpListener),
    /// In a directory of its own.
    Unix(UnixListener, TempDir),
}

impl RawListener {
    /// Listens on a Unix socket, where nobody needs a key.
    #[expect(clippy::new_without_default, reason = "it opens a socket")]
    pub fn new() -> Self {
        let directory = TempDir::with_prefix("telex-test-").unwrap();
        let listener = UnixListener::bind(directory.path().join("socket")).unwrap();
        listener.set_nonblocking(true).unwrap();
        Self { socket: Socket::Unix(listener, directory), key: None }
    }

    /// Listens on a free port of 127.0.0.1, for peers that do not speak TLS, or not as they should.
    pub fn bare() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        Self { socket: Socket::Tcp(listener), key: None }
    }

    /// Listens on a free port of 127.0.0.1 as a server with this host key. The handshake happens when the peer first speaks
    /// or hears.
    pub fn secure(host_key: &'static PrivateKey) -> Self {
        Self { key: Some(host_key), ..Self::bare() }
    }

    /// Its address, as `-H` takes it.
    pub fn address(&self) -> String {
        match &self.socket {
            Socket::Tcp(listener) => listener.local_addr().unwrap().to_string(),
            Socket::Unix(_, directory) => format!("unix:{}", directory.path().join("socket").display()),
        }
    }

    /// Takes the next connection and says nothing yet.
    #[track_caller]
    pub fn accept(&self) -> RawServer {
        let mut accepted = None;
        wait_until("somebody connects", DEADLINE, || {
            accepted = self.try_accept().ok();
            accepted.is_some()
        });
        accepted.unwrap()
    }

    /// Takes a connection that waits already.
    ///
    /// # Errors
    /// The system's, if there is none.
    pub fn try_accept(&self) -> io::Result<RawServer> {
        match &self.socket {
            Socket::Tcp(listener) => {
                let (stream, _) = listener.accept()?;
                stream.set_nonblocking(false)?;
                Ok(match self.key {
                    Some(key) => RawServer::over(StreamOwned::new(tls::server(key), stream)),
                    None => RawServer::over(stream),
                })
            }
            Socket::Unix(listener, _) => {
                let (stream, _) = listener.accept()?;
                stream.set_nonblocking(false)?;
                Ok(RawServer::over(stream))
            }
        }
    }

    /// Takes the next connection, greets it as one that has all features, and hears its first START, of either kind; gives the job's number as well.
    #[track_caller]
    pub fn accept_job(&self) -> (RawServer, u32) {
        let mut peer = self.accept();
        peer.send(Packet::Welcome(Welcome {
            version: VERSION,
            software: "raw server".to_owned(),
            features: Features::KNOWN,
        }));
        loop {
            match peer.hear() {
                Some(Packet::Message {
                    job,
                    message: ClientMessage::Start { .. } | ClientMessage::StartWith { .. },
                }) => return (peer, job.0),
                Some(_) => {}
                None => panic!("the client closed without a START"),
            }
        }
    }
}
