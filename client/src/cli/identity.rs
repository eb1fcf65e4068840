//! Which key proves who the user is: a file, made on first use, or one that an agent keeps.

use std::env;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::config::Places;
use common::escape::escape;
use common::keys::agent::{Agent, AgentKey, TIMEOUT};
use common::keys::{
    FileError, PrivateKey, PrivateKeyError, PublicKey, WriteError, create_private, read_untrusted,
};
use common::tls::Identity;

use super::failure::Failure;
use super::question::{QuestionError, ask_secret};
use crate::access;
use crate::error::Error;

/// Where the agent is.
const AGENT_VARIABLE: &str = "SSH_AUTH_SOCK";

/// How long an agent may take to sign, in which its owner may have to confirm that. A server gives a login 30 s: whoever
/// reads why it failed is to read of the agent, and not of the server.
const SIGNATURE: Duration = Duration::from_secs(25);

/// Bytes that a file with half of a key may have, or with both: what a private one may have elsewhere, too.
const KEY_BYTES: usize = 64 * 1024;

/// How often a passphrase may be mistyped.
const ATTEMPTS: usize = 3;

/// What the user has said about the key to use.
#[derive(Debug, Clone, Default)]
pub(crate) struct KeyChoice {
    /// The file, if not the usual one. With an agent, the one among its keys.
    pub(crate) file: Option<PathBuf>,
    /// Whether an agent has it.
    pub(crate) agent: bool,
}

impl KeyChoice {
    /// This choice, or `other` if nothing was said.
    pub(crate) fn or<'a>(&'a self, other: &'a Self) -> &'a Self {
        if self.file.is_none() && !self.agent { other } else { self }
    }

    /// The key.
    ///
    /// # Errors
    /// [`Failure`] if there is none that can be used.
    pub(crate) fn load(&self, places: &Places) -> Result<Arc<dyn Identity>, Failure> {
        if self.agent {
            return Ok(Arc::new(AgentIdentity::find(self.file.as_deref())?));
        }
        let usual = || access::key_path(places);
        let key: Arc<dyn Identity> = load(&self.file.clone().unwrap_or_else(usual))?;
        Ok(key)
    }

    /// The key; the usual one is made if there is none. Whether it was.
    ///
    /// # Errors
    /// [`Failure`].
    pub(crate) fn load_or_make(&self, places: &Places) -> Result<(Arc<dyn Identity>, bool), Failure> {
        let path = access::key_path(places);
        match self.load(places) {
            Err(Failure::Client(Error::NoKey { path: missing })) if missing == path => {
                let key = PrivateKey::generate().map_err(|error| key_error(&path, error))?;
                let made = create_private(&path, key.to_openssh("telex").as_bytes());
                match made {
                    Ok(()) => Ok((Arc::new(key), true)),
                    // Another process was faster; its key is the one.
                    Err(WriteError::AlreadyExists { .. }) => Ok((self.load(places)?, false)),
                    Err(error) => Err(Error::from(error).into()),
                }
            }
            other => Ok((other?, false)),
        }
    }
}

/// The key in `path`; asks for its passphrase if it has one.
fn load(path: &Path) -> Result<Arc<PrivateKey>, Failure> {
    let is_encrypted = |error: &Error| match error {
        Error::Key { error, .. } => matches!(**error, PrivateKeyError::Encrypted),
        _ => false,
    };
    match access::load_key(path, None) {
        Err(error) if is_encrypted(&error) => load_encrypted(path),
        other => Ok(other?),
    }
}

fn load_encrypted(path: &Path) -> Result<Arc<PrivateKey>, Failure> {
    let name = path.display().to_string();
    let mut question = format!("passphrase for {}: ", escape(&name));
    let mut last = key_error(path, PrivateKeyError::Encrypted);
    for _ in 0..ATTEMPTS {
        let passphrase = match ask_secret(&question) {
            Ok(Some(passphrase)) => passphrase,
            Ok(None) => return Err(Failure::NoPassphrase(path.to_owned())),
            Err(QuestionError::NobodyToAsk(_)) => return Err(last.into()),
            Err(QuestionError::Terminal(error)) => return Err(Failure::Terminal(error)),
        };
        match access::load_key(path, Some(&passphrase)) {
            Err(error @ Error::Key { .. }) => {
                last = error;
                question = format!("that is not it; passphrase for {}: ", escape(&name));
            }
            other => return Ok(other?),
        }
    }
    Err(last.into())
}

fn key_error(path: &Path, error: PrivateKeyError) -> Error {
    Error::Key { path: path.to_owned(), error: Arc::new(error) }
}

/// A key that stays in the agent.
struct AgentIdentity {
    socket: PathBuf,
    key: PublicKey,
}

impl AgentIdentity {
    /// The key of which `file` is the public half, or else the agent's only one.
    fn find(file: Option<&Path>) -> Result<Self, Failure> {
        let socket = env::var_os(AGENT_VARIABLE).filter(|path| !path.is_empty()).ok_or(Failure::NoAgent)?;
        let socket = PathBuf::from(socket);
        let mut agent = Agent::connect(&socket, Instant::now() + TIMEOUT).map_err(Failure::Agent)?;
        let identities = agent.identities().map_err(Failure::Agent)?;
        let wanted = file.map(public_half).transpose()?;
        let mut usable = Vec::new();
        let mut others = Vec::new();
        for identity in identities {
            match identity.key {
                AgentKey::Ed25519(key) if wanted.is_none_or(|wanted| wanted == key) => usable.push(key),
                AgentKey::Ed25519(_) => {}
                AgentKey::Other(other) => others.push(other.to_string()),
            }
        }
        match (usable.as_slice(), wanted) {
            ([key], _) => Ok(Self { socket, key: *key }),
            ([], Some(wanted)) => Err(Failure::NotInAgent(wanted.fingerprint())),
            ([], None) => Err(Failure::EmptyAgent { others }),
            (_, _) => Err(Failure::ManyInAgent { count: usable.len() }),
        }
    }
}

/// The public key in `file`, whichever half that is, or in the one beside it that ends in `.pub`.
fn public_half(file: &Path) -> Result<PublicKey, Failure> {
    let mut beside = file.as_os_str().to_owned();
    beside.push(".pub");
    // Where the key is only in the agent, there may be nothing but the public file.
    match (key_in(file), key_in(beside.as_ref())) {
        (Ok(Some(key)), _) | (_, Ok(Some(key))) => Ok(key),
        (Err(error), _) | (_, Err(error)) => Err(Failure::PublicKeyFile(error)),
        (Ok(None), Ok(None)) => Err(Failure::NoPublicKey(file.to_owned())),
    }
}

/// The public key in the file at `path`, if there is one. It only picks one of the agent's keys, so anybody may have
/// written it.
fn key_in(path: &Path) -> Result<Option<PublicKey>, FileError> {
    let Some(text) = read_untrusted(path, KEY_BYTES)? else { return Ok(None) };
    let public = str::from_utf8(&text).ok().and_then(|text| text.parse().ok());
    Ok(public.or_else(|| PrivateKey::public_half(&text).ok()))
}

impl fmt::Debug for AgentIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AgentIdentity").field("key", &self.key).finish_non_exhaustive()
    }
}

impl Identity for AgentIdentity {
    fn public_key(&self) -> PublicKey {
        self.key
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], String> {
        let mut agent =
            Agent::connect(&self.socket, Instant::now() + SIGNATURE).map_err(|error| error.to_string())?;
        agent.sign(&self.key, message).map_err(|error| error.to_string())
    }

    fn blocks(&self) -> bool {
        true
    }
}
