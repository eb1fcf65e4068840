//! Bytes that nobody honest would send: random, flipped, cut, with lengths that lie. Decoding answers with packets, a
//! typed error or "need more"; it never panics and never allocates for a claim.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test ends at the first thing that is not as it should be"
)]

#[path = "support/hex.rs"]
mod hex;
#[path = "support/random.rs"]
mod random;
#[path = "support/recording_allocator.rs"]
mod recording_allocator;
#[path = "support/rows.rs"]
mod rows;

use std::fmt::Debug;

use bytes::BytesMut;
use common::connection::{ConnectionError, PacketReader};
use common::frame::{self, FrameError, HEADER_LEN, Kind};
use common::greeting::{Features, Hello, Welcome};
use common::limits;
use common::message::{self, ClientMessage, Message, MessageError, ServerMessage};
use common::packet::{Packet, PacketError};

use random::{Random, SeedOnPanic};
use recording_allocator::{Memory, memory_of};
use rows::{Row, client_rows, server_rows};

/// The largest payload there is, and a page for everything else.
const LARGEST_BLOCK: usize = limits::REQUEST_PAYLOAD + 4 * 1024;

/// What a reader asks the system for at a time, with a page for what waits.
const READ_BUFFER: usize = 20 * 1024;

/// What a receiver makes of `bytes`: whole packets, and then nothing more or an error.
fn decode_all<M: Message>(bytes: &[u8]) -> (Vec<Packet<M>>, Result<(), PacketError>) {
    let mut buffer = BytesMut::from(bytes);
    let mut packets = Vec::new();
    loop {
        let frame = match frame::decode(&mut buffer) {
            Ok(Some(frame)) => frame,
            Ok(None) => return (packets, Ok(())),
            Err(error) => return (packets, Err(error.into())),
        };
        match Packet::from_frame(frame) {
            Ok(packet) => packets.push(packet),
            Err(error) => return (packets, Err(error)),
        }
    }
}

/// Decodes `bytes` as both sides would, within the bound on memory and without keeping any.
fn survive(bytes: &[u8]) {
    let ((), memory) = memory_of(|| {
        drop(decode_all::<ClientMessage>(bytes));
        drop(decode_all::<ServerMessage>(bytes));
    });
    let Memory { largest, held } = memory;
    assert!(largest <= LARGEST_BLOCK && held == 0, "{largest} bytes, {held} kept for {bytes:02x?}");
}

#[test]
fn the_allocator_sees_what_it_is_asked_for() {
    let (bytes, memory) = memory_of(|| vec![1_u8; 5000]);
    assert_eq!((memory.largest, memory.held), (5000, 5000));
    let ((), memory) = memory_of(|| drop(bytes));
    assert_eq!((memory.largest, memory.held), (0, -5000));
}

fn random_bytes(random: &mut Random, len: usize) -> Vec<u8> {
    (0..len).map(|_| random.next() as u8).collect()
}

#[test]
fn random_bytes_are_survived() {
    for seed in 0..20_000 {
        let _seed = SeedOnPanic(seed);
        let mut random = Random::new(seed);
        let len = random.below(200) as usize;
        survive(&random_bytes(&mut random, len));
    }
}

