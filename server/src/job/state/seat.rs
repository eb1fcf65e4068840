//! Who is attached to a job: its client, who has the seat, and those who read along. What they send is not taken here.

use std::sync::Arc;

use common::frame::StreamId;
use common::limits;
use common::message::{
    Attach, Attached, AttachmentId, Begins, Position, Refusal, Role, ServerMessage, Wanted,
};

use super::Job;
use crate::clock;
use crate::job::attachment::{Attachment, Link, Place};
use crate::job::presence::{Departure, Presence, Succession};

/// Who is attached to a job.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) presence: Presence,
    pub(super) writer: Option<Arc<Attachment>>,
    pub(super) succession: Succession,
    pub(super) readers: u32,
    /// Its client has heard of its end.
    pub(super) settled: bool,
}

/// Why somebody cannot have hold of a job.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NoHold {
    /// It is refused.
    Refused(Refusal),
    /// Another one has taken its place since it had it.
    Superseded,
}

impl NoHold {
    /// What is said to it.
    pub(crate) fn message(self) -> ServerMessage {
        match self {
            Self::Refused(refusal) => ServerMessage::Refused(refusal),
            Self::Superseded => ServerMessage::Superseded,
        }
    }
}

impl Seat {
    pub(super) fn new(presence: Presence, settled: bool) -> Self {
        Self { presence, writer: None, succession: Succession::default(), readers: 0, settled }
    }
}

impl Job {
    /// Makes the client that has asked for the job its client.
    pub(crate) fn take_first_seat(&self, link: Link, attachment: AttachmentId) -> Arc<Attachment> {
        let window = limits::INITIAL_WINDOW;
        let streams = self.outlets().map(|(stream, _)| Place { stream, at: 0, window, end: 0 });
        let streams: Vec<_> = streams.collect();
        let mut seat = self.lock();
        let epoch = seat.presence.attach();
        let attachment =
            Arc::new(Attachment::new(link, attachment, Role::Writer, Some(epoch), &streams, false));
        self.orders.client(attachment.id());
        seat.succession.pass_to(attachment.id());
        self.outlets().for_each(|(_, outlet)| outlet.sent(0));
        seat.writer = Some(Arc::clone(&attachment));
        attachment
    }

    /// Attaches a client. What is to be said to it is given to `say` while nothing else can be said about the job.
    ///
    /// # Errors
    /// [`NoHold`]; nothing is changed then.
    pub(crate) fn attach(
        &self,
        link: Link,
        request: &Attach,
        say: impl FnOnce(Attached),
    ) -> Result<Arc<Attachment>, NoHold> {
        let streams = self.locate(&request.streams).map_err(NoHold::Refused)?;
        let mut seat = self.lock();
        if request.role == Role::Writer && seat.succession.has_displaced(request.attachment) {
            return Err(NoHold::Superseded);
        }
        let epoch = (request.role == Role::Writer).then(|| seat.presence.attach());
        let attachment =
            Arc::new(Attachment::new(link, request.attachment, request.role, epoch, &streams, request.times));
        if epoch.is_some() {
            self.orders.client(request.attachment);
            seat.succession.pass_to(request.attachment);
            if let Some(before) = seat.writer.replace(Arc::clone(&attachment)) {
                before.supersede(request.attachment);
            }
            self.go_on_for(&attachment);
            self.keep_for(&seat);
        } else if request.role == Role::Reader {
            seat.readers += 1;
        }
        say(Attached {
            id: self.id.clone(),
            process_id: self.process_id(),
            grace_ms: seat.presence.grace().map(|grace| u64::try_from(grace.as_millis()).unwrap_or(u64::MAX)),
            streams: streams.iter().map(|place| Begins { stream: place.stream, at: place.at }).collect(),
            stdin: (request.role == Role::Writer).then(|| self.stdin_progress()).flatten(),
            applied: self.orders.applied(request.attachment),
        });
        drop(seat);
        self.seat_changed.notify_waiters();
        Ok(attachment)
    }

