//! The two requests to an agent and their answers, as bytes (RFC 9987). Knows no socket, and believes no length.
//!
//! A message is its length in 4 bytes, its type in one, and its fields, in the binary form of SSH (RFC 4251, section 5).

use thiserror::Error;

use super::identity::{AgentKey, Identity, OtherKey};
use crate::keys::PublicKey;

/// Bytes of a message behind its length, as OpenSSH limits answers (authfd.c).
pub const LARGEST: usize = 256 * 1024;

/// Identities in an answer; OpenSSH's limit, too.
pub const MOST_IDENTITIES: usize = 2048;

/// The algorithm of keys and signatures that are used here.
const ALGORITHM: &str = "ssh-ed25519";

/// Message types (RFC 9987, "Message Numbers").
const FAILURE: u8 = 5;
const REQUEST_IDENTITIES: u8 = 11;
const IDENTITIES_ANSWER: u8 = 12;
const SIGN_REQUEST: u8 = 13;
const SIGN_RESPONSE: u8 = 14;

/// Asks for the keys that the agent holds; with its length in front.
pub fn request_identities() -> [u8; 5] {
    [0, 0, 0, 1, REQUEST_IDENTITIES]
}

/// Asks for a signature of `message` by `key`; with its length in front.
///
/// # Errors
/// [`MessageError::TooLarge`]: the caller's fault.
pub fn sign_request(key: &PublicKey, message: &[u8]) -> Result<Vec<u8>, MessageError> {
    let blob = key.to_blob();
    let length = 1 + 4 + blob.len() + 4 + message.len() + 4;
    let mut request = check(length)?.to_be_bytes().to_vec();
    request.reserve_exact(length);
    request.push(SIGN_REQUEST);
    for field in [&blob, message] {
        request.extend_from_slice(&(field.len() as u32).to_be_bytes());
        request.extend_from_slice(field);
    }
    // Flags are for RSA alone.
    request.extend_from_slice(&[0; 4]);
    Ok(request)
}

/// How many bytes follow the length at the front of an answer.
///
/// # Errors
/// [`MessageError::TooLarge`].
pub fn length(prefix: [u8; 4]) -> Result<usize, MessageError> {
    check(u32::from_be_bytes(prefix) as usize).map(|length| length as usize)
}

fn check(length: usize) -> Result<u32, MessageError> {
    match u32::try_from(length) {
        Ok(checked) if length <= LARGEST => Ok(checked),
        _ => Err(MessageError::TooLarge { length }),
    }
}

/// The keys in the answer to [`request_identities`], without its length.
///
/// # Errors
/// [`MessageError`]; always the agent's fault.
pub fn decode_identities(answer: &[u8]) -> Result<Vec<Identity>, MessageError> {
    let mut fields = Fields::of(answer, IDENTITIES_ANSWER)?;
    let count = fields.number()?;
    if count as usize > MOST_IDENTITIES {
        return Err(MessageError::TooMany { count });
    }
    let mut identities = Vec::new();
    for _ in 0..count {
        let key = decode_key(fields.string()?)?;
        identities.push(Identity { key, comment: text(fields.string()?) });
    }
    fields.end()?;
    Ok(identities)
}

/// The signature in the answer to [`sign_request`], without its length. Not verified: whose it is, it cannot say.
///
/// # Errors
/// [`MessageError`]; always the agent's fault, or its owner's will.
pub fn decode_signature(answer: &[u8]) -> Result<[u8; 64], MessageError> {
    let mut fields = Fields::of(answer, SIGN_RESPONSE)?;
    let mut signature = Fields(fields.string()?);
    fields.end()?;
    let algorithm = signature.algorithm()?;
    if algorithm != ALGORITHM {
        return Err(MessageError::Algorithm(algorithm.to_owned()));
    }
    let bytes = signature.string()?;
    signature.end()?;
    bytes.try_into().map_err(|_| MessageError::SignatureLength(bytes.len()))
}

fn decode_key(blob: &[u8]) -> Result<AgentKey, MessageError> {
    let algorithm = Fields(blob).algorithm()?;
    if algorithm != ALGORITHM {
        return Ok(AgentKey::Other(OtherKey::new(algorithm)));
    }
    PublicKey::from_blob(blob).map(AgentKey::Ed25519).map_err(|_| MessageError::Key)
}

/// Never longer than `bytes`, which the usual replacement character would be.
fn text(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        if !chunk.invalid().is_empty() {
            text.push('?');
        }
    }
    text
}

/// What is left of the fields of a message, a key or a signature.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    /// The fields of a message that has to be of type `wanted`.
    fn of(message: &'a [u8], wanted: u8) -> Result<Self, MessageError> {
        match message {
            [FAILURE, ..] => Err(MessageError::Refused),
            [number, fields @ ..] if *number == wanted => Ok(Self(fields)),
            [number, ..] => Err(MessageError::Type { number: *number }),
            [] => Err(MessageError::Truncated),
        }
    }

    fn number(&mut self) -> Result<u32, MessageError> {
        let (number, rest) = self.0.split_first_chunk().ok_or(MessageError::Truncated)?;
        self.0 = rest;
        Ok(u32::from_be_bytes(*number))
    }

    fn string(&mut self) -> Result<&'a [u8], MessageError> {
        let length = self.number()? as usize;
        let (string, rest) = self.0.split_at_checked(length).ok_or(MessageError::Truncated)?;
        self.0 = rest;
        Ok(string)
    }

    /// The name of an algorithm, in the form that RFC 4251, section 6 demands.
    fn algorithm(&mut self) -> Result<&'a str, MessageError> {
        let name = self.string()?;
        let is_name = (1..=64).contains(&name.len()) && name.iter().all(u8::is_ascii_graphic);
        str::from_utf8(name).ok().filter(|_| is_name).ok_or(MessageError::AlgorithmName)
    }

    fn end(&self) -> Result<(), MessageError> {
        if self.0.is_empty() { Ok(()) } else { Err(MessageError::Trailing) }
    }
}

/// What is wrong with a message.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum MessageError {
    /// The agent has understood, and will not (SSH_AGENT_FAILURE).
    #[error("the agent refuses")]
    Refused,
    /// An answer to another question.
    #[error("an answer of the wrong type, {number}")]
    Type {
        /// Its type.
        number: u8,
    },
    /// Over [`LARGEST`].
    #[error("a message of {length} bytes; at most {LARGEST} are allowed")]
    TooLarge {
        /// Its length.
        length: usize,
    },
    /// Over [`MOST_IDENTITIES`].
    #[error("{count} keys in one answer; at most {MOST_IDENTITIES} are allowed")]
    TooMany {
        /// How many are claimed.
        count: u32,
    },
    /// A field runs past the end.
    #[error("an answer that ends inside a field")]
    Truncated,
    /// Something comes after the last field.
    #[error("an answer that goes on after its last field")]
    Trailing,
    /// No name of an algorithm where one has to be.
    #[error("a key or signature without the name of its algorithm")]
    AlgorithmName,
    /// Said to be an Ed25519 key, and is none.
    #[error("a malformed ssh-ed25519 key")]
    Key,
    /// A signature of another kind.
    #[error("a signature of type {0} instead of {ALGORITHM}")]
    Algorithm(String),
    /// Said to be an Ed25519 signature, and is none.
    #[error("a signature of {0} bytes instead of 64")]
    SignatureLength(usize),
}

#[cfg(test)]
mod tests;
