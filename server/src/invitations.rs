//! Invitations: made by `server invite`, spent once by whoever shows the token in time.
//!
//! Each is a small file that holds the hash of its token, so the programs that make and that spend one need not be the
//! same process, and whoever reads the files cannot use them.

use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use common::invitation::{InvitationError, InvitationId, Token, TokenHash};
use common::keys::authorized_keys::{Options, OptionsError, OptionsRefusal};
use common::keys::{FileError, FileProblem, Place, Trust, WriteError, create_private, read_trusted};
use common::reason::system_reason;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Invitations that may be open at a time.
const OPEN: usize = 1000;

/// Bytes of a file that are read. Its options are a part of a line of `authorized_keys`, which has 8 KiB.
const FILE_BYTES: usize = 64 * 1024;

/// How the names of open invitations' files end, and of those that are being spent.
const OPEN_FILE: &str = "json";
const SPENT_FILE: &str = "spent";

/// The directory of open invitations.
#[derive(Debug, Clone)]
pub(crate) struct Invitations {
    directory: PathBuf,
    trust: Trust,
}

/// What is in that directory.
#[derive(Debug, Default)]
pub(crate) struct Survey {
    /// How many invitations are good.
    pub(crate) open: usize,
    /// The files that let nobody in, because they are no invitations, or because others could have written them.
    pub(crate) problems: Vec<InvitationsError>,
}

/// An invitation that was made.
#[derive(Debug)]
struct Kept {
    hash: TokenHash,
    /// Seconds since the epoch.
    expires: u64,
    options: Options,
}

/// An invitation as its file has it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeptText {
    /// Hash of the token.
    hash: String,
    /// Seconds since the epoch.
    expires: u64,
    /// Options of the line that authorises the key.
    options: String,
}

impl Invitations {
    /// Those under `state_directory`.
    pub(crate) fn new(state_directory: &Path, trust: Trust) -> Self {
        Self { directory: state_directory.join("invitations"), trust }
    }

    /// Makes an invitation that is good for `ttl` from `now`; its token is known to the caller alone.
    ///
    /// # Errors
    /// [`InvitationsError`] if it cannot be kept where nobody else could have made it.
    pub(crate) fn make(
        &self,
        options: &Options,
        ttl: Duration,
        now: SystemTime,
    ) -> Result<Token, InvitationsError> {
        self.remove_expired(now)?;
        if self.survey(now)?.open >= OPEN {
            return Err(InvitationsError::TooMany);
        }
        let token = Token::generate().map_err(|error| InvitationsError::Random(error.to_string()))?;
        let text = KeptText {
            hash: token.hash().to_string(),
            expires: seconds(now + ttl),
            options: options.to_string(),
        };
        let path = self.path(token.id());
        let malformed = |error: serde_json::Error| InvitationsError::Malformed {
            path: path.clone(),
            reason: error.to_string(),
        };
        create_private(&path, &serde_json::to_vec(&text).map_err(malformed)?)?;
        // One that would be refused when it is shown is not given to anybody.
        if let Err(error) = self.read(&path) {
            self.take_back(&token)?;
            return Err(error);
        }
        Ok(token)
    }

