//! The rows of every request. Attachments are 64 bits, digests 32 bytes; `docs/protocol.md` has the order of the fields.

use common::frame::{JobNumber, StreamId};
use common::job::{
    ByteString, Digest, Extras, Keeping, OnDisconnect, Program, ResourceLimits, Signal, Spec, Terminal,
    TerminalMode, Variable, WindowSize,
};
use common::message::{Attach, AttachmentId, ClientMessage, Order, Position, Role, Start, Wanted};
use common::packet::Packet;

use super::{Row, row};

const ATTACHMENT: AttachmentId = AttachmentId(0x0102_0304_0506_0708);

fn request(message: ClientMessage, bytes: &str) -> Row<ClientMessage> {
    row(Packet::Message { job: JobNumber(1), message }, bytes)
}

pub(super) fn request_rows() -> Vec<Row<ClientMessage>> {
    let mut rows = vec![
        request(
            ClientMessage::Leave,
            "14 00 00 00  10 ff  00 00  01 00 00 00  00 00 00 00 00 00 00 00  03 00 00 00",
        ),
        request(
            ClientMessage::List { all: true },
            "15 00 00 00  10 ff  00 00  01 00 00 00  00 00 00 00 00 00 00 00  04 00 00 00  01",
        ),
        request(
            ClientMessage::Forget { job: "job".parse().unwrap() },
            "1f 00 00 00  10 ff  00 00  01 00 00 00  00 00 00 00 00 00 00 00  # 16 + 15, REQUEST
             05 00 00 00  03 00 00 00 00 00 00 00  6a 6f 62                   # Forget job",
        ),
    ];
    rows.extend(start_rows());
    rows.extend(login_rows());
    rows.extend(attach_rows());
    rows.extend(order_rows());
    rows
}

