//! What one program writes down of its jobs for the next. Values only; [`common::record`] says how they become bytes, and
//! [`parcel`](crate::parcel) what descriptors, bytes and moments are in them.
//!
//! Whoever changes a record gives it a new version, and counts up [`HandedJobs::FORMAT`](crate::handover::HandedJobs).

use common::job::{Digest, Ended, JobId, OnDisconnect, Outcome, Signal};
use common::keys::PublicKey;
use common::record::Record;
use common::stream::ReceiveProgress;
use serde::{Deserialize, Serialize};

use crate::authorize::Owner;
use crate::parcel::{Descriptor, Moment, Stretch};
use crate::process::{HandedCgroups, HandedProcess};

/// The server itself: the first of all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::job) struct HandedServer {
    /// Whatever was asked for since then is known.
    pub(in crate::job) remembers_since: Moment,
    /// Where its jobs have their cgroups, if they have.
    pub(in crate::job) cgroups: Option<HandedCgroups>,
}

impl Record for HandedServer {
    const KIND: u8 = 32;
}

/// A job that is over and has nothing more for anybody; from the oldest to the youngest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::job) struct HandedPast {
    pub(in crate::job) owner: HandedOwner,
    pub(in crate::job) id: JobId,
    pub(in crate::job) digest: Digest,
    pub(in crate::job) command: String,
    /// Milliseconds since 1970.
    pub(in crate::job) requested: u64,
    pub(in crate::job) since: Moment,
    pub(in crate::job) end: HandedEnd,
    /// Whether its owner wants to hear nothing more of it.
    pub(in crate::job) forgotten: bool,
}

impl Record for HandedPast {
    const KIND: u8 = 33;
}

/// A job that runs, or that is over and has still something for its client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::job) struct HandedJob {
    pub(in crate::job) owner: HandedOwner,
    pub(in crate::job) id: JobId,
    pub(in crate::job) digest: Digest,
    pub(in crate::job) command: String,
    /// Milliseconds since 1970.
    pub(in crate::job) requested: u64,
    pub(in crate::job) since: Moment,
    pub(in crate::job) takes_stdin: bool,
    pub(in crate::job) stdin: ReceiveProgress,
    /// What of it is to be written, in its order.
    pub(in crate::job) undelivered: Stretch,
    /// stdout and stderr.
    pub(in crate::job) outlets: [HandedOutlet; 2],
    pub(in crate::job) orders: HandedOrders,
    pub(in crate::job) presence: HandedPresence,
    /// Whose place another client has taken, the youngest last.
    pub(in crate::job) displaced: Vec<u64>,
    /// Whether its client has heard of its end.
    pub(in crate::job) settled: bool,
    pub(in crate::job) stage: HandedStage,
}

impl Record for HandedJob {
    const KIND: u8 = 34;
}

/// What a job with control descriptors has beside the rest; right behind its record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::job) struct HandedControl {
    pub(in crate::job) owner: HandedOwner,
    pub(in crate::job) id: JobId,
    pub(in crate::job) commands: HandedCommands,
    /// Where what it reports comes from.
    pub(in crate::job) source: HandedSource,
    /// What it has reported.
    pub(in crate::job) reports: HandedOutlet,
    /// The orders that did not reach it, by attachment and number.
    pub(in crate::job) declined: Vec<(u64, u64)>,
}

impl Record for HandedControl {
    const KIND: u8 = 35;
}

/// What a job is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::job) struct HandedCommands {
    /// What is to be written, in its order.
    pub(in crate::job) waiting: Stretch,
    /// Where; `None` if nobody reads it.
    pub(in crate::job) pipe: Option<Descriptor>,
}

/// How far a job has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::job) enum HandedStage {
    /// Its process was started.
    Running(Box<HandedCourse>),
    /// It is over.
    Over(HandedEnd),
}

/// How a job has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::job) struct HandedEnd {
    pub(in crate::job) process_id: Option<u32>,
    pub(in crate::job) ended: Ended,
    /// Milliseconds since 1970.
    pub(in crate::job) at: u64,
}

