//! The jobs that one client has hold of: brings packets to them, and answers for those that it cannot have.

mod attach;
mod hold;
mod inquiry;
mod start;
mod supervised;

use std::sync::Arc;
use std::time::Instant;

use common::connection::{ConnectionError, PacketSender};
use common::frame::JobNumber;
use common::greeting::Features;
use common::job::{ByteString, Extras, RepeatedExtra};
use common::message::{ClientMessage, Order, ServerMessage};
use common::packet::Packet;
use common::stream::Budget;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::hold::{Hold, Table, lock};
use super::record::Actor;
use crate::admission::ConnectionId;
use crate::audit::Deed;
use crate::authorize::{Action, Principal, Remote, authorize};
use crate::clock;
use crate::job::{Departure, Link};
use crate::scope::Scope;
use crate::service::Service;

/// Ends of jobs that the client may not have heard of yet. Beyond that it is asked whether it is there.
const UNCONFIRMED: usize = 64;

/// The most of them: a client that starts so many and answers nothing is not one of ours.
const UNCONFIRMED_MAX: usize = 4096;

/// Questions about jobs that a connection may have open: each may hold a long list until the client has read it.
const QUESTIONS: usize = 16;

/// The jobs of one connection.
#[derive(Debug)]
pub(super) struct Jobs {
    service: Arc<Service>,
    principal: Principal,
    /// Where the client is.
    client: Remote,
    /// What it knows beyond the version.
    features: Features,
    connection: ConnectionId,
    sender: PacketSender<ServerMessage>,
    table: Table,
    /// What has to be over before a server that stops has done with this client.
    tasks: TaskTracker,
    /// Those of jobs that go on without this server.
    relays: TaskTracker,
    questions: Arc<Semaphore>,
    last_number: u32,
    budget: Budget,
    /// When the connection was made, or a little later; what the client has said on it was said after that.
    since: Instant,
    gone: CancellationToken,
}

impl Jobs {
    pub(super) fn new(
        service: Arc<Service>,
        principal: Principal,
        (client, features): (Remote, Features),
        connection: ConnectionId,
        sender: PacketSender<ServerMessage>,
    ) -> Self {
        let budget = service.connection_budget();
        Self {
            service,
            principal,
            client,
            features,
            connection,
            sender,
            table: Table::default(),
            tasks: TaskTracker::new(),
            relays: TaskTracker::new(),
            questions: Arc::new(Semaphore::new(QUESTIONS)),
            last_number: 0,
            budget,
            since: clock::now(),
            gone: CancellationToken::new(),
        }
    }

    /// Takes a packet about a job. Never waits for one: only until there is room for the answer, so that a client that does not
    /// read its answers cannot make us remember them.
    ///
    /// # Errors
    /// [`ConnectionError`] if it breaks a rule.
    pub(super) async fn handle(&mut self, packet: Packet<ClientMessage>) -> Result<(), ConnectionError> {
        match packet {
            Packet::Message { job: JobNumber::CONNECTION, .. } => {
                Err(ConnectionError::Violation("a request about no job"))
            }
            Packet::Message { job, message } => self.handle_message(job, message).await,
            Packet::Data { job, offset, bytes, .. } => {
                self.with(job, |hold| hold.receive_stdin(offset, bytes))
            }
            Packet::Eof { job, total, .. } => self.with(job, |hold| hold.finish_stdin(total)),
            Packet::Ack { job, stream, ack } => self.with(job, |hold| hold.acknowledge(stream, ack)),
            Packet::StopSending { job, stream } => self.with(job, |hold| hold.stop_sending(stream)),
            Packet::Hello(_) | Packet::Welcome(_) | Packet::Close(_) | Packet::Ping(_) | Packet::Pong(_) => {
                Err(ConnectionError::Violation("a frame about no job"))
            }
        }
    }

    async fn handle_message(
        &mut self,
        number: JobNumber,
        message: ClientMessage,
    ) -> Result<(), ConnectionError> {
        match message {
            ClientMessage::Start(start) => {
                self.take_number(number)?;
                self.start(number, start, Extras::default()).await;
            }
            ClientMessage::StartWith { start, extras } => {
                let extras = Extras::try_from(extras)
                    .map_err(|RepeatedExtra| ConnectionError::Violation("two extras of one kind"))?;
                extras
                    .check()
                    .map_err(|_| ConnectionError::Violation("extras that are not as they have to be"))?;
                self.take_number(number)?;
                self.start(number, *start, extras).await;
            }
            ClientMessage::Attach(attach) => {
                self.take_number(number)?;
                permit(&self.principal, Action::Attach)?;
                self.join(number, attach).await;
            }
            ClientMessage::Order { sequence, order } => {
                permit(&self.principal, Action::Order(&order))?;
                let (mut applied, keeps) = (None, self.service.live().config.jobs.keep);
                let deed = deed(&order);
                self.with(number, |hold| {
                    let running = hold.running();
                    applied = hold.order(sequence, order, keeps)?;
                    if let (Some(job), Some(ServerMessage::Applied { .. })) = (running, &applied) {
                        self.actor().has_done(deed, job.owner, &job.id);
                    }
                    Ok(())
                })?;
                if let Some(applied) = applied {
                    self.answer(number, applied).await;
                }
            }
            ClientMessage::Leave => self.with(number, |hold| {
                hold.leave();
                Ok(())
            })?,
            ClientMessage::List { all } => {
                self.take_number(number)?;
                permit(&self.principal, Action::List)?;
                self.list(number, all).await;
            }
            ClientMessage::Forget { job } => {
                self.take_number(number)?;
                permit(&self.principal, Action::Forget)?;
                self.forget(number, job).await;
            }
        }
        Ok(())
    }

