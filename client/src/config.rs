//! What a user has written down about servers: their names, addresses and keys. Connects to nothing.
//!
//! - [`HostName`], [`HostEntry`]: one of them
//! - `add`: another one, without touching what is there

mod add;
mod host;

use std::collections::BTreeMap;
use std::path::Path;

use common::config::value::Text;
use common::config::{self, ConfigError, Places};
use common::endpoint::Target;
use serde::Deserialize;

#[cfg_attr(not(test), expect(unused_imports, reason = "no command adds hosts yet"))]
pub(crate) use self::add::{AddHostError, add_host};
pub(crate) use self::host::{HostEntry, HostName};

use self::host::RawHost;

/// The user's settings, from `config.toml`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ClientConfig {
    /// The server that is meant when none is named: a name from here, or a target.
    pub(crate) default_host: Option<String>,
    hosts: BTreeMap<HostName, HostEntry>,
}

impl ClientConfig {
    /// The settings in the user's file; none if there is no file, which costs one failed open.
    ///
    /// # Errors
    /// [`ConfigError`] if the file cannot be read or makes no sense.
    pub(crate) fn load(places: &Places) -> Result<Self, ConfigError> {
        let path = places.config.join("config.toml");
        match config::read(&path)? {
            Some(text) => Self::parse(&text, &path, &places.home),
            None => Ok(Self::default()),
        }
    }

    /// The settings in `text`, which is the file at `path`. `~` is `home`.
    ///
    /// # Errors
    /// [`ConfigError`] with the line.
    pub(crate) fn parse(text: &str, path: &Path, home: &Path) -> Result<Self, ConfigError> {
        let raw: RawConfig = config::parse(text, path)?;
        let hosts = raw.hosts.into_iter().map(|(Text(name), host)| (name, host.typed(home))).collect();
        Ok(Self { default_host: raw.default_host.map(|Text(Host(name))| name), hosts })
    }

    /// What is known of the server that the user calls `name`.
    pub(crate) fn host(&self, name: &str) -> Option<&HostEntry> {
        self.hosts.get(name)
    }
}

/// The file's keys.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawConfig {
    default_host: Option<Text<Host>>,
    hosts: BTreeMap<Text<HostName>, RawHost>,
}

/// What `-H` would take: a name or a target.
#[derive(Debug)]
struct Host(String);

impl std::str::FromStr for Host {
    type Err = common::endpoint::EndpointError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.parse::<HostName>().is_err() {
            text.parse::<Target>()?;
        }
        Ok(Self(text.to_owned()))
    }
}

#[cfg(test)]
mod tests;