    fn locate(&self, wanted: &[Wanted]) -> Result<Vec<Place>, Refusal> {
        let locate = |wanted: &Wanted| {
            let stream = wanted.stream;
            let outlet = self.outlet(stream).ok_or_else(|| Refusal::Denied(not_sent(stream).to_owned()))?;
            let (oldest, end) = outlet.kept();
            let at = match wanted.from {
                Position::Oldest => oldest,
                Position::Newest => end,
                Position::At(offset) if offset < oldest => return Err(Refusal::Trimmed { stream, oldest }),
                Position::At(offset) if offset > end => return Err(Refusal::Beyond { stream, end }),
                Position::At(offset) => offset,
            };
            Ok(Place { stream, at, window: wanted.window, end })
        };
        wanted.iter().map(locate).collect()
    }

    /// The output waits for this client from now on; what it does not want, nobody wants.
    fn go_on_for(&self, attachment: &Attachment) {
        for (stream, outlet) in self.outlets() {
            match attachment.outbound(stream) {
                Some(outbound) => {
                    outlet.release(outbound.received());
                    outlet.sent(outbound.sent());
                }
                None => outlet.close(),
            }
        }
    }

    /// A client has parted with the job.
    pub(crate) fn depart(&self, from: &Attachment, departure: Departure) {
        let mut seat = self.lock();
        match from.epoch() {
            Some(epoch) if seat.presence.is_present(epoch) => {
                seat.presence.depart(epoch, departure, clock::now());
                seat.writer = None;
                self.outlets().for_each(|(_, outlet)| outlet.unattended());
                self.keep_for(&seat);
            }
            Some(_) => {}
            None if from.role() == Role::Reader && from.parts() => {
                seat.readers = seat.readers.saturating_sub(1);
            }
            None => {}
        }
        drop(seat);
        self.seat_changed.notify_waiters();
    }

    /// While nobody is expected, what is oldest makes room in a log. Whoever is, gets everything.
    fn keep_for(&self, seat: &Seat) {
        let nobody = !seat.presence.is_awaited();
        self.outlets().for_each(|(_, outlet)| outlet.make_room_by_itself(nobody));
    }

    /// A client knows how it ended; if it is the job's, nobody else needs to.
    pub(crate) fn settle(&self, by: &Attachment) {
        let mut seat = self.lock();
        seat.settled |= by.epoch().is_some_and(|epoch| seat.presence.is_present(epoch));
        drop(seat);
        self.seat_changed.notify_waiters();
    }

    /// Waits until the job is to end because it has no client.
    pub(crate) async fn abandoned(&self) {
        self.when(|seat| seat.presence.is_abandoned()).await;
    }

    /// Waits, once the job is over, until nobody will ask for what it has left.
    pub(crate) async fn done_with(&self) {
        self.when(|seat| seat.settled || seat.presence.is_abandoned() || !seat.presence.is_awaited()).await;
        self.outlets().for_each(|(_, outlet)| outlet.forget());
    }

    /// Waits for something that is true of who is attached, or becomes true with time.
    async fn when(&self, is_true: impl Fn(&Seat) -> bool) {
        loop {
            let changed = self.seat_changed.notified();
            let deadline = {
                let mut seat = self.lock();
                seat.presence.elapsed(clock::now());
                self.keep_for(&seat);
                if is_true(&seat) {
                    return;
                }
                seat.presence.deadline()
            };
            match deadline {
                Some(deadline) => {
                    // Either way it is looked at again.
                    tokio::time::timeout_at(deadline.into(), changed).await.ok();
                }
                None => changed.await,
            }
        }
    }
}

/// Why a stream is not to be had of a job.
fn not_sent(stream: StreamId) -> &'static str {
    match stream {
        StreamId::Control => "it has no control descriptors",
        StreamId::Stdin | StreamId::Stdout | StreamId::Stderr => "stdin is not sent to clients",
    }
}
