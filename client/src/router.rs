//! Brings what arrives on a connection to the jobs and callers that wait for it.
//!
//! The reading task never waits for a job: a job that does not take its output delays no other.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use common::connection::{ConnectionError, PacketReader, PacketSender, PacketWriter};
use common::endpoint::Endpoint;
use common::frame::{JobNumber, Kind, StreamId};
use common::greeting::{Close, CloseCode, VERSION};
use common::keys::PublicKey;
use common::limits;
use common::message::{ClientMessage, ServerMessage};
use common::packet::{Echo, Packet};
use common::stream::Budget;
use common::transport::{ReadHalf, WriteHalf};
use tokio::sync::{oneshot, watch};
use tokio::time;

use crate::error::{Denied, Error};
use crate::job::Shared;

/// How long a server may take to answer the greeting.
const GREETING_TIMEOUT: Duration = Duration::from_secs(10);

/// Most of a stranger's first bytes that an error repeats.
const SAID: usize = 32;

/// One connection's meeting point of tasks and callers.
#[derive(Debug)]
pub(crate) struct Router {
    endpoint: Endpoint,
    key: Option<PublicKey>,
    table: Mutex<Table>,
    greeting: watch::Sender<Greeting>,
    budget: Budget,
}

#[derive(Debug)]
struct Table {
    /// `None` once the connection is closed or failed, so that the writer can end.
    sender: Option<PacketSender<ClientMessage>>,
    jobs: HashMap<JobNumber, Arc<Shared>>,
    last_number: u32,
    pings: VecDeque<(u64, Instant, oneshot::Sender<Duration>)>,
    next_ping: u64,
    going_away: bool,
}

#[derive(Debug, Clone)]
enum Greeting {
    Awaited,
    Done,
    Failed(Error),
}

impl Router {
    /// `key` is the one that the server has been shown.
    pub(crate) fn new(
        sender: PacketSender<ClientMessage>,
        endpoint: Endpoint,
        key: Option<PublicKey>,
    ) -> Self {
        let table = Table {
            sender: Some(sender),
            jobs: HashMap::new(),
            last_number: 0,
            pings: VecDeque::new(),
            next_ping: 0,
            going_away: false,
        };
        Self {
            endpoint,
            key,
            table: Mutex::new(table),
            greeting: watch::Sender::new(Greeting::Awaited),
            budget: Budget::new(limits::CONNECTION_WINDOW),
        }
    }

    pub(crate) async fn ready(&self) -> Result<(), Error> {
        let mut greeting = self.greeting.subscribe();
        let state = greeting.wait_for(|state| !matches!(state, Greeting::Awaited)).await;
        match state.as_deref() {
            Ok(Greeting::Failed(error)) => Err(error.clone()),
            Ok(_) => Ok(()),
            Err(_) => Err(Error::Closed),
        }
    }

    /// The queue to the server.
    pub(crate) fn sender(&self) -> Result<PacketSender<ClientMessage>, Error> {
        self.lock().sender.clone().ok_or_else(|| self.failure())
    }

    /// Gives a new job its number and a place in the table, and starts it with `request`. Numbers go out in the order
    /// in which they are given, whoever else is starting a job meanwhile.
    pub(crate) async fn start(&self, request: ClientMessage) -> Result<Arc<Shared>, Error> {
        let sender = self.sender()?;
        // Among the control packets, or a signal could overtake it; DATA is queued later, and behind both.
        let room = sender.reserve_control().await.map_err(|_| self.failure())?;
        let mut table = self.lock();
        if table.sender.is_none() {
            drop(table);
            return Err(self.failure());
        }
        if table.jobs.len() >= limits::JOBS_PER_CONNECTION {
            return Err(Error::TooManyJobs);
        }
        table.last_number = table.last_number.checked_add(1).ok_or(Error::TooManyJobs)?;
        let number = JobNumber(table.last_number);
        let job = Arc::new(Shared::new(number, sender.clone(), self.budget.clone()));
        table.jobs.insert(number, Arc::clone(&job));
        room.send(Packet::Message { job: number, message: request });
        Ok(job)
    }

