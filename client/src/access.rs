//! How a client proves who it is over TCP, and which servers it trusts: keys and files, and no connection yet.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use common::config::Places;
use common::keys::known_hosts::{self, HostName, KnownHosts, Verdict};
use common::keys::{Fingerprint, PrivateKey, PublicKey, Trust, append_line, read_private, read_trusted};
use common::tls::Identity;

use crate::error::{Distrust, Error, Untrusted};

/// Bytes of `known_hosts` that are read: 10,000 lines of 100.
const KNOWN_HOSTS_BYTES: usize = 1024 * 1024;

/// Mode of a `known_hosts` that is made for the first server.
const KNOWN_HOSTS_MODE: u32 = 0o600;

/// Name of the user's own key, in the directory for configuration.
const KEY: &str = "id_ed25519";

/// Name of the file of servers' keys, there as well.
const KNOWN_HOSTS: &str = "known_hosts";

/// A key of the client's, and the servers it trusts. A Unix socket needs neither.
#[derive(Clone)]
pub struct Access {
    identity: Arc<dyn Identity>,
    known_hosts: PathBuf,
    trust: Trust,
    unknown_hosts: UnknownHosts,
}

/// What becomes of a server of which nothing is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UnknownHosts {
    /// It is an error.
    #[default]
    Refuse,
    /// Whoever answers is trusted this first time, and written down.
    Accept,
    /// Only a server with this key is trusted, and written down.
    Expect(Fingerprint),
}

impl Access {
    /// The user's own key, and the servers that the user knows: `id_ed25519` and `known_hosts` in
    /// `$XDG_CONFIG_HOME/telex` or `~/.config/telex`.
    ///
    /// # Errors
    /// [`Error`] if there is no key, or it cannot be used as it is.
    pub fn of_user() -> Result<Self, Error> {
        let places = Places::of_user()?;
        Ok(Self::new(load_key(&key_path(&places), None)?, known_hosts_path(&places)))
    }

    /// The key in a file of OpenSSH's at `key`, which is encrypted if there is a `passphrase`, and the servers in the file at
    /// `known_hosts`, which need not exist.
    ///
    /// # Errors
    /// [`Error::NoKey`], [`Error::File`], [`Error::Key`].
    pub fn with_key_file(key: &Path, passphrase: Option<&[u8]>, known_hosts: PathBuf) -> Result<Self, Error> {
        Ok(Self::new(load_key(key, passphrase)?, known_hosts))
    }

    /// A key that can sign, wherever it is kept, and the servers in the file at `known_hosts`, which need not exist.
    pub fn new(identity: Arc<dyn Identity>, known_hosts: PathBuf) -> Self {
        Self { identity, known_hosts, trust: Trust::current(), unknown_hosts: UnknownHosts::Refuse }
    }

    /// What becomes of a server of which nothing is known; it is refused unless this says otherwise.
    #[must_use]
    pub fn unknown_hosts(mut self, unknown_hosts: UnknownHosts) -> Self {
        self.unknown_hosts = unknown_hosts;
        self
    }

    /// The public half of the key.
    pub fn public_key(&self) -> PublicKey {
        self.identity.public_key()
    }

    /// Writes down that `host` has `key`, as somebody has confirmed. Nothing is added if that is known by now.
    ///
    /// # Errors
    /// [`Error::Write`]; [`Error::Untrusted`] if the host has become known by another key meanwhile, or this key is
    /// revoked for it.
    pub fn remember(&self, host: &HostName, key: &PublicKey) -> Result<(), Error> {
        append_line(&self.known_hosts, &known_hosts::line(host, key, ""), KNOWN_HOSTS_MODE, |text, _| {
            // Others may have confirmed another key since somebody looked.
            let trust = self.host_in(text, host.clone());
            match trust.known.verdict(host, key) {
                Verdict::Unknown => Ok(true),
                Verdict::Trusted => Ok(false),
                Verdict::Changed { .. } | Verdict::Unclear { .. } | Verdict::Revoked { .. } => {
                    Err(trust.refusal(*key))
                }
            }
        })
    }

