//! How this server keeps together what comes of its jobs, so that ending one ends all of it: chosen once, at its start.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use common::job::{JobId, ResourceLimits, StartFailure};
use nix::unistd::Uid;
use rustix::process::{getpid, set_child_subreaper};
use tracing::{info, warn};

use super::cgroup::{Cgroups, Controllers, Group};
use super::handed::{HandedCgroups, HandedGroup};
use super::journal::{Entry, Journal};
use super::limits::{self, Keepers, Means};
use super::listing::ProcessTable;
use super::system::{self, Restraints};
use super::{children, orphans, search};
use crate::parcel::{Packing, Unpacking};
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
    journal: OnceLock<Arc<Journal>>,
    /// Whether there are children that the program before this one has started, and that nobody waits for.
    has_strange_children: AtomicBool,
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
    /// The one job of this process: its cgroup if it has one, else all that descends from this process.
    OneJob { cgroups: Option<Arc<Cgroups>> },
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
        Self::granted(cgroups(owns), owns)
    }

    /// The same, going on with the cgroups of the program before this one.
    ///
    /// # Errors
    /// The system's, if they are not there.
    pub(crate) fn again(handed: HandedCgroups, unpacking: &mut Unpacking) -> io::Result<Arc<Self>> {
        let owns = OWNS_PROCESS.load(Ordering::Relaxed);
        let base = unpacking.descriptor(handed.base)?;
        let cgroups = Cgroups::again(handed.name, base, owns).or_else(|reason| {
            warn!(reason, "the cgroups of before cannot be used any more");
            cgroups(owns)
        });
        Ok(Self::granted(cgroups, owns))
    }

    fn granted(cgroups: Result<Arc<Cgroups>, String>, owns: bool) -> Arc<Self> {
        match cgroups {
            Ok(cgroups) => {
                info!(path = %cgroups.path().display(), "each job has a cgroup of its own");
                cgroups.clean();
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

    /// For a process that has one job, and no other children: everything that descends from it is the job's. `has_cgroups`:
    /// whether the server that has started it found that jobs can have cgroups.
    pub(crate) fn of_supervisor(has_cgroups: bool) -> Arc<Self> {
        adopt_orphans();
        let cgroups = has_cgroups.then(|| Cgroups::of_this_process(false).ok()).flatten();
        Self::new(Way::OneJob { cgroups }, false)
    }

    /// The directory in which its jobs have cgroups, if they have.
    pub(crate) fn cgroup(&self) -> Option<&Path> {
        self.cgroups().map(|cgroups| cgroups.path())
    }

    fn cgroups(&self) -> Option<&Arc<Cgroups>> {
        match &self.way {
            Way::Cgroups(cgroups) => Some(cgroups),
            Way::OneJob { cgroups } => cgroups.as_ref(),
            Way::Sweep { .. } => None,
        }
    }

    /// Has a supervisor that is started from now on find what it takes to keep `limits`. If there is nothing, it says so.
    pub(crate) fn prepare(&self, limits: &ResourceLimits) {
        if let Some(cgroups) = self.cgroups().filter(|_| needs_controllers(limits)) {
            cgroups.controllers();
        }
    }

    /// The cgroup that a supervisor is to be born in, if not in that of this process.
    pub(super) fn birthplace(&self) -> Option<OwnedFd> {
        self.cgroups()?.leaf().ok()
    }

    fn new(way: Way, finds_marks: bool) -> Arc<Self> {
        Arc::new(Self {
            way,
            journal: OnceLock::new(),
            has_strange_children: AtomicBool::new(false),
            table: ProcessTable::new(finds_marks),
            reserve: Mutex::new(Reserve::new(DESCRIPTORS)),
            reset_oom_score: fs::read_to_string("/proc/self/oom_score_adj")
                .is_ok_and(|score| score.trim() != "0"),
        })
    }

    /// Has a file in `directory` say which jobs run, for the server that comes after this one has been killed.
    pub(crate) fn keep_journal(&self, directory: &Path) {
        match Journal::open(directory, self.cgroup()) {
            // There is none yet.
            Ok(journal) => drop(self.journal.set(Arc::new(journal))),
            Err(error) => {
                warn!(path = %directory.display(), %error, "should this server be killed, its jobs are left running");
            }
        }
    }

    /// Notes in the journal that a job is about to start, as long as the answer is kept.
    pub(super) fn enter(&self, id: &JobId, group: Option<&Group>) -> Option<Entry> {
        let group = group.and_then(Group::name);
        self.journal.get().map(|journal| journal.enter(id, group.as_deref()))
    }

    /// Takes away the cgroups of servers and supervisors that are gone, as far as nobody is in them.
    pub(crate) fn clean(&self) {
        if let Some(cgroups) = self.cgroups() {
            cgroups.clean();
        }
    }

    /// What a job with these limits is held in and to.
    ///
    /// # Errors
    /// [`StartFailure::Limit`], [`StartFailure::Exhausted`].
    pub(super) fn hold(&self, limits: &ResourceLimits) -> Result<Hold, StartFailure> {
        let Keepers { settings, mut restraints } = self.keepers(limits)?;
        restraints.reset_oom_score = self.reset_oom_score;
        let Some(cgroups) = self.cgroups() else { return Ok(Hold { group: None, restraints }) };
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
        let controllers = match self.cgroups() {
            Some(cgroups) if needs_controllers(limits) => cgroups.controllers(),
            _ => &without,
        };
        let (counts_processes, can_restrain) = (counts_processes(), system::can_restrain());
        limits::keepers(limits, Means { controllers, counts_processes, can_restrain })
    }

    /// Another program was before this one in the process, and has started supervisors.
    pub(crate) fn expect_strange_children(&self) {
        self.has_strange_children.store(true, Ordering::Relaxed);
    }

    /// Takes leave of the orphans that are given to this process, for ever; waits for ever if it is given none.
    pub(crate) async fn reap_orphans(&self) {
        let is_given_some = !matches!(self.way, Way::Cgroups(_) | Way::Sweep { adopts: false });
        if (is_given_some || self.has_strange_children.load(Ordering::Relaxed))
            && let Err(error) = orphans::reap(&self.table).await
        {
            warn!(%error, "orphans of jobs stay as they are when they end");
        }
        std::future::pending::<()>().await;
    }

    /// Leaves its cgroups to the next program, if there are any and there will be one.
    pub(crate) fn hand<'a>(&'a self, packing: &mut Packing<'a>) -> Option<HandedCgroups> {
        match &self.way {
            Way::Cgroups(cgroups) => Some(cgroups.hand(packing)),
            Way::Sweep { .. } | Way::OneJob { .. } => None,
        }
    }

    /// Goes on with the cgroup of a job; `None` if that is of no use any more.
    ///
    /// # Errors
    /// The system's, if it is not there.
    pub(super) fn group_again(
        &self,
        handed: HandedGroup,
        unpacking: &mut Unpacking,
    ) -> io::Result<Option<Group>> {
        let directory = unpacking.descriptor(handed.directory)?;
        Ok(match &self.way {
            Way::Cgroups(cgroups) => cgroups.group_again(handed, directory),
            Way::Sweep { .. } | Way::OneJob { .. } => None,
        })
    }

    pub(super) fn table(&self) -> &ProcessTable {
        &self.table
    }

    /// Whether every child of this process is the job's.
    pub(super) fn has_one_job(&self) -> bool {
        matches!(self.way, Way::OneJob { .. })
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

fn needs_controllers(limits: &ResourceLimits) -> bool {
    ResourceLimits { nice: None, ..*limits } != ResourceLimits::default()
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