    /// Sends a ping and waits for its pong. Pings go out in the order in which their answers are waited for.
    pub(crate) async fn ping(&self) -> Result<Duration, Error> {
        let (answer, waiting) = oneshot::channel();
        let sender = self.sender()?;
        let room = sender.reserve_control().await.map_err(|_| self.failure())?;
        {
            let mut table = self.lock();
            table.next_ping += 1;
            let token = table.next_ping;
            table.pings.push_back((token, Instant::now(), answer));
            room.send(Packet::Ping(Echo { token, payload: Bytes::new() }));
        }
        waiting.await.map_err(|_| self.failure())
    }

    pub(crate) fn is_going_away(&self) -> bool {
        self.lock().going_away
    }

    /// Lets the writer end once its queue is empty.
    pub(crate) fn close(&self) {
        self.fail(Error::Closed);
    }

    /// What is wrong, once something is.
    fn failure(&self) -> Error {
        match &*self.greeting.borrow() {
            Greeting::Failed(error) => error.clone(),
            Greeting::Awaited | Greeting::Done => Error::Closed,
        }
    }

    /// Ends everything that waits on this connection, with the first reason given.
    fn fail(&self, error: Error) {
        let mut table = self.lock();
        let first = table.sender.take().is_some();
        let jobs = std::mem::take(&mut table.jobs);
        table.pings.clear();
        if first {
            self.greeting.send_replace(Greeting::Failed(error.clone()));
        }
        drop(table);
        for job in jobs.into_values() {
            job.lose(error.clone());
        }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn job(&self, number: JobNumber) -> Result<Option<Arc<Shared>>, ConnectionError> {
        let table = self.lock();
        match table.jobs.get(&number) {
            Some(job) => Ok(Some(Arc::clone(job))),
            None if number.0 <= table.last_number => Ok(None),
            None => Err(ConnectionError::Violation("a frame for a job that was never started")),
        }
    }

    async fn handle(&self, packet: Packet<ServerMessage>) -> Result<(), ConnectionError> {
        match packet {
            Packet::Message { job, message } => self.handle_message(job, message),
            Packet::Data { job, stream, offset, bytes } => {
                let Some(job) = self.job(job)? else { return Ok(()) };
                Ok(job.inbound(stream)?.receive(offset, bytes)?)
            }
            Packet::Eof { job, stream, total } => {
                let Some(job) = self.job(job)? else { return Ok(()) };
                Ok(job.inbound(stream)?.finish(total)?)
            }
            Packet::Ack { job, ack, .. } => {
                let Some(job) = self.job(job)? else { return Ok(()) };
                Ok(job.stdin.acknowledge(ack)?)
            }
            Packet::StopSending { job, .. } => {
                if let Some(job) = self.job(job)? {
                    job.stdin.stop();
                }
                Ok(())
            }
            Packet::Ping(echo) => {
                if let Ok(sender) = self.sender() {
                    // A closed writer shows where it failed, not here.
                    sender.send_control(Packet::Pong(echo)).await.ok();
                }
                Ok(())
            }
            Packet::Pong(echo) => self.handle_pong(&echo),
            Packet::Close(Close { code, text }) => Err(ConnectionError::ClosedByPeer { code, text }),
            Packet::Hello(_) | Packet::Welcome(_) => Err(ConnectionError::Violation("a second greeting")),
        }
    }

    fn handle_message(&self, number: JobNumber, message: ServerMessage) -> Result<(), ConnectionError> {
        let of_connection = number == JobNumber::CONNECTION;
        if of_connection != matches!(message, ServerMessage::GoingAway) {
            return Err(ConnectionError::Violation("a message about the wrong job"));
        }
        match message {
            ServerMessage::GoingAway => self.lock().going_away = true,
            ServerMessage::Started { process_id } => {
                if let Some(job) = self.job(number)? {
                    job.start(process_id);
                }
            }
            ServerMessage::Ended(ended) => {
                if let Some(job) = self.job(number)? {
                    self.lock().jobs.remove(&number);
                    job.end(ended);
                }
            }
        }
        Ok(())
    }

    fn handle_pong(&self, echo: &Echo) -> Result<(), ConnectionError> {
        let first = self.lock().pings.pop_front();
        match first {
            Some((token, sent, answer)) if token == echo.token => {
                // Whoever asked may have stopped waiting.
                answer.send(sent.elapsed()).ok();
                Ok(())
            }
            _ => Err(ConnectionError::Violation("a pong without its ping")),
        }
    }
}

impl Shared {
    fn inbound(&self, stream: StreamId) -> Result<&common::stream::Inbound, ConnectionError> {
        match stream {
            StreamId::Stdout => Ok(&self.stdout),
            StreamId::Stderr => Ok(&self.stderr),
            StreamId::Stdin => Err(ConnectionError::Violation("stdin from the server")),
        }
    }
}

/// The reading task: ends when the connection does.
pub(crate) async fn read(router: Arc<Router>, source: ReadHalf) {
    let mut reader = PacketReader::new(source);
    let error = match greet(&router, &mut reader).await {
        Err(error) => error,
        Ok(()) => match route(&router, &mut reader).await {
            Ok(()) => Error::ServerGone,
            Err(error) => error.into(),
        },
    };
    if let Error::Connection(failure) = &error
        && failure.is_violation()
        && let Ok(sender) = router.sender()
    {
        let close = Close::new(CloseCode::Violation, failure.to_string());
        // If the queue is full the peer will do without the reason.
        sender.try_send_control(Packet::Close(close)).ok();
    }
    router.fail(error);
}

/// The writing task: ends when everything is said or nothing more can be.
pub(crate) async fn write(
    router: Arc<Router>,
    queue: PacketWriter<ClientMessage>,
    sink: WriteHalf,
    stall: Duration,
) {
    if let Err(error) = queue.run(sink, stall).await {
        // A peer that closes often says why; the reader, which may be about to see it, gets a moment to do so.
        let mut greeting = router.greeting.subscribe();
        let said = greeting.wait_for(|state| matches!(state, Greeting::Failed(_)));
        time::timeout(Duration::from_millis(100), said).await.ok();
        router.fail(error.into());
    }
}

/// Waits for WELCOME, and tells a server that does not speak Telex from one that does.
async fn greet(router: &Router, reader: &mut PacketReader<ReadHalf, ServerMessage>) -> Result<(), Error> {
    let not_telex = |said: &[u8]| Error::NotTelex {
        endpoint: router.endpoint.clone(),
        said: said.get(..SAID.min(said.len())).unwrap_or_default().to_vec(),
    };
    let first = time::timeout(GREETING_TIMEOUT, reader.next_of(&[Kind::Welcome, Kind::Close])).await;
    match first {
        Err(_) => Err(ConnectionError::GreetingTimeout { within: GREETING_TIMEOUT }.into()),
        Ok(Ok(Some(Packet::Welcome(welcome)))) if welcome.version != VERSION => {
            Err(ConnectionError::Violation("the server chose a version that was not offered").into())
        }
        Ok(Ok(Some(Packet::Welcome(_)))) => {
            router.greeting.send_if_modified(|state| {
                let awaited = matches!(state, Greeting::Awaited);
                if awaited {
                    *state = Greeting::Done;
                }
                awaited
            });
            Ok(())
        }
        Ok(Ok(Some(Packet::Close(Close { code: CloseCode::Denied, text })))) => {
            let endpoint = router.endpoint.clone();
            Err(Error::Denied(Arc::new(Denied { endpoint, key: router.key, text })))
        }
        Ok(Ok(Some(Packet::Close(Close { code, text })))) => Err(Error::Refused { code, text }),
        Ok(Ok(Some(_))) => Err(ConnectionError::Violation("the first frame was no greeting").into()),
        Ok(Ok(None)) => Err(not_telex(&[])),
        Ok(Err(ConnectionError::Packet(_))) => Err(not_telex(reader.unread())),
        Ok(Err(_)) if !may_be_greeting(reader.unread()) => Err(not_telex(reader.unread())),
        Ok(Err(error)) => Err(error.into()),
    }
}

/// Whether a server of ours may have begun like this before the connection failed: then its word was cut off, and a
/// job may run there. A little-endian length of a few thousand at most, then the kind.
fn may_be_greeting(said: &[u8]) -> bool {
    let is = |at: usize, expected: &[u8]| said.get(at).is_none_or(|byte| expected.contains(byte));
    is(2, &[0]) && is(3, &[0]) && is(4, &[Kind::Welcome as u8, Kind::Close as u8])
}

async fn route(
    router: &Router,
    reader: &mut PacketReader<ReadHalf, ServerMessage>,
) -> Result<(), ConnectionError> {
    while let Some(packet) = reader.next().await? {
        router.handle(packet).await?;
    }
    Ok(())
}
