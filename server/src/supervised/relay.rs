//! Between a client and the supervisor of a job: passes on what each says about the job, by the number that the other knows.
//!
//! Holds no truth about the job. What it holds of the client's words is bounded: stdin by the limit that the supervisor has given,
//! acknowledgements by being replaced, orders by number.

mod said;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use common::connection::{Closed, ConnectionError, PacketReader, PacketSender, packet_queue};
use common::frame::{JobNumber, Kind, StreamId};
use common::greeting::{Features, Hello};
use common::limits;
use common::message::{Attach, Attached, ClientMessage, Order, Position, ServerMessage, Wanted};
use common::packet::{Ack, Packet};
use common::transport::{ReadHalf, Transport};
use tokio::net::UnixStream;
use tokio::sync::Notify;
use tokio::time;

use self::said::{Next, ORDERS, Said};
use crate::authorize::Remote;
use crate::crash_point::{CrashPoint, reach};
use crate::job::{Attachment, Departure, Link, RETURN};

/// The job's number between the server and a supervisor: it has only this one.
const NUMBER: JobNumber = JobNumber(1);

/// How long a supervisor may take to answer the greeting: it may be waiting for a busy disk.
const GREETING: Duration = Duration::from_secs(10);

/// One client's hold on a job that has a supervisor, as its connection sees it.
#[derive(Debug)]
pub(crate) struct Relay {
    said: Mutex<Said>,
    changed: Notify,
    /// Whether the client is gone.
    departed: AtomicBool,
}

/// How a relay has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RelayEnd {
    /// Everything that there was to be said was said.
    Said,
    /// The client is gone.
    ClientGone,
    /// The supervisor is.
    SupervisorGone,
}

/// What a client has brought about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Relayed {
    /// It has hold of the job.
    Attached,
    /// The supervisor is about to be told this.
    Order(Order),
}

impl Relay {
    /// A hold of which nothing is known yet.
    pub(crate) fn new() -> Arc<Self> {
        let said = Said { limit: limits::INITIAL_WINDOW, ..Said::default() };
        Arc::new(Self { said: Mutex::new(said), changed: Notify::new(), departed: AtomicBool::new(false) })
    }

    /// Takes bytes of stdin.
    ///
    /// # Errors
    /// [`ConnectionError`] if they are more than the client may send, or not the next ones.
    pub(crate) fn receive_stdin(&self, offset: u64, mut bytes: Bytes) -> Result<(), ConnectionError> {
        let mut said = self.lock();
        let end = said.stdin.end();
        if offset > end {
            return Err(ConnectionError::Violation("a gap in stdin"));
        }
        if offset.saturating_add(bytes.len() as u64) > said.limit {
            return Err(ConnectionError::Violation("more of stdin than may be sent"));
        }
        let repeated = usize::try_from(end - offset).unwrap_or(usize::MAX).min(bytes.len());
        said.stdin.push(bytes.split_off(repeated));
        drop(said);
        self.changed.notify_one();
        Ok(())
    }

    /// Takes the end of stdin.
    ///
    /// # Errors
    /// [`ConnectionError`] if it is not where the bytes end.
    pub(crate) fn finish_stdin(&self, total: u64) -> Result<(), ConnectionError> {
        let mut said = self.lock();
        if said.stdin.end() != total {
            return Err(ConnectionError::Violation("an end of stdin elsewhere than its bytes end"));
        }
        said.eof = Some(total);
        drop(said);
        self.changed.notify_one();
        Ok(())
    }

    /// Takes an acknowledgement.
    ///
    /// # Errors
    /// [`ConnectionError`] for stdin, which the client does not receive.
    pub(crate) fn acknowledge(&self, stream: StreamId, ack: Ack) -> Result<(), ConnectionError> {
        self.with_output(stream, |said, index| {
            if let Some(slot) = said.acks.get_mut(index) {
                *slot = Some(ack);
            }
            said.note(stream, |passed| {
                passed.limit = passed.limit.max(ack.limit);
                passed.acked = Some(ack);
            });
        })
    }

