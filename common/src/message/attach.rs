//! How clients take hold of jobs that are there already: requests, answers and refusals.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::frame::StreamId;
use crate::job::{ByteString, JobId, Signal, WindowSize, bounded};

/// Streams of a job that one attachment may ask for.
const STREAMS: usize = 4;

/// Names one client's hold on one job, on all its connections: 64 random bits, chosen by the client. So a server tells a client
/// that comes back from another one that takes its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct AttachmentId(pub u64);

impl AttachmentId {
    /// A new id from the system's random source.
    ///
    /// # Errors
    /// The system's error if its random source fails.
    pub fn random() -> Result<Self, getrandom::Error> {
        getrandom::u64().map(Self)
    }
}

/// What a client wants of a job that it attaches to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Role {
    /// To be its client: its stdin, its signals, and its output, which waits for this client. A job has one; a new one takes the
    /// place of the one before.
    Writer,
    /// To read what it writes, without delaying it. Any number at a time.
    Reader,
    /// To read what it has written until now.
    Snapshot,
    /// To give it orders, and to hear of its end.
    Controller,
}

/// Where a stream is to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Position {
    /// At the oldest byte that is kept.
    Oldest,
    /// At the next byte that will be written.
    Newest,
    /// At this offset, exactly.
    At(u64),
}

/// A stream that a client wants to receive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// Which.
    pub stream: StreamId,
    /// From where.
    pub from: Position,
    /// How many bytes from there may be sent before the first ACK.
    pub window: u64,
}

/// The request to attach to a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attach {
    /// The job's id, or the beginning of one with which no other of its owner's begins.
    pub job: JobId,
    /// Who attaches.
    pub attachment: AttachmentId,
    /// What for.
    pub role: Role,
    /// The streams that are wanted. Those that are not named are not sent.
    #[serde(deserialize_with = "bounded::<{ STREAMS }, _, _>")]
    pub streams: Vec<Wanted>,
    /// Whether to say when what follows was written.
    pub times: bool,
}

/// Where a stream begins that is sent from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begins {
    /// Which.
    pub stream: StreamId,
    /// The offset of its first byte.
    pub at: u64,
}

/// How far a job's stdin has come; the fields are those of an ACK.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StdinProgress {
    /// Everything below has arrived.
    pub received: u64,
    /// Bytes may be sent up to here.
    pub limit: u64,
    /// Everything below was read by the command.
    pub consumed: u64,
}

/// The answer to [`Attach`], and to a start of what was started before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attached {
    /// The job's whole id.
    pub id: JobId,
    /// Its process, if it has or had one.
    pub process_id: Option<u32>,
    /// Milliseconds for which it waits for a client whose line is lost; `None` if it is kept.
    pub grace_ms: Option<u64>,
    /// Where each stream begins.
    #[serde(deserialize_with = "bounded::<{ STREAMS }, _, _>")]
    pub streams: Vec<Begins>,
    /// Its stdin; `None` if it takes none, or none from this client.
    pub stdin: Option<StdinProgress>,
    /// The last order of this attachment that was carried out.
    pub applied: u64,
}

/// What a client tells a job to do. Numbered, so that none is lost or carried out twice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Order {
    /// Send this signal to its process group.
    Signal(Signal),
    /// End it and its tree.
    Cancel,
    /// Go on when nobody is attached any more, whatever was agreed at the start.
    Keep,
    /// Make its terminal this large. To the size that it has: have its programs draw again.
    Resize(WindowSize),
    /// Write this to its descriptor 0, behind what was written there before. Only to a job with control descriptors, by its client.
    Control(ByteString),
}

/// Why a request about a job is not granted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// There is no such job among those that this client may know of.
    Unknown,
    /// Several jobs have an id that begins so.
    Ambiguous {
        /// How many.
        jobs: u32,
    },
    /// A job with this id was started with another request.
    Conflict,
    /// What is asked for is not kept any more.
    Trimmed {
        /// The stream.
        stream: StreamId,
        /// The oldest offset that is.
        oldest: u64,
    },
    /// What is asked for was never written.
    Beyond {
        /// The stream.
        stream: StreamId,
        /// How far it has come.
        end: u64,
    },
    /// The job runs, and only one that is over can be forgotten.
    Running,
    /// This client may not do that.
    Denied(String),
    /// The job is there, and cannot be reached.
    Unavailable(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("there is no such job"),
            Self::Ambiguous { jobs } => write!(f, "{jobs} jobs have an id that begins so"),
            Self::Conflict => f.write_str("a job with this id was started with another request"),
            Self::Trimmed { stream, oldest } => {
                write!(f, "{stream} is kept from byte {oldest} on, and not from where it is wanted")
            }
            Self::Beyond { stream, end } => {
                write!(f, "{stream} has {end} bytes until now, and is wanted from beyond that")
            }
            Self::Running => f.write_str("the job still runs"),
            Self::Denied(reason) => f.write_str(reason),
            Self::Unavailable(reason) => write!(f, "the job cannot be reached: {reason}"),
        }
    }
}
