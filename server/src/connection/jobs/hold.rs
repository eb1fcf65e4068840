//! What one client has hold of: jobs of this server's own, and jobs with supervisors. Brings to them what the client sends.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use common::connection::ConnectionError;
use common::frame::{JobNumber, StreamId};
use common::message::{Order, ServerMessage};
use common::packet::Ack;

use crate::job::{Attachment, Departure, Job, Served};
use crate::supervised::Relay;

/// A hold on a job.
#[derive(Debug, Clone)]
pub(super) enum Hold {
    /// Of this server's own.
    Own(Arc<Job>, Arc<Attachment>),
    /// One with a supervisor.
    Relayed(Arc<Relay>),
}

/// Holds by the job's number; their tasks take themselves out.
pub(super) type Table = Arc<Mutex<Holds>>;

#[derive(Debug, Default)]
pub(super) struct Holds {
    pub(super) held: HashMap<JobNumber, Hold>,
    /// What has ended, and was sent to the job's client, who may not have got it. The oldest first.
    pub(super) ended: VecDeque<(Arc<Job>, Arc<Attachment>)>,
    /// How many ends the client has confirmed.
    pub(super) confirmed: u64,
}

pub(super) fn lock(table: &Table) -> MutexGuard<'_, Holds> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Hold {
    pub(super) fn receive_stdin(&self, offset: u64, bytes: Bytes) -> Result<(), ConnectionError> {
        match self {
            Self::Own(job, from) => job.receive_stdin(from, offset, bytes),
            Self::Relayed(relay) => relay.receive_stdin(offset, bytes),
        }
    }

    pub(super) fn finish_stdin(&self, total: u64) -> Result<(), ConnectionError> {
        match self {
            Self::Own(job, from) => job.finish_stdin(from, total),
            Self::Relayed(relay) => relay.finish_stdin(total),
        }
    }

    pub(super) fn acknowledge(&self, stream: StreamId, ack: Ack) -> Result<(), ConnectionError> {
        match self {
            Self::Own(job, from) => job.acknowledge(from, stream, ack),
            Self::Relayed(relay) => relay.acknowledge(stream, ack),
        }
    }

    pub(super) fn stop_sending(&self, stream: StreamId) -> Result<(), ConnectionError> {
        match self {
            Self::Own(job, from) => job.stop_sending(from, stream),
            Self::Relayed(relay) => relay.stop_sending(stream),
        }
    }

    /// Gives an order; what is to be said about it here and now.
    pub(super) fn order(
        &self,
        sequence: u64,
        order: Order,
        keeps: bool,
    ) -> Result<Option<ServerMessage>, ConnectionError> {
        match self {
            Self::Own(job, from) => job.order(from, sequence, order, keeps).map(Some),
            Self::Relayed(relay) => relay.order(sequence, order).map(|()| None),
        }
    }

    /// The job, if it is this server's own and not over.
    pub(super) fn running(&self) -> Option<&Job> {
        match self {
            Self::Own(job, _) => job.ended().is_none().then_some(job),
            Self::Relayed(_) => None,
        }
    }

    pub(super) fn leave(&self) {
        self.depart(Departure::Gone);
        if let Self::Own(_, attachment) = self {
            attachment.leave();
        }
    }

    pub(super) fn depart(&self, departure: Departure) {
        match self {
            Self::Own(job, attachment) => job.depart(attachment, departure),
            Self::Relayed(relay) => relay.depart(departure),
        }
    }
}

impl Holds {
    /// The client has nothing to do with the job any more that `relay` was for.
    pub(super) fn let_go(&mut self, number: JobNumber, relay: &Arc<Relay>) {
        if matches!(self.held.get(&number), Some(Hold::Relayed(held)) if Arc::ptr_eq(held, relay)) {
            self.held.remove(&number);
        }
    }
}

/// Sends the client what there is to be sent of a job that it has hold of, which `number` stands for, and lets go of it then.
pub(super) async fn serve(
    table: &Table,
    number: JobNumber,
    job: Arc<Job>,
    attachment: Arc<Attachment>,
    started: bool,
) {
    let served = attachment.serve(&job, started).await;
    let mut table = lock(table);
    match served {
        // It parts with the connection, whose end says how.
        Served::Cut => return,
        Served::Left => {}
        Served::Whole if attachment.is_clients() => table.ended.push_back((job, attachment)),
        Served::Whole => job.depart(&attachment, Departure::Gone),
    }
    table.held.remove(&number);
}
