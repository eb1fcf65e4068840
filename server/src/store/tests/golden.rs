//! Every record beside its bytes, so that the next version reads what this one has written.

use common::frame::StreamId;
use common::job::{Ended, Keeping, OnDisconnect, Outcome, PeakMemory, StreamTotal, Usage};
use common::keys::PublicKey;
use common::record::{self, Record};

use super::record::{Begun, Memory, Removed};
use super::*;

#[track_caller]
fn check<R: Record + PartialEq + std::fmt::Debug>(value: &R, expected: &str) {
    let bytes = record::seal(value).unwrap();
    let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let expected: String = expected.lines().filter_map(|line| line.split('#').next()).collect();
    assert_eq!(text, expected.replace(' ', ""));
    assert_eq!(record::open::<R>(&bytes).as_ref(), Ok(value));
}

fn intent(owner: Owner) -> Intent {
    Intent {
        owner,
        id: "build".parse().unwrap(),
        digest: Digest::from_bytes([0xdd; 32]),
        created: Timestamp(0x0102_0304),
        boot: BootId([0xbb; 16]),
        command: Command::Shell("make".to_owned()),
        variables: vec!["CI".to_owned()],
        keeping: Keeping { on_disconnect: OnDisconnect::Keep, grace_ms: 60_000, supervised: true },
    }
}

#[test]
fn records_have_these_bytes() {
    let started = Started { process_id: 7, process_start: 8, at: Timestamp(9) };
    check(&intent(Owner::User(1000)), INTENT_OF_USER);
    check(&intent(Owner::Key(PublicKey::from_bytes([0xcc; 32]))), INTENT_OF_KEY);
    let argv =
        Intent { command: Command::Argv("a b".to_owned()), variables: Vec::new(), ..intent(Owner::User(0)) };
    check(&argv, INTENT_OF_WORDS);
    check(&Begun { at: Timestamp(1), cgroup: Some("/c".to_owned()) }, BEGUN);
    check(&started, STARTED);
    let ended = Ended {
        outcome: Outcome::Exited(3),
        totals: vec![StreamTotal { stream: StreamId::Stdout, bytes: 5 }],
        stdin_consumed: 1,
        output_left_open: false,
        out_of_memory: false,
        wall_us: 2,
        usage: Some(Usage { cpu_us: 4, peak_memory: PeakMemory::Exactly(6) }),
    };
    let seen = End { ended, cause: Cause::Seen, at: Timestamp(1), started: Some(started) };
    check(&seen, ENDED);
    for (cause, bytes) in [
        (Cause::NeverBegan, NEVER_BEGAN),
        (Cause::SupervisorLost, SUPERVISOR_LOST),
        (Cause::Restarted, RESTARTED),
    ] {
        let ended = Ended::without_output(Outcome::Lost("why".to_owned()));
        check(&End { ended, cause, at: Timestamp(1), started: None }, bytes);
    }
    check(&Removed { stdout: 1, stderr: 2, at: Timestamp(3) }, REMOVED);
    check(&Memory { since: Timestamp(1) }, MEMORY);
}

const INTENT_OF_USER: &str = "54 4c 58 52  # TLXR
     01 01 7c 00 00 00  # kind 1, version 1, 124 bytes
     01 00 00 00 e8 03 00 00  # owner: user 1000
     05 00 00 00 00 00 00 00 62 75 69 6c 64  # id: build
     dd dd dd dd dd dd dd dd dd dd dd dd dd dd dd dd dd dd dd dd dd dd dd dd dd dd dd dd dd dd dd dd  # digest
     04 03 02 01 00 00 00 00  # created
     bb bb bb bb bb bb bb bb bb bb bb bb bb bb bb bb  # boot
     01 00 00 00 04 00 00 00 00 00 00 00 6d 61 6b 65  # shell: make
     01 00 00 00 00 00 00 00 02 00 00 00 00 00 00 00 43 49  # variables: CI
     01 00 00 00 60 ea 00 00 00 00 00 00 01  # keep, 60 s, supervised
     fa 32 2c 62 cf 4b 46 8b  # checksum";

const INTENT_OF_KEY: &str = "54 4c 58 52  # TLXR
     01 01 98 00 00 00  # kind 1, version 1, 152 bytes
     00 00 00 00 cc cc cc cc cc cc cc cc cc cc cc cc cc cc cc cc cc cc cc cc cc cc cc cc cc cc cc cc cc cc cc cc  # owner: a key
     05 00 00 00 00 00 00 00 62 75 69 6c 64  # id: build
     dd dd dd dd dd dd dd dd dd dd dd dd dd dd dd dd dd dd dd dd dd dd dd dd dd dd dd dd dd dd dd dd  # digest
     04 03 02 01 00 00 00 00  # created
     bb bb bb bb bb bb bb bb bb bb bb bb bb bb bb bb  # boot
     01 00 00 00 04 00 00 00 00 00 00 00 6d 61 6b 65  # shell: make
     01 00 00 00 00 00 00 00 02 00 00 00 00 00 00 00 43 49  # variables: CI
     01 00 00 00 60 ea 00 00 00 00 00 00 01  # keep, 60 s, supervised
     51 c0 28 54 9f 1d 0a 3e  # checksum";

