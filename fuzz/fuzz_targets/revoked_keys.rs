//! Any bytes as a file of revoked keys. A key that is appended is revoked, as a key and as a fingerprint, or the file
//! is refused as before.

#![no_main]

use common::keys::PublicKey;
use common::keys::revoked_keys::{LINES, RevokedKeys};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let before = RevokedKeys::parse(bytes);
    let key = PublicKey::from_bytes([1; 32]);
    for line in [key.to_string(), key.fingerprint().to_string()] {
        match RevokedKeys::parse(&[bytes, b"\n", line.as_bytes()].concat()) {
            Ok(revoked) => assert!(revoked.contains(&key) && before.is_ok()),
            // A file of as many lines as there may be has no room for another.
            Err(problem) => assert!(before.is_err() || problem.line > LINES),
        }
    }
});
