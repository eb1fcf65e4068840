//! Every frame kind and every message has exactly the bytes that `docs/protocol.md` says; `support/rows.rs` has them.
//!
//! A variant without a row does not compile (the matches below have no wildcard) or fails a test that counts.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test ends at the first thing that is not as it should be"
)]

#[path = "support/hex.rs"]
mod hex;
#[path = "support/rows.rs"]
mod rows;

use std::collections::BTreeSet;
use std::iter::successors;

use bytes::BytesMut;
use common::connection::packet_bytes;
use common::frame::{self, Kind, StreamId};
use common::greeting::CloseCode;
use common::job::{Outcome, Program, Signal, Spec, StartFailure};
use common::message::{ClientMessage, Message, ServerMessage};
use common::packet::Packet;

use rows::{Row, client_rows, close_code_on_the_page, server_rows};

fn check<M: Message + Clone + PartialEq + std::fmt::Debug>(rows: Vec<Row<M>>) {
    for Row { packet, bytes } in rows {
        assert_eq!(packet_bytes(packet.clone()).unwrap(), bytes[..], "encoding {packet:?}");
        let mut buffer = BytesMut::from(&bytes[..]);
        let frame = frame::decode(&mut buffer).unwrap().unwrap();
        assert!(buffer.is_empty(), "bytes left behind {packet:?}");
        assert_eq!(Packet::from_frame(frame).unwrap(), packet, "decoding {bytes:02x?}");
    }
}

#[test]
fn what_a_client_sends_has_these_bytes() {
    check(client_rows());
}

#[test]
fn what_a_server_sends_has_these_bytes() {
    check(server_rows());
}

fn kind_on_the_page(kind: Kind) -> (u8, usize) {
    match kind {
        Kind::Hello => (1, 4096),
        Kind::Welcome => (2, 4096),
        Kind::Close => (3, 1024),
        Kind::Ping => (4, 64),
        Kind::Pong => (5, 64),
        Kind::Request => (16, 262_144),
        Kind::Response => (17, 16_384),
        Kind::Data => (32, 262_144),
        Kind::Eof => (33, 0),
        Kind::Ack => (34, 16),
        Kind::StopSending => (35, 0),
    }
}

#[test]
fn every_kind_has_its_number_its_limit_and_a_row() {
    let kinds_of = |bytes: &[Vec<u8>]| bytes.iter().map(|bytes| bytes[4]).collect::<BTreeSet<u8>>();
    let client: Vec<_> = client_rows().into_iter().map(|row| row.bytes).collect();
    let server: Vec<_> = server_rows().into_iter().map(|row| row.bytes).collect();
    let with_row: BTreeSet<u8> = kinds_of(&client).union(&kinds_of(&server)).copied().collect();
    let on_the_page: BTreeSet<u8> = Kind::ALL.into_iter().map(|kind| kind_on_the_page(kind).0).collect();
    assert_eq!(with_row, on_the_page);
    for kind in Kind::ALL {
        assert_eq!((kind as u8, kind.payload_limit()), kind_on_the_page(kind), "{kind:?}");
    }
}

#[test]
fn every_close_code_is_known_and_on_the_page() {
    let codes = successors(Some(CloseCode::Version), |code| close_code_on_the_page(*code).1);
    assert_eq!(codes.collect::<Vec<_>>(), CloseCode::ALL);
    let page = include_str!("../../docs/protocol.md").split_once("| code | name | meaning |\n").unwrap().1;
    let table = page.split("\n\n").next().unwrap();
    let numbers = table.lines().skip(1).map(|row| row.split('|').nth(1).unwrap().trim().parse().unwrap());
    let expected = CloseCode::ALL.map(|code| hex::hex(close_code_on_the_page(code).0)[0]);
    assert_eq!(numbers.collect::<Vec<u8>>(), expected);
}

fn request_on_the_page(message: &ClientMessage) -> &'static str {
    match message {
        ClientMessage::Start { spec: Spec { program: Program::Argv(_), .. }, .. } => "0 argv",
        ClientMessage::Start { spec: Spec { program: Program::Shell(_), .. }, .. } => "0 shell",
        ClientMessage::Signal(_) => "1",
        ClientMessage::Cancel => "2",
    }
}

fn response_on_the_page(message: &ServerMessage) -> &'static str {
    match message {
        ServerMessage::Started { .. } => "0",
        ServerMessage::GoingAway => "2",
        ServerMessage::Ended(ended) => match &ended.outcome {
            Outcome::Exited(_) => "1 0",
            Outcome::Signaled { .. } => "1 1",
            Outcome::TimedOut => "1 2",
            Outcome::Cancelled => "1 3",
            Outcome::Lost(_) => "1 5",
            Outcome::NotStarted(failure) => match failure {
                StartFailure::NotFound { .. } => "1 4 0",
                StartFailure::NotExecutable { .. } => "1 4 1",
                StartFailure::Directory { .. } => "1 4 2",
                StartFailure::Invalid(_) => "1 4 3",
                StartFailure::Exhausted(_) => "1 4 4",
                StartFailure::Refused(_) => "1 4 5",
                StartFailure::Limit { .. } => "1 4 6",
            },
        },
    }
}

/// Numbers of the messages among `rows`, as `name` gives them, each checked against the row's bytes.
fn numbers<M>(rows: Vec<Row<M>>, name: impl Fn(&M) -> &'static str) -> BTreeSet<&'static str> {
    let mut numbers = BTreeSet::new();
    for row in rows {
        let Packet::Message { message, .. } = &row.packet else { continue };
        let name = name(message);
        for (place, number) in name.split(' ').filter_map(|word| word.parse::<u8>().ok()).enumerate() {
            assert_eq!(row.bytes[20 + 4 * place..][..4], [number, 0, 0, 0], "message {name}");
        }
        numbers.insert(name);
    }
    numbers
}

#[test]
fn every_message_has_its_number_and_a_row() {
    let requests = numbers(client_rows(), request_on_the_page);
    assert_eq!(requests, BTreeSet::from(["0 argv", "0 shell", "1", "2"]));
    let responses = numbers(server_rows(), response_on_the_page);
    let expected = [
        "0", "1 0", "1 1", "1 2", "1 3", "1 4 0", "1 4 1", "1 4 2", "1 4 3", "1 4 4", "1 4 5", "1 4 6",
        "1 5", "2",
    ];
    assert_eq!(responses, BTreeSet::from(expected));
}

#[test]
fn streams_and_signals_have_their_numbers() {
    for stream in StreamId::ALL {
        let number = match stream {
            StreamId::Stdin => 0,
            StreamId::Stdout => 1,
            StreamId::Stderr => 2,
        };
        assert_eq!(u8::from(stream), number, "{stream}");
    }
    // signal(7), x86-64.
    let signals =
        [("HUP", 1), ("INT", 2), ("KILL", 9), ("USR1", 10), ("USR2", 12), ("TERM", 15), ("STOP", 19)];
    for (name, number) in signals.into_iter().chain([("SYS", 31), ("RTMIN", 34), ("RTMIN+30", 64)]) {
        assert_eq!(name.parse::<Signal>().unwrap().number(), number, "{name}");
    }
}
