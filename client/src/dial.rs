//! From an address to a secured connection.
//!
//! - `addresses`: which of a host's addresses answers

mod addresses;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use common::endpoint::Endpoint;
use common::keys::PublicKey;
use common::keys::known_hosts::HostName;
use common::tls::{Alert, ClientTls, TlsError, TlsStream};
use common::transport::{Transport, prepare_tcp};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{self, Instant};

use crate::access::{Access, HostTrust};
use crate::error::Error;
use crate::line::Connected;

/// How long a connection may take to come about, all its addresses and a busy server's patience together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the handshake may take: as long as a server gives it, in which somebody may have to touch a key.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(30);

/// Pause before a busy server is tried again, and how far it grows.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Connects to a Unix socket.
pub(crate) async fn unix(endpoint: &Endpoint, path: &std::path::Path) -> Result<Connected, Error> {
    let connecting = time::timeout(CONNECT_TIMEOUT, UnixStream::connect(path)).await;
    let connected = connecting.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
    let stream = connected.map_err(|source| connect_error(endpoint, source))?;
    Ok(Connected { transport: Transport::Unix(stream), address: None })
}

/// A server that is accepted, and not written down yet.
#[derive(Debug)]
pub(crate) struct NewHost {
    host: HostName,
    key: PublicKey,
}

impl NewHost {
    /// Writes it down.
    pub(crate) fn remember(&self, access: &Access) -> Result<(), Error> {
        access.remember(&self.host, &self.key)
    }
}

/// Connects to a server over TCP, and has both sides prove who they are. Nothing but that is sent, and nothing is
/// written down: when that is due, the caller knows.
pub(crate) async fn tcp(
    host: &str,
    port: u16,
    access: &Access,
) -> Result<(Connected, Option<NewHost>), Error> {
    let endpoint = Endpoint::Tcp { host: host.to_owned(), port };
    let trust = Arc::new(access.host(HostName::new(host, port)?)?);
    let deadline = Instant::now() + CONNECT_TIMEOUT;
    let mut pause = FIRST_PAUSE;
    loop {
        let stream = connect(host, port, deadline).await?;
        let address = stream.local_addr().ok();
        let secured = secure(stream, access, &trust).await;
        match secured {
            Ok(stream) => {
                let key = stream.peer();
                let new = trust.is_new(&key).map(|host| NewHost { host: host.clone(), key });
                return Ok((Connected { transport: Transport::Tls(Box::new(stream)), address }, new));
            }
            // It has not heard anything, so nothing can happen twice.
            Err(TlsError::Refused(Alert::Busy)) if Instant::now() + pause < deadline => {
                time::sleep(jittered(pause)?).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            Err(error) => return Err(handshake_error(endpoint, error, &trust)),
        }
    }
}

/// A connection to one of the host's addresses.
async fn connect(host: &str, port: u16, deadline: Instant) -> Result<TcpStream, Error> {
    let resolved = time::timeout_at(deadline, tokio::net::lookup_host((host, port))).await;
    let addresses = resolved
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        .map_err(|source| Error::Resolve { host: host.to_owned(), source: Arc::new(source) })?;
    let endpoint = || Endpoint::Tcp { host: host.to_owned(), port };
    let connected = addresses::connect(addresses, deadline).await;
    let stream = connected.map_err(|attempts| Error::Unreachable { endpoint: endpoint(), attempts })?;
    prepare_tcp(&stream).map_err(|source| connect_error(&endpoint(), source))?;
    Ok(stream)
}

async fn secure(stream: TcpStream, access: &Access, trust: &Arc<HostTrust>) -> Result<TlsStream, TlsError> {
    let accepts = Arc::clone(trust);
    let settings = ClientTls::new(access.identity(), move |key| accepts.accepts(key))?;
    time::timeout(HANDSHAKE_TIMEOUT, common::tls::connect(stream, &settings)).await.unwrap_or_else(|_| {
        let reason = format!("no handshake within {HANDSHAKE_TIMEOUT:?}");
        Err(io::Error::new(io::ErrorKind::TimedOut, reason).into())
    })
}

fn handshake_error(endpoint: Endpoint, error: TlsError, trust: &HostTrust) -> Error {
    match error {
        TlsError::Untrusted(key) => trust.refusal(key),
        TlsError::NotTls { said } => Error::NotTelex { endpoint, said },
        error => Error::Handshake { endpoint, error: Arc::new(error) },
    }
}

fn connect_error(endpoint: &Endpoint, source: io::Error) -> Error {
    Error::Connect { endpoint: endpoint.clone(), source: Arc::new(source) }
}

/// Between half of `pause` and the whole: those who were sent away together do not come back together.
fn jittered(pause: Duration) -> Result<Duration, Error> {
    let share = f64::from(getrandom::u32()?) / f64::from(u32::MAX);
    Ok(pause.mul_f64((1.0 + share) / 2.0))
}
