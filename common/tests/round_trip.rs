//! What is encoded decodes to itself, for values nobody thought of.

#![expect(clippy::unwrap_used, reason = "a test ends at the first thing that is not as it should be")]

use std::fmt::Debug;
use std::net::SocketAddr;

use bytes::{Bytes, BytesMut};
use common::connection::{ConnectionError, packet_bytes};
use common::frame::{self, HEADER_LEN, JobNumber, Kind, StreamId};
use common::greeting::{Close, CloseCode, Features, Hello, Method, Welcome};
use common::invitation::Token;
use common::job::{
    ByteString, Digest, Ended, Extra, JobId, Keeping, OnDisconnect, Outcome, PeakMemory, Program, Resource,
    ResourceLimits, Signal, Spec, StartFailure, StreamTotal, Terminal, TerminalMode, Usage, Variable,
    WindowSize,
};
use common::limits;
use common::message::{
    self, Attach, Attached, AttachmentId, Begins, ClientMessage, JobState, JobSummary, Kept, Message,
    MessageError, Order, Position, Refusal, Role, ServerMessage, Start, StdinProgress, Wanted,
};
use common::packet::{Ack, Echo, Packet};
use proptest::collection::vec;
use proptest::prelude::*;

fn job() -> impl Strategy<Value = JobNumber> {
    (1..=u32::MAX).prop_map(JobNumber)
}

fn bytes(most: usize) -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..=most).prop_map(Bytes::from)
}

fn byte_string() -> impl Strategy<Value = ByteString> {
    vec(any::<u8>(), 0..40).prop_map(ByteString)
}

/// At most 60 characters, so at most 240 bytes: no field cuts it.
fn text() -> impl Strategy<Value = String> {
    vec(any::<char>(), 0..60).prop_map(String::from_iter)
}

fn signal() -> impl Strategy<Value = Signal> {
    (1..=64).prop_map(|number| Signal::from_number(number).unwrap())
}

fn job_id() -> impl Strategy<Value = JobId> {
    prop_oneof!["[!-~]{1,64}", "[ä-ž]{1,32}", "[\u{1F600}-\u{1F64F}]{1,16}"]
        .prop_map(|id| id.parse().unwrap())
}

fn spec() -> impl Strategy<Value = Spec> {
    let program = prop_oneof![
        vec(byte_string(), 0..20).prop_map(Program::Argv),
        byte_string().prop_map(Program::Shell),
        Just(Program::LoginShell),
    ];
    let variable = (byte_string(), byte_string()).prop_map(|(name, value)| Variable { name, value });
    let switches = any::<(bool, bool, bool)>();
    let bounds = (any::<Option<u64>>(), limits(), keeping());
    (program, prop::option::of(byte_string()), vec(variable, 0..10), switches, bounds).prop_map(
        |(program, directory, environment, (stdin, merge_output, wait_output), bounds)| Spec {
            program,
            directory,
            environment,
            stdin,
            merge_output,
            wait_output,
            timeout_ms: bounds.0,
            limits: bounds.1,
            keeping: bounds.2,
        },
    )
}

fn window_size() -> impl Strategy<Value = WindowSize> {
    any::<[u16; 4]>().prop_map(|[rows, columns, width, height]| WindowSize { rows, columns, width, height })
}

fn extra() -> impl Strategy<Value = Extra> {
    let mode = any::<(u8, u32)>().prop_map(|(code, value)| TerminalMode { code, value });
    let terminal = (byte_string(), window_size(), vec(mode, 0..=limits::TERMINAL_MODES))
        .prop_map(|(name, size, modes)| Extra::Terminal(Terminal { name, size, modes }));
    prop_oneof![terminal, Just(Extra::Control)]
}

fn attachment() -> impl Strategy<Value = AttachmentId> {
    any::<u64>().prop_map(AttachmentId)
}

fn start() -> impl Strategy<Value = Start> {
    let digest = any::<[u8; 32]>().prop_map(Digest::from_bytes);
    (job_id(), digest, attachment(), any::<u64>(), spec())
        .prop_map(|(id, digest, attachment, age_ms, spec)| Start { id, digest, attachment, age_ms, spec })
}

