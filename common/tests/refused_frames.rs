//! Frames that are well made and do not belong: unknown numbers, the wrong direction, a job or a stream where none
//! may be, bytes behind the end. Each is refused for what is wrong with it.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test ends at the first thing that is not as it should be"
)]

#[path = "support/hex.rs"]
mod hex;
#[path = "support/rows.rs"]
mod rows;

use std::fmt::Debug;

use bytes::{Bytes, BytesMut};
use common::frame::{self, Frame, FrameError, HEADER_LEN, Header, JobNumber, Kind, StreamId};
use common::greeting::{Close, Features, GreetingError, Hello, Welcome};
use common::message::{ClientMessage, Message, MessageError, ServerMessage};
use common::packet::{Packet, PacketError};

use hex::hex;
use rows::{Row, client_rows, server_rows};

fn decode<M: Message>(bytes: &[u8]) -> Result<Packet<M>, PacketError> {
    Packet::from_frame(frame::decode(&mut BytesMut::from(bytes))?.unwrap())
}

/// A row's bytes with one of them changed.
fn changed<M>(row: &Row<M>, at: usize, value: u8) -> Vec<u8> {
    let mut bytes = row.bytes.clone();
    bytes[at] = value;
    bytes
}

fn kind_of<M>(row: &Row<M>) -> Kind {
    Kind::ALL.into_iter().find(|kind| *kind as u8 == row.bytes[4]).unwrap()
}

#[test]
fn unknown_kinds_are_refused() {
    let row = &client_rows()[0];
    for number in (0..=u8::MAX).filter(|number| Kind::ALL.iter().all(|kind| *kind as u8 != *number)) {
        let expected = PacketError::Frame(FrameError::UnknownKind { number });
        assert_eq!(decode::<ClientMessage>(&changed(row, 4, number)), Err(expected));
    }
}

#[test]
fn unknown_streams_and_reserved_bits_are_refused_in_every_frame() {
    for row in client_rows() {
        for number in (3..=254).filter(|number| *number != 5) {
            let expected = PacketError::Frame(FrameError::UnknownStream { number });
            assert_eq!(decode::<ClientMessage>(&changed(&row, 5, number)), Err(expected));
        }
        for bit in 0..16 {
            let bytes = changed(&row, 6 + bit / 8, 1 << (bit % 8));
            assert_eq!(decode::<ClientMessage>(&bytes), Err(PacketError::Frame(FrameError::ReservedBits)));
        }
    }
}

/// Decodes what `A` sends as if `B` had sent it.
fn cross<A: Message + Debug, B: Message + PartialEq + Debug>(rows: Vec<Row<A>>) {
    for row in rows {
        let kind = kind_of(&row);
        let result = decode::<B>(&row.bytes);
        match kind {
            Kind::Close | Kind::Ping | Kind::Pong => assert!(result.is_ok(), "{kind:?}: {result:?}"),
            _ => assert_eq!(result, Err(PacketError::WrongDirection { kind }), "{:?}", row.packet),
        }
    }
}

#[test]
fn what_a_server_sends_is_refused_from_a_client() {
    cross::<ServerMessage, ClientMessage>(server_rows());
}

#[test]
fn what_a_client_sends_is_refused_from_a_server() {
    cross::<ClientMessage, ServerMessage>(client_rows());
}

fn stream_frame(kind: Kind, stream: StreamId) -> Frame {
    let payload = match kind {
        Kind::Data => Bytes::from_static(b"x"),
        Kind::Ack => Bytes::from_static(&[0; 16]),
        _ => Bytes::new(),
    };
    let header =
        Header { kind, stream: Some(stream), job: JobNumber(1), offset: 0, payload_len: payload.len() };
    Frame { header, payload }
}

