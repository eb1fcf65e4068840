//! The rows of every response.

use common::frame::{JobNumber, StreamId};
use common::job::{
    Ended, Outcome, PeakMemory, Resource, Signal, StartFailure, StreamTotal, Usage, WindowSize,
};
use common::message::{Attached, Begins, JobState, JobSummary, Kept, Refusal, ServerMessage, StdinProgress};
use common::packet::Packet;

use super::{Row, row};

fn response(message: ServerMessage, bytes: &str) -> Row<ServerMessage> {
    row(Packet::Message { job: JobNumber(1), message }, bytes)
}

pub(super) fn response_rows() -> Vec<Row<ServerMessage>> {
    let mut rows = vec![
        row(
            Packet::Message { job: JobNumber::CONNECTION, message: ServerMessage::GoingAway },
            "14 00 00 00  11 ff  00 00  00 00 00 00  00 00 00 00 00 00 00 00  02 00 00 00",
        ),
        response(
            ServerMessage::Started { process_id: 0x0102, grace_ms: Some(60_000) },
            "21 00 00 00  11 ff  00 00  01 00 00 00  00 00 00 00 00 00 00 00  # 16 + 17, RESPONSE
             00 00 00 00  02 01 00 00  01  60 ea 00 00 00 00 00 00            # Started, process 258, 60 s",
        ),
        response(
            ServerMessage::Started { process_id: 1, grace_ms: None },
            "19 00 00 00  11 ff  00 00  01 00 00 00  00 00 00 00 00 00 00 00
             00 00 00 00  01 00 00 00  00                                     # kept",
        ),
        response(
            ServerMessage::Applied { sequence: 0x0203 },
            "1c 00 00 00  11 ff  00 00  01 00 00 00  00 00 00 00 00 00 00 00
             04 00 00 00  03 02 00 00 00 00 00 00",
        ),
        response(
            ServerMessage::Superseded,
            "14 00 00 00  11 ff  00 00  01 00 00 00  00 00 00 00 00 00 00 00  06 00 00 00",
        ),
        response(
            ServerMessage::Done,
            "14 00 00 00  11 ff  00 00  01 00 00 00  00 00 00 00 00 00 00 00  08 00 00 00",
        ),
        response(
            ServerMessage::Skipped { stream: StreamId::Stdout, to: 0x0203 },
            "1d 00 00 00  11 ff  00 00  01 00 00 00  00 00 00 00 00 00 00 00
             09 00 00 00  01  03 02 00 00 00 00 00 00                         # stdout goes on at 515",
        ),
        response(
            ServerMessage::Written { stream: StreamId::Stderr, from: 5, unix_ms: 0x0203 },
            "25 00 00 00  11 ff  00 00  01 00 00 00  00 00 00 00 00 00 00 00
             0a 00 00 00  02  05 00 00 00 00 00 00 00  03 02 00 00 00 00 00 00",
        ),
        response(
            ServerMessage::OnTerminal { size: WindowSize { rows: 24, columns: 80, width: 0, height: 0 } },
            "1c 00 00 00  11 ff  00 00  01 00 00 00  00 00 00 00 00 00 00 00
             0c 00 00 00  18 00  50 00  00 00  00 00                          # 24 by 80",
        ),
        response(
            ServerMessage::Declined { sequence: 2, reason: "no".to_owned() },
            "26 00 00 00  11 ff  00 00  01 00 00 00  00 00 00 00 00 00 00 00
             0b 00 00 00  02 00 00 00 00 00 00 00  02 00 00 00 00 00 00 00  6e 6f",
        ),
    ];
    rows.extend(attached_rows());
    rows.extend(refused_rows());
    rows.extend(listed_rows());
    rows.extend(ended_rows());
    rows
}

fn attached_rows() -> [Row<ServerMessage>; 2] {
    let id = "job1".parse().unwrap();
    let begins = |stream, at| Begins { stream, at };
    let whole = Attached {
        id,
        process_id: Some(0x0102),
        grace_ms: Some(60_000),
        streams: vec![begins(StreamId::Stdout, 5), begins(StreamId::Stderr, 0x0100)],
        stdin: Some(StdinProgress { received: 7, limit: 0x0001_0000, consumed: 6 }),
        applied: 3,
    };
    let id = "job1".parse().unwrap();
    let least =
        Attached { id, process_id: None, grace_ms: None, streams: Vec::new(), stdin: None, applied: 0 };
    [
        response(
            ServerMessage::Attached(whole),
            "69 00 00 00  11 ff  00 00  01 00 00 00  00 00 00 00 00 00 00 00  # 16 + 89, RESPONSE
             03 00 00 00  04 00 00 00 00 00 00 00  6a 6f 62 31                # Attached, job1
             01  02 01 00 00  01  60 ea 00 00 00 00 00 00                     # process 258, 60 s
             02 00 00 00 00 00 00 00                                          # two streams
             01  05 00 00 00 00 00 00 00                                      # stdout from 5
             02  00 01 00 00 00 00 00 00                                      # stderr from 256
             01  07 00 00 00 00 00 00 00                                      # stdin: received
             00 00 01 00 00 00 00 00  06 00 00 00 00 00 00 00                 # limit, consumed
             03 00 00 00 00 00 00 00                                          # the third order was the last",
        ),
        response(
            ServerMessage::Attached(least),
            "33 00 00 00  11 ff  00 00  01 00 00 00  00 00 00 00 00 00 00 00
             03 00 00 00  04 00 00 00 00 00 00 00  6a 6f 62 31
             00  00  00 00 00 00 00 00 00 00  00  00 00 00 00 00 00 00 00     # nothing of all that",
        ),
    ]
}

