//! Invitations: made by `server invite`, spent once by whoever shows the token in time.
//!
//! Each is a small file that holds the hash of its token, so the programs that make and that spend one need not be the
//! same process, and whoever reads the files cannot use them.

use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use common::invitation::{InvitationId, Token, TokenHash};
use common::keys::authorized_keys::{Options, OptionsRefusal};
use common::keys::{FileError, Trust, WriteError, create_private, read_private};
use common::reason::system_reason;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Invitations that may be open at a time.
const OPEN: usize = 1000;

/// The directory of open invitations.
#[derive(Debug, Clone)]
pub(crate) struct Invitations {
    directory: PathBuf,
    trust: Trust,
}

/// An invitation as its file has it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
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
    /// [`InvitationsError`] if it cannot be kept.
    pub(crate) fn make(
        &self,
        options: &Options,
        ttl: Duration,
        now: SystemTime,
    ) -> Result<Token, InvitationsError> {
        self.remove_expired(now)?;
        if self.list()?.len() >= OPEN {
            return Err(InvitationsError::TooMany);
        }
        let token = Token::generate().map_err(|error| InvitationsError::Random(error.to_string()))?;
        let kept = Kept {
            hash: token.hash().to_string(),
            expires: seconds(now + ttl),
            options: options.to_string(),
        };
        let text =
            serde_json::to_string(&kept).map_err(|error| InvitationsError::Malformed(error.to_string()))?;
        create_private(&self.path(token.id()), text.as_bytes())?;
        Ok(token)
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
        // Who removes the file has spent it.
        match fs::remove_file(self.path(token.id())) {
            Ok(()) => Ok(options),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(InvitationsError::NotGood),
            Err(error) => Err(InvitationsError::Directory(self.directory.clone(), error)),
        }
    }

    /// What the invitation of `token` is good for at `now`, for somebody from `source`. It is not spent by that; one that has
    /// expired goes.
    ///
    /// # Errors
    /// [`InvitationsError::NotGood`] whatever is wrong with the token; [`InvitationsError::Refused`] if its options do not
    /// let this one in.
    pub(crate) fn check(
        &self,
        token: &Token,
        source: Option<IpAddr>,
        now: SystemTime,
    ) -> Result<Options, InvitationsError> {
        let path = self.path(token.id());
        let kept = self.read(&path)?.ok_or(InvitationsError::NotGood)?;
        let hash: TokenHash = kept.hash.parse().map_err(|_| InvitationsError::NotGood)?;
        if !hash.matches(token) {
            return Err(InvitationsError::NotGood);
        }
        if kept.expires <= seconds(now) {
            fs::remove_file(&path).ok();
            return Err(InvitationsError::NotGood);
        }
        let options: Options = kept.options.parse().map_err(|_| InvitationsError::NotGood)?;
        options.permits(source, now)?;
        Ok(options)
    }

    /// Whether somebody who is not known yet may come before `now`.
    pub(crate) fn any_open(&self, now: SystemTime) -> bool {
        let open =
            |path: &PathBuf| self.read(path).ok().flatten().is_some_and(|kept| seconds(now) < kept.expires);
        self.list().is_ok_and(|paths| paths.iter().any(open))
    }

    fn remove_expired(&self, now: SystemTime) -> Result<(), InvitationsError> {
        for path in self.list()? {
            if self.read(&path)?.is_some_and(|kept| kept.expires <= seconds(now)) {
                // Somebody else may have been faster.
                fs::remove_file(&path).ok();
            }
        }
        Ok(())
    }

    fn read(&self, path: &Path) -> Result<Option<Kept>, InvitationsError> {
        let Some(text) = read_private(path, &self.trust)? else { return Ok(None) };
        serde_json::from_slice(&text)
            .map(Some)
            .map_err(|error| InvitationsError::Malformed(error.to_string()))
    }

    fn list(&self) -> Result<Vec<PathBuf>, InvitationsError> {
        let failed = |error| InvitationsError::Directory(self.directory.clone(), error);
        match fs::read_dir(&self.directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(failed(error)),
            Ok(entries) => entries
                .map(|entry| entry.map(|entry| entry.path()))
                .filter(|path| {
                    path.as_ref().map_or(true, |path| path.extension().is_some_and(|end| end == "json"))
                })
                .collect::<io::Result<_>>()
                .map_err(failed),
        }
    }

    fn path(&self, id: InvitationId) -> PathBuf {
        self.directory.join(format!("{id}.json"))
    }
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
    #[error("an invitation's file cannot be read: {0}")]
    Malformed(String),
    /// The system has no random numbers.
    #[error("no random numbers: {0}")]
    Random(String),
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::thread;

    use super::*;

    const TTL: Duration = Duration::from_secs(600);

    fn invitations() -> (tempfile::TempDir, Invitations) {
        let directory = tempfile::tempdir().unwrap();
        let trust = Trust { home: directory.path().to_owned(), ..Trust::current() };
        let invitations = Invitations::new(directory.path(), trust);
        (directory, invitations)
    }

    fn now() -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_800_000_000)
    }

    #[test]
    fn a_token_is_good_once() {
        let (_directory, invitations) = invitations();
        let options: Options = "restrict,command=\"uptime\"".parse().unwrap();
        let token = invitations.make(&options, TTL, now()).unwrap();
        assert!(invitations.any_open(now()));
        assert_eq!(invitations.spend(&token, None, now()).unwrap(), options);
        assert!(matches!(invitations.spend(&token, None, now()), Err(InvitationsError::NotGood)));
        assert!(!invitations.any_open(now()));
    }

    #[test]
    fn a_token_is_good_for_its_time() {
        let (_directory, invitations) = invitations();
        let token = invitations.make(&Options::default(), TTL, now()).unwrap();
        let other = invitations.make(&Options::default(), TTL, now()).unwrap();
        assert!(matches!(invitations.spend(&token, None, now() + TTL), Err(InvitationsError::NotGood)));
        assert!(invitations.spend(&other, None, now() + TTL - Duration::from_secs(1)).is_ok());
    }

    #[test]
    fn one_that_the_options_refuse_spends_nothing() {
        let (_directory, invitations) = invitations();
        let options: Options = "from=\"192.0.2.0/24\"".parse().unwrap();
        let token = invitations.make(&options, TTL, now()).unwrap();
        let from = |text: &str| invitations.spend(&token, Some(text.parse().unwrap()), now());
        assert!(matches!(from("198.51.100.1"), Err(InvitationsError::Refused(_))));
        assert_eq!(from("192.0.2.7").unwrap(), options);
    }

    #[test]
    fn another_secret_with_a_known_id_is_refused_and_spends_nothing() {
        let (_directory, invitations) = invitations();
        let token = invitations.make(&Options::default(), TTL, now()).unwrap();
        let mut bytes = token.to_bytes();
        bytes[31] ^= 1;
        let guess = Token::from_bytes(bytes);
        assert!(matches!(invitations.spend(&guess, None, now()), Err(InvitationsError::NotGood)));
        assert!(invitations.spend(&token, None, now()).is_ok());
    }

    #[test]
    fn of_many_who_show_a_token_at_once_one_is_let_in() {
        let (_directory, invitations) = invitations();
        for _ in 0..50 {
            let token = invitations.make(&Options::default(), TTL, now()).unwrap();
            let start = Barrier::new(8);
            let attempt = || {
                start.wait();
                invitations.spend(&token, None, now()).is_ok()
            };
            let let_in = thread::scope(|scope| {
                let attempts: Vec<_> = (0..8).map(|_| scope.spawn(attempt)).collect();
                attempts.into_iter().map(|done| u32::from(done.join().unwrap())).sum::<u32>()
            });
            assert_eq!(let_in, 1);
        }
    }

    #[test]
    fn nothing_of_a_token_is_on_disk() {
        let (directory, invitations) = invitations();
        let token = invitations.make(&Options::default(), TTL, now()).unwrap();
        let kept = fs::read(directory.path().join(format!("invitations/{}.json", token.id()))).unwrap();
        let secret = &token.to_bytes()[8..];
        assert!(!kept.windows(secret.len()).any(|part| part == secret));
        assert!(!String::from_utf8(kept).unwrap().contains(&base64_of(secret)));
    }

    fn base64_of(bytes: &[u8]) -> String {
        // The URL form of an invitation is the only text form that a token has.
        let token = Token::from_bytes([&[0; 8][..], bytes].concat().try_into().unwrap());
        let host_key = common::keys::Fingerprint::from_bytes([0; 32]);
        let endpoint = "h:1".parse().unwrap();
        let line = common::invitation::Invitation { endpoint, host_key, token }.to_string();
        line.rsplit('/').next().unwrap()[12..].to_owned()
    }

    #[test]
    fn making_one_removes_those_that_have_expired() {
        let (directory, invitations) = invitations();
        invitations.make(&Options::default(), TTL, now()).unwrap();
        invitations.make(&Options::default(), TTL, now() + 2 * TTL).unwrap();
        assert_eq!(fs::read_dir(directory.path().join("invitations")).unwrap().count(), 1);
    }
}
