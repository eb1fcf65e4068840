//! What is written down of a job, each in a file of its own, and never changed. [`common::record`] says how.
//!
//! New fields at the end of a new version only: programs of both versions read the same directory.

use std::fs;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use common::job::{ByteString, Digest, Ended, JobId, Keeping, Program, Spec};
use common::record::{RECORD_BYTES, Record, RecordError};
use serde::{Deserialize, Serialize};

use super::StoreError;
use super::directory::{Directory, Durability, temporary};
use crate::authorize::Owner;

/// Bytes of a command that are kept: enough for a list of jobs.
pub const COMMAND_BYTES: usize = 256;

/// Bytes of all names of variables that are kept. There may be a thousand, of 128 KiB each.
pub const VARIABLES_BYTES: usize = 2048;

/// A record with its file.
pub(super) trait Kept: Record {
    /// The name of the file.
    const FILE: &'static str;

    /// What was written down in `directory`, if it was.
    fn read(directory: &Directory) -> Result<Option<Self>, StoreError> {
        Self::read_as(directory, Self::FILE)
    }

    /// What was being written down when its writer was killed, if that was nearly done.
    fn read_unnamed(directory: &Directory) -> Option<Self> {
        Self::read_as(directory, &temporary(Self::FILE)).unwrap_or_default()
    }

    /// What is in the file `name`.
    fn read_as(directory: &Directory, name: &str) -> Result<Option<Self>, StoreError> {
        let path = || directory.path().join(name);
        let bytes = directory.read(name, RECORD_BYTES).map_err(|error| match error.kind() {
            std::io::ErrorKind::InvalidInput => StoreError::damaged(&path(), "it is no ordinary file"),
            _ => directory.error(name, error),
        })?;
        let record = bytes.map(|bytes| common::record::open(&bytes)).transpose();
        record.map_err(|error| StoreError::record(&path(), error))
    }

    /// Writes it down in `directory`, once; `false` if that was done before.
    fn write(&self, directory: &Directory, durability: Durability) -> Result<bool, StoreError> {
        let bytes = self.sealed()?;
        directory.publish(Self::FILE, &bytes, durability).map_err(|error| directory.error(Self::FILE, error))
    }

    fn sealed(&self) -> Result<Vec<u8>, StoreError> {
        common::record::seal(self).map_err(|error: RecordError| StoreError::TooLong(error))
    }
}

/// Milliseconds since 1970, by the calendar's clock: it may jump.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// The time now.
    pub fn now() -> Self {
        crate::clock::calendar().into()
    }

    pub(super) fn before(self, time: Duration) -> Self {
        Self(self.0.saturating_sub(u64::try_from(time.as_millis()).unwrap_or(u64::MAX)))
    }
}

impl From<Timestamp> for SystemTime {
    fn from(timestamp: Timestamp) -> Self {
        UNIX_EPOCH.checked_add(Duration::from_millis(timestamp.0)).unwrap_or(UNIX_EPOCH)
    }
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }
}

/// From one start of the machine to the next (random(4), `boot_id`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct BootId(pub [u8; 16]);

impl BootId {
    /// That of this machine, now. Where the system does not tell it, one that is never met again: then nobody takes a
    /// process for one that cannot have run.
    ///
    /// # Errors
    /// The system's, if it has no random numbers either.
    pub fn current() -> std::io::Result<Self> {
        let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        if let Some(known) = Self::parse(&text) {
            return Ok(known);
        }
        let random = JobId::random().map_err(std::io::Error::other)?;
        Self::parse(random.as_str()).ok_or_else(|| std::io::ErrorKind::InvalidData.into())
    }

    fn parse(text: &str) -> Option<Self> {
        let digits: String = text.trim().chars().filter(|c| *c != '-').collect();
        let is_hex = digits.len() == 32 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        let number = u128::from_str_radix(&digits, 16).ok().filter(|_| is_hex)?;
        Some(Self(number.to_be_bytes()))
    }
}

/// That a job is to be: written before anything else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// Whose it is.
    #[serde(with = "owner")]
    pub owner: Owner,
    /// Its id among those of its owner.
    pub id: JobId,
    /// What was asked for.
    pub digest: Digest,
    /// When it was made.
    pub created: Timestamp,
    /// And between which starts of the machine.
    pub boot: BootId,
    /// What it runs, for people.
    pub command: Command,
    /// Names of the variables that the client has set, as many as fit [`VARIABLES_BYTES`].
    pub variables: Vec<String>,
    /// What becomes of it when nobody is attached.
    pub keeping: Keeping,
}

impl Record for Intent {
    const KIND: u8 = 1;
}

impl Kept for Intent {
    const FILE: &'static str = "intent";
}

