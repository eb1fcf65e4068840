//! Ends what is left of jobs that nobody watches any more, because whoever did was killed.
//!
//! By their cgroups; and by what `/proc` tells: the first process, its session, what descends from them, and who carries the
//! id of the job. A number that was given to another process since is known by the time of its start, so that nobody else is
//! hit. Blocks: for a thread of its own.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use common::job::JobId;
use rustix::process::{Pid, PidfdFlags, Signal, getpid, pidfd_open, pidfd_send_signal};
use tracing::warn;

use super::cgroup::Left;
use super::identity;
use super::listing::{Listing, Stat};

/// Listings until everything that can be found is stopped.
const ROUNDS: usize = 16;

/// Between two looks at what was killed.
const PAUSE: Duration = Duration::from_millis(10);

/// How far up a process is followed for whoever watches over it.
const ANCESTORS: usize = 64;

/// What is known of a job that nobody watches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Remains {
    /// Its id, which what comes of it carries in its environment.
    pub(crate) id: JobId,
    /// Its first process, and when that was started; see [`identity::started`].
    pub(crate) leader: Option<(u32, u64)>,
    /// The cgroup in which nobody is but of this job.
    pub(crate) cgroup: Option<PathBuf>,
    /// Nothing of it was started before.
    pub(crate) since: u64,
}

/// Ends all that is left of these jobs, in `time` or less; whether nothing of them is left.
pub(crate) fn end(jobs: &[Remains], time: Duration) -> bool {
    if jobs.is_empty() {
        return true;
    }
    let until = Instant::now() + time;
    let groups: Vec<Left> = jobs.iter().filter_map(|job| Left::open(job.cgroup.as_deref()?)).collect();
    // A process that forks and exits while `/proc` is read can be missed, but hardly twice.
    let mut nothing = 0;
    while nothing < 2 {
        if Instant::now() > until {
            return false;
        }
        let empty = groups.iter().map(Left::kill).fold(true, |all, empty| all & empty);
        match sweep(jobs) {
            Ok(0) if empty => nothing += 1,
            Ok(_) => nothing = 0,
            Err(error) => warn!(%error, "cannot list what is left of jobs"),
        }
        if nothing == 0 {
            thread::sleep(PAUSE);
        }
    }
    groups.into_iter().for_each(Left::remove);
    true
}

/// Stops everything before anything is killed: what is stopped does not fork. How many were found.
fn sweep(jobs: &[Remains]) -> io::Result<usize> {
    let mut stopped = HashSet::new();
    for _ in 0..ROUNDS {
        let listing = Listing::marked()?;
        let known = stopped.len();
        for process in found(jobs, &listing) {
            if stopped.insert((process.id, process.started)) {
                send(process.id, process.started, Signal::STOP);
            }
        }
        if stopped.len() == known {
            break;
        }
    }
    stopped.iter().for_each(|(id, started)| send(*id, *started, Signal::KILL));
    Ok(stopped.len())
}

fn found<'a>(jobs: &[Remains], listing: &'a Listing) -> Vec<&'a Stat> {
    let by_id: HashMap<i32, &Stat> =
        listing.processes().iter().map(|process| (process.id, process)).collect();
    let by_mark: HashMap<&str, &Remains> = jobs.iter().map(|job| (job.id.as_str(), job)).collect();
    let by_leader: HashMap<i32, &Remains> =
        jobs.iter().filter_map(|job| Some((i32::try_from(job.leader?.0).ok()?, job))).collect();
    let own = identity::own_session();
    listing.tree(|process| {
        let is_marked = || {
            let job = process.mark.as_deref().and_then(|mark| by_mark.get(mark));
            job.is_some_and(|job| process.started >= job.since && !is_watched(process, &by_id))
        };
        let is_in_session = || {
            // Its number is still taken by the session, unless somebody else has it.
            let leader = by_leader.get(&process.session).and_then(|job| job.leader);
            let holder = by_id.get(&process.session).map(|holder| holder.started);
            Some(process.session) != own && leader.is_some_and(|(_, started)| holder == Some(started))
        };
        is_in_session() || is_marked()
    })
}

/// Whether a supervisor that lives has it: it is of another job with the same id, then.
fn is_watched(process: &Stat, by_id: &HashMap<i32, &Stat>) -> bool {
    let mut above = by_id.get(&process.parent);
    for _ in 0..ANCESTORS {
        let Some(parent) = above.filter(|parent| parent.id > 1) else { return false };
        if parent.mark != process.mark && is_supervisor(parent.id) {
            return true;
        }
        above = by_id.get(&parent.parent);
    }
    false
}

fn is_supervisor(process: i32) -> bool {
    let line = fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
    line.split(|byte| *byte == 0).nth(1) == Some(super::beside::SUPERVISE.as_bytes())
}

/// Sends `signal` to the process, if it is still the same one.
fn send(id: i32, started: u64, signal: Signal) {
    let Some(id) = Pid::from_raw(id).filter(|id| *id != getpid()) else { return };
    // The descriptor first: what is found out after that is about the process that it stands for.
    let Ok(process) = pidfd_open(id, PidfdFlags::empty()) else { return };
    if identity::started(id.as_raw_nonzero().get().unsigned_abs()).ok() == Some(started) {
        pidfd_send_signal(process, signal).ok();
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command, Stdio};

    use super::super::environment::JOB_ID;
    use super::*;

    /// How long anything may take.
    const TIME: Duration = Duration::from_secs(20);

    /// A child that sleeps, in a session of its own, and carries the id of a job.
    fn sleeper(id: &JobId) -> Child {
        let mut command = Command::new("setsid");
        command.args(["sleep", "1000"]).env(JOB_ID, id.as_str()).stdin(Stdio::null()).spawn().unwrap()
    }

    fn new_id() -> JobId {
        format!("test-{}", fastrand::u64(..)).parse().unwrap()
    }

    /// Whether it sleeps; it does not before it has executed.
    fn sleeps(child: &mut Child) -> bool {
        let line = fs::read(format!("/proc/{}/cmdline", child.id())).unwrap_or_default();
        child.try_wait().unwrap().is_none() && line.starts_with(b"sleep")
    }

    fn wait_until_it_sleeps(child: &mut Child) {
        let until = Instant::now() + TIME;
        while !sleeps(child) {
            assert!(Instant::now() < until);
            thread::sleep(PAUSE);
        }
    }

    #[test]
    fn who_got_the_number_of_a_process_is_not_taken_for_it() {
        let mut other = sleeper(&new_id());
        wait_until_it_sleeps(&mut other);
        let started = identity::started(other.id()).unwrap();
        let remains =
            |started| Remains { id: new_id(), leader: Some((other.id(), started)), cgroup: None, since: 0 };
        let (before, same) = (remains(started - 1), remains(started));
        assert!(end(&[before], TIME));
        assert!(sleeps(&mut other));
        assert!(end(&[same], TIME));
        assert!(!sleeps(&mut other));
    }

    #[test]
    fn who_carries_the_id_is_ended_unless_it_was_there_before_the_job() {
        let id = new_id();
        let mut process = sleeper(&id);
        wait_until_it_sleeps(&mut process);
        let started = identity::started(process.id()).unwrap();
        let remains = |since| Remains { id: id.clone(), leader: None, cgroup: None, since };
        assert!(end(&[remains(started + 1)], TIME));
        assert!(sleeps(&mut process));
        assert!(end(&[remains(started)], TIME));
        assert!(!sleeps(&mut process));
    }
}
