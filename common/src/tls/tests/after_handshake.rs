//! A peer that has proven its key, and is hostile all the same: what it may do with records after the handshake.

use rustls::{Error, PeerMisbehaved};

use super::random::{Random, SeedOnPanic};
use super::records::{
    ALERT, APPLICATION_DATA, CHANGE_CIPHER_SPEC, Forger, HANDSHAKE, KEY_UPDATE, KEY_UPDATE_REQUESTED, Side,
    established,
};
use crate::tls::TlsError;
use crate::tls::session::{LARGEST_RECORD, Step};

/// More than what a key update in return takes.
const ANSWER: usize = 64;

fn is_misbehaviour(error: &TlsError, expected: &PeerMisbehaved) -> bool {
    matches!(error, TlsError::Protocol(Error::PeerMisbehaved(found)) if found == expected)
}

/// A key update and the keys that follow from it.
fn key_update(forger: &mut Forger, message: &[u8]) -> Vec<u8> {
    let record = forger.record(HANDSHAKE, message);
    forger.update_keys();
    record
}

#[test]
fn keys_are_updated_when_a_peer_asks() {
    for side in Side::BOTH {
        let (mut ours, mut peer, mut forger) = established(side);
        for round in 0..100 {
            ours.feed(&key_update(&mut forger, &KEY_UPDATE_REQUESTED)).unwrap();
            ours.feed(&forger.record(APPLICATION_DATA, b"under new keys")).unwrap();
            assert_eq!(std::mem::take(&mut ours.plaintext), b"under new keys", "{side:?} {round}");
            // The answer travels before what we send next, however large that is.
            let len = [0, 1, 100, 16_384, 50_000][round % 5];
            ours.send(&vec![7; len]).unwrap();
            peer.feed(&ours.take_outgoing()).unwrap();
            assert_eq!(peer.plaintext().len(), len);
        }
    }
}

#[test]
fn a_message_cut_into_records_is_refused_whatever_we_say_meanwhile() {
    for side in Side::BOTH {
        for cut in 1..KEY_UPDATE.len() {
            for alone in [true, false] {
                let (mut ours, _peer, mut forger) = established(side);
                let (first, second) = KEY_UPDATE_REQUESTED.split_at(cut);
                let records = if alone {
                    [forger.record(HANDSHAKE, first), forger.record(HANDSHAKE, second)]
                } else {
                    let before = forger.record(APPLICATION_DATA, b"before");
                    [[before, forger.record(HANDSHAKE, first)].concat(), Vec::new()]
                };
                let mut refused = None;
                for byte in records.concat() {
                    ours.send(b"meanwhile").unwrap();
                    if let Err(error) = ours.feed(&[byte]) {
                        refused = Some(error);
                        break;
                    }
                }
                let expected = PeerMisbehaved::MessageInterleavedWithHandshakeMessage;
                assert!(is_misbehaviour(&refused.unwrap(), &expected), "{side:?} {cut}");
            }
        }
    }
}

#[test]
fn a_record_that_the_library_passes_over_and_keeps_does_not_wait_for_our_next_word() {
    for side in Side::BOTH {
        for pieces in [1, 2, 44] {
            let (mut ours, _peer, mut forger) = established(side);
            let records = [forger.record(HANDSHAKE, b""), forger.record(APPLICATION_DATA, b"data")].concat();
            let refused = records.chunks(records.len().div_ceil(pieces)).any(|piece| {
                // The library would look for the first of them here.
                ours.send(b"meanwhile").unwrap();
                ours.feed(piece).is_err()
            });
            if !refused {
                ours.send(b"afterwards").unwrap();
            }
            assert!(refused && ours.plaintext.is_empty(), "{side:?} {pieces}");
        }
    }
}

#[test]
fn a_flood_of_key_updates_is_refused() {
    for side in Side::BOTH {
        for message in [KEY_UPDATE, KEY_UPDATE_REQUESTED] {
            let (mut ours, _peer, mut forger) = established(side);
            let refused = (0..1_000)
                .find_map(|count| Some((count, ours.feed(&key_update(&mut forger, &message)).err()?)));
            let (count, error) = refused.unwrap();
            assert!(count <= 32 && is_misbehaviour(&error, &PeerMisbehaved::TooManyKeyUpdateRequests));
            assert!(ours.take_outgoing().len() <= ANSWER);
        }
    }
}

