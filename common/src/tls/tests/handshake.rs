//! Handshakes that are well encrypted and not as they should be: too long, in too many pieces, with too much between.

use super::peer::{Ours, Peer, Stop, converse};
use super::records::{ALERT, APPLICATION_DATA, CHANGE_CIPHER_SPEC, HANDSHAKE, Side};
use crate::tls::TlsError;
use crate::tls::session::{LARGEST_RECORD, Step};

/// A record in plaintext.
fn plain(content_type: u8, content: &[u8]) -> Vec<u8> {
    let length = (content.len() as u16).to_be_bytes();
    [&[content_type, 3, 3], &length[..], content].concat()
}

fn end(side: Side) -> Ours {
    match side {
        Side::Client => Ours::client(),
        Side::Server => Ours::server(),
    }
}

/// What `ours` says to the records that `next` makes, one after the other; and how many it took.
fn feed_until_refused(ours: &mut Ours, mut next: impl FnMut(usize) -> Vec<u8>) -> (TlsError, usize) {
    for count in 0..100_000 {
        if let Err(error) = ours.feed(&next(count)) {
            return (error, count);
        }
        assert!(ours.waiting() <= LARGEST_RECORD);
    }
    panic!("never refused");
}

#[test]
fn a_message_longer_than_a_record_is_not_waited_for() {
    for side in Side::BOTH {
        let greeting: u32 = if side == Side::Client { 2 } else { 1 };
        for claimed in [0x00_4100_u32, 0x00_ffff, 0xff_ffff] {
            for piece in [1, 100, 16_384] {
                let mut ours = end(side);
                let claim = (greeting << 24 | claimed).to_be_bytes();
                let first = [&claim[..], &[0; 100]].concat();
                let (error, count) = feed_until_refused(&mut ours, |count| match count {
                    0 => plain(HANDSHAKE, &first),
                    _ => plain(HANDSHAKE, &vec![0; piece]),
                });
                let taken = count * (5 + piece);
                assert!(taken <= 2 * LARGEST_RECORD, "{taken} bytes taken of a message of {claimed}");
                assert!(matches!(error, TlsError::TooLong | TlsError::Protocol(_)), "{error}");
            }
        }
    }
}

#[test]
fn records_that_say_nothing_end_a_handshake() {
    for side in Side::BOTH {
        for (content_type, content) in [
            (CHANGE_CIPHER_SPEC, &[1][..]),
            (CHANGE_CIPHER_SPEC, &[0]),
            (CHANGE_CIPHER_SPEC, &[1, 1]),
            (ALERT, &[1, 90]),
            (ALERT, &[1, 0]),
            (ALERT, &[2, 0]),
            (ALERT, &[1]),
            (HANDSHAKE, &[]),
            (HANDSHAKE, &[0, 0, 0, 0]),
            (HANDSHAKE, &[1, 0, 0, 0]),
            (HANDSHAKE, &[24, 0, 0, 1, 0]),
            (HANDSHAKE, &[20, 0, 0, 0]),
            (APPLICATION_DATA, &[]),
            (APPLICATION_DATA, b"hello"),
            (24, &[1]),
            (0, &[]),
        ] {
            let mut ours = end(side);
            let (error, count) = feed_until_refused(&mut ours, |_| plain(content_type, content));
            assert!(count < 40, "{side:?} took {count} records of type {content_type}: {error}");
            assert!(ours.session.is_handshaking() && ours.plaintext.is_empty());
        }
    }
}

#[test]
fn records_larger_than_any_are_refused_by_their_header() {
    for side in Side::BOTH {
        for content_type in 20..=23 {
            let mut ours = end(side);
            assert!(ours.feed(&[content_type, 3, 3, 0xff, 0xff]).is_err(), "{side:?} {content_type}");
        }
    }
}

#[test]
fn a_flight_in_records_of_one_byte_is_taken() {
    for side in Side::BOTH {
        let (mut ours, mut peer) = match side {
            Side::Client => (Ours::client(), Peer::honest_server()),
            Side::Server => (Ours::server(), Peer::honest_client()),
        };
        peer.0.set_buffer_limit(None);
        let hello = if side == Side::Server { peer.take_outgoing() } else { ours.take_outgoing() };
        // Only the hellos are in plaintext, and so ours to cut.
        let pieces: Vec<u8> = hello[5..].iter().flat_map(|byte| plain(HANDSHAKE, &[*byte])).collect();
        match side {
            Side::Server => assert_eq!(ours.feed(&pieces).unwrap(), Step::Hungry),
            Side::Client => peer.feed(&pieces).unwrap(),
        }
        assert!(matches!(converse(&mut ours, &mut peer), Stop::Quiet));
        assert!(ours.proven().is_some());
    }
}

#[test]
fn bytes_that_are_no_records_are_refused() {
    for text in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"\x16\x02\x00\x00\x01\x00",
        b"TELEX\0\r\n",
    ] {
        for side in Side::BOTH {
            assert!(end(side).feed(text).is_err());
        }
    }
}
