//! What can fail in the library, and whose fault it is. The sentences for people are the command line's.

use std::io;
use std::sync::Arc;

use common::connection::{Blame, ConnectionError};
use common::endpoint::{Endpoint, EndpointError};
use common::job::SpecError;
use common::message::MessageError;
use thiserror::Error;

/// A failure of Telex itself, as opposed to an outcome of a command.
#[derive(Debug, Clone, Error)]
pub enum Error {
    /// The address makes no sense. The local user's fault.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// The host's name could not be resolved.
    #[error("cannot resolve {host}: {source}")]
    Resolve {
        /// The name.
        host: String,
        /// The resolver's error.
        source: Arc<io::Error>,
    },
    /// Nothing answers there.
    #[error("cannot connect to {endpoint}: {source}")]
    Connect {
        /// Where.
        endpoint: Endpoint,
        /// The system's error.
        source: Arc<io::Error>,
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
    /// The system's random source failed, so no job id could be made.
    #[error("no random numbers: {0}")]
    Random(#[from] getrandom::Error),
}

impl Error {
    /// Whose fault it is.
    pub fn blame(&self) -> Blame {
        match self {
            Self::Endpoint(_) | Self::Spec(_) | Self::TooLong(_) | Self::TooManyJobs => Blame::LocalUser,
            Self::Closed | Self::Random(_) => Blame::LocalUser,
            Self::Resolve { .. } | Self::Connect { .. } => Blame::Network,
            Self::NotTelex { .. } | Self::ServerGone => Blame::Peer,
            Self::Connection(error) => error.blame(),
        }
    }
}

impl From<ConnectionError> for Error {
    fn from(error: ConnectionError) -> Self {
        Self::Connection(Arc::new(error))
    }
}
