//! A store in a temporary directory, and jobs for it.

use std::path::PathBuf;

use common::job::{Ended, Outcome, Program, Spec};
use rustix::fs::{FlockOperation, flock};
use tempfile::TempDir;

use super::*;

pub(super) const ANN: Owner = Owner::User(1000);
pub(super) const BOB: Owner = Owner::User(1001);

/// When everything here happens.
pub(super) const NOW: Timestamp = Timestamp(1_700_000_000_000);

/// Small, so that there are many segments.
pub(super) const LOGS: LogLimits = LogLimits { segment: 16, job: 100 };

pub(super) const QUOTAS: Quotas =
    Quotas { owner_bytes: 1 << 30, all_bytes: 10 << 30, owner_jobs: 100_000, all_jobs: 200_000 };

pub(super) struct World {
    /// Removed when it is dropped.
    _directory: TempDir,
    pub(super) path: PathBuf,
}

impl World {
    pub(super) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().canonicalize().unwrap().join("state/jobs");
        Self { _directory: directory, path }
    }

    pub(super) fn store(&self) -> Store {
        open(&self.path)
    }

    /// A store that takes the machine for another start of it.
    pub(super) fn after_restart(&self) -> Store {
        let mut store = self.store();
        store.boot = BootId([7; 16]);
        store
    }

    pub(super) fn job_path(&self, owner: Owner, id: &str) -> PathBuf {
        self.path.join(JobName::of(&owner, &self::id(id)).as_str())
    }
}

pub(super) fn open(path: &Path) -> Store {
    Store::open_with(path, NOW, Some(QUOTAS), LOGS, nobody).unwrap()
}

pub(super) fn id(text: &str) -> JobId {
    text.parse().unwrap()
}

pub(super) fn digest(text: &str) -> Digest {
    Digest::of(text.as_bytes())
}

/// Asks for a job; what it runs is part of the request.
pub(super) fn request(store: &Store, owner: Owner, id: &str, what: &str) -> Result<Creation, StoreError> {
    request_at(store, owner, id, what, NOW)
}

pub(super) fn request_at(
    store: &Store,
    owner: Owner,
    id: &str,
    what: &str,
    first_sent: Timestamp,
) -> Result<Creation, StoreError> {
    let spec = &Spec::new(Program::Shell(what.into()));
    let request = Request { owner, id: &self::id(id), digest: digest(what), first_sent, spec };
    store.create(request, NOW).map(|(creation, _)| creation)
}

/// Somebody asks for a job for the first time, after everything that was [`request`]ed.
pub(super) fn create(store: &Store, owner: Owner, id: &str) -> Custody {
    match request_at(store, owner, id, "make", Timestamp(NOW.0 + 1)).unwrap() {
        Creation::New(custody) => {
            store.persist().unwrap();
            custody
        }
        Creation::Existing(job) => panic!("there is {job:?}"),
    }
}

/// Lets go of a job as if its holder were killed. Other tests start processes, which have a copy of each descriptor for a moment:
/// by closing them alone it would be free later.
pub(super) fn abandon(custody: Custody) {
    flock(custody.lock(), FlockOperation::Unlock).unwrap();
}

pub(super) fn exited(code: u8) -> Ended {
    Ended::without_output(Outcome::Exited(code))
}

/// A job with some output that ended at `at`.
pub(super) fn finished(store: &Store, owner: Owner, id: &str, output: usize, at: Timestamp) {
    let custody = create(store, owner, id);
    custody.begin(None, at).unwrap();
    let mut logs = custody.output(store.log_limits()).unwrap();
    assert_eq!(logs.append(LogStream::Stdout, &vec![b'x'; output], at).unwrap(), output);
    custody.end(&exited(0), at).unwrap();
    abandon(custody);
}

pub(super) fn bound() -> Bound {
    Bound { entries: 100_000, until: std::time::Instant::now() + Duration::from_secs(600) }
}

pub(super) fn recover(store: &Store) -> Recovered {
    store.recover(NOW, bound()).unwrap()
}
