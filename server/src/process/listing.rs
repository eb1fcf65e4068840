//! What runs on this machine, as `/proc` shows it, and what of that has come of a process.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, geteuid, getpid};
use tokio::sync::Mutex;

use super::environment::JOB_ID;
use super::identity;
use crate::background::aside;
use crate::reserve::{Reserve, is_shortage};

/// How old a listing may be that was there before it was asked for. With this, a thousand jobs that end at once cost a few
/// listings, and not a thousand.
const FRESH: Duration = Duration::from_millis(20);

/// Longest line of `/proc/PID/stat` that matters: its first fields, behind a name of at most 64 bytes.
const STAT_BYTES: usize = 512;

/// Most of an environment that is looked through.
const ENVIRONMENT_BYTES: u64 = 1024 * 1024;

/// What a listing takes: the directory, and one process's file at a time.
const DESCRIPTORS: usize = 2;

/// The processes of this machine that are alive, listed when somebody asks and kept for [`FRESH`].
#[derive(Debug)]
pub(crate) struct ProcessTable(Mutex<Lister>);

#[derive(Debug)]
struct Lister {
    last: Option<Listing>,
    /// Whether orphans of this process's descendants become its own children, so that it matters which job they are of.
    finds_marks: bool,
    /// Shared with the thread that lists. What is to end is to end also while there are no descriptors left.
    reserve: Arc<std::sync::Mutex<Reserve>>,
}

/// What was there at some time.
#[derive(Debug, Clone)]
pub(super) struct Listing {
    /// When it was begun.
    pub(super) begun: Instant,
    processes: Arc<[Stat]>,
}

impl ProcessTable {
    /// Nothing listed yet. `finds_marks`: whether to look at the environment of orphans that were given to this process.
    pub(super) fn new(finds_marks: bool) -> Self {
        let reserve = Arc::new(std::sync::Mutex::new(Reserve::new(DESCRIPTORS)));
        Self(Mutex::new(Lister { last: None, finds_marks, reserve }))
    }

    /// A listing begun after `since`.
    ///
    /// # Errors
    /// The system's: then nothing is known.
    pub(super) async fn list(&self, since: Instant) -> io::Result<Listing> {
        let asked = Instant::now();
        // Whoever waits here finds the listing of whoever was before.
        let mut lister = self.0.lock().await;
        if let Some(listing) = lister.last.as_ref().filter(|last| last.serves(since, asked, Instant::now())) {
            return Ok(listing.clone());
        }
        let (begun, reserve) = (Instant::now(), Arc::clone(&lister.reserve));
        let marks = if lister.finds_marks { Marks::Children } else { Marks::Nobody };
        let list = move || {
            let mut reserve = reserve.lock().unwrap_or_else(PoisonError::into_inner);
            reserve.try_with(|| processes(marks), is_shortage)
        };
        let processes = match aside("processes", list.clone()).await {
            Ok(listed) => listed?,
            // For want of a thread: what is to end is to end also where a job has used up all processes.
            Err(_) => list()?,
        };
        Ok(lister.last.insert(Listing { begun, processes: processes.into() }).clone())
    }
}

impl Listing {
    /// What there is now, each that is this user's with the job that it says it is of. Blocks.
    ///
    /// # Errors
    /// The system's: then nothing is known.
    pub(super) fn marked() -> io::Result<Self> {
        Ok(Self { begun: Instant::now(), processes: processes(Marks::All)?.into() })
    }

    /// Every process, also those that have ended and were not taken leave of.
    pub(super) fn processes(&self) -> &[Stat] {
        &self.processes
    }

    /// Whether it will do `now` for somebody who has `asked` for one that was begun after `since`. One that was begun while
    /// they waited is as good as their own, however long it took: else all who wait would list one after the other on a
    /// machine with so many processes that a listing is not fresh when it is done.
    fn serves(&self, since: Instant, asked: Instant, now: Instant) -> bool {
        self.begun > since && (self.begun >= asked || now.saturating_duration_since(self.begun) < FRESH)
    }

