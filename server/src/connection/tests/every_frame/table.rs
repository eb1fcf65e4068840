//! Every frame that a peer can send, and what becomes of it in every state.
//!
//! No match here has a wildcard for kinds or messages: a new one does not compile until it has its row.

use std::iter::successors;

use common::frame::{Header, JobNumber, Kind, StreamId};
use common::greeting::{Close, CloseCode, Features, Hello, Welcome};
use common::job::{Ended, Extra, JobId, Outcome, Program, Signal, Spec, Terminal, WindowSize};
use common::message::{
    self, Attach, Attached, AttachmentId, ClientMessage, JobState, JobSummary, Order, Refusal, Role,
    ServerMessage,
};

use super::super::world::{World, start};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Before HELLO.
    Stranger,
    /// After it.
    Session,
    /// After it, while the server stops and a job is not over yet.
    Stopping,
    /// The peer has said CLOSE.
    Closed,
}

/// Which job a frame names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Named {
    /// The connection itself.
    Connection,
    /// One that has ended.
    Over,
    /// One that runs.
    Running,
    /// One that was never started.
    Never,
}

impl Named {
    const ALL: [Self; 4] = [Self::Connection, Self::Over, Self::Running, Self::Never];

    pub(super) fn number(self) -> u32 {
        match self {
            Self::Connection => 0,
            Self::Over => 1,
            Self::Running => 2,
            Self::Never => 9,
        }
    }
}

/// What a frame carries.
#[derive(Debug, Clone)]
enum Payload {
    Client(ClientMessage),
    Server(ServerMessage),
    Bytes(Vec<u8>),
}

#[derive(Debug, Clone)]
pub(super) struct Sample {
    pub(super) kind: Kind,
    pub(super) named: Named,
    stream: Option<StreamId>,
    payload: Payload,
}

/// What becomes of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// It has its effect, and the connection goes on.
    Taken,
    /// It has none, and the connection goes on.
    PassedOver,
    /// It ends the connection in good order.
    Goodbye,
    /// It was all that a server which stops has waited for, and which ends the connection with CLOSE 5 then.
    Dismissed,
    /// It ends the connection with CLOSE 3.
    Violation,
    /// Nobody reads it.
    Unheard,
}

/// One of each request.
fn requests() -> impl Iterator<Item = ClientMessage> {
    let first = start(Spec::new(Program::Argv(vec!["true".into()])));
    successors(Some(first), |message| match message {
        ClientMessage::Start(_) => Some(ClientMessage::Attach(Attach {
            job: nobodys(),
            attachment: AttachmentId(1),
            role: Role::Writer,
            streams: Vec::new(),
            times: false,
        })),
        ClientMessage::Attach(_) => Some(order(Order::Signal(Signal::CONT))),
        ClientMessage::Order { order: Order::Signal(_), .. } => Some(order(Order::Cancel)),
        ClientMessage::Order { order: Order::Cancel, .. } => Some(order(Order::Keep)),
        ClientMessage::Order { order: Order::Keep, .. } => Some(order(Order::Resize(SIZE))),
        ClientMessage::Order { order: Order::Resize(_), .. } => Some(order(Order::Control("x".into()))),
        ClientMessage::Order { order: Order::Control(_), .. } => Some(ClientMessage::Leave),
        ClientMessage::Leave => Some(ClientMessage::List { all: true }),
        ClientMessage::List { .. } => Some(ClientMessage::Forget { job: nobodys() }),
        ClientMessage::Forget { .. } => Some(start_with(1)),
        ClientMessage::StartWith { extras, .. } if extras.len() == 1 => Some(start_with(2)),
        ClientMessage::StartWith { .. } => None,
    })
}

