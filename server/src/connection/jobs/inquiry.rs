//! Listing and forgetting jobs. What takes the disk's time is done in tasks.

use std::sync::Arc;

use common::frame::JobNumber;
use common::job::JobId;
use common::message::{JobSummary, Refusal, ServerMessage};
use common::packet::Packet;
use tokio::sync::OwnedSemaphorePermit;

use super::attach::{Known, find};
use super::{Jobs, QUESTIONS};
use crate::audit::Deed;
use crate::connection::record::Actor;
use crate::scope::Scope;
use crate::service::Service;

impl Jobs {
    /// Lists jobs, in a task of its own: supervisors have to be asked.
    pub(super) async fn list(&self, number: JobNumber, all: bool) {
        let Some(turn) = self.turn_to_ask(number).await else { return };
        let (service, sender, scope) = (Arc::clone(&self.service), self.sender.clone(), self.scope());
        self.tasks.spawn(async move {
            let messages = match list(&service, scope, all).await {
                Ok(jobs) => {
                    jobs.into_iter().map(ServerMessage::Listed).chain([ServerMessage::Done]).collect()
                }
                Err(refusal) => vec![ServerMessage::Refused(refusal)],
            };
            for message in messages {
                if sender.send(Packet::Message { job: number, message }).await.is_err() {
                    break;
                }
            }
            drop(turn);
        });
    }

    /// Leave to ask about jobs. Whoever asks too much at once is told.
    async fn turn_to_ask(&self, number: JobNumber) -> Option<OwnedSemaphorePermit> {
        if let Ok(turn) = Arc::clone(&self.questions).try_acquire_owned() {
            return Some(turn);
        }
        let reason = format!("this connection has {QUESTIONS} questions that are not answered yet");
        self.answer(number, ServerMessage::Refused(Refusal::Unavailable(reason))).await;
        None
    }

    /// Forgets a job, in a task of its own: its files have to go.
    pub(super) async fn forget(&self, number: JobNumber, job: JobId) {
        let Some(turn) = self.turn_to_ask(number).await else { return };
        let (actor, sender, scope) = (self.actor(), self.sender.clone(), self.scope());
        self.tasks.spawn(async move {
            let forgotten = forget(&actor, scope, &job).await;
            let message = forgotten.map_or_else(ServerMessage::Refused, |()| ServerMessage::Done);
            // Without a connection there is nobody to tell.
            sender.send(Packet::Message { job: number, message }).await.ok();
            drop(turn);
        });
    }
}

async fn list(service: &Service, scope: Scope, all: bool) -> Result<Vec<JobSummary>, Refusal> {
    let mut jobs = service.registry.list(scope, all);
    if let Some(supervised) = &service.supervised {
        jobs.extend(supervised.list(scope, all).await.map_err(|error| error.refusal())?);
    }
    jobs.sort_by_key(|job| job.started_unix_ms);
    Ok(jobs)
}

async fn forget(actor: &Actor, scope: Scope, reference: &JobId) -> Result<(), Refusal> {
    let service = &actor.service;
    let (owner, id) = match find(service, scope, reference).await? {
        Known::Own(job) => {
            service.registry.forget(Scope::own(job.owner), &job.id)?;
            (job.owner, job.id.clone())
        }
        Known::Supervised(job) => {
            let (owner, id) = (job.intent().owner, job.intent().id.clone());
            let supervised = service.supervised.as_ref().ok_or(Refusal::Unknown)?;
            supervised.forget(service, *job).await.map_err(|error| error.refusal())?;
            (owner, id)
        }
    };
    actor.has_done(Deed::Forget, owner, &id);
    Ok(())
}
