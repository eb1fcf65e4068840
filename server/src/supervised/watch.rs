//! Sees to jobs that nobody has asked about: waits for their supervisors to end, has the audit trail know what became of them,
//! and removes what was kept for long enough.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use common::job::JobId;
use tokio::time;
use tracing::{info, warn};

use super::{ENTRIES, Gone, Supervised, SupervisedError, connect, settle};
use crate::admission::ConnectionId;
use crate::audit::{Event, JobEnd};
use crate::authorize::Owner;
use crate::job::Place;
use crate::process::Other;
use crate::service::Service;
use crate::store::{self, Bound, EXPIRE_AT_ONCE, End, Recovered, State, StoreError, Timestamp};

/// How often what is kept is looked through for what is old.
const EVERY: Duration = Duration::from_secs(3600);

/// How soon a supervisor is looked at again that cannot be waited for.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// How long somebody else may take to find out how a job has ended, and how soon that is looked at again. What is left of it may
/// have to be ended first.
const SETTLING: Duration = Duration::from_secs(30);
const SETTLING_PAUSE: Duration = Duration::from_millis(100);

/// How long what a start had no time for may take.
const RECOVERY: Duration = Duration::from_secs(60);

/// Jobs that are waited for.
#[derive(Debug, Default)]
pub(super) struct Watched(Mutex<HashSet<(Owner, JobId)>>);

impl Watched {
    /// Whether it was not until now.
    fn enter(&self, owner: Owner, id: &JobId) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert((owner, id.clone()))
    }

    /// All that are.
    pub(super) fn all(&self) -> Vec<(Owner, JobId)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    fn leave(&self, owner: Owner, id: &JobId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&(owner, id.clone()));
    }
}

/// Sees to the jobs of this server for as long as it serves.
pub(crate) async fn tend(service: &Arc<Service>) {
    let Some(supervised) = &service.supervised else { return };
    let mut complete = true;
    loop {
        let before = supervised.before.lock().unwrap_or_else(PoisonError::into_inner).take();
        let recovered = if complete { before } else { supervised.recover().await };
        if let Some(recovered) = recovered {
            complete = recovered.complete;
            supervised.take_over(service, recovered).await;
        }
        supervised.expire().await;
        time::sleep(EVERY).await;
    }
}

impl Supervised {
    /// Waits for a supervisor that this server has started, and has what became of its job recorded. The job has `place` among
    /// those that run until then.
    pub(crate) fn watch_over(
        &self,
        service: &Arc<Service>,
        gone: Gone,
        owner: Owner,
        connection: ConnectionId,
        id: JobId,
        place: Place,
    ) {
        self.watched.enter(owner, &id);
        let (supervised, service) = (self.clone(), Arc::clone(service));
        // Not waited for: it outlives the server.
        tokio::spawn(async move {
            gone.await;
            drop(place);
            supervised.tell(&service, owner, &id, Some(connection)).await;
            supervised.watched.leave(owner, &id);
        });
    }

    /// The jobs that were there when this server began. Those that run take their places; what became of the others is recorded,
    /// unless an earlier server has.
    async fn take_over(&self, service: &Arc<Service>, recovered: Recovered) {
        for found in recovered.jobs {
            let (owner, id) = (found.intent.owner, found.intent.id);
            if !matches!(found.state, State::Running { .. }) {
                self.tell(service, owner, &id, None).await;
            } else if self.watched.enter(owner, &id) {
                let (supervised, service) = (self.clone(), Arc::clone(service));
                let place = service.registry.insist_on_place();
                // Not waited for: it outlives the server.
                tokio::spawn(async move {
                    supervised.gone(owner, &id).await;
                    drop(place);
                    supervised.tell(&service, owner, &id, None).await;
                    supervised.watched.leave(owner, &id);
                });
            }
        }
    }

    /// Waits until a job that another server has started has no supervisor any more.
    async fn gone(&self, owner: Owner, id: &JobId) {
        while let Some(job) = self.running(owner, id).await {
            let Some(supervisor) = supervisor(&job).await else {
                time::sleep(LOOK_AGAIN).await;
                continue;
            };
            // Its number was its own while it was reached, if it is there still.
            if self.running(owner, id).await.is_some() {
                supervisor.ended().await;
            }
        }
    }

    async fn running(&self, owner: Owner, id: &JobId) -> Option<store::Job> {
        let (store, id) = (Arc::clone(&self.store), id.clone());
        let found = self.on_disk(move || {
            let job = store.find(&owner, &id)?;
            let runs = matches!(job.state()?, State::Running { .. });
            Ok(runs.then_some(job))
        });
        found.await.ok().flatten()
    }

