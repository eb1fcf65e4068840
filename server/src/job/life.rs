//! The life of a job on its server, in a task of its own that no connection can end: start, watching, end, and what is kept
//! for its client after that. It can be cut off, and go on later: here, or in the next program of this process.

use std::sync::Arc;

use common::job::{Ended, Extras, Outcome, Spec, StartFailure};
use tokio::task::yield_now;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, Span};

use super::registry::Place;
#[cfg(test)]
use super::stage::start;
use super::state::Job;
#[cfg(not(test))]
use super::task::start;
use super::task::{self, Course, Watched};
use crate::admission::ConnectionId;
use crate::audit::{Event, JobEnd};
use crate::service::Service;

/// A job that was cut off.
#[derive(Debug)]
pub(crate) struct Paused {
    pub(super) job: Arc<Job>,
    /// On which it was asked for; `None` if that was one of the program before.
    pub(super) connection: Option<ConnectionId>,
    pub(super) stage: Stage,
}

/// How far a job has come that was cut off.
#[derive(Debug)]
pub(super) enum Stage {
    /// Its process was started.
    Running(Box<Course>, Place),
    /// It is over. Its client may not know yet.
    Over,
}

/// Runs a new job.
pub(crate) fn begin(
    service: &Arc<Service>,
    connection: ConnectionId,
    (job, place): (Arc<Job>, Place),
    (spec, extras): (Spec, Extras),
    permission: impl Future<Output = Result<(), String>> + Send + 'static,
) {
    let owned = Arc::clone(service);
    let life = async move {
        let (service, connection) = (owned, Some(connection));
        let stage = match Box::pin(start(&job, spec, extras, permission, &service)).await {
            Ok(course) => Stage::Running(Box::new(course), place),
            Err(ended) => conclude(&service, connection, &job, ended, place),
        };
        live(&service, Paused { job, connection, stage }).await;
    };
    service.jobs.spawn(life.in_current_span());
}

/// Goes on with a job that was cut off.
pub(crate) fn resume(service: &Arc<Service>, paused: Paused) {
    let owned = Arc::clone(service);
    service.jobs.spawn(async move { live(&owned, paused).await }.instrument(Span::none()));
}

async fn live(service: &Service, mut paused: Paused) {
    // Who is cut off after the pause has been given up goes on at once.
    while let Some(cut_off) = go_on(service, paused).await {
        match service.pause.lay_down(cut_off) {
            Some(again) => paused = again,
            None => return,
        }
    }
}

/// Goes on to the end of everything, or until it is cut off.
async fn go_on(service: &Service, paused: Paused) -> Option<Paused> {
    let pause = service.pause.token();
    let Paused { job, connection, stage } = paused;
    let stage = match stage {
        Stage::Running(course, place) => match task::go_on(&job, *course, service, &pause).await {
            Watched::Paused(course) => {
                return Some(Paused { job, connection, stage: Stage::Running(course, place) });
            }
            Watched::Over(ended, left) => {
                let stage = conclude(service, connection, &job, ended, place);
                // Its client is told first, and then its cgroup is made ready for another.
                yield_now().await;
                drop(left);
                stage
            }
        },
        Stage::Over => Stage::Over,
    };
    await_settlement(service, &job, &pause).await.then_some(Paused { job, connection, stage })
}

/// Has everybody know how it has ended.
fn conclude(
    service: &Service,
    connection: Option<ConnectionId>,
    job: &Job,
    ended: Ended,
    place: Place,
) -> Stage {
    let ended = job.conclude(ended);
    drop(place);
    record_end(service, connection, job, &ended);
    Stage::Over
}

/// Keeps a job that is over until nobody will ask for what it has left; whether it was cut off before.
async fn await_settlement(service: &Service, job: &Job, pause: &CancellationToken) -> bool {
    tokio::select! {
        () = job.done_with() => {
            service.registry.retire(job);
            false
        }
        () = service.stopping.cancelled() => false,
        () = pause.cancelled() => true,
    }
}

fn record_end(service: &Service, connection: Option<ConnectionId>, job: &Job, ended: &Ended) {
    let (owner, id) = (job.owner, &job.id);
    if let (Some(connection), Outcome::NotStarted(StartFailure::Refused(reason))) =
        (connection, &ended.outcome)
    {
        service.record(&Event::JobRefused { connection, job: id, owner, reason });
    } else {
        service.record(&Event::JobEnd(JobEnd { connection, owner, job: id, ended }));
    }
}
