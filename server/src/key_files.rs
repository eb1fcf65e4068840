//! Reads the files that say whose keys are good, each time it is asked: what they say now is what holds.

mod version;

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::SystemTime;

use common::keys::authorized_keys::{AuthorizedKeys, Entry, FindRefusal, Options};
use common::keys::revoked_keys::RevokedKeys;
use common::keys::{FileError, FileProblem, Problem, PublicKey, TRUSTED_FILE_BYTES, Trust, read_trusted};
use thiserror::Error;

pub(crate) use self::version::FileVersion;
use crate::reserve::is_shortage;

/// Mode of either file, when it is made for its first line.
pub(crate) const KEYS_MODE: u32 = 0o600;

/// Where the files are, and who may have written them.
#[derive(Debug, Clone)]
pub(crate) struct KeyFiles {
    pub(crate) authorized: PathBuf,
    pub(crate) revoked: PathBuf,
    /// Whether there has to be a file of revoked keys: who has named one must not find out by its effects that the name
    /// is wrong.
    pub(crate) revoked_is_named: bool,
    pub(crate) trust: Trust,
}

impl KeyFiles {
    /// What both files say at this moment.
    ///
    /// # Errors
    /// [`KeyRefusal`] if a file cannot be trusted, read or understood: then no key is good.
    pub(crate) fn read(&self) -> Result<Keys, KeyRefusal> {
        // Both in any case, so that the time it takes does not tell one failure from another.
        let (revoked, authorized) = (self.revoked(), self.authorized());
        Ok(Keys { revoked: revoked?, authorized: authorized? })
    }

    /// Every authorised key, and the lines that are none.
    ///
    /// # Errors
    /// [`FileError`]; a file that does not exist authorises nobody.
    pub(crate) fn authorized(&self) -> Result<AuthorizedKeys, FileError> {
        let text = read_trusted(&self.authorized, &self.trust, TRUSTED_FILE_BYTES)?;
        Ok(AuthorizedKeys::parse(&text.unwrap_or_default()))
    }

    /// The revoked keys.
    ///
    /// # Errors
    /// [`KeyRefusal`] if the file cannot be trusted, read or understood: then no key is good.
    pub(crate) fn revoked(&self) -> Result<RevokedKeys, KeyRefusal> {
        let text = read_trusted(&self.revoked, &self.trust, TRUSTED_FILE_BYTES)?;
        if text.is_none() && self.revoked_is_named {
            return Err(KeyRefusal::NoRevocations { path: self.revoked.clone() });
        }
        RevokedKeys::parse(&text.unwrap_or_default())
            .map_err(|problem| KeyRefusal::UnreadableRevocations { path: self.revoked.clone(), problem })
    }

    /// What changes when either file does, or who may write it. Opens nothing.
    pub(crate) fn version(&self) -> [FileVersion; 2] {
        [&self.authorized, &self.revoked].map(|path| FileVersion::of(path))
    }
}

/// What the files say.
#[derive(Debug)]
pub(crate) struct Keys {
    authorized: AuthorizedKeys,
    revoked: RevokedKeys,
}

impl Keys {
    /// The lines that could let somebody in at the time `now`, from somewhere.
    pub(crate) fn good(&self, now: SystemTime) -> impl Iterator<Item = &Entry> {
        self.authorized
            .entries
            .iter()
            .filter(move |entry| !entry.options.is_over(now) && !self.revoked.contains(&entry.key))
    }

    /// What `key` may do when it comes from `source` (`None`: not over IP) at the time `now`.
    ///
    /// # Errors
    /// Why it may do nothing.
    pub(crate) fn options(
        &self,
        key: &PublicKey,
        source: Option<IpAddr>,
        now: SystemTime,
    ) -> Result<Options, KeyRefusal> {
        // Both are asked, for a known key as for an unknown one.
        let found = self.authorized.find(key, source, now);
        if self.revoked.contains(key) {
            return Err(KeyRefusal::Revoked);
        }
        Ok(found?.options.clone())
    }
}

/// Why a key is not good. For the server's log alone: a client learns only that it is not.
#[derive(Debug, Error)]
pub enum KeyRefusal {
    /// No line lets it in.
    #[error(transparent)]
    NotFound(#[from] FindRefusal),
    /// It is listed in `revoked_keys`.
    #[error("the key is revoked")]
    Revoked,
    /// A file is not as it has to be.
    #[error(transparent)]
    File(#[from] FileError),
    /// There is no `revoked_keys` where the settings say.
    #[error("there is no file of revoked keys at {}; nobody is let in", path.display())]
    NoRevocations {
        /// Where.
        path: PathBuf,
    },
    /// A line of `revoked_keys` cannot be understood, so it may mean any key.
    #[error("{}; nobody is let in", problem.at(path))]
    UnreadableRevocations {
        /// The file.
        path: PathBuf,
        /// The line.
        problem: Problem,
    },
}

impl KeyRefusal {
    /// Whether it says something about this process at this moment, and nothing about the key.
    pub(crate) fn is_shortage(&self) -> bool {
        matches!(self, Self::File(FileError { problem: FileProblem::System(error), .. }) if is_shortage(error))
    }
}
