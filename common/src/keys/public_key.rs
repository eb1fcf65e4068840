//! Public keys and their fingerprints: the forms in which OpenSSH writes them, and the one in which TLS sends them.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use thiserror::Error;

/// The only algorithm.
const ALGORITHM: &str = "ssh-ed25519";

/// A SubjectPublicKeyInfo before the 32 bytes of an Ed25519 key (RFC 8410, section 4).
const SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// Bytes of a SubjectPublicKeyInfo.
const SPKI_LEN: usize = SPKI_PREFIX.len() + 32;

/// An Ed25519 public key. Written and parsed as in a line of OpenSSH's: `ssh-ed25519 AAAA…`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// The key with these bytes (RFC 8032, section 5.1.5). Any 32 are taken: those that are no key verify nothing.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The key in a SubjectPublicKeyInfo; `None` for anything but 44 bytes with an Ed25519 key.
    pub fn from_spki(spki: &[u8]) -> Option<Self> {
        let key = spki.strip_prefix(&SPKI_PREFIX)?;
        key.try_into().ok().map(Self)
    }

    /// As a SubjectPublicKeyInfo.
    pub fn to_spki(&self) -> [u8; SPKI_LEN] {
        let mut spki = [0; SPKI_LEN];
        for (place, byte) in spki.iter_mut().zip(SPKI_PREFIX.iter().chain(&self.0)) {
            *place = *byte;
        }
        spki
    }

    /// The key in the binary form of SSH (RFC 8709, section 4).
    ///
    /// # Errors
    /// [`KeyError`] for another algorithm, or for bytes that are no key.
    pub fn from_blob(blob: &[u8]) -> Result<Self, KeyError> {
        let (algorithm, rest) = take_string(blob).ok_or(KeyError::Malformed)?;
        if algorithm != ALGORITHM.as_bytes() {
            return Err(KeyError::algorithm(&String::from_utf8_lossy(algorithm)));
        }
        match take_string(rest) {
            Some((key, [])) => key.try_into().map(Self).map_err(|_| KeyError::Malformed),
            _ => Err(KeyError::Malformed),
        }
    }

    /// In the binary form of SSH.
    pub fn to_blob(&self) -> Vec<u8> {
        let mut blob = Vec::with_capacity(8 + ALGORITHM.len() + self.0.len());
        for field in [ALGORITHM.as_bytes(), &self.0] {
            blob.extend_from_slice(&(field.len() as u32).to_be_bytes());
            blob.extend_from_slice(field);
        }
        blob
    }

    /// The key of these two words of a line: the algorithm and the key in base64.
    ///
    /// # Errors
    /// [`KeyError`] for another algorithm, or for text that is no key.
    pub fn from_words(algorithm: &str, base64: &str) -> Result<Self, KeyError> {
        if algorithm != ALGORITHM {
            return Err(KeyError::algorithm(algorithm));
        }
        let blob = STANDARD.decode(base64).map_err(|_| KeyError::Malformed)?;
        Self::from_blob(&blob)
    }

    /// What people compare.
    pub fn fingerprint(&self) -> Fingerprint {
        let mut bytes = [0; 32];
        for (place, byte) in bytes.iter_mut().zip(digest(&SHA256, &self.to_blob()).as_ref()) {
            *place = *byte;
        }
        Fingerprint(bytes)
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{ALGORITHM} {}", STANDARD.encode(self.to_blob()))
    }
}

impl FromStr for PublicKey {
    type Err = KeyError;

    /// The key of a line of the form that `.pub` files have; a comment may follow.
    fn from_str(line: &str) -> Result<Self, KeyError> {
        let mut words = line.split_ascii_whitespace();
        let (Some(algorithm), Some(base64)) = (words.next(), words.next()) else {
            return Err(KeyError::Malformed);
        };
        Self::from_words(algorithm, base64)
    }
}

/// The SHA-256 of a key in SSH's binary form; written as OpenSSH does, `SHA256:` and base64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// The fingerprint with these bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SHA256:{}", STANDARD_NO_PAD.encode(self.0))
    }
}

impl FromStr for Fingerprint {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let base64 = text.strip_prefix("SHA256:").ok_or(KeyError::Fingerprint)?;
        let bytes = STANDARD_NO_PAD.decode(base64).map_err(|_| KeyError::Fingerprint)?;
        bytes.try_into().map(Self).map_err(|_| KeyError::Fingerprint)
    }
}

/// Takes a string of SSH's binary form (RFC 4251, section 5) from the front of `bytes`.
pub(super) fn take_string(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    rest.split_at_checked(u32::from_be_bytes(*length) as usize)
}

/// What is no key that can be used here.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum KeyError {
    /// A key of another kind.
    #[error("a key of type {algorithm}; only ssh-ed25519 is used here")]
    Algorithm {
        /// Its algorithm, as written, at most 64 bytes.
        algorithm: String,
    },
    /// Not a key at all.
    #[error("not an Ed25519 public key")]
    Malformed,
    /// Not a fingerprint.
    #[error("not a fingerprint (write SHA256:…, as `ssh-keygen -l` prints it)")]
    Fingerprint,
}

impl KeyError {
    fn algorithm(name: &str) -> Self {
        Self::Algorithm { algorithm: name.get(..name.floor_char_boundary(64)).unwrap_or_default().to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by `ssh-keygen -t ed25519`.
    const LINE: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti user@host";
    const FINGERPRINT: &str = "SHA256:UCUiLr7Pjs9wFFJMDByLgc3NrtdU344OgUM45wZPcIQ";

    #[test]
    fn a_line_of_openssh() {
        let key: PublicKey = LINE.parse().unwrap();
        assert_eq!(format!("{key} user@host"), LINE);
        assert_eq!(key.fingerprint().to_string(), FINGERPRINT);
        assert_eq!(FINGERPRINT.parse(), Ok(key.fingerprint()));
        assert_eq!(PublicKey::from_spki(&key.to_spki()), Some(key));
        assert_eq!(PublicKey::from_blob(&key.to_blob()), Ok(key));
    }

    #[test]
    fn exactly_a_key_and_nothing_behind_it() {
        let key: PublicKey = LINE.parse().unwrap();
        let longer = [&key.to_spki()[..], &[0]].concat();
        assert_eq!(PublicKey::from_spki(&longer), None);
        assert_eq!(PublicKey::from_spki(&key.to_spki()[..43]), None);
        let longer = [&key.to_blob()[..], &[0]].concat();
        assert_eq!(PublicKey::from_blob(&longer), Err(KeyError::Malformed));
        for cut in 0..key.to_blob().len() {
            assert!(PublicKey::from_blob(&key.to_blob()[..cut]).is_err(), "{cut}");
        }
    }

    #[test]
    fn other_algorithms_are_named() {
        let rsa = "ssh-rsa AAAAB3NzaC1yc2E= me".parse::<PublicKey>();
        assert_eq!(rsa.unwrap_err().to_string(), "a key of type ssh-rsa; only ssh-ed25519 is used here");
        assert_eq!("ssh-ed25519".parse::<PublicKey>(), Err(KeyError::Malformed));
        assert_eq!("".parse::<Fingerprint>(), Err(KeyError::Fingerprint));
    }
}