fn stream() -> impl Strategy<Value = StreamId> {
    prop::sample::select(&StreamId::ALL[..])
}

fn attach() -> impl Strategy<Value = Attach> {
    let role = prop::sample::select(&[Role::Writer, Role::Reader, Role::Snapshot, Role::Controller][..]);
    let from =
        prop_oneof![Just(Position::Oldest), Just(Position::Newest), any::<u64>().prop_map(Position::At),];
    let wanted =
        (stream(), from, any::<u64>()).prop_map(|(stream, from, window)| Wanted { stream, from, window });
    (job_id(), attachment(), role, vec(wanted, 0..=4), any::<bool>())
        .prop_map(|(job, attachment, role, streams, times)| Attach { job, attachment, role, streams, times })
}

fn order() -> impl Strategy<Value = Order> {
    prop_oneof![
        signal().prop_map(Order::Signal),
        Just(Order::Cancel),
        Just(Order::Keep),
        window_size().prop_map(Order::Resize),
        byte_string().prop_map(Order::Control),
    ]
}

fn client_message() -> impl Strategy<Value = ClientMessage> {
    let start_with = (start().prop_map(Box::new), vec(extra(), 0..=limits::EXTRAS))
        .prop_map(|(start, extras)| ClientMessage::StartWith { start, extras });
    prop_oneof![
        2 => start_with,
        4 => start().prop_map(ClientMessage::Start),
        2 => attach().prop_map(ClientMessage::Attach),
        2 => (any::<u64>(), order()).prop_map(|(sequence, order)| ClientMessage::Order { sequence, order }),
        1 => Just(ClientMessage::Leave),
        1 => any::<bool>().prop_map(|all| ClientMessage::List { all }),
        1 => job_id().prop_map(|job| ClientMessage::Forget { job }),
    ]
}

fn resource() -> impl Strategy<Value = Resource> {
    prop::sample::select(&[Resource::Memory, Resource::Cpu, Resource::Processes, Resource::Nice][..])
}

fn start_failure() -> impl Strategy<Value = StartFailure> {
    prop_oneof![
        (text(), text()).prop_map(|(program, searched)| StartFailure::NotFound { program, searched }),
        (text(), text()).prop_map(|(program, reason)| StartFailure::NotExecutable { program, reason }),
        (text(), text()).prop_map(|(path, reason)| StartFailure::Directory { path, reason }),
        text().prop_map(StartFailure::Invalid),
        text().prop_map(StartFailure::Exhausted),
        text().prop_map(StartFailure::Refused),
        (resource(), text()).prop_map(|(limit, reason)| StartFailure::Limit { limit, reason }),
    ]
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        any::<u8>().prop_map(Outcome::Exited),
        (signal(), any::<bool>()).prop_map(|(signal, core_dumped)| Outcome::Signaled { signal, core_dumped }),
        Just(Outcome::TimedOut),
        Just(Outcome::Cancelled),
        start_failure().prop_map(Outcome::NotStarted),
        text().prop_map(Outcome::Lost),
    ]
}

fn usage() -> impl Strategy<Value = Option<Usage>> {
    let peak =
        prop_oneof![any::<u64>().prop_map(PeakMemory::Exactly), any::<u64>().prop_map(PeakMemory::AtMost),];
    prop::option::of((any::<u64>(), peak).prop_map(|(cpu_us, peak_memory)| Usage { cpu_us, peak_memory }))
}

fn limits() -> impl Strategy<Value = ResourceLimits> {
    any::<(Option<u64>, Option<u32>, Option<u32>, Option<i8>)>().prop_map(
        |(memory, cpu_percent, processes, nice)| ResourceLimits { memory, cpu_percent, processes, nice },
    )
}

fn keeping() -> impl Strategy<Value = Keeping> {
    let on_disconnect = prop::sample::select(&[OnDisconnect::Kill, OnDisconnect::Keep][..]);
    (on_disconnect, any::<u64>(), any::<bool>()).prop_map(|(on_disconnect, grace_ms, supervised)| Keeping {
        on_disconnect,
        grace_ms,
        supervised,
    })
}

