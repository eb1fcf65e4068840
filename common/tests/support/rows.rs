//! Every frame and every message beside its bytes, written down from `docs/protocol.md` and not by the code.

#[path = "rows/requests.rs"]
mod requests;
#[path = "rows/responses.rs"]
mod responses;

use bytes::Bytes;
use common::frame::{JobNumber, StreamId};
use common::greeting::{Close, CloseCode, Features, Hello, Method, Welcome};
use common::invitation::Token;
use common::message::{ClientMessage, ServerMessage};
use common::packet::{Ack, Echo, Packet};

use crate::hex::hex;
use requests::request_rows;
use responses::response_rows;

/// A packet and its bytes.
pub(crate) struct Row<M> {
    pub(crate) packet: Packet<M>,
    pub(crate) bytes: Vec<u8>,
}

fn row<M>(packet: Packet<M>, bytes: &str) -> Row<M> {
    Row { packet, bytes: hex(bytes) }
}

/// What a client sends.
pub(crate) fn client_rows() -> Vec<Row<ClientMessage>> {
    let stdin = StreamId::Stdin;
    let stdout = StreamId::Stdout;
    let mut rows = vec![
        row(
            Packet::Hello(Hello {
                lowest: 1,
                highest: 0x0203,
                method: Method::Transport,
                user: "ann".into(),
                software: "telex 1".into(),
                address: None,
                features: Features::default(),
            }),
            "2c 00 00 00  01 ff  00 00  00 00 00 00  00 00 00 00 00 00 00 00  # 16 + 28, HELLO, no stream
             54 45 4c 45 58 00 0d 0a                                          # TELEX, NUL, CR, LF
             01 00  03 02  00                                                 # versions, method
             03 61 6e 6e                                                      # ann
             01 00  07 00  74 65 6c 65 78 20 31                               # software: telex 1",
        ),
        row(
            Packet::Hello(Hello {
                method: Method::Invitation(Token::from_bytes([0xab; 32])),
                ..Hello::new("", "")
            }),
            "46 00 00 00  01 ff  00 00  00 00 00 00  00 00 00 00 00 00 00 00  # 16 + 54, HELLO
             54 45 4c 45 58 00 0d 0a  02 00  02 00  01  00                    # versions, invitation, no user
             01 00  00 00                                                     # no software
             02 00  20 00  ab ab ab ab ab ab ab ab  ab ab ab ab ab ab ab ab   # the token
             ab ab ab ab ab ab ab ab  ab ab ab ab ab ab ab ab",
        ),
        row(
            Packet::Hello(Hello { address: Some("192.0.2.1:5000".parse().unwrap()), ..Hello::new("", "") }),
            "38 00 00 00  01 ff  00 00  00 00 00 00  00 00 00 00 00 00 00 00  # 16 + 40, HELLO
             54 45 4c 45 58 00 0d 0a  02 00  02 00  00  00  01 00  00 00      # nothing else to say
             03 00  12 00  00 00 00 00 00 00 00 00  00 00 ff ff c0 00 02 01   # 192.0.2.1 in the form of IPv6
             88 13                                                            # port 5000",
        ),
        row(
            Packet::Hello(Hello {
                address: Some("[2001:db8::1]:258".parse().unwrap()),
                ..Hello::new("", "")
            }),
            "38 00 00 00  01 ff  00 00  00 00 00 00  00 00 00 00 00 00 00 00  # 16 + 40, HELLO
             54 45 4c 45 58 00 0d 0a  02 00  02 00  00  00  01 00  00 00
             03 00  12 00  20 01 0d b8 00 00 00 00  00 00 00 00 00 00 00 01  02 01",
        ),
        row(
            Packet::Hello(Hello { features: Features::TERMINALS, ..Hello::new("", "") }),
            "2a 00 00 00  01 ff  00 00  00 00 00 00  00 00 00 00 00 00 00 00  # 16 + 26, HELLO
             54 45 4c 45 58 00 0d 0a  02 00  02 00  00  00  01 00  00 00
             04 00  04 00  01 00 00 00                                        # terminals",
        ),
        row(
            Packet::Hello(Hello { features: Features::CONTROL, ..Hello::new("", "") }),
            "2a 00 00 00  01 ff  00 00  00 00 00 00  00 00 00 00 00 00 00 00  # 16 + 26, HELLO
             54 45 4c 45 58 00 0d 0a  02 00  02 00  00  00  01 00  00 00
             04 00  04 00  02 00 00 00                                        # control descriptors",
        ),
        row(
            Packet::Data {
                job: JobNumber(0x0102),
                stream: stdin,
                offset: 0x0001_0000_0000,
                bytes: "abc".into(),
            },
            "13 00 00 00  20 00  00 00  02 01 00 00  00 00 00 00 01 00 00 00  61 62 63",
        ),
        row(
            Packet::Eof { job: JobNumber(1), stream: stdin, total: 0x0102_0304_0506_0708 },
            "10 00 00 00  21 00  00 00  01 00 00 00  08 07 06 05 04 03 02 01",
        ),
        row(
            Packet::Ack {
                job: JobNumber(1),
                stream: stdout,
                ack: Ack { received: 0x10, limit: 0x2000, consumed: 3 },
            },
            "20 00 00 00  22 01  00 00  01 00 00 00  10 00 00 00 00 00 00 00  # received is the offset
             00 20 00 00 00 00 00 00  03 00 00 00 00 00 00 00                 # limit, consumed",
        ),
        row(
            Packet::StopSending { job: JobNumber(u32::MAX), stream: StreamId::Stderr },
            "10 00 00 00  23 02  00 00  ff ff ff ff  00 00 00 00 00 00 00 00",
        ),
    ];
    rows.extend(request_rows());
    rows.extend(either_way_rows());
    rows
}

