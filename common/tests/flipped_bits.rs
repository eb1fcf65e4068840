//! Fifty sessions, and one bit of each flipped in its turn: what comes before is read as it was, and whatever is read behind
//! is exactly what its bytes say. Nothing is ever made of a part of a frame.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test ends at the first thing that is not as it should be"
)]

#[path = "support/hex.rs"]
mod hex;
#[path = "support/random.rs"]
mod random;
#[path = "support/rows.rs"]
mod rows;

use std::fmt::Debug;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use common::connection::{ConnectionError, PacketReader, packet_bytes};
use common::message::{ClientMessage, Message, ServerMessage};
use common::packet::Packet;

use random::{Random, SeedOnPanic};
use rows::{Row, client_rows, server_rows};

/// Sessions of either side.
const SESSIONS: u64 = 25;

/// Bytes that a session has at least.
const LENGTH: usize = 450;

/// Some rows in some order, perhaps more than once.
fn session<M: Message + Clone>(rows: &[Row<M>], random: &mut Random) -> Vec<(Packet<M>, Vec<u8>)> {
    let mut session = Vec::new();
    let mut length = 0;
    while length < LENGTH {
        let Row { packet, bytes } = &rows[random.below(rows.len() as u64) as usize];
        length += bytes.len();
        session.push((packet.clone(), bytes.clone()));
    }
    session
}

/// The packets in `bytes`, and how reading them ended.
fn read<M: Message>(bytes: &[u8]) -> (Vec<Packet<M>>, Result<(), ConnectionError>) {
    let mut reader = PacketReader::new(bytes);
    let mut packets = Vec::new();
    loop {
        // Bytes in memory are always ready.
        match pin!(reader.next()).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Pending => panic!("waits for more than there is"),
            Poll::Ready(Ok(Some(packet))) => packets.push(packet),
            Poll::Ready(Ok(None)) => return (packets, Ok(())),
            Poll::Ready(Err(error)) => return (packets, Err(error)),
        }
    }
}

/// Whether a packet has but one encoding: greetings may carry what this version skips.
fn is_canonical<M>(packet: &Packet<M>) -> bool {
    !matches!(packet, Packet::Hello(_) | Packet::Welcome(_))
}

/// Requires that `packets` are what `bytes` say from their beginning, and the rest is nothing whole.
fn is_what_the_bytes_say<M: Message + Clone + Debug>(packets: &[Packet<M>], mut bytes: &[u8]) {
    for packet in packets {
        let length = 4 + u32::from_le_bytes(bytes[..4].try_into().unwrap()) as usize;
        let (frame, rest) = bytes.split_at(length);
        if is_canonical(packet) {
            assert_eq!(packet_bytes(packet.clone()).unwrap(), frame, "{packet:?}");
        }
        bytes = rest;
    }
}

/// Flips `bits` of every byte of a session; how many that were.
fn flip<M: Message + Clone + PartialEq + Debug>(rows: &[Row<M>], seed: u64, bits: usize) -> usize {
    let session = session(rows, &mut Random::new(seed));
    let mut bytes: Vec<u8> = session.iter().flat_map(|(_, bytes)| bytes.clone()).collect();
    let mut hit = session.iter().enumerate().flat_map(|(index, (_, bytes))| vec![index; bytes.len()]);
    for at in 0..bytes.len() {
        let hit = hit.next().unwrap();
        for bit in (0..bits).map(|bit| (bit * 8 / bits + at + seed as usize) % 8) {
            bytes[at] ^= 1 << bit;
            let (packets, end) = read::<M>(&bytes);
            let before = session[..hit].iter().map(|(packet, _)| packet);
            assert!(packets.iter().take(hit).eq(before), "bit {bit} of byte {at} reaches back");
            assert!(packets.len() >= hit, "bit {bit} of byte {at}: {end:?}");
            let is_typed =
                matches!(end, Ok(()) | Err(ConnectionError::Packet(_) | ConnectionError::Truncated));
            assert!(is_typed, "bit {bit} of byte {at}: {end:?}");
            is_what_the_bytes_say(&packets, &bytes);
            bytes[at] ^= 1 << bit;
        }
    }
    bytes.len() * bits
}

fn flip_all_sessions(bits: usize) {
    let (clients, servers) = (client_rows(), server_rows());
    let mut cases = 0;
    for seed in 0..SESSIONS {
        let _seed = SeedOnPanic(seed);
        cases += flip::<ClientMessage>(&clients, seed, bits);
        cases += flip::<ServerMessage>(&servers, seed, bits);
    }
    assert!(cases > 22_500 * bits, "{cases} cases");
}

#[test]
fn a_flipped_bit_is_an_error_or_another_whole_packet() {
    flip_all_sessions(2);
}

#[test]
#[ignore = "long; just abuse"]
fn every_flipped_bit_is_an_error_or_another_whole_packet() {
    flip_all_sessions(8);
}

fn is_start(message: &ClientMessage) -> bool {
    matches!(message, ClientMessage::Start(_) | ClientMessage::StartWith { .. })
}

#[test]
fn a_start_with_a_flipped_bit_is_refused_or_says_what_its_bytes_say() {
    let starts: Vec<_> = client_rows()
        .into_iter()
        .filter(|row| matches!(&row.packet, Packet::Message { message, .. } if is_start(message)))
        .collect();
    assert_eq!(starts.len(), 5);
    for Row { packet, bytes } in starts {
        // As the last thing that is ever heard: what its length claims beyond that never comes.
        for at in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[at / 8] ^= 1 << (at % 8);
            let (packets, _) = read::<ClientMessage>(&flipped);
            is_what_the_bytes_say(&packets, &flipped);
            assert_ne!(packets.first(), Some(&packet), "bit {at} changed nothing");
        }
    }
}
