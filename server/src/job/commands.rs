//! What a client asks of a job that runs, until its task gets to it.
//!
//! As in the kernel, a signal that is pending already is not pending twice: so no client can fill a queue with them.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use common::job::Signal;
use tokio::sync::Notify;

/// What a client asks of a job that runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JobCommand {
    /// Send this to its process group.
    Signal(Signal),
    /// End it and its tree.
    Cancel,
}

/// The commands that wait for a job's task.
#[derive(Debug, Default)]
pub(crate) struct Commands {
    cancel: AtomicBool,
    /// Bit 0 for signal 1.
    signals: AtomicU64,
    changed: Notify,
}

impl Commands {
    /// Adds a command.
    pub(crate) fn push(&self, command: JobCommand) {
        match command {
            JobCommand::Cancel => self.cancel.store(true, Ordering::Release),
            JobCommand::Signal(signal) => {
                self.signals.fetch_or(bit(signal), Ordering::AcqRel);
            }
        }
        self.changed.notify_one();
    }

    /// Waits for a command and takes it, signals in the order of their numbers. One task waits; safe to drop.
    pub(crate) async fn next(&self) -> JobCommand {
        loop {
            if let Some(command) = self.take() {
                return command;
            }
            self.changed.notified().await;
        }
    }

    fn take(&self) -> Option<JobCommand> {
        if self.cancel.swap(false, Ordering::AcqRel) {
            return Some(JobCommand::Cancel);
        }
        let pending = self.signals.load(Ordering::Acquire);
        let lowest = i32::try_from(pending.trailing_zeros()).ok()? + 1;
        // None is pending if the number is not that of a signal.
        let signal = Signal::from_number(lowest).ok()?;
        self.signals.fetch_and(!bit(signal), Ordering::AcqRel);
        Some(JobCommand::Signal(signal))
    }
}

fn bit(signal: Signal) -> u64 {
    1 << (signal.number() - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_signal_is_delivered_once_however_often_it_is_sent() {
        let commands = Commands::default();
        for number in (1..=64).rev().chain(1..=64) {
            commands.push(JobCommand::Signal(Signal::from_number(number).unwrap()));
        }
        for number in 1..=64 {
            assert_eq!(commands.next().await, JobCommand::Signal(Signal::from_number(number).unwrap()));
        }
        assert_eq!(commands.take(), None);
        commands.push(JobCommand::Cancel);
        assert_eq!(commands.next().await, JobCommand::Cancel);
    }
}
