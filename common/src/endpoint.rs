//! Where a server is, as people write it.

use std::fmt;
use std::net::Ipv6Addr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use thiserror::Error;

use crate::invitation;

/// The port of a server that names none.
pub const DEFAULT_PORT: u16 = 9000;

/// An address to listen on or to connect to: `host[:port]`, `[v6][:port]`, `unix:/path`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// A host name or address, and a port.
    Tcp {
        /// Name or address; a version 6 address without its brackets.
        host: String,
        /// Port.
        port: u16,
    },
    /// A Unix socket.
    Unix(PathBuf),
}

/// Who to be where: `[user@]endpoint`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Target {
    /// User to run commands as; the server's own if `None`.
    pub user: Option<String>,
    /// The server.
    pub endpoint: Endpoint,
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        if let Some(path) = text.strip_prefix("unix:") {
            let path = Path::new(path);
            return if path.is_absolute() {
                Ok(Self::Unix(path.to_owned()))
            } else {
                Err(EndpointError::RelativePath { text: text.to_owned() })
            };
        }
        if text.starts_with(invitation::SCHEME) {
            return Err(EndpointError::Invitation);
        }
        let (host, port) = split_port(text)?;
        // The system would take a number for an address of version 4, which nobody means: 5000 is 0.0.19.136.
        if !host.is_empty() && is_number(host) {
            return Err(EndpointError::NoHost { text: text.to_owned() });
        }
        let port = match port {
            None => DEFAULT_PORT,
            Some(digits) => {
                parse_port(digits).ok_or_else(|| EndpointError::Port { text: text.to_owned() })?
            }
        };
        // A host of the name `unix` could not be told from a socket once its port is written behind it.
        if host.is_empty()
            || host == "unix"
            || host.contains(|c: char| c.is_whitespace() || c.is_control() || c == '/')
        {
            return Err(EndpointError::Host { text: text.to_owned() });
        }
        Ok(Self::Tcp { host: host.to_owned(), port })
    }
}

/// Digits only: Rust would take a sign, too.
fn parse_port(digits: &str) -> Option<u16> {
    is_number(digits).then(|| digits.parse().ok()).flatten()
}

fn is_number(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Splits `host:port`, `[v6]:port` and a bare v6 address, which has colons of its own.
fn split_port(text: &str) -> Result<(&str, Option<&str>), EndpointError> {
    let bad_host = || EndpointError::Host { text: text.to_owned() };
    if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) = rest.split_once(']').ok_or_else(bad_host)?;
        let address = host.split_once('%').map_or(host, |(address, _zone)| address);
        address.parse::<Ipv6Addr>().map_err(|_| bad_host())?;
        return match rest.strip_prefix(':') {
            Some(port) => Ok((host, Some(port))),
            None if rest.is_empty() => Ok((host, None)),
            None => Err(bad_host()),
        };
    }
    match text.split_once(':') {
        Some((_, rest)) if rest.contains(':') => {
            text.parse::<Ipv6Addr>().map_err(|_| bad_host())?;
            Ok((text, None))
        }
        Some((host, port)) => Ok((host, Some(port))),
        None => Ok((text, None)),
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl FromStr for Target {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let (user, endpoint) = match text.split_once('@') {
            Some((user, endpoint)) if !text.starts_with("unix:") => (Some(user), endpoint),
            _ => (None, text),
        };
        if user.is_some_and(|user| user.is_empty() || user.len() > 255) {
            return Err(EndpointError::User { text: text.to_owned() });
        }
        Ok(Self { user: user.map(str::to_owned), endpoint: endpoint.parse()? })
    }
}

impl From<Endpoint> for Target {
    fn from(endpoint: Endpoint) -> Self {
        Self { user: None, endpoint }
    }
}

/// The socket of the user's own server: under `XDG_RUNTIME_DIR`, or under the home directory where there is none.
/// `None` if neither is known.
pub fn local_socket(runtime_directory: Option<&Path>, home: Option<&Path>) -> Option<PathBuf> {
    let runtime = runtime_directory.filter(|path| path.is_absolute()).map(|path| path.join("telex"));
    let state = || home.filter(|path| path.is_absolute()).map(|home| home.join(".local/state/telex"));
    Some(runtime.or_else(state)?.join("server.sock"))
}

/// A text that names no endpoint. The local user's fault.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EndpointError {
    /// The host part.
    #[error("not a host: {text:?} (write host, host:port, [v6]:port or unix:/path)")]
    Host {
        /// What was written.
        text: String,
    },
    /// A number where the host should be.
    #[error("not a host: {text:?} (a port needs its host: localhost:5000)")]
    NoHost {
        /// What was written.
        text: String,
    },
    /// An invitation. It is not repeated: most of it is a secret.
    #[error("that is an invitation to a server; accept it first: client join LINE")]
    Invitation,
    /// The port part.
    #[error("not a port between 0 and 65535: {text:?} (write host:port; without one it is 9000)")]
    Port {
        /// What was written.
        text: String,
    },
    /// The user part.
    #[error("not a user name before the @: {text:?}")]
    User {
        /// What was written.
        text: String,
    },
    /// A socket's path must say the same thing in every directory.
    #[error("the path of a Unix socket must be absolute: {text:?}")]
    RelativePath {
        /// What was written.
        text: String,
    },
}
