//! What this side knows of one job, and what it has to tell it: kept across connections, so that none of it is lost with one.

mod heard;
mod said;

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use common::connection::PacketSender;
use common::frame::{JobNumber, Outputs, StreamId};
use common::greeting::Features;
use common::job::{Extras, JobId, Program, WindowSize};
use common::message::{Attach, AttachmentId, ClientMessage, Start};
use common::stream::{Budget, Inbound};
use tokio::sync::{Notify, watch};

use crate::clock::Since;
use crate::error::Error;
use crate::job::Finished;
use crate::stdin::StdinQueue;
use crate::times::Times;
use crate::unsaid::Unsaid;

/// How far a job has come.
#[derive(Debug, Clone)]
pub(crate) enum Progress {
    Starting,
    Running,
    Over(Result<Finished, Error>),
}

/// How hold of a job is taken.
#[derive(Debug)]
pub(crate) enum Origin {
    /// It is started, with what is asked for beyond its specification, and whether somebody types what it reads.
    Start(Box<Start>, Extras, bool),
    /// It is there.
    Attach(Attach),
}

impl Origin {
    /// What a server has to know to take it.
    pub(crate) fn needs(&self) -> Features {
        let if_so = |is, features| if is { features } else { Features::default() };
        let Self::Start(start, extras, _) = self else {
            return if_so(self.wants(StreamId::Control), Features::CONTROL);
        };
        let on_terminal = extras.terminal.is_some() || matches!(start.spec.program, Program::LoginShell);
        if_so(on_terminal, Features::TERMINALS).and(if_so(extras.control, Features::CONTROL))
    }

    /// Whether this stream of the job is to be received.
    fn wants(&self, stream: StreamId) -> bool {
        match self {
            Self::Start(_, extras, _) => stream != StreamId::Control || extras.control,
            Self::Attach(attach) => attach.streams.iter().any(|wanted| wanted.stream == stream),
        }
    }
}

/// A connection, as far as one job is concerned.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    pub(crate) sender: PacketSender<ClientMessage>,
    /// Which connection it is; no two have the same.
    pub(crate) generation: u64,
}

/// This side's hold on a job.
#[derive(Debug)]
pub(crate) struct Hold {
    pub(crate) number: JobNumber,
    origin: Origin,
    pub(crate) stdin: StdinQueue,
    outputs: Outputs<Inbound>,
    id: OnceLock<JobId>,
    pub(crate) process_id: OnceLock<u32>,
    /// Where its streams begin for this side, stdin, stdout and stderr, once that is known.
    pub(crate) began: OnceLock<[u64; 3]>,
    pub(crate) times: Times,
    pub(crate) progress: watch::Sender<Progress>,
    state: Mutex<State>,
    link_changed: Notify,
    /// Is told when something finds no room on its way to the server.
    crowded: Arc<Notify>,
}

#[derive(Debug, Default)]
struct State {
    /// When the job was asked for for the first time.
    asked: Option<Since>,
    /// Whether the server has ever said that it has the job.
    joined: bool,
    /// Whether it takes a stdin from this side.
    takes_stdin: bool,
    /// Over which the job can be reached now.
    link: Option<Link>,
    /// How long the server waits for this side; `None` if it keeps the job.
    grace: Option<Duration>,
    unsaid: Unsaid,
    /// Its terminal, if it is known to have one.
    terminal: Option<WindowSize>,
    /// How large that is to be, should it have one.
    wanted_size: Option<WindowSize>,
    /// Why it is not kept, if it was told to be and will not be.
    declined: Option<String>,
    /// Why something that it was told has not reached it, if that is so.
    untold: Option<String>,
    /// Bytes of each stream that this side wanted, and nobody has any more.
    missed: Outputs<u64>,
}

impl Hold {
    pub(crate) fn new(number: JobNumber, origin: Origin, budget: &Budget, crowded: Arc<Notify>) -> Self {
        let grace = match &origin {
            Origin::Start(start, ..) => Some(start.spec.keeping.grace()),
            Origin::Attach(_) => Some(common::job::DEFAULT_GRACE),
        };
        Self {
            number,
            origin,
            stdin: StdinQueue::default(),
            outputs: Outputs::new(|_| Inbound::new(budget.clone())),
            id: OnceLock::new(),
            process_id: OnceLock::new(),
            began: OnceLock::new(),
            times: Times::default(),
            progress: watch::Sender::new(Progress::Starting),
            state: Mutex::new(State { grace, ..State::default() }),
            link_changed: Notify::new(),
            crowded,
        }
    }

