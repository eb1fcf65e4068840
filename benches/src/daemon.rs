//! A program in the background, stopped by its process id when dropped.

use std::process::{Child, Command};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

/// How long a program may take to stop: what the Telex server promises, and a margin.
const STOP: Duration = Duration::from_secs(12);

/// How long a program may take until it can be used.
const START: Duration = Duration::from_secs(10);

/// How often a condition is looked at.
const LOOK: Duration = Duration::from_millis(5);

/// A program in the background.
#[derive(Debug)]
pub(crate) struct Daemon {
    child: Child,
}

impl Daemon {
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        let program = command.get_program().to_string_lossy().into_owned();
        let child = command.spawn().with_context(|| format!("cannot start {program}"))?;
        Ok(Self { child })
    }

    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    pub(crate) fn id(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Waits until `is_ready`; fails if the program ends instead.
    pub(crate) fn wait_until(&mut self, is_ready: impl Fn() -> bool) -> Result<()> {
        let start = Instant::now();
        while !is_ready() {
            if let Some(status) = self.child.try_wait()? {
                bail!("it ended at once, {status}");
            }
            if start.elapsed() > START {
                bail!("it was not ready after {} s", START.as_secs());
            }
            thread::sleep(LOOK);
        }
        Ok(())
    }

    fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if self.has_ended() {
            return;
        }
        // Not reaped yet, so the id is still this program's.
        kill_process(self.id(), Signal::TERM).ok();
        let start = Instant::now();
        while !self.has_ended() {
            if start.elapsed() > STOP {
                self.child.kill().ok();
            }
            thread::sleep(LOOK);
        }
    }
}