fn ended() -> impl Strategy<Value = Ended> {
    let total = (stream(), any::<u64>()).prop_map(|(stream, bytes)| StreamTotal { stream, bytes });
    (outcome(), vec(total, 0..=4), any::<u64>(), any::<bool>(), (any::<u64>(), usage(), any::<bool>()))
        .prop_map(|(outcome, totals, stdin_consumed, output_left_open, (wall_us, usage, out_of_memory))| {
            Ended { outcome, totals, stdin_consumed, output_left_open, wall_us, usage, out_of_memory }
        })
}

fn attached() -> impl Strategy<Value = Attached> {
    let begins = (stream(), any::<u64>()).prop_map(|(stream, at)| Begins { stream, at });
    let stdin = any::<(u64, u64, u64)>().prop_map(|(received, limit, consumed)| StdinProgress {
        received,
        limit,
        consumed,
    });
    let numbers = any::<(Option<u32>, Option<u64>, u64)>();
    (job_id(), numbers, vec(begins, 0..=4), prop::option::of(stdin)).prop_map(
        |(id, (process_id, grace_ms, applied), streams, stdin)| Attached {
            id,
            process_id,
            grace_ms,
            streams,
            stdin,
            applied,
        },
    )
}

fn refusal() -> impl Strategy<Value = Refusal> {
    prop_oneof![
        Just(Refusal::Unknown),
        any::<u32>().prop_map(|jobs| Refusal::Ambiguous { jobs }),
        Just(Refusal::Conflict),
        (stream(), any::<u64>()).prop_map(|(stream, oldest)| Refusal::Trimmed { stream, oldest }),
        (stream(), any::<u64>()).prop_map(|(stream, end)| Refusal::Beyond { stream, end }),
        Just(Refusal::Running),
        text().prop_map(Refusal::Denied),
        text().prop_map(Refusal::Unavailable),
    ]
}

fn summary() -> impl Strategy<Value = JobSummary> {
    let state = prop_oneof![
        Just(JobState::Starting),
        any::<u32>().prop_map(|process_id| JobState::Running { process_id }),
        (outcome(), any::<u64>())
            .prop_map(|(outcome, ended_unix_ms)| JobState::Over { outcome, ended_unix_ms }),
    ];
    let kept =
        (stream(), any::<(u64, u64)>()).prop_map(|(stream, (oldest, end))| Kept { stream, oldest, end });
    let people = (text(), prop::option::of(text()), prop::option::of(text()));
    (job_id(), state, people, any::<(u64, u32, bool)>(), vec(kept, 0..=4)).prop_map(
        |(id, state, (command, writer, owner), (started_unix_ms, readers, supervised), kept)| JobSummary {
            id,
            state,
            command,
            started_unix_ms,
            writer,
            readers,
            supervised,
            owner,
            kept,
        },
    )
}

fn server_message() -> impl Strategy<Value = ServerMessage> {
    let started = any::<(u32, Option<u64>)>()
        .prop_map(|(process_id, grace_ms)| ServerMessage::Started { process_id, grace_ms });
    let written = (stream(), any::<(u64, u64)>())
        .prop_map(|(stream, (from, unix_ms))| ServerMessage::Written { stream, from, unix_ms });
    prop_oneof![
        4 => ended().prop_map(ServerMessage::Ended),
        1 => started,
        2 => attached().prop_map(ServerMessage::Attached),
        1 => any::<u64>().prop_map(|sequence| ServerMessage::Applied { sequence }),
        2 => refusal().prop_map(ServerMessage::Refused),
        1 => prop::sample::select(&[ServerMessage::Superseded, ServerMessage::Done][..]),
        2 => summary().prop_map(ServerMessage::Listed),
        1 => (stream(), any::<u64>()).prop_map(|(stream, to)| ServerMessage::Skipped { stream, to }),
        1 => written,
        1 => window_size().prop_map(|size| ServerMessage::OnTerminal { size }),
        1 => any::<(u64, String)>().prop_map(|(sequence, reason)| ServerMessage::Declined { sequence, reason }),
    ]
}

