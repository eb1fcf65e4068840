//! Which jobs run, and which ids have been used: so that nothing is started twice, nor too much at once.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use common::job::JobId;
use thiserror::Error;

use crate::authorize::Owner;

/// Jobs that one server runs at a time. There is no queue: a client that is refused knows at once.
const RUNNING: usize = 1024;

/// Ids of jobs that are over which are remembered; at 64 bytes each about a megabyte.
const REMEMBERED: usize = 16 * 1024;

/// All jobs of a server.
#[derive(Debug, Clone, Default)]
pub(crate) struct Registry(Arc<Mutex<Ids>>);

#[derive(Debug, Default)]
struct Ids {
    running: HashSet<OwnId>,
    over: HashSet<OwnId>,
    /// `over` from the oldest to the youngest.
    order: VecDeque<OwnId>,
}

/// An id names a job among those of its owner: what others call theirs is nobody else's business.
type OwnId = (Owner, JobId);

/// A job's place among the running ones; it is given up when this is dropped.
#[derive(Debug)]
pub(crate) struct Registration {
    registry: Registry,
    id: OwnId,
}

/// Why a job may not start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum Refusal {
    /// Its id belongs to a job that runs or has run.
    #[error("a job with this id was already started")]
    IdInUse,
    /// [`RUNNING`] jobs run.
    #[error("it already runs {RUNNING} jobs")]
    TooMany,
}

impl Registry {
    /// Takes a place for a job of `owner`.
    ///
    /// # Errors
    /// A [`Refusal`]; nothing is changed then.
    pub(crate) fn register(&self, owner: Owner, id: &JobId) -> Result<Registration, Refusal> {
        let mut ids = self.lock();
        let id = (owner, id.clone());
        if ids.running.contains(&id) || ids.over.contains(&id) {
            return Err(Refusal::IdInUse);
        }
        if ids.running.len() >= RUNNING {
            return Err(Refusal::TooMany);
        }
        ids.running.insert(id.clone());
        Ok(Registration { registry: self.clone(), id })
    }

    fn lock(&self) -> MutexGuard<'_, Ids> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let mut ids = self.registry.lock();
        ids.running.remove(&self.id);
        if ids.order.len() >= REMEMBERED
            && let Some(oldest) = ids.order.pop_front()
        {
            ids.over.remove(&oldest);
        }
        ids.over.insert(self.id.clone());
        ids.order.push_back(self.id.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANN: Owner = Owner::User(1000);

    fn id(number: usize) -> JobId {
        format!("job-{number}").parse().unwrap()
    }

    #[test]
    fn an_id_is_good_for_one_start() {
        let registry = Registry::default();
        let first = registry.register(ANN, &id(1)).unwrap();
        assert_eq!(registry.register(ANN, &id(1)).unwrap_err(), Refusal::IdInUse);
        drop(first);
        assert_eq!(registry.register(ANN, &id(1)).unwrap_err(), Refusal::IdInUse);
    }

    #[test]
    fn an_id_says_nothing_about_the_jobs_of_others() {
        let registry = Registry::default();
        let _first = registry.register(ANN, &id(1)).unwrap();
        assert!(registry.register(Owner::User(1001), &id(1)).is_ok());
    }

    #[test]
    fn a_place_is_free_again_when_its_job_is_over() {
        let registry = Registry::default();
        let mut places: Vec<_> =
            (0..RUNNING).map(|number| registry.register(ANN, &id(number)).unwrap()).collect();
        assert_eq!(registry.register(ANN, &id(RUNNING)).unwrap_err(), Refusal::TooMany);
        places.pop();
        assert!(registry.register(ANN, &id(RUNNING)).is_ok());
    }

    #[test]
    fn memory_of_ids_is_bounded() {
        let registry = Registry::default();
        for number in 0..REMEMBERED + 10 {
            drop(registry.register(ANN, &id(number)).unwrap());
        }
        let ids = registry.lock();
        assert_eq!((ids.over.len(), ids.order.len()), (REMEMBERED, REMEMBERED));
    }
}
