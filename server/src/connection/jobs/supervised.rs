//! Starting jobs with supervisors for one client, and taking hold of them. What takes the disk's time is done in tasks.

use std::sync::Arc;

use common::frame::JobNumber;
use common::job::{Ended, Extras, JobId, Outcome, SpecError, StartFailure};
use common::message::{Attach, ClientMessage, Refusal, Role, ServerMessage, Start};
use common::packet::Packet;
use tracing::Instrument;

use super::Jobs;
use super::attach::serve_here;
use super::hold::{Hold, lock};
use super::start::{STOPPING, as_attach};
use crate::admission::ConnectionId;
use crate::audit::{Deed, Event, JobStart};
use crate::authorize::{Action, Owner, Principal, authorize, original_command};
use crate::job::{Job, Place};
use crate::scope::Scope;
use crate::service::Service;
use crate::supervised::{Found, Launched, Relay, RelayEnd, Relayed, Supervised, SupervisedError};

impl Jobs {
    /// Starts a job with a supervisor, or finds it; in a task of its own, since it takes the disk's time.
    pub(super) async fn start_supervised(&self, number: JobNumber, mut start: Start, extras: Extras) {
        let supervised = match self.admit_supervised(&mut start, &extras) {
            Ok(supervised) => supervised,
            Err(reason) => return self.refuse(number, &start.id, reason).await,
        };
        if let Err(reason) = self.has_room() {
            // It may have been started before.
            return self.answer(number, ServerMessage::Refused(Refusal::Unavailable(reason))).await;
        }
        let (principal, connection) = (self.principal.clone(), self.connection);
        let (service, keeps) = (Arc::clone(&self.service), self.service.live().config.jobs.keep);
        self.relay(number, move || async move {
            let owner = principal.owner();
            let turn = supervised.turn(owner, &start.id).await;
            if let Some(job) = supervised.known(owner, &start).await.map_err(|error| not_started(&error))? {
                // It may take its time to be reached.
                drop(turn);
                let found = supervised.reach(job).await.map_err(|error| not_started(&error))?;
                return Ok((found, as_attach(start, &extras)));
            }
            let place = admit_new(&service, &principal, connection, (&mut start, &extras)).await?;
            let attach = as_attach(start.clone(), &extras);
            match supervised.start(owner, (&start, &extras), keeps).await {
                Ok(Launched::New(stream, process)) => {
                    let id = start.id;
                    supervised.watch_over(&service, process, owner, connection, id.clone(), place);
                    Ok((Found::Alive { stream, owner, id }, attach))
                }
                Ok(Launched::Before(found)) => Ok((found, attach)),
                Err(error) => {
                    let (job, reason) = (&start.id, &error.to_string());
                    service.record(&Event::JobRefused { connection, job, owner, reason });
                    Err(not_started(&error))
                }
            }
        });
    }

    fn admit_supervised(&self, start: &mut Start, extras: &Extras) -> Result<Supervised, String> {
        authorize(&self.principal, Action::Start(&mut start.spec, extras))
            .map_err(|denial| denial.to_string())?;
        if extras.control {
            return Err(SpecError::ControlSupervised.to_string());
        }
        let supervised = self.service.supervised.clone();
        supervised.ok_or_else(|| "it has no place for jobs that outlive it".to_owned())
    }