#[test]
fn key_updates_between_data_are_answered_once_however_many_there_are() {
    for side in Side::BOTH {
        for data in [&b"x"[..], b""] {
            let (mut ours, mut peer, mut forger) = established(side);
            for _ in 0..2_000 {
                ours.feed(&key_update(&mut forger, &KEY_UPDATE_REQUESTED)).unwrap();
                ours.feed(&forger.record(APPLICATION_DATA, data)).unwrap();
                assert_eq!(ours.waiting(), 0);
            }
            ours.send(b"hello").unwrap();
            let answer = ours.take_outgoing();
            assert!(
                answer.len() <= 5 + 5 + 17 + ANSWER,
                "{} bytes for a flood that asks for answers",
                answer.len()
            );
            peer.feed(&answer).unwrap();
            assert_eq!(peer.plaintext(), b"hello");
        }
    }
}

#[test]
fn a_flood_of_empty_records_is_refused() {
    for side in Side::BOTH {
        let (mut ours, _peer, mut forger) = established(side);
        for _ in 0..32 {
            ours.feed(&forger.record(APPLICATION_DATA, b"")).unwrap();
        }
        ours.feed(&forger.record(APPLICATION_DATA, b"x")).unwrap();
        assert_eq!(ours.plaintext, b"x");
        let refused =
            (0..100).find_map(|count| Some((count, ours.feed(&forger.record(APPLICATION_DATA, b"")).err()?)));
        let (count, error) = refused.unwrap();
        assert!(count == 32 && is_misbehaviour(&error, &PeerMisbehaved::TooManyEmptyFragments));
    }
}

#[test]
fn nothing_counts_behind_the_announced_end() {
    for side in Side::BOTH {
        let (mut ours, mut peer, mut forger) = established(side);
        let records = [
            forger.record(APPLICATION_DATA, b"first"),
            forger.record(APPLICATION_DATA, b", second"),
            forger.record(ALERT, &[1, 0]),
            forger.record(APPLICATION_DATA, b", third"),
        ];
        assert_eq!(ours.feed(&records.concat()).unwrap(), Step::Closed);
        assert_eq!(ours.plaintext, b"first, second");
        // The other direction goes on, and ends when we say so.
        ours.send(b"answer").unwrap();
        ours.close().unwrap();
        peer.feed(&ours.take_outgoing()).unwrap();
        assert_eq!(peer.plaintext(), b"answer");
    }
}

/// What no peer has a reason to say now, and each is the end.
fn out_of_place() -> Vec<(&'static str, u8, Vec<u8>)> {
    let message = |number: u8, body: &[u8]| {
        let length = (body.len() as u32).to_be_bytes();
        [&[number], &length[1..], body].concat()
    };
    let two = [KEY_UPDATE, KEY_UPDATE].concat();
    vec![
        ("another hello of a client", HANDSHAKE, message(1, &[3; 100])),
        ("another hello of a server", HANDSHAKE, message(2, &[3; 100])),
        ("end of early data", HANDSHAKE, message(5, &[])),
        ("encrypted extensions", HANDSHAKE, message(8, &[0, 0])),
        ("a certificate", HANDSHAKE, message(11, &[0, 0, 0, 0])),
        ("a request for a certificate", HANDSHAKE, message(13, &[0, 0, 8, 0, 13, 0, 4, 0, 2, 8, 7])),
        ("a proof", HANDSHAKE, message(15, &[8, 7, 0, 64])),
        ("another end of the handshake", HANDSHAKE, message(20, &[9; 32])),
        ("a message of no known type", HANDSHAKE, message(99, &[])),
        ("a message with a length of 16 MiB", HANDSHAKE, vec![4, 0xff, 0xff, 0xff]),
        ("an empty message record", HANDSHAKE, Vec::new()),
        ("two key updates in one record", HANDSHAKE, two),
        ("a key update with no such request", HANDSHAKE, vec![24, 0, 0, 1, 2]),
        ("a key update without a request", HANDSHAKE, vec![24, 0, 0, 0]),
        ("a key update with more behind it", HANDSHAKE, vec![24, 0, 0, 2, 0, 0]),
        ("a ticket cut short", HANDSHAKE, message(4, &[0; 8])),
        ("a change of cipher", CHANGE_CIPHER_SPEC, vec![1]),
        ("a fatal alert", ALERT, vec![2, 40]),
        ("a warning", ALERT, vec![1, 100]),
        ("an alert of no level", ALERT, vec![9, 40]),
        ("half an alert", ALERT, vec![1]),
        ("a type that does not exist", 99, b"x".to_vec()),
        ("more than a record holds", APPLICATION_DATA, vec![0; 16_385]),
    ]
}

