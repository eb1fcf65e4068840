//! Why a server cannot start. Sentences and exit codes are [`crate::cli`]'s.

use std::io;
use std::path::PathBuf;

use common::config::ConfigError;
use common::endpoint::Endpoint;
use common::reason::system_reason;
use thiserror::Error;

/// A failure before the first connection.
#[derive(Debug, Error)]
pub enum StartError {
    /// The address is reachable from other machines. The operator's fault.
    #[error("{endpoint} is not a loopback address")]
    NotLoopback {
        /// The address.
        endpoint: Endpoint,
    },
    /// Others could reach the socket, or replace it. The operator's fault.
    #[error("{directory} is not a private directory: {reason}")]
    NotPrivate {
        /// The socket's directory.
        directory: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Neither `XDG_RUNTIME_DIR` nor `HOME` says where the user's own socket belongs.
    #[error("neither XDG_RUNTIME_DIR nor HOME is set")]
    NoSocketPlace,
    /// Another server has the address.
    #[error("{endpoint} is in use")]
    InUse {
        /// The address.
        endpoint: Endpoint,
    },
    /// The address cannot be had for another reason.
    #[error("cannot listen on {endpoint}: {}", system_reason(source))]
    Listen {
        /// The address.
        endpoint: Endpoint,
        /// The system's error.
        source: io::Error,
    },
    /// The descriptor handed over is no connection.
    #[error("stdin is not a connection: {}", system_reason(.0))]
    NoConnection(io::Error),
    /// The settings. The operator's fault.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The system refused something else.
    #[error("{}", system_reason(.0))]
    Io(#[from] io::Error),
}
