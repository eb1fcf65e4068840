//! Which server is meant: the one that is named, or the user's own. Never one that nobody asked for.

use std::env;
use std::io;
use std::path::PathBuf;

use common::endpoint::{Endpoint, Target, local_socket};

use super::failure::Failure;
use crate::error::Error;

/// The variable that names a server when `-H` does not.
const HOST_VARIABLE: &str = "TELEX_HOST";

/// A server to connect to.
#[derive(Debug)]
pub(crate) struct Place {
    /// Where it is.
    pub(crate) target: Target,
    /// What the user calls it.
    pub(crate) name: String,
    /// Whether nobody named it.
    local: bool,
}

impl Place {
    /// The server that `-H` names, or else `TELEX_HOST`, or else the user's own.
    ///
    /// # Errors
    /// [`Failure`] if a name makes no sense or there is none at all.
    pub(crate) fn resolve(host: Option<&str>) -> Result<Self, Failure> {
        if let Some(host) = host {
            let target = host.parse().map_err(|error| Failure::Host { given_by: "-H", error })?;
            return Ok(Self { target, name: host.to_owned(), local: false });
        }
        if let Some(host) = env::var_os(HOST_VARIABLE).filter(|host| !host.is_empty()) {
            // What is not text is no host either, and the error says so.
            let name = host.to_string_lossy().into_owned();
            let target = name.parse().map_err(|error| Failure::Host { given_by: HOST_VARIABLE, error })?;
            return Ok(Self { target, name, local: false });
        }
        let directory = |name| env::var_os(name).map(PathBuf::from);
        let socket = local_socket(directory("XDG_RUNTIME_DIR").as_deref(), directory("HOME").as_deref());
        let endpoint = Endpoint::Unix(socket.ok_or(Failure::NoLocalPlace)?);
        Ok(Self { target: endpoint.into(), name: "local".to_owned(), local: true })
    }

    /// What a failed connection to this place means.
    pub(crate) fn failure(&self, error: Error) -> Failure {
        match error {
            Error::Connect { endpoint, source } if self.local && is_nobody_there(source.kind()) => {
                Failure::NoLocalServer(endpoint)
            }
            error => error.into(),
        }
    }
}

fn is_nobody_there(kind: io::ErrorKind) -> bool {
    matches!(kind, io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
}
