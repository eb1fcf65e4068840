//! Which jobs of this server run, in a file that outlasts it: so that the next server ends what a killed one has left behind.
//!
//! ```text
//!   running/BOOT.NAMESPACE.PID   locked (flock(2)) as long as this server lives, and removed by it
//!     4096 bytes                 when its process was started, and where its jobs have cgroups
//!     128 bytes for each job     its id, its cgroup, its first process; the first byte is 0 where there is none
//! ```
//!
//! Written to the system and not to the disk, once when a job starts and once when it is over: after a power cut nothing runs.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use common::job::JobId;
use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::process::geteuid;
use tracing::warn;

use super::identity::{machine, started};
use super::remains::Remains;

const MAGIC: &[u8; 8] = b"TLXRUN1\n";

const HEADER_BYTES: usize = 4096;

const SLOT_BYTES: usize = 128;

/// The longest name of a cgroup below the server's own.
const GROUP_BYTES: usize = 32;

/// Jobs that are read of a journal: more than run at a time.
const SLOTS: usize = 16 * 1024;

/// Journals that are looked at. There are as many as servers, and those that were killed.
const JOURNALS: usize = 1000;

/// How many names are tried: another server of this process has the first.
const NAMES: u32 = 100;

/// The journal of this server. Removed when it is dropped, which is when none of its jobs runs.
#[derive(Debug)]
pub(super) struct Journal {
    file: File,
    path: PathBuf,
    slots: Mutex<Slots>,
}

#[derive(Debug, Default)]
struct Slots {
    used: u64,
    free: Vec<u64>,
}

/// A job in the journal, until this is dropped.
#[derive(Debug)]
pub(super) struct Entry {
    journal: Arc<Journal>,
    slot: u64,
}

/// The journal of a server that is gone.
#[derive(Debug)]
pub(crate) struct LeftJournal {
    path: PathBuf,
    /// Holds the lock, so that only one server sees to it.
    _file: File,
    /// The jobs that were running.
    pub(crate) jobs: Vec<Remains>,
}

