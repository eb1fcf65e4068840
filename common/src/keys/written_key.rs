//! A key as it stands in a line: the name of its algorithm, its bytes in base64, and a comment.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::fields::split_word;
use super::{KeyError, LineError, PublicKey};

/// A key of any algorithm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum WrittenKey {
    /// One that is used here.
    Ed25519(PublicKey),
    /// One of another algorithm: its name, at most 64 bytes of it.
    Other(String),
}

impl WrittenKey {
    /// The key that `text` begins with.
    ///
    /// # Errors
    /// [`LineError::NoKey`] and [`LineError::Key`]; the latter also if the bytes do not name the same algorithm, so
    /// that a slip in the name `ssh-ed25519` does not make another algorithm of it.
    pub(super) fn parse(text: &str) -> Result<Self, LineError> {
        let error = match split_key(text) {
            Ok((key, _)) => return Ok(Self::Ed25519(key)),
            Err(error) => error,
        };
        let (name, rest) = split_word(text);
        match error {
            LineError::Key(KeyError::Algorithm { algorithm }) if is_named(split_word(rest).0, name) => {
                Ok(Self::Other(algorithm))
            }
            LineError::Key(KeyError::Algorithm { .. }) => Err(KeyError::Malformed.into()),
            error => Err(error),
        }
    }
}

/// The Ed25519 key that `text` begins with, and the comment behind it.
///
/// # Errors
/// [`LineError::NoKey`] and [`LineError::Key`]; the latter for any other algorithm, too.
pub(super) fn split_key(text: &str) -> Result<(PublicKey, &str), LineError> {
    let (algorithm, rest) = split_word(text);
    let (base64, comment) = split_word(rest);
    if base64.is_empty() {
        return Err(LineError::NoKey);
    }
    Ok((PublicKey::from_words(algorithm, base64)?, comment.trim_ascii_end()))
}

/// Whether a key begins with this name of an algorithm (RFC 4253, section 6.6).
fn is_named(base64: &str, algorithm: &str) -> bool {
    let Ok(blob) = STANDARD.decode(base64) else { return false };
    let length = u32::try_from(algorithm.len()).unwrap_or(u32::MAX).to_be_bytes();
    blob.strip_prefix(&length).is_some_and(|rest| rest.starts_with(algorithm.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE64: &str = "AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";

    #[test]
    fn a_key_of_another_algorithm_is_one_only_if_its_bytes_say_so() {
        let parse = WrittenKey::parse;
        assert!(matches!(parse(&format!("ssh-ed25519\t {BASE64}")), Ok(WrittenKey::Ed25519(_))));
        assert_eq!(parse("ssh-rsa AAAAB3NzaC1yc2EAAAADAQAB me"), Ok(WrittenKey::Other("ssh-rsa".into())));
        for line in [format!("ssh-ed2519 {BASE64}"), format!("ssh-rsa {BASE64}"), "ssh-rsa AA==".into()] {
            assert_eq!(parse(&line), Err(KeyError::Malformed.into()), "{line}");
        }
        for line in ["", "ssh-rsa", "ssh-ed25519 \t"] {
            assert_eq!(parse(line), Err(LineError::NoKey), "{line}");
        }
    }

    #[test]
    fn the_comment_is_what_is_left() {
        let line = format!("ssh-ed25519  {BASE64} \t ann's key # 2 \t");
        assert_eq!(split_key(&line).unwrap().1, "ann's key # 2");
        assert_eq!(split_key(&format!("ssh-ed25519 {BASE64}")).unwrap().1, "");
    }
}