    /// Takes hold of a job that `find` finds or not, in a task of its own.
    pub(super) fn relay<F>(&self, number: JobNumber, find: impl FnOnce() -> F)
    where
        F: Future<Output = Result<(Found, Attach), ServerMessage>> + Send + 'static,
    {
        let (relay, link, table) = (Relay::new(), self.link(number), Arc::clone(&self.table));
        lock(&table).held.insert(number, Hold::Relayed(Arc::clone(&relay)));
        let (service, finding, counted) = (Arc::clone(&self.service), find(), self.tasks.token());
        let actor = self.actor();
        let task = async move {
            let answer = match finding.await {
                Err(answer) => Some(answer),
                // Its end comes with that of the server.
                Ok((Found::Here(_), _)) if relay.has_departed() => None,
                Ok((Found::Here(job), attach)) => serve_here(job, &attach, None, &link, &table, &actor).await,
                Ok((Found::Alive { stream, owner, id }, attach)) => {
                    drop(counted);
                    let note = |relayed| match relayed {
                        Relayed::Attached if attach.role != Role::Writer => {}
                        Relayed::Attached => actor.has_done(Deed::Attach, owner, &id),
                        Relayed::Order(order) => actor.has_done(Deed::Order(order), owner, &id),
                    };
                    let request = ClientMessage::Attach(attach.clone());
                    match relay.run(stream, request, &link, &note).await {
                        RelayEnd::Said | RelayEnd::ClientGone => None,
                        RelayEnd::SupervisorGone => {
                            let (rest, knows) = relay.rest(&attach);
                            let before = knows.then_some(&*relay);
                            match outlived(&service, owner, &id).await {
                                Ok(job) => serve_here(job, &rest, before, &link, &table, &actor).await,
                                Err(answer) => Some(answer),
                            }
                        }
                    }
                }
            };
            if let Some(message) = answer {
                // Without a connection there is nobody to tell.
                link.sender.send(Packet::Message { job: number, message }).await.ok();
            }
            lock(&table).let_go(number, &relay);
        };
        self.relays.spawn(task.in_current_span());
    }
}

/// What is left of a job whose supervisor is gone; without that, what is to be said.
async fn outlived(service: &Service, owner: Owner, id: &JobId) -> Result<Arc<Job>, ServerMessage> {
    let Some(supervised) = &service.supervised else { return Err(ServerMessage::Refused(Refusal::Unknown)) };
    match supervised.find(Scope::own(owner), id).await {
        Ok(Found::Here(job)) => Ok(job),
        // It goes on, and how it ends is not known yet.
        Ok(Found::Alive { .. }) => {
            let reason = "its supervisor does not answer".to_owned();
            Err(ServerMessage::Refused(Refusal::Unavailable(reason)))
        }
        Err(error) => Err(ServerMessage::Refused(error.refusal())),
    }
}

/// Whether a job with a supervisor may start of which nothing is known; if so, it is in the audit trail. Its place among those
/// that run.
async fn admit_new(
    service: &Service,
    principal: &Principal,
    connection: ConnectionId,
    (start, extras): (&mut Start, &Extras),
) -> Result<Place, ServerMessage> {
    let (owner, job) = (principal.owner(), &start.id);
    let refused = |reason: String| {
        let refused = Outcome::NotStarted(StartFailure::Refused(reason));
        ServerMessage::Ended(Ended::without_output(refused))
    };
    let stopping = if service.stopping.is_cancelled() { Err(STOPPING.to_owned()) } else { Ok(()) };
    let capped = service.live().config.jobs.cap(&mut start.spec).map_err(|refusal| refusal.to_string());
    let place = service.registry.take_place().map_err(|full| full.to_string());
    let place = stopping.and(capped).and(place).map_err(|reason| {
        service.record(&Event::JobRefused { connection, job, owner, reason: &reason });
        refused(reason)
    })?;
    let announced = service.live().audit.announce(&Event::JobStart(JobStart {
        connection,
        job,
        owner,
        spec: &start.spec,
        extras,
        original: principal.options().command().and_then(|_| original_command(&start.spec)),
    }));
    announced.permission().await.map_err(|refusal| refused(refusal.to_string()))?;
    Ok(place)
}

fn not_started(error: &SupervisedError) -> ServerMessage {
    if error.leaves_doubt() {
        return ServerMessage::Ended(Ended::without_output(Outcome::Lost(error.said())));
    }
    match error.refusal() {
        Refusal::Unavailable(reason) => {
            let failure = Outcome::NotStarted(StartFailure::Refused(reason));
            ServerMessage::Ended(Ended::without_output(failure))
        }
        refusal => ServerMessage::Refused(refusal),
    }
}
