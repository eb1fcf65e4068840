//! An invitation to a server: one line that says where it is, which key it has, and a secret that is good once.
//!
//! ```text
//! telex://db1.example:9000/pyb9sIc…   /n0Xq…
//!         host and port    SHA-256 of   identifier and secret,
//!                          its key      32 bytes
//! ```
//!
//! Both in the base64 of URLs (RFC 4648, section 5) without padding, so that no shell changes a character of it. Who keeps
//! invitations, and when one is spent, is the server's business.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use thiserror::Error;

use crate::endpoint::Endpoint;
use crate::keys::Fingerprint;

/// How every invitation begins.
pub(crate) const SCHEME: &str = "telex://";

/// Which invitation a token belongs to; no secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct InvitationId([u8; 8]);

impl fmt::Display for InvitationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// What proves that somebody was invited: 64 bits that say by which invitation, and 192 secret ones.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    id: InvitationId,
    secret: [u8; 24],
}

impl Token {
    /// Its bytes, as HELLO carries them.
    pub const LEN: usize = 32;

    /// A new one.
    ///
    /// # Errors
    /// The system's, if it has no random numbers.
    pub fn generate() -> Result<Self, getrandom::Error> {
        let (mut id, mut secret) = ([0; 8], [0; 24]);
        getrandom::fill(&mut id)?;
        getrandom::fill(&mut secret)?;
        Ok(Self { id: InvitationId(id), secret })
    }

    /// The token with these bytes.
    pub fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
        let (mut id, mut secret) = ([0; 8], [0; 24]);
        for (place, byte) in id.iter_mut().chain(&mut secret).zip(bytes) {
            *place = byte;
        }
        Self { id: InvitationId(id), secret }
    }

    /// Its bytes.
    pub fn to_bytes(&self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        for (place, byte) in bytes.iter_mut().zip(self.id.0.iter().chain(&self.secret)) {
            *place = *byte;
        }
        bytes
    }

    /// The invitation it belongs to.
    pub fn id(&self) -> InvitationId {
        self.id
    }

    /// What a server keeps of it.
    pub fn hash(&self) -> TokenHash {
        let mut hash = [0; 32];
        for (place, byte) in hash.iter_mut().zip(digest(&SHA256, &self.to_bytes()).as_ref()) {
            *place = *byte;
        }
        TokenHash(hash)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({}, …)", self.id)
    }
}

/// The SHA-256 of a token. A fast hash is enough for 192 random bits.
#[derive(Debug, Clone)]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    /// Whether it is the hash of `token`, in a time that does not tell how nearly.
    pub fn matches(&self, token: &Token) -> bool {
        verify_slices_are_equal(&self.0, &token.hash().0).is_ok()
    }
}

impl fmt::Display for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl FromStr for TokenHash {
    type Err = InvitationError;

    fn from_str(text: &str) -> Result<Self, InvitationError> {
        decode(text).map(Self).ok_or(InvitationError::Hash)
    }
}

/// What `server invite` prints and `client join` takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invitation {
    /// Where the server is; always TCP.
    pub endpoint: Endpoint,
    /// Its key.
    pub host_key: Fingerprint,
    /// The secret.
    pub token: Token,
}

impl fmt::Display for Invitation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = URL_SAFE_NO_PAD.encode(self.host_key.as_bytes());
        let token = URL_SAFE_NO_PAD.encode(self.token.to_bytes());
        write!(f, "{SCHEME}{}/{key}/{token}", self.endpoint)
    }
}

impl FromStr for Invitation {
    type Err = InvitationError;

    fn from_str(text: &str) -> Result<Self, InvitationError> {
        let rest = text.strip_prefix(SCHEME).ok_or(InvitationError::Scheme)?;
        let mut parts = rest.split('/');
        let (Some(endpoint), Some(key), Some(token), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(InvitationError::Incomplete);
        };
        let endpoint = endpoint.parse().map_err(|_| InvitationError::Incomplete)?;
        let host_key = decode(key).map(Fingerprint::from_bytes).ok_or(InvitationError::Incomplete)?;
        let token = decode(token).map(Token::from_bytes).ok_or(InvitationError::Incomplete)?;
        match endpoint {
            Endpoint::Tcp { .. } => Ok(Self { endpoint, host_key, token }),
            Endpoint::Unix(_) => Err(InvitationError::Incomplete),
        }
    }
}

fn decode(text: &str) -> Option<[u8; 32]> {
    URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()
}

/// A text that is no invitation. The local user's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum InvitationError {
    /// It begins with something else.
    #[error("an invitation begins with {SCHEME}")]
    Scheme,
    /// Something is missing, or was changed on the way.
    #[error("the invitation is not complete")]
    Incomplete,
    /// Not the hash of a token.
    #[error("not the hash of a token")]
    Hash,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invitation() -> Invitation {
        let host_key = Fingerprint::from_bytes([255; 32]);
        let endpoint = "[2001:db8::1]:9001".parse().unwrap();
        Invitation { endpoint, host_key, token: Token::from_bytes([0xfb; 32]) }
    }

    #[test]
    fn what_is_printed_parses_to_itself_and_needs_no_quotes() {
        let text = invitation().to_string();
        assert_eq!(text.parse(), Ok(invitation()));
        let plain = text.replace(['[', ']'], "");
        assert!(plain.chars().all(|c| c.is_ascii_alphanumeric() || "-_:/.".contains(c)), "{text}");
    }

    #[test]
    fn what_is_cut_or_longer_is_refused() {
        let text = invitation().to_string();
        for end in 0..text.len() {
            assert!(text[..end].parse::<Invitation>().is_err(), "{}", &text[..end]);
        }
        assert_eq!(format!("{text}A").parse::<Invitation>(), Err(InvitationError::Incomplete));
        assert_eq!(format!("{text}/").parse::<Invitation>(), Err(InvitationError::Incomplete));
        assert_eq!("https://db1".parse::<Invitation>(), Err(InvitationError::Scheme));
    }

    #[test]
    fn a_hash_matches_its_token_alone() {
        let token = Token::generate().unwrap();
        let kept: TokenHash = token.hash().to_string().parse().unwrap();
        assert!(kept.matches(&token));
        assert!(!kept.matches(&Token::from_bytes([0; 32])));
        assert_eq!(Token::from_bytes(token.to_bytes()), token);
        assert!(!format!("{token:?}").contains(&URL_SAFE_NO_PAD.encode(token.secret)));
    }
}