#[test]
fn random_payloads_behind_good_headers_are_survived() {
    for seed in 0..40_000 {
        let _seed = SeedOnPanic(seed);
        let mut random = Random::new(seed);
        let kind = Kind::ALL[random.below(Kind::ALL.len() as u64) as usize];
        let len = random.below(1 + kind.payload_limit().min(160) as u64) as usize;
        let mut bytes = ((16 + len) as u32).to_le_bytes().to_vec();
        let stream = [255, 0, 1, 2][random.below(4) as usize];
        bytes.extend([kind as u8, stream, 0, 0, random.below(2) as u8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        // Small numbers get deeper into a message than large ones.
        bytes.extend(
            random_bytes(&mut random, len)
                .into_iter()
                .map(|byte| if byte < 230 { byte % 7 % 3 } else { byte }),
        );
        survive(&bytes);
    }
}

fn flip_every_bit<M: Message + PartialEq + Debug + Clone>(rows: &[Row<M>]) {
    let session: Vec<u8> = rows.iter().flat_map(|row| row.bytes.clone()).collect();
    let mut row_of_byte = rows.iter().enumerate().flat_map(|(index, row)| vec![index; row.bytes.len()]);
    for at in 0..session.len() {
        let hit = row_of_byte.next().unwrap();
        for bit in 0..8 {
            let mut bytes = session.clone();
            bytes[at] ^= 1 << bit;
            let (packets, _) = decode_all::<M>(&bytes);
            let before = rows[..hit].iter().map(|row| &row.packet);
            assert!(packets.iter().take(hit).eq(before), "bit {bit} of byte {at} changed an earlier packet");
        }
    }
}

#[test]
fn a_flipped_bit_never_reaches_back() {
    flip_every_bit(&client_rows());
    flip_every_bit(&server_rows());
}

fn cut_everywhere<M: Message + PartialEq + Debug + Clone>(rows: &[Row<M>]) {
    for row in rows {
        for len in 0..row.bytes.len() {
            let (packets, end) = decode_all::<M>(&row.bytes[..len]);
            assert_eq!((packets.len(), end), (0, Ok(())), "{len} bytes of {:?}", row.packet);
        }
        let Packet::Message { .. } = row.packet else { continue };
        for len in HEADER_LEN..row.bytes.len() {
            let error = message::decode::<M>(&row.bytes[HEADER_LEN..len]).unwrap_err();
            assert!(matches!(error, MessageError::Malformed(_)), "{len} bytes of {:?}: {error}", row.packet);
        }
    }
}

#[test]
fn a_cut_frame_needs_more_and_a_cut_message_is_malformed() {
    cut_everywhere(&client_rows());
    cut_everywhere(&server_rows());
}

/// A header that claims `length`, as the first bytes of a connection.
fn header(length: u32, kind: Kind) -> [u8; HEADER_LEN] {
    let mut header = [0; HEADER_LEN];
    header[..4].copy_from_slice(&length.to_le_bytes());
    header[4..6].copy_from_slice(&[kind as u8, 255]);
    header
}

#[test]
fn lengths_outside_the_limits_are_refused_before_anything_is_stored() {
    for kind in Kind::ALL {
        let limit = kind.payload_limit();
        for length in [limit as u32 + 17, 1 << 31, u32::MAX] {
            let mut buffer = BytesMut::from(&header(length, kind)[..]);
            let (result, Memory { largest, .. }) = memory_of(|| frame::decode(&mut buffer));
            let expected = FrameError::TooLong { kind, length: length as usize - 16, limit };
            assert_eq!((result, largest), (Err(expected), 0), "{kind:?} of {length}");
        }
        for length in [0, 15] {
            let mut buffer = BytesMut::from(&header(length, kind)[..]);
            assert_eq!(frame::decode(&mut buffer), Err(FrameError::TooShort { length }), "{kind:?}");
        }
        let mut buffer = BytesMut::from(&header(limit as u32 + 16, kind)[..]);
        assert_eq!(
            frame::decode(&mut buffer).map(|frame| frame.is_some()),
            Ok(limit == 0),
            "{kind:?} at its limit"
        );
    }
}

#[test]
fn a_reader_stores_no_more_than_the_limit_whatever_is_claimed() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for kind in Kind::ALL {
        let limit = kind.payload_limit() as u32;
        for length in [15, 16, limit + 16, limit + 17, u32::MAX] {
            let bytes = [&header(length, kind)[..], &[b'x'; 50]].concat();
            let read = async || PacketReader::<_, ClientMessage>::new(&bytes[..]).next().await;
            let (result, Memory { largest, .. }) = memory_of(|| runtime.block_on(read()));
            assert!(largest <= LARGEST_BLOCK, "{largest} bytes for a {kind:?} of {length}");
            let refused = matches!(result, Err(ConnectionError::Packet(PacketError::Frame(_))));
            assert_eq!(refused, length < 16 || length > limit + 16, "{kind:?} of {length}: {result:?}");
        }
    }
}

#[test]
fn a_reader_for_strangers_stores_no_more_than_a_greeting_whatever_is_claimed() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let greeting = limits::GREETING_PAYLOAD as u32;
    for kind in Kind::ALL {
        for length in [16, 16 + greeting, 17 + greeting, kind.payload_limit() as u32 + 16, 1 << 31, u32::MAX]
        {
            let bytes = [&header(length, kind)[..], &[b'x'; 300_000]].concat();
            let read =
                async || PacketReader::<_, ClientMessage>::new(&bytes[..]).next_of(&[Kind::Hello]).await;
            let (result, Memory { largest, .. }) = memory_of(|| runtime.block_on(read()));
            assert!(result.is_err(), "{kind:?} of {length}: {result:?}");
            assert!(largest <= READ_BUFFER, "{largest} bytes for a {kind:?} of {length}");
        }
    }
}

