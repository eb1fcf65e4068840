//! `revoked_keys`: keys that are good for nothing any more, whatever other files say.
//!
//! Bytes in, values out; opens no file. A file that cannot be understood as a whole is an error, because a line that
//! was passed over would let in the very key that it was written against.

use std::collections::HashSet;

use super::fields::{lines, split_word};
use super::written_key::WrittenKey;
use super::{Fingerprint, LineError, Problem, PublicKey};

/// Lines that a file may have.
pub const LINES: usize = 10_000;

/// The keys that are revoked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RevokedKeys {
    fingerprints: HashSet<Fingerprint>,
}

impl RevokedKeys {
    /// Reads the bytes of a file: on each line a public key or its fingerprint (`SHA256:…`, as `ssh-keygen -l` prints
    /// it), and a comment if there is one. Blank lines and those that begin with `#` say nothing; neither do keys of
    /// other algorithms, which cannot be used here anyway.
    ///
    /// In time that grows with the number of bytes; how many they may be is for the caller, who reads them.
    ///
    /// # Errors
    /// The first line that cannot be understood, or that is past [`LINES`]. Then any key may be revoked: let none in.
    pub fn parse(bytes: &[u8]) -> Result<Self, Problem> {
        let mut fingerprints = HashSet::new();
        for line in lines(bytes, LINES) {
            let revoked = line.fault.map_or_else(|| parse_line(&line.text), Err);
            fingerprints.extend(revoked.map_err(|error| Problem { line: line.number, error })?);
        }
        Ok(Self { fingerprints })
    }

    /// Whether the key is revoked.
    pub fn contains(&self, key: &PublicKey) -> bool {
        self.has(&key.fingerprint())
    }

    /// Whether the key with this fingerprint is revoked.
    pub fn has(&self, fingerprint: &Fingerprint) -> bool {
        self.fingerprints.contains(fingerprint)
    }
}

/// What a line revokes; `None` for a key of another algorithm.
fn parse_line(text: &str) -> Result<Option<Fingerprint>, LineError> {
    let (word, _) = split_word(text);
    if word.starts_with("SHA256:") {
        return Ok(Some(word.parse()?));
    }
    Ok(match WrittenKey::parse(text)? {
        WrittenKey::Ed25519(key) => Some(key.fingerprint()),
        WrittenKey::Other(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::KeyError;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";
    const FINGERPRINT: &str = "SHA256:UCUiLr7Pjs9wFFJMDByLgc3NrtdU344OgUM45wZPcIQ";

    fn key() -> PublicKey {
        KEY.parse().unwrap()
    }

    #[test]
    fn keys_and_fingerprints_revoke() {
        for line in [
            KEY.to_owned(),
            format!("{KEY} lost # 2026"),
            format!(" \t{}\t me\r\n", KEY.replace(' ', "\t  ")),
            FINGERPRINT.to_owned(),
            format!("# all of these\n\nssh-rsa AAAAB3NzaC1yc2EAAAADAQAB old\n{FINGERPRINT} lost"),
        ] {
            let revoked = RevokedKeys::parse(line.as_bytes()).unwrap();
            assert!(revoked.contains(&key()), "{line}");
            assert!(!revoked.contains(&PublicKey::from_bytes([1; 32])), "{line}");
        }
        assert!(!RevokedKeys::parse(b"").unwrap().contains(&key()));
        assert!(!RevokedKeys::parse(format!("#{KEY}").as_bytes()).unwrap().contains(&key()));
    }

    #[test]
    fn one_line_that_cannot_be_understood_spoils_the_file() {
        let malformed = LineError::Key(KeyError::Malformed);
        let fingerprint = LineError::Key(KeyError::Fingerprint);
        let table: [(Vec<u8>, LineError); 11] = [
            (b"ssh-ed25519".to_vec(), LineError::NoKey),
            (b"lost".to_vec(), LineError::NoKey),
            (KEY[..KEY.len() - 1].into(), malformed.clone()),
            (KEY.replacen("ssh-ed25519", "ssh-ed2519", 1).into(), malformed.clone()),
            (format!("restrict {KEY}").into(), malformed.clone()),
            (format!("256 {FINGERPRINT} me (ED25519)").into(), malformed),
            (FINGERPRINT[..FINGERPRINT.len() - 1].into(), fingerprint.clone()),
            (format!("{FINGERPRINT}=").into(), fingerprint),
            (format!("MD5:{}", "00:".repeat(16)).into(), LineError::NoKey),
            ([KEY.as_bytes(), b" \xff"].concat(), LineError::NotUtf8),
            (format!("{KEY} {}", "x".repeat(8192)).into(), LineError::TooLong),
        ];
        for (line, error) in table {
            let file = [FINGERPRINT.as_bytes(), b"\n", &line, b"\n", KEY.as_bytes()].concat();
            assert_eq!(RevokedKeys::parse(&file), Err(Problem { line: 2, error }), "{}", line.escape_ascii());
        }
        let file = "\n".repeat(LINES) + KEY;
        let error = LineError::TooMany { limit: LINES };
        assert_eq!(RevokedKeys::parse(file.as_bytes()), Err(Problem { line: LINES + 1, error }));
        assert!(RevokedKeys::parse(&file.as_bytes()[1..]).unwrap().contains(&key()));
    }
}
