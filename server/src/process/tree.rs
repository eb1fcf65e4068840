//! All that has come of one job, found again to be ended: by its cgroup if it has one, else in `/proc`.

use std::collections::HashSet;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use common::job::{JobId, PeakMemory, Signal, Usage};
use rustix::process::{Pid, getpid};
use tracing::warn;

use super::cgroup::Group;
use super::containment::Containment;
use super::journal::Entry;
use super::listing::{Listing, Stat};
use super::{children, system};

/// Listings until everything that can be found is stopped. What forks faster than that is met again at the next look.
const ROUNDS: usize = 16;

/// The processes of a job.
#[derive(Debug)]
pub(super) struct Tree {
    /// Its first process, leader of a session of its own.
    leader: Pid,
    /// A moment when that had been started.
    started: Instant,
    id: JobId,
    group: Option<Group>,
    /// What the next server knows it by, should this one be killed.
    _entry: Option<Entry>,
    /// What was found to belong to it at the last look, by id and time of start, whoever its parent is by now.
    seen: Mutex<HashSet<(i32, u64)>>,
    containment: Arc<Containment>,
}

impl Tree {
    /// What will come of a process that has just been started.
    pub(super) fn new(
        leader: Pid,
        id: JobId,
        group: Option<Group>,
        entry: Option<Entry>,
        containment: Arc<Containment>,
    ) -> Self {
        Self {
            leader,
            started: Instant::now(),
            id,
            group,
            _entry: entry,
            seen: Mutex::default(),
            containment,
        }
    }

    /// What has come of a process that was started by the program before this one, with its job and cgroup.
    pub(super) fn again(
        leader: Pid,
        started: Instant,
        (id, group, entry): (JobId, Option<Group>, Option<Entry>),
        seen: HashSet<(i32, u64)>,
        containment: Arc<Containment>,
    ) -> Self {
        Self { leader, started, id, group, _entry: entry, seen: Mutex::new(seen), containment }
    }

    /// A moment when its leader had been started.
    pub(super) fn started(&self) -> Instant {
        self.started
    }

    /// Its cgroup, if it has one.
    pub(super) fn group(&self) -> Option<&Group> {
        self.group.as_ref()
    }

    /// What was found to belong to it at the last look, by id and time of start.
    pub(super) fn seen(&self) -> HashSet<(i32, u64)> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sends `signal` to all of it; to the leader's process group at least, if the system does not tell.
    pub(super) async fn signal(&self, signal: Signal) {
        let result = match &self.group {
            Some(group) if signal == Signal::KILL => self.kill(group),
            Some(group) => self.signal_group(group, signal),
            None if signal == Signal::KILL => self.stop_and_kill().await,
            None => self.signal_found(signal).await,
        };
        if let Err(error) = result {
            warn!(process_id = %self.leader.as_raw_nonzero(), %error, "cannot list the processes of a job");
            system::kill_group(self.leader, signal).ok();
        }
    }

    /// Kills what can be killed without waiting: for a job that nobody watches any more.
    pub(super) fn kill_now(&self) {
        system::kill_group(self.leader, Signal::KILL).ok();
        if let Some(group) = &self.group {
            self.kill(group).ok();
        }
    }

    /// Whether nothing alive is left. What cannot be found out is not the case.
    pub(super) async fn is_gone(&self) -> bool {
        if let Some(group) = &self.group {
            return self.containment.with_reserve(|| group.is_empty()).unwrap_or(false);
        }
        let Ok(first) = self.containment.table().list(self.started).await else { return false };
        if !self.process_groups(&first).is_empty() {
            return false;
        }
        // A process that forks and exits while `/proc` is read can be missed, but hardly twice.
        let Ok(second) = self.containment.table().list(first.begun).await else { return false };
        self.process_groups(&second).is_empty()
    }

    /// What the job has used, of which `reaped` is what its leader and those that waited for each other have.
    pub(super) fn usage(&self, reaped: Usage) -> Usage {
        let group = self.group.as_ref();
        Usage {
            cpu_us: group.and_then(Group::used).unwrap_or(reaped.cpu_us),
            peak_memory: group.and_then(Group::peak_memory).map_or(reaped.peak_memory, PeakMemory::Exactly),
        }
    }

    /// Whether one of it was killed for want of memory, as far as somebody counts.
    pub(super) fn is_out_of_memory(&self) -> bool {
        self.group.as_ref().is_some_and(Group::is_out_of_memory)
    }

    fn kill(&self, group: &Group) -> io::Result<()> {
        // It may have been moved elsewhere.
        system::kill_group(self.leader, Signal::KILL).ok();
        self.containment.with_reserve(|| group.kill())
    }

    fn signal_group(&self, group: &Group, signal: Signal) -> io::Result<()> {
        let mut groups = self.containment.with_reserve(|| group.process_groups())?;
        groups.insert(self.leader);
        signal_each(&groups, signal);
        Ok(())
    }

    async fn signal_found(&self, signal: Signal) -> io::Result<()> {
        let listing = self.containment.table().list(self.started).await?;
        signal_each(&self.process_groups(&listing), signal);
        Ok(())
    }

    /// Stops everything before anything is killed: what is stopped does not fork, and what has a parent can be found.
    async fn stop_and_kill(&self) -> io::Result<()> {
        let mut stopped = HashSet::new();
        let mut since = self.started;
        for _ in 0..ROUNDS {
            let listing = self.containment.table().list(since).await?;
            let found = self.process_groups(&listing);
            let new: HashSet<_> = found.difference(&stopped).copied().collect();
            if new.is_empty() {
                break;
            }
            signal_each(&new, Signal::STOP);
            stopped.extend(new);
            since = Instant::now();
        }
        signal_each(&stopped, Signal::KILL);
        Ok(())
    }

    fn process_groups(&self, listing: &Listing) -> HashSet<Pid> {
        let leader = self.leader.as_raw_nonzero().get();
        let own = getpid().as_raw_nonzero().get();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let is_root = |process: &Stat| {
            process.session == leader
                || seen.contains(&(process.id, process.started))
                || (process.parent == own && self.is_ours(process))
        };
        let tree = listing.tree(is_root);
        let groups = tree.iter().filter_map(|process| Pid::from_raw(process.group)).collect();
        *seen = tree.into_iter().map(|process| (process.id, process.started)).collect();
        groups
    }

    /// Whether a child of this process is an orphan of the job's.
    fn is_ours(&self, child: &Stat) -> bool {
        if self.containment.has_one_job() {
            return true;
        }
        child.mark.as_deref() == Some(self.id.as_str())
            && Pid::from_raw(child.id).is_some_and(|id| !children::is_own(id))
    }
}

fn signal_each(groups: &HashSet<Pid>, signal: Signal) {
    for group in groups {
        // It may have ended since it was listed.
        system::kill_group(*group, signal).ok();
    }
}
