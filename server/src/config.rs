//! What a server is told by its file: read once, into values that need no more checking.
//!
//! - [`LimitSettings`], [`PenaltySettings`]: how much strangers may ask for, and what it costs them to ask badly
//! - [`LogSettings`], [`AuditSettings`]: what is written down
//! - [`JobSettings`]: how long jobs last, and where those are kept that outlast the server
//! - `defaults`: what holds where the file is silent, with the reasons
//!
//! `docs/config.md` is the same for operators.

mod audit;
mod defaults;
mod jobs;
mod limits;
mod log;

use std::path::{Path, PathBuf};
use std::time::Duration;

use common::config::value::{PathText, Text, list};
use common::config::{self, ConfigError, Places};
use common::endpoint::Endpoint;
use serde::Deserialize;

use crate::admission::{self, PenaltyLimits};

pub(crate) use audit::{AuditDestination, AuditSettings, OnFailure};
pub(crate) use jobs::{JobSettings, NotKept};
pub(crate) use limits::{LimitSettings, PenaltySettings};
pub(crate) use log::LogSettings;

/// A right value for every key, for those who wrote a wrong one.
const EXAMPLE: &str = include_str!("config/example.toml");

/// Where the files of a server are that has none.
const NOWHERE: &str = "/nonexistent";

/// The file of a machine whose user has none.
const SYSTEM_FILE: &str = "/etc/telex/server.toml";

/// Settings of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The file that they stand in; `None` if there is none, so that the defaults hold.
    pub(crate) file: Option<PathBuf>,
    /// Where to listen. Empty: port 9000 of both loopback addresses, and the user's own Unix socket.
    pub listen: Vec<Endpoint>,
    /// What clients call this server, for invitations.
    pub(crate) address: Option<Endpoint>,
    pub(crate) paths: Paths,
    pub(crate) limits: LimitSettings,
    pub(crate) penalties: PenaltySettings,
    pub(crate) jobs: JobSettings,
    pub(crate) log: LogSettings,
    pub(crate) audit: AuditSettings,
}

/// Where the server's own files are; absolute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Paths {
    pub(crate) host_key: PathBuf,
    pub(crate) authorized_keys: PathBuf,
    pub(crate) revoked_keys: PathBuf,
    /// Whether the settings name that file, so that it has to be there.
    pub(crate) revoked_keys_named: bool,
    /// A directory; invitations live under it, and so do jobs unless `[jobs]` has another.
    pub(crate) state_directory: PathBuf,
}

impl Config {
    /// The settings of a server that has no files at all, and so no connections over TCP.
    pub(crate) fn without_files() -> Self {
        let nowhere = PathBuf::from(NOWHERE);
        let mut config =
            Self::defaults(&Places { config: nowhere.clone(), state: nowhere.clone(), home: nowhere });
        config.audit.to = AuditDestination::Off;
        config
    }

