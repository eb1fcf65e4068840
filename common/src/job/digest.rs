//! What a request was, in 32 bytes: so that a repeated start can be told from another one under the same id.

use std::fmt;

use aws_lc_rs::digest;
use serde::{Deserialize, Serialize};

/// The SHA-256 of an encoded [`Spec`](super::Spec), made by the client that sends it first.
///
/// A server compares digests and never makes one: so it recognises a repetition whatever version has encoded it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of `encoded`.
    pub fn of(encoded: &[u8]) -> Self {
        let mut bytes = [0; 32];
        // SHA-256 has 32 bytes, always.
        bytes
            .iter_mut()
            .zip(digest::digest(&digest::SHA256, encoded).as_ref())
            .for_each(|(to, from)| *to = *from);
        Self(bytes)
    }

    /// As it is written down.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    pub fn to_bytes(self) -> [u8; 32] {
        self.0
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_sha_256() {
        // FIPS 180-2, example B.1.
        let digest = format!("{:?}", Digest::of(b"abc"));
        assert_eq!(digest, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
