//! What can fail in the library, and whose fault it is. The sentences for people are the command line's.

use std::fmt;
use std::io;
use std::iter;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use common::config::ConfigError;
use common::connection::{Blame, ConnectionError};
use common::endpoint::{Endpoint, EndpointError};
use common::greeting::CloseCode;
use common::invitation::InvitationError;
use common::job::{JobId, SpecError};
use common::keys::known_hosts::{HostName, HostNameError};
use common::keys::{FileError, Fingerprint, PrivateKeyError, PublicKey, WriteError};
use common::message::{MessageError, Refusal};
use common::reason::system_reason;
use common::tls::TlsError;
use thiserror::Error;

/// A failure of Telex itself, as opposed to an outcome of a command.
#[derive(Debug, Clone, Error)]
pub enum Error {
    /// The address makes no sense. The local user's fault.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// The host's name could not be resolved.
    #[error("cannot resolve {host}: {}", system_reason(source))]
    Resolve {
        /// The name.
        host: String,
        /// The resolver's error.
        source: Arc<io::Error>,
    },
    /// Nothing answers there.
    #[error("cannot connect to {endpoint}: {}", system_reason(source))]
    Connect {
        /// Where.
        endpoint: Endpoint,
        /// The system's error.
        source: Arc<io::Error>,
    },
    /// Nothing answers at any address of the host.
    #[error("cannot connect to {endpoint}: {}", Attempts(endpoint, attempts))]
    Unreachable {
        /// Where.
        endpoint: Endpoint,
        /// What became of each address that was tried, in that order; none if the host has none.
        attempts: Vec<Attempt>,
    },
    /// The user's settings cannot be used, or there is no place where they could be. The local user's fault.
    #[error(transparent)]
    Config(#[from] Arc<ConfigError>),
    /// There is no key to prove who this side is. The local user's to make.
    #[error("there is no key at {}", path.display())]
    NoKey {
        /// Where it would be.
        path: PathBuf,
    },
    /// The file has no key that can be used. The local user's fault.
    #[error("{}: {error}", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: Arc<PrivateKeyError>,
    },
    /// A file of keys is not as it has to be. The local user's fault.
    #[error(transparent)]
    File(#[from] Arc<FileError>),
    /// A file cannot be written.
    #[error(transparent)]
    Write(#[from] Arc<WriteError>),
    /// The server's name cannot be one. The local user's fault.
    #[error(transparent)]
    HostName(#[from] HostNameError),
    /// The invitation is none. The local user's fault.
    #[error(transparent)]
    Invitation(#[from] InvitationError),
    /// The server is not one that may be spoken to.
    #[error("{0}")]
    Untrusted(Arc<Untrusted>),
    /// There is no secured connection.
    #[error("cannot secure the connection to {endpoint}: {error}")]
    Handshake {
        /// Where.
        endpoint: Endpoint,
        /// What failed.
        error: Arc<TlsError>,
    },
    /// The server does not let this client in.
    #[error("{} refuses this connection: {}", .0.endpoint, .0.text)]
    Denied(Arc<Denied>),
    /// The server ended the connection in place of a greeting. Nothing ran there: it looks at nothing before that.
    #[error("the server refuses: {text}")]
    Refused {
        /// What it means.
        code: CloseCode,
        /// The server's words.
        text: String,
    },
    /// Something answers there that does not speak Telex.
    #[error("{endpoint} does not speak telex")]
    NotTelex {
        /// Where.
        endpoint: Endpoint,
        /// The first bytes of what it said, at most 32; empty if it closed without a word.
        said: Vec<u8>,
    },
    /// The connection failed; what ran on it is lost.
    #[error("the connection failed: {0}")]
    Connection(#[from] Arc<ConnectionError>),
    /// The peer ended the connection in good order, but too early.
    #[error("the server ended the connection")]
    ServerGone,
    /// This client has been closed.
    #[error("the connection was closed by this client")]
    Closed,
    /// The command makes no sense. The local user's fault.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// The command does not fit into a request. The local user's fault.
    #[error(transparent)]
    TooLong(#[from] MessageError),
    /// More jobs at a time than a connection carries, or more than it can number.
    #[error("this connection carries as many jobs as it can")]
    TooManyJobs,
    /// The server cannot say which jobs there are.
    #[error("cannot list the jobs: {0}")]
    NotListed(Refusal),
    /// An order to a job is not carried out: the server's settings do not allow it.
    #[error("job {id}: {reason}")]
    Declined {
        /// The job.
        id: JobId,
        /// The server's words.
        reason: String,
    },
    /// What was asked of a job is not granted. The local user's fault, mostly.
    #[error("job {id}: {refusal}")]
    Job {
        /// The job, as it was named.
        id: JobId,
        /// Why not.
        refusal: Refusal,
    },
    /// The job is over already.
    #[error("job {id} is over")]
    Over {
        /// The job.
        id: JobId,
    },
    /// Another client has taken this one's place.
    #[error("another client has taken over job {id}")]
    Superseded {
        /// The job.
        id: JobId,
    },
    /// A job is told something that was not asked for with control descriptors. The local user's fault.
    #[error("job {id} takes nothing that it could be told")]
    NoControl {
        /// The job.
        id: JobId,
    },
    /// A job is told more than the server carries out.
    #[error("the server does not carry out what the job is told")]
    TooManyOrders,
    /// The server is too old for what it is asked for, and has done nothing about it.
    #[error("the server is too old: it knows no {what}")]
    TooOld {
        /// What it does not know.
        what: &'static str,
    },
    /// The system's random source failed, so no job id could be made.
    #[error("no random numbers: {0}")]
    Random(#[from] getrandom::Error),
}

/// An address that was tried in vain.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// Where.
    pub address: SocketAddr,
    /// The system's error.
    pub source: Arc<io::Error>,
}

/// What became of each address of an endpoint; which one it was goes without saying where the user wrote it.
struct Attempts<'a>(&'a Endpoint, &'a [Attempt]);

impl Attempts<'_> {
    fn is_written(&self, address: IpAddr) -> bool {
        matches!(self.0, Endpoint::Tcp { host, .. } if host.parse() == Ok(address))
    }
}

impl fmt::Display for Attempts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.1.is_empty() {
            return f.write_str("it has no address");
        }
        for (separator, attempt) in [""].into_iter().chain(iter::repeat(", ")).zip(self.1) {
            write!(f, "{separator}{}", system_reason(&attempt.source))?;
            let address = attempt.address.ip();
            if !self.is_written(address) {
                write!(f, " ({address})")?;
            }
        }
        Ok(())
    }
}

/// A client that is not let in. Nothing of what it wants was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denied {
    /// Where.
    pub endpoint: Endpoint,
    /// The key that was shown there; none over a Unix socket.
    pub key: Option<PublicKey>,
    /// What the server says; not to be printed unescaped.
    pub text: String,
}

/// A server that has shown a key, and is not trusted for it. Nothing was sent to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Untrusted {
    /// The server.
    pub host: HostName,
    /// The key that it has shown.
    pub key: PublicKey,
    /// What is wrong.
    pub reason: Distrust,
}

/// Why a server is not trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Distrust {
    /// Nothing is known of it.
    Unknown,
    /// It is known by another key: it was set up anew, or somebody is in between.
    Changed {
        /// The file of known servers.
        path: PathBuf,
        /// The line about this one.
        line: usize,
    },
    /// It may be known, and may be not: what the file says cannot be read as a whole.
    Unclear {
        /// The file of known servers.
        path: PathBuf,
        /// The line that cannot be read.
        line: usize,
    },
    /// Its key is marked as revoked.
    Revoked {
        /// The file of known servers.
        path: PathBuf,
        /// The line that says so.
        line: usize,
    },
    /// It was promised to have another key.
    Unexpected {
        /// That key's.
        expected: Fingerprint,
    },
}

