//! Which server is meant: the one that is named, or the user's own. Never one that nobody asked for.

use std::env;
use std::io;
use std::path::PathBuf;

use common::endpoint::{Endpoint, Target, local_socket};

use super::failure::Failure;
use super::identity::KeyChoice;
use crate::config::{ClientConfig, HostAlias};
use crate::error::Error;

/// The variable that names a server when `-H` does not.
const HOST_VARIABLE: &str = "TELEX_HOST";

/// What the user's own server is called where nobody named it.
pub(crate) const LOCAL: &str = "local";

/// A server to connect to.
#[derive(Debug)]
pub(crate) struct Place {
    /// Where it is.
    pub(crate) target: Target,
    /// What the user calls it.
    pub(crate) name: String,
    /// The key that the user's settings name for it.
    pub(crate) key: KeyChoice,
    /// Whether nobody named it.
    local: bool,
    /// What the name is like, if it could be one of the user's settings and is not.
    unlisted: Option<Unlisted>,
}

/// A name that the user's settings do not know.
#[derive(Debug)]
struct Unlisted {
    /// The name there that may have been meant.
    nearest: Option<String>,
}

impl Place {
    /// The server that `-H` names, or else `TELEX_HOST`, or else `default_host` in the user's settings, or else the
    /// user's own. A name that the settings know is that server; any other is an address.
    ///
    /// # Errors
    /// [`Failure`] if a name makes no sense or there is none at all.
    pub(crate) fn resolve(host: Option<&str>, config: &ClientConfig) -> Result<Self, Failure> {
        if let Some(host) = host {
            return Self::named(host, "-H", config);
        }
        if let Some(host) = env::var_os(HOST_VARIABLE).filter(|host| !host.is_empty()) {
            // What is not text is no host either, and the error says so.
            return Self::named(&host.to_string_lossy(), HOST_VARIABLE, config);
        }
        if let Some(host) = &config.default_host {
            return Self::named(host, "default_host", config);
        }
        let directory = |name| env::var_os(name).map(PathBuf::from);
        let socket = local_socket(directory("XDG_RUNTIME_DIR").as_deref(), directory("HOME").as_deref());
        let endpoint = Endpoint::Unix(socket.ok_or(Failure::NoLocalPlace)?);
        let name = LOCAL.to_owned();
        Ok(Self { target: endpoint.into(), name, key: KeyChoice::default(), local: true, unlisted: None })
    }

    fn named(host: &str, given_by: &'static str, config: &ClientConfig) -> Result<Self, Failure> {
        let (user, alias) = match host.split_once('@') {
            Some((user, alias)) => (Some(user), alias),
            None => (None, host),
        };
        let name = host.to_owned();
        let Some(entry) = config.host(alias) else {
            let target = host.parse().map_err(|error| Failure::Host { given_by, error })?;
            let is_alias = alias.parse::<HostAlias>().is_ok();
            let unlisted = is_alias.then(|| Unlisted { nearest: config.nearest(alias).map(str::to_owned) });
            return Ok(Self { target, name, key: KeyChoice::default(), local: false, unlisted });
        };
        let user = user.map(str::to_owned).or_else(|| entry.user.clone());
        let target = Target { user, endpoint: entry.address.clone() };
        let key = KeyChoice { file: entry.identity.clone(), agent: entry.agent };
        Ok(Self { target, name, key, local: false, unlisted: None })
    }

    /// What a failed connection to this place means.
    pub(crate) fn failure(&self, error: Error) -> Failure {
        match error {
            error @ Error::Resolve { .. } if let Some(unlisted) = &self.unlisted => {
                Failure::NoSuchHost { error, nearest: unlisted.nearest.clone() }
            }
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
