//! All jobs of a server: those that run, and for a while those that are over. So nothing is started twice, nor too much at once.

mod handed;

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use common::job::{Digest, JobId};
use common::message::{JobState, JobSummary, Refusal};
use thiserror::Error;

use super::state::{Job, Past};
use crate::authorize::Owner;
use crate::clock;
use crate::scope::Scope;

/// Jobs that one server runs at a time. There is no queue: a client that is refused knows at once.
const RUNNING: usize = 1024;

/// Jobs that are over which are remembered, in about 1 KiB each with its command: a server grows by 16 MiB until it has so many.
const REMEMBERED: usize = 16 * 1024;

/// The jobs of a server.
#[derive(Debug, Clone)]
pub(crate) struct Registry(Arc<Mutex<Table>>);

#[derive(Debug)]
struct Table {
    /// Those that run, and those that are over and have still something for their clients.
    present: HashMap<OwnId, Arc<Job>>,
    running: usize,
    past: HashMap<OwnId, Past>,
    /// `past` from the oldest to the youngest.
    order: VecDeque<OwnId>,
    /// Whatever was asked for since then is known.
    remembers_since: Instant,
}

/// An id names a job among those of its owner: what others call theirs is nobody else's business.
type OwnId = (Owner, JobId);

/// A job's place among the running ones; it is given up when this is dropped.
#[derive(Debug)]
pub(crate) struct Place(Registry);

/// What became of the wish to start a job.
#[derive(Debug)]
pub(crate) enum Registered {
    /// It is new, and to be started by whoever asked.
    New(Arc<Job>, Place),
    /// The same request was made before, and has started this.
    Known(Arc<Job>),
    /// Another request was made under this id.
    Conflict,
    /// It may have been made before the time that is remembered.
    Unclear,
}

/// [`RUNNING`] jobs run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("it already runs {RUNNING} jobs")]
pub(crate) struct RegistryFull;

impl Default for Registry {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Table {
            present: HashMap::new(),
            running: 0,
            past: HashMap::new(),
            order: VecDeque::new(),
            remembers_since: clock::now(),
        })))
    }
}

impl Registry {
    /// Finds out what a request to start a job means that was made for the first time `age` ago; `make` makes the job if it is
    /// new.
    ///
    /// # Errors
    /// [`RegistryFull`]; nothing is changed then.
    pub(crate) fn register(
        &self,
        owner: Owner,
        id: &JobId,
        digest: Digest,
        age: Duration,
        make: impl FnOnce() -> Job,
    ) -> Result<Registered, RegistryFull> {
        let mut table = self.lock();
        let id = (owner, id.clone());
        if let Some(known) = table.known(&id, digest) {
            return Ok(known);
        }
        // The clocks of two machines run at speeds that differ by less than that.
        let margin = age / 500 + Duration::from_millis(10);
        if age > Duration::ZERO
            && clock::now().saturating_duration_since(table.remembers_since) < age + margin
        {
            return Ok(Registered::Unclear);
        }
        if table.running >= RUNNING {
            return Err(RegistryFull);
        }
        let job = Arc::new(make());
        table.present.insert(id, Arc::clone(&job));
        table.running += 1;
        Ok(Registered::New(job, Place(self.clone())))
    }

    /// A place for a job that this registry does not know further.
    ///
    /// # Errors
    /// [`RegistryFull`].
    pub(crate) fn take_place(&self) -> Result<Place, RegistryFull> {
        let mut table = self.lock();
        if table.running >= RUNNING {
            return Err(RegistryFull);
        }
        table.running += 1;
        Ok(Place(self.clone()))
    }

    /// The same for a job that runs already, however many others do.
    pub(crate) fn insist_on_place(&self) -> Place {
        self.lock().running += 1;
        Place(self.clone())
    }

    /// What a request means that was made before; `None` if it was not.
    pub(crate) fn known(&self, owner: Owner, id: &JobId, digest: Digest) -> Option<Registered> {
        self.lock().known(&(owner, id.clone()), digest)
    }

