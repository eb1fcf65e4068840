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
use common::job::{OnDisconnect, Outcome, PeakMemory, Program, Signal, Spec, StartFailure};
use common::message::{
    Attach, ClientMessage, JobState, JobSummary, Message, Order, Position, Refusal, Role, ServerMessage,
    Start,
};
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
fn every_close_code_is_known() {
    let codes = successors(Some(CloseCode::Version), |code| close_code_on_the_page(*code).1);
    assert_eq!(codes.collect::<Vec<_>>(), CloseCode::ALL);
}

fn request_on_the_page(message: &ClientMessage) -> &'static str {
    match message {
        ClientMessage::Start(Start { spec: Spec { program: Program::Argv(_), .. }, .. }) => "0 argv",
        ClientMessage::Start(Start { spec: Spec { program: Program::Shell(_), .. }, .. }) => "0 shell",
        ClientMessage::Start(Start { spec: Spec { program: Program::LoginShell, .. }, .. }) => "0 login",
        ClientMessage::Attach(Attach { role, .. }) => match role {
            Role::Writer => "1 writer",
            Role::Reader => "1 reader",
            Role::Snapshot => "1 snapshot",
            Role::Controller => "1 controller",
        },
        ClientMessage::Order { order, .. } => match order {
            Order::Signal(_) => "2 signal",
            Order::Cancel => "2 cancel",
            Order::Keep => "2 keep",
            Order::Resize(_) => "2 resize",
            Order::Control(_) => "2 control",
        },
        ClientMessage::Leave => "3",
        ClientMessage::List { .. } => "4",
        ClientMessage::Forget { .. } => "5",
        ClientMessage::StartWith { .. } => "6",
    }
}

fn response_on_the_page(message: &ServerMessage) -> &'static str {
    match message {
        ServerMessage::Started { .. } => "0",
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
        ServerMessage::GoingAway => "2",
        ServerMessage::Attached(_) => "3",
        ServerMessage::Applied { .. } => "4",
        ServerMessage::Refused(refusal) => match refusal {
            Refusal::Unknown => "5 0",
            Refusal::Ambiguous { .. } => "5 1",
            Refusal::Conflict => "5 2",
            Refusal::Trimmed { .. } => "5 3",
            Refusal::Beyond { .. } => "5 4",
            Refusal::Running => "5 5",
            Refusal::Denied(_) => "5 6",
            Refusal::Unavailable(_) => "5 7",
        },
        ServerMessage::Superseded => "6",
        ServerMessage::Listed(JobSummary { state, .. }) => match state {
            JobState::Starting => "7 starting",
            JobState::Running { .. } => "7 running",
            JobState::Over { .. } => "7 over",
        },
        ServerMessage::Done => "8",
        ServerMessage::Skipped { .. } => "9",
        ServerMessage::Written { .. } => "10",
        ServerMessage::Declined { .. } => "11",
        ServerMessage::OnTerminal { .. } => "12",
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
    let attach = ["1 writer", "1 reader", "1 snapshot", "1 controller"];
    let order = ["2 signal", "2 cancel", "2 keep", "2 resize", "2 control"];
    let expected =
        ["0 argv", "0 shell", "0 login", "3", "4", "5", "6"].into_iter().chain(attach).chain(order);
    assert_eq!(requests, expected.collect());
    let responses = numbers(server_rows(), response_on_the_page);
    let ended =
        ["1 0", "1 1", "1 2", "1 3", "1 4 0", "1 4 1", "1 4 2", "1 4 3", "1 4 4", "1 4 5", "1 4 6", "1 5"];
    let refused = ["5 0", "5 1", "5 2", "5 3", "5 4", "5 5", "5 6", "5 7"];
    let listed = ["7 starting", "7 running", "7 over"];
    let expected =
        ["0", "2", "3", "4", "6", "8", "9", "10", "11", "12"].into_iter().chain(ended).chain(refused);
    assert_eq!(responses, expected.chain(listed).collect());
}

/// The numbers in the first column of the table on the page below `head`.
fn numbers_on_the_page(head: &str) -> Vec<u8> {
    let page = include_str!("../../docs/protocol.md").split_once(head).unwrap().1;
    let table = page.split("\n\n").next().unwrap();
    table.lines().skip(1).map(|row| row.split('|').nth(1).unwrap().trim().parse().unwrap()).collect()
}

#[test]
fn the_tables_of_the_page_have_every_number() {
    let first = |names: BTreeSet<&'static str>| -> Vec<u8> {
        let numbers: BTreeSet<u8> =
            names.iter().map(|name| name.split(' ').next().unwrap().parse().unwrap()).collect();
        numbers.into_iter().collect()
    };
    let requests = first(numbers(client_rows(), request_on_the_page));
    assert_eq!(numbers_on_the_page("| no. | REQUEST | meaning |\n"), requests);
    let responses = first(numbers(server_rows(), response_on_the_page));
    assert_eq!(numbers_on_the_page("| no. | RESPONSE | job | meaning |\n"), responses);
    assert_eq!(numbers_on_the_page("| no. | reason | meaning |\n"), [0, 1, 2, 3, 4, 5, 6, 7]);
    let expected = CloseCode::ALL.map(|code| hex::hex(close_code_on_the_page(code).0)[0]);
    assert_eq!(numbers_on_the_page("| code | name | meaning |\n"), expected);
}

#[test]
fn every_choice_inside_a_message_has_a_row() {
    let mut choices = BTreeSet::new();
    for row in client_rows() {
        match row.packet {
            Packet::Message { message: ClientMessage::Attach(attach), .. } => {
                choices.extend(attach.streams.iter().map(|wanted| match wanted.from {
                    Position::Oldest => "oldest",
                    Position::Newest => "newest",
                    Position::At(_) => "at",
                }));
            }
            Packet::Message { message: ClientMessage::Start(start), .. } => {
                choices.insert(match start.spec.keeping.on_disconnect {
                    OnDisconnect::Kill => "kill",
                    OnDisconnect::Keep => "keep",
                });
            }
            _ => {}
        }
    }
    for row in server_rows() {
        let Packet::Message { message: ServerMessage::Ended(ended), .. } = row.packet else { continue };
        choices.insert(match ended.usage.map(|usage| usage.peak_memory) {
            Some(PeakMemory::Exactly(_)) => "exactly",
            Some(PeakMemory::AtMost(_)) => "at most",
            None => "no usage",
        });
    }
    let expected = ["oldest", "newest", "at", "kill", "keep", "exactly", "at most", "no usage"];
    assert_eq!(choices, BTreeSet::from(expected));
}

#[test]
fn streams_and_signals_have_their_numbers() {
    for stream in StreamId::ALL {
        let number = match stream {
            StreamId::Stdin => 0,
            StreamId::Stdout => 1,
            StreamId::Stderr => 2,
            StreamId::Control => 5,
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
