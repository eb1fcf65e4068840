//! Why a server cannot start, or one of its commands cannot do its work. Sentences and exit codes are [`crate::cli`]'s.

use std::fmt;
use std::io;
use std::path::PathBuf;

use common::config::ConfigError;
use common::endpoint::Endpoint;
use common::keys::{FileError, Fingerprint, WriteError};
use common::reason::system_reason;
use thiserror::Error;

use crate::audit::AuditError;
use crate::handover::HandoverError;
use crate::host_key::HostKeyError;
use crate::invitations::InvitationsError;
use crate::key_files::KeyRefusal;
use crate::listener::Unusable;

/// What ends the program `server` with a failure: of its start, and of the commands that write its files.
#[derive(Debug, Error)]
pub enum StartError {
    /// Other machines can reach the address, and nobody is authorised to use it. The operator's fault.
    #[error("{endpoint} can be reached from other machines, and no key is authorised")]
    NoKeys {
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
    /// What a service manager has passed on is no listener. The operator's fault.
    #[error("descriptor {number} ({name}) was passed to listen on, and {reason}")]
    Passed {
        /// Its number.
        number: i32,
        /// What the service manager calls it.
        name: String,
        /// Why it is none.
        reason: Unusable,
    },
    /// No server is there to be upgraded. The operator's fault.
    #[error("there is no server of yours that uses {}", path.display())]
    NoServer {
        /// Its state directory.
        path: PathBuf,
    },
    /// Somebody else could have written what a server may have said of itself. The operator's fault.
    #[error("there may be a server of yours, and what it says of itself is not trusted: {0}")]
    Distrusted(FileError),
    /// There is more than one. The operator's fault.
    #[error("there are several servers: {0}")]
    Servers(String),
    /// The server goes on as it was.
    #[error("process {process} was not upgraded: {reason}")]
    NotUpgraded {
        /// Its process id.
        process: u32,
        /// Why.
        reason: String,
    },
    /// What the program before this one has handed over cannot be used.
    #[error(transparent)]
    Handover(#[from] HandoverError),
    /// The service manager has not said how many descriptors it has passed on.
    #[error("LISTEN_FDS is {0:?}, not a number of descriptors")]
    PassedCount(String),
    /// There is no host key.
    #[error("no host key: {0}")]
    HostKey(#[from] HostKeyError),
    /// The file of authorised keys cannot be used. The operator's fault.
    #[error(transparent)]
    Keys(#[from] FileError),
    /// The settings cannot be used. The operator's fault.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Nothing could be recorded. The operator's fault.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// The descriptor handed over is no connection.
    #[error("stdin is not a connection: {}", system_reason(.0))]
    NoConnection(io::Error),
    /// The key is in `revoked_keys`. The operator's fault.
    #[error("{key} is revoked in {}", path.display())]
    Revoked {
        /// The key.
        key: Fingerprint,
        /// The file.
        path: PathBuf,
    },
    /// The key is in `authorized_keys` already. The operator's fault.
    #[error("{key} is listed in {} already", path.display())]
    Listed {
        /// The key.
        key: Fingerprint,
        /// The file.
        path: PathBuf,
    },
    /// One more line would not be read; in `revoked_keys`, it would keep everybody out. The operator's fault.
    #[error("{} has {limit} lines already, and no more are read", path.display())]
    Full {
        /// The file.
        path: PathBuf,
        /// Lines that are read.
        limit: usize,
    },
    /// The key could not be written into `revoked_keys`.
    #[error("{reason}; {key} {left}")]
    NotRevoked {
        /// The key.
        key: Fingerprint,
        /// What holds for it now.
        left: Left,
        /// Why it could not be written.
        reason: Box<Self>,
    },
    /// The key is revoked, and its line could not be taken out of `authorized_keys`.
    #[error("{key} is revoked and may not connect any more; but its line is still there: {reason}")]
    StillListed {
        /// The key.
        key: Fingerprint,
        /// Why.
        reason: WriteError,
    },
    /// What was given is no line of `authorized_keys`. The operator's fault.
    #[error("{0}")]
    NoKeyLine(String),
    /// What was given names no key. The operator's fault.
    #[error("{0}")]
    NoFingerprint(String),
    /// An invitation to where nobody can come. The operator's fault.
    #[error("an invitation needs an address that others can connect to")]
    NoInviteTo,
    /// The options would let nobody in. The operator's fault.
    #[error("its expiry-time has passed")]
    Expired,
    /// Nobody would have seen the invitation.
    #[error("there is no invitation, because it cannot be printed: {}", system_reason(.0))]
    Unseen(io::Error),
    /// It was done, and only that cannot be said.
    #[error("it is done, but that cannot be printed: {}", system_reason(.0))]
    Unsaid(io::Error),
    /// The invitation cannot be kept.
    #[error(transparent)]
    Invitations(#[from] InvitationsError),
    /// A file of keys cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// A key is not good, or none can be.
    #[error(transparent)]
    Key(#[from] KeyRefusal),
    /// The system refused something else.
    #[error("{}", system_reason(.0))]
    Io(#[from] io::Error),
}

/// What holds for a key that could not be written into `revoked_keys`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// It was in no `authorized_keys`.
    Unlisted,
    /// It was, and is not any more.
    TakenOut,
    /// It still is.
    Listed,
}

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unlisted => "is not revoked",
            Self::TakenOut => {
                "is taken out of authorized_keys, but it is not revoked and could be authorised again"
            }
            Self::Listed => "is not revoked, and may still connect",
        })
    }
}
