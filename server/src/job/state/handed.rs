//! A job as it stands, for the next program, and from the one before. What its task has of it is not here.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use common::stream::{Budget, Inbound};
use tokio::sync::{Notify, watch};

use super::{Job, Past, Progress, Seat, unix_ms};
use crate::job::handed::{HandedEnd, HandedJob, HandedPast, HandedStage};
use crate::job::orders::Orders;
use crate::job::outlet::{Buffer, Outlet, Spools};
use crate::job::presence::{Presence, Succession};
use crate::parcel::{Packing, Unpacking};

impl Job {
    /// How it stands; the rest of it is in `stage`. `rest` was taken from its stdin, and is to be written first.
    ///
    /// # Errors
    /// The system's, if memory is short. [`io::ErrorKind::Unsupported`] for a job that is not this server's own.
    pub(in crate::job) fn hand(
        &self,
        rest: bytes::Bytes,
        stage: HandedStage,
        packing: &mut Packing<'_>,
    ) -> io::Result<HandedJob> {
        let mut outlet = |outlet: &Outlet| match outlet {
            Outlet::Buffer(buffer) => buffer.hand(packing),
            Outlet::Log(_) => Err(io::ErrorKind::Unsupported.into()),
        };
        let outlets = [outlet(&self.stdout)?, outlet(&self.stderr)?];
        let (stdin, queued) = self.stdin.progress();
        let seat = self.lock();
        Ok(HandedJob {
            owner: self.owner.into(),
            id: self.id.clone(),
            digest: self.digest,
            command: self.command.clone(),
            requested: unix_ms(self.requested),
            since: self.since.into(),
            takes_stdin: self.takes_stdin,
            stdin,
            undelivered: packing.bytes([rest].into_iter().chain(queued))?,
            outlets,
            orders: self.orders.hand(),
            presence: seat.presence.hand(Instant::now()),
            displaced: seat.succession.hand(),
            settled: seat.settled,
            stage,
        })
    }

    /// How it has ended, if it has.
    pub(in crate::job) fn hand_end(&self) -> Option<HandedEnd> {
        let Progress::Over { process_id, ended, at } = self.progress.borrow().clone() else { return None };
        Some(HandedEnd { process_id, ended: (*ended).clone(), at: unix_ms(at) })
    }

    /// Goes on from there, with everything but what its task has of it, which stays in `handed`, and its control descriptors.
    /// `declined` are the orders that did not reach those.
    ///
    /// # Errors
    /// The system's, if something of it is not there.
    pub(in crate::job) fn take(
        handed: HandedJob,
        declined: &[(u64, u64)],
        budget: &Budget,
        spools: Option<&Spools>,
        unpacking: &mut Unpacking,
    ) -> io::Result<(Self, HandedStage)> {
        let [stdout, stderr] = handed.outlets;
        let spools = spools.map(Spools::of_job);
        let mut outlet =
            |handed| Buffer::take(handed, budget, spools.as_ref(), unpacking).map(Outlet::Buffer);
        let (stdout, stderr) = (outlet(stdout)?, outlet(stderr)?);
        let undelivered = unpacking.bytes(handed.undelivered)?;
        let stdin =
            Inbound::going_on(handed.stdin, undelivered, budget.clone()).ok_or(io::ErrorKind::InvalidData)?;
        let progress = match &handed.stage {
            HandedStage::Running(_) => Progress::Starting,
            HandedStage::Over(end) => Progress::Over {
                process_id: end.process_id,
                ended: Arc::new(end.ended.clone()),
                at: time(end.at),
            },
        };
        let presence = Presence::take(handed.presence);
        let succession = Succession::take(handed.orders.client, &handed.displaced);
        let job = Self {
            id: handed.id,
            owner: handed.owner.into(),
            digest: handed.digest,
            command: handed.command,
            requested: time(handed.requested),
            since: handed.since.into(),
            takes_stdin: handed.takes_stdin,
            terminal_size: Mutex::default(),
            stdin,
            stdout,
            stderr,
            control: None,
            orders: Orders::going_on(handed.orders, declined),
            progress: watch::Sender::new(progress),
            seat: Mutex::new(Seat {
                presence,
                writer: None,
                succession,
                readers: 0,
                settled: handed.settled,
            }),
            seat_changed: Notify::new(),
        };
        Ok((job, handed.stage))
    }
}

impl Past {
    /// What is remembered of the job with this name.
    pub(in crate::job) fn hand(
        &self,
        (owner, id): &(crate::authorize::Owner, common::job::JobId),
    ) -> HandedPast {
        HandedPast {
            owner: (*owner).into(),
            id: id.clone(),
            digest: self.digest,
            command: self.command.clone(),
            requested: unix_ms(self.requested),
            since: self.since.into(),
            end: HandedEnd {
                process_id: self.process_id,
                ended: (*self.ended).clone(),
                at: unix_ms(self.at),
            },
            forgotten: self.forgotten,
        }
    }

    /// Goes on remembering it.
    pub(in crate::job) fn take(handed: HandedPast) -> Self {
        let HandedPast { digest, command, requested, since, end, forgotten, .. } = handed;
        Self {
            digest,
            command,
            requested: time(requested),
            process_id: end.process_id,
            ended: Arc::new(end.ended),
            at: time(end.at),
            since: since.into(),
            forgotten,
        }
    }
}

/// From milliseconds since 1970.
fn time(unix_ms: u64) -> SystemTime {
    let since = Duration::from_millis(unix_ms);
    SystemTime::UNIX_EPOCH.checked_add(since).unwrap_or(SystemTime::UNIX_EPOCH)
}
