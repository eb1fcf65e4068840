//! The format of OpenSSH's private keys (PROTOCOL.key): its armour, the part that is open to everyone, and how a key
//! without a passphrase is written. Secrets are read by `ssh_key`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::PrivateKeyError;
use crate::keys::PublicKey;
use crate::keys::public_key::take_string;

const BEGIN: &str = "-----BEGIN OPENSSH PRIVATE KEY-----";
const END: &str = "-----END OPENSSH PRIVATE KEY-----";

/// How a file begins in the formats that OpenSSH wrote before its own, and what is in it.
const OLDER: [(&str, &str); 3] = [
    ("-----BEGIN RSA PRIVATE KEY-----", "ssh-rsa"),
    ("-----BEGIN DSA PRIVATE KEY-----", "ssh-dss"),
    ("-----BEGIN EC PRIVATE KEY-----", "ecdsa"),
];

/// What the armour holds begins so.
const MAGIC: &[u8] = b"openssh-key-v1\0";

/// Columns of the armour.
const WIDTH: usize = 70;

/// Bytes of a comment that are written.
const COMMENT_BYTES: usize = 1024;

/// Without a cipher, the private part is padded to this (`none` in OpenSSH's table of ciphers).
const BLOCK: usize = 8;

/// What is in the armour. Lines may be of any length: not every program breaks them where OpenSSH does.
pub(super) fn from_armour(text: &[u8]) -> Result<Zeroizing<Vec<u8>>, PrivateKeyError> {
    if let Some((_, algorithm)) = OLDER.iter().find(|(begin, _)| text.starts_with(begin.as_bytes())) {
        return Err(PrivateKeyError::Algorithm { algorithm: (*algorithm).to_owned() });
    }
    let body = text.strip_prefix(BEGIN.as_bytes()).ok_or(PrivateKeyError::Malformed)?;
    let end = body.windows(END.len()).position(|window| window == END.as_bytes());
    let mut base64 = Zeroizing::new(Vec::with_capacity(body.len()));
    let body = end.and_then(|end| body.get(..end)).ok_or(PrivateKeyError::Malformed)?;
    base64.extend(body.iter().filter(|byte| !byte.is_ascii_whitespace()));
    STANDARD.decode(base64.as_slice()).map(Zeroizing::new).map_err(|_| PrivateKeyError::Malformed)
}

/// `bytes` in the armour.
pub(super) fn to_armour(bytes: &[u8]) -> Zeroizing<String> {
    let base64 = Zeroizing::new(STANDARD.encode(bytes));
    // Room for everything at once: what a string leaves behind as it grows is not wiped.
    let length = base64.len() + base64.len() / WIDTH + BEGIN.len() + END.len() + 3;
    let mut text = Zeroizing::new(String::with_capacity(length));
    text.push_str(BEGIN);
    let mut rest = base64.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at_checked(WIDTH).unwrap_or((rest, ""));
        text.push('\n');
        text.push_str(line);
        rest = after;
    }
    text.push('\n');
    text.push_str(END);
    text.push('\n');
    text
}

/// The public key, which stands before everything secret, whatever protects that.
pub(super) fn public_key(bytes: &[u8]) -> Result<PublicKey, PrivateKeyError> {
    let blob = public_blob(bytes).ok_or(PrivateKeyError::Malformed)?;
    Ok(PublicKey::from_blob(blob)?)
}

fn public_blob(bytes: &[u8]) -> Option<&[u8]> {
    let (_cipher, rest) = take_string(bytes.strip_prefix(MAGIC)?)?;
    let (_kdf, rest) = take_string(rest)?;
    let (_kdf_options, rest) = take_string(rest)?;
    let (_number_of_keys, rest) = rest.split_at_checked(4)?;
    Some(take_string(rest)?.0)
}

/// A key without a passphrase.
pub(super) fn encode(seed: &[u8; 32], public: &PublicKey, comment: &str) -> Zeroizing<Vec<u8>> {
    let blob = public.to_blob();
    let secret = secret(seed, public, &blob, comment);
    let mut bytes = Zeroizing::new(Vec::with_capacity(64 + blob.len() + secret.len()));
    bytes.extend_from_slice(MAGIC);
    for field in ["none", "none", ""] {
        put_string(&mut bytes, field.as_bytes());
    }
    bytes.extend_from_slice(&1_u32.to_be_bytes());
    put_string(&mut bytes, &blob);
    put_string(&mut bytes, &secret);
    bytes
}

fn secret(seed: &[u8; 32], public: &PublicKey, blob: &[u8], comment: &str) -> Zeroizing<Vec<u8>> {
    let comment = comment.get(..comment.floor_char_boundary(COMMENT_BYTES)).unwrap_or_default();
    let mut bytes = Zeroizing::new(Vec::with_capacity(128 + blob.len() + comment.len()));
    // Twice the same number shows that a decryption worked; here there is none.
    bytes.extend_from_slice(&[0; 8]);
    bytes.extend_from_slice(blob);
    put_string(&mut bytes, Zeroizing::new([*seed, *public.as_bytes()]).as_flattened());
    put_string(&mut bytes, comment.as_bytes());
    let padding = bytes.len().next_multiple_of(BLOCK) - bytes.len();
    bytes.extend((1_u8..).take(padding));
    bytes
}

/// A string of SSH's binary form (RFC 4251, section 5).
fn put_string(bytes: &mut Vec<u8>, field: &[u8]) {
    bytes.extend_from_slice(&(field.len() as u32).to_be_bytes());
    bytes.extend_from_slice(field);
}