fn refused_rows() -> [Row<ServerMessage>; 8] {
    let (stream, no) = (StreamId::Stdout, "02 00 00 00 00 00 00 00  6e 6f");
    let refused = |refusal, length: &str, rest: &str| {
        let header = format!("{length} 00 00 00  11 ff  00 00  01 00 00 00  00 00 00 00 00 00 00 00");
        response(ServerMessage::Refused(refusal), &format!("{header}  05 00 00 00  {rest}"))
    };
    [
        refused(Refusal::Unknown, "18", "00 00 00 00"),
        refused(Refusal::Ambiguous { jobs: 3 }, "1c", "01 00 00 00  03 00 00 00"),
        refused(Refusal::Conflict, "18", "02 00 00 00"),
        refused(
            Refusal::Trimmed { stream, oldest: 0x0203 },
            "21",
            "03 00 00 00  01  03 02 00 00 00 00 00 00",
        ),
        refused(Refusal::Beyond { stream, end: 5 }, "21", "04 00 00 00  01  05 00 00 00 00 00 00 00"),
        refused(Refusal::Running, "18", "05 00 00 00"),
        refused(Refusal::Denied("no".into()), "22", &format!("06 00 00 00  {no}")),
        refused(Refusal::Unavailable("no".into()), "22", &format!("07 00 00 00  {no}")),
    ]
}

fn listed_rows() -> [Row<ServerMessage>; 3] {
    let summary = |state, writer: Option<&str>, owner: Option<&str>| {
        ServerMessage::Listed(JobSummary {
            id: "job1".parse().unwrap(),
            state,
            command: "ls".into(),
            started_unix_ms: 0x0102,
            writer: writer.map(str::to_owned),
            readers: 2,
            supervised: true,
            owner: owner.map(str::to_owned),
            kept: vec![Kept { stream: StreamId::Stdout, oldest: 5, end: 0x0100 }],
        })
    };
    [
        response(
            summary(JobState::Running { process_id: 0x0102 }, Some("ann"), Some("bob")),
            "70 00 00 00  11 ff  00 00  01 00 00 00  00 00 00 00 00 00 00 00  # 16 + 96, RESPONSE
             07 00 00 00  04 00 00 00 00 00 00 00  6a 6f 62 31                # Listed, job1
             01 00 00 00  02 01 00 00                                         # runs as process 258
             02 00 00 00 00 00 00 00  6c 73  02 01 00 00 00 00 00 00          # ls, since 258
             01  03 00 00 00 00 00 00 00  61 6e 6e                            # attended to from ann
             02 00 00 00  01                                                  # two readers, supervised
             01  03 00 00 00 00 00 00 00  62 6f 62                            # bob's
             01 00 00 00 00 00 00 00                                          # one stream
             01  05 00 00 00 00 00 00 00  00 01 00 00 00 00 00 00             # stdout, from 5 to 256",
        ),
        response(
            summary(JobState::Starting, None, None),
            "56 00 00 00  11 ff  00 00  01 00 00 00  00 00 00 00 00 00 00 00
             07 00 00 00  04 00 00 00 00 00 00 00  6a 6f 62 31
             00 00 00 00                                                      # starts
             02 00 00 00 00 00 00 00  6c 73  02 01 00 00 00 00 00 00
             00  02 00 00 00  01  00                                          # nobody's client, one's own
             01 00 00 00 00 00 00 00
             01  05 00 00 00 00 00 00 00  00 01 00 00 00 00 00 00",
        ),
        response(
            summary(JobState::Over { outcome: Outcome::Exited(7), ended_unix_ms: 0x0203 }, None, None),
            "63 00 00 00  11 ff  00 00  01 00 00 00  00 00 00 00 00 00 00 00
             07 00 00 00  04 00 00 00 00 00 00 00  6a 6f 62 31
             02 00 00 00  00 00 00 00  07  03 02 00 00 00 00 00 00            # over: exited with 7, at 515
             02 00 00 00 00 00 00 00  6c 73  02 01 00 00 00 00 00 00
             00  02 00 00 00  01  00
             01 00 00 00 00 00 00 00
             01  05 00 00 00 00 00 00 00  00 01 00 00 00 00 00 00",
        ),
    ]
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
        response(
            ServerMessage::Ended(Ended::without_output(Outcome::Cancelled)),
            "33 00 00 00  11 ff  00 00  01 00 00 00  00 00 00 00 00 00 00 00  # 16 + 35, RESPONSE
             01 00 00 00  03 00 00 00  00 00 00 00 00 00 00 00                # Ended, cancelled, no totals
             00 00 00 00 00 00 00 00  00  00 00 00 00 00 00 00 00  00  00     # no process, nothing used",
        ),
        ended_with(PeakMemory::Exactly(0x1000), Outcome::Exited(0), "5a", "00 00 00 00  00", "00"),
    ]
}

fn ended(outcome: Outcome, length: &str, outcome_bytes: &str) -> Row<ServerMessage> {
    ended_with(PeakMemory::AtMost(0x1000), outcome, length, outcome_bytes, "01")
}

/// `length` is the low byte of the length field: 16 of header, 4 of message number, the outcome, 65 of the rest.
fn ended_with(
    peak_memory: PeakMemory,
    outcome: Outcome,
    length: &str,
    outcome_bytes: &str,
    peak: &str,
) -> Row<ServerMessage> {
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
        usage: Some(Usage { cpu_us: 4, peak_memory }),
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
         {peak} 00 00 00  00 10 00 00 00 00 00 00   # exactly, or at most, 4 KiB
         01                                         # out of memory"
    );
    response(ServerMessage::Ended(ended), &bytes)
}
