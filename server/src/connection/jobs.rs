//! The jobs of one connection: brings packets to them, and answers for those that may not start.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use common::connection::{ConnectionError, PacketSender};
use common::frame::{JobNumber, StreamId};
use common::job::{Ended, JobId, Outcome, Spec, StartFailure};
use common::limits;
use common::message::{ClientMessage, ServerMessage};
use common::packet::Packet;
use common::stream::{Budget, Inbound, Outbound};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use crate::admission::ConnectionId;
use crate::audit::{Announced, Event, JobEnd, JobStart};
use crate::authorize::{Action, Principal, authorize, original_command};
use crate::job::{self, JobCommand, JobContext, JobHandle, Registration};
use crate::service::Service;

/// Why a server that ends takes no jobs.
const STOPPING: &str = "it is stopping";

/// Jobs that run, by their number; their tasks take themselves out.
type Table = Arc<Mutex<HashMap<JobNumber, JobHandle>>>;

/// The jobs of one connection.
#[derive(Debug)]
pub(super) struct Jobs {
    service: Arc<Service>,
    principal: Principal,
    connection: ConnectionId,
    sender: PacketSender<ServerMessage>,
    table: Table,
    tasks: TaskTracker,
    last_number: u32,
    budget: Budget,
    gone: CancellationToken,
}

impl Jobs {
    pub(super) fn new(
        service: Arc<Service>,
        principal: Principal,
        connection: ConnectionId,
        sender: PacketSender<ServerMessage>,
    ) -> Self {
        let budget = service.connection_budget();
        Self {
            service,
            principal,
            connection,
            sender,
            table: Table::default(),
            tasks: TaskTracker::new(),
            last_number: 0,
            budget,
            gone: CancellationToken::new(),
        }
    }

    /// Takes a packet about a job. Never waits for one: only until there is room for the answer to a START that is not
    /// granted, so that a client that does not read them cannot make us remember them.
    ///
    /// # Errors
    /// [`ConnectionError`] if it breaks a rule.
    pub(super) async fn handle(&mut self, packet: Packet<ClientMessage>) -> Result<(), ConnectionError> {
        match packet {
            Packet::Message { job: JobNumber::CONNECTION, .. } => {
                Err(ConnectionError::Violation("a request about no job"))
            }
            Packet::Message { job, message } => match message {
                ClientMessage::Start { id, spec } => self.start(job, id, spec).await,
                ClientMessage::Signal(signal) => {
                    permit(&self.principal, Action::Signal)?;
                    self.command(job, JobCommand::Signal(signal))
                }
                ClientMessage::Cancel => {
                    permit(&self.principal, Action::Cancel)?;
                    self.command(job, JobCommand::Cancel)
                }
            },
            Packet::Data { job, offset, bytes, .. } => {
                self.with(job, |handle| Ok(handle.stdin.receive(offset, bytes)?))
            }
            Packet::Eof { job, total, .. } => self.with(job, |handle| Ok(handle.stdin.finish(total)?)),
            Packet::Ack { job, stream, ack } => {
                self.with(job, |handle| Ok(handle.outbound(stream)?.acknowledge(ack)?))
            }
            Packet::StopSending { job, stream } => self.with(job, |handle| {
                handle.outbound(stream)?.stop();
                Ok(())
            }),
            Packet::Hello(_) | Packet::Welcome(_) | Packet::Close(_) | Packet::Ping(_) | Packet::Pong(_) => {
                Err(ConnectionError::Violation("a frame about no job"))
            }
        }
    }

    /// The server stops: tells the client, and takes no more jobs.
    pub(super) async fn stop_accepting(&self) {
        self.tasks.close();
        let packet = Packet::Message { job: JobNumber::CONNECTION, message: ServerMessage::GoingAway };
        // Without a connection there is nobody to tell.
        self.sender.send_control(packet).await.ok();
    }

    /// Waits until no job runs, once [`Jobs::stop_accepting`] was called.
    pub(super) async fn all_over(&self) {
        self.tasks.wait().await;
    }

