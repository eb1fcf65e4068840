//! The keys with which a person leaves a job to the server, as docker and podman write them: `ctrl-p,ctrl-q`. No terminal.

use std::str::FromStr;

use thiserror::Error;

/// A sequence of keys; none if nobody is to leave by accident.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DetachKeys(Vec<u8>);

/// Not a sequence of keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "write keys with commas between them, each a character or ctrl- and one of a-z @ [ \\ ] ^ _: ctrl-p,ctrl-q"
)]
pub(crate) struct DetachKeysError;

impl DetachKeys {
    /// None.
    pub(crate) fn none() -> Self {
        Self(Vec::new())
    }

    /// The bytes that the keys send, in their order.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Default for DetachKeys {
    /// Ctrl-\ and then d.
    fn default() -> Self {
        Self(vec![0x1c, b'd'])
    }
}

impl FromStr for DetachKeys {
    type Err = DetachKeysError;

    fn from_str(text: &str) -> Result<Self, DetachKeysError> {
        if text.is_empty() {
            return Ok(Self(Vec::new()));
        }
        text.split(',').map(key).collect::<Option<_>>().map(Self).ok_or(DetachKeysError)
    }
}

/// The byte that a key sends.
pub(crate) fn key(name: &str) -> Option<u8> {
    let (name, control) = match name.get(..5) {
        Some(prefix) if prefix.eq_ignore_ascii_case("ctrl-") => (name.get(5..)?, true),
        _ => (name, false),
    };
    let &[byte] = name.as_bytes() else { return None };
    match (control, byte.to_ascii_lowercase()) {
        (false, _) => byte.is_ascii_graphic().then_some(byte),
        (true, letter @ b'a'..=b'z') => Some(letter - b'a' + 1),
        (true, b'@') => Some(0),
        (true, sign @ b'['..=b'_') => Some(sign - b'@'),
        (true, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dockers_syntax() {
        let bytes = |text: &str| text.parse().map(|keys: DetachKeys| keys.0);
        assert_eq!(bytes("ctrl-\\,d"), Ok(DetachKeys::default().0));
        assert_eq!(bytes("ctrl-p,ctrl-q"), Ok(vec![16, 17]));
        assert_eq!(bytes("CTRL-P,Q,q"), Ok(vec![16, b'Q', b'q']));
        assert_eq!(bytes("ctrl-@,ctrl-[,ctrl-],ctrl-^,ctrl-_"), Ok(vec![0, 27, 29, 30, 31]));
        assert_eq!(bytes(""), Ok(vec![]));
        for wrong in [",", "a,", "ab", "ctrl-", "ctrl-1", "ctrl-ab", "ctrl-,", "é", " ", "ctrl-p ctrl-q"] {
            assert_eq!(bytes(wrong), Err(DetachKeysError), "{wrong:?}");
        }
    }
}
