//! TLS 1.3 with Ed25519 keys on both sides, over TCP: the only place that knows the TLS library.
//!
//! Raw public keys (RFC 7250) instead of certificates, no names, no session that could be resumed, one application
//! protocol. There is no weaker form of it, and no switch. Who a key is, and what it may do, is for the caller: the server
//! learns the key that the client has proven to own, the client decides about the server's before it proves its own.
//!
//! - [`Identity`]: a key that can sign
//! - [`ServerTls`], [`ClientTls`]: one side's settings
//! - [`TlsStream`]: a connection after its handshake, to be split into [`TlsReader`] and [`TlsWriter`]
//!
//! The library's unbuffered interface is used, because its buffered one moves every received byte three times.

mod byte_queue;
mod handshake;
mod identity;
mod session;
mod settings;
mod stream;
mod verifier;

use std::io;

use rustls::AlertDescription;
use thiserror::Error;

use crate::keys::PublicKey;
use crate::reason::system_reason;

pub use handshake::{ServerHandshake, connect};
pub use identity::Identity;
pub use settings::{ClientTls, ServerTls};
pub use stream::{TlsReader, TlsStream, TlsWriter};

/// The application protocol that both sides must name (RFC 7301).
const APPLICATION_PROTOCOL: &[u8] = b"telex/1";

/// Most of a stranger's first bytes that an error repeats.
const SAID: usize = 32;

/// Why a handshake failed, or a connection after it.
#[derive(Debug, Error)]
pub enum TlsError {
    /// The client does not trust the server's key. Nothing was sent that needs trust.
    #[error("the server's key {} is not trusted", .0.fingerprint())]
    Untrusted(PublicKey),
    /// The peer refused, with a TLS alert. Before the handshake is over, whoever is on the way can say that, too.
    #[error("the peer refused: {}", alert_name(*.0))]
    Refused(Alert),
    /// What the peer sent is not TLS.
    #[error("the peer does not speak TLS")]
    NotTls {
        /// The first bytes of it, at most 32; none if the peer closed without a word.
        said: Vec<u8>,
    },
    /// The peer ended the connection inside the handshake.
    #[error("the peer closed the connection inside the handshake")]
    ClosedInHandshake,
    /// The peer named no application protocol of ours.
    #[error("the peer speaks another protocol over TLS")]
    ApplicationProtocol,
    /// The handshake of the peer is longer than any handshake needs to be.
    #[error("the peer's handshake is too long")]
    TooLong,
    /// The peer broke the protocol, or the bytes were changed on the way.
    #[error("TLS: {0}")]
    Protocol(rustls::Error),
    /// The key of this side could not sign.
    #[error("{0}")]
    CannotSign(String),
    /// The system's.
    #[error("{}", system_reason(.0))]
    Io(#[from] io::Error),
}

/// The alerts that mean something to a user of Telex.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alert {
    /// The server takes no connections from this address for a while.
    AccessDenied,
    /// The server has no room at the moment.
    Busy,
    /// The peer does not speak Telex.
    ApplicationProtocol,
    /// Any other; its number (RFC 8446, section 6).
    Other(u8),
}

impl Alert {
    /// The record with which a server turns a client away before it has heard anything.
    pub fn record(self) -> [u8; 7] {
        const ALERT: u8 = 21;
        const FATAL: u8 = 2;
        [ALERT, 3, 3, 0, 2, FATAL, self.number()]
    }

    fn number(self) -> u8 {
        match self {
            Self::AccessDenied => u8::from(AlertDescription::AccessDenied),
            Self::Busy => u8::from(AlertDescription::InternalError),
            Self::ApplicationProtocol => u8::from(AlertDescription::NoApplicationProtocol),
            Self::Other(number) => number,
        }
    }
}

impl From<AlertDescription> for Alert {
    fn from(description: AlertDescription) -> Self {
        match description {
            AlertDescription::AccessDenied => Self::AccessDenied,
            AlertDescription::InternalError => Self::Busy,
            AlertDescription::NoApplicationProtocol => Self::ApplicationProtocol,
            other => Self::Other(other.into()),
        }
    }
}

fn alert_name(alert: Alert) -> String {
    match alert {
        Alert::AccessDenied => "it takes no connections from this address at the moment".to_owned(),
        Alert::Busy => "it has no room for another connection at the moment".to_owned(),
        Alert::ApplicationProtocol => "it speaks another protocol over TLS".to_owned(),
        Alert::Other(number) => format!("TLS alert {number}"),
    }
}

impl From<rustls::Error> for TlsError {
    fn from(error: rustls::Error) -> Self {
        match error {
            rustls::Error::AlertReceived(description) => Self::Refused(description.into()),
            rustls::Error::NoApplicationProtocol => Self::ApplicationProtocol,
            // Only an identity's refusal to sign is passed on as text.
            rustls::Error::General(text) => Self::CannotSign(text),
            error => Self::Protocol(error),
        }
    }
}

impl From<TlsError> for io::Error {
    fn from(error: TlsError) -> Self {
        match error {
            TlsError::Io(error) => error,
            error => Self::new(io::ErrorKind::InvalidData, error),
        }
    }
}

#[cfg(test)]
mod tests;
