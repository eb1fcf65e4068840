//! The bytes of a handshake, cut and flipped on the way: either end may refuse, nobody panics, and no handshake ends well
//! unless it was the one that both have seen.

use super::keys::TestKey;
use super::peer::{Ours, Peer, Stop, converse, shake_hands};
use super::random::{Random, SeedOnPanic};
use super::records::{APPLICATION_DATA, Side};
use crate::keys::PublicKey;
use crate::tls::identity::Identity;
use crate::tls::session::Step;

/// What the other end says, in one breath after the other; the first as a client, or in answer to ours.
fn flights(side: Side) -> Vec<Vec<u8>> {
    let (mut ours, mut peer) = ends(side);
    let mut flights = Vec::new();
    loop {
        peer.feed(&ours.take_outgoing()).unwrap();
        let flight = peer.take_outgoing();
        if flight.is_empty() {
            return flights;
        }
        ours.feed(&flight).unwrap();
        flights.push(flight);
    }
}

fn ends(side: Side) -> (Ours, Peer) {
    match side {
        Side::Client => (Ours::client(), Peer::honest_server()),
        Side::Server => (Ours::server(), Peer::honest_client()),
    }
}

fn other_key(side: Side) -> PublicKey {
    match side {
        Side::Client => TestKey::server().public_key(),
        Side::Server => TestKey::client().public_key(),
    }
}

/// The places of bytes that nothing depends on: the second of each record's version, and the type in front of an encrypted
/// record, which the type inside overrides (RFC 8446, sections 5.1 and 5.2).
fn free_bytes(flight: &[u8]) -> Vec<usize> {
    let (mut places, mut at) = (Vec::new(), 0);
    while let Some([content_type, _, _, high, low]) = flight.get(at..at + 5) {
        places.push(at + 2);
        if *content_type == APPLICATION_DATA {
            places.push(at);
        }
        at += 5 + usize::from(u16::from_be_bytes([*high, *low]));
    }
    places
}

#[test]
fn a_flight_cut_anywhere_leaves_us_waiting() {
    for side in Side::BOTH {
        let (mut ours, mut peer) = ends(side);
        let mut told = 0;
        loop {
            peer.feed(&ours.take_outgoing()).unwrap();
            let flight = peer.take_outgoing();
            let Some((last, rest)) = flight.split_last() else { break };
            for byte in rest {
                assert_eq!(ours.feed(&[*byte]).unwrap(), Step::Hungry);
                assert!(ours.session.is_handshaking() || told > 0, "{side:?} is content with a part");
                assert_eq!(ours.proven().is_some(), !ours.session.is_handshaking());
            }
            ours.feed(&[*last]).unwrap();
            told += 1;
        }
        shake_hands(&mut ours, &mut peer);
    }
}

/// Shakes hands, with one bit of one flight of the other end's changed. Whether anybody noticed.
fn is_noticed(side: Side, number: usize, at: usize, bit: u32, random: &mut Random) -> bool {
    let (mut ours, mut peer) = ends(side);
    for count in 0.. {
        if peer.feed(&ours.take_outgoing()).is_err() {
            return true;
        }
        let mut flight = peer.take_outgoing();
        if count == number {
            let Some(byte) = flight.get_mut(at) else { return true };
            *byte ^= 1 << bit;
        }
        if flight.is_empty() {
            break;
        }
        if ours.feed_in_pieces(&flight, random).is_err() {
            return true;
        }
    }
    // Waiting for more is noticing, too: a deadline ends it.
    let done = matches!(converse(&mut ours, &mut peer), Stop::Quiet);
    let Some(proven) = ours.proven().filter(|_| done) else { return true };
    assert_eq!(proven, other_key(side));
    peer.0.is_handshaking() || {
        let sent = peer.send(b"hello");
        ours.feed(&sent).is_err() || ours.plaintext != b"hello"
    }
}

#[test]
fn every_flipped_bit_is_noticed() {
    for side in Side::BOTH {
        // The last flight of a server is its tickets, which mean nothing to us.
        let whole = flights(side);
        let handshake = if side == Side::Client { 1 } else { whole.len() };
        for (number, flight) in whole.iter().enumerate().take(handshake) {
            let free = free_bytes(flight);
            for at in (0..flight.len()).filter(|at| !free.contains(at)) {
                for bit in 0..8 {
                    let seed = (at * 8 + bit as usize) as u64;
                    let _seed = SeedOnPanic(seed);
                    let noticed = is_noticed(side, number, at, bit, &mut Random::new(seed));
                    assert!(noticed, "{side:?}: bit {bit} of byte {at} of flight {number}");
                }
            }
        }
    }
}

/// Without this, [`every_flipped_bit_is_noticed`] could leave out bytes that matter.
#[test]
fn bytes_that_nothing_depends_on_change_nothing() {
    for side in Side::BOTH {
        let flight = flights(side).remove(0);
        for at in free_bytes(&flight) {
            // Of the types, one that does not exist may be refused.
            let is_type = flight[at] == APPLICATION_DATA;
            for bit in 0..8 {
                let noticed = is_noticed(side, 0, at, bit, &mut Random::new(0));
                assert!(!noticed || is_type, "{side:?}: bit {bit} of byte {at}");
            }
        }
    }
}
