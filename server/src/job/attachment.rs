//! One client's hold on one job, over one connection: sends it what the job writes, and how it ends.

use std::fmt::Display;
use std::sync::atomic::{AtomicBool, Ordering};

use common::connection::{Closed, PacketSender};
use common::frame::{JobNumber, Outputs, StreamId};
use common::greeting::Features;
use common::job::{Ended, Outcome};
use common::limits;
use common::message::{AttachmentId, Role, ServerMessage};
use common::packet::{Ack, Packet};
use common::stream::Outbound;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::outlet::Read;
use super::presence::Epoch;
use super::state::{Job, Progress};
use crate::authorize::Remote;
use crate::crash_point::{CrashPoint, reach};

/// What an attachment needs of its connection.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    /// The job's number there.
    pub(crate) number: JobNumber,
    /// The queue to the client.
    pub(crate) sender: PacketSender<ServerMessage>,
    /// Who is at the other end.
    pub(crate) peer: Remote,
    /// What it knows beyond the version.
    pub(crate) features: Features,
    /// The connection is over.
    pub(crate) gone: CancellationToken,
}

/// Where a client receives a stream.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) stream: StreamId,
    /// From this offset on.
    pub(super) at: u64,
    /// How much it takes from there, to begin with.
    pub(super) window: u64,
    /// How much there is until now.
    pub(super) end: u64,
}

/// How it ended that a client was sent what there is of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Served {
    /// It was sent everything.
    Whole,
    /// It has left, or another one has taken its place: what becomes of the job is decided.
    Left,
    /// There is no connection any more. Why, and so what becomes of the job, knows whoever reads from it.
    Cut,
}

/// A client's hold on a job.
#[derive(Debug)]
pub(crate) struct Attachment {
    link: Link,
    id: AttachmentId,
    role: Role,
    /// That of the job's client; `None` for others.
    epoch: Option<Epoch>,
    streams: Outputs<Option<Outbound>>,
    /// Where a snapshot ends.
    until: Outputs<Option<u64>>,
    /// Whether it is to hear when the output was written.
    times: bool,
    superseded: AtomicBool,
    parted: AtomicBool,
}

impl Attachment {
    /// A hold that wants these streams.
    pub(super) fn new(
        link: Link,
        id: AttachmentId,
        role: Role,
        epoch: Option<Epoch>,
        streams: &[Place],
        times: bool,
    ) -> Self {
        let place = |stream| streams.iter().find(|place| place.stream == stream);
        let outbound = |stream| place(stream).map(|place| Outbound::starting_at(place.at, place.window));
        let until = |stream| place(stream).filter(|_| role == Role::Snapshot).map(|place| place.end);
        // Its own, so that it ends alone when another client takes its place.
        let link = Link { gone: link.gone.child_token(), ..link };
        Self {
            link,
            id,
            role,
            epoch,
            streams: Outputs::new(outbound),
            until: Outputs::new(until),
            times,
            superseded: AtomicBool::new(false),
            parted: AtomicBool::new(false),
        }
    }

    pub(super) fn id(&self) -> AttachmentId {
        self.id
    }

    pub(super) fn role(&self) -> Role {
        self.role
    }

    pub(super) fn epoch(&self) -> Option<Epoch> {
        self.epoch
    }

    pub(super) fn peer(&self) -> impl Display {
        self.link.peer
    }

    pub(super) fn outbound(&self, stream: StreamId) -> Option<&Outbound> {
        self.streams.get(stream)?.as_ref()
    }

    /// Goes on in the place of another server of the job, which has sent all that comes before, and the end if it `has_ended`.
    pub(crate) fn go_on(&self, stream: StreamId, acked: Ack, has_ended: bool, is_stopped: bool) {
        let Some(outbound) = self.outbound(stream) else { return };
        outbound.succeed(acked);
        if has_ended {
            outbound.finish();
        }
        if is_stopped {
            outbound.stop();
        }
    }

    /// Whether it is that of the job's client.
    pub(crate) fn is_clients(&self) -> bool {
        self.epoch.is_some()
    }

    /// The client wants nothing more of the job.
    pub(crate) fn leave(&self) {
        self.link.gone.cancel();
    }

    /// Whether it had not parted with the job until now.
    pub(super) fn parts(&self) -> bool {
        !self.parted.swap(true, Ordering::AcqRel)
    }

    /// Another client takes its place; the same one on another connection need not be told.
    pub(super) fn supersede(&self, by: AttachmentId) {
        self.superseded.store(by != self.id, Ordering::Release);
        self.link.gone.cancel();
    }

    pub(super) async fn tell(&self, packet: impl FnOnce(JobNumber) -> Packet<ServerMessage>) {
        // Without a connection there is nobody to tell.
        self.link.sender.send_control(packet(self.link.number)).await.ok();
    }

    /// Sends the client what there is to be sent, until the job is over or the client is gone.
    pub(crate) async fn serve(&self, job: &Job, started: bool) -> Served {
        tokio::select! {
            biased;
            () = self.link.gone.cancelled() => {
                if self.superseded.load(Ordering::Acquire) {
                    self.say(ServerMessage::Superseded).await.ok();
                }
                Served::Left
            }
            sent = self.send_all(job, started) => match sent {
                Ok(()) => Served::Whole,
                Err(Closed) => Served::Cut,
            },
        }
    }