/// A command for people to recognise: at most [`COMMAND_BYTES`] of it, with U+FFFD for what is not UTF-8.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Words, with spaces between them.
    Argv(String),
    /// A string for the shell.
    Shell(String),
}

impl Command {
    /// The beginning of `program`.
    pub fn of(program: &Program) -> Self {
        match program {
            Program::Argv(words) => {
                let mut text = String::new();
                for (place, word) in words.iter().enumerate() {
                    if text.len() > COMMAND_BYTES {
                        break;
                    }
                    text.push_str(if place > 0 { " " } else { "" });
                    text.push_str(&beginning(word, COMMAND_BYTES));
                }
                Self::Argv(cut(text, COMMAND_BYTES))
            }
            Program::Shell(text) => Self::Shell(beginning(text, COMMAND_BYTES)),
            // A variant of its own would be a new version of the record, for a word.
            Program::LoginShell => Self::Shell("login shell".to_owned()),
        }
    }
}

/// The names of the variables of `spec`; their values are nobody's business.
pub(super) fn variable_names(spec: &Spec) -> Vec<String> {
    let mut room = VARIABLES_BYTES;
    let names = spec.environment.iter().map(|variable| beginning(&variable.name, COMMAND_BYTES));
    names
        .take_while(|name| {
            // A name of one byte costs the eight of its length as well.
            let fits = name.len() + 8 <= room;
            room = room.saturating_sub(name.len() + 8);
            fits
        })
        .collect()
}

fn beginning(bytes: &ByteString, limit: usize) -> String {
    let kept = bytes.0.get(..limit).unwrap_or(&bytes.0);
    cut(String::from_utf8_lossy(kept).into_owned(), limit)
}

fn cut(mut text: String, limit: usize) -> String {
    text.truncate(text.floor_char_boundary(limit));
    text
}

/// That its supervisor is about to start its process: from here on it may run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begun {
    /// When.
    pub at: Timestamp,
    /// The directory of the cgroup that everything of it will be in, if it gets one.
    pub cgroup: Option<String>,
}

impl Record for Begun {
    const KIND: u8 = 2;
}

impl Kept for Begun {
    const FILE: &'static str = "begun";
}

/// That its process runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// Its process id.
    pub process_id: u32,
    /// When it was started, in clock ticks since the machine was (proc_pid_stat(5), field 22): no other process has both.
    pub process_start: u64,
    /// When that was by the calendar.
    pub at: Timestamp,
}

impl Record for Started {
    const KIND: u8 = 3;
}

impl Kept for Started {
    const FILE: &'static str = "started";
}

/// What became of it: written once, and true from then on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// As it is sent to clients.
    pub ended: Ended,
    /// How that is known.
    pub cause: Cause,
    /// When it was written down.
    pub at: Timestamp,
    /// Its process, if there was one and it is known.
    pub started: Option<Started>,
}

/// How the end of a job is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cause {
    /// Its supervisor has seen it.
    Seen,
    /// It had no supervisor any more, and had not begun.
    NeverBegan,
    /// It had no supervisor any more, and may have run.
    SupervisorLost,
    /// The machine was started again, and it may have run.
    Restarted,
}

impl Record for End {
    const KIND: u8 = 4;
}

impl Kept for End {
    const FILE: &'static str = "ended";
}

/// That its output is not kept any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removed {
    /// Where stdout ended.
    pub stdout: u64,
    /// Where stderr ended.
    pub stderr: u64,
    /// When it went.
    pub at: Timestamp,
}

impl Record for Removed {
    const KIND: u8 = 5;
}

impl Kept for Removed {
    const FILE: &'static str = "removed";
}

/// How far back the directory remembers: of every job that was made later, there is a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// When the youngest of those was made whose record is gone, or the directory.
    pub since: Timestamp,
}

impl Record for Memory {
    const KIND: u8 = 6;
}

impl Kept for Memory {
    const FILE: &'static str = "memory";
}

/// Owners as they are written down.
mod owner {
    use common::keys::PublicKey;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::authorize::Owner;

    #[derive(Serialize, Deserialize)]
    enum Written {
        Key([u8; 32]),
        User(u32),
    }

    pub(super) fn serialize<S: Serializer>(owner: &Owner, serializer: S) -> Result<S::Ok, S::Error> {
        let written = match owner {
            Owner::Key(key) => Written::Key(*key.as_bytes()),
            Owner::User(uid) => Written::User(*uid),
        };
        written.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Owner, D::Error> {
        Ok(match Written::deserialize(deserializer)? {
            Written::Key(bytes) => Owner::Key(PublicKey::from_bytes(bytes)),
            Written::User(uid) => Owner::User(uid),
        })
    }
}
