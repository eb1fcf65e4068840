//! Every frame and every message beside its bytes, written down from `docs/protocol.md` and not by the code.

use bytes::Bytes;
use common::frame::{JobNumber, StreamId};
use common::greeting::{Close, CloseCode, Hello, Method, Welcome};
use common::invitation::Token;
use common::job::{
    ByteString, Ended, Keeping, OnDisconnect, Outcome, PeakMemory, Program, Resource, ResourceLimits, Signal,
    Spec, StartFailure, StreamTotal, Usage, Variable,
};
use common::message::{ClientMessage, ServerMessage};
use common::packet::{Ack, Echo, Packet};

use crate::hex::hex;

/// A packet and its bytes.
pub(crate) struct Row<M> {
    pub(crate) packet: Packet<M>,
    pub(crate) bytes: Vec<u8>,
}

fn row<M>(packet: Packet<M>, bytes: &str) -> Row<M> {
    Row { packet, bytes: hex(bytes) }
}

fn request(message: ClientMessage, bytes: &str) -> Row<ClientMessage> {
    row(Packet::Message { job: JobNumber(1), message }, bytes)
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
             54 45 4c 45 58 00 0d 0a  01 00  01 00  01  00                    # versions, invitation, no user
             01 00  00 00                                                     # no software
             02 00  20 00  ab ab ab ab ab ab ab ab  ab ab ab ab ab ab ab ab   # the token
             ab ab ab ab ab ab ab ab  ab ab ab ab ab ab ab ab",
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

fn request_rows() -> Vec<Row<ClientMessage>> {
    let argv = Spec {
        program: Program::Argv(vec!["ls".into(), "-l".into()]),
        directory: Some("/tmp".into()),
        environment: vec![Variable { name: "A".into(), value: ByteString(vec![0x62, 0xff]) }],
        stdin: true,
        merge_output: false,
        wait_output: true,
        timeout_ms: Some(1000),
        limits: ResourceLimits {
            memory: Some(0x0001_0000),
            cpu_percent: Some(150),
            processes: Some(200),
            nice: Some(-5),
        },
        keeping: Keeping { on_disconnect: OnDisconnect::Keep, grace_ms: 2000, supervised: true },
    };
    let shell = Spec::new(Program::Shell("true".into()));
    vec![
        request(
            ClientMessage::Start { id: "job1".parse().unwrap(), spec: argv },
            "96 00 00 00  10 ff  00 00  01 00 00 00  00 00 00 00 00 00 00 00  # 16 + 134, REQUEST
             00 00 00 00                                                      # Start
             04 00 00 00 00 00 00 00  6a 6f 62 31                             # id: job1
             00 00 00 00  02 00 00 00 00 00 00 00                             # argv of two words
             02 00 00 00 00 00 00 00  6c 73                                   # ls
             02 00 00 00 00 00 00 00  2d 6c                                   # -l
             01  04 00 00 00 00 00 00 00  2f 74 6d 70                         # directory: /tmp
             01 00 00 00 00 00 00 00                                          # one variable
             01 00 00 00 00 00 00 00  41                                      # A
             02 00 00 00 00 00 00 00  62 ff                                   # not UTF-8
             01 00 01                                                         # stdin, not merged, wait
             01  e8 03 00 00 00 00 00 00                                      # 1000 ms
             01  00 00 01 00 00 00 00 00  01  96 00 00 00                     # 64 KiB, 150 %
             01  c8 00 00 00  01  fb                                          # 200 processes, nice -5
             01 00 00 00  d0 07 00 00 00 00 00 00  01                         # keep, 2000 ms, supervised",
        ),
        request(
            ClientMessage::Start { id: "job1".parse().unwrap(), spec: shell },
            "4e 00 00 00  10 ff  00 00  01 00 00 00  00 00 00 00 00 00 00 00  # 16 + 62, REQUEST
             00 00 00 00  04 00 00 00 00 00 00 00  6a 6f 62 31                # Start job1
             01 00 00 00  04 00 00 00 00 00 00 00  74 72 75 65                # shell: true
             00  00 00 00 00 00 00 00 00  00 00 00  00  00 00 00 00           # nothing else
             00 00 00 00  60 ea 00 00 00 00 00 00  00                         # kill, 60 s, no supervisor",
        ),
        request(
            ClientMessage::Signal(Signal::TERM),
            "15 00 00 00  10 ff  00 00  01 00 00 00  00 00 00 00 00 00 00 00  01 00 00 00  0f",
        ),
        request(
            ClientMessage::Cancel,
            "14 00 00 00  10 ff  00 00  01 00 00 00  00 00 00 00 00 00 00 00  02 00 00 00",
        ),
    ]
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
            Packet::Welcome(Welcome { version: 1, software: "telex 1".into() }),
            "25 00 00 00  02 ff  00 00  00 00 00 00  00 00 00 00 00 00 00 00  # 16 + 21, WELCOME
             54 45 4c 45 58 00 0d 0a  01 00                                   # magic, version
             01 00  07 00  74 65 6c 65 78 20 31                               # software: telex 1",
        ),
        row(
            Packet::Message { job: JobNumber(7), message: ServerMessage::Started { process_id: 0x0102 } },
            "18 00 00 00  11 ff  00 00  07 00 00 00  00 00 00 00 00 00 00 00  00 00 00 00  02 01 00 00",
        ),
        row(
            Packet::Message { job: JobNumber::CONNECTION, message: ServerMessage::GoingAway },
            "14 00 00 00  11 ff  00 00  00 00 00 00  00 00 00 00 00 00 00 00  02 00 00 00",
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
    rows.extend(ended_rows());
    rows.extend(either_way_rows());
    rows
}

fn ended_rows() -> Vec<Row<ServerMessage>> {
    let no = "02 00 00 00 00 00 00 00  6e 6f";
    let x = "01 00 00 00 00 00 00 00  78";
    let not_started = Outcome::NotStarted;
    vec![
        ended(Outcome::Exited(7), "5a", "00 00 00 00  07"),
        ended(Outcome::Signaled { signal: Signal::KILL, core_dumped: true }, "5b", "01 00 00 00  09  01"),
        ended(Outcome::TimedOut, "59", "02 00 00 00"),
        ended(Outcome::Cancelled, "59", "03 00 00 00"),
        ended(
            not_started(StartFailure::NotFound { program: "x".into(), searched: "/bin".into() }),
            "72",
            &format!("04 00 00 00  00 00 00 00  {x}  04 00 00 00 00 00 00 00  2f 62 69 6e"),
        ),
        ended(
            not_started(StartFailure::NotExecutable { program: "x".into(), reason: "no".into() }),
            "70",
            &format!("04 00 00 00  01 00 00 00  {x} {no}"),
        ),
        ended(
            not_started(StartFailure::Directory { path: "x".into(), reason: "no".into() }),
            "70",
            &format!("04 00 00 00  02 00 00 00  {x} {no}"),
        ),
        ended(
            not_started(StartFailure::Invalid("no".into())),
            "67",
            &format!("04 00 00 00  03 00 00 00  {no}"),
        ),
        ended(
            not_started(StartFailure::Exhausted("no".into())),
            "67",
            &format!("04 00 00 00  04 00 00 00  {no}"),
        ),
        ended(
            not_started(StartFailure::Refused("no".into())),
            "67",
            &format!("04 00 00 00  05 00 00 00  {no}"),
        ),
        ended(
            not_started(StartFailure::Limit { limit: Resource::Cpu, reason: "no".into() }),
            "6b",
            &format!("04 00 00 00  06 00 00 00  01 00 00 00  {no}"),
        ),
        ended(Outcome::Lost("no".into()), "63", &format!("05 00 00 00  {no}")),
    ]
}

/// `length` is the low byte of the length field: 16 of header, 4 of message number, the outcome, 65 of the rest.
fn ended(outcome: Outcome, length: &str, outcome_bytes: &str) -> Row<ServerMessage> {
    let totals = vec![
        StreamTotal { stream: StreamId::Stdout, bytes: 5 },
        StreamTotal { stream: StreamId::Stderr, bytes: 0x0100 },
    ];
    let ended = Ended {
        outcome,
        totals,
        stdin_consumed: 3,
        output_left_open: true,
        wall_us: 0x0201,
        usage: Some(Usage { cpu_us: 4, peak_memory: PeakMemory::AtMost(0x1000) }),
        out_of_memory: true,
    };
    let bytes = format!(
        "{length} 00 00 00  11 ff  00 00  01 00 00 00  00 00 00 00 00 00 00 00
         01 00 00 00  {outcome_bytes}           # Ended
         02 00 00 00 00 00 00 00                # two totals
         01  05 00 00 00 00 00 00 00            # stdout
         02  00 01 00 00 00 00 00 00            # stderr
         03 00 00 00 00 00 00 00  01            # stdin consumed, output left open
         01 02 00 00 00 00 00 00                # wall
         01  04 00 00 00 00 00 00 00            # processor time
         01 00 00 00  00 10 00 00 00 00 00 00   # at most 4 KiB
         01                                     # out of memory"
    );
    row(Packet::Message { job: JobNumber(1), message: ServerMessage::Ended(ended) }, &bytes)
}
