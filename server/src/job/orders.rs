//! What clients tell a job that runs, until its task gets to it; and which of it was said before.
//!
//! As in the kernel, a signal that is pending already is not pending twice, and of several sizes the last counts: so no client can
//! fill a queue with them.

mod handed;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use common::job::{Signal, WindowSize};
use common::message::AttachmentId;
use tokio::sync::Notify;

/// Attachments whose last order is remembered. A client that comes back comes soon, and few others give orders meanwhile.
const REMEMBERED: usize = 64;

/// Orders of control that were declined and may have to be declined again. No client of ours has more that are not answered.
const DECLINED: usize = 64;

/// What a job's task is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Command {
    /// Send this to its process group; if it is one of the keys of a terminal, to the group in the foreground of that.
    Signal(Signal),
    /// Make its terminal so large.
    Resize(WindowSize),
    /// End it and its tree.
    Cancel,
}

/// The orders of a job.
#[derive(Debug, Default)]
pub(crate) struct Orders {
    cancel: AtomicBool,
    /// Bit 0 for signal 1.
    signals: AtomicU64,
    size: Mutex<Option<WindowSize>>,
    changed: Notify,
    applied: Mutex<Applied>,
}

/// What was carried out.
#[derive(Debug, Default)]
struct Applied {
    /// The job's client, whose orders are remembered however many others give some.
    client: Option<AttachmentId>,
    /// The last order of each attachment, the one that ordered last at the end.
    last: VecDeque<(AttachmentId, u64)>,
    /// Those of control that were not carried out, the oldest first.
    declined: VecDeque<(AttachmentId, u64)>,
}

/// What an order is, by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// The next one: to be carried out, and already noted.
    Next,
    /// One that was carried out.
    Repeated,
    /// One before which another is missing. A client of ours does not do that.
    Early,
}

impl Orders {
    /// Adds a command.
    pub(crate) fn push(&self, command: Command) {
        match command {
            Command::Resize(size) => *self.size() = Some(size),
            Command::Cancel => self.cancel.store(true, Ordering::Release),
            Command::Signal(signal) => {
                self.signals.fetch_or(bit(signal), Ordering::AcqRel);
            }
        }
        self.changed.notify_one();
    }

    /// Waits for a command and takes it: the end of it all, the size, signals in the order of their numbers. One task waits; safe to drop.
    pub(crate) async fn next(&self) -> Command {
        loop {
            if let Some(command) = self.take() {
                return command;
            }
            self.changed.notified().await;
        }
    }

    /// Takes the size that was asked for last, if that was not done.
    pub(super) fn take_size(&self) -> Option<WindowSize> {
        self.size().take()
    }

    /// The number of the last order of `attachment` that was carried out, and all before it; 0 if there was none.
    pub(crate) fn applied(&self, attachment: AttachmentId) -> u64 {
        let applied = self.lock();
        let last = applied.last.iter().find(|(id, _)| *id == attachment).map_or(0, |(_, sequence)| *sequence);
        let declined = applied.declined.iter().filter(|(id, _)| *id == attachment);
        declined.fold(last, |before, (_, sequence)| before.min(sequence.saturating_sub(1)))
    }

    /// An order of control is not carried out, although it was its turn.
    pub(super) fn decline(&self, attachment: AttachmentId, sequence: u64) {
        let declined = &mut self.lock().declined;
        // Those so far back are known to whoever goes on with this one.
        declined
            .retain(|(id, before)| *id != attachment || before.saturating_add(DECLINED as u64) > sequence);
        if declined.len() >= DECLINED {
            declined.pop_front();
        }
        declined.push_back((attachment, sequence));
    }

    /// Whether that was so.
    pub(super) fn was_declined(&self, attachment: AttachmentId, sequence: u64) -> bool {
        self.lock().declined.contains(&(attachment, sequence))
    }

    /// From now on `attachment` is that of the job's client.
    pub(crate) fn client(&self, attachment: AttachmentId) {
        self.lock().client = Some(attachment);
    }

    /// Looks at the number of an order, and notes it if it is its turn.
    pub(crate) fn turn(&self, attachment: AttachmentId, sequence: u64) -> Turn {
        let Applied { client, last: applied, .. } = &mut *self.lock();
        let at = applied.iter().position(|(id, _)| *id == attachment);
        let last = at.and_then(|at| applied.get(at)).map_or(0, |(_, sequence)| *sequence);
        if sequence <= last {
            return Turn::Repeated;
        }
        if sequence > last + 1 {
            return Turn::Early;
        }
        let oldest = || applied.iter().position(|(id, _)| Some(*id) != *client);
        let replaced = if applied.len() == REMEMBERED { at.or_else(oldest) } else { at };
        if let Some(at) = replaced {
            applied.remove(at);
        }
        applied.push_back((attachment, sequence));
        Turn::Next
    }