impl fmt::Display for Untrusted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (host, key) = (&self.host, self.key.fingerprint());
        match &self.reason {
            Distrust::Unknown => write!(f, "the server {host} is not known; its key is {key}"),
            Distrust::Changed { .. } => {
                write!(f, "the key of {host} is not the one that is known; it is now {key}")
            }
            Distrust::Unclear { .. } => {
                write!(f, "it cannot be told whether the server {host} is known; its key is {key}")
            }
            Distrust::Revoked { .. } => write!(f, "the key of {host} is revoked: {key}"),
            Distrust::Unexpected { expected } => {
                write!(f, "the key of {host} is {key}, and not {expected} as was promised")
            }
        }
    }
}

impl Error {
    /// Whose fault it is.
    pub fn blame(&self) -> Blame {
        match self {
            Self::Endpoint(_) | Self::Spec(_) | Self::TooLong(_) | Self::TooManyJobs => Blame::LocalUser,
            Self::Closed | Self::Random(_) | Self::Config(_) | Self::NoKey { .. } | Self::Key { .. } => {
                Blame::LocalUser
            }
            Self::File(_) | Self::Write(_) | Self::HostName(_) | Self::Invitation(_) => Blame::LocalUser,
            Self::Untrusted(untrusted) => match untrusted.reason {
                Distrust::Unknown | Distrust::Unclear { .. } => Blame::LocalUser,
                Distrust::Changed { .. } | Distrust::Revoked { .. } | Distrust::Unexpected { .. } => {
                    Blame::Peer
                }
            },
            Self::Denied(_) => Blame::LocalUser,
            Self::Handshake { error, .. } => match &**error {
                TlsError::CannotSign(_) | TlsError::Untrusted(_) => Blame::LocalUser,
                TlsError::Io(_) | TlsError::ClosedInHandshake => Blame::Network,
                _ => Blame::Peer,
            },
            Self::Resolve { .. } | Self::Connect { .. } | Self::Unreachable { .. } => Blame::Network,
            Self::Job { .. } | Self::Over { .. } | Self::Superseded { .. } => Blame::LocalUser,
            Self::NoControl { .. } | Self::Declined { .. } => Blame::LocalUser,
            Self::NotTelex { .. }
            | Self::ServerGone
            | Self::Refused { .. }
            | Self::TooManyOrders
            | Self::TooOld { .. }
            | Self::NotListed(_) => Blame::Peer,
            Self::Connection(error) => error.blame(),
        }
    }

