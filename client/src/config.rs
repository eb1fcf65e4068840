//! What a user has written down about servers: their names, addresses and keys. Connects to nothing.
//!
//! - [`HostAlias`], [`HostEntry`]: one of them
//! - [`PromptSettings`]: how the prompt looks
//! - `add`: another one, without touching what is there

mod add;
mod host;
mod prompt;

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use common::config::value::Text;
use common::config::{self, ConfigError, Places};
use common::endpoint::Target;
use common::keys::rewrite;
use common::suggestion::nearest;
use serde::Deserialize;

pub(crate) use self::add::AddHostError;
use self::add::add_host;
pub(crate) use self::host::{HostAlias, HostEntry};
pub(crate) use self::prompt::{Part, PromptFormat, PromptSettings, Value};

use self::host::RawHost;
use self::prompt::RawPrompt;

/// The user's settings, from `config.toml`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ClientConfig {
    /// The server that is meant when none is named: a name from here, or a target.
    pub(crate) default_host: Option<String>,
    /// How the prompt looks.
    pub(crate) prompt: PromptSettings,
    hosts: BTreeMap<HostAlias, HostEntry>,
}

impl ClientConfig {
    /// The settings in the user's file; none if there is no file, which costs one failed open.
    ///
    /// # Errors
    /// [`ConfigError`] if the file cannot be read or makes no sense.
    pub(crate) fn load(places: &Places) -> Result<Self, ConfigError> {
        let path = Self::path(places);
        match config::read(&path, &places.trust())? {
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
        let default_host = raw.default_host.map(|Text(Host(name))| name);
        Ok(Self { default_host, prompt: raw.prompt.typed(), hosts })
    }

    /// Whether there may be a host of this name with this entry: there is none yet, or it is the same.
    ///
    /// # Errors
    /// [`AddHostError`].
    pub(crate) fn may_add(places: &Places, name: &HostAlias, entry: &HostEntry) -> Result<(), AddHostError> {
        match Self::load(places)?.host(&name.to_string()) {
            Some(known) if known != entry => Err(AddHostError::Exists { name: name.clone() }),
            _ => Ok(()),
        }
    }

    /// Writes a host into the user's file, unless it is there.
    ///
    /// # Errors
    /// [`AddHostError`]; the file is as it was then.
    pub(crate) fn add(places: &Places, name: &HostAlias, entry: &HostEntry) -> Result<(), AddHostError> {
        if Self::load(places)?.host(&name.to_string()) == Some(entry) {
            return Ok(());
        }
        let path = Self::path(places);
        let mut added = Ok(());
        rewrite(&path, |existing| {
            let text = String::from_utf8_lossy(existing);
            add_host(&text, &path, &places.home, name, entry).map(String::into_bytes).unwrap_or_else(
                |error| {
                    added = Err(error);
                    existing.to_vec()
                },
            )
        })?;
        added
    }

    fn path(places: &Places) -> PathBuf {
        places.config.join("config.toml")
    }

    /// The name of a server that may have been meant by `name`.
    pub(crate) fn nearest(&self, name: &str) -> Option<&str> {
        nearest(name, self.hosts.keys().map(Borrow::borrow))
    }

    /// What the user calls servers.
    pub(crate) fn host_names(&self) -> impl Iterator<Item = String> {
        self.hosts.keys().map(ToString::to_string)
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
    prompt: RawPrompt,
    hosts: BTreeMap<Text<HostAlias>, RawHost>,
}

/// What `-H` would take: a name or a target.
#[derive(Debug)]
struct Host(String);

impl std::str::FromStr for Host {
    type Err = common::endpoint::EndpointError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.parse::<HostAlias>().is_err() {
            text.parse::<Target>()?;
        }
        Ok(Self(text.to_owned()))
    }
}

#[cfg(test)]
mod tests;