    /// Everything alive that belongs to those alive that are `roots`: themselves, what descends from them, and all that is
    /// in the session of any of those. Never this process or its session.
    pub(super) fn tree(&self, is_root: impl Fn(&Stat) -> bool) -> Vec<&Stat> {
        let own = (getpid().as_raw_nonzero().get(), identity::own_session());
        let alive = || self.processes.iter().filter(|process| process.is_alive() && process.id != own.0);
        let (mut children, mut sessions) =
            (HashMap::<i32, Vec<&Stat>>::new(), HashMap::<i32, Vec<&Stat>>::new());
        for process in alive() {
            children.entry(process.parent).or_default().push(process);
            // 0: of a leader in another namespace, which may be ours.
            if process.session != 0 && Some(process.session) != own.1 {
                sessions.entry(process.session).or_default().push(process);
            }
        }
        let mut found = HashSet::new();
        let mut next: Vec<&Stat> = alive().filter(|process| is_root(process)).collect();
        let mut tree = Vec::new();
        while let Some(process) = next.pop() {
            if found.insert(process.id) {
                next.extend(children.remove(&process.id).unwrap_or_default());
                next.extend(sessions.remove(&process.session).unwrap_or_default());
                tree.push(process);
            }
        }
        tree
    }

    /// The children of this process that have ended and were not taken leave of.
    pub(super) fn ended_children(&self) -> impl Iterator<Item = Pid> {
        let own = getpid().as_raw_nonzero().get();
        let ended = self.processes.iter().filter(move |process| !process.is_alive() && process.parent == own);
        ended.filter_map(|process| Pid::from_raw(process.id))
    }
}

/// Whose environment is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Marks {
    Nobody,
    Children,
    All,
}

fn processes(marks: Marks) -> io::Result<Vec<Stat>> {
    let own = getpid().as_raw_nonzero().get();
    let user = geteuid().as_raw();
    let mut processes = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let entry = entry?;
        if !entry.file_name().as_encoded_bytes().iter().all(u8::is_ascii_digit) {
            continue;
        }
        let Some(mut process) = Stat::read(&entry.path().join("stat"))? else { continue };
        let is_asked = match marks {
            Marks::Nobody => false,
            Marks::Children => process.parent == own,
            Marks::All => entry.metadata().is_ok_and(|found| found.uid() == user),
        };
        if is_asked && process.is_alive() {
            process.mark = mark(&entry.path())?;
        }
        processes.push(process);
    }
    Ok(processes)
}

/// The id of the job that a process says it is of, in the environment that it was started with. `None` also if it may not be
/// asked.
fn mark(process: &Path) -> io::Result<Option<String>> {
    let mut environment = Vec::new();
    let read = File::open(process.join("environ"))
        .and_then(|file| file.take(ENVIRONMENT_BYTES).read_to_end(&mut environment));
    match read {
        Err(error) if is_shortage(&error) => return Err(error),
        _ => {}
    }
    let mut variables = environment.split(|byte| *byte == 0);
    let value = variables.find_map(|variable| variable.strip_prefix(JOB_ID.as_bytes())?.strip_prefix(b"="));
    Ok(value.map(|value| String::from_utf8_lossy(value).into_owned()))
}

/// The fields of `/proc/PID/stat` that matter here (proc_pid_stat(5)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stat {
    pub(super) id: i32,
    state: u8,
    pub(super) parent: i32,
    pub(super) group: i32,
    pub(super) session: i32,
    /// When it was started, in ticks since the machine was: with its id, its name for ever.
    pub(super) started: u64,
    /// The job that it says it is of, if it was asked.
    pub(super) mark: Option<String>,
}

/// Where the time of the start stands behind the session.
const STARTED_BEHIND_SESSION: usize = 15;

impl Stat {
    /// `None` if the process has ended since it was listed, or is hidden from this user (proc(5), `hidepid`).
    fn read(path: &Path) -> io::Result<Option<Self>> {
        let mut line = [0; STAT_BYTES];
        match File::open(path).and_then(|mut file| file.read(&mut line)) {
            Ok(len) => Ok(line.get(..len).and_then(Self::parse)),
            Err(error) if is_shortage(&error) => Err(error),
            Err(_) => Ok(None),
        }
    }

    /// The command's name stands in parentheses and may contain anything, so the fields count from the last one.
    fn parse(line: &[u8]) -> Option<Self> {
        let id = line.iter().position(|byte| *byte == b' ')?;
        let after_name = line.iter().rposition(|byte| *byte == b')')?;
        let id = std::str::from_utf8(line.get(..id)?).ok()?.parse().ok()?;
        let rest = std::str::from_utf8(line.get(after_name + 1..)?).ok()?;
        let mut fields = rest.split_ascii_whitespace();
        let state = fields.next()?.bytes().next()?;
        let mut number = || fields.next()?.parse().ok();
        let (parent, group, session) = (number()?, number()?, number()?);
        let started = fields.nth(STARTED_BEHIND_SESSION)?.parse().ok()?;
        Some(Self { id, state, parent, group, session, started, mark: None })
    }