    /// Whether it is certain that nothing was run when this ended the connection.
    pub(crate) fn never_ran(&self) -> bool {
        match self {
            Self::Connection(error) => match &**error {
                ConnectionError::ClosedByPeer { .. }
                | ConnectionError::Packet(_)
                | ConnectionError::Stream(_)
                | ConnectionError::Violation(_) => false,
                ConnectionError::Truncated | ConnectionError::Stalled | ConnectionError::Io(_) => false,
                ConnectionError::Silent => false,
                ConnectionError::GreetingTimeout { .. } | ConnectionError::Unsendable(_) => false,
            },
            // A Unix socket's peer that says nothing may have heard everything.
            Self::NotTelex { endpoint: Endpoint::Unix(_), said } => !said.is_empty(),
            Self::NotTelex { endpoint: Endpoint::Tcp { .. }, .. } => true,
            Self::ServerGone | Self::Closed | Self::Superseded { .. } => false,
            Self::TooManyOrders | Self::NoControl { .. } => false,
            Self::NotListed(_) | Self::Declined { .. } => false,
            Self::Job { .. } | Self::Over { .. } | Self::TooOld { .. } => true,
            Self::Endpoint(_) | Self::Resolve { .. } | Self::Connect { .. } | Self::Unreachable { .. } => {
                true
            }
            Self::Config(_) | Self::NoKey { .. } | Self::Key { .. } | Self::File(_) | Self::Write(_) => true,
            Self::Refused { .. }
            | Self::HostName(_)
            | Self::Invitation(_)
            | Self::Untrusted(_)
            | Self::Denied(_) => true,
            Self::Handshake { .. } | Self::Spec(_) | Self::TooLong(_) | Self::TooManyJobs => true,
            Self::Random(_) => true,
        }
    }
}

impl From<ConfigError> for Error {
    fn from(error: ConfigError) -> Self {
        Self::Config(Arc::new(error))
    }
}

impl From<FileError> for Error {
    fn from(error: FileError) -> Self {
        Self::File(Arc::new(error))
    }
}

impl From<WriteError> for Error {
    fn from(error: WriteError) -> Self {
        Self::Write(Arc::new(error))
    }
}

impl From<ConnectionError> for Error {
    fn from(error: ConnectionError) -> Self {
        Self::Connection(Arc::new(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_connection() {
        let unreachable = |host: &str, attempts: &[(&str, i32)]| {
            let endpoint = Endpoint::Tcp { host: host.to_owned(), port: 9 };
            let attempts = attempts.iter().map(|(address, number)| Attempt {
                address: address.parse().unwrap(),
                source: Arc::new(io::Error::from_raw_os_error(*number)),
            });
            Error::Unreachable { endpoint, attempts: attempts.collect() }
        };
        let error = unreachable("::1", &[("[::1]:9", 111)]);
        assert_eq!(error.to_string(), "cannot connect to [::1]:9: connection refused");
        assert!(error.never_ran());
        let several = unreachable("db1", &[("[2001:db8::1]:9", 110), ("192.0.2.1:9", 111)]);
        assert_eq!(
            several.to_string(),
            "cannot connect to db1:9: connection timed out (2001:db8::1), connection refused (192.0.2.1)"
        );
        assert_eq!(unreachable("db1", &[]).to_string(), "cannot connect to db1:9: it has no address");
    }

    #[test]
    fn only_a_refused_greeting_proves_that_nothing_ran() {
        for code in CloseCode::ALL {
            let text = "x".to_owned();
            assert!(Error::Refused { code, text: text.clone() }.never_ran());
            assert!(!Error::from(ConnectionError::ClosedByPeer { code, text }).never_ran());
        }
        assert!(!Error::from(ConnectionError::Truncated).never_ran());
        assert!(!Error::ServerGone.never_ran());
        let endpoint = Endpoint::Unix("/s".into());
        let silent = Error::NotTelex { endpoint: endpoint.clone(), said: Vec::new() };
        assert!(!silent.never_ran());
        assert!(Error::NotTelex { endpoint, said: b"HTTP/".to_vec() }.never_ran());
    }
}