    /// The client is gone: ends its jobs and waits for that.
    pub(super) async fn abandon(self) {
        for handle in lock(&self.table).values() {
            handle.stdin.abandon();
        }
        self.gone.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    async fn start(&mut self, number: JobNumber, id: JobId, mut spec: Spec) -> Result<(), ConnectionError> {
        if number.0 <= self.last_number {
            return Err(ConnectionError::Violation("a job number that was used before"));
        }
        self.last_number = number.0;
        match self.admit(&id, &mut spec) {
            Ok((registration, announced)) => self.spawn(number, id, spec, registration, announced),
            Err(reason) => {
                self.service.record(&Event::JobRefused {
                    connection: self.connection,
                    job: &id,
                    owner: self.principal.owner(),
                    reason: &reason,
                });
                self.refuse(number, reason).await;
            }
        }
        Ok(())
    }

    fn admit(&self, id: &JobId, spec: &mut Spec) -> Result<(Registration, Announced), String> {
        authorize(&self.principal, Action::Start(spec)).map_err(|denial| denial.to_string())?;
        if self.service.stopping.is_cancelled() {
            return Err(STOPPING.to_owned());
        }
        if lock(&self.table).len() >= limits::JOBS_PER_CONNECTION {
            return Err(format!("this connection already runs {} jobs", limits::JOBS_PER_CONNECTION));
        }
        let registration = self
            .service
            .registry
            .register(self.principal.owner(), id)
            .map_err(|refusal| refusal.to_string())?;
        let start = JobStart {
            connection: self.connection,
            job: id,
            owner: self.principal.owner(),
            spec,
            original: self.principal.options().command().and_then(|_| original_command(spec)),
        };
        let announced = self.service.live().audit.announce(&Event::JobStart(start));
        Ok((registration, announced))
    }

    fn spawn(
        &self,
        number: JobNumber,
        id: JobId,
        spec: Spec,
        registration: Registration,
        announced: Announced,
    ) {
        let stdin = Inbound::new(self.budget.clone());
        let (gone, stopping) = (self.gone.clone(), self.service.stopping.clone());
        let (handle, context) = JobContext::new(number, id, stdin, gone, stopping);
        lock(&self.table).insert(number, handle);
        let (service, sender, table) =
            (Arc::clone(&self.service), self.sender.clone(), Arc::clone(&self.table));
        let (connection, owner) = (self.connection, self.principal.owner());
        let task = async move {
            let id = context.id.clone();
            let permission = permission(announced, &context);
            let ended =
                job::run(context, spec, permission, &service.door.account, &service.containment, &sender)
                    .await;
            if let Outcome::NotStarted(StartFailure::Refused(reason)) = &ended.outcome {
                service.record(&Event::JobRefused { connection, job: &id, owner, reason });
            } else {
                service.record(&Event::JobEnd(JobEnd { connection, owner, job: &id, ended: &ended }));
            }
            lock(&table).remove(&number);
            drop(registration);
        };
        self.tasks.spawn(task.in_current_span());
    }

    /// Answers a START that is in order but not granted.
    async fn refuse(&self, number: JobNumber, reason: String) {
        let ended = Ended::without_output(Outcome::NotStarted(StartFailure::Refused(reason)));
        let packet = Packet::Message { job: number, message: ServerMessage::Ended(ended) };
        // Without a connection there is nobody to tell.
        self.sender.send_control(packet).await.ok();
    }

    fn command(&self, number: JobNumber, command: JobCommand) -> Result<(), ConnectionError> {
        self.with(number, |handle| {
            handle.commands.push(command);
            Ok(())
        })
    }

    /// Does `action` with a job that runs, nothing with one that is over.
    fn with(
        &self,
        number: JobNumber,
        action: impl FnOnce(&JobHandle) -> Result<(), ConnectionError>,
    ) -> Result<(), ConnectionError> {
        if number.0 > self.last_number {
            return Err(ConnectionError::Violation("a frame for a job that was never started"));
        }
        let handle = lock(&self.table).get(&number).cloned();
        handle.map_or(Ok(()), |handle| action(&handle))
    }
}

/// Whether a job may start that was announced: not if that cannot be recorded, or if its client or the server ends
/// meanwhile.
fn permission(
    announced: Announced,
    context: &JobContext,
) -> impl Future<Output = Result<(), String>> + use<> {
    let (gone, stopping) = (context.gone.clone(), context.stopping.clone());
    async move {
        tokio::select! {
            recorded = announced.permission() => recorded.map_err(|refusal| refusal.to_string()),
            () = stopping.cancelled() => Err(STOPPING.to_owned()),
            () = gone.cancelled() => Err("its client is gone".to_owned()),
        }
    }
}

/// A client of ours does not ask for what its key may not do, other than to start a job.
pub(super) fn permit(principal: &Principal, action: Action<'_>) -> Result<(), ConnectionError> {
    authorize(principal, action).map_err(|_| ConnectionError::Violation("an action that this key may not do"))
}

impl JobHandle {
    fn outbound(&self, stream: StreamId) -> Result<&Outbound, ConnectionError> {
        match stream {
            StreamId::Stdout => Ok(&self.stdout),
            StreamId::Stderr => Ok(&self.stderr),
            StreamId::Stdin => Err(ConnectionError::Violation("stdin has no window of the client's")),
        }
    }
}

fn lock(table: &Table) -> MutexGuard<'_, HashMap<JobNumber, JobHandle>> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
}