    /// Takes the client's word that it wants no more of a stream.
    ///
    /// # Errors
    /// As [`Relay::acknowledge`].
    pub(crate) fn stop_sending(&self, stream: StreamId) -> Result<(), ConnectionError> {
        self.with_output(stream, |said, index| {
            if let Some(stop) = said.stop.get_mut(index) {
                *stop = true;
            }
            said.note(stream, |passed| passed.stopped = true);
        })
    }

    /// Takes an order.
    ///
    /// # Errors
    /// [`ConnectionError`] if too many wait.
    pub(crate) fn order(&self, sequence: u64, order: Order) -> Result<(), ConnectionError> {
        if matches!(order, Order::Control(_)) {
            return Err(ConnectionError::Violation("an order of control to a job that has a supervisor"));
        }
        let mut said = self.lock();
        if said.orders.len() >= ORDERS {
            return Err(ConnectionError::Violation("more orders than may wait"));
        }
        said.orders.push_back((sequence, order));
        drop(said);
        self.changed.notify_one();
        Ok(())
    }

    /// What is left to be had of the job for a client that had asked for `first`, and whether it knows that it has hold of it: for
    /// the case that the supervisor has ended in between.
    pub(crate) fn rest(&self, first: &Attach) -> (Attach, bool) {
        let said = self.lock();
        let left = |wanted: &Wanted| {
            let passed = said.passed(wanted.stream)?;
            if !said.attached {
                return Some(*wanted);
            }
            let limit = passed.limit.max(passed.from.saturating_add(wanted.window));
            let window = limit.saturating_sub(passed.to);
            Some(Wanted { stream: wanted.stream, from: Position::At(passed.to), window })
        };
        let streams = first.streams.iter().filter_map(left).collect();
        (Attach { streams, ..first.clone() }, said.attached)
    }

    /// Has `attachment` go on with the [`Relay::rest`], from where the client has got to by now: what it says from here on is said
    /// to that.
    pub(crate) fn hand_on(&self, attachment: &Attachment) {
        let said = self.lock();
        for stream in [StreamId::Stdout, StreamId::Stderr] {
            let Some(passed) = said.passed(stream) else { continue };
            let nothing = Ack { received: passed.from, limit: passed.limit, consumed: 0 };
            attachment.go_on(stream, passed.acked.unwrap_or(nothing), passed.ended, passed.stopped);
        }
    }

    /// The client has parted with the job. One whose line is lost may be back, so the supervisor is not told that it has left.
    pub(crate) fn depart(&self, departure: Departure) {
        {
            let mut said = self.lock();
            said.leave |= departure == Departure::Gone;
            said.reset |= departure == Departure::Reset;
        }
        self.departed.store(true, Ordering::Release);
        self.changed.notify_one();
    }

    /// Says `request` to the supervisor at the other end of `stream`, and passes on from there. What comes of it is told to `note`.
    pub(crate) async fn run(
        &self,
        stream: UnixStream,
        request: ClientMessage,
        link: &Link,
        note: &(impl Fn(Relayed) + Sync),
    ) -> RelayEnd {
        let transport = Transport::Unix(stream);
        let stall = transport.write_stall();
        let (read, write) = transport.split();
        let (sender, queue) = packet_queue();
        let writing = queue.run(write, stall);
        let talking = async {
            let mut reader = PacketReader::<_, ServerMessage>::new(read);
            if !greet(&mut reader, &sender, request, Some(link)).await {
                return RelayEnd::SupervisorGone;
            }
            let end = tokio::select! {
                end = self.pass_down(&mut reader, &sender, link, note) => end,
                end = self.pass_up(&sender, note) => end,
                () = link.gone.cancelled() => RelayEnd::ClientGone,
            };
            if end == RelayEnd::ClientGone {
                self.farewell(&sender).await;
            }
            drop(sender);
            end
        };
        let (end, _written) = tokio::join!(talking, writing);
        end
    }

