//! How long jobs may last, how long they wait for clients that are away, and where those are kept that outlast the server.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use common::config::value::{PathText, Text, duration, list};
use common::job::{OnDisconnect, Spec};
use common::keys::{Fingerprint, KeyError};
use serde::{Deserialize, Deserializer};
use thiserror::Error;

use super::defaults::{self, ADMINISTRATORS_MAX, GRACE_MAX_MS, JOB_TIME_MAX_MS};
use crate::authorize::Owner;
use crate::scope::Scope;

/// `[jobs]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct JobSettings {
    /// Of jobs that outlast the server: its own, made when it is needed.
    pub(crate) directory: PathBuf,
    /// The longest that a job waits for a client whose line is lost.
    pub(crate) max_grace: Duration,
    /// Whether jobs may go on without a client.
    pub(crate) keep: bool,
    /// The longest that a job may run; `None` is for ever.
    pub(crate) max_time: Option<Duration>,
    /// Who may reach the jobs of others.
    pub(crate) administrators: Vec<Administrator>,
}

/// Somebody who may reach the jobs of others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Administrator {
    /// Whoever comes over the server's own Unix socket.
    Local,
    /// The owner of a key.
    Key(Fingerprint),
}

impl FromStr for Administrator {
    type Err = NoAdministrator;

    fn from_str(text: &str) -> Result<Self, NoAdministrator> {
        match text {
            "local" => Ok(Self::Local),
            text => Ok(Self::Key(text.parse()?)),
        }
    }
}

/// Text that names nobody.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("neither \"local\" nor a key's fingerprint, as `server keys` prints it")]
pub(crate) struct NoAdministrator(#[from] KeyError);

impl Administrator {
    fn is(&self, owner: Owner) -> bool {
        match (self, owner) {
            (Self::Local, Owner::User(_)) => true,
            (Self::Key(fingerprint), Owner::Key(key)) => key.fingerprint() == *fingerprint,
            _ => false,
        }
    }
}

/// The keys of `[jobs]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawJobs {
    directory: Option<Text<PathText>>,
    #[serde(deserialize_with = "duration::<0, GRACE_MAX_MS, _>")]
    max_grace: Duration,
    keep: bool,
    #[serde(deserialize_with = "some_duration")]
    max_time: Option<Duration>,
    #[serde(deserialize_with = "list::<ADMINISTRATORS_MAX, _, _>")]
    administrators: Vec<Administrator>,
}

/// The client wants its job to go on without it, and no job may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("jobs may not go on without a client here ([jobs] keep = false)")]
pub(crate) struct NotKept;

impl JobSettings {
    /// Whose jobs `owner` may reach.
    pub(crate) fn scope(&self, owner: Owner) -> Scope {
        let is_administrator = self.administrators.iter().any(|administrator| administrator.is(owner));
        if is_administrator { Scope::everyones(owner) } else { Scope::own(owner) }
    }

    /// Makes of what a client asks for what it gets.
    ///
    /// # Errors
    /// [`NotKept`]: it must not be taken for granted what is not.
    pub(crate) fn cap(&self, spec: &mut Spec) -> Result<(), NotKept> {
        if spec.keeping.on_disconnect == OnDisconnect::Keep && !self.keep {
            return Err(NotKept);
        }
        let grace = spec.keeping.grace().min(self.max_grace);
        spec.keeping.grace_ms = milliseconds(grace);
        let longest = self.max_time.into_iter().chain(spec.timeout()).min();
        spec.timeout_ms = longest.map(milliseconds);
        Ok(())
    }
}

impl RawJobs {
    pub(super) fn typed(self, state_directory: &Path, home: &Path) -> JobSettings {
        let Self { directory, max_grace, keep, max_time, administrators } = self;
        let named = directory.map(|Text(path)| path.resolve(home));
        let directory = named.unwrap_or_else(|| state_directory.join("jobs"));
        JobSettings { directory, max_grace, keep, max_time, administrators }
    }
}

impl Default for RawJobs {
    fn default() -> Self {
        Self {
            directory: None,
            max_grace: defaults::MAX_GRACE,
            keep: defaults::KEEP,
            max_time: None,
            administrators: Vec::new(),
        }
    }
}

fn some_duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    duration::<1000, JOB_TIME_MAX_MS, _>(deserializer).map(Some)
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use common::job::{Keeping, Program};
    use common::keys::PublicKey;

    use super::*;

    fn spec(timeout_ms: Option<u64>, keeping: Keeping) -> Spec {
        Spec { timeout_ms, keeping, ..Spec::new(Program::Shell("true".into())) }
    }

    #[test]
    fn what_is_asked_for_is_granted_as_far_as_the_settings_go() {
        let settings = JobSettings {
            directory: "/s/jobs".into(),
            max_grace: Duration::from_secs(10),
            keep: false,
            max_time: Some(Duration::from_secs(5)),
            administrators: Vec::new(),
        };
        for (asked, granted) in [(None, 5000), (Some(6000), 5000), (Some(4000), 4000)] {
            let mut spec = spec(asked, Keeping { grace_ms: 20_000, ..Keeping::default() });
            assert_eq!(settings.cap(&mut spec), Ok(()));
            assert_eq!((spec.timeout_ms, spec.keeping.grace_ms), (Some(granted), 10_000));
        }
        let kept = Keeping { on_disconnect: OnDisconnect::Keep, ..Keeping::default() };
        assert_eq!(settings.cap(&mut spec(None, kept)), Err(NotKept));
        let mut free = spec(None, kept);
        assert_eq!(RawJobs::default().typed(Path::new("/s"), Path::new("/h")).cap(&mut free), Ok(()));
        assert_eq!(free, spec(None, kept));
    }

    #[test]
    fn administrators_reach_the_jobs_of_others_and_nobody_else_does() {
        let keys = [1, 2].map(|byte| PublicKey::from_bytes([byte; 32]));
        let mut settings = RawJobs::default().typed(Path::new("/s"), Path::new("/h"));
        let reach = |settings: &JobSettings| {
            [Owner::Key(keys[0]), Owner::Key(keys[1]), Owner::User(0)]
                .map(|owner| settings.scope(owner).is_everyones())
        };
        assert_eq!(reach(&settings), [false, false, false]);
        settings.administrators = vec![keys[1].fingerprint().to_string().parse().unwrap()];
        assert_eq!(reach(&settings), [false, true, false]);
        settings.administrators = vec!["local".parse().unwrap()];
        assert_eq!(reach(&settings), [false, false, true]);
    }
}