    pub(crate) fn identity(&self) -> Arc<dyn Identity> {
        Arc::clone(&self.identity)
    }

    /// What is known of `host` at this moment.
    pub(crate) fn host(&self, host: HostName) -> Result<HostTrust, Error> {
        let text = read_trusted(&self.known_hosts, &self.trust, KNOWN_HOSTS_BYTES)?;
        Ok(self.host_in(&text.unwrap_or_default(), host))
    }

    /// What `text`, which is that of the file, says of `host`.
    fn host_in(&self, text: &[u8], host: HostName) -> HostTrust {
        let known = KnownHosts::parse(text);
        HostTrust { host, known, unknown_hosts: self.unknown_hosts, path: self.known_hosts.clone() }
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access").field("known_hosts", &self.known_hosts).finish_non_exhaustive()
    }
}

/// Where the user's own key is.
pub(crate) fn key_path(places: &Places) -> PathBuf {
    places.config.join(KEY)
}

/// Where the servers are written down that the user knows.
pub(crate) fn known_hosts_path(places: &Places) -> PathBuf {
    places.config.join(KNOWN_HOSTS)
}

/// The key in the file at `path`, which is encrypted if there is a `passphrase`.
///
/// # Errors
/// [`Error::NoKey`], [`Error::File`], [`Error::Key`].
pub(crate) fn load_key(path: &Path, passphrase: Option<&[u8]>) -> Result<Arc<PrivateKey>, Error> {
    let Some(text) = read_private(path, &Trust::current())? else {
        return Err(Error::NoKey { path: path.to_owned() });
    };
    PrivateKey::from_openssh(&text, passphrase)
        .map(Arc::new)
        .map_err(|error| Error::Key { path: path.to_owned(), error: Arc::new(error) })
}

/// What is known of one server.
#[derive(Debug)]
pub(crate) struct HostTrust {
    host: HostName,
    known: KnownHosts,
    unknown_hosts: UnknownHosts,
    path: PathBuf,
}

impl HostTrust {
    /// Whether a server with this key is the one that is meant.
    pub(crate) fn accepts(&self, key: &PublicKey) -> bool {
        match (self.known.verdict(&self.host, key), self.unknown_hosts) {
            (Verdict::Trusted, UnknownHosts::Expect(expected)) => key.fingerprint() == expected,
            (Verdict::Trusted, UnknownHosts::Refuse | UnknownHosts::Accept) => true,
            (Verdict::Unknown, UnknownHosts::Accept) => true,
            (Verdict::Unknown, UnknownHosts::Expect(expected)) => key.fingerprint() == expected,
            (Verdict::Unknown, UnknownHosts::Refuse) => false,
            (Verdict::Changed { .. } | Verdict::Unclear { .. } | Verdict::Revoked { .. }, _) => false,
        }
    }

    /// The server, if its accepted `key` is not written down yet.
    pub(crate) fn is_new(&self, key: &PublicKey) -> Option<&HostName> {
        (self.known.verdict(&self.host, key) == Verdict::Unknown).then_some(&self.host)
    }

    /// Why a server with this key is not accepted.
    pub(crate) fn refusal(&self, key: PublicKey) -> Error {
        let path = self.path.clone();
        let reason = match (self.known.verdict(&self.host, &key), self.unknown_hosts) {
            (Verdict::Changed { line, .. }, _) => Distrust::Changed { path, line },
            (Verdict::Unclear { line }, _) => Distrust::Unclear { path, line },
            (Verdict::Revoked { line }, _) => Distrust::Revoked { path, line },
            (_, UnknownHosts::Expect(expected)) => Distrust::Unexpected { expected },
            (_, UnknownHosts::Refuse | UnknownHosts::Accept) => Distrust::Unknown,
        };
        Error::Untrusted(Arc::new(Untrusted { host: self.host.clone(), key, reason }))
    }
}