    /// Makes the invitation of `token` good for nobody. One that was spent meanwhile stays so.
    ///
    /// # Errors
    /// The system's; then it is still open.
    pub(crate) fn take_back(&self, token: &Token) -> Result<(), InvitationsError> {
        match fs::remove_file(self.path(token.id())) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(self.failed(error)),
            _ => Ok(()),
        }
    }

    /// Spends the invitation of `token`, if there is one, it is still good at `now`, and its options let somebody in from
    /// `source`: those options. Of any number of attempts one succeeds, in whatever processes they are made.
    ///
    /// # Errors
    /// As [`Invitations::check`].
    pub(crate) fn spend(
        &self,
        token: &Token,
        source: Option<IpAddr>,
        now: SystemTime,
    ) -> Result<Options, InvitationsError> {
        let options = self.check(token, source, now)?;
        // Who takes the file away has spent it.
        match fs::rename(self.path(token.id()), self.spent_path(token.id())) {
            Ok(()) => Ok(options),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(InvitationsError::NotGood),
            Err(error) => Err(self.failed(error)),
        }
    }

    /// Gives back what [`Invitations::spend`] has spent, because nobody could be let in by it after all; else it is gone for
    /// good with [`Invitations::forget`].
    pub(crate) fn give_back(&self, id: InvitationId) {
        // If even that fails, somebody has to be invited again.
        fs::rename(self.spent_path(id), self.path(id)).ok();
    }

    /// Nobody needs what was spent any more.
    pub(crate) fn forget(&self, id: InvitationId) {
        fs::remove_file(self.spent_path(id)).ok();
    }

    /// What the invitation of `token` is good for at `now`, for somebody from `source`. It is not spent by that; one that has
    /// expired goes.
    ///
    /// # Errors
    /// [`InvitationsError::NotGood`] whatever is wrong with the token; [`InvitationsError::Refused`] if its options do not
    /// let this one in; or its file cannot be used.
    pub(crate) fn check(
        &self,
        token: &Token,
        source: Option<IpAddr>,
        now: SystemTime,
    ) -> Result<Options, InvitationsError> {
        let path = self.path(token.id());
        let kept = self.read(&path)?.ok_or(InvitationsError::NotGood)?;
        if !kept.hash.matches(token) {
            return Err(InvitationsError::NotGood);
        }
        if kept.expires <= seconds(now) {
            fs::remove_file(&path).ok();
            return Err(InvitationsError::NotGood);
        }
        kept.options.permits(source, now)?;
        Ok(kept.options)
    }

    /// Whether somebody who is not known yet may come before `now`.
    pub(crate) fn any_open(&self, now: SystemTime) -> bool {
        self.survey(now).is_ok_and(|survey| survey.open > 0)
    }

    /// What there is at the time `now`. A file that cannot be used takes nothing from the others.
    ///
    /// # Errors
    /// [`InvitationsError`] if the directory cannot be read, or others can write to it.
    pub(crate) fn survey(&self, now: SystemTime) -> Result<Survey, InvitationsError> {
        let mut survey = Survey::default();
        for path in self.list(&[OPEN_FILE])? {
            match self.read(&path) {
                Ok(kept) => survey.open += usize::from(kept.is_some_and(|kept| seconds(now) < kept.expires)),
                Err(error) if error.is_of_a_directory() => return Err(error),
                Err(error) => survey.problems.push(error),
            }
        }
        Ok(survey)
    }

    fn remove_expired(&self, now: SystemTime) -> Result<(), InvitationsError> {
        for path in self.list(&[OPEN_FILE, SPENT_FILE])? {
            let is_over = |kept: Kept| kept.expires <= seconds(now);
            if self.read(&path).ok().flatten().is_some_and(is_over) {
                // Somebody else may have been faster.
                fs::remove_file(&path).ok();
            }
        }
        Ok(())
    }

    fn read(&self, path: &Path) -> Result<Option<Kept>, InvitationsError> {
        let Some(text) = read_trusted(path, &self.trust, FILE_BYTES)? else { return Ok(None) };
        parse(&text).map(Some).map_err(|reason| InvitationsError::Malformed { path: path.to_owned(), reason })
    }

    fn list(&self, endings: &[&str]) -> Result<Vec<PathBuf>, InvitationsError> {
        match fs::read_dir(&self.directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(self.failed(error)),
            Ok(entries) => entries
                .map(|entry| entry.map(|entry| entry.path()))
                .filter(|path| {
                    let is_one =
                        |path: &PathBuf| endings.iter().any(|end| path.extension() == Some(end.as_ref()));
                    path.as_ref().map_or(true, is_one)
                })
                .collect::<io::Result<_>>()
                .map_err(|error| self.failed(error)),
        }
    }

    /// Where an invitation is kept: without that file there is none.
    pub(crate) fn path(&self, id: InvitationId) -> PathBuf {
        self.directory.join(format!("{id}.{OPEN_FILE}"))
    }

    fn spent_path(&self, id: InvitationId) -> PathBuf {
        self.directory.join(format!("{id}.{SPENT_FILE}"))
    }

    fn failed(&self, error: io::Error) -> InvitationsError {
        InvitationsError::Directory(self.directory.clone(), error)
    }
}

fn parse(text: &[u8]) -> Result<Kept, String> {
    let text: KeptText = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    Ok(Kept {
        hash: text.hash.parse().map_err(|error: InvitationError| error.to_string())?,
        expires: text.expires,
        options: text.options.parse().map_err(|error: OptionsError| error.to_string())?,
    })
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// Why an invitation cannot be made or spent.
#[derive(Debug, Error)]
pub enum InvitationsError {
    /// It is spent, has expired, or was never made: nobody who shows a token learns which.
    #[error("the invitation is spent, has expired, or was never made")]
    NotGood,
    /// Its options do not let this one in.
    #[error("the invitation's options refuse it: {0}")]
    Refused(#[from] OptionsRefusal),
    /// There are too many already.
    #[error("{OPEN} invitations are open already")]
    TooMany,
    /// A file is not as it has to be.
    #[error(transparent)]
    File(#[from] FileError),
    /// A file cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The directory cannot be used.
    #[error("cannot use {}: {}", .0.display(), system_reason(.1))]
    Directory(PathBuf, io::Error),
    /// A file does not say what it should.
    #[error("{}: not an invitation: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The system has no random numbers.
    #[error("no random numbers: {0}")]
    Random(String),
}

impl InvitationsError {
    /// What the operator can do about it, where that is an order.
    pub(crate) fn advice(&self) -> Option<String> {
        match self {
            Self::File(error) => error.advice(),
            Self::Malformed { path, .. } => Some(format!("take {} away", path.display())),
            _ => None,
        }
    }

    /// Whether it is about every file there, and not only about one that is a link to somewhere else.
    fn is_of_a_directory(&self) -> bool {
        matches!(
            self,
            Self::File(FileError {
                link_to: None,
                problem: FileProblem::Owner { place: Place::Directory(_), .. }
                    | FileProblem::Writable { place: Place::Directory(_), .. },
                ..
            })
        )
    }
}

#[cfg(test)]
mod tests;