    /// The job's id; only its beginning, as long as that is all that is known.
    pub(crate) fn id(&self) -> &JobId {
        self.id.get().unwrap_or(match &self.origin {
            Origin::Start(start, ..) => &start.id,
            Origin::Attach(attach) => &attach.job,
        })
    }

    fn attachment(&self) -> AttachmentId {
        match &self.origin {
            Origin::Start(start, ..) => start.attachment,
            Origin::Attach(attach) => attach.attachment,
        }
    }

    /// The streams that were wanted when hold of the job was taken.
    fn asked_for(&self) -> impl Iterator<Item = (StreamId, &Inbound)> {
        self.outputs.iter().filter(|(stream, _)| self.origin.wants(*stream))
    }

    /// Whether the job was asked for with control descriptors.
    pub(crate) fn has_control(&self) -> bool {
        self.origin.wants(StreamId::Control)
    }

    /// The first request for it is on its way by `link`.
    pub(crate) fn asked(&self, link: Link) {
        if matches!(self.origin, Origin::Start(..)) {
            // What it reads can travel right behind. Later, and if it was there before, the server says first how much it has.
            self.lock().link = Some(link);
            self.link_changed.notify_waiters();
        }
    }

    /// The connection is gone.
    pub(crate) fn unlink(&self) {
        self.lock().link = None;
        self.link_changed.notify_waiters();
    }

    /// Waits until the job can be reached by another connection than that of `generation`.
    pub(crate) async fn linked(&self, not: u64) -> Link {
        loop {
            let changed = self.link_changed.notified();
            let link = self.lock().link.clone();
            if let Some(link) = link.filter(|link| link.generation != not) {
                return link;
            }
            changed.await;
        }
    }

    /// Does `action` while the job is reached by the connection of `generation`; `None` if it is not any more.
    pub(crate) fn while_linked<T>(&self, generation: u64, action: impl FnOnce() -> T) -> Option<T> {
        let state = self.lock();
        state.link.as_ref().is_some_and(|link| link.generation == generation).then(action)
    }

    /// The stream that this side may receive under this name.
    pub(crate) fn inbound(&self, stream: StreamId) -> Option<&Inbound> {
        self.outputs.get(stream).filter(|_| stream != StreamId::Control || self.has_control())
    }

    /// How large its terminal was when that was said last; `None` if it is not known to have one.
    pub(crate) fn terminal(&self) -> Option<WindowSize> {
        self.lock().terminal
    }

    /// What a server of these features does not know of what this job was asked to be, unless it has the job already.
    pub(crate) fn is_beyond(&self, features: Features) -> bool {
        !features.contain(self.needs()) && !self.lock().joined
    }

    /// What a server has to know to have the job.
    pub(crate) fn needs(&self) -> Features {
        self.origin.needs()
    }

    /// How long the server waits for this side; `None` if it keeps the job.
    pub(crate) fn grace(&self) -> Option<Duration> {
        self.lock().grace
    }

    /// Waits until the server has said that this side has hold of the job; whether it takes a stdin.
    ///
    /// # Errors
    /// Why it has not.
    pub(crate) async fn joined(&self) -> Result<bool, Error> {
        self.when(|state| state.joined).await?;
        Ok(self.lock().takes_stdin)
    }

    /// Waits until every order is carried out.
    ///
    /// # Errors
    /// Why none is any more.
    pub(crate) async fn carried_out(&self) -> Result<(), Error> {
        self.when(|state| state.unsaid.all_answered()).await?;
        match self.lock().declined.take() {
            Some(reason) => Err(Error::Declined { id: self.id().clone(), reason }),
            None => Ok(()),
        }
    }

    async fn when(&self, is_true: impl Fn(&State) -> bool) -> Result<(), Error> {
        loop {
            let changed = self.link_changed.notified();
            if is_true(&self.lock()) {
                return Ok(());
            }
            match &*self.progress.borrow() {
                Progress::Over(Err(error)) => return Err(error.clone()),
                Progress::Over(Ok(_)) => return Err(Error::Over { id: self.id().clone() }),
                Progress::Starting | Progress::Running => {}
            }
            changed.await;
        }
    }

    /// Nothing more will be known of the job.
    pub(crate) fn lose(&self, error: Error) {
        self.finish(Err(error));
    }

    fn finish(&self, result: Result<Finished, Error>) {
        self.progress.send_replace(Progress::Over(result));
        self.unlink();
        self.stdin.stop();
        self.outputs.iter().for_each(|(_, inbound)| inbound.abandon());
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