#[test]
fn lengths_inside_greetings_are_not_believed() {
    let hello = Hello { user: "ann".into(), features: Features::KNOWN, ..Hello::new("", "telex 1") }.encode();
    let welcome = Welcome { version: 1, software: "telex 1".into(), features: Features::KNOWN }.encode();
    for claim in [0x80, 0xff, 0x7fff, 0xffff_u16] {
        for (greeting, is_hello) in [(&hello, true), (&welcome, false)] {
            for at in 8..greeting.len() - 1 {
                let mut hostile = greeting.to_vec();
                hostile[at..at + 2].copy_from_slice(&claim.to_le_bytes());
                let ((), Memory { largest, held }) = memory_of(|| {
                    if is_hello { drop(Hello::decode(&hostile)) } else { drop(Welcome::decode(&hostile)) }
                });
                assert!(largest <= hostile.len() && held == 0, "{largest} bytes for {claim} at {at}");
            }
        }
    }
}

/// The places of every length and count in the payload of a message, and where in `bytes` the payload is.
fn refuse_claims<M: Message + Debug>(bytes: &[u8], places: &[usize]) {
    let payload = &bytes[HEADER_LEN..];
    let limit = limits::REQUEST_PAYLOAD as u64;
    for claim in [200, 4096, 4097, limit - 20, limit, limit + 1, 1 << 32, 1 << 63, u64::MAX] {
        for at in 0..payload.len() - 7 {
            let mut hostile = payload.to_vec();
            hostile[at..at + 8].copy_from_slice(&claim.to_le_bytes());
            let (result, Memory { largest, .. }) = memory_of(|| message::decode::<M>(&hostile));
            assert!(largest <= LARGEST_BLOCK, "{largest} bytes for {claim} at {at}");
            if places.contains(&at) {
                assert!(matches!(result, Err(MessageError::Malformed(_))), "{claim} at {at}: {result:?}");
            }
        }
    }
}

fn row_of_message<M: Message + Debug>(rows: Vec<Row<M>>, name: &str) -> Vec<u8> {
    let found = rows.into_iter().find(|row| format!("{:?}", row.packet).contains(name));
    found.unwrap().bytes
}

