//! Any bytes as an agent's answer to either request: what was read is what was there, and takes no more memory than a
//! small multiple of it.

#![no_main]

#[path = "../../common/tests/support/recording_allocator.rs"]
mod recording_allocator;

use common::keys::agent::message::{MOST_IDENTITIES, decode_identities, decode_signature};
use common::keys::agent::{AgentKey, Identity};
use libfuzzer_sys::fuzz_target;
use recording_allocator::memory_of;

fuzz_target!(|answer: &[u8]| {
    let ((identities, signature), memory) =
        memory_of(|| (decode_identities(answer), decode_signature(answer)));
    // An identity is 13 bytes at least, and its place in a list that doubles is twice its size at most.
    let most = 10 * answer.len() + 4 * size_of::<Identity>();
    let kept = 4 * most.cast_signed();
    assert!(memory.largest <= most && memory.held <= kept, "{} bytes for {}", memory.largest, answer.len());
    if let Ok(identities) = identities {
        read_back(answer, &identities);
    }
    if let Ok(signature) = signature {
        assert!(answer.ends_with(&signature));
    }
});

fn read_back(answer: &[u8], identities: &[Identity]) {
    assert!(identities.len() <= MOST_IDENTITIES);
    let mut written = [&[12][..], &(identities.len() as u32).to_be_bytes()].concat();
    for identity in identities {
        let AgentKey::Ed25519(key) = &identity.key else { return };
        // Stands for bytes that are no text.
        if identity.comment.contains('?') {
            return;
        }
        for field in [&key.to_blob(), identity.comment.as_bytes()] {
            written.extend((field.len() as u32).to_be_bytes());
            written.extend(field);
        }
    }
    assert_eq!(written, answer);
}
