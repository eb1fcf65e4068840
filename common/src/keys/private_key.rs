//! Private keys, as OpenSSH keeps them in files and as TLS signs with them.
//!
//! Opens no file and asks nobody for a passphrase. Nothing here prints a secret, and none stays in memory longer than
//! its key.

mod openssh;

use std::fmt;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use ssh_key::{Cipher, Kdf};
use thiserror::Error;
use zeroize::Zeroizing;

use super::{KeyError, PublicKey};

/// Bytes of a file that is read as a private key; one of OpenSSH's has 400.
pub(super) const FILE_BYTES: usize = 64 * 1024;

/// Rounds of bcrypt that a file may ask for: some seconds of work. `ssh-keygen` asks for 16 or 24.
const ROUNDS: u32 = 1000;

/// A PrivateKeyInfo before the 32 bytes of an Ed25519 seed (RFC 8410, section 7).
const PKCS8_PREFIX: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

/// An Ed25519 key pair and its comment.
pub struct PrivateKey {
    pair: Ed25519KeyPair,
    /// On the heap, so that moving the key leaves no copy behind.
    seed: Box<Zeroizing<[u8; 32]>>,
    public: PublicKey,
    comment: String,
}

impl PrivateKey {
    /// A new key without a comment.
    ///
    /// # Errors
    /// [`PrivateKeyError::Random`] if there are no random numbers to be had.
    pub fn generate() -> Result<Self, PrivateKeyError> {
        let mut seed = Box::new(Zeroizing::new([0; 32]));
        getrandom::fill(seed.as_mut_slice()).map_err(|_| PrivateKeyError::Random)?;
        let pair =
            Ed25519KeyPair::from_seed_unchecked(seed.as_slice()).map_err(|_| PrivateKeyError::Malformed)?;
        let public = pair.public_key().as_ref().try_into().map_err(|_| PrivateKeyError::Malformed)?;
        Ok(Self { pair, seed, public: PublicKey::from_bytes(public), comment: String::new() })
    }

    /// The key in the text of a file of OpenSSH's. A passphrase that is not needed is not looked at; one that is
    /// needed takes a fifth of a second to check, and a file can make it take some seconds.
    ///
    /// # Errors
    /// [`PrivateKeyError`], whose fault is the file's but for the two that are about passphrases.
    pub fn from_openssh(text: &[u8], passphrase: Option<&[u8]>) -> Result<Self, PrivateKeyError> {
        if text.len() > FILE_BYTES {
            return Err(PrivateKeyError::Malformed);
        }
        let bytes = openssh::from_armour(text)?;
        openssh::public_key(&bytes)?;
        let mut key = ssh_key::PrivateKey::from_bytes(&bytes).map_err(unreadable)?;
        if key.is_encrypted() {
            can_be_decrypted(&key)?;
            key =
                key.decrypt(passphrase.ok_or(PrivateKeyError::Encrypted)?).map_err(|error| match error {
                    ssh_key::Error::Crypto => PrivateKeyError::WrongPassphrase,
                    error => unreadable(error),
                })?;
        }
        let halves = key.key_data().ed25519().ok_or(PrivateKeyError::Malformed)?;
        let seed = Box::new(Zeroizing::new(*halves.private.as_ref()));
        let pair = Ed25519KeyPair::from_seed_and_public_key(seed.as_slice(), &halves.public.0)
            .map_err(|_| PrivateKeyError::Mismatch)?;
        let public = PublicKey::from_bytes(halves.public.0);
        Ok(Self { pair, seed, public, comment: key.comment().to_owned() })
    }

    /// The public half of the key in the text of a file of OpenSSH's, for which no passphrase is needed.
    ///
    /// # Errors
    /// [`PrivateKeyError`]; the file's fault.
    pub fn public_half(text: &[u8]) -> Result<PublicKey, PrivateKeyError> {
        if text.len() > FILE_BYTES {
            return Err(PrivateKeyError::Malformed);
        }
        openssh::public_key(&openssh::from_armour(text)?)
    }

    /// The text of a file of OpenSSH's, without a passphrase. Of `comment`, 1,024 bytes are written at most.
    pub fn to_openssh(&self, comment: &str) -> Zeroizing<String> {
        openssh::to_armour(&openssh::encode(&self.seed, &self.public, comment))
    }

    /// Its public half.
    pub fn public(&self) -> PublicKey {
        self.public
    }

    /// What its file says about it: any text, control characters included.
    pub fn comment(&self) -> &str {
        &self.comment
    }

    /// Signs `message` (RFC 8032, section 5.1.6).
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        let mut signature = [0; 64];
        for (place, byte) in signature.iter_mut().zip(self.pair.sign(message).as_ref()) {
            *place = *byte;
        }
        signature
    }

    /// As a PrivateKeyInfo of version 1 (RFC 8410, section 7).
    pub fn to_pkcs8(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new([PKCS8_PREFIX.as_slice(), self.seed.as_slice()].concat())
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrivateKey")
            .field("public", &self.public)
            .field("comment", &self.comment)
            .finish_non_exhaustive()
    }
}

/// Before anybody is asked for a passphrase: whether it would help, and how long it would take.
fn can_be_decrypted(key: &ssh_key::PrivateKey) -> Result<(), PrivateKeyError> {
    if key.cipher() == Cipher::TDesCbc {
        return Err(PrivateKeyError::Cipher { cipher: key.cipher().as_str() });
    }
    match *key.kdf() {
        Kdf::Bcrypt { rounds: 1..=ROUNDS, .. } => Ok(()),
        Kdf::Bcrypt { rounds: rounds @ 1.., .. } => Err(PrivateKeyError::Rounds { rounds }),
        _ => Err(PrivateKeyError::Malformed),
    }
}

fn unreadable(error: ssh_key::Error) -> PrivateKeyError {
    match error {
        ssh_key::Error::PublicKey => PrivateKeyError::Mismatch,
        _ => PrivateKeyError::Malformed,
    }
}

/// Why there is no key.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PrivateKeyError {
    /// It can be read with a passphrase, and none was given.
    #[error("the private key is protected by a passphrase")]
    Encrypted,
    /// The passphrase opens nothing, or the file is damaged: that looks the same.
    #[error("the passphrase is wrong")]
    WrongPassphrase,
    /// A key of another kind.
    #[error("a private key of type {algorithm}; only ssh-ed25519 is used here")]
    Algorithm {
        /// Its algorithm, as written, at most 64 bytes.
        algorithm: String,
    },
    /// Encrypted in a way of the past.
    #[error("the private key is protected with {cipher}, which is not used here")]
    Cipher {
        /// OpenSSH's name of it.
        cipher: &'static str,
    },
    /// Checking a passphrase would take too long.
    #[error("the private key asks for {rounds} rounds of bcrypt; at most {ROUNDS} are done")]
    Rounds {
        /// What it asks for.
        rounds: u32,
    },
    /// Not a private key in OpenSSH's format.
    #[error("not an OpenSSH private key")]
    Malformed,
    /// Two keys in one file: it would show one and sign with another.
    #[error("the public and the private half do not belong together")]
    Mismatch,
    /// The system's fault.
    #[error("the system gives no random numbers")]
    Random,
}

impl From<KeyError> for PrivateKeyError {
    fn from(error: KeyError) -> Self {
        match error {
            KeyError::Algorithm { algorithm } => Self::Algorithm { algorithm },
            KeyError::Malformed | KeyError::Fingerprint => Self::Malformed,
        }
    }
}

#[cfg(test)]
mod tests;
