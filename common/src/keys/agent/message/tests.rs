//! Tests of the two messages, byte for byte.

use super::*;

/// The Ed25519 key `[7; 32]` in SSH's binary form, in two parts.
const KEY_HEAD: &[u8] = b"\0\0\0\x0bssh-ed25519\0\0\0\x20";
const KEY: [u8; 32] = [7; 32];

fn key() -> PublicKey {
    PublicKey::from_bytes(KEY)
}

fn string(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u32).to_be_bytes(), bytes].concat()
}

fn identities(count: u32, identities: &[(&[u8], &[u8])]) -> Vec<u8> {
    let mut answer = [&[12][..], &count.to_be_bytes()].concat();
    for (blob, comment) in identities {
        answer.extend([string(blob), string(comment)].concat());
    }
    answer
}

fn signature(algorithm: &[u8], bytes: &[u8]) -> Vec<u8> {
    [&[14][..], &string(&[string(algorithm), string(bytes)].concat())].concat()
}

#[test]
fn requests_byte_for_byte() {
    assert_eq!(request_identities(), *b"\0\0\0\x01\x0b");
    let expected = [b"\0\0\0\x47\x0d\0\0\0\x33", KEY_HEAD, &KEY, b"\0\0\0\x07message", b"\0\0\0\0"].concat();
    assert_eq!(sign_request(&key(), b"message"), Ok(expected));
}

#[test]
fn a_request_is_no_longer_than_an_answer_may_be() {
    let most = LARGEST - sign_request(&key(), b"").unwrap().len() + 4;
    assert!(sign_request(&key(), &vec![0; most]).is_ok());
    assert_eq!(sign_request(&key(), &vec![0; most + 1]), Err(MessageError::TooLarge { length: LARGEST + 1 }));
}

#[test]
fn a_length_is_checked() {
    assert_eq!(length([0, 0, 0, 0]), Ok(0));
    assert_eq!(length([0, 4, 0, 0]), Ok(LARGEST));
    assert_eq!(length([0, 4, 0, 1]), Err(MessageError::TooLarge { length: LARGEST + 1 }));
    assert_eq!(length([255; 4]), Err(MessageError::TooLarge { length: u32::MAX as usize }));
}

#[test]
fn every_key_is_kept_and_only_ed25519_is_usable() {
    let ed25519 = [KEY_HEAD, &KEY].concat();
    let security_key = string(b"sk-ssh-ed25519@openssh.com");
    let answer =
        identities(3, &[(&ed25519, b"me@here"), (&security_key, b""), (&ed25519, b"\xffm\xc3\xa4\xc3")]);
    let decoded = decode_identities(&answer).unwrap();
    let comments = decoded.iter().map(|identity| identity.comment.as_str());
    assert_eq!(comments.collect::<Vec<_>>(), ["me@here", "", "?mä?"]);
    assert_eq!(decoded[0].key, AgentKey::Ed25519(key()));
    let AgentKey::Other(other) = &decoded[1].key else { panic!("{decoded:?}") };
    assert_eq!(other.algorithm(), "sk-ssh-ed25519@openssh.com");
    assert_eq!(decode_identities(&identities(0, &[])), Ok(Vec::new()));
}

#[test]
fn identities_that_make_no_sense_are_refused() {
    let ed25519 = [KEY_HEAD, &KEY].concat();
    let one = identities(1, &[(&ed25519, b"me")]);
    let many = vec![(&ed25519[..], &b""[..]); MOST_IDENTITIES];
    assert_eq!(decode_identities(&identities(2048, &many)).map(|identities| identities.len()), Ok(2048));
    for (answer, error) in [
        (vec![], MessageError::Truncated),
        (vec![5], MessageError::Refused),
        (vec![6], MessageError::Type { number: 6 }),
        (signature(b"ssh-ed25519", &[0; 64]), MessageError::Type { number: 14 }),
        ([&one[..], &[0]].concat(), MessageError::Trailing),
        (identities(2, &[(&ed25519, b"me")]), MessageError::Truncated),
        (identities(0, &[(&ed25519, b"me")]), MessageError::Trailing),
        (identities(2049, &[]), MessageError::TooMany { count: 2049 }),
        (identities(u32::MAX, &many), MessageError::TooMany { count: u32::MAX }),
        (identities(1, &[(&ed25519[..50], b"")]), MessageError::Key),
        (identities(1, &[(&[&ed25519[..], &[0]].concat(), b"")]), MessageError::Key),
        (identities(1, &[(b"", b"")]), MessageError::Truncated),
        (identities(1, &[(&string(b""), b"")]), MessageError::AlgorithmName),
        (identities(1, &[(&string(&[b'a'; 65]), b"")]), MessageError::AlgorithmName),
        (identities(1, &[(&string(b"ssh\x1b[2J"), b"")]), MessageError::AlgorithmName),
    ] {
        assert_eq!(decode_identities(&answer), Err(error), "{answer:?}");
    }
}

#[test]
fn a_signature_is_64_bytes_of_the_one_algorithm() {
    assert_eq!(decode_signature(&signature(b"ssh-ed25519", &[9; 64])), Ok([9; 64]));
    let good = signature(b"ssh-ed25519", &[9; 64]);
    let longer_inside = [&[14][..], &string(&[&good[5..], &[0]].concat())].concat();
    for (answer, error) in [
        (vec![5], MessageError::Refused),
        (identities(0, &[]), MessageError::Type { number: 12 }),
        (signature(b"ssh-rsa", &[9; 64]), MessageError::Algorithm("ssh-rsa".to_owned())),
        (signature(b"", &[9; 64]), MessageError::AlgorithmName),
        (signature(b"ssh-ed25519", &[9; 63]), MessageError::SignatureLength(63)),
        (signature(b"ssh-ed25519", &[9; 65]), MessageError::SignatureLength(65)),
        ([&good[..], &[0]].concat(), MessageError::Trailing),
        (longer_inside, MessageError::Trailing),
    ] {
        assert_eq!(decode_signature(&answer), Err(error), "{answer:?}");
    }
}

#[test]
fn an_answer_cut_anywhere_is_truncated() {
    let listed = identities(2, &[(&[KEY_HEAD, &KEY].concat(), b"me"), (&string(b"ssh-rsa"), b"other")]);
    for cut in 0..listed.len() {
        assert_eq!(decode_identities(&listed[..cut]), Err(MessageError::Truncated), "{cut}");
    }
    let signed = signature(b"ssh-ed25519", &[9; 64]);
    for cut in 0..signed.len() {
        assert_eq!(decode_signature(&signed[..cut]), Err(MessageError::Truncated), "{cut}");
    }
}