    /// From the supervisor to the client.
    async fn pass_down(
        &self,
        reader: &mut PacketReader<ReadHalf, ServerMessage>,
        sender: &PacketSender<ClientMessage>,
        link: &Link,
        note: &(impl Fn(Relayed) + Sync),
    ) -> RelayEnd {
        while let Ok(Some(packet)) = reader.next().await {
            let passed = match packet {
                Packet::Ping(echo) => sender.send_control(Packet::Pong(echo)).await,
                Packet::Message { message, .. } => {
                    let last = is_last(&message);
                    if matches!(message, ServerMessage::Attached(_)) {
                        note(Relayed::Attached);
                    }
                    let passed = self.pass_message(message, link).await;
                    if last && passed.is_ok() {
                        return RelayEnd::Said;
                    }
                    passed
                }
                Packet::Data { stream, offset, bytes, .. } => {
                    self.lock().note(stream, |passed| passed.to = offset + bytes.len() as u64);
                    let sent =
                        link.sender.send(Packet::Data { job: link.number, stream, offset, bytes }).await;
                    reach(CrashPoint::OutputRelayed);
                    sent
                }
                Packet::Eof { stream, total, .. } => {
                    self.lock().note(stream, |passed| passed.ended = true);
                    link.sender.send(Packet::Eof { job: link.number, stream, total }).await
                }
                Packet::Ack { stream, ack, .. } => {
                    self.lock().acknowledged(ack);
                    link.sender.send_control(Packet::Ack { job: link.number, stream, ack }).await
                }
                Packet::StopSending { stream, .. } => {
                    link.sender.send_control(Packet::StopSending { job: link.number, stream }).await
                }
                Packet::Close(_) => break,
                Packet::Hello(_) | Packet::Welcome(_) | Packet::Pong(_) => Ok(()),
            };
            if passed.is_err() {
                // That nothing can be sent to it is known before how it has parted, which its connection says at its end.
                link.gone.cancelled().await;
                return RelayEnd::ClientGone;
            }
        }
        RelayEnd::SupervisorGone
    }

    async fn pass_message(&self, message: ServerMessage, link: &Link) -> Result<(), Closed> {
        let first = matches!(
            message,
            ServerMessage::Started { .. }
                | ServerMessage::Attached(_)
                | ServerMessage::Applied { .. }
                | ServerMessage::Declined { .. }
                | ServerMessage::OnTerminal { .. }
        );
        match &message {
            ServerMessage::Attached(attached) => {
                let mut said = self.lock();
                said.attached = true;
                if let Some(stdin) = attached.stdin {
                    said.begin(stdin.received, stdin.limit);
                }
                for begins in &attached.streams {
                    said.note(begins.stream, |passed| (passed.from, passed.to) = (begins.at, begins.at));
                }
            }
            ServerMessage::Skipped { stream, to } => self.lock().note(*stream, |passed| passed.to = *to),
            _ => {}
        }
        let told = told(&message);
        let packet = Packet::Message { job: link.number, message };
        let sent =
            if first { link.sender.send_control(packet).await } else { link.sender.send(packet).await };
        told.into_iter().for_each(reach);
        sent
    }

    /// From the client to the supervisor.
    async fn pass_up(
        &self,
        sender: &PacketSender<ClientMessage>,
        note: &(impl Fn(Relayed) + Sync),
    ) -> RelayEnd {
        loop {
            let next = self.lock().next();
            let told = match next {
                Some(Next::Packet(packet)) => {
                    if let Packet::Message { message: ClientMessage::Order { order, .. }, .. } = &packet {
                        note(Relayed::Order(order.clone()));
                    }
                    sender.send_control(packet).await
                }
                Some(Next::Ordered(packet)) => sender.send(packet).await,
                Some(Next::Leave) => return RelayEnd::ClientGone,
                None if self.has_departed() => return RelayEnd::ClientGone,
                None => {
                    self.changed.notified().await;
                    Ok(())
                }
            };
            if told.is_err() {
                return RelayEnd::SupervisorGone;
            }
        }
    }