fn features() -> impl Strategy<Value = Features> {
    prop::sample::select(vec![Features::default(), Features::TERMINALS, Features::CONTROL, Features::KNOWN])
}

fn hello<M: Debug>() -> impl Strategy<Value = Packet<M>> {
    // Methods 0 and 1 have names of their own, so they are not unknown ones.
    let method = prop_oneof![
        Just(Method::Transport),
        any::<[u8; 32]>().prop_map(|token| Method::Invitation(Token::from_bytes(token))),
        (2..=u8::MAX).prop_map(Method::Unknown)
    ];
    // An address of IPv4 in the form of IPv6 is read as what it is, and a scope is not sent.
    let address =
        any::<SocketAddr>().prop_map(|address| SocketAddr::new(address.ip().to_canonical(), address.port()));
    let versions = any::<(u16, u16)>();
    (versions, method, text(), text(), (prop::option::of(address), features())).prop_map(
        |((lowest, highest), method, user, software, (address, features))| {
            Packet::Hello(Hello { lowest, highest, method, user, software, address, features })
        },
    )
}

fn welcome<M: Debug>() -> impl Strategy<Value = Packet<M>> {
    (any::<u16>(), text(), features())
        .prop_map(|(version, software, features)| Packet::Welcome(Welcome { version, software, features }))
}

fn close<M: Debug>() -> impl Strategy<Value = Packet<M>> {
    let code = prop_oneof![
        prop::sample::select(&CloseCode::ALL[..]),
        (CloseCode::ALL.len() as u16 + 1..=u16::MAX).prop_map(CloseCode::Unknown),
    ];
    (code, text()).prop_map(|(code, text)| Packet::Close(Close::new(code, text)))
}

fn echo() -> impl Strategy<Value = Echo> {
    (any::<u64>(), bytes(limits::PING_PAYLOAD)).prop_map(|(token, payload)| Echo { token, payload })
}

/// What either side may send about the streams that it sends and those that it receives.
fn stream_packet<M: Message + Debug>() -> impl Strategy<Value = Packet<M>> {
    let sends = |sends: bool| {
        let streams: Vec<_> = StreamId::ALL.into_iter().filter(|stream| M::sends(*stream) == sends).collect();
        prop::sample::select(streams)
    };
    let data = vec(any::<u8>(), 1..300).prop_map(Bytes::from);
    let ack =
        any::<(u64, u64, u64)>().prop_map(|(received, limit, consumed)| Ack { received, limit, consumed });
    prop_oneof![
        (job(), sends(true), any::<u64>(), data).prop_map(|(job, stream, offset, bytes)| Packet::Data {
            job,
            stream,
            offset,
            bytes
        }),
        (job(), sends(true), any::<u64>()).prop_map(|(job, stream, total)| Packet::Eof {
            job,
            stream,
            total
        }),
        (job(), sends(false), ack).prop_map(|(job, stream, ack)| Packet::Ack { job, stream, ack }),
        (job(), sends(false)).prop_map(|(job, stream)| Packet::StopSending { job, stream }),
    ]
}

fn either_way<M: Message + Debug>() -> impl Strategy<Value = Packet<M>> {
    prop_oneof![
        1 => close(),
        1 => echo().prop_map(Packet::Ping),
        1 => echo().prop_map(Packet::Pong),
        4 => stream_packet(),
    ]
}

fn client_packet() -> impl Strategy<Value = Packet<ClientMessage>> {
    let request = (job(), client_message()).prop_map(|(job, message)| Packet::Message { job, message });
    prop_oneof![1 => hello(), 3 => request, 4 => either_way()]
}

fn server_packet() -> impl Strategy<Value = Packet<ServerMessage>> {
    let response = (job(), server_message()).prop_map(|(job, message)| Packet::Message { job, message });
    let going_away = Packet::Message { job: JobNumber::CONNECTION, message: ServerMessage::GoingAway };
    prop_oneof![1 => welcome(), 3 => response, 1 => Just(going_away), 4 => either_way()]
}