    /// The job in `scope` with this id, or with the only one that begins so.
    ///
    /// # Errors
    /// [`Refusal::Unknown`] and [`Refusal::Ambiguous`].
    pub(crate) fn find(&self, scope: Scope, reference: &JobId) -> Result<Arc<Job>, Refusal> {
        let table = self.lock();
        let own = (scope.owner(), reference.clone());
        if let Some(job) = table.visible(&own) {
            return Ok(job);
        }
        let past = table.past.iter().filter(|(_, past)| !past.forgotten).map(|(id, _)| id);
        let ids = table.present.keys().chain(past).map(|(owner, id)| (*owner, id));
        let meant = scope.meant(reference.as_str(), ids)?;
        table.visible(&meant).ok_or(Refusal::Unknown)
    }

    /// The jobs in `scope`, the youngest last: those that run, and with `all` those that are over, too.
    pub(crate) fn list(&self, scope: Scope, all: bool) -> Vec<JobSummary> {
        let table = self.lock();
        let present = table.present.iter().map(|(id, job)| (id.0, Arc::clone(job)));
        let past = table.past.iter().filter(|(_, past)| !past.forgotten);
        let past = past.map(|((owner, id), past)| (*owner, Arc::new(Job::remembered(*owner, id, past))));
        let reached = present.chain(past).filter(|(owner, _)| scope.holds(*owner));
        let summaries = reached.map(|(owner, job)| scope.show(owner, job.summary()));
        let mut jobs: Vec<_> =
            summaries.filter(|job| all || !matches!(job.state, JobState::Over { .. })).collect();
        jobs.sort_by_key(|job| job.started_unix_ms);
        jobs
    }

    /// Keeps only what has to be known of a job that is over.
    pub(crate) fn retire(&self, job: &Job) {
        let Some(past) = job.past() else { return };
        let mut table = self.lock();
        let id = (job.owner, job.id.clone());
        if !table.present.get(&id).is_some_and(|present| std::ptr::eq(Arc::as_ptr(present), job)) {
            return;
        }
        table.present.remove(&id);
        if table.order.len() >= REMEMBERED
            && let Some(oldest) = table.order.pop_front()
            && let Some(forgotten) = table.past.remove(&oldest)
        {
            table.remembers_since = table.remembers_since.max(forgotten.since);
        }
        table.past.insert(id.clone(), past);
        table.order.push_back(id);
    }

