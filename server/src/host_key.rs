//! The server's own key, made when it is first needed. Never another program's: who owns one must not be able to pass
//! for the other.

use std::path::Path;
use std::sync::Arc;

use common::keys::{FileError, PrivateKey, PrivateKeyError, Trust, WriteError, create_private, read_private};
use common::tls::{ServerTls, TlsError};
use thiserror::Error;
use tracing::info;

/// The key in `path`, or a new one that is there from now on.
///
/// # Errors
/// [`HostKeyError`].
pub(crate) fn load_or_make(path: &Path, trust: &Trust) -> Result<PrivateKey, HostKeyError> {
    if let Some(text) = read_private(path, trust)? {
        return parse(path, &text);
    }
    let key = PrivateKey::generate().map_err(|error| HostKeyError::Key(path.to_owned(), error))?;
    match create_private(path, key.to_openssh("telex host key").as_bytes()) {
        Ok(()) => {
            info!(path = %path.display(), fingerprint = %key.public().fingerprint(), "made a host key");
            Ok(key)
        }
        // Two programs that both need it: the first one's counts.
        Err(WriteError::AlreadyExists { .. }) => {
            let text = read_private(path, trust)?.unwrap_or_default();
            parse(path, &text)
        }
        Err(error) => Err(error.into()),
    }
}

/// Whether there is a key in `path`, or room for a new one as far as can be seen. Changes nothing.
///
/// # Errors
/// As [`load_or_make`].
pub(crate) fn check(path: &Path, trust: &Trust) -> Result<(), HostKeyError> {
    match read_private(path, trust)? {
        Some(text) => parse(path, &text).map(drop),
        None => Ok(()),
    }
}

/// TLS with the key in `path`.
///
/// # Errors
/// As [`load_or_make`].
pub(crate) fn tls(path: &Path, trust: &Trust) -> Result<ServerTls, HostKeyError> {
    let key = load_or_make(path, trust)?;
    Ok(ServerTls::new(Arc::new(key))?)
}

fn parse(path: &Path, text: &[u8]) -> Result<PrivateKey, HostKeyError> {
    PrivateKey::from_openssh(text, None).map_err(|error| HostKeyError::Key(path.to_owned(), error))
}

/// Why there is no host key.
#[derive(Debug, Error)]
pub enum HostKeyError {
    /// Its file is not as it has to be.
    #[error(transparent)]
    File(#[from] FileError),
    /// Its file holds no key that can be used.
    #[error("{}: {}", .0.display(), .1)]
    Key(std::path::PathBuf, PrivateKeyError),
    /// It cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The TLS library refuses it.
    #[error(transparent)]
    Tls(#[from] TlsError),
}
