//! Any bytes as a private key file: as its text, as what is in the armour, and as what a passphrase opens. What was
//! read is written so that it is read again.

#![no_main]

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use common::keys::{PrivateKey, PrivateKeyError};
use libfuzzer_sys::fuzz_target;

const TEXT: &[u8] = b"-----BEGIN";
const MAGIC: &[u8] = b"openssh-key-v1\0";
const CIPHERS: [&str; 8] = [
    "aes128-cbc",
    "aes256-cbc",
    "aes192-ctr",
    "aes256-ctr",
    "aes128-gcm@openssh.com",
    "aes256-gcm@openssh.com",
    "chacha20-poly1305@openssh.com",
    "3des-cbc",
];

fuzz_target!(|bytes: &[u8]| {
    if bytes.starts_with(TEXT) {
        read_back(bytes);
    } else if bytes.starts_with(MAGIC) {
        read_back(&armour(bytes));
    } else if let Some((cipher, rest)) = bytes.split_first() {
        unlock(CIPHERS[*cipher as usize % CIPHERS.len()], rest);
    }
});

/// Without a passphrase: with one, an input would take as long as it asks for.
fn read_back(text: &[u8]) {
    let Ok(key) = PrivateKey::from_openssh(text, None) else { return };
    let again =
        PrivateKey::from_openssh(key.to_openssh(key.comment()).as_bytes(), None).expect("it was written");
    assert_eq!(again.to_pkcs8(), key.to_pkcs8());
    assert!(key.comment().starts_with(again.comment()));
}

/// `rest` where the public key ends and the private part begins, behind one round of bcrypt.
fn unlock(cipher: &str, rest: &[u8]) {
    let kdf_options = [&string(b"sixteen  of salt")[..], &1_u32.to_be_bytes()].concat();
    let public = [string(b"ssh-ed25519"), string(&[1; 32])].concat();
    let fields = [&string(cipher.as_bytes()), &string(b"bcrypt"), &string(&kdf_options), &vec![0, 0, 0, 1]];
    let header = fields.map(Vec::as_slice).concat();
    let file = armour(&[MAGIC, &header, &string(&public), rest].concat());
    let read = PrivateKey::from_openssh(&file, Some(b"open sesame"));
    assert_ne!(read.err(), Some(PrivateKeyError::Encrypted));
}

fn string(field: &[u8]) -> Vec<u8> {
    [&(field.len() as u32).to_be_bytes(), field].concat()
}

fn armour(bytes: &[u8]) -> Vec<u8> {
    let base64 = STANDARD.encode(bytes);
    format!("-----BEGIN OPENSSH PRIVATE KEY-----\n{base64}\n-----END OPENSSH PRIVATE KEY-----\n").into_bytes()
}