const INTENT_OF_WORDS: &str = "54 4c 58 52  # TLXR
     01 01 71 00 00 00  # kind 1, version 1, 113 bytes
     01 00 00 00 00 00 00 00  # owner: user 0
     05 00 00 00 00 00 00 00 62 75 69 6c 64  # id: build
     dd dd dd dd dd dd dd dd dd dd dd dd dd dd dd dd dd dd dd dd dd dd dd dd dd dd dd dd dd dd dd dd  # digest
     04 03 02 01 00 00 00 00  # created
     bb bb bb bb bb bb bb bb bb bb bb bb bb bb bb bb  # boot
     00 00 00 00 03 00 00 00 00 00 00 00 61 20 62  # words: a b
     00 00 00 00 00 00 00 00  # no variables
     01 00 00 00 60 ea 00 00 00 00 00 00 01  # keep, 60 s, supervised
     32 a0 7e 6f 59 e4 42 04  # checksum";

const BEGUN: &str = "54 4c 58 52  # TLXR
     02 01 13 00 00 00  # kind 2, version 1, 19 bytes
     01 00 00 00 00 00 00 00  # at
     01 02 00 00 00 00 00 00 00 2f 63  # cgroup /c
     f6 d5 bb 2f 94 71 73 14  # checksum";

const STARTED: &str = "54 4c 58 52  # TLXR
     03 01 14 00 00 00  # kind 3, version 1, 20 bytes
     07 00 00 00 08 00 00 00 00 00 00 00 09 00 00 00 00 00 00 00  # process, its start, at
     b9 d8 8c 6f f6 38 b1 f6  # checksum";

const ENDED: &str = "54 4c 58 52  # TLXR
     04 01 5e 00 00 00  # kind 4, version 1, 94 bytes
     00 00 00 00 03  # exited with 3
     01 00 00 00 00 00 00 00 01 05 00 00 00 00 00 00 00  # totals: stdout 5
     01 00 00 00 00 00 00 00 00 02 00 00 00 00 00 00 00  # stdin, output left open, wall time
     01 04 00 00 00 00 00 00 00 00 00 00 00 06 00 00 00 00 00 00 00  # usage
     00  # not out of memory
     00 00 00 00  # cause: seen
     01 00 00 00 00 00 00 00  # at
     01 07 00 00 00 08 00 00 00 00 00 00 00 09 00 00 00 00 00 00 00  # process
     1b d3 83 43 9a 73 5b 9b  # checksum";

const NEVER_BEGAN: &str = "54 4c 58 52  # TLXR
     04 01 37 00 00 00  # kind 4, version 1, 55 bytes
     05 00 00 00 03 00 00 00 00 00 00 00 77 68 79  # lost: why
     00 00 00 00 00 00 00 00  # no totals
     00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00  # stdin, output left open, wall time, no usage
     00  # not out of memory
     01 00 00 00  # cause
     01 00 00 00 00 00 00 00  # at
     00  # no process
     84 aa 08 14 e5 94 da 07  # checksum";

const SUPERVISOR_LOST: &str = "54 4c 58 52  # TLXR
     04 01 37 00 00 00  # kind 4, version 1, 55 bytes
     05 00 00 00 03 00 00 00 00 00 00 00 77 68 79  # lost: why
     00 00 00 00 00 00 00 00  # no totals
     00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00  # stdin, output left open, wall time, no usage
     00  # not out of memory
     02 00 00 00  # cause
     01 00 00 00 00 00 00 00  # at
     00  # no process
     07 ee 80 25 88 59 a6 ee  # checksum";

const RESTARTED: &str = "54 4c 58 52  # TLXR
     04 01 37 00 00 00  # kind 4, version 1, 55 bytes
     05 00 00 00 03 00 00 00 00 00 00 00 77 68 79  # lost: why
     00 00 00 00 00 00 00 00  # no totals
     00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00  # stdin, output left open, wall time, no usage
     00  # not out of memory
     03 00 00 00  # cause
     01 00 00 00 00 00 00 00  # at
     00  # no process
     8d d6 5f fb a4 3a f2 c9  # checksum";

const REMOVED: &str = "54 4c 58 52  # TLXR
     05 01 18 00 00 00  # kind 5, version 1, 24 bytes
     01 00 00 00 00 00 00 00 02 00 00 00 00 00 00 00  # stdout, stderr
     03 00 00 00 00 00 00 00  # at
     ef ac f6 c6 5c 74 34 62  # checksum";

const MEMORY: &str = "54 4c 58 52  # TLXR
     06 01 08 00 00 00  # kind 6, version 1, 8 bytes
     01 00 00 00 00 00 00 00  # since
     0d e5 66 f0 b4 5d 3c 50  # checksum";
