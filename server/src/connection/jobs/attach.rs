//! Taking hold of jobs that are there already, whether they are this server's own, have a supervisor, or are over.

use std::sync::Arc;

use common::frame::JobNumber;
use common::job::JobId;
use common::message::{Attach, Attached, Refusal, ServerMessage};
use common::packet::Packet;

use super::Jobs;
use super::hold::{Hold, Table, lock, serve};
use crate::audit::Deed;
use crate::connection::record::Actor;
use crate::job::{Attachment, Job, Link, NoHold};
use crate::scope::Scope;
use crate::service::Service;
use crate::store;
use crate::supervised::{Found, Relay};

/// A job, wherever it is.
pub(super) enum Known {
    /// This server's own.
    Own(Arc<Job>),
    /// One that has or had a supervisor.
    Supervised(Box<store::Job>),
}

/// The job in `scope` that `reference` means. Takes the disk's time unless it is the whole id of one of this server's own.
///
/// # Errors
/// [`Refusal`].
pub(super) async fn find(service: &Service, scope: Scope, reference: &JobId) -> Result<Known, Refusal> {
    let is_exact = |owner, id: &JobId| owner == scope.owner() && id == reference;
    let own = service.registry.find(scope, reference);
    let Some(supervised) = &service.supervised else { return own.map(Known::Own) };
    if own.as_ref().is_ok_and(|job| is_exact(job.owner, &job.id)) {
        return own.map(Known::Own);
    }
    let other = supervised.look_up(scope, reference).await.map_err(|error| error.refusal());
    match (own, other) {
        (Err(Refusal::Unknown), other) => other.map(|job| Known::Supervised(Box::new(job))),
        (_, Ok(job)) if is_exact(job.intent().owner, &job.intent().id) => {
            Ok(Known::Supervised(Box::new(job)))
        }
        (Ok(_), Ok(_)) => Err(Refusal::Ambiguous { jobs: 2 }),
        (Ok(_), Err(Refusal::Ambiguous { jobs })) | (Err(Refusal::Ambiguous { jobs }), Ok(_)) => {
            Err(Refusal::Ambiguous { jobs: jobs.saturating_add(1) })
        }
        (Err(Refusal::Ambiguous { jobs }), Err(Refusal::Ambiguous { jobs: others })) => {
            Err(Refusal::Ambiguous { jobs: jobs.saturating_add(others) })
        }
        (own, Err(Refusal::Unknown)) => own.map(Known::Own),
        (_, Err(refusal)) | (Err(refusal), Ok(_)) => Err(refusal),
    }
}

impl Jobs {
    /// Takes hold of the job that the client means.
    pub(super) async fn join(&self, number: JobNumber, attach: Attach) {
        if let Err(reason) = self.has_room() {
            let refused = ServerMessage::Refused(Refusal::Unavailable(reason));
            return self.answer(number, refused).await;
        }
        let scope = self.scope();
        match self.service.registry.find(scope, &attach.job) {
            Ok(job) if job.id == attach.job && job.owner == scope.owner() => {
                self.attach(number, &job, &attach).await;
            }
            _ => self.join_later(number, attach),
        }
    }

    /// Finds it first, in a task, since that takes the disk's time.
    fn join_later(&self, number: JobNumber, attach: Attach) {
        let (service, scope) = (Arc::clone(&self.service), self.scope());
        self.relay(number, move || async move {
            let refused = |refusal| ServerMessage::Refused(refusal);
            let found = match find(&service, scope, &attach.job).await.map_err(refused)? {
                Known::Own(job) => Found::Here(job),
                Known::Supervised(job) => {
                    let supervised = service.supervised.as_ref().ok_or_else(|| refused(Refusal::Unknown))?;
                    supervised.reach(*job).await.map_err(|error| refused(error.refusal()))?
                }
            };
            Ok((found, attach))
        });
    }

    /// Takes hold of a job of this server's own.
    pub(super) async fn attach(&self, number: JobNumber, job: &Arc<Job>, request: &Attach) {
        match take_hold(job, &self.link(number), request, false).await {
            Some(Ok((attachment, started))) => self.serve(number, Arc::clone(job), attachment, started),
            Some(Err(no_hold)) => self.answer(number, no_hold.message()).await,
            None => {}
        }
    }

    /// Sends this client what there is to be sent of a job, in a task of its own.
    pub(super) fn serve(&self, number: JobNumber, job: Arc<Job>, attachment: Arc<Attachment>, started: bool) {
        let hold = Hold::Own(Arc::clone(&job), Arc::clone(&attachment));
        lock(&self.table).held.insert(number, hold);
        let table = Arc::clone(&self.table);
        self.tasks.spawn(async move { serve(&table, number, job, attachment, started).await });
    }
}

/// Takes hold of a job that is here, and sends what there is to be sent; what is to be said instead, if it cannot be had.
/// `before` is what the client has hold of it by, if it was told that it has.
pub(super) async fn serve_here(
    job: Arc<Job>,
    attach: &Attach,
    before: Option<&Relay>,
    link: &Link,
    table: &Table,
    actor: &Actor,
) -> Option<ServerMessage> {
    match take_hold(&job, link, attach, before.is_some()).await? {
        Ok((attachment, started)) => {
            if attachment.is_clients() && before.is_none() {
                actor.has_done(Deed::Attach, job.owner, &job.id);
            }
            let hold = Hold::Own(Arc::clone(&job), Arc::clone(&attachment));
            {
                let mut table = lock(table);
                if let Some(relay) = before {
                    relay.hand_on(&attachment);
                }
                table.held.insert(link.number, hold);
            }
            serve(table, link.number, job, attachment, started).await;
            None
        }
        Err(no_hold) => {
            lock(table).held.remove(&link.number);
            Some(no_hold.message())
        }
    }
}

/// Takes hold of a job over `link`, and says so unless the client `knows`; also whether its process was started before. `None`
/// without a connection: there is nobody to tell.
async fn take_hold(
    job: &Job,
    link: &Link,
    request: &Attach,
    knows: bool,
) -> Option<Result<(Arc<Attachment>, bool), NoHold>> {
    let room = link.sender.reserve_control().await.ok()?;
    let mut started = false;
    let say = |attached: Attached| {
        started = attached.process_id.is_some();
        if !knows {
            room.send(Packet::Message { job: link.number, message: ServerMessage::Attached(attached) });
        }
    };
    let held = job.attach(link.clone(), request, say);
    Some(held.map(|attachment| (attachment, started)))
}
