//! A connection that was just accepted: nothing is known of the other end, and nothing of Telex is read from it.

use std::net::SocketAddr;
use std::time::Duration;

use common::tls::{ServerHandshake, ServerTls, TlsError, TlsStream};
use common::transport::{Transport, prepare_tcp};
use thiserror::Error;
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{self, Instant};
use tracing::{debug, warn};

use super::record;
use super::stranger::Stranger;
use crate::admission::Ending;
use crate::authorize::{Peer, Remote};
use crate::gate::Visitor;
use crate::service::Service;

/// A connection, and its place at the gate.
#[derive(Debug)]
pub(crate) enum Arrival {
    /// Over TCP.
    Tcp(TcpStream, SocketAddr, Visitor),
    /// Over a Unix socket, of whose other end the system has told the user.
    Unix(UnixStream, u32, Visitor),
}

impl Arrival {
    /// Has the other end prove who it is. `None` if it does not, which needs no answer but TLS's own.
    pub(super) async fn secure(self, service: &Service) -> Option<Stranger> {
        let limits = service.live().config.limits.clone();
        let deadline = Instant::now() + limits.login_timeout;
        let (stream, address, mut visitor) = match self {
            Self::Unix(stream, uid, visitor) => {
                return Some(Stranger::new(Transport::Unix(stream), Peer::User { uid }, visitor, deadline));
            }
            Self::Tcp(stream, address, visitor) => (stream, address, visitor),
        };
        let evicted = visitor.evicted.clone();
        // A server without TCP has nobody come to it over TCP.
        let tls = service.tls.as_ref()?;
        let first = limits.client_hello_timeout;
        let secured = tokio::select! {
            secured = time::timeout_at(deadline, shake_hands(tls, first, stream)) => secured,
            // Whoever makes room, or is there when the server stops, has said nothing yet that deserves an answer.
            () = evicted.cancelled() => return None,
            () = service.stopping.cancelled() => return None,
        };
        match secured.unwrap_or(Err(HandshakeFailure::TooLate)) {
            Ok(stream) => {
                let peer = Peer::Key { address, key: stream.peer() };
                Some(Stranger::new(Transport::Tls(Box::new(stream)), peer, visitor, deadline))
            }
            Err(failure) => {
                let ending = failure.ending();
                if ending == Ending::Violation && service.gate.may_tell() {
                    warn!(reason = %failure, "no handshake");
                    record::violation(service, visitor.id(), Remote::Tcp(address), &failure.to_string());
                } else {
                    debug!(reason = %failure, "no handshake");
                }
                visitor.ends(ending);
                None
            }
        }
    }
}

/// The client has `first` for its first word.
async fn shake_hands(
    tls: &ServerTls,
    first: Duration,
    stream: TcpStream,
) -> Result<TlsStream, HandshakeFailure> {
    prepare_tcp(&stream).map_err(TlsError::Io)?;
    let begun = time::timeout(first, ServerHandshake::begin(stream, tls)).await;
    Ok(begun.map_err(|_| HandshakeFailure::TooLate)??.finish().await?)
}

/// Why there is no secured connection.
#[derive(Debug, Error)]
enum HandshakeFailure {
    /// The client took longer than it may.
    #[error("the client took too long")]
    TooLate,
    /// TLS failed.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

impl HandshakeFailure {
    fn ending(&self) -> Ending {
        match self {
            Self::TooLate => Ending::DeadlinePassed,
            // A port scanner, or a health check.
            Self::Tls(TlsError::NotTls { said }) if said.is_empty() => Ending::NoAuthentication,
            // A client that does not trust us says so, and one that is gone says nothing.
            Self::Tls(TlsError::Refused(_) | TlsError::ClosedInHandshake | TlsError::Io(_)) => {
                Ending::NoAuthentication
            }
            Self::Tls(TlsError::CannotSign(_) | TlsError::Untrusted(_)) => Ending::OurFault,
            Self::Tls(
                TlsError::NotTls { .. }
                | TlsError::ApplicationProtocol
                | TlsError::TooLong
                | TlsError::Protocol(_),
            ) => Ending::Violation,
        }
    }
}