#[test]
fn what_is_out_of_place_ends_the_connection() {
    for side in Side::BOTH {
        for (name, content_type, content) in out_of_place() {
            let (mut ours, mut peer, mut forger) = established(side);
            let mut records = forger.record(content_type, &content);
            records.extend(forger.record(APPLICATION_DATA, b"behind it"));
            assert!(ours.feed(&records).is_err(), "{side:?}: {name}");
            assert!(ours.plaintext.is_empty(), "{side:?}: {name}");
            // The last word, if there is one, is an alert that the other understands.
            let last_word = ours.take_outgoing();
            assert!(last_word.len() <= ANSWER, "{side:?}: {name}");
            assert!(last_word.is_empty() || peer.feed(&last_word).is_err(), "{side:?}: {name}");
        }
    }
}

#[test]
fn records_that_nobody_could_have_encrypted_end_the_connection() {
    for side in Side::BOTH {
        type Word = fn(&mut Forger) -> Vec<u8>;
        let cases: [(&str, Word); 5] = [
            ("zeros alone", |forger| forger.seal(vec![0; 40])),
            ("a record again", |forger| forger.record(APPLICATION_DATA, b"x").repeat(2)),
            ("a record left out", |forger| {
                forger.record(APPLICATION_DATA, b"x");
                forger.record(APPLICATION_DATA, b"x")
            }),
            ("a record of a tag", |_| [&[APPLICATION_DATA, 3, 3, 0, 16][..], &[0; 16]].concat()),
            ("an end that is not encrypted", |_| vec![ALERT, 3, 3, 0, 2, 1, 0]),
        ];
        for (name, make) in cases {
            let (mut ours, _peer, mut forger) = established(side);
            ours.feed(&forger.record(APPLICATION_DATA, b"before")).unwrap();
            assert!(ours.feed(&make(&mut forger)).is_err(), "{side:?}: {name}");
        }
    }
}

/// One record of a peer that does what it likes.
fn any_record(forger: &mut Forger, random: &mut Random) -> Vec<u8> {
    match random.below(20) {
        0..=9 => forger.record(APPLICATION_DATA, &vec![5; random.below(300) as usize]),
        10..=12 => key_update(forger, &KEY_UPDATE_REQUESTED),
        13 => key_update(forger, &KEY_UPDATE),
        14 => forger.record(HANDSHAKE, &KEY_UPDATE[..random.below(5) as usize]),
        15 => forger.record(ALERT, &[1, 90]),
        16 => forger.record(ALERT, &[1, random.below(2) as u8]),
        17 => forger.record(random.below(256) as u8, &[3; 9]),
        18 => forger.seal(vec![0; random.below(20) as usize]),
        _ => (0..random.below(40)).map(|_| random.next() as u8).collect(),
    }
}

#[test]
fn both_ends_may_speak_at_once_whatever_is_said() {
    for seed in 0..400 {
        let _seed = SeedOnPanic(seed);
        let mut random = Random::new(seed);
        let side = Side::BOTH[(seed % 2) as usize];
        let (mut ours, _peer, mut forger) = established(side);
        let mut arriving = Vec::new();
        for _ in 0..100 {
            if arriving.is_empty() {
                arriving = any_record(&mut forger, &mut random);
            }
            let len = random.below(1 + arriving.len() as u64) as usize;
            let rest = arriving.split_off(len);
            match ours.feed(&std::mem::replace(&mut arriving, rest)) {
                Ok(Step::Closed) | Err(_) => break,
                Ok(_) => {}
            }
            assert!(ours.waiting() <= LARGEST_RECORD);
            ours.send(&vec![1; random.below(50) as usize]).unwrap();
        }
        if random.below(2) == 0 {
            // An error leaves its alert; what ends in order can be closed.
            ours.take_outgoing();
        }
    }
}