/// A job whose process was started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::job) struct HandedCourse {
    pub(in crate::job) process: HandedProcess,
    /// Where stdout and stderr come from.
    pub(in crate::job) sources: [HandedSource; 2],
    pub(in crate::job) feed: HandedFeed,
    pub(in crate::job) rules: HandedRules,
    pub(in crate::job) stops_reading: bool,
    pub(in crate::job) failure: Option<String>,
    pub(in crate::job) since: Moment,
}

/// Where an output stream comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::job) enum HandedSource {
    /// This pipe.
    Open(Descriptor),
    /// It has ended; whether a process still held its pipe open.
    Ended { left_open: bool },
    /// It could not be read to its end.
    Failed(String),
}

/// Our end of the pipe to stdin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::job) struct HandedFeed {
    pub(in crate::job) stage: HandedFeedStage,
    pub(in crate::job) written: u64,
    /// The end that is written, or one that is only asked.
    pub(in crate::job) gauge: Option<Descriptor>,
}

/// How far that is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::job) enum HandedFeedStage {
    New,
    Probing,
    Feeding,
    Over,
}

/// The rules of a job whose process was started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::job) struct HandedRules {
    pub(in crate::job) state: HandedState,
    pub(in crate::job) wait_output: bool,
    pub(in crate::job) timeout_at: Option<Moment>,
    /// Whether an output was left open, once both have ended.
    pub(in crate::job) outputs_ended: Option<bool>,
    pub(in crate::job) exited: bool,
    pub(in crate::job) told: Option<Signal>,
}

/// Their state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::job) enum HandedState {
    Running,
    Ending {
        outcome: Outcome,
        since: Moment,
        kill_after_ms: u64,
        sent: HandedRung,
        killed_at: Option<Moment>,
        look_at: Moment,
    },
    Draining {
        outcome: Outcome,
        reading: HandedReading,
    },
    Over,
}

/// How far up the ladder the tree has been signalled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::job) enum HandedRung {
    Hup,
    Term,
    Kill,
}

/// How long the ends of the outputs are waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::job) enum HandedReading {
    Until(Moment),
    Unlimited,
    Stopped,
}

/// An output stream that is kept for a client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::job) struct HandedOutlet {
    /// The offset of the oldest byte that is kept.
    pub(in crate::job) base: u64,
    /// The bytes from there on that are in memory.
    pub(in crate::job) retained: Stretch,
    /// What is behind them on the disk.
    pub(in crate::job) spool: Option<HandedSpool>,
    /// Whether it may be spooled.
    pub(in crate::job) spools: bool,
    pub(in crate::job) ended: bool,
    pub(in crate::job) closed: bool,
    pub(in crate::job) overwrite: bool,
    /// Whether more memory was borrowed than every stream has.
    pub(in crate::job) extra: bool,
}

/// A file with the bytes of a stream from one offset to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::job) struct HandedSpool {
    pub(in crate::job) file: Descriptor,
    pub(in crate::job) start: u64,
    pub(in crate::job) end: u64,
}

/// What a job was told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::job) struct HandedOrders {
    /// What is still to be done.
    pub(in crate::job) cancel: bool,
    /// Bit 0 for signal 1.
    pub(in crate::job) signals: u64,
    /// The attachment of its client.
    pub(in crate::job) client: Option<u64>,
    /// The last order of each attachment, the one that ordered last at the end.
    pub(in crate::job) applied: Vec<(u64, u64)>,
}

/// When a job has to end because nobody is attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::job) struct HandedPresence {
    /// How long its client is waited for, if it is.
    pub(in crate::job) away_until: Option<Moment>,
    pub(in crate::job) on_disconnect: OnDisconnect,
    pub(in crate::job) grace_ms: u64,
    pub(in crate::job) abandoned: bool,
}

/// Whose a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::job) enum HandedOwner {
    Key([u8; 32]),
    User(u32),
}

impl From<Owner> for HandedOwner {
    fn from(owner: Owner) -> Self {
        match owner {
            Owner::Key(key) => Self::Key(*key.as_bytes()),
            Owner::User(uid) => Self::User(uid),
        }
    }
}

impl From<HandedOwner> for Owner {
    fn from(owner: HandedOwner) -> Self {
        match owner {
            HandedOwner::Key(bytes) => Self::Key(PublicKey::from_bytes(bytes)),
            HandedOwner::User(uid) => Self::User(uid),
        }
    }
}