    /// Whether the client has parted with the job.
    pub(crate) fn has_departed(&self) -> bool {
        self.departed.load(Ordering::Acquire)
    }

    /// Tells the supervisor that the client has left, if it has, or is not back in time. If it is back, this is not heard.
    async fn farewell(&self, sender: &PacketSender<ClientMessage>) {
        let (left, reset) = {
            let said = self.lock();
            (said.leave, said.reset)
        };
        if reset && !left {
            time::sleep(RETURN).await;
        }
        if left || reset {
            let leave = Packet::Message { job: NUMBER, message: ClientMessage::Leave };
            // One that is gone need not be told.
            sender.send(leave).await.ok();
        }
    }

    fn with_output(
        &self,
        stream: StreamId,
        action: impl FnOnce(&mut Said, usize),
    ) -> Result<(), ConnectionError> {
        let index = match stream {
            StreamId::Stdout => 0,
            StreamId::Stderr => 1,
            StreamId::Stdin | StreamId::Control => {
                return Err(ConnectionError::Violation("a frame about a stream that is not received"));
            }
        };
        action(&mut self.lock(), index);
        self.changed.notify_one();
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Asks a supervisor something; its first answer.
pub(super) async fn ask(stream: UnixStream, question: ClientMessage) -> Option<Packet<ServerMessage>> {
    let transport = Transport::Unix(stream);
    let stall = transport.write_stall();
    let (read, write) = transport.split();
    let (sender, queue) = packet_queue();
    let asking = async {
        let mut reader = PacketReader::<_, ServerMessage>::new(read);
        let answer =
            if greet(&mut reader, &sender, question, None).await { reader.next().await.ok()? } else { None };
        drop(sender);
        answer
    };
    let (answer, _written) = tokio::join!(asking, queue.run(write, stall));
    answer
}

/// Exchanges greetings, in which a supervisor hears where its `client` is and what that knows, and says the first word; whether there is somebody.
async fn greet(
    reader: &mut PacketReader<ReadHalf, ServerMessage>,
    sender: &PacketSender<ClientMessage>,
    request: ClientMessage,
    client: Option<&Link>,
) -> bool {
    let features = client.map_or_else(Features::default, |client| client.features);
    let address = match client.map(|client| client.peer) {
        Some(Remote::Tcp(address)) => Some(address),
        Some(Remote::Unix { .. }) | None => None,
    };
    let hello = Packet::Hello(Hello { address, features, ..Hello::new("", super::SOFTWARE) });
    let request = Packet::Message { job: NUMBER, message: request };
    if sender.send_control(hello).await.is_err() || sender.send_control(request).await.is_err() {
        return false;
    }
    let welcome = time::timeout(GREETING, reader.next_of(&[Kind::Welcome])).await;
    matches!(welcome, Ok(Ok(Some(_))))
}

/// What a client has been told with this.
fn told(message: &ServerMessage) -> Option<CrashPoint> {
    match message {
        ServerMessage::Started { .. } | ServerMessage::Attached(Attached { process_id: Some(_), .. }) => {
            Some(CrashPoint::StartRelayed)
        }
        ServerMessage::Ended(_) => Some(CrashPoint::EndRelayed),
        _ => None,
    }
}

/// Whether nothing about the job follows.
fn is_last(message: &ServerMessage) -> bool {
    match message {
        ServerMessage::Ended(_)
        | ServerMessage::Refused(_)
        | ServerMessage::Superseded
        | ServerMessage::Done => true,
        ServerMessage::Started { .. }
        | ServerMessage::GoingAway
        | ServerMessage::Attached(_)
        | ServerMessage::Applied { .. }
        | ServerMessage::Declined { .. }
        | ServerMessage::Listed(_)
        | ServerMessage::Skipped { .. }
        | ServerMessage::Written { .. }
        | ServerMessage::OnTerminal { .. } => false,
    }
}

#[cfg(test)]
mod tests;
