//! What a job was told, for the next program, and from the one before.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use common::message::AttachmentId;
use tokio::sync::Notify;

use super::{Applied, DECLINED, Orders, REMEMBERED};
use crate::job::handed::HandedOrders;

impl Orders {
    /// What is still to be done, and what was. A size is not among it: the task that was cut off has seen to that.
    pub(in crate::job) fn hand(&self) -> HandedOrders {
        let applied = self.lock();
        HandedOrders {
            cancel: self.cancel.load(Ordering::Acquire),
            signals: self.signals.load(Ordering::Acquire),
            client: applied.client.map(|id| id.0),
            applied: applied.last.iter().map(|(id, sequence)| (id.0, *sequence)).collect(),
        }
    }

    /// Those of control that were not carried out, by attachment and number.
    pub(in crate::job) fn hand_declined(&self) -> Vec<(u64, u64)> {
        self.lock().declined.iter().map(|(id, sequence)| (id.0, *sequence)).collect()
    }

    /// Goes on from there, and from what was `declined`.
    pub(in crate::job) fn going_on(handed: HandedOrders, declined: &[(u64, u64)]) -> Self {
        let HandedOrders { cancel, signals, client, applied } = handed;
        let order = |(id, sequence)| (AttachmentId(id), sequence);
        let last = applied.into_iter().take(REMEMBERED).map(order).collect();
        let declined = declined.iter().copied().take(DECLINED).map(order).collect();
        let applied = Applied { client: client.map(AttachmentId), last, declined };
        Self {
            cancel: AtomicBool::new(cancel),
            signals: AtomicU64::new(signals),
            size: Mutex::default(),
            changed: Notify::new(),
            applied: Mutex::new(applied),
        }
    }
}