    /// Forgets a job that is over. Its id is remembered for as long as those of others are, so that it does not start anything.
    ///
    /// # Errors
    /// [`Refusal::Running`], and those of [`Registry::find`].
    pub(crate) fn forget(&self, scope: Scope, reference: &JobId) -> Result<(), Refusal> {
        let job = self.find(scope, reference)?;
        if job.ended().is_none() {
            return Err(Refusal::Running);
        }
        self.retire(&job);
        if let Some(past) = self.lock().past.get_mut(&(job.owner, job.id.clone())) {
            past.forgotten = true;
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn known(&self, id: &OwnId, digest: Digest) -> Option<Registered> {
        let job = self.find(id)?;
        Some(if job.digest == digest { Registered::Known(job) } else { Registered::Conflict })
    }

    /// The job with this id, unless it was forgotten.
    fn visible(&self, id: &OwnId) -> Option<Arc<Job>> {
        if self.past.get(id).is_some_and(|past| past.forgotten) { None } else { self.find(id) }
    }

    fn find(&self, id: &OwnId) -> Option<Arc<Job>> {
        let past = || self.past.get(id).map(|past| Arc::new(Job::remembered(id.0, &id.1, past)));
        self.present.get(id).map(Arc::clone).or_else(past)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.lock().running -= 1;
    }
}

#[cfg(test)]
mod tests {
    use common::job::{Ended, Outcome, Program, Spec};
    use common::stream::Budget;

    use super::super::outlet::{Buffer, Outlet};
    use super::*;

    const ANN: Owner = Owner::User(1000);

    fn id(number: usize) -> JobId {
        format!("job-{number}").parse().unwrap()
    }

    fn digest(of: u8) -> Digest {
        Digest::from_bytes([of; 32])
    }

    fn register(registry: &Registry, owner: Owner, number: usize) -> Result<Registered, RegistryFull> {
        let make = || {
            let spec = Spec::new(Program::Shell("true".into()));
            let budget = Budget::new(0);
            let outlet = || Outlet::Buffer(Buffer::new(budget.clone(), None));
            Job::new(owner, id(number), digest(0), &spec, &budget, [outlet(), outlet()])
        };
        registry.register(owner, &id(number), digest(0), Duration::ZERO, make)
    }

    fn new(registry: &Registry, number: usize) -> (Arc<Job>, Place) {
        match register(registry, ANN, number).unwrap() {
            Registered::New(job, place) => (job, place),
            other => panic!("{other:?}"),
        }
    }

    /// A job that has come and gone.
    fn run(registry: &Registry, number: usize) {
        let (job, _place) = new(registry, number);
        job.conclude(Ended::without_output(Outcome::Exited(7)));
        registry.retire(&job);
    }

    #[test]
    fn an_id_is_good_for_one_start() {
        let registry = Registry::default();
        let (job, place) = new(&registry, 1);
        assert!(
            matches!(register(&registry, ANN, 1), Ok(Registered::Known(known)) if Arc::ptr_eq(&known, &job))
        );
        job.conclude(Ended::without_output(Outcome::Exited(7)));
        registry.retire(&job);
        drop(place);
        let Ok(Registered::Known(known)) = register(&registry, ANN, 1) else { panic!("it has run") };
        assert_eq!(known.ended().unwrap().outcome, Outcome::Exited(7));
    }

    #[test]
    fn another_request_under_the_same_id_is_refused() {
        let registry = Registry::default();
        let (_job, _place) = new(&registry, 1);
        let other = registry.register(ANN, &id(1), digest(1), Duration::ZERO, || panic!("it is not new"));
        assert!(matches!(other, Ok(Registered::Conflict)));
    }

    #[test]
    fn what_may_have_been_asked_for_before_anything_is_remembered_is_not_started() {
        let registry = Registry::default();
        let early =
            registry.register(ANN, &id(1), digest(0), Duration::from_secs(5), || panic!("it may have run"));
        assert!(matches!(early, Ok(Registered::Unclear)));
    }

    #[test]
    fn an_id_says_nothing_about_the_jobs_of_others() {
        let registry = Registry::default();
        let (_job, _place) = new(&registry, 1);
        assert!(matches!(register(&registry, Owner::User(1001), 1), Ok(Registered::New(..))));
        assert_eq!(registry.find(Scope::own(Owner::User(1002)), &id(1)).unwrap_err(), Refusal::Unknown);
        assert!(registry.list(Scope::own(Owner::User(1002)), true).is_empty());
    }

    #[test]
    fn an_administrator_sees_whose_the_jobs_of_others_are() {
        let registry = Registry::default();
        let (job, _place) = new(&registry, 1);
        let (_own, _other) = match register(&registry, Owner::User(0), 2).unwrap() {
            Registered::New(job, place) => (job, place),
            other => panic!("{other:?}"),
        };
        let admin = Scope::everyones(Owner::User(0));
        assert!(Arc::ptr_eq(&registry.find(admin, &id(1)).unwrap(), &job));
        let mut owners: Vec<_> = registry.list(admin, true).into_iter().map(|job| job.owner).collect();
        owners.sort();
        assert_eq!(owners, [None, Some("uid 1000".to_owned())]);
    }

    #[test]
    fn a_beginning_names_a_job_if_it_is_the_only_one() {
        let registry = Registry::default();
        let (one, _first) = new(&registry, 1);
        assert!(Arc::ptr_eq(&registry.find(Scope::own(ANN), &"job".parse().unwrap()).unwrap(), &one));
        let (_twelve, _second) = new(&registry, 12);
        assert!(Arc::ptr_eq(&registry.find(Scope::own(ANN), &id(1)).unwrap(), &one));
        assert_eq!(
            registry.find(Scope::own(ANN), &"job".parse().unwrap()).unwrap_err(),
            Refusal::Ambiguous { jobs: 2 }
        );
        assert_eq!(registry.find(Scope::own(ANN), &"jab".parse().unwrap()).unwrap_err(), Refusal::Unknown);
    }

    #[test]
    fn a_place_is_free_again_when_its_job_is_over() {
        let registry = Registry::default();
        let mut places: Vec<_> = (0..RUNNING).map(|number| new(&registry, number)).collect();
        assert_eq!(register(&registry, ANN, RUNNING).unwrap_err(), RegistryFull);
        places.pop();
        assert!(register(&registry, ANN, RUNNING).is_ok());
    }

    #[test]
    fn jobs_of_supervisors_take_places_as_others_do_and_those_that_run_already_in_any_case() {
        let registry = Registry::default();
        let mut places: Vec<_> = (0..RUNNING).map(|_| registry.insist_on_place()).collect();
        assert_eq!(registry.take_place().unwrap_err(), RegistryFull);
        assert_eq!(register(&registry, ANN, 1).unwrap_err(), RegistryFull);
        places.push(registry.insist_on_place());
        places.pop();
        assert!(registry.take_place().is_err());
        places.pop();
        let place = registry.take_place().unwrap();
        assert!(registry.take_place().is_err());
        drop(place);
        assert!(register(&registry, ANN, 1).is_ok());
    }

    #[test]
    fn memory_is_bounded_and_knows_how_far_back_it_reaches() {
        let registry = Registry::default();
        let before = registry.lock().remembers_since;
        for number in 0..REMEMBERED + 10 {
            run(&registry, number);
        }
        let table = registry.lock();
        assert_eq!((table.past.len(), table.order.len(), table.present.len()), (REMEMBERED, REMEMBERED, 0));
        assert!(table.remembers_since > before);
    }

    #[test]
    fn a_job_can_be_forgotten_once_it_is_over_and_still_is_not_started_again() {
        let registry = Registry::default();
        let (job, _place) = new(&registry, 1);
        assert_eq!(registry.forget(Scope::own(ANN), &id(1)), Err(Refusal::Running));
        job.conclude(Ended::without_output(Outcome::Exited(7)));
        assert_eq!(registry.forget(Scope::own(ANN), &id(1)), Ok(()));
        assert!(registry.list(Scope::own(ANN), true).is_empty());
        assert_eq!(registry.find(Scope::own(ANN), &id(1)).unwrap_err(), Refusal::Unknown);
        assert!(matches!(register(&registry, ANN, 1), Ok(Registered::Known(_))));
    }
    #[test]
    fn the_next_program_remembers_what_this_one_does() {
        let (registry, next) = (Registry::default(), Registry::default());
        run(&registry, 1);
        run(&registry, 2);
        registry.forget(Scope::own(ANN), &id(2)).unwrap();
        let since = registry.remembers_since().checked_sub(Duration::from_secs(60)).unwrap();
        next.take(since, registry.hand());
        let Ok(Registered::Known(known)) = register(&next, ANN, 1) else { panic!("it has run") };
        assert_eq!(known.ended().unwrap().outcome, Outcome::Exited(7));
        assert!(matches!(register(&next, ANN, 2), Ok(Registered::Known(_))));
        assert_eq!(next.find(Scope::own(ANN), &id(2)).unwrap_err(), Refusal::Unknown);
        assert_eq!(next.remembers_since(), since);
        let (job, place) = new(&next, 3);
        drop(place);
        let third = Registry::default();
        let running = third.take_running(&job);
        assert!(third.has(&job));
        assert_eq!(third.lock().running, 1);
        drop(running);
        assert_eq!(third.lock().running, 0);
    }
}