/// One of each response.
fn responses() -> impl Iterator<Item = ServerMessage> {
    let first = ServerMessage::Started { process_id: 1, grace_ms: None };
    successors(Some(first), |message| match message {
        ServerMessage::Started { .. } => {
            Some(ServerMessage::Ended(Ended::without_output(Outcome::Exited(0))))
        }
        ServerMessage::Ended(_) => Some(ServerMessage::GoingAway),
        ServerMessage::GoingAway => Some(ServerMessage::Attached(Attached {
            id: nobodys(),
            process_id: None,
            grace_ms: None,
            streams: Vec::new(),
            stdin: None,
            applied: 0,
        })),
        ServerMessage::Attached(_) => Some(ServerMessage::Applied { sequence: 1 }),
        ServerMessage::Applied { .. } => {
            Some(ServerMessage::Declined { sequence: 1, reason: "no".to_owned() })
        }
        ServerMessage::Declined { .. } => Some(ServerMessage::Refused(Refusal::Unknown)),
        ServerMessage::Refused(_) => Some(ServerMessage::Superseded),
        ServerMessage::Superseded => Some(ServerMessage::Listed(JobSummary {
            id: nobodys(),
            state: JobState::Starting,
            command: String::new(),
            started_unix_ms: 0,
            writer: None,
            readers: 0,
            supervised: false,
            owner: None,
            kept: Vec::new(),
        })),
        ServerMessage::Listed(_) => Some(ServerMessage::Done),
        ServerMessage::Done => Some(ServerMessage::Skipped { stream: StreamId::Stdout, to: 1 }),
        ServerMessage::Skipped { .. } => {
            Some(ServerMessage::Written { stream: StreamId::Stdout, from: 0, unix_ms: 1 })
        }
        ServerMessage::Written { .. } => Some(ServerMessage::OnTerminal { size: SIZE }),
        ServerMessage::OnTerminal { .. } => None,
    })
}

const SIZE: WindowSize = WindowSize { rows: 24, columns: 80, width: 0, height: 0 };

/// A start with so many terminals.
fn start_with(terminals: usize) -> ClientMessage {
    with_terminals(start(Spec::new(Program::Argv(vec!["true".into()]))), terminals)
}

fn with_terminals(start: ClientMessage, terminals: usize) -> ClientMessage {
    let terminal = Extra::Terminal(Terminal { size: SIZE, ..Terminal::default() });
    let extras = vec![terminal; terminals];
    match start {
        ClientMessage::Start(start) => ClientMessage::StartWith { start: Box::new(start), extras },
        other => other,
    }
}

/// An id that no job has.
fn nobodys() -> JobId {
    "nobody's".parse().unwrap()
}

/// The first order of a client.
fn order(order: Order) -> ClientMessage {
    ClientMessage::Order { sequence: 1, order }
}

