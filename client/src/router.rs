//! What this side has to do with one server, whatever connection there is: its jobs, and callers that wait for an answer. Nothing
//! is read from a connection here.

mod arrivals;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use common::connection::{Closed, PacketSender};
use common::endpoint::Endpoint;
use common::frame::JobNumber;
use common::greeting::Features;
use common::keys::PublicKey;
use common::limits;
use common::message::{ClientMessage, JobSummary, Refusal};
use common::packet::{Echo, Packet};
use common::stream::Budget;
use tokio::sync::{Notify, oneshot, watch};

use crate::error::Error;
use crate::hold::{Hold, Link, Origin};

/// The meeting point of tasks and callers.
#[derive(Debug)]
pub(crate) struct Router {
    pub(crate) endpoint: Endpoint,
    /// The key that the server has been shown.
    pub(crate) key: Option<PublicKey>,
    table: Mutex<Table>,
    line: watch::Sender<Line>,
    budget: Budget,
    /// Is told when something about a job finds no room in the queue to the server.
    crowded: Arc<Notify>,
}

/// The state of the line to the server.
#[derive(Debug, Clone)]
pub enum Line {
    /// The first greeting is not answered yet.
    Greeting,
    /// The server has let this client in.
    Up,
    /// The connection is lost, and another one is being made.
    Down {
        /// Since when.
        since: Instant,
        /// Why.
        error: Error,
        /// For how long the server keeps the most patient of the jobs, from when it has noticed; `None` if for good.
        grace: Option<Duration>,
    },
    /// There is no connection, and will be none.
    Closed(Error),
}

#[derive(Debug, Default)]
struct Table {
    /// `None` while there is no connection on which everything is said that was said before.
    link: Option<Link>,
    generation: u64,
    /// The server has let this client in, on this connection or on another: what it knew the last time.
    welcome: Option<Features>,
    /// No further connection is wanted.
    closed: bool,
    jobs: BTreeMap<u32, Arc<Hold>>,
    requests: HashMap<JobNumber, Request>,
    last_number: u32,
    pings: VecDeque<(u64, Instant, oneshot::Sender<Duration>)>,
    next_ping: u64,
    going_away: bool,
}

/// A question that is no job.
#[derive(Debug)]
struct Request {
    listed: Vec<JobSummary>,
    answer: oneshot::Sender<Result<Vec<JobSummary>, Refusal>>,
}

impl Router {
    pub(crate) fn new(endpoint: Endpoint, key: Option<PublicKey>) -> Self {
        Self {
            endpoint,
            key,
            table: Mutex::default(),
            line: watch::Sender::new(Line::Greeting),
            budget: Budget::new(limits::CONNECTION_WINDOW),
            crowded: Arc::default(),
        }
    }

    /// The state of the line, and its changes.
    pub(crate) fn line(&self) -> watch::Receiver<Line> {
        self.line.subscribe()
    }

    pub(crate) async fn ready(&self) -> Result<(), Error> {
        let mut line = self.line.subscribe();
        let state = line.wait_for(|state| matches!(state, Line::Up | Line::Closed(_))).await;
        match state.as_deref() {
            Ok(Line::Closed(error)) => Err(error.clone()),
            Ok(_) => Ok(()),
            Err(_) => Err(Error::Closed),
        }
    }

    /// Takes hold of a job. Numbers go out in the order in which they are given, whoever else is starting a job meanwhile.
    pub(crate) async fn hold(&self, origin: Origin) -> Result<Arc<Hold>, Error> {
        if let Some(error) = self.lock().welcome.and_then(|known| too_old(origin.needs(), known)) {
            return Err(error);
        }
        let sender = self.present()?.map(|link| link.sender);
        // Among the control packets, or an order could overtake it; DATA is queued later, and behind both.
        let room = match &sender {
            Some(sender) => sender.reserve_control().await.ok(),
            None => None,
        };
        let mut table = self.lock();
        if table.closed {
            drop(table);
            return Err(self.failure());
        }
        table.jobs.retain(|_, hold| !hold.has_left());
        if table.jobs.len() >= limits::JOBS_PER_CONNECTION {
            return Err(Error::TooManyJobs);
        }
        let number = table.next_number()?;
        let hold = Arc::new(Hold::new(number, origin, &self.budget, Arc::clone(&self.crowded)));
        table.jobs.insert(number.0, Arc::clone(&hold));
        // Else it goes out with the others when there is a connection.
        if let (Some(room), Some(link)) = (room, table.link.clone())
            && sender.as_ref().is_some_and(|sender| sender.is_same(&link.sender))
        {
            room.send(Packet::Message { job: number, message: hold.request() });
            hold.asked(link);
        }
        Ok(hold)
    }