fn assert_round_trip<M>(packet: Packet<M>)
where
    M: Message + Clone + PartialEq + Debug,
{
    let bytes = packet_bytes(packet.clone()).unwrap();
    let claimed = u32::from_le_bytes(*bytes.first_chunk().unwrap()) as usize;
    assert_eq!(claimed + 4, bytes.len(), "claimed length of {packet:?}");
    let mut buffer = BytesMut::from(&bytes[..]);
    buffer.extend_from_slice(b"next");
    let frame = frame::decode(&mut buffer).unwrap().unwrap();
    assert_eq!(buffer, b"next"[..], "bytes taken by {packet:?}");
    assert_eq!(frame.header.payload_len, bytes.len() - HEADER_LEN);
    assert_eq!(Packet::from_frame(frame).unwrap(), packet);
}

fn config() -> ProptestConfig {
    ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn every_client_packet_decodes_to_itself(packet in client_packet()) {
        assert_round_trip(packet);
    }

    #[test]
    fn every_server_packet_decodes_to_itself(packet in server_packet()) {
        assert_round_trip(packet);
    }

}

#[test]
fn messages_fill_their_limit_and_go_no_further() {
    // What surrounds a shell string has 106 bytes; support/rows/requests.rs has them one by one.
    let start = |len: usize| {
        let spec = Spec::new(Program::Shell(ByteString(vec![b'x'; len])));
        let start = Start::new("job1".parse().unwrap(), AttachmentId(1), spec).unwrap();
        Packet::Message { job: JobNumber(1), message: ClientMessage::Start(start) }
    };
    let most = limits::REQUEST_PAYLOAD - 106;
    assert_round_trip(start(most));
    let error = packet_bytes(start(most + 1)).unwrap_err();
    let ConnectionError::Unsendable(MessageError::TooLong { length, limit }) = error else {
        panic!("{error:?}");
    };
    assert_eq!((length, limit), (limits::REQUEST_PAYLOAD + 1, Kind::Request.payload_limit()));
    // Message and outcome number, length, no totals, stdin, a switch, wall, no usage, a switch: 4 + 4 + 8 + 8 + 8 + 1 + 8 + 1 + 1.
    let lost = |len: usize| {
        let outcome = Outcome::Lost("x".repeat(len));
        let ended = Ended::without_output(outcome);
        Packet::Message { job: JobNumber(1), message: ServerMessage::Ended(ended) }
    };
    let most = limits::RESPONSE_PAYLOAD - 43;
    assert_round_trip(lost(most));
    assert!(packet_bytes(lost(most + 1)).is_err());
    let length = limits::RESPONSE_PAYLOAD + 1;
    let too_long = MessageError::TooLong { length, limit: limits::RESPONSE_PAYLOAD };
    assert_eq!(message::decode::<ServerMessage>(&vec![0; length]), Err(too_long));
}

#[test]
fn a_start_of_many_words_and_variables_decodes_to_itself() {
    let word = ByteString(vec![b'w'; 40]);
    let variable = Variable { name: word.clone(), value: word.clone() };
    let spec =
        Spec { environment: vec![variable; 500], ..Spec::new(Program::Argv(vec![word; limits::ARGUMENTS])) };
    let start = Start::new("many".parse().unwrap(), AttachmentId(1), spec).unwrap();
    let message = ClientMessage::Start(start);
    assert_round_trip(Packet::Message { job: JobNumber(1), message });
}

#[test]
fn greetings_cut_what_is_too_long_between_characters() {
    let text = "é".repeat(3000);
    let hello = Hello::decode(&Hello::new(&text, &text).encode()).unwrap();
    assert_eq!(hello.user, "é".repeat(127));
    assert!(text.starts_with(&hello.software) && !hello.software.is_empty());
    let close = Close::decode(&Close::new(CloseCode::Busy, text.clone()).encode()).unwrap();
    assert_eq!(close.text, "é".repeat((limits::CLOSE_PAYLOAD - 2) / 2));
}
