//! Why the store does not do what it is asked. Says whose fault it is; only the binaries say what to do next.

use std::io;
use std::path::{Path, PathBuf};

use common::calendar::rfc3339;
use common::connection::Blame;
use common::job::JobId;
use common::reason::system_reason;
use common::record::RecordError;
use thiserror::Error;

use super::record::Timestamp;
use crate::scope::NotOne;

/// What the store refuses, or cannot do.
#[derive(Debug, Error)]
pub enum StoreError {
    /// There is no such job: it never was, it is somebody else's, or its record is gone. Nobody learns which.
    #[error("no such job")]
    Unknown,
    /// Several ids begin so.
    #[error("{count} jobs have ids that begin so")]
    Ambiguous {
        /// How many.
        count: usize,
    },
    /// The id belongs to another request of the same owner.
    #[error("a job with the id {id} was started by another request")]
    Conflict {
        /// The id.
        id: JobId,
    },
    /// There is no record of it, and there need not be one if it was a job before.
    #[error(
        "there is no record of it, the server has one of every job since {} only, and this was asked for before: it may have run; \
         if it has not, ask for it again",
        rfc3339((*since).into())
    )]
    Forgotten {
        /// How far back there is a record of every job.
        since: Timestamp,
    },
    /// A supervisor holds the job.
    #[error("the job still runs")]
    Running,
    /// Its process may have been started already: not again.
    #[error("the job was begun before")]
    Begun,
    /// The job may keep no more output until some of it is trimmed.
    #[error("the job has {limit} bytes of output that nobody has read")]
    OutputFull {
        /// Bytes that it may keep.
        limit: u64,
    },
    /// The output below `oldest` is gone.
    #[error("output below byte {oldest} is not kept any more")]
    Trimmed {
        /// Offset of the first byte that is there.
        oldest: u64,
    },
    /// Nothing was ever written there.
    #[error("the output ends at byte {end}")]
    Beyond {
        /// Offset behind the last byte.
        end: u64,
    },
    /// There is no room for another job, even without the output of those that are over.
    #[error("{quota} have no room for another job (limit {limit} {})", quota.unit())]
    StorageFull {
        /// Which limit.
        quota: Quota,
        /// Bytes, or a number of jobs.
        limit: u64,
    },
    /// The disk is full.
    #[error("cannot write {}: {}", path.display(), system_reason(source))]
    DiskFull {
        /// What cannot be written.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// The directory, or what is in it, is in other hands.
    #[error("{}: {reason}", path.display())]
    NotOurs {
        /// The directory.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The system refuses to read or write.
    #[error("cannot use {}: {}", path.display(), system_reason(source))]
    System {
        /// What cannot be used.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// A file is not what was written, so nothing is known about its job, and it is never started again.
    #[error("{} is damaged: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A newer Telex has written the file: this one leaves it alone.
    #[error("{}: a newer Telex has written it (version {version})", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// The version of what is in it.
        version: u8,
    },
    /// What was to be written down is longer than is ever read.
    #[error("too long to be kept: {0}")]
    TooLong(RecordError),
    /// Another process has held the directory for too long.
    #[error("another process holds {}", path.display())]
    Busy {
        /// What it holds.
        path: PathBuf,
    },
}

/// What there is not enough of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Quota {
    /// Bytes of one owner.
    #[error("the jobs of one owner")]
    OwnerBytes,
    /// Bytes of all jobs.
    #[error("all jobs together")]
    AllBytes,
    /// Records of one owner.
    #[error("the records of one owner")]
    OwnerJobs,
    /// Records of all jobs.
    #[error("the records of all jobs")]
    AllJobs,
}

impl Quota {
    /// What its limit counts.
    fn unit(self) -> &'static str {
        match self {
            Self::OwnerBytes | Self::AllBytes => "bytes",
            Self::OwnerJobs | Self::AllJobs => "jobs",
        }
    }
}

impl From<NotOne> for StoreError {
    fn from(not_one: NotOne) -> Self {
        match not_one {
            NotOne::Unknown => Self::Unknown,
            NotOne::Ambiguous(count) => Self::Ambiguous { count },
        }
    }
}

impl StoreError {
    /// What the system says of the file at `path`.
    pub(super) fn system(path: &Path, source: impl Into<io::Error>) -> Self {
        let (path, source) = (path.to_owned(), source.into());
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                Self::DiskFull { path, source }
            }
            _ => Self::System { path, source },
        }
    }

    pub(super) fn record(path: &Path, error: RecordError) -> Self {
        let path = path.to_owned();
        match error {
            RecordError::Newer { version } => Self::Newer { path, version },
            other => Self::Damaged { path, reason: other.to_string() },
        }
    }

    pub(super) fn damaged(path: &Path, reason: &str) -> Self {
        Self::Damaged { path: path.to_owned(), reason: reason.to_owned() }
    }

    /// Whose fault it is: the client's that asked, or that of whoever runs the server.
    pub fn blame(&self) -> Blame {
        match self {
            Self::Unknown | Self::Ambiguous { .. } | Self::Conflict { .. } | Self::Running => Blame::Peer,
            Self::OutputFull { .. } | Self::Trimmed { .. } | Self::Beyond { .. } => Blame::Peer,
            Self::StorageFull { quota: Quota::OwnerBytes | Quota::OwnerJobs, .. } => Blame::Peer,
            Self::Forgotten { .. } => Blame::LocalUser,
            Self::StorageFull { .. } | Self::DiskFull { .. } | Self::NotOurs { .. } => Blame::LocalUser,
            Self::System { .. } | Self::Damaged { .. } | Self::Newer { .. } => Blame::LocalUser,
            Self::Begun | Self::TooLong(_) | Self::Busy { .. } => Blame::LocalUser,
        }
    }

    /// Whether it is about a job that was set aside, so that nobody has its files in use.
    pub fn is_set_aside(&self) -> bool {
        let Self::Damaged { path, .. } = self else { return false };
        path.parent().and_then(Path::file_name).is_some_and(|parent| parent == super::DAMAGED)
    }

    /// Whether the same may succeed once there is room again.
    pub fn is_for_want_of_room(&self) -> bool {
        matches!(self, Self::OutputFull { .. } | Self::StorageFull { .. } | Self::DiskFull { .. })
    }
}