    fn is_alive(&self) -> bool {
        !matches!(self.state, b'Z' | b'X')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_pretend_to_be_fields() {
        let line = b"42 (evil) Z 1 1 1 (x) S 7 8 9 0 -1 4194560 1 2 3 4 5 6 7 8 9 10 11 12 987654 3133440";
        let expected =
            Stat { id: 42, state: b'S', parent: 7, group: 8, session: 9, started: 987_654, mark: None };
        assert_eq!(Stat::parse(line), Some(expected));
        for end in 0..line.len() {
            // Anything but a panic is fine.
            let _cut = Stat::parse(&line[..end]);
        }
    }

    /// Processes by id, parent, group and session.
    fn listing(processes: &[(i32, i32, i32, i32)]) -> Listing {
        let stat = |&(id, parent, group, session)| Stat {
            id,
            state: b'S',
            parent,
            group,
            session,
            started: 1,
            mark: None,
        };
        Listing { begun: Instant::now(), processes: processes.iter().map(stat).collect() }
    }

    fn tree_of(listing: &Listing, root: i32) -> Vec<i32> {
        let mut ids: Vec<_> = listing.tree(|process| process.id == root).iter().map(|it| it.id).collect();
        ids.sort_unstable();
        ids
    }

    #[test]
    fn a_tree_is_what_descends_and_whoever_shares_its_sessions() {
        let processes = [
            (100_010, 1, 100_010, 100_010),
            // A child, in another group; its child, in a session of its own; and one in that session whose parent is gone.
            (100_011, 100_010, 100_011, 100_010),
            (100_012, 100_011, 100_012, 100_012),
            (100_013, 1, 100_013, 100_012),
            // Another job; a thread of the kernel's; a child of somebody in session 0, as seen from a namespace.
            (100_020, 1, 100_020, 100_020),
            (2, 0, 0, 0),
            (100_014, 100_013, 0, 0),
        ];
        let listing = listing(&processes);
        assert_eq!(tree_of(&listing, 100_010), [100_010, 100_011, 100_012, 100_013, 100_014]);
        assert_eq!(tree_of(&listing, 100_012), [100_012, 100_013, 100_014]);
        assert_eq!(tree_of(&listing, 100_020), [100_020]);
    }

    #[test]
    fn this_process_and_its_session_are_in_no_tree() {
        let own = getpid().as_raw_nonzero().get();
        // In a process namespace of its own, a test may be in a session of nobody there.
        let session = identity::own_session().unwrap_or_default();
        let processes = [
            (100_010, 1, 100_010, 100_010),
            (own, 100_010, own, session),
            (100_011, 100_010, 1, session),
            (100_012, 1, 1, session),
        ];
        assert_eq!(tree_of(&listing(&processes), 100_010), [100_010, 100_011]);
    }

    #[test]
    fn a_listing_serves_those_who_waited_for_it_and_those_who_ask_soon() {
        let start = Instant::now();
        let at = |milliseconds| start + Duration::from_millis(milliseconds);
        let listing = Listing { begun: at(100), processes: Arc::default() };
        for (since, asked, now, expected) in [
            // It took a second, and was begun after they asked.
            (50, 90, 1100, true),
            (50, 100, 1100, true),
            // It was there before they asked.
            (50, 110, 115, true),
            (50, 110, 1100, false),
            (50, 1090, 1100, false),
            // What they want to see may have happened after it was begun.
            (100, 100, 105, false),
            (101, 102, 105, false),
        ] {
            let serves = listing.serves(at(since), at(asked), at(now));
            assert_eq!(serves, expected, "since {since}, asked {asked}, now {now}");
        }
    }

    #[test]
    fn a_listing_is_never_older_than_asked_for() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let table = ProcessTable::new(false);
        let first = runtime.block_on(table.list(Instant::now())).unwrap();
        let second = runtime.block_on(table.list(first.begun)).unwrap();
        assert!(second.begun > first.begun);
    }
}