    fn take(&self) -> Option<Command> {
        if self.cancel.swap(false, Ordering::AcqRel) {
            return Some(Command::Cancel);
        }
        if let Some(size) = self.take_size() {
            return Some(Command::Resize(size));
        }
        let pending = self.signals.load(Ordering::Acquire);
        let lowest = i32::try_from(pending.trailing_zeros()).ok()? + 1;
        // None is pending if the number is not that of a signal.
        let signal = Signal::from_number(lowest).ok()?;
        self.signals.fetch_and(!bit(signal), Ordering::AcqRel);
        Some(Command::Signal(signal))
    }

    fn size(&self) -> MutexGuard<'_, Option<WindowSize>> {
        self.size.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, Applied> {
        self.applied.lock().unwrap_or_else(PoisonError::into_inner)
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
        let orders = Orders::default();
        for number in (1..=64).rev().chain(1..=64) {
            orders.push(Command::Signal(Signal::from_number(number).unwrap()));
        }
        for number in 1..=64 {
            assert_eq!(orders.next().await, Command::Signal(Signal::from_number(number).unwrap()));
        }
        assert_eq!(orders.take(), None);
        orders.push(Command::Cancel);
        assert_eq!(orders.next().await, Command::Cancel);
    }

    #[tokio::test]
    async fn of_several_sizes_the_last_counts() {
        let orders = Orders::default();
        let size = |rows| WindowSize { rows, ..WindowSize::default() };
        orders.push(Command::Signal(Signal::TERM));
        orders.push(Command::Resize(size(1)));
        orders.push(Command::Resize(size(2)));
        assert_eq!(orders.next().await, Command::Resize(size(2)));
        assert_eq!(orders.next().await, Command::Signal(Signal::TERM));
        assert_eq!(orders.take(), None);
    }

    #[test]
    fn an_order_is_carried_out_once_and_in_its_turn() {
        let orders = Orders::default();
        let (ann, bob) = (AttachmentId(1), AttachmentId(2));
        assert_eq!(orders.turn(ann, 2), Turn::Early);
        assert_eq!(orders.turn(ann, 1), Turn::Next);
        assert_eq!(orders.turn(bob, 1), Turn::Next);
        assert_eq!(orders.turn(ann, 1), Turn::Repeated);
        assert_eq!(orders.turn(ann, 2), Turn::Next);
        assert_eq!((orders.applied(ann), orders.applied(bob), orders.applied(AttachmentId(3))), (2, 1, 0));
    }

    #[test]
    fn what_was_declined_is_known_as_long_as_it_may_be_asked_for_again() {
        let orders = Orders::default();
        let (ann, bob) = (AttachmentId(1), AttachmentId(2));
        for sequence in 1..=5 {
            assert_eq!(orders.turn(ann, sequence), Turn::Next);
        }
        orders.decline(ann, 3);
        orders.decline(ann, 5);
        assert_eq!((orders.applied(ann), orders.applied(bob)), (2, 0));
        assert!(orders.was_declined(ann, 3) && !orders.was_declined(ann, 4) && !orders.was_declined(bob, 3));
        let far = 5 + DECLINED as u64;
        for sequence in 6..=far {
            assert_eq!(orders.turn(ann, sequence), Turn::Next);
        }
        orders.decline(ann, far);
        assert_eq!(orders.lock().declined, [(ann, far)]);
        assert_eq!(orders.applied(ann), far - 1);
    }

    #[test]
    fn the_memory_of_attachments_is_bounded_and_keeps_those_that_order() {
        let orders = Orders::default();
        for number in 0..10 * REMEMBERED as u64 {
            assert_eq!(orders.turn(AttachmentId(number + 1), 1), Turn::Next);
            assert_eq!(orders.turn(AttachmentId(0), number + 1), Turn::Next);
        }
        assert_eq!(orders.lock().last.len(), REMEMBERED);
    }

    #[test]
    fn the_orders_of_the_jobs_client_are_not_forgotten() {
        let orders = Orders::default();
        let client = AttachmentId(1);
        orders.client(client);
        assert_eq!(orders.turn(client, 1), Turn::Next);
        for number in 0..2 * REMEMBERED as u64 {
            assert_eq!(orders.turn(AttachmentId(number + 2), 1), Turn::Next);
        }
        assert_eq!((orders.applied(client), orders.lock().last.len()), (1, REMEMBERED));
        assert_eq!(orders.turn(client, 2), Turn::Next);
    }
}