fn start_rows() -> [Row<ClientMessage>; 2] {
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
    let digest = Digest::from_bytes([0xd1; 32]);
    let id = "job1".parse().unwrap();
    let argv = Start { id, digest, attachment: ATTACHMENT, age_ms: 0x0203, spec: argv };
    let shell = Spec::new(Program::Shell("true".into()));
    [
        request(
            ClientMessage::Start(argv),
            "c6 00 00 00  10 ff  00 00  01 00 00 00  00 00 00 00 00 00 00 00  # 16 + 182, REQUEST
             00 00 00 00                                                      # Start
             04 00 00 00 00 00 00 00  6a 6f 62 31                             # id: job1
             d1 d1 d1 d1 d1 d1 d1 d1  d1 d1 d1 d1 d1 d1 d1 d1                 # digest
             d1 d1 d1 d1 d1 d1 d1 d1  d1 d1 d1 d1 d1 d1 d1 d1
             08 07 06 05 04 03 02 01                                          # attachment
             03 02 00 00 00 00 00 00                                          # said first 515 ms ago
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
        // The digest is what sha256sum(1) says of the bytes below it.
        request(
            ClientMessage::Start(Start::new("job1".parse().unwrap(), ATTACHMENT, shell).unwrap()),
            "7e 00 00 00  10 ff  00 00  01 00 00 00  00 00 00 00 00 00 00 00  # 16 + 110, REQUEST
             00 00 00 00  04 00 00 00 00 00 00 00  6a 6f 62 31                # Start job1
             55 5d f9 b9 fa 27 02 76  ee a4 ba 19 c3 33 e1 a0                 # digest
             d3 26 7a 22 ae df 2a 5f  b3 47 bd 81 01 5a da 5f
             08 07 06 05 04 03 02 01  00 00 00 00 00 00 00 00                 # attachment, for the first time
             01 00 00 00  04 00 00 00 00 00 00 00  74 72 75 65                # shell: true
             00  00 00 00 00 00 00 00 00  00 00 00  00  00 00 00 00           # nothing else
             00 00 00 00  60 ea 00 00 00 00 00 00  00                         # kill, 60 s, no supervisor",
        ),
    ]
}

/// The login shell, on pipes, on a terminal, and there with control descriptors; the digests are what sha256sum(1) says of the bytes
/// below them, behind which come, with the terminal, the number of extras, that of the first, an empty name, no size and no modes, and
/// that of the second.
fn login_rows() -> [Row<ClientMessage>; 3] {
    let size = WindowSize { rows: 24, columns: 80, width: 0x0102, height: 0x0304 };
    let modes = vec![TerminalMode { code: 3, value: 8 }];
    let terminal = Some(Terminal { name: "xterm".into(), size, modes });
    let extras = Extras { terminal, control: false };
    let controlled = Extras { control: true, ..extras.clone() };
    let start = |extras: &Extras| {
        let id = "job1".parse().unwrap();
        Start::with(id, ATTACHMENT, Spec::new(Program::LoginShell), extras).unwrap().say(extras)
    };
    [
        request(
            start(&Extras::default()),
            "72 00 00 00  10 ff  00 00  01 00 00 00  00 00 00 00 00 00 00 00  # 16 + 98, REQUEST
             00 00 00 00  04 00 00 00 00 00 00 00  6a 6f 62 31                # Start job1
             cf cf a6 0c 01 15 f1 ac  f9 bc 90 ee 1d c9 93 60                 # digest
             1b 68 dc bc 4e 0a ac 20  01 ec 29 1a bb 5d 86 6c
             08 07 06 05 04 03 02 01  00 00 00 00 00 00 00 00                 # attachment, for the first time
             02 00 00 00                                                      # the login shell
             00  00 00 00 00 00 00 00 00  00 00  00  00  00 00 00 00           # nothing else
             00 00 00 00  60 ea 00 00 00 00 00 00  00                         # kill, 60 s, no supervisor",
        ),
        request(
            start(&extras),
            "a0 00 00 00  10 ff  00 00  01 00 00 00  00 00 00 00 00 00 00 00  # 16 + 144, REQUEST
             06 00 00 00  04 00 00 00 00 00 00 00  6a 6f 62 31                # StartWith job1
             00 d2 5d c8 1c e2 1e f8  06 73 49 c5 f0 75 a7 1d                 # digest
             e7 19 5a 6f 41 7c b2 93  0e f6 8b 9b 21 b7 99 3c
             08 07 06 05 04 03 02 01  00 00 00 00 00 00 00 00                 # attachment, for the first time
             02 00 00 00                                                      # the login shell
             00  00 00 00 00 00 00 00 00  00 00  00  00  00 00 00 00           # nothing else
             00 00 00 00  60 ea 00 00 00 00 00 00  00                         # kill, 60 s, no supervisor
             01 00 00 00 00 00 00 00                                          # one extra
             00 00 00 00  05 00 00 00 00 00 00 00  78 74 65 72 6d             # a terminal: xterm
             18 00  50 00  02 01  04 03                                       # 24 by 80, 258 by 772 pixels
             01 00 00 00 00 00 00 00  03  08 00 00 00                         # one mode: VERASE is ^H",
        ),
        request(
            start(&controlled),
            "a4 00 00 00  10 ff  00 00  01 00 00 00  00 00 00 00 00 00 00 00  # 16 + 148, REQUEST
             06 00 00 00  04 00 00 00 00 00 00 00  6a 6f 62 31                # StartWith job1
             2b 4d b5 26 1d 83 51 c0  aa eb 2e 5d 26 67 0c 13                 # digest
             96 d9 91 d2 f4 63 0f 19  d2 a2 33 3a 02 42 47 56
             08 07 06 05 04 03 02 01  00 00 00 00 00 00 00 00                 # attachment, for the first time
             02 00 00 00                                                      # the login shell
             00  00 00 00 00 00 00 00 00  00 00  00  00  00 00 00 00           # nothing else
             00 00 00 00  60 ea 00 00 00 00 00 00  00                         # kill, 60 s, no supervisor
             02 00 00 00 00 00 00 00                                          # two extras
             00 00 00 00  05 00 00 00 00 00 00 00  78 74 65 72 6d             # a terminal, as above
             18 00  50 00  02 01  04 03
             01 00 00 00 00 00 00 00  03  08 00 00 00
             01 00 00 00                                                      # control descriptors",
        ),
    ]
}

fn attach_rows() -> [Row<ClientMessage>; 4] {
    let attach = |role, streams, times| {
        let job = "job1".parse().unwrap();
        ClientMessage::Attach(Attach { job, attachment: ATTACHMENT, role, streams, times })
    };
    let wanted = |stream, from, window| Wanted { stream, from, window };
    [
        request(
            attach(
                Role::Writer,
                vec![
                    wanted(StreamId::Stdout, Position::At(0x0001_0000_0000), 0x0020_0000),
                    wanted(StreamId::Stderr, Position::Oldest, 0),
                ],
                false,
            ),
            "57 00 00 00  10 ff  00 00  01 00 00 00  00 00 00 00 00 00 00 00  # 16 + 71, REQUEST
             01 00 00 00  04 00 00 00 00 00 00 00  6a 6f 62 31                # Attach job1
             08 07 06 05 04 03 02 01  00 00 00 00                             # attachment, writer
             02 00 00 00 00 00 00 00                                          # two streams
             01  02 00 00 00  00 00 00 00 01 00 00 00                         # stdout from 2^32
             00 00 20 00 00 00 00 00                                          # 2 MiB
             02  00 00 00 00  00 00 00 00 00 00 00 00                         # stderr from the oldest, nothing yet
             00                                                               # no times",
        ),
        request(
            attach(Role::Reader, vec![wanted(StreamId::Stderr, Position::Newest, 1)], true),
            "42 00 00 00  10 ff  00 00  01 00 00 00  00 00 00 00 00 00 00 00
             01 00 00 00  04 00 00 00 00 00 00 00  6a 6f 62 31
             08 07 06 05 04 03 02 01  01 00 00 00                             # reader
             01 00 00 00 00 00 00 00
             02  01 00 00 00  01 00 00 00 00 00 00 00                         # stderr from the newest, a byte
             01                                                               # times",
        ),
        request(
            attach(Role::Snapshot, vec![wanted(StreamId::Stdout, Position::Oldest, 1)], false),
            "42 00 00 00  10 ff  00 00  01 00 00 00  00 00 00 00 00 00 00 00
             01 00 00 00  04 00 00 00 00 00 00 00  6a 6f 62 31
             08 07 06 05 04 03 02 01  02 00 00 00                             # snapshot
             01 00 00 00 00 00 00 00
             01  00 00 00 00  01 00 00 00 00 00 00 00
             00",
        ),
        request(
            attach(Role::Controller, Vec::new(), false),
            "35 00 00 00  10 ff  00 00  01 00 00 00  00 00 00 00 00 00 00 00
             01 00 00 00  04 00 00 00 00 00 00 00  6a 6f 62 31
             08 07 06 05 04 03 02 01  03 00 00 00                             # controller
             00 00 00 00 00 00 00 00  00                                      # no streams",
        ),
    ]
}

fn order_rows() -> [Row<ClientMessage>; 5] {
    let size = WindowSize { rows: 24, columns: 80, width: 0x0102, height: 0x0304 };
    [
        request(
            ClientMessage::Order { sequence: 1, order: Order::Signal(Signal::TERM) },
            "21 00 00 00  10 ff  00 00  01 00 00 00  00 00 00 00 00 00 00 00  # 16 + 17, REQUEST
             02 00 00 00  01 00 00 00 00 00 00 00  00 00 00 00  0f            # the first order, SIGTERM",
        ),
        request(
            ClientMessage::Order { sequence: 0x0203, order: Order::Cancel },
            "20 00 00 00  10 ff  00 00  01 00 00 00  00 00 00 00 00 00 00 00
             02 00 00 00  03 02 00 00 00 00 00 00  01 00 00 00",
        ),
        request(
            ClientMessage::Order { sequence: 3, order: Order::Keep },
            "20 00 00 00  10 ff  00 00  01 00 00 00  00 00 00 00 00 00 00 00
             02 00 00 00  03 00 00 00 00 00 00 00  02 00 00 00",
        ),
        request(
            ClientMessage::Order { sequence: 4, order: Order::Resize(size) },
            "28 00 00 00  10 ff  00 00  01 00 00 00  00 00 00 00 00 00 00 00  # 16 + 24, REQUEST
             02 00 00 00  04 00 00 00 00 00 00 00  03 00 00 00
             18 00  50 00  02 01  04 03                                       # 24 by 80, 258 by 772 pixels",
        ),
        request(
            ClientMessage::Order { sequence: 5, order: Order::Control("ls\n".into()) },
            "2b 00 00 00  10 ff  00 00  01 00 00 00  00 00 00 00 00 00 00 00  # 16 + 27, REQUEST
             02 00 00 00  05 00 00 00 00 00 00 00  04 00 00 00
             03 00 00 00 00 00 00 00  6c 73 0a                                # ls and a newline",
        ),
    ]
}
