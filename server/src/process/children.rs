//! Which children of this process are its own: those that it has started, and takes leave of itself. Any other child is an
//! orphan that was given to it.
//!
//! Of the process, and not of a server in it: so are its children.

use std::collections::HashSet;
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, TryLockError};

use common::job::Usage;
use rustix::process::Pid;

use super::system::{self, Born, Failure, Image, Restraints, Step};

/// Shared by births, and held alone by whoever looks for orphans: a child that has been born and is not known yet would be
/// taken for one.
static BIRTHS: RwLock<()> = RwLock::new(());

static OWN: Mutex<Option<HashSet<Pid>>> = Mutex::new(None);

/// Starts a child of our own.
pub(super) fn start(image: &Image<'_>) -> Result<Born, Failure> {
    let _birth = BIRTHS.read().unwrap_or_else(PoisonError::into_inner);
    let born = system::start(image)?;
    own().get_or_insert_default().insert(born.id);
    Ok(born)
}

/// Counts a child that the program before this one has started among our own.
pub(super) fn adopt(id: Pid) {
    own().get_or_insert_default().insert(id);
}

/// Whether a process lives that is born in this cgroup: one is, which executes nothing.
pub(super) fn can_be_born_in(cgroup: BorrowedFd<'_>) -> io::Result<bool> {
    let image = Image {
        program: c"",
        arguments: &[],
        environment: &[],
        directory: cgroup,
        stdio: [cgroup; 3],
        control: None,
        terminal: false,
        cgroup: Some(cgroup),
        restraints: Restraints::default(),
    };
    let _birth = BIRTHS.read().unwrap_or_else(PoisonError::into_inner);
    match system::start(&image) {
        Err(Failure { step: Step::Execute, .. }) => Ok(true),
        Err(Failure { error, .. }) => Err(error),
        Ok(born) => {
            system::wait_for(born.id);
            Ok(false)
        }
    }
}

/// Takes leave of a child of our own that has ended; see [`system::reap`].
pub(super) fn reap(id: Pid) -> io::Result<Usage> {
    let mut own = own();
    let usage = system::reap(id);
    if !usage.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
        && let Some(own) = own.as_mut()
    {
        // Before anybody can be given its id.
        own.remove(&id);
    }
    usage
}

/// Does `work` with the question whether a child is one of our own, unless one is just being born: a birth may take as long as
/// a program takes to load, and nobody is to wait for that.
pub(super) fn undisturbed<T>(work: impl FnOnce(&dyn Fn(Pid) -> bool) -> T) -> Option<T> {
    let _alone = match BIRTHS.try_write() {
        Ok(alone) => alone,
        Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
        Err(TryLockError::WouldBlock) => return None,
    };
    let own = own();
    Some(work(&|id| own.as_ref().is_some_and(|own| own.contains(&id))))
}

/// Whether a process is a child of our own that was not taken leave of.
pub(super) fn is_own(id: Pid) -> bool {
    own().as_ref().is_some_and(|own| own.contains(&id))
}

fn own() -> MutexGuard<'static, Option<HashSet<Pid>>> {
    OWN.lock().unwrap_or_else(PoisonError::into_inner)
}
