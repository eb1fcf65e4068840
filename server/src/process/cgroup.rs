//! A cgroup of version 2 for every job (cgroups(7)): nothing that a job starts leaves it, whatever session or parent it has.
//!
//! ```text
//!   own cgroup of the server        telex-server/   supervisors; and the server, once it had to hand on controllers
//!   └─ telex.PID/                   locked (flock(2)) as long as this server lives, or this supervisor of one job
//!      ├─ jobs/1, 2, …              a job each; used again when empty
//!      └─ limited/1, 2, …           a job with limits each; used once, since what they count goes on from job to job
//! ```
//!
//! Knows nothing of processes other than their ids.

mod controllers;
mod files;
mod handed;
mod left;
mod place;

use std::collections::{HashSet, VecDeque};
use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use rustix::fs::{Access, AtFlags, FlockOperation, accessat, flock};
use rustix::io::Errno;
use rustix::process::{Pid, getpid};

pub(super) use controllers::Controllers;
use files::Directory;
pub(super) use left::Left;

/// What the directories of servers begin with.
const PREFIX: &str = "telex.";

const JOBS: &str = "jobs";
const LIMITED: &str = "limited";

/// Empty cgroups kept for the next jobs. Making one and taking it away costs about as much as a twentieth of a start.
const IDLE: usize = 32;

/// How many of the cgroups that were left with somebody in them are looked at when a job ends.
const LINGERING_LOOKS: usize = 4;

/// How many names are tried for the server's own directory. Another server of this process has the same.
const NAMES: u32 = 1000;

/// Where this server has its jobs.
#[derive(Debug)]
pub(super) struct Cgroups {
    /// The cgroup that the server's directory is in.
    own: Directory,
    /// The server's directory, locked; taken away with this.
    base: Directory,
    name: String,
    path: PathBuf,
    jobs: Directory,
    controllers: OnceLock<Controllers>,
    /// Whether this process may be moved to another cgroup.
    may_move: bool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    made: u64,
    idle: Vec<Place>,
    /// Those of jobs that are over, with somebody left in them; each behind its directory.
    lingering: VecDeque<(&'static str, String)>,
}

/// The cgroup of one job. Given back when dropped; what is left in it stays as it is.
#[derive(Debug)]
pub(super) struct Group {
    /// `None` once it is given back.
    place: Option<Place>,
    home: Arc<Cgroups>,
}

#[derive(Debug)]
struct Place {
    directory: Directory,
    parent: &'static str,
    name: String,
    /// Processor time that earlier jobs have used here, in microseconds.
    used_before: u64,
    /// Whether it must not be used again.
    spoilt: AtomicBool,
}

/// A file of a cgroup and what is written into it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Setting {
    pub(super) file: &'static str,
    pub(super) value: String,
    /// Whether it is nothing to worry about if this kernel has no such file.
    pub(super) optional: bool,
}

impl Cgroups {
    /// A directory for the jobs of this process below its own cgroup. `may_move`: whether this process may be moved, if
    /// controllers need that.
    ///
    /// # Errors
    /// What is missing, for people.
    pub(super) fn of_this_process(may_move: bool) -> Result<Arc<Self>, String> {
        Self::below(&home()?, may_move)
    }

    /// The same below any cgroup that this process is in.
    fn below(path: &Path, may_move: bool) -> Result<Arc<Self>, String> {
        let explain = |error: io::Error| format!("{}: {error}", path.display());
        let own = Directory::open(path).map_err(explain)?;
        // Else nothing may be born beside it (clone3(2), CLONE_INTO_CGROUP).
        accessat(&own, "cgroup.procs", Access::WRITE_OK, AtFlags::EACCESS)
            .map_err(|error| explain(error.into()))?;
        let (name, base) = make_locked(&own).map_err(explain)?;
        let jobs = base.make(JOBS).map_err(explain).inspect_err(|_| drop(own.remove(&name)))?;
        if accessat(&jobs, "cgroup.kill", Access::WRITE_OK, AtFlags::EACCESS).is_err() {
            own.remove(&name).ok();
            return Err("this kernel cannot end a cgroup (cgroup.kill, Linux 5.14)".to_owned());
        }
        Ok(Arc::new(Self {
            path: path.join(&name),
            own,
            base,
            name,
            jobs,
            controllers: OnceLock::new(),
            may_move,
            state: Mutex::default(),
        }))
    }