    /// Asks something that is no job.
    pub(crate) async fn ask(
        &self,
        message: ClientMessage,
    ) -> Result<Result<Vec<JobSummary>, Refusal>, Error> {
        self.up().await?;
        let link = self.present()?.ok_or_else(|| self.failure())?;
        let room = link.sender.reserve_control().await.map_err(|_| self.failure())?;
        let (answer, waiting) = oneshot::channel();
        {
            let mut table = self.lock();
            let number = table.next_number()?;
            table.requests.insert(number, Request { listed: Vec::new(), answer });
            room.send(Packet::Message { job: number, message });
        }
        waiting.await.map_err(|_| self.failure())
    }

    /// Sends a ping and waits for its pong. Pings go out in the order in which their answers are waited for.
    pub(crate) async fn ping(&self) -> Result<Duration, Error> {
        let link = match self.present()? {
            Some(link) => link,
            None => {
                self.up().await?;
                self.present()?.ok_or_else(|| self.failure())?
            }
        };
        let (answer, waiting) = oneshot::channel();
        let room = link.sender.reserve_control().await.map_err(|_| self.failure())?;
        {
            let mut table = self.lock();
            let token = table.next_ping();
            table.pings.push_back((token, Instant::now(), answer));
            room.send(Packet::Ping(Echo { token, payload: Bytes::new() }));
        }
        waiting.await.map_err(|_| self.failure())
    }

    /// Asks for a sign of life that nobody waits for.
    pub(crate) fn nudge(&self) {
        let mut table = self.lock();
        let Some(link) = table.link.clone() else { return };
        let token = table.next_ping();
        let ping = Packet::Ping(Echo { token, payload: Bytes::new() });
        // No room means that the connection is stuck, which shows as silence.
        if link.sender.try_send_control(ping).is_ok() {
            let (answer, _) = oneshot::channel();
            table.pings.push_back((token, Instant::now(), answer));
        }
    }

    pub(crate) fn is_going_away(&self) -> bool {
        self.lock().going_away
    }

    /// Whether the server has ever let this client in.
    pub(crate) fn is_welcome(&self) -> bool {
        self.lock().welcome.is_some()
    }

    /// Whether no further connection is wanted.
    pub(crate) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Waits until no further connection is wanted.
    pub(crate) async fn closed(&self) {
        // The sender is ours, so there is always something to wait for.
        self.line.subscribe().wait_for(|line| matches!(line, Line::Closed(_))).await.ok();
    }

    /// Lets the present connection end once its queue is empty, and makes no other.
    pub(crate) fn close(&self) {
        self.fail(Error::Closed);
    }

    /// The server has let this client in, and knows these `features`. What it was asked for on this connection and cannot read ends
    /// here, before it says what it thinks of that.
    pub(crate) fn welcomed(&self, features: Features) {
        let beyond: Vec<_> = {
            let mut table = self.lock();
            table.welcome = Some(features);
            table.jobs.extract_if(.., |_, hold| hold.is_beyond(features)).collect()
        };
        for (_, hold) in beyond {
            hold.lose(too_old(hold.needs(), features).unwrap_or(Error::ServerGone));
        }
        self.line.send_if_modified(|line| {
            let news = !matches!(line, Line::Up | Line::Closed(_));
            if news {
                *line = Line::Up;
            }
            news
        });
    }

    /// The connection is lost, and another one will be made: nobody is told but who looks at the line. `false` if none is wanted.
    pub(crate) fn lose_line(&self, error: Error) -> bool {
        let mut table = self.lock();
        table.unlink();
        table.jobs.retain(|_, hold| !hold.has_left());
        if table.closed || table.jobs.is_empty() {
            return false;
        }
        let graces = table.jobs.values().map(|hold| hold.grace());
        let grace = graces.reduce(|one, other| Some(one?.max(other?))).flatten();
        drop(table);
        self.line.send_replace(Line::Down { since: Instant::now(), error, grace });
        true
    }

