//! The operating system's side of a job: making its process, waiting for it, signalling it and all that came of it.
//!
//! Knows nothing of connections, streams or offsets. Linux only: clone3, pidfds, cgroups, pseudo-terminals, `/proc`.

mod account;
mod beside;
mod cgroup;
mod children;
mod containment;
mod environment;
mod handed;
mod identity;
mod journal;
mod limits;
mod listing;
mod orphans;
mod remains;
mod search;
mod spawn;
mod system;
mod terminal;
mod tree;

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use common::job::{Outcome, Signal, Usage};
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
use tokio::io::unix::AsyncFd;

pub(crate) use account::Account;
pub(crate) use beside::{Beside, Other, SUPERVISE};
pub(crate) use containment::{Containment, own_process};
pub(crate) use handed::{HandedCgroups, HandedGroup, HandedProcess};
pub(crate) use identity::{machine, started, ticks_at};
pub(crate) use journal::LeftJournal;
pub(crate) use remains::{Remains, end as end_remains};
pub(crate) use spawn::{ControlEnds, Prepared, SpawnError, Spawned};
pub(crate) use system::{register, register_reading};
pub(crate) use terminal::{is_key, is_terminal, resize, signal_foreground, size, type_end};
use tree::Tree;

/// A process that this server started, leader of a session and a process group of its own.
///
/// It stays unreaped until [`Process::reap`], even when it has exited: so its id, which is also its group's and its
/// session's, cannot be given to another process while signals are still sent to it.
#[derive(Debug)]
pub(crate) struct Process {
    id: Pid,
    descriptor: AsyncFd<Arc<OwnedFd>>,
    /// Whether the id was given back, and may be somebody else's.
    reaped: bool,
    tree: Tree,
}

impl Process {
    /// A child of ours that has just been started. Ended with all of `tree` if it cannot be watched.
    fn new(id: Pid, tree: Tree, descriptor: OwnedFd) -> io::Result<Self> {
        match register(Arc::new(descriptor)) {
            Ok(descriptor) => Ok(Self { id, descriptor, reaped: false, tree }),
            Err(error) => {
                tree.kill_now();
                system::wait_for(id);
                children::reap(id).ok();
                Err(error)
            }
        }
    }

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

    /// Sends `signal` to everything that has come of it, as far as the server's [`Containment`] keeps that together; to its
    /// own group at least, if the system does not tell.
    pub(crate) async fn signal_tree(&self, signal: Signal) {
        self.tree.signal(signal).await;
    }

    /// Whether nothing alive is left of it and what has come of it. What cannot be found out is not the case.
    pub(crate) async fn tree_is_gone(&self) -> bool {
        self.tree.is_gone().await
    }

    /// Whether the kernel has killed something of its tree for want of memory, as far as somebody counts.
    pub(crate) fn is_out_of_memory(&self) -> bool {
        self.tree.is_out_of_memory()
    }

    /// Gives the process id back to the system, which tells what the job has used: all that was in its cgroup, or the process
    /// and those it has waited for. Only once it has exited and nothing will be signalled any more.
    pub(crate) fn reap(&mut self) -> io::Result<Usage> {
        let usage = children::reap(self.id);
        self.reaped = !usage.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock);
        usage.map(|usage| self.tree.usage(usage))
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
            self.tree.kill_now();
            // It may take a moment to die; then it is a zombie until the server ends.
            children::reap(self.id).ok();
        }
    }
}

#[cfg(test)]
mod tests;
