//! Starting jobs for one client: whether it may, whether that has happened before, and that it is recorded.

use std::sync::Arc;
use std::time::Duration;

use common::frame::{JobNumber, StreamId};
use common::job::{Ended, Extras, JobId, Outcome, StartFailure};
use common::limits;
use common::message::{Attach, Position, Refusal, Role, ServerMessage, Start, Wanted};
use tokio_util::sync::CancellationToken;

use super::Jobs;
use super::UNCONFIRMED_MAX;
use super::hold::lock;
use crate::audit::{Announced, Event, JobStart};
use crate::authorize::{Action, authorize, original_command};
use crate::clock;
use crate::crash_point::{CrashPoint, reach};
use crate::job::{self, Buffer, Control, Job, Outlet, Place, Registered, Spools};

/// Why a server that ends takes no jobs.
pub(super) const STOPPING: &str = "it is stopping";

/// What became of a job that may have been started by a server that is no more.
const UNCLEAR: &str =
    "the server was restarted since this was asked for, and does not know whether it has run";

impl Jobs {
    pub(super) async fn start(&self, number: JobNumber, mut start: Start, extras: Extras) {
        reach(CrashPoint::Asked);
        start.age_ms = self.age_ms(start.age_ms);
        if start.spec.keeping.supervised {
            return self.start_supervised(number, start, extras).await;
        }
        let id = start.id.clone();
        match self.admit(&mut start, &extras) {
            Ok((Registered::New(job, place), Some(announced))) => {
                self.run(number, (job, place), (start, extras), announced);
            }
            // A new job is announced.
            Ok((Registered::New(..), None)) => {}
            Ok((Registered::Known(job), _)) => match self.has_room() {
                Ok(()) => self.attach(number, &job, &as_attach(start, &extras)).await,
                Err(reason) => {
                    self.answer(number, ServerMessage::Refused(Refusal::Unavailable(reason))).await;
                }
            },
            Ok((Registered::Conflict, _)) => {
                self.answer(number, ServerMessage::Refused(Refusal::Conflict)).await;
            }
            Ok((Registered::Unclear, _)) => {
                let ended = Ended::without_output(Outcome::Lost(UNCLEAR.to_owned()));
                self.answer(number, ServerMessage::Ended(ended)).await;
            }
            Err(reason) => self.refuse(number, &id, reason).await,
        }
    }

    /// Whether a job may start; if so, it is announced in the audit trail.
    fn admit(&self, start: &mut Start, extras: &Extras) -> Result<(Registered, Option<Announced>), String> {
        let Start { id, digest, age_ms, spec, .. } = start;
        authorize(&self.principal, Action::Start(spec, extras)).map_err(|denial| denial.to_string())?;
        let live = self.service.live();
        // It has run, whatever would be said of a new one.
        if let Some(known) = self.service.registry.known(self.principal.owner(), id, *digest) {
            return Ok((known, None));
        }
        self.is_open()?;
        live.config.jobs.cap(spec).map_err(|refusal| refusal.to_string())?;
        let (owner, age) = (self.principal.owner(), Duration::from_millis(*age_ms));
        let make = || {
            let spools = self.service.spools.as_ref().map(Spools::of_job);
            let outlet = || Outlet::Buffer(Buffer::new(self.budget.clone(), spools.clone()));
            // What it reports is little, and waits rather than being written to the disk.
            let reports = || Outlet::Buffer(Buffer::new(self.budget.clone(), None));
            let job = Job::new(owner, id.clone(), *digest, spec, &self.budget, [outlet(), outlet()]);
            // From the first: what a client says of it may come before the process.
            extras.terminal.iter().for_each(|terminal| job.is_on_terminal(terminal.size));
            if extras.control { job.with_control(Control::new(reports())) } else { job }
        };
        let registered = self.service.registry.register(owner, id, *digest, age, make);
        let registered = registered.map_err(|full| full.to_string())?;
        let announced = matches!(registered, Registered::New(..)).then(|| {
            live.audit.announce(&Event::JobStart(JobStart {
                connection: self.connection,
                job: id,
                owner,
                spec,
                extras,
                original: self.principal.options().command().and_then(|_| original_command(spec)),
            }))
        });
        Ok((registered, announced))
    }

    /// How many milliseconds ago at most a start was said for the first time that was `said_ms` old when it was said here.
    fn age_ms(&self, said_ms: u64) -> u64 {
        if said_ms == 0 {
            return 0;
        }
        // It may have been under way for as long as there was a way.
        let way = clock::now().saturating_duration_since(self.since);
        said_ms.saturating_add(u64::try_from(way.as_millis()).unwrap_or(u64::MAX))
    }

    /// Whether new jobs are taken.
    pub(super) fn is_open(&self) -> Result<(), String> {
        if self.service.stopping.is_cancelled() { Err(STOPPING.to_owned()) } else { self.has_room() }
    }

    /// Whether this connection may have another job.
    pub(super) fn has_room(&self) -> Result<(), String> {
        let table = lock(&self.table);
        if table.held.len() >= limits::JOBS_PER_CONNECTION {
            return Err(format!("this connection already has hold of {} jobs", limits::JOBS_PER_CONNECTION));
        }
        if table.ended.len() >= UNCONFIRMED_MAX {
            return Err(format!("this client has not confirmed that {UNCONFIRMED_MAX} jobs are over"));
        }
        Ok(())
    }

    /// Runs a new job in a task of its own, which no connection can end, with this client attached.
    fn run(
        &self,
        number: JobNumber,
        (job, place): (Arc<Job>, Place),
        (start, extras): (Start, Extras),
        announced: Announced,
    ) {
        let attachment = job.take_first_seat(self.link(number), start.attachment);
        self.serve(number, Arc::clone(&job), attachment, false);
        let permission = permission(announced, &job, &self.service.stopping);
        job::begin(&self.service, self.connection, (job, place), (start.spec, extras), permission);
    }

    pub(super) async fn refuse(&self, number: JobNumber, id: &JobId, reason: String) {
        let (connection, owner) = (self.connection, self.principal.owner());
        self.service.record(&Event::JobRefused { connection, job: id, owner, reason: &reason });
        let refused = Outcome::NotStarted(StartFailure::Refused(reason));
        self.answer(number, ServerMessage::Ended(Ended::without_output(refused))).await;
    }
}

/// A start of what was started already.
pub(super) fn as_attach(start: Start, extras: &Extras) -> Attach {
    let streams = [StreamId::Stdout, StreamId::Stderr].into_iter();
    let streams = streams.chain(extras.control.then_some(StreamId::Control)).map(|stream| Wanted {
        stream,
        from: Position::Oldest,
        window: limits::INITIAL_WINDOW,
    });
    let Start { id: job, attachment, .. } = start;
    Attach { job, attachment, role: Role::Writer, streams: streams.collect(), times: false }
}

/// Whether a job may start that was announced: not if that cannot be recorded, or if its client or the server ends
/// meanwhile.
fn permission(
    announced: Announced,
    job: &Arc<Job>,
    stopping: &CancellationToken,
) -> impl Future<Output = Result<(), String>> + use<> {
    let (job, stopping) = (Arc::clone(job), stopping.clone());
    async move {
        tokio::select! {
            recorded = announced.permission() => recorded.map_err(|refusal| refusal.to_string()),
            () = stopping.cancelled() => Err(STOPPING.to_owned()),
            () = job.abandoned() => Err("its client is gone".to_owned()),
        }
    }
}