    /// Takes away what servers and supervisors that are gone have left beside it, as far as nobody is in it.
    pub(super) fn clean(&self) {
        clean(&self.own);
    }

    /// Where a supervisor is to be born: not among those that keep the server's cgroup from handing on controllers.
    pub(super) fn leaf(&self) -> io::Result<OwnedFd> {
        let made = match self.own.make(place::LEAF) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => self.own.open_below(place::LEAF),
            made => made,
        };
        made.map(Directory::into_descriptor)
    }

    /// Where the jobs are.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The controllers that count for jobs with limits. The first to ask has them handed down.
    pub(super) fn controllers(&self) -> &Controllers {
        self.controllers.get_or_init(|| controllers::enable(&self.own, &self.base, LIMITED, self.may_move))
    }

    /// A cgroup for a job, with these settings; one that is used again, if there are none.
    ///
    /// # Errors
    /// The system's, with the file that it is about.
    pub(super) fn group(self: &Arc<Self>, settings: &[Setting]) -> Result<Group, (&'static str, io::Error)> {
        let place = if settings.is_empty() { self.plain() } else { self.limited() };
        let group = Group { place: Some(place.map_err(|error| ("mkdir", error))?), home: Arc::clone(self) };
        settings.iter().try_for_each(|setting| group.set(setting))?;
        Ok(group)
    }

    fn plain(&self) -> io::Result<Place> {
        let idle = self.state().idle.pop();
        idle.map_or_else(|| self.make(&self.jobs, JOBS), Ok)
    }

    fn limited(&self) -> io::Result<Place> {
        self.make(&self.base.open_below(LIMITED)?, LIMITED)
    }

    fn make(&self, directory: &Directory, parent: &'static str) -> io::Result<Place> {
        let name = {
            let mut state = self.state();
            state.made += 1;
            state.made.to_string()
        };
        let directory = directory.make(&name)?;
        Ok(Place { directory, parent, name, used_before: 0, spoilt: AtomicBool::new(parent == LIMITED) })
    }

    fn take_back(&self, mut place: Place) {
        if !place.spoilt.load(Ordering::Relaxed)
            && place.directory.is_as_new()
            && self.state().idle.len() < IDLE
        {
            place.used_before = place.used().unwrap_or_default();
            self.state().idle.push(place);
        } else {
            let Place { parent, name, .. } = place;
            self.remove_or_keep(parent, name);
        }
        let looks = self.state().lingering.len().min(LINGERING_LOOKS);
        for _ in 0..looks {
            let Some((parent, name)) = self.state().lingering.pop_front() else { break };
            self.remove_or_keep(parent, name);
        }
    }

    fn remove_or_keep(&self, parent: &'static str, name: String) {
        let removed = self.base.open_below(parent).and_then(|parent| parent.remove(&name));
        if removed.is_err_and(|error| error.kind() != io::ErrorKind::NotFound) {
            self.state().lingering.push_back((parent, name));
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Cgroups {
    fn drop(&mut self) {
        self.state().idle.clear();
        // Each by itself: one that somebody is left in must not keep the others.
        remove_empty(&self.base, JOBS);
        remove_empty(&self.base, LIMITED);
        self.own.remove(&self.name).ok();
        // Unless somebody is there.
        self.own.remove(place::LEAF).ok();
    }
}

impl Group {
    /// Where a process is to be born.
    pub(super) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.place.as_ref().map(|place| place.directory.as_fd())
    }

    /// Its name below the directory of its server.
    pub(super) fn name(&self) -> Option<String> {
        self.place.as_ref().map(|place| format!("{}/{}", place.parent, place.name))
    }

    /// Whether it is there to keep limits.
    pub(super) fn is_limited(&self) -> bool {
        self.place.as_ref().is_some_and(|place| place.parent == LIMITED)
    }

    /// The process groups that have somebody in it.
    pub(super) fn process_groups(&self) -> io::Result<HashSet<Pid>> {
        self.directory()?.process_groups()
    }

    /// Kills all that is in it, and all that is being born in it.
    pub(super) fn kill(&self) -> io::Result<()> {
        // Linux 6.14 and later kill also whoever is born later, from another cgroup (`kill_seq` in kernel/cgroup/cgroup.c).
        self.spoil();
        self.directory()?.write("cgroup.kill", "1")
    }

    /// Whether nothing alive is in it.
    pub(super) fn is_empty(&self) -> io::Result<bool> {
        self.directory()?.is_empty()
    }

    /// Processor time that the job has used, in microseconds.
    pub(super) fn used(&self) -> Option<u64> {
        let place = self.place.as_ref()?;
        Some(place.used()?.saturating_sub(place.used_before))
    }

    /// The most memory that the job has had, in bytes, as its limit counts it. `None` if nobody counts.
    pub(super) fn peak_memory(&self) -> Option<u64> {
        self.directory().ok()?.read("memory.peak").ok()?.trim().parse().ok()
    }

    /// Whether the kernel has killed one of it for want of memory; not, if nobody counts.
    pub(super) fn is_out_of_memory(&self) -> bool {
        self.is_limited()
            && self.directory().is_ok_and(|directory| {
                directory.number("memory.events", "oom_kill").is_ok_and(|kills| kills > 0)
            })
    }

    /// Has it be used for no other job: something is wrong with it.
    pub(super) fn spoil(&self) {
        if let Some(place) = &self.place {
            place.spoilt.store(true, Ordering::Relaxed);
        }
    }

    fn set(&self, setting: &Setting) -> Result<(), (&'static str, io::Error)> {
        match self.directory().and_then(|directory| directory.write(setting.file, &setting.value)) {
            Err(error) if setting.optional && error.kind() == io::ErrorKind::NotFound => Ok(()),
            result => result.map_err(|error| (setting.file, error)),
        }
    }

    fn directory(&self) -> io::Result<&Directory> {
        self.place.as_ref().map(|place| &place.directory).ok_or_else(|| Errno::BADF.into())
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(place) = self.place.take() {
            self.home.take_back(place);
        }
    }
}

impl Place {
    fn used(&self) -> Option<u64> {
        self.directory.number("cpu.stat", "usage_usec").ok()
    }
}

/// The cgroup of this server: that of its process, or the one above if it has moved out of the way.
fn home() -> Result<PathBuf, String> {
    let [mounts, cgroups] = ["/proc/self/mountinfo", "/proc/self/cgroup"].map(fs::read_to_string);
    let texts =
        mounts.and_then(|mounts| Ok((mounts, cgroups?))).map_err(|error| format!("/proc/self: {error}"))?;
    let path = place::own_directory(&texts.0, &texts.1).ok_or("no cgroup of version 2 can be seen")?;
    match path.parent() {
        Some(parent) if path.ends_with(place::LEAF) => Ok(parent.to_owned()),
        _ => Ok(path),
    }
}

/// Takes away what servers that are gone have left below `own`, as far as nobody is in it.
fn clean(own: &Directory) {
    for name in own.below().unwrap_or_default() {
        if !name.starts_with(PREFIX) {
            continue;
        }
        let Ok(base) = own.open_below(&name) else { continue };
        // The lock of a server goes with it, however it ends.
        if flock(&base, FlockOperation::NonBlockingLockExclusive).is_ok() {
            remove_empty(&base, JOBS);
            remove_empty(&base, LIMITED);
            own.remove(&name).ok();
        }
    }
}

/// Takes away the cgroups in `parent` that nobody is in.
fn remove_empty(base: &Directory, parent: &str) {
    let Ok(parent) = base.open_below(parent) else { return };
    for name in parent.below().unwrap_or_default() {
        parent.remove(&name).ok();
    }
}

/// Makes the directory of this server, and locks it.
fn make_locked(own: &Directory) -> io::Result<(String, Directory)> {
    let id = getpid().as_raw_nonzero();
    for number in 0..NAMES {
        let name = if number == 0 { format!("{PREFIX}{id}") } else { format!("{PREFIX}{id}.{number}") };
        let base = match own.make(&name) {
            Ok(base) => base,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
            // Another server took it for one that was left.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        if flock(&base, FlockOperation::NonBlockingLockExclusive).is_ok() && own.open_below(&name).is_ok() {
            return Ok((name, base));
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

#[cfg(test)]
mod tests;
