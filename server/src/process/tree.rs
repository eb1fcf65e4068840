//! What came of a process: everything in its session, as `/proc` shows it.
//!
//! A process that starts a session of its own (`setsid`) has left the tree and is not found here.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::Pid;
use tokio::sync::Mutex;

use crate::background::aside;
use crate::reserve::{Reserve, is_shortage};

/// How old a listing may be that was there before it was asked for. With this, a thousand jobs that end at once cost a few
/// listings, and not a thousand.
const FRESH: Duration = Duration::from_millis(20);

/// Longest line of `/proc/PID/stat` that matters: its first fields, behind a name of at most 64 bytes.
const STAT_BYTES: usize = 512;

/// What a listing takes: the directory, and one process's file at a time.
const DESCRIPTORS: usize = 2;

/// The processes of this machine that are alive, listed when somebody asks and kept for [`FRESH`].
#[derive(Debug)]
pub(crate) struct ProcessTable(Mutex<Lister>);

#[derive(Debug)]
struct Lister {
    last: Option<Listing>,
    /// Shared with the thread that lists. What is to end is to end also while there are no descriptors left.
    reserve: Arc<std::sync::Mutex<Reserve>>,
}

/// The process groups of every session, each once.
type Sessions = HashMap<i32, Vec<Pid>>;

/// What was alive at some time.
#[derive(Debug, Clone)]
pub(super) struct Listing {
    /// When it was begun.
    pub(super) begun: Instant,
    sessions: Arc<Sessions>,
}

impl ProcessTable {
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
        let list = move || {
            let mut reserve = reserve.lock().unwrap_or_else(PoisonError::into_inner);
            reserve.try_with(sessions, is_shortage)
        };
        let sessions = match aside("processes", list.clone()).await {
            Ok(listed) => listed?,
            // For want of a thread: what is to end is to end also where a job has used up all processes.
            Err(_) => list()?,
        };
        Ok(lister.last.insert(Listing { begun, sessions: Arc::new(sessions) }).clone())
    }
}

impl Default for ProcessTable {
    fn default() -> Self {
        let reserve = Arc::new(std::sync::Mutex::new(Reserve::new(DESCRIPTORS)));
        Self(Mutex::new(Lister { last: None, reserve }))
    }
}

impl Listing {
    /// Whether it will do `now` for somebody who has `asked` for one that was begun after `since`. One that was begun while
    /// they waited is as good as their own, however long it took: else all who wait would list one after the other on a
    /// machine with so many processes that a listing is not fresh when it is done.
    fn serves(&self, since: Instant, asked: Instant, now: Instant) -> bool {
        self.begun > since && (self.begun >= asked || now.saturating_duration_since(self.begun) < FRESH)
    }

    /// The process groups of `session` that have a process alive.
    pub(super) fn process_groups(&self, session: Pid) -> &[Pid] {
        self.sessions.get(&session.as_raw_nonzero().get()).map_or(&[], Vec::as_slice)
    }
}

fn sessions() -> io::Result<Sessions> {
    let mut sessions = Sessions::new();
    for entry in fs::read_dir("/proc")? {
        let entry = entry?;
        if !entry.file_name().as_encoded_bytes().iter().all(u8::is_ascii_digit) {
            continue;
        }
        let Some(process) = Stat::read(&entry.path().join("stat"))?.filter(Stat::is_alive) else { continue };
        let Some(group) = Pid::from_raw(process.group) else { continue };
        let groups = sessions.entry(process.session).or_default();
        if !groups.contains(&group) {
            groups.push(group);
        }
    }
    Ok(sessions)
}

/// The fields of `/proc/PID/stat` that matter here (proc_pid_stat(5)).
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    state: u8,
    group: i32,
    session: i32,
}

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
        let after_name = line.iter().rposition(|byte| *byte == b')')?;
        let rest = std::str::from_utf8(line.get(after_name + 1..)?).ok()?;
        let mut fields = rest.split_ascii_whitespace();
        let state = fields.next()?.bytes().next()?;
        let _parent = fields.next()?;
        Some(Self { state, group: fields.next()?.parse().ok()?, session: fields.next()?.parse().ok()? })
    }

    fn is_alive(&self) -> bool {
        !matches!(self.state, b'Z' | b'X')
    }
}

#[cfg(test)]
mod tests {
    use common::job::{Program, Spec};

    use super::super::{Account, spawn};
    use super::*;

    #[test]
    fn a_name_cannot_pretend_to_be_fields() {
        let line = b"42 (evil) Z 1 1 1 (x) S 7 8 9 0 -1 4194560 1 2 3";
        assert_eq!(Stat::parse(line), Some(Stat { state: b'S', group: 8, session: 9 }));
        for end in 0..line.len() {
            // Anything but a panic is fine.
            let _cut = Stat::parse(&line[..end]);
        }
    }

    #[test]
    fn a_process_is_found_in_its_session_until_it_ends() {
        let mut cat = Spec::new(Program::Shell("exec cat".into()));
        cat.directory = Some("/".into());
        cat.stdin = true;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
        runtime.block_on(async {
            let spawned = spawn(&cat, &Account::ann()).unwrap();
            let listing = ProcessTable::default().list(spawned.process.started).await.unwrap();
            assert_eq!(listing.process_groups(spawned.process.id), [spawned.process.id]);
            drop(spawned.stdin);
            spawned.process.exited().await.unwrap();
            assert!(spawned.process.tree_is_gone(&ProcessTable::default()).await);
            spawned.process.reap().unwrap();
        });
    }

    #[test]
    fn a_listing_serves_those_who_waited_for_it_and_those_who_ask_soon() {
        let start = Instant::now();
        let at = |milliseconds| start + Duration::from_millis(milliseconds);
        let listing = Listing { begun: at(100), sessions: Arc::default() };
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
        let table = ProcessTable::default();
        let first = runtime.block_on(table.list(Instant::now())).unwrap();
        let second = runtime.block_on(table.list(first.begun)).unwrap();
        assert!(second.begun > first.begun);
    }
}