    /// The keys in which these settings differ from the `former` ones, of those that hold from a server's start to its
    /// end.
    pub(crate) fn fixed_changes(&self, former: &Self) -> impl Iterator<Item = &'static str> {
        let Paths { host_key, authorized_keys, revoked_keys, revoked_keys_named, state_directory } =
            &self.paths;
        let old = &former.paths;
        let changes = [
            ("listen", self.listen != former.listen),
            ("host_key", *host_key != old.host_key),
            ("authorized_keys", *authorized_keys != old.authorized_keys),
            (
                "revoked_keys",
                (revoked_keys, revoked_keys_named) != (&old.revoked_keys, &old.revoked_keys_named),
            ),
            ("state_directory", *state_directory != old.state_directory),
            ("[log]", self.log != former.log),
            ("[jobs] directory", self.jobs.directory != former.jobs.directory),
        ];
        changes.into_iter().filter(|(_, changed)| *changed).map(|(key, _)| key)
    }

    /// Where output is spooled; `None` for a server that has no files.
    pub(crate) fn spool_directory(&self) -> Option<PathBuf> {
        (self.paths.state_directory != Path::new(NOWHERE)).then(|| self.paths.state_directory.join("spool"))
    }

    /// The settings as the rules of admission take them.
    pub(crate) fn admission(&self) -> admission::Limits {
        let PenaltySettings { enabled, auth_failure, no_authentication, timeout, violation } = self.penalties;
        let penalty = |time| if enabled { time } else { Duration::ZERO };
        admission::Limits {
            unauthenticated: self.limits.unauthenticated,
            unauthenticated_per_source: self.limits.unauthenticated_per_source,
            authenticated: self.limits.connections,
            penalties: PenaltyLimits {
                authentication_failed: penalty(auth_failure),
                no_authentication: penalty(no_authentication),
                deadline_passed: penalty(timeout),
                violation: penalty(violation),
                effective_from: admission::EFFECTIVE_FROM,
                longest: admission::LONGEST,
                sources: admission::SOURCES,
            },
        }
    }

    /// The settings of a server without a file.
    pub(crate) fn defaults(places: &Places) -> Self {
        RawConfig::default().typed(places)
    }

    /// The settings in the file that counts: `named` (`--config`), or else `server.toml` in the user's directory, or
    /// else `/etc/telex/server.toml`, or else none. What `server check` calls, too.
    ///
    /// # Errors
    /// [`ConfigError`]; also for a named file that does not exist.
    pub(crate) fn load(named: Option<&Path>, places: &Places) -> Result<Self, ConfigError> {
        Self::load_first(named, &Self::usual_files(places).each_ref().map(PathBuf::as_path), places)
    }

    /// The files of which the first that exists counts, if none is named.
    pub(crate) fn usual_files(places: &Places) -> [PathBuf; 2] {
        [places.config.join("server.toml"), PathBuf::from(SYSTEM_FILE)]
    }

    fn load_first(named: Option<&Path>, usual: &[&Path], places: &Places) -> Result<Self, ConfigError> {
        if let Some(path) = named {
            let missing = || ConfigError::Missing { path: path.to_owned() };
            let text = config::read(path, &places.trust())?.ok_or_else(missing)?;
            return Self::parse(&text, path, places);
        }
        for path in usual {
            if let Some(text) = config::read(path, &places.trust())? {
                return Self::parse(&text, path, places);
            }
        }
        Ok(Self::defaults(places))
    }

    /// The settings in `text`, which is the file at `path`.
    ///
    /// # Errors
    /// [`ConfigError`] with the line.
    pub(crate) fn parse(text: &str, path: &Path, places: &Places) -> Result<Self, ConfigError> {
        let raw: RawConfig = config::parse_by_example(text, path, EXAMPLE)?;
        Ok(Self { file: Some(path.to_owned()), ..raw.typed(places) })
    }
}

/// The file's keys. Everything but paths has its final type: those need to know the home directory.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawConfig {
    #[serde(deserialize_with = "list::<{ defaults::LISTEN_MAX }, _, _>")]
    listen: Vec<Endpoint>,
    address: Option<Text<Endpoint>>,
    host_key: Option<Text<PathText>>,
    authorized_keys: Option<Text<PathText>>,
    revoked_keys: Option<Text<PathText>>,
    state_directory: Option<Text<PathText>>,
    limits: LimitSettings,
    penalties: PenaltySettings,
    jobs: jobs::RawJobs,
    log: LogSettings,
    audit: audit::RawAudit,
}

impl RawConfig {
    fn typed(self, places: &Places) -> Config {
        let file = |path: Option<Text<PathText>>, name| {
            path.map_or_else(|| places.config.join(name), |Text(path)| path.resolve(&places.home))
        };
        let state = self.state_directory.map(|Text(path)| path.resolve(&places.home));
        let state_directory = state.unwrap_or_else(|| places.state.clone());
        Config {
            file: None,
            jobs: self.jobs.typed(&state_directory, &places.home),
            listen: self.listen,
            address: self.address.map(|Text(address)| address),
            paths: Paths {
                host_key: file(self.host_key, "host_key"),
                authorized_keys: file(self.authorized_keys, "authorized_keys"),
                revoked_keys_named: self.revoked_keys.is_some(),
                revoked_keys: file(self.revoked_keys, "revoked_keys"),
                state_directory,
            },
            limits: self.limits,
            penalties: self.penalties,
            log: self.log,
            audit: self.audit.typed(&places.home),
        }
    }
}

#[cfg(test)]
mod tests;