    /// `started` says whether the client knows that the job runs.
    async fn send_all(&self, job: &Job, started: bool) -> Result<(), Closed> {
        let mut progress = job.progress();
        // Of a job that is over, its output may be known and its process not.
        let (process_id, has_output) =
            match settled(&mut progress, |progress| !matches!(progress, Progress::Starting)).await {
                Progress::Running { process_id } => (Some(process_id), true),
                Progress::Over { process_id, ended, .. } => {
                    (process_id, process_id.is_some() || ended.totals.iter().any(|total| total.bytes > 0))
                }
                Progress::Starting => (None, false),
            };
        if let Some(process_id) = process_id {
            if !started {
                let grace_ms = job.grace_ms();
                // Before its output, and so it is not overtaken by what may overtake that.
                let started = ServerMessage::Started { process_id, grace_ms };
                self.link.sender.send_control(self.message(started)).await?;
            }
            reach(CrashPoint::StartSaid);
            self.say_terminal(job).await?;
        }
        if has_output {
            let [stdout, stderr, control] =
                [StreamId::Stdout, StreamId::Stderr, StreamId::Control].map(|stream| self.feed(job, stream));
            tokio::try_join!(stdout, stderr, control)?;
        }
        if self.role == Role::Snapshot {
            return self.say(ServerMessage::Done).await;
        }
        let mut ended =
            match settled(&mut progress, |progress| matches!(progress, Progress::Over { .. })).await {
                Progress::Over { ended, .. } => Ended::clone(&ended),
                // The job's task is gone, and has not said how it ended.
                _ => Ended::without_output(Outcome::Lost("the server failed".to_owned())),
            };
        if !self.link.features.contain(Features::CONTROL) {
            ended.totals.retain(|total| total.stream != StreamId::Control);
        }
        self.say(ServerMessage::Ended(ended)).await?;
        reach(CrashPoint::EndSaid);
        Ok(())
    }

    /// Says that the job runs on a terminal, if it does and the client can read that: before its output, as STARTED.
    async fn say_terminal(&self, job: &Job) -> Result<(), Closed> {
        match job.terminal_size().filter(|_| self.link.features.contain(Features::TERMINALS)) {
            Some(size) => {
                let message = self.message(ServerMessage::OnTerminal { size });
                self.link.sender.send_control(message).await
            }
            None => Ok(()),
        }
    }

    async fn feed(&self, job: &Job, stream: StreamId) -> Result<(), Closed> {
        let (Some(outbound), Some(outlet)) = (self.outbound(stream), job.outlet(stream)) else {
            return Ok(());
        };
        let until = self.until.get(stream).copied().flatten();
        if outbound.is_ended() {
            return Ok(());
        }
        let (number, mut told) = (self.link.number, None);
        loop {
            let wanted = until.map_or(u64::MAX, |until| until.saturating_sub(outbound.sent()));
            if wanted == 0 {
                break;
            }
            let Ok(credit) = outbound.credit().await else { break };
            let most = usize::try_from(credit.min(wanted)).unwrap_or(usize::MAX).min(limits::DATA_PAYLOAD);
            let read = tokio::select! {
                biased;
                _stopped = outbound.stopped() => break,
                read = outlet.read(outbound.sent(), most) => read,
            };
            match read {
                Read::End => break,
                Read::Skip(to) => {
                    self.say(ServerMessage::Skipped { stream, to }).await?;
                    outbound.skip(to);
                }
                Read::Bytes(bytes) => {
                    if self.times {
                        let from = outbound.sent();
                        for (from, time) in outlet.times(from, from + bytes.len() as u64).await {
                            if told.replace(time) != Some(time) {
                                let unix_ms = time.0;
                                self.say(ServerMessage::Written { stream, from, unix_ms }).await?;
                            }
                        }
                    }
                    let room = self.link.sender.reserve().await?;
                    // Stopped since the credit was read.
                    let Some(offset) = outbound.send(bytes.len()) else { break };
                    room.send(Packet::Data { job: number, stream, offset, bytes });
                    reach(CrashPoint::OutputSaid);
                    job.note_sent(self, outlet, outbound.sent());
                }
            }
        }
        match outbound.finish() {
            Some(total) => self.link.sender.send(Packet::Eof { job: number, stream, total }).await,
            None => Ok(()),
        }
    }

    fn message(&self, message: ServerMessage) -> Packet<ServerMessage> {
        Packet::Message { job: self.link.number, message }
    }

    /// Says something behind what was sent.
    async fn say(&self, message: ServerMessage) -> Result<(), Closed> {
        self.link.sender.send(self.message(message)).await
    }
}

/// How far the job has come, once that `is` as far as it is waited for, or the job's task is gone.
async fn settled(progress: &mut watch::Receiver<Progress>, is: impl FnMut(&Progress) -> bool) -> Progress {
    progress.wait_for(is).await.map_or(Progress::Starting, |progress| progress.clone())
}
