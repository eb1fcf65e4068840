//! The operating system's side of a job: making its process, waiting for it, signalling it and all that came of it.
//!
//! Knows nothing of connections, streams or offsets. Linux only: pidfds, `/proc`, and glibc's `posix_spawn`.

mod account;
mod environment;
mod search;
mod spawn;
mod system;
mod tree;

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Instant;

use common::job::{Outcome, Signal, Usage};
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
use tokio::io::unix::AsyncFd;
use tracing::warn;

pub(crate) use account::Account;
#[cfg(test)]
pub(crate) use spawn::spawn;
pub(crate) use spawn::{Prepared, SpawnError, Spawned};
pub(crate) use system::{keep_children, register};
pub(crate) use tree::ProcessTable;

/// A process that this server started, leader of a session and a process group of its own.
///
/// It stays unreaped until [`Process::reap`], even when it has exited: so its id, which is also its group's and its
/// session's, cannot be given to another process while signals are still sent to it.
#[derive(Debug)]
pub(crate) struct Process {
    id: Pid,
    /// A moment when it had been started.
    started: Instant,
    descriptor: AsyncFd<Arc<OwnedFd>>,
    /// Whether the id was given back, and may be somebody else's.
    reaped: bool,
}

impl Process {
    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.id.as_raw_nonzero().get().unsigned_abs()
    }

    /// Waits until it has exited; leaves it unreaped.
    pub(crate) async fn exited(&self) -> io::Result<Outcome> {
        loop {
            let mut ready = self.descriptor.readable().await?;
            if let Some(outcome) = self.wait(WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG)? {
                return Ok(outcome);
            }
            ready.clear_ready();
        }
    }

    /// Sends `signal` to its process group.
    pub(crate) fn signal_group(&self, signal: Signal) -> io::Result<()> {
        system::kill_group(self.id, signal)
    }

    /// Sends `signal` to everything in its session, whatever process groups that has; to its own group at least, if the
    /// system does not tell.
    pub(crate) async fn signal_tree(&self, signal: Signal, table: &ProcessTable) {
        match table.list(self.started).await {
            Ok(listing) => {
                for group in listing.process_groups(self.id) {
                    // A group may have ended since it was listed.
                    system::kill_group(*group, signal).ok();
                }
            }
            Err(error) => {
                warn!(process_id = self.id(), %error, "cannot list the processes of a job");
                system::kill_group(self.id, signal).ok();
            }
        }
    }

    /// Whether nothing alive is left of its session. What cannot be found out is not the case.
    pub(crate) async fn tree_is_gone(&self, table: &ProcessTable) -> bool {
        let Ok(first) = table.list(self.started).await else { return false };
        if !first.process_groups(self.id).is_empty() {
            return false;
        }
        // A process that forks and exits while `/proc` is read can be missed, but hardly twice.
        let Ok(second) = table.list(first.begun).await else { return false };
        second.process_groups(self.id).is_empty()
    }

    /// Gives the process id back to the system, which tells what the process and those it has waited for have used. Only
    /// once it has exited and nothing will be signalled any more.
    pub(crate) fn reap(mut self) -> io::Result<Usage> {
        let usage = system::reap(self.id);
        self.reaped = !usage.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock);
        usage
    }

    fn wait(&self, options: WaitIdOptions) -> io::Result<Option<Outcome>> {
        let id = WaitId::PidFd(self.descriptor.get_ref().as_fd());
        let Some(status) = waitid(id, WaitIdOptions::EXITED | options)? else { return Ok(None) };
        if let Some(code) = status.exit_status() {
            return Ok(Some(Outcome::Exited(code as u8)));
        }
        let signal =
            status.terminating_signal().ok_or_else(|| io::Error::other("neither a code nor a signal"))?;
        let signal = Signal::from_number(signal).map_err(io::Error::other)?;
        Ok(Some(Outcome::Signaled { signal, core_dumped: status.dumped() }))
    }
}

impl Drop for Process {
    /// What nobody watches any more does not go on.
    fn drop(&mut self) {
        if !self.reaped {
            system::kill_group(self.id, Signal::KILL).ok();
            // It may take a moment to die; then it is a zombie until the server ends.
            system::reap(self.id).ok();
        }
    }
}