impl Journal {
    /// A journal in `directory`, which is made if it is missing; `cgroups` is where the jobs have theirs.
    ///
    /// # Errors
    /// The system's; or `PermissionDenied` for a directory that is not this user's alone.
    pub(super) fn open(directory: &Path, cgroups: Option<&Path>) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        own(directory)?;
        let (machine, process) = (machine()?, std::process::id());
        let header = header(started(process)?, cgroups);
        for number in 0..NAMES {
            let path = directory.join(match number {
                0 => format!("{machine}{process}"),
                number => format!("{machine}{process}.{number}"),
            });
            let mut options = OpenOptions::new();
            let file = options.read(true).write(true).create(true).truncate(false).mode(0o600).open(&path)?;
            if is_alone(&file, &path) {
                file.set_len(0)?;
                file.write_all_at(&header, 0)?;
                return Ok(Self { file, path, slots: Mutex::default() });
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    /// Notes that a job is about to start; `group` is the name of its cgroup below that of the server's. That it cannot be noted
    /// is no reason not to start it.
    pub(super) fn enter(self: &Arc<Self>, id: &JobId, group: Option<&str>) -> Entry {
        let slot = {
            let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
            slots.free.pop().unwrap_or_else(|| {
                slots.used += 1;
                slots.used - 1
            })
        };
        let entry = Entry { journal: Arc::clone(self), slot };
        entry.write(id, group, None);
        entry
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        fs::remove_file(&self.path).ok();
    }
}

impl Entry {
    /// Notes the first process of a job that has no cgroup.
    pub(super) fn started(&self, id: &JobId, process: u32) {
        if let Ok(started) = started(process) {
            self.write(id, None, Some((process, started)));
        }
    }

    fn write(&self, id: &JobId, group: Option<&str>, leader: Option<(u32, u64)>) {
        let (process, started) = leader.unwrap_or_default();
        let mut slot = Vec::with_capacity(SLOT_BYTES);
        slot.extend([1, length(id.as_str()), length(group.unwrap_or_default()), 0]);
        slot.extend(process.to_le_bytes());
        slot.extend(started.to_le_bytes());
        slot.extend(padded(id.as_str(), SLOT_BYTES - 16 - GROUP_BYTES));
        slot.extend(padded(group.unwrap_or_default(), GROUP_BYTES));
        if let Err(error) = self.journal.file.write_all_at(&slot, self.offset()) {
            warn!(job = %id, %error, "if this server is killed, the next one will not find this job");
        }
    }

    fn offset(&self) -> u64 {
        HEADER_BYTES as u64 + self.slot * SLOT_BYTES as u64
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.journal.file.write_all_at(&[0], self.offset()).ok();
        self.journal.slots.lock().unwrap_or_else(PoisonError::into_inner).free.push(self.slot);
    }
}

impl LeftJournal {
    /// The journals in `directory` of servers that are gone. That of a program that was before this one in the same process is
    /// not: what it had is this one's now.
    ///
    /// # Errors
    /// The system's; a directory that is not there has none.
    pub(crate) fn all(directory: &Path) -> io::Result<Vec<Self>> {
        let entries = match fs::read_dir(directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        own(directory)?;
        let here = machine()?;
        let mut all = Vec::new();
        for entry in entries.flatten().take(JOURNALS) {
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            match name.strip_prefix(&here) {
                Some(process) => all.extend(Self::open(&entry.path(), process)),
                None => remove_outdated(&entry.path(), name, &here),
            }
        }
        Ok(all)
    }

    fn open(path: &Path, process: &str) -> Option<Self> {
        let flags = i32::try_from(OFlags::NOFOLLOW.bits()).ok()?;
        let file = OpenOptions::new().read(true).write(true).custom_flags(flags).open(path).ok()?;
        if !is_alone(&file, path) {
            return None;
        }
        let mut bytes = vec![0; HEADER_BYTES + SLOTS * SLOT_BYTES];
        let length = file.read_at(&mut bytes, 0).ok()?;
        let (head, slots) = bytes.get(..length)?.split_at_checked(HEADER_BYTES)?;
        let (began, cgroups) = read_header(head)?;
        let is_own = process.split('.').next() == Some(&std::process::id().to_string())
            && started(std::process::id()).ok() == Some(began);
        let jobs = slots.chunks_exact(SLOT_BYTES).filter_map(|slot| read_slot(slot, cgroups.as_deref()));
        (!is_own).then(|| Self { path: path.to_owned(), jobs: jobs.collect(), _file: file })
    }

    /// It was seen to.
    pub(crate) fn remove(self) {
        fs::remove_file(&self.path).ok();
    }
}

/// Removes a journal from before the machine was started again: nothing of it runs any more.
fn remove_outdated(path: &Path, name: &str, here: &str) {
    let boot = |name: &str| name.split('.').next().map(ToOwned::to_owned);
    if boot(name) != boot(here)
        && let Ok(file) = OpenOptions::new().read(true).open(path)
        && is_alone(&file, path)
    {
        fs::remove_file(path).ok();
    }
}

/// Whether the file at `path` is this one, and nobody else holds it.
fn is_alone(file: &File, path: &Path) -> bool {
    let is_same =
        |(own, there): (fs::Metadata, fs::Metadata)| (own.dev(), own.ino()) == (there.dev(), there.ino());
    flock(file, FlockOperation::NonBlockingLockExclusive).is_ok()
        && file.metadata().and_then(|own| Ok((own, fs::symlink_metadata(path)?))).is_ok_and(is_same)
}

fn own(directory: &Path) -> io::Result<()> {
    let found = fs::symlink_metadata(directory)?;
    let is_own = found.is_dir() && found.uid() == geteuid().as_raw() && found.mode() & 0o077 == 0;
    if is_own { Ok(()) } else { Err(io::ErrorKind::PermissionDenied.into()) }
}

fn header(began: u64, cgroups: Option<&Path>) -> Vec<u8> {
    let path = cgroups.and_then(Path::to_str).unwrap_or_default();
    // A path that does not fit is not known.
    let path = if path.len() > HEADER_BYTES - 32 { "" } else { path };
    let mut header = Vec::with_capacity(HEADER_BYTES);
    header.extend(MAGIC);
    header.extend(began.to_le_bytes());
    header.extend((path.len() as u64).to_le_bytes());
    header.extend(path.as_bytes());
    header.resize(HEADER_BYTES, 0);
    header
}

fn read_header(header: &[u8]) -> Option<(u64, Option<PathBuf>)> {
    let rest = header.strip_prefix(MAGIC)?;
    let (began, rest) = rest.split_first_chunk::<8>()?;
    let (length, rest) = rest.split_first_chunk::<8>()?;
    let path = rest.get(..usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
    let path = std::str::from_utf8(path).ok().filter(|path| !path.is_empty()).map(PathBuf::from);
    Some((u64::from_le_bytes(*began), path))
}

fn read_slot(slot: &[u8], cgroups: Option<&Path>) -> Option<Remains> {
    let ([1, id_length, group_length, _], rest) = slot.split_first_chunk::<4>()? else { return None };
    let (process, rest) = rest.split_first_chunk::<4>()?;
    let (started, rest) = rest.split_first_chunk::<8>()?;
    let (id, group) = rest.split_at_checked(SLOT_BYTES - 16 - GROUP_BYTES)?;
    let text = |bytes: &[u8], length: u8| {
        std::str::from_utf8(bytes.get(..usize::from(length))?).ok().map(ToOwned::to_owned)
    };
    let group = text(group, *group_length)?;
    let is_name = !group.is_empty() && !group.split('/').any(|part| part.is_empty() || part.starts_with('.'));
    let (process, started) = (u32::from_le_bytes(*process), u64::from_le_bytes(*started));
    Some(Remains {
        id: text(id, *id_length)?.parse().ok()?,
        leader: (process != 0 && started != 0).then_some((process, started)),
        cgroup: cgroups.filter(|_| is_name).map(|path| path.join(group)),
        since: started,
    })
}

fn padded(text: &str, length: usize) -> impl Iterator<Item = u8> {
    text.bytes().chain(std::iter::repeat(0)).take(length)
}

fn length(text: &str) -> u8 {
    u8::try_from(text.len()).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> JobId {
        text.parse().unwrap()
    }

    #[test]
    fn what_runs_when_a_server_is_killed_is_known_to_the_next_and_nothing_else() {
        let temporary = tempfile::tempdir().unwrap();
        let directory = temporary.path().join("running");
        assert!(LeftJournal::all(&directory).unwrap().is_empty());
        let journal = Arc::new(Journal::open(&directory, Some("/sys/x".as_ref())).unwrap());
        let (over, runs) = (journal.enter(&id("over"), None), journal.enter(&id("runs"), Some("jobs/7")));
        drop(over);
        let found = journal.enter(&id("found"), None);
        found.started(&id("found"), std::process::id());
        // While it lives, it is nobody else's.
        assert!(LeftJournal::all(&directory).unwrap().is_empty());
        // As if another process had it, which is dead.
        let bytes = fs::read(&journal.path).unwrap();
        let other = directory.join(format!("{}1", machine().unwrap()));
        fs::write(&other, bytes).unwrap();
        let all = LeftJournal::all(&directory).unwrap();
        let [left] = &all[..] else { panic!("{all:?}") };
        let began = started(std::process::id()).unwrap();
        let expected = [
            Remains {
                id: id("found"),
                leader: Some((std::process::id(), began)),
                cgroup: None,
                since: began,
            },
            Remains { id: id("runs"), leader: None, cgroup: Some("/sys/x/jobs/7".into()), since: 0 },
        ];
        assert_eq!(left.jobs, expected);
        all.into_iter().for_each(LeftJournal::remove);
        assert!(!other.exists());
        drop((runs, found));
        drop(journal);
        assert_eq!(fs::read_dir(directory).unwrap().count(), 0);
    }

    #[test]
    fn a_journal_that_was_damaged_says_nothing_wrong() {
        let temporary = tempfile::tempdir().unwrap();
        let directory = temporary.path().join("running");
        let journal = Arc::new(Journal::open(&directory, Some("/sys/x".as_ref())).unwrap());
        let _entry = journal.enter(&id("runs"), Some("jobs/7"));
        let bytes = fs::read(&journal.path).unwrap();
        for end in (0..bytes.len()).step_by(7).chain(HEADER_BYTES..bytes.len()) {
            let (head, slots) = bytes[..end].split_at(end.min(HEADER_BYTES));
            let read = read_header(head).filter(|_| head.len() == HEADER_BYTES);
            assert_eq!(read.is_some(), end >= HEADER_BYTES);
            assert_eq!(slots.chunks_exact(SLOT_BYTES).count(), 0);
        }
        let mut slot = bytes[HEADER_BYTES..].to_vec();
        slot[16 + SLOT_BYTES - 16 - GROUP_BYTES..][..6].copy_from_slice(b"../../");
        assert_eq!(read_slot(&slot, Some("/sys/x".as_ref())).unwrap().cgroup, None);
        assert!(Journal::open(&directory, None).is_ok(), "another server of this process");
    }
}