/// The bytes of a code, and the code in the row below its own. A new one does not compile until it has its place.
pub(crate) fn close_code_on_the_page(code: CloseCode) -> (&'static str, Option<CloseCode>) {
    match code {
        CloseCode::Version => ("01 00", Some(CloseCode::Denied)),
        CloseCode::Denied => ("02 00", Some(CloseCode::Violation)),
        CloseCode::Violation => ("03 00", Some(CloseCode::Busy)),
        CloseCode::Busy => ("04 00", Some(CloseCode::GoingAway)),
        CloseCode::GoingAway => ("05 00", Some(CloseCode::TimedOut)),
        CloseCode::TimedOut => ("06 00", Some(CloseCode::Internal)),
        CloseCode::Internal => ("07 00", Some(CloseCode::Invitation)),
        CloseCode::Invitation => ("08 00", Some(CloseCode::Account)),
        CloseCode::Account => ("09 00", None),
        CloseCode::Unknown(_) => ("34 12", None),
    }
}

/// What both sides may send; CLOSE with each of its codes.
fn either_way_rows<M>() -> Vec<Row<M>> {
    let close = "15 00 00 00  03 ff  00 00  00 00 00 00  00 00 00 00 00 00 00 00";
    let echo = || Echo { token: 0x0102_0304_0506_0708, payload: Bytes::from_static(b"hi") };
    let codes = CloseCode::ALL.into_iter().chain([CloseCode::Unknown(0x1234)]);
    let closes = codes.map(|code| {
        let (number, _) = close_code_on_the_page(code);
        row(Packet::Close(Close::new(code, "é!")), &format!("{close} {number} c3 a9 21"))
    });
    closes
        .chain([
            row(
                Packet::Ping(echo()),
                "12 00 00 00  04 ff  00 00  00 00 00 00  08 07 06 05 04 03 02 01  68 69",
            ),
            row(
                Packet::Pong(echo()),
                "12 00 00 00  05 ff  00 00  00 00 00 00  08 07 06 05 04 03 02 01  68 69",
            ),
        ])
        .collect()
}

/// What a server sends.
pub(crate) fn server_rows() -> Vec<Row<ServerMessage>> {
    let mut rows = vec![
        row(
            Packet::Welcome(Welcome {
                version: 1,
                software: "telex 1".into(),
                features: Features::default(),
            }),
            "25 00 00 00  02 ff  00 00  00 00 00 00  00 00 00 00 00 00 00 00  # 16 + 21, WELCOME
             54 45 4c 45 58 00 0d 0a  01 00                                   # magic, version
             01 00  07 00  74 65 6c 65 78 20 31                               # software: telex 1",
        ),
        row(
            Packet::Welcome(Welcome { version: 2, software: "".into(), features: Features::TERMINALS }),
            "26 00 00 00  02 ff  00 00  00 00 00 00  00 00 00 00 00 00 00 00  # 16 + 22, WELCOME
             54 45 4c 45 58 00 0d 0a  02 00  01 00  00 00
             04 00  04 00  01 00 00 00                                        # terminals",
        ),
        row(
            Packet::Data { job: JobNumber(1), stream: StreamId::Stdout, offset: 5, bytes: "x".into() },
            "11 00 00 00  20 01  00 00  01 00 00 00  05 00 00 00 00 00 00 00  78",
        ),
        row(
            Packet::Eof { job: JobNumber(1), stream: StreamId::Stderr, total: 0 },
            "10 00 00 00  21 02  00 00  01 00 00 00  00 00 00 00 00 00 00 00",
        ),
        row(
            Packet::Data { job: JobNumber(1), stream: StreamId::Control, offset: 5, bytes: "x".into() },
            "11 00 00 00  20 05  00 00  01 00 00 00  05 00 00 00 00 00 00 00  78",
        ),
        row(
            Packet::Ack {
                job: JobNumber(1),
                stream: StreamId::Stdin,
                ack: Ack { received: 1, limit: 2, consumed: 1 },
            },
            "20 00 00 00  22 00  00 00  01 00 00 00  01 00 00 00 00 00 00 00
             02 00 00 00 00 00 00 00  01 00 00 00 00 00 00 00",
        ),
        row(
            Packet::StopSending { job: JobNumber(1), stream: StreamId::Stdin },
            "10 00 00 00  23 00  00 00  01 00 00 00  00 00 00 00 00 00 00 00",
        ),
    ];
    rows.extend(response_rows());
    rows.extend(either_way_rows());
    rows
}
