//! One history: steps that are drawn before it begins, and what they do.

use std::cell::Cell;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use client::model::{self, Lines};
use client::{Client, Error, JobId, StreamId};
use common::message::ServerMessage;
use common::packet::Packet;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::held::{Fault, Held, Subject, Way};
use super::server::{ClientEnd, ServerEnd};
use super::steps::{Kind, Step, amount};
use super::wire::Wire;
use crate::job::Departure;
use crate::job::stage::{Cue, Play, Stage};
use crate::process::Containment;
use crate::service::Service;
use crate::supervised::Supervised;

pub(super) const CLIENTS: usize = 3;
pub(super) const SUBJECTS: usize = 3;

/// The first of the signals that mean nothing to anybody.
pub(super) const FIRST_SIGNAL: i32 = 34;

/// What is asked for sooner after a server's start may have been asked for before, as far as it can tell by its clock.
pub(super) const YOUTH: Duration = Duration::from_secs(3);

/// Rounds after the last step in which everything has to come to its end.
pub(super) const ROUNDS: usize = 400;

/// How often something at most has to come through a socket before nobody can do anything.
pub(super) const HOPS: usize = 12;

thread_local! {
    static BEGUN: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// The client's clock, which goes as the server's does.
pub(super) fn clock() -> Duration {
    Duration::from_secs(3600) + BEGUN.get().map_or(Duration::ZERO, |begun| begun.elapsed())
}

/// Everything there is in a history.
pub(super) struct World {
    pub(super) stage: Stage,
    pub(super) service: Arc<Service>,
    /// When that server was started.
    pub(super) born: Instant,
    /// Whether servers die in this history. Else a start may be said again under an id of its own choice, which a server that does
    /// not remember would take for a new one.
    pub(super) mortal: bool,
    /// Where jobs with supervisors are kept, if there are such.
    pub(super) store: Option<TempDir>,
    pub(super) mates: Vec<Mate>,
    pub(super) subjects: Vec<Subject>,
    /// The server's ends of connections that their clients have given up.
    pub(super) stale: Vec<ServerEnd>,
}

/// A client and its line.
pub(super) struct Mate {
    pub(super) client: Arc<Client>,
    pub(super) lines: Lines,
    pub(super) end: Option<ClientEnd>,
    pub(super) server: Option<ServerEnd>,
    /// Since when it has no connection, and for how long it tries.
    pub(super) down: Option<(Instant, Duration)>,
    pub(super) held: Vec<Held>,
    pub(super) detaching: Vec<(usize, JoinHandle<Result<JobId, Error>>)>,
    pub(super) forgetting: Vec<(usize, JoinHandle<Result<(), Error>>)>,
    /// It has been closed, or given up.
    pub(super) over: bool,
}

impl World {
    /// A server like `service`, and a client.
    pub(super) async fn new(service: &Arc<Service>, seed: u64) -> Self {
        BEGUN.set(Some(Instant::now()));
        model::go_by(clock);
        let stage = Stage::raise(service);
        let (mortal, supervises) = (seed.is_multiple_of(3), seed.is_multiple_of(4));
        let store = supervises.then(|| directory().unwrap());
        let (mates, subjects, stale) = (Vec::new(), Vec::new(), Vec::new());
        let service = server(service, store.as_ref());
        stage.born(&service);
        let mut world = Self { stage, service, born: Instant::now(), mortal, store, mates, subjects, stale };
        // What is asked for from here on would be remembered.
        sleep(YOUTH).await;
        world.new_client();
        world
    }

    /// Does what the step says, as far as that can be done.
    pub(super) async fn step(&mut self, step: Step) -> Result<(), Fault> {
        let Step { kind, a, b } = step;
        let (few, mate) = (1 + b as usize % 8, a as usize % self.mates.len());
        match kind {
            Kind::Client if self.mates.len() < CLIENTS => self.new_client(),
            Kind::Client => {}
            Kind::Start => self.start(mate, b).await?,
            Kind::Again => self.start_again(mate, b).await?,
            Kind::Hold => self.hold(mate, b),
            Kind::Write => self.with_held(mate, b, |held, _| held.write(amount(b >> 8))),
            Kind::Consume => self.consume(mate, few)?,
            Kind::Signal => self.signal(mate, b),
            Kind::Cancel => self.cancel(mate, b),
            Kind::Detach => self.detach(mate, b),
            Kind::Leave => self.leave(mate, b),
            Kind::DropOutput => {
                self.with_held(mate, b, |held, _| held.drop_output(b as usize >> 8 & 1));
            }
            Kind::Forget => self.forget(mate, b),
            Kind::Process => self.process(a, b),
            Kind::Exit => self.exit(a, b),
            Kind::Up => self.up(mate, few).await?,
            Kind::Down => self.down(mate, few).await?,
            Kind::Cut => self.cut(mate, b),
            Kind::ClientNotices => self.client_notices(mate),
            Kind::ServerNotices => self.server_notices(mate, b).await,
            Kind::Connect => self.connect(mate),
            Kind::Stale => self.stale(a, b).await?,
            Kind::Sign => {
                if let Some(server) = &mut self.mates[mate].server {
                    server.ask();
                }
            }
            Kind::Close => self.close(mate, b).await?,
            Kind::Kill => self.kill(mate, b).await,
            Kind::Restart => self.restart().await,
            Kind::KillSupervisor => self.kill_supervisor(a),
            Kind::Time => self.time(a).await,
        }
        // Sometimes, the next step comes before anybody has done anything.
        if b & 0x8000_0000 == 0 {
            self.settle().await;
        }
        self.look()
    }

    pub(super) fn new_client(&mut self) {
        let (client, lines, connection, queue) = Lines::open();
        let (up, writing) = Wire::from(queue);
        let server = ServerEnd::new(&self.service, up.clone());
        let end = ClientEnd { connection, _writing: writing, up, down: server.down.clone() };
        self.mates.push(Mate {
            client: Arc::new(client),
            lines,
            end: Some(end),
            server: Some(server),
            down: None,
            held: Vec::new(),
            detaching: Vec::new(),
            forgetting: Vec::new(),
            over: false,
        });
    }

    pub(super) fn play(&self, a: u32) -> Option<Arc<Play>> {
        let subject = self.subjects.get((a as usize).checked_rem(self.subjects.len())?)?;
        self.stage.plays(&subject.id).pop()
    }

    pub(super) fn process(&self, a: u32, b: u32) {
        let Some(play) = self.play(a) else { return };
        let stream = [StreamId::Stdout, StreamId::Stderr][b as usize & 1];
        match b >> 1 & 7 {
            0..=4 => play.cue(Cue::Write(stream, usize::try_from(amount(b >> 8)).unwrap())),
            5 | 6 => play.change(|script| {
                script.appetite = script.appetite.map(|left| left + amount(b >> 8));
            }),
            _ if b >> 4 & 7 == 0 => play.close_stdin(),
            _ => play.change(|script| script.heeds_hup = true),
        }
    }

    pub(super) fn exit(&self, a: u32, b: u32) {
        if let Some(play) = self.play(a) {
            play.cue(Cue::Exit(b as u8));
        }
    }

    pub(super) async fn up(&mut self, mate: usize, count: usize) -> Result<(), Fault> {
        match &mut self.mates[mate].server {
            Some(server) => take(server, count).await.map(drop),
            None => Ok(()),
        }
    }

    pub(super) async fn down(&self, mate: usize, count: usize) -> Result<(), Fault> {
        let Some(end) = &self.mates[mate].end else { return Ok(()) };
        for _ in 0..count {
            let Some(packet) = end.down.next::<ServerMessage>() else { break };
            let shown = shown(&packet);
            let heard = in_time(end.connection.hear(packet)).await?;
            heard
                .map_err(|error| format!("to the client, the server breaks a rule: {error} with {shown}"))?;
        }
        Ok(())
    }

    /// In one direction or in both, nothing arrives any more.
    pub(super) fn cut(&self, mate: usize, b: u32) {
        let Some(end) = &self.mates[mate].end else { return };
        if b & 1 == 0 || b & 2 == 0 {
            if b & 4 == 0 { end.up.cut() } else { end.up.end() }
        }
        if b & 1 == 1 || b & 2 == 0 {
            if b & 4 == 0 { end.down.cut() } else { end.down.end() }
        }
    }

    pub(super) fn client_notices(&mut self, at: usize) {
        let mate = &mut self.mates[at];
        if let Some(end) = mate.end.take() {
            // What has left it may still arrive.
            end.up.end();
            drop(end);
            self.stale.extend(mate.server.take());
            if mate.lines.lose() {
                mate.down = Some((Instant::now(), mate.lines.patience()));
            } else {
                mate.over = true;
            }
        }
    }

    pub(super) async fn server_notices(&mut self, mate: usize, b: u32) {
        if let Some(server) = self.mates[mate].server.take() {
            self.part(Some(mate), server, b).await;
        }
    }

    pub(super) async fn part(&mut self, mate: Option<usize>, server: ServerEnd, b: u32) {
        server.up.cut();
        let departure = match b >> 8 & 15 {
            0 => Departure::Gone,
            1 => Departure::Reset,
            _ => Departure::Lost,
        };
        if departure != Departure::Lost {
            let whose = |mate: &Mate| mate.held.iter().map(|held| held.subject).collect::<Vec<_>>();
            let all = || (0..self.subjects.len()).collect();
            let subjects = mate.map_or_else(all, |mate| whose(&self.mates[mate]));
            subjects.into_iter().for_each(|at| self.subjects[at].abandoned = true);
        }
        server.part(departure).await;
    }

    pub(super) fn connect(&mut self, at: usize) {
        let mate = &mut self.mates[at];
        let Some((since, patience)) = mate.down.take() else { return };
        if since.elapsed() > patience {
            mate.lines.give_up();
            mate.over = true;
            return;
        }
        let (connection, queue) = mate.lines.connect();
        let (up, writing) = Wire::from(queue);
        let server = ServerEnd::new(&self.service, up.clone());
        mate.end = Some(ClientEnd { connection, _writing: writing, up, down: server.down.clone() });
        mate.server = Some(server);
    }

    /// Something happens on a connection that its client has given up.
    pub(super) async fn stale(&mut self, a: u32, b: u32) -> Result<(), Fault> {
        let Some(at) = (a as usize).checked_rem(self.stale.len()) else { return Ok(()) };
        if b & 1 == 0 {
            return take(&mut self.stale[at], 1 + b as usize % 4).await.map(drop);
        }
        let server = self.stale.swap_remove(at);
        self.part(None, server, b).await;
        Ok(())
    }

    pub(super) async fn close(&mut self, at: usize, b: u32) -> Result<(), Fault> {
        let mate = &mut self.mates[at];
        mate.lines.close();
        (mate.over, mate.down) = (true, None);
        settle().await;
        if let Some(mut server) = mate.server.take() {
            let all = b & 3 != 0;
            take(&mut server, if all { usize::MAX } else { 1 }).await?;
            self.part(Some(at), server, if all { 0 } else { b }).await;
        }
        self.mates[at].end = None;
        Ok(())
    }

    pub(super) async fn kill(&mut self, at: usize, b: u32) {
        let mate = &mut self.mates[at];
        if let Some(end) = mate.end.take() {
            end.up.cut();
            drop(end);
        }
        mate.lines.close();
        (mate.over, mate.down) = (true, None);
        if let Some(server) = mate.server.take() {
            if b & 1 == 0 {
                self.part(Some(at), server, b & 0x100).await;
            } else {
                self.stale.push(server);
            }
        }
    }

    /// The server is killed, and another one comes. To clients, their lines are lost.
    pub(super) async fn restart(&mut self) {
        if !self.mortal {
            return;
        }
        self.stage.dies(&self.service);
        self.service = server(&self.service, self.store.as_ref());
        self.stage.born(&self.service);
        self.born = Instant::now();
        let served = self.mates.iter_mut().filter_map(|mate| mate.server.take());
        for server in self.stale.drain(..).chain(served) {
            server.up.cut();
            server.down.end();
            // What it still says to a supervisor it may have said before it died.
            server.part(Departure::Lost).await;
        }
        for subject in &mut self.subjects {
            subject.doubt |= !subject.supervised;
        }
    }

    pub(super) fn kill_supervisor(&mut self, a: u32) {
        let Some(at) = (a as usize).checked_rem(self.subjects.len()) else { return };
        let killed = self.stage.kill_supervisor(&self.subjects[at].id);
        self.subjects[at].doubt |= killed;
    }

    /// Waits until nobody can do anything: only then does a clock that a test has stopped go on. What comes through a socket does
    /// not stop it, and has to come through several.
    pub(super) async fn settle(&self) {
        settle().await;
        if self.subjects.iter().any(|subject| subject.supervised) {
            for _ in 0..HOPS {
                settle().await;
            }
        }
    }

    pub(super) async fn time(&mut self, a: u32) {
        let time = Duration::from_millis([20, 1_000, 4_000, 30_000, 61_000, 125_000][a as usize % 6]);
        for subject in &mut self.subjects {
            subject.alone += time;
            subject.abandoned |= subject.alone >= subject.grace;
        }
        self.settle().await;
        sleep(time).await;
    }
}

impl Mate {
    pub(super) fn waits(&self) -> bool {
        !self.over && (self.held.iter().any(Held::is_open) || !self.detaching.is_empty())
    }
}

pub(super) fn shown(packet: &Packet<ServerMessage>) -> String {
    match packet {
        Packet::Data { job, stream, offset, bytes } => {
            format!("{} bytes of {stream} of {job:?} at {offset}", bytes.len())
        }
        packet => format!("{packet:?}"),
    }
}

/// A server that has just been started.
pub(super) fn server(model: &Service, store: Option<&TempDir>) -> Arc<Service> {
    let open =
        |store: &TempDir| Supervised::open(&store.path().join("jobs"), Containment::by_sweep(false)).unwrap();
    let supervised = store.map(open);
    Arc::new(model.anew(false, supervised))
}

/// A directory in memory, where there is such a thing.
pub(super) fn directory() -> io::Result<TempDir> {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { TempDir::new_in(memory) } else { TempDir::new() }
}

/// Takes up to `count` packets; whether there was one.
pub(super) async fn take(server: &mut ServerEnd, count: usize) -> Result<bool, Fault> {
    for taken in 0..count {
        match in_time(server.take_next()).await? {
            Ok(true) => {}
            Ok(false) => return Ok(taken > 0),
            Err(error) => return Err(format!("to the server, the client breaks a rule: {error}")),
        }
    }
    Ok(true)
}

/// Waits until nobody can do anything: only then does a clock that a test has stopped go on.
pub(super) async fn settle() {
    sleep(Duration::from_millis(1)).await;
}

pub(super) async fn in_time<T>(future: impl Future<Output = T>) -> Result<T, Fault> {
    let limit = Duration::from_secs(3600);
    tokio::time::timeout(limit, future).await.map_err(|_| "something waits for ever".to_owned())
}

pub(super) fn may_order(way: Way) -> bool {
    matches!(way, Way::Start | Way::Attach | Way::Observe)
}
