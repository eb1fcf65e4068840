//! What an agent says it holds, and whether it is of use here.

use std::fmt;

use crate::keys::PublicKey;

/// A key in an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The key.
    pub key: AgentKey,
    /// What its owner calls it; from the agent, so not to be printed unescaped. What is not UTF-8 in it has become `?`.
    pub comment: String,
}

/// A key that can be used here, or the name of one that cannot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AgentKey {
    /// For [`Agent::sign`](super::Agent::sign).
    Ed25519(PublicKey),
    /// A key of another kind.
    Other(OtherKey),
}

/// A key that cannot be used here. Printed, it says why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherKey {
    algorithm: String,
}

impl OtherKey {
    pub(super) fn new(algorithm: &str) -> Self {
        Self { algorithm: algorithm.to_owned() }
    }

    /// Its algorithm's name in SSH: 1 to 64 printable ASCII characters (RFC 4251, section 6).
    pub fn algorithm(&self) -> &str {
        &self.algorithm
    }
}

impl fmt::Display for OtherKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let algorithm = &self.algorithm;
        if algorithm.starts_with("sk-") {
            write!(f, "a key of type {algorithm}; a security key signs for SSH alone and cannot be used here")
        } else if algorithm.contains("-cert-v") {
            write!(f, "a certificate of type {algorithm}; only plain ssh-ed25519 keys are used here")
        } else {
            write!(f, "a key of type {algorithm}; only ssh-ed25519 is used here")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_another_kind_says_why_it_is_of_no_use() {
        for (algorithm, reason) in [
            ("ssh-rsa", "only ssh-ed25519 is used here"),
            ("sk-ssh-ed25519@openssh.com", "a security key signs for SSH alone and cannot be used here"),
            (
                "sk-ssh-ed25519-cert-v01@openssh.com",
                "a security key signs for SSH alone and cannot be used here",
            ),
        ] {
            assert_eq!(OtherKey::new(algorithm).to_string(), format!("a key of type {algorithm}; {reason}"));
        }
        assert_eq!(
            OtherKey::new("ssh-ed25519-cert-v01@openssh.com").to_string(),
            "a certificate of type ssh-ed25519-cert-v01@openssh.com; only plain ssh-ed25519 keys are used here"
        );
    }
}