    fn take_number(&mut self, number: JobNumber) -> Result<(), ConnectionError> {
        if number.0 <= self.last_number {
            return Err(ConnectionError::Violation("a job number that was used before"));
        }
        self.last_number = number.0;
        Ok(())
    }

    /// The server stops: tells the client, and takes no more jobs.
    pub(super) async fn stop_accepting(&self) {
        self.tasks.close();
        // Without a connection there is nobody to tell.
        self.answer(JobNumber::CONNECTION, ServerMessage::GoingAway).await;
    }

    /// Whether the client has hold of a job that goes on without this server.
    pub(super) fn has_relayed(&self) -> bool {
        !self.relays.is_empty()
    }

    /// Waits until the client has hold of no job that ends with this server, once [`Jobs::stop_accepting`] was called.
    pub(super) async fn all_over(&self) {
        self.tasks.wait().await;
    }

    /// Whether the client should be asked for a sign of life, because that proves that it knows how its jobs ended.
    pub(super) fn wants_sign(&self) -> bool {
        lock(&self.table).ended.len() >= UNCONFIRMED
    }

    /// How many ends of jobs were sent on this connection.
    pub(super) fn ended(&self) -> u64 {
        let table = lock(&self.table);
        table.confirmed + table.ended.len() as u64
    }

    /// The client knows of the first `count` ends that were sent on this connection.
    pub(super) fn confirm(&self, count: u64) {
        let mut table = lock(&self.table);
        while table.confirmed < count
            && let Some((job, attachment)) = table.ended.pop_front()
        {
            table.confirmed += 1;
            job.settle(&attachment);
        }
    }

    /// The client has parted. Its jobs go on as they are to in that case; whoever sends it something is done when this returns.
    pub(super) async fn part(self, departure: Departure) {
        {
            let table = lock(&self.table);
            table.held.values().for_each(|hold| hold.depart(departure));
            for (job, attachment) in &table.ended {
                job.depart(attachment, departure);
            }
        }
        self.gone.cancel();
        self.tasks.close();
        self.relays.close();
        tokio::join!(self.tasks.wait(), self.relays.wait());
    }

    /// Whose jobs the client may reach.
    fn scope(&self) -> Scope {
        self.service.live().config.jobs.scope(self.principal.owner())
    }

    /// The client, for what it does to jobs of others.
    fn actor(&self) -> Actor {
        let (service, principal) = (Arc::clone(&self.service), self.principal.owner());
        Actor { service, connection: self.connection, principal }
    }

    fn link(&self, number: JobNumber) -> Link {
        let (sender, gone) = (self.sender.clone(), self.gone.clone());
        Link { number, sender, peer: self.client, features: self.features, gone }
    }

    async fn answer(&self, number: JobNumber, message: ServerMessage) {
        // Without a connection there is nobody to tell.
        self.sender.send_control(Packet::Message { job: number, message }).await.ok();
    }

    /// Does `action` with a job that the client has hold of, nothing with one that it has not any more.
    fn with(
        &self,
        number: JobNumber,
        action: impl FnOnce(&Hold) -> Result<(), ConnectionError>,
    ) -> Result<(), ConnectionError> {
        if number.0 > self.last_number {
            return Err(ConnectionError::Violation("a frame for a job that was never started"));
        }
        let hold = lock(&self.table).held.get(&number).cloned();
        hold.map_or(Ok(()), |hold| action(&hold))
    }
}

/// What is said in the trail of an order to a job of somebody else's: nothing of what it was told.
fn deed(order: &Order) -> Deed {
    Deed::Order(match order {
        Order::Control(_) => Order::Control(ByteString::default()),
        order => order.clone(),
    })
}

/// A client of ours does not ask for what its key may not do, other than to start a job.
pub(super) fn permit(principal: &Principal, action: Action<'_>) -> Result<(), ConnectionError> {
    authorize(principal, action).map_err(|_| ConnectionError::Violation("an action that this key may not do"))
}
