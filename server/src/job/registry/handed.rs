//! What a registry remembers, for the next program, and from the one before.

use std::sync::Arc;
use std::time::Instant;

use super::{Job, Past, Place, Registry};
use crate::authorize::Owner;
use crate::job::handed::HandedPast;

impl Registry {
    /// Whatever was asked for since then is known.
    pub(in crate::job) fn remembers_since(&self) -> Instant {
        self.lock().remembers_since
    }

    /// All that is over, from the oldest to the youngest.
    pub(in crate::job) fn hand(&self) -> Vec<HandedPast> {
        let table = self.lock();
        table.order.iter().filter_map(|id| table.past.get(id).map(|past| past.hand(id))).collect()
    }

    /// Whether a job is still among those that have something for somebody.
    pub(in crate::job) fn has(&self, job: &Job) -> bool {
        self.lock().present.contains_key(&(job.owner, job.id.clone()))
    }

    /// Remembers what the program before has remembered, which reaches back as far as `since`.
    pub(in crate::job) fn take(&self, since: Instant, past: Vec<HandedPast>) {
        let mut table = self.lock();
        table.remembers_since = table.remembers_since.min(since);
        for handed in past {
            let id = (Owner::from(handed.owner), handed.id.clone());
            table.order.push_back(id.clone());
            table.past.insert(id, Past::take(handed));
        }
    }

    /// Takes in a job that is over.
    pub(in crate::job) fn take_over(&self, job: &Arc<Job>) {
        self.lock().present.insert((job.owner, job.id.clone()), Arc::clone(job));
    }

    /// Takes in a job that runs.
    pub(in crate::job) fn take_running(&self, job: &Arc<Job>) -> Place {
        self.take_over(job);
        self.lock().running += 1;
        Place(self.clone())
    }
}