fn payloads(kind: Kind) -> Vec<Payload> {
    let bytes = |bytes: &[u8]| vec![Payload::Bytes(bytes.to_vec())];
    match kind {
        Kind::Hello => bytes(&Hello::new("", "test").encode()),
        Kind::Welcome => {
            bytes(&Welcome { version: 1, software: "test".to_owned(), features: Features::KNOWN }.encode())
        }
        Kind::Close => bytes(&Close::new(CloseCode::GoingAway, "bye").encode()),
        Kind::Ping | Kind::Pong => bytes(b"hi"),
        Kind::Request => requests().map(Payload::Client).collect(),
        Kind::Response => responses().map(Payload::Server).collect(),
        Kind::Data => bytes(b"x"),
        Kind::Eof | Kind::StopSending => bytes(b""),
        // The limit that every stream begins with; nothing consumed.
        Kind::Ack => bytes(&[0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
    }
}

pub(super) fn samples() -> Vec<Sample> {
    let streams = [None].into_iter().chain(StreamId::ALL.map(Some));
    let mut samples = Vec::new();
    for kind in Kind::ALL {
        for payload in payloads(kind) {
            for named in Named::ALL {
                samples.extend(streams.clone().map(|stream| {
                    let payload = payload.clone();
                    Sample { kind, named, stream, payload }
                }));
            }
        }
    }
    samples
}

impl Sample {
    pub(super) fn bytes(&self, world: &World, marker: &str) -> Vec<u8> {
        let payload = match &self.payload {
            Payload::Client(ClientMessage::Start(_)) => message::encode(&world.start_marker(marker)).unwrap(),
            Payload::Client(ClientMessage::StartWith { extras, .. }) => {
                message::encode(&with_terminals(world.start_marker(marker), extras.len())).unwrap()
            }
            Payload::Client(message) => message::encode(message).unwrap(),
            Payload::Server(message) => message::encode(message).unwrap(),
            Payload::Bytes(bytes) => bytes.clone(),
        };
        let header = Header {
            kind: self.kind,
            stream: self.stream,
            job: JobNumber(self.named.number()),
            offset: 0,
            payload_len: payload.len(),
        };
        [&header.encode()[..], &payload].concat()
    }

    /// The table.
    pub(super) fn answer(&self, state: State) -> Answer {
        match state {
            State::Closed => Answer::Unheard,
            State::Stranger if self.kind == Kind::Hello && self.concerns_the_connection() => Answer::Taken,
            State::Stranger => Answer::Violation,
            State::Stopping if self.lets_go() && self.answer_in_session() == Answer::Taken => {
                Answer::Dismissed
            }
            State::Session | State::Stopping => self.answer_in_session(),
        }
    }

    fn answer_in_session(&self) -> Answer {
        let only_of_connection = |answer| {
            if self.concerns_the_connection() { answer } else { Answer::Violation }
        };
        match self.kind {
            Kind::Hello | Kind::Welcome | Kind::Pong | Kind::Response => Answer::Violation,
            Kind::Close => only_of_connection(Answer::Goodbye),
            Kind::Ping => only_of_connection(Answer::Taken),
            Kind::Request if self.stream.is_some() => Answer::Violation,
            Kind::Request => match &self.payload {
                Payload::Client(ClientMessage::StartWith { extras, .. }) if extras.len() > 1 => {
                    Answer::Violation
                }
                Payload::Client(
                    ClientMessage::Start(_)
                    | ClientMessage::StartWith { .. }
                    | ClientMessage::Attach(_)
                    | ClientMessage::List { .. }
                    | ClientMessage::Forget { .. },
                ) => match self.named {
                    Named::Never => Answer::Taken,
                    Named::Connection | Named::Over | Named::Running => Answer::Violation,
                },
                Payload::Client(ClientMessage::Order { order: Order::Control(_), .. }) => {
                    self.answer_without()
                }
                Payload::Client(ClientMessage::Order { .. } | ClientMessage::Leave) => self.answer_of_job(),
                Payload::Server(_) | Payload::Bytes(_) => Answer::Violation,
            },
            Kind::Data | Kind::Eof => match self.stream {
                Some(StreamId::Stdin) => self.answer_of_job(),
                Some(StreamId::Stdout | StreamId::Stderr | StreamId::Control) | None => Answer::Violation,
            },
            Kind::Ack | Kind::StopSending => match self.stream {
                Some(StreamId::Stdout | StreamId::Stderr) => self.answer_of_job(),
                Some(StreamId::Control) => self.answer_without(),
                Some(StreamId::Stdin) | None => Answer::Violation,
            },
        }
    }

    fn concerns_the_connection(&self) -> bool {
        self.named == Named::Connection && self.stream.is_none()
    }

    fn answer_of_job(&self) -> Answer {
        match self.named {
            Named::Running => Answer::Taken,
            Named::Over => Answer::PassedOver,
            Named::Connection | Named::Never => Answer::Violation,
        }
    }

    /// About something that the job does not have.
    fn answer_without(&self) -> Answer {
        match self.answer_of_job() {
            Answer::Taken => Answer::Violation,
            answer => answer,
        }
    }

    /// Whether a server answers it if it takes it, and with what, about the job's number.
    pub(super) fn is_answered_by(&self, message: &ServerMessage) -> Option<bool> {
        let Payload::Client(request) = &self.payload else { return None };
        match request {
            ClientMessage::Start(_) | ClientMessage::StartWith { .. } => {
                Some(matches!(message, ServerMessage::Ended(_)))
            }
            ClientMessage::Attach(_) | ClientMessage::Forget { .. } => {
                Some(*message == ServerMessage::Refused(Refusal::Unknown))
            }
            ClientMessage::Order { order: Order::Resize(_), .. } => {
                Some(matches!(message, ServerMessage::Declined { sequence: 1, .. }))
            }
            ClientMessage::Order { .. } => Some(*message == ServerMessage::Applied { sequence: 1 }),
            ClientMessage::List { .. } => Some(*message == ServerMessage::Done),
            ClientMessage::Leave => None,
        }
    }

    fn lets_go(&self) -> bool {
        matches!(self.payload, Payload::Client(ClientMessage::Leave))
    }

    pub(super) fn is_start(&self) -> bool {
        matches!(self.payload, Payload::Client(ClientMessage::Start(_) | ClientMessage::StartWith { .. }))
    }
}
