//! This program anew, as a process of its own that is to go on when this one ends.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::{Mode, OFlags, open};
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, pidfd_open, pidfd_send_signal, waitid,
};
use tokio::io::unix::AsyncFd;
use tokio::time;

use super::containment::Containment;
use super::system::{self, Image, Restraints};
use super::{children, register};

/// The word that makes this program a supervisor. Those are not ended with what a killed server has left.
pub(crate) const SUPERVISE: &str = "supervise";

/// This program, even if its file was replaced.
const OWN_PROGRAM: &std::ffi::CStr = c"/proc/self/exe";

/// A process of this program. Goes on when it is dropped, and then whoever adopts it takes leave of it.
#[derive(Debug)]
pub(crate) struct Beside {
    id: Pid,
    descriptor: AsyncFd<Arc<OwnedFd>>,
}

impl Beside {
    /// Starts this program with these arguments, the first of which is its name, and descriptors 0, 1 and 2; in this directory,
    /// in a session of its own, and beside the server's own process as far as cgroups are concerned.
    ///
    /// # Errors
    /// The system's; there is none then.
    pub(crate) fn start(
        containment: &Containment,
        arguments: &[CString],
        environment: &[CString],
        stdio: [BorrowedFd<'_>; 3],
    ) -> io::Result<Self> {
        let directory = open(".", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        let birthplace = containment.birthplace();
        let image = |cgroup| Image {
            program: OWN_PROGRAM,
            arguments,
            environment,
            directory: directory.as_fd(),
            stdio,
            control: None,
            terminal: false,
            cgroup,
            restraints: Restraints::default(),
        };
        let born = match birthplace.as_ref().map(|cgroup| children::start(&image(Some(cgroup.as_fd())))) {
            Some(Ok(born)) => born,
            // Where it is matters to limits alone.
            Some(Err(_)) | None => children::start(&image(None)).map_err(|failure| failure.error)?,
        };
        match register(Arc::new(born.descriptor)) {
            Ok(descriptor) => Ok(Self { id: born.id, descriptor }),
            Err(error) => {
                system::kill_group(born.id, common::job::Signal::KILL).ok();
                system::wait_for(born.id);
                children::reap(born.id).ok();
                Err(error)
            }
        }
    }

    /// Waits for its end for so long, then ends it; and takes leave of it.
    pub(crate) async fn ended_within(self, time: Duration) {
        if time::timeout(time, self.descriptor.readable()).await.is_err() {
            pidfd_send_signal(self.descriptor.get_ref(), Signal::KILL).ok();
        }
        self.ended().await;
    }

    /// Waits for its end, and takes leave of it.
    pub(crate) async fn ended(self) {
        // What cannot be waited for is over as far as anybody can tell.
        drop(self.descriptor.readable().await);
        children::reap(self.id).ok();
    }
}

/// A process that this program has not started; the one that was before it in this process may have.
#[derive(Debug)]
pub(crate) struct Other(AsyncFd<Arc<OwnedFd>>);

impl Other {
    /// The one that has this number now.
    ///
    /// # Errors
    /// The system's, also if there is none.
    pub(crate) fn of(id: i32) -> io::Result<Self> {
        let id = Pid::from_raw(id).ok_or(io::ErrorKind::NotFound)?;
        register(Arc::new(pidfd_open(id, PidfdFlags::empty())?)).map(Self)
    }

    /// Waits for its end, and takes leave of it if it is a child.
    pub(crate) async fn ended(self) {
        // What cannot be waited for is over as far as anybody can tell.
        drop(self.0.readable().await);
        waitid(WaitId::PidFd(self.0.get_ref().as_fd()), WaitIdOptions::EXITED | WaitIdOptions::NOHANG).ok();
    }
}