#[test]
fn every_stream_has_one_sender() {
    for stream in StreamId::ALL {
        let of_client = match stream {
            StreamId::Stdin => true,
            StreamId::Stdout | StreamId::Stderr | StreamId::Control => false,
        };
        for (kind, of_sender) in
            [(Kind::Data, true), (Kind::Eof, true), (Kind::Ack, false), (Kind::StopSending, false)]
        {
            let from_client = Packet::<ClientMessage>::from_frame(stream_frame(kind, stream));
            let from_server = Packet::<ServerMessage>::from_frame(stream_frame(kind, stream));
            let wrong = Some(PacketError::WrongDirection { kind });
            let (refused, taken) = if of_client == of_sender {
                (from_server.err(), from_client.err())
            } else {
                (from_client.err(), from_server.err())
            };
            assert_eq!((refused, taken), (wrong, None), "{kind:?} of {stream}");
        }
    }
}

fn misplace<M: Message + PartialEq + Debug>(rows: Vec<Row<M>>) {
    for row in rows {
        let kind = kind_of(&row);
        let of_stream = matches!(kind, Kind::Data | Kind::Eof | Kind::Ack | Kind::StopSending);
        let of_job = of_stream || matches!(kind, Kind::Request | Kind::Response);
        if of_stream {
            assert_eq!(decode::<M>(&changed(&row, 5, 255)), Err(PacketError::NoStream { kind }));
            let mut without_job = row.bytes.clone();
            without_job[8..12].fill(0);
            assert_eq!(decode::<M>(&without_job), Err(PacketError::WrongJob { kind }));
        } else {
            assert_eq!(decode::<M>(&changed(&row, 5, 0)), Err(PacketError::UnexpectedStream { kind }));
        }
        if !of_job {
            assert_eq!(decode::<M>(&changed(&row, 8, 1)), Err(PacketError::WrongJob { kind }));
        }
    }
}

#[test]
fn a_job_or_a_stream_may_only_be_where_its_kind_has_one() {
    misplace(client_rows());
    misplace(server_rows());
}

/// The row with `extra` in its payload, and its length field as it should be.
fn with_trailing<M>(row: &Row<M>, extra: &[u8]) -> Vec<u8> {
    let mut bytes = [&row.bytes, extra].concat();
    let length = (bytes.len() - 4) as u32;
    bytes[..4].copy_from_slice(&length.to_le_bytes());
    bytes
}

fn trail<M: Message + PartialEq + Debug>(rows: Vec<Row<M>>) {
    for row in rows {
        let kind = kind_of(&row);
        let result = decode::<M>(&with_trailing(&row, &[0, 0, 0]));
        match kind {
            Kind::Request | Kind::Response => {
                let expected = MessageError::TrailingBytes { count: 3 };
                assert_eq!(result, Err(PacketError::Message(expected)));
            }
            Kind::Hello | Kind::Welcome => {
                assert_eq!(result, Err(PacketError::Greeting(GreetingError::Truncated)));
            }
            Kind::Ack | Kind::Eof | Kind::StopSending => {
                let limit = kind.payload_limit();
                let expected = FrameError::TooLong { kind, length: limit + 3, limit };
                assert_eq!(result, Err(PacketError::Frame(expected)));
            }
            Kind::Close | Kind::Ping | Kind::Pong | Kind::Data => {
                assert!(result.is_ok(), "{kind:?}: {result:?}");
            }
        }
    }
}

#[test]
fn bytes_behind_the_end_of_a_payload_are_refused() {
    trail(client_rows());
    trail(server_rows());
}

#[test]
fn data_has_bytes_and_ack_has_sixteen() {
    let mut empty = stream_frame(Kind::Data, StreamId::Stdin);
    empty.payload.clear();
    assert_eq!(Packet::<ClientMessage>::from_frame(empty), Err(PacketError::EmptyData));
    for len in (0..16).chain([17]) {
        let mut ack = stream_frame(Kind::Ack, StreamId::Stdin);
        ack.payload = vec![0; len].into();
        assert_eq!(Packet::<ServerMessage>::from_frame(ack), Err(PacketError::AckLength));
    }
}