    /// Finds out how a job without a supervisor has ended, and has that recorded, once.
    async fn tell(&self, service: &Arc<Service>, owner: Owner, id: &JobId, connection: Option<ConnectionId>) {
        let until = Instant::now() + SETTLING;
        loop {
            let (store, job, recording) = (Arc::clone(&self.store), id.clone(), Arc::clone(service));
            let told = self.on_disk(move || {
                let found = store.find(&owner, &job)?;
                settle(&found)?;
                found.tell_end(|end| record(&recording, connection, owner, &job, end))
            });
            match told.await {
                Ok(_) => return,
                // Somebody else finds it out at this moment, and holds the lock meanwhile.
                Err(SupervisedError::Store(StoreError::Running)) if Instant::now() < until => {
                    time::sleep(SETTLING_PAUSE).await;
                }
                Err(error) => {
                    return warn!(job = %id, %error, "what became of a job cannot be recorded");
                }
            }
        }
    }

    /// Removes what was kept for long enough.
    async fn expire(&self) {
        loop {
            let store = Arc::clone(&self.store);
            match self.on_disk(move || store.expire(Timestamp::now())).await {
                Ok(gone) => {
                    for gone in &gone {
                        info!(job = %gone.id, "kept for long enough: removed");
                    }
                    if gone.len() < EXPIRE_AT_ONCE {
                        return;
                    }
                }
                Err(error) => {
                    warn!(%error, "what was kept for long enough cannot be removed");
                    return;
                }
            }
        }
    }

    async fn recover(&self) -> Option<Recovered> {
        let store = Arc::clone(&self.store);
        let bound = Bound { entries: ENTRIES, until: Instant::now() + RECOVERY };
        self.on_disk(move || store.recover(Timestamp::now(), bound)).await.ok()
    }
}

/// Records how a job has ended.
pub(super) fn record(
    service: &Service,
    connection: Option<ConnectionId>,
    owner: Owner,
    job: &JobId,
    end: &End,
) {
    service.record(&Event::JobEnd(JobEnd { connection, owner, job, ended: &end.ended }));
}

/// The supervisor of a job, if it can be reached.
async fn supervisor(job: &store::Job) -> Option<Other> {
    let stream = connect(job.path()).await.ok()?;
    Other::of(stream.peer_cred().ok()?.pid()?).ok()
}

#[cfg(test)]
mod tests {
    use common::job::{Digest, Ended, Outcome, Program, Spec};

    use super::*;
    use crate::process::Containment;
    use crate::scope::Scope;
    use crate::store::{Creation, Request, Store};

    /// A job that ended then.
    fn finished(store: &Store, id: &str, at: Timestamp) {
        let (id, spec) = (id.parse().unwrap(), Spec::new(Program::Shell("true".into())));
        let digest = Digest::from_bytes([1; 32]);
        let request = Request { owner: Owner::User(1), id: &id, digest, spec: &spec, first_sent: at };
        let Ok((Creation::New(custody), _)) = store.create(request, at) else { panic!("it is new") };
        custody.begin(None, at).unwrap();
        custody.end(&Ended::without_output(Outcome::Exited(3)), at).unwrap();
    }

    #[tokio::test]
    async fn what_ended_long_ago_goes_however_much_that_is_and_nothing_else() {
        let temporary = tempfile::tempdir().unwrap();
        let directory = temporary.path().join("jobs");
        let store = Store::open(&directory, Timestamp(1)).unwrap();
        (0..EXPIRE_AT_ONCE + 5).for_each(|number| finished(&store, &format!("old-{number}"), Timestamp(2)));
        finished(&store, "new", Timestamp::now());
        drop(store);
        let supervised = Supervised::open(&directory, Containment::by_sweep(false)).unwrap();
        supervised.expire().await;
        let left = supervised.list(Scope::own(Owner::User(1)), true).await.unwrap();
        assert_eq!(left.iter().map(|job| job.id.as_str()).collect::<Vec<_>>(), ["new"]);
    }

    #[test]
    fn an_end_is_told_once_and_again_only_if_that_was_cut_off() {
        let temporary = tempfile::tempdir().unwrap();
        let directory = temporary.path().join("jobs");
        let store = Store::open(&directory, Timestamp(1)).unwrap();
        finished(&store, "x", Timestamp(2));
        let job = store.find(&Owner::User(1), &"x".parse().unwrap()).unwrap();
        let cut_off = || job.tell_end(|_| panic!("killed"));
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(cut_off)).unwrap_err();
        let mut told = Vec::new();
        for expected in [true, false, false] {
            assert_eq!(job.tell_end(|end| told.push(end.ended.outcome.clone())).unwrap(), expected);
        }
        assert_eq!(told, [Outcome::Exited(3)]);
    }
}