#[test]
fn lengths_inside_messages_are_not_believed() {
    // Id, argv, two words, directory, environment, name, value; behind the id a digest, an attachment and an age.
    let argv = row_of_message(client_rows(), "Argv");
    refuse_claims::<ClientMessage>(&argv, &[4, 68, 76, 86, 97, 109, 117, 126]);
    // Id, text, environment.
    refuse_claims::<ClientMessage>(&row_of_message(client_rows(), "Shell"), &[4, 68, 81]);
    // Id, streams.
    refuse_claims::<ClientMessage>(&row_of_message(client_rows(), "Writer"), &[4, 28]);
    refuse_claims::<ClientMessage>(&row_of_message(client_rows(), "Forget"), &[4]);
    // Totals; behind texts, their lengths first.
    refuse_claims::<ServerMessage>(&row_of_message(server_rows(), "Ended { outcome: Exited"), &[9]);
    refuse_claims::<ServerMessage>(&row_of_message(server_rows(), "NotFound"), &[12, 21, 33]);
    refuse_claims::<ServerMessage>(&row_of_message(server_rows(), "Lost"), &[8, 18]);
    // Id, streams.
    refuse_claims::<ServerMessage>(&row_of_message(server_rows(), "Attached"), &[4, 30]);
    refuse_claims::<ServerMessage>(&row_of_message(server_rows(), "Denied"), &[8]);
    // Id, command, writer, owner, what is kept.
    refuse_claims::<ServerMessage>(
        &row_of_message(server_rows(), "Running { process_id"),
        &[4, 24, 43, 60, 71],
    );
}

#[test]
fn a_claim_in_a_message_of_full_size_allocates_no_more_than_the_message() {
    let start = row_of_message(client_rows(), "Shell");
    let mut payload = start[HEADER_LEN..].to_vec();
    payload.resize(limits::REQUEST_PAYLOAD, 0);
    for claim in [limits::REQUEST_PAYLOAD - 76, limits::REQUEST_PAYLOAD, usize::MAX] {
        payload[68..76].copy_from_slice(&(claim as u64).to_le_bytes());
        let (result, Memory { largest, .. }) = memory_of(|| message::decode::<ClientMessage>(&payload));
        assert!(result.is_err() && largest <= LARGEST_BLOCK, "{largest} bytes for {claim}: {result:?}");
    }
}

/// A payload with `count` items in place of the list at `at`, behind which `rest` goes on.
fn with_count(payload: &[u8], at: usize, count: usize, item: &[u8], rest: usize) -> Vec<u8> {
    [&payload[..at], &(count as u64).to_le_bytes(), &item.repeat(count), &payload[rest..]].concat()
}

#[test]
fn more_items_than_a_list_may_have_are_refused() {
    let payload = |row: Vec<u8>| row[HEADER_LEN..].to_vec();
    let start = payload(row_of_message(client_rows(), "Argv"));
    let attach = payload(row_of_message(client_rows(), "Writer"));
    let end = payload(row_of_message(server_rows(), "Ended { outcome: Exited"));
    let attached = payload(row_of_message(server_rows(), "Attached"));
    let listed = payload(row_of_message(server_rows(), "Running { process_id"));
    // Where a list is, an item of it, where it ends, and how many items it may have.
    let requests: [(_, _, &[u8], _, _); 3] = [
        (&start, 68, &[0; 8], 96, limits::ARGUMENTS),
        (&start, 109, &[0; 16], 136, limits::VARIABLES),
        (&attach, 28, &[&[1][..], &[0; 12]].concat(), 70, 4),
    ];
    let responses: [(_, _, &[u8], _, _); 3] =
        [(&end, 9, &[1; 9], 35, 4), (&attached, 30, &[1; 9], 56, 4), (&listed, 71, &[1; 17], 96, 4)];
    for (extra, fits) in [(0, true), (1, false)] {
        for (payload, at, item, rest, most) in requests {
            let list = with_count(payload, at, most + extra, item, rest);
            assert_eq!(message::decode::<ClientMessage>(&list).is_ok(), fits, "{extra} more than {most}");
        }
        for (payload, at, item, rest, most) in responses {
            let list = with_count(payload, at, most + extra, item, rest);
            assert_eq!(message::decode::<ServerMessage>(&list).is_ok(), fits, "{extra} more than {most}");
        }
    }
}
