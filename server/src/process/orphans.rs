//! Orphans that the system has given to this process (PR_SET_CHILD_SUBREAPER): when they end, somebody has to take leave of
//! them, and there is nobody else.

use std::io;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use rustix::process::Pid;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::sleep;

use super::children;
use super::listing::ProcessTable;

/// For how long ends are gathered, so that many cost no more than one.
const GATHER: Duration = Duration::from_millis(100);

/// How soon it is tried again while a child of our own is being born, which takes a tenth of this.
const BIRTH: Duration = Duration::from_millis(1);

/// For how long, if it takes a listing of all processes to tell orphans from children of our own.
const GATHER_FOR_LISTING: Duration = Duration::from_millis(900);

/// Takes leave of every orphan, for ever.
///
/// # Errors
/// The system's, if it cannot be known when a child ends.
pub(super) async fn reap(table: &ProcessTable) -> io::Result<()> {
    let mut ended = signal(SignalKind::child())?;
    loop {
        // Some may have ended before.
        sleep(GATHER).await;
        if undisturbed(reap_first).await == First::Own {
            // It hides those behind it.
            sleep(GATHER_FOR_LISTING).await;
            if let Ok(listing) = table.list(Instant::now()).await {
                let reap_listed = |is_own: &dyn Fn(Pid) -> bool| {
                    listing.ended_children().filter(|id| !is_own(*id)).for_each(take_leave);
                };
                undisturbed(reap_listed).await;
            }
        }
        if ended.recv().await.is_none() {
            return Ok(());
        }
    }
}

/// Does `work` as soon as no child of our own is being born.
async fn undisturbed<T>(work: impl Fn(&dyn Fn(Pid) -> bool) -> T) -> T {
    loop {
        match children::undisturbed(&work) {
            Some(result) => return result,
            None => sleep(BIRTH).await,
        }
    }
}

/// Who comes first among the children that have ended, as the system lists them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum First {
    /// None is left.
    Nobody,
    /// A child of our own, for whom somebody else waits.
    Own,
}

/// Takes leave of orphans until a child of our own comes first.
fn reap_first(is_own: &dyn Fn(Pid) -> bool) -> First {
    let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    loop {
        let first = match waitid(Id::All, look) {
            Ok(WaitStatus::Exited(id, _) | WaitStatus::Signaled(id, ..)) => Pid::from_raw(id.as_raw()),
            Err(Errno::EINTR) => continue,
            Ok(_) | Err(_) => None,
        };
        match first {
            None => return First::Nobody,
            Some(id) if is_own(id) => return First::Own,
            Some(id) => take_leave(id),
        }
    }
}

fn take_leave(id: Pid) {
    // It may have been no more than listed.
    waitid(
        Id::Pid(nix::unistd::Pid::from_raw(id.as_raw_nonzero().get())),
        WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG,
    )
    .ok();
}
