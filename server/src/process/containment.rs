//! How this server keeps together what comes of its jobs, so that ending one ends all of it: chosen once, at its start.

use std::fs;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use common::job::{ResourceLimits, StartFailure};
use nix::unistd::Uid;
use rustix::process::{getpid, set_child_subreaper};
use tracing::{info, warn};

use super::cgroup::{Cgroups, Controllers, Group};
use super::limits::{self, Keepers, Means};
use super::listing::ProcessTable;
use super::system::{self, Restraints};
use super::{children, orphans, search};
use crate::reserve::{Reserve, is_shortage};

/// What it takes to end a cgroup: the one file that is open at a time, and a directory below.
const DESCRIPTORS: usize = 2;

/// Capabilities that let a user have any number of processes: `CAP_SYS_ADMIN`, `CAP_SYS_RESOURCE` (capabilities(7)).
const UNCOUNTED: u64 = 1 << 21 | 1 << 24;

/// Whether this process is a server's, and not that of a program which has a server in it.
static OWNS_PROCESS: AtomicBool = AtomicBool::new(false);

/// Says that this process is a server's alone: it may take in orphans, and be moved to another cgroup. For programs, before
/// they make a server; a library has no say in this.
pub(crate) fn own_process() {
    system::keep_children();
    OWNS_PROCESS.store(true, Ordering::Relaxed);
}

/// What keeps the processes of a job together.
#[derive(Debug)]
pub(crate) struct Containment {
    way: Way,
    table: ProcessTable,
    /// What is to end is to end also while there are no descriptors left.
    reserve: Mutex<Reserve>,
    reset_oom_score: bool,
}

#[derive(Debug)]
enum Way {
    /// Each job has a cgroup.
    Cgroups(Arc<Cgroups>),
    /// A job is what can be found of it in `/proc`.
    Sweep {
        /// Whether orphans become children of this process.
        adopts: bool,
    },
    /// The one job of this process is all that descends from it.
    Descendants,
}

/// How what a job is to become is held.
pub(super) struct Hold {
    pub(super) group: Option<Group>,
    pub(super) restraints: Restraints,
}

impl Containment {
    /// The best that this system grants a server. The log says which.
    pub(crate) fn of_server() -> Arc<Self> {
        let owns = OWNS_PROCESS.load(Ordering::Relaxed);
        match cgroups(owns) {
            Ok(cgroups) => {
                info!(path = %cgroups.path().display(), "each job has a cgroup of its own");
                Self::new(Way::Cgroups(cgroups), false)
            }
            Err(reason) => {
                let adopts = owns && adopt_orphans();
                info!(
                    reason,
                    orphans = adopts,
                    "no cgroups: what comes of a job is searched for in /proc when it ends"
                );
                Self::new(Way::Sweep { adopts }, adopts)
            }
        }
    }

    /// For a process that has one job, and no other children: everything that descends from it is the job's.
    #[cfg_attr(not(test), expect(dead_code, reason = "for supervisors, which are being built"))]
    pub(crate) fn of_supervisor() -> Arc<Self> {
        adopt_orphans();
        Self::new(Way::Descendants, false)
    }

    fn new(way: Way, finds_marks: bool) -> Arc<Self> {
        Arc::new(Self {
            way,
            table: ProcessTable::new(finds_marks),
            reserve: Mutex::new(Reserve::new(DESCRIPTORS)),
            reset_oom_score: fs::read_to_string("/proc/self/oom_score_adj")
                .is_ok_and(|score| score.trim() != "0"),
        })
    }

    /// What a job with these limits is held in and to.
    ///
    /// # Errors
    /// [`StartFailure::Limit`], [`StartFailure::Exhausted`].
    pub(super) fn hold(&self, limits: &ResourceLimits) -> Result<Hold, StartFailure> {
        let Keepers { settings, mut restraints } = self.keepers(limits)?;
        restraints.reset_oom_score = self.reset_oom_score;
        let Way::Cgroups(cgroups) = &self.way else { return Ok(Hold { group: None, restraints }) };
        let group = match cgroups.group(&settings) {
            Ok(group) => Some(group),
            Err((_, error)) if is_shortage(&error) => return Err(search::exhausted(&error)),
            Err((file, error)) if !settings.is_empty() => {
                return Err(limits::impossible(limits::resource_of(file), &format!("{file}: {error}")));
            }
            Err((file, error)) => {
                warn!(file, %error, "no cgroup for a job: it will be searched for in /proc");
                None
            }
        };
        Ok(Hold { group, restraints })
    }

    fn keepers(&self, limits: &ResourceLimits) -> Result<Keepers, StartFailure> {
        if limits.is_empty() {
            return Ok(Keepers::default());
        }
        let without = Controllers::none("the server has no cgroups");
        let needs_controllers = ResourceLimits { nice: None, ..*limits } != ResourceLimits::default();
        let controllers = match &self.way {
            Way::Cgroups(cgroups) if needs_controllers => cgroups.controllers(),
            _ => &without,
        };
        let (counts_processes, can_restrain) = (counts_processes(), system::can_restrain());
        limits::keepers(limits, Means { controllers, counts_processes, can_restrain })
    }

    /// Takes leave of the orphans that are given to this process, for ever; waits for ever if it is given none.
    pub(crate) async fn reap_orphans(&self) {
        if !matches!(self.way, Way::Cgroups(_) | Way::Sweep { adopts: false })
            && let Err(error) = orphans::reap(&self.table).await
        {
            warn!(%error, "orphans of jobs stay as they are when they end");
        }
        std::future::pending::<()>().await;
    }

    pub(super) fn table(&self) -> &ProcessTable {
        &self.table
    }

    /// Whether every child of this process is the job's.
    pub(super) fn has_one_job(&self) -> bool {
        matches!(self.way, Way::Descendants)
    }

    /// Does what ends a job, also if there are no descriptors left for it.
    pub(super) fn with_reserve<T>(&self, work: impl Fn() -> io::Result<T>) -> io::Result<T> {
        self.reserve.lock().unwrap_or_else(PoisonError::into_inner).try_with(work, is_shortage)
    }
}

#[cfg(test)]
impl Containment {
    /// By `/proc`, as if there were no cgroups.
    pub(crate) fn by_sweep(adopts: bool) -> Arc<Self> {
        Self::new(Way::Sweep { adopts: adopts && adopt_orphans() }, adopts)
    }
}

fn cgroups(may_move: bool) -> Result<Arc<Cgroups>, String> {
    if !system::can_restrain() {
        return Err("the system does not let processes be born in one (clone3)".to_owned());
    }
    let cgroups = Cgroups::of_this_process(may_move)?;
    let group = cgroups.group(&[]).map_err(|(file, error)| format!("{file}: {error}"))?;
    match group.descriptor().map(children::can_be_born_in) {
        Some(Ok(true)) => {}
        Some(Err(error)) => return Err(format!("nothing can be born in a cgroup: {error}")),
        Some(Ok(false)) | None => return Err("the kernel kills what is born in a cgroup".to_owned()),
    }
    drop(group);
    Ok(cgroups)
}

/// Whether orphans come to this process from now on.
fn adopt_orphans() -> bool {
    set_child_subreaper(Some(getpid())).inspect_err(|error| warn!(%error, "orphans of jobs are lost")).is_ok()
}

/// Whether the kernel holds this user to a number of processes (getrlimit(2), `RLIMIT_NPROC`).
fn counts_processes() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let capabilities = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let capabilities = capabilities.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    !Uid::current().is_root() && capabilities.is_some_and(|mask| mask & UNCOUNTED == 0)
}
