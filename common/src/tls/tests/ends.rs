//! The end of a connection, from both sides at once.

use super::records::{ALERT, APPLICATION_DATA, HANDSHAKE, Side, established};
use crate::tls::session::Step;

#[test]
fn an_end_can_be_announced_from_both_sides() {
    for side in Side::BOTH {
        let (mut ours, mut peer, mut forger) = established(side);
        ours.close().unwrap();
        assert_eq!(ours.feed(&forger.record(ALERT, &[1, 0])).unwrap(), Step::Closed);
        ours.close().unwrap();
        peer.feed(&ours.take_outgoing()).unwrap();
        assert_eq!(peer.plaintext(), b"");
    }
}

#[test]
fn we_hear_what_is_said_after_our_own_end() {
    for side in Side::BOTH {
        let (mut ours, _peer, mut forger) = established(side);
        ours.close().unwrap();
        ours.feed(&forger.record(APPLICATION_DATA, b"one more thing")).unwrap();
        assert_eq!(ours.plaintext, b"one more thing");
    }
}

#[test]
fn rubbish_after_our_own_end_is_an_error_and_no_more() {
    for side in Side::BOTH {
        let (mut ours, _peer, mut forger) = established(side);
        ours.close().unwrap();
        let forged = [&forger.record(APPLICATION_DATA, b"x")[..20], &[0; 30]].concat();
        assert!(ours.feed(&forged).is_err());

        let (mut ours, _peer, mut forger) = established(side);
        ours.close().unwrap();
        assert!(ours.feed(&forger.record(HANDSHAKE, &[99, 0, 0, 0])).is_err());

        let (mut ours, _peer, _) = established(side);
        ours.close().unwrap();
        assert!(ours.feed(b"GET / HTTP/1.1\r\n\r\n").is_err());
    }
}