    /// How long the server waits at most for the jobs that this side has hold of.
    pub(crate) fn grace(&self) -> Duration {
        let table = self.lock();
        table
            .jobs
            .values()
            .map(|hold| hold.grace().unwrap_or(common::job::DEFAULT_GRACE))
            .max()
            .unwrap_or_default()
    }

    /// There is a first connection, on which nothing was said yet.
    pub(crate) fn begin(&self, sender: PacketSender<ClientMessage>) {
        let mut table = self.lock();
        table.generation = 1;
        table.link = Some(Link { sender, generation: 1 });
    }

    /// Says everything again on a new connection that has to be known there. From then on it is the one that is used.
    async fn rejoin(&self, sender: PacketSender<ClientMessage>) -> Result<Link, Closed> {
        let (link, mut last) = {
            let mut table = self.lock();
            if let Some(link) = table.link.as_ref().filter(|link| link.sender.is_same(&sender)) {
                // Nothing was lost before the first.
                return Ok(link.clone());
            }
            table.generation += 1;
            table.going_away = false;
            (Link { sender, generation: table.generation }, 0)
        };
        while let Some(hold) = self.next_after(last, &link) {
            last = hold.number.0;
            let request = Packet::Message { job: hold.number, message: hold.request() };
            link.sender.send_control(request).await?;
        }
        Ok(link)
    }

    /// Says on a connection what has to be said there: at first what was said on another one, then what finds no room. Without
    /// end, unless the connection has one.
    pub(crate) async fn speak(&self, sender: PacketSender<ClientMessage>) -> Result<(), Closed> {
        let Link { sender, generation } = self.rejoin(sender).await?;
        loop {
            let jobs: Vec<_> = self.lock().jobs.values().map(Arc::clone).collect();
            for hold in jobs {
                while hold.waits_for_room(generation)
                    && hold.say_one(generation, sender.reserve_control().await?)
                {}
            }
            self.crowded.notified().await;
        }
    }

    /// The next job that has to be said; without any, the connection is the one that is used.
    fn next_after(&self, last: u32, link: &Link) -> Option<Arc<Hold>> {
        let mut table = self.lock();
        table.jobs.retain(|_, hold| !hold.has_left());
        let next = table.jobs.range(last + 1..).next().map(|(_, hold)| Arc::clone(hold));
        if next.is_none() && !table.closed {
            table.link = Some(link.clone());
        }
        next
    }

    /// Ends everything that waits, with the first reason given.
    pub(crate) fn fail(&self, error: Error) {
        let mut table = self.lock();
        let first = !std::mem::replace(&mut table.closed, true);
        table.unlink();
        let jobs = std::mem::take(&mut table.jobs);
        if first {
            self.line.send_replace(Line::Closed(error.clone()));
        }
        drop(table);
        for job in jobs.into_values() {
            job.lose(error.clone());
        }
    }

    /// What is wrong, once something is.
    pub(crate) fn failure(&self) -> Error {
        match &*self.line.borrow() {
            Line::Closed(error) | Line::Down { error, .. } => error.clone(),
            Line::Greeting | Line::Up => Error::Closed,
        }
    }

    async fn up(&self) -> Result<(), Error> {
        self.ready().await
    }

    fn present(&self) -> Result<Option<Link>, Error> {
        let table = self.lock();
        if table.closed {
            drop(table);
            return Err(self.failure());
        }
        Ok(table.link.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is said of a server that lacks some of the features that are needed.
fn too_old(needs: Features, known: Features) -> Option<Error> {
    let named = [(Features::TERMINALS, "terminals"), (Features::CONTROL, "control descriptors")];
    let lacks = |features: Features| needs.contain(features) && !known.contain(features);
    named.into_iter().find(|(features, _)| lacks(*features)).map(|(_, what)| Error::TooOld { what })
}

impl Table {
    fn next_number(&mut self) -> Result<JobNumber, Error> {
        self.last_number = self.last_number.checked_add(1).ok_or(Error::TooManyJobs)?;
        Ok(JobNumber(self.last_number))
    }

    fn next_ping(&mut self) -> u64 {
        self.next_ping += 1;
        self.next_ping
    }

    /// There is no connection any more.
    fn unlink(&mut self) {
        self.link = None;
        self.pings.clear();
        self.requests.clear();
        for hold in self.jobs.values() {
            hold.unlink();
        }
    }
}