#[test]
fn greetings_are_refused_for_what_is_wrong_with_them() {
    let hello = client_rows()[0].bytes[HEADER_LEN..].to_vec();
    for at in 0..8 {
        let mut other = hello.clone();
        other[at] ^= 0x20;
        assert_eq!(Hello::decode(&other), Err(GreetingError::NotTelex));
        assert_eq!(Welcome::decode(&other), Err(GreetingError::NotTelex));
    }
    // Magic, versions, method, a name of three bytes; behind them nothing, or a whole extension.
    for len in (8..hello.len()).filter(|len| *len != 17) {
        assert_eq!(Hello::decode(&hello[..len]), Err(GreetingError::Truncated), "{len} bytes");
    }
    assert_eq!(Hello::decode(&hello[..17]).unwrap().software, "");
    let mut not_text = hello;
    not_text[14] = 0xff;
    assert_eq!(Hello::decode(&not_text), Err(GreetingError::NotUtf8));
    assert_eq!(Close::decode(&hex("01")), Err(GreetingError::Truncated));
    assert_eq!(Close::decode(&hex("01 00 ff")), Err(GreetingError::NotUtf8));
}

#[test]
fn an_invitation_without_a_whole_token_is_refused() {
    let greeting = "54 45 4c 45 58 00 0d 0a  01 00 01 00 01 00";
    for token in ["", "02 00 00 00", "02 00 02 00 ab ab"] {
        let hello = Hello::decode(&hex(&format!("{greeting} {token}")));
        assert_eq!(hello, Err(GreetingError::NoToken), "{token:?}");
    }
    let longer = format!("{greeting} 02 00 21 00 {}", "ab".repeat(33));
    assert_eq!(Hello::decode(&hex(&longer)), Err(GreetingError::NoToken));
}

#[test]
fn an_address_of_another_length_is_refused() {
    let greeting = "54 45 4c 45 58 00 0d 0a  02 00 02 00 00 00";
    for length in (0..40_usize).filter(|length| *length != 18) {
        let hello = hex(&format!("{greeting} 03 00 {length:02x} 00 {}", "ff ".repeat(length)));
        assert_eq!(Hello::decode(&hello), Err(GreetingError::Truncated), "{length} bytes");
    }
    let mapped = "00 00 00 00 00 00 00 00 00 00 ff ff c0 00 02 01 88 13";
    let hello = Hello::decode(&hex(&format!("{greeting} 03 00 12 00 {mapped}"))).unwrap();
    assert_eq!(hello.address, Some("192.0.2.1:5000".parse().unwrap()));
}

#[test]
fn features_of_another_length_are_refused() {
    let hello = "54 45 4c 45 58 00 0d 0a  02 00 02 00 00 00";
    let welcome = "54 45 4c 45 58 00 0d 0a  02 00";
    for length in (0..9_usize).filter(|length| *length != 4) {
        let features = format!("04 00 {length:02x} 00 {}", "ff ".repeat(length));
        let read = Hello::decode(&hex(&format!("{hello} {features}")));
        assert_eq!(read, Err(GreetingError::Truncated), "{length} bytes");
        let read = Welcome::decode(&hex(&format!("{welcome} {features}")));
        assert_eq!(read, Err(GreetingError::Truncated), "{length} bytes");
    }
    let all = Welcome::decode(&hex(&format!("{welcome} 04 00 04 00 ff ff ff ff"))).unwrap().features;
    assert_eq!(all, Features::KNOWN);
    assert!(all.contain(Features::TERMINALS.and(Features::CONTROL)));
    assert!(
        !Features::TERMINALS.contain(Features::CONTROL) && !Features::default().contain(Features::TERMINALS)
    );
}

#[test]
fn unknown_extensions_of_a_greeting_are_skipped() {
    let magic = "54 45 4c 45 58 00 0d 0a";
    let extensions = "05 00 03 00 ff ff ff  01 00 01 00 78  ff ff 00 00";
    let hello = Hello::decode(&hex(&format!("{magic} 02 00 02 00 00 00 {extensions}"))).unwrap();
    assert_eq!(hello, Hello::new("", "x"));
    let welcome = Welcome::decode(&hex(&format!("{magic} 01 00 {extensions}"))).unwrap();
    assert_eq!(welcome, Welcome { version: 1, software: "x".into(), features: Features::default() });
}
