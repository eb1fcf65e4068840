//! Every frame, in every state of a connection, naming every kind of job: it is taken, passed over, or ends the connection
//! with CLOSE 3, as the table says, and nothing runs that the table does not allow.
//!
//! ```text
//!   Stranger ──HELLO──► Session ──the server stops──► Stopping
//!                          │                             │
//!                          └───────── CLOSE ─────────────┴──► Closed
//! ```

mod table;

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::frame::Kind;
use common::greeting::{Close, CloseCode};
use common::job::{Outcome, Program, Spec, StartFailure};
use common::message::ServerMessage;
use common::packet::Packet;
use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat, open};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

use super::peer::{DEADLINE, Peer, packet, request};
use super::world::{World, start};
use table::{Answer, Named, Sample, State, samples};

/// How long the refusal of a frame may take: most of them, and each on a machine that has other things to do.
const PROMPT: Duration = Duration::from_millis(100);
const LATE: Duration = Duration::from_secs(5);

/// Connections that are tried at the same time.
const AT_ONCE: usize = 32;

/// A job that would be started behind a frame that is refused.
const BEHIND: u32 = 10;

/// A peer on its way through a row of the table.
struct Row {
    state: State,
    sample: Sample,
    number: usize,
    peer: Peer,
    serving: JoinHandle<()>,
}

impl Row {
    /// Brings a connection into the state that `sample` is to meet, where there is one by the peer's own doing.
    async fn prepare(world: &World, state: State, number: usize, sample: Sample) -> Self {
        let (stream, serving) = world.serve_unix();
        let peer = match state {
            State::Stranger => Peer::new(stream),
            State::Session | State::Stopping | State::Closed => {
                let mut peer = Peer::greeted(stream).await;
                let nothing = Spec::new(Program::Argv(vec!["/nonexistent/command".into()]));
                peer.say(&request(Named::Over.number(), start(nothing))).await;
                let outcome = peer.hear_ended(Named::Over.number()).await;
                assert!(matches!(outcome, Outcome::NotStarted(_)), "{outcome}");
                peer.say(&request(Named::Running.number(), start(blocked(world)))).await;
                // It says so when it is ready.
                let ready = peer.hear_until(|packet| matches!(packet, Packet::Data { .. })).await;
                assert!(ready.is_some());
                peer
            }
        };
        Self { state, sample, number, peer, serving }
    }

    /// The file that the sample leaves if it is a START, and the one that a START behind it would leave.
    fn markers(&self) -> [String; 2] {
        [format!("{:?}.{}", self.state, self.number), format!("{:?}.{}.behind", self.state, self.number)]
    }

    /// Sends the sample and sees what becomes of it; how long that took, if it was refused.
    async fn meet(&mut self, world: &World) -> Option<Duration> {
        let answer = self.sample.answer(self.state);
        let [own, behind] = self.markers();
        let mut bytes = self.sample.bytes(world, &own);
        if self.state == State::Closed {
            bytes.splice(0..0, packet(Packet::Close(Close::new(CloseCode::GoingAway, "bye"))));
        }
        match answer {
            Answer::Taken | Answer::PassedOver | Answer::Dismissed => {}
            Answer::Goodbye | Answer::Violation | Answer::Unheard => {
                bytes.extend(request(BEHIND, world.start_marker(&behind)));
            }
        }
        let (sent, what) = (Instant::now(), format!("{:?}: {:?}", self.state, self.sample));
        self.peer.say(&bytes).await;
        match answer {
            Answer::Taken => self.is_taken(world, &what).await,
            Answer::PassedOver => assert!(self.peer.is_served(77).await, "{what}"),
            Answer::Dismissed => {
                assert_eq!(self.peer.hear_close().await, Some(CloseCode::GoingAway), "{what}");
            }
            // They are heard when all are.
            Answer::Goodbye | Answer::Unheard => {}
            Answer::Violation => {
                assert_eq!(self.peer.hear_close().await, Some(CloseCode::Violation), "{what}");
                return Some(sent.elapsed());
            }
        }
        None
    }

    async fn is_taken(&mut self, world: &World, what: &str) {
        if self.sample.is_start() {
            let outcome = self.peer.hear_ended(self.sample.named.number()).await;
            let ran = world.path(&self.markers()[0]).exists();
            match self.state {
                State::Stopping => {
                    let refused = matches!(outcome, Outcome::NotStarted(StartFailure::Refused(_)));
                    assert!(refused && !ran, "{what}: {outcome}");
                }
                _ => assert!(outcome.is_success() && ran, "{what}: {outcome}"),
            }
        }
        if !self.sample.is_start() && self.sample.is_answered_by(&ServerMessage::GoingAway).is_some() {
            let (sample, number) = (&self.sample, self.sample.named.number());
            let answer = self.peer.hear_until(|packet| {
                matches!(packet, Packet::Message { job, message }
                    if job.0 == number && sample.is_answered_by(message) == Some(true))
            });
            assert!(answer.await.is_some(), "{what}");
        }
        if self.sample.kind == Kind::Hello {
            let welcome = self.peer.hear().await;
            assert!(matches!(welcome, Some(Packet::Welcome(_))), "{welcome:?}");
        }
        assert!(self.peer.is_served(77).await, "{what}");
    }
}

/// A command that ends when the test says so, and not by a signal to go.
fn blocked(world: &World) -> Spec {
    let script = format!("trap '' HUP TERM CONT; echo; read line < '{}'", world.path("end").display());
    Spec { stdin: true, ..Spec::new(Program::Shell(script.as_str().into())) }
}

/// Ends every blocked command, and waits for the connections and the jobs.
async fn release(world: &World, serving: Vec<JoinHandle<()>>) {
    let mut over = pin!(async {
        for serving in serving {
            serving.await.unwrap();
        }
        world.jobs_are_over().await;
    });
    timeout(DEADLINE, async {
        loop {
            // A writer opens the FIFO for those who wait, and there may be one more any moment.
            drop(open(world.path("end"), OFlags::WRONLY | OFlags::NONBLOCK, Mode::empty()));
            if timeout(Duration::from_millis(20), &mut over).await.is_ok() {
                return;
            }
        }
    })
    .await
    .unwrap();
}

/// Tries some rows at once, against a server of their own; how long each refusal took.
async fn try_rows(state: State, rows: &[(usize, Sample)]) -> Vec<Duration> {
    let world = Arc::new(World::new());
    mknodat(CWD, world.path("end"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let mut prepared = Vec::new();
    for (number, sample) in rows {
        prepared.push(Row::prepare(&world, state, *number, sample.clone()).await);
    }
    if state == State::Stopping {
        world.service.stopping.cancel();
    }
    let mut meetings = JoinSet::new();
    for mut row in prepared {
        let world = Arc::clone(&world);
        meetings.spawn(async move { (row.meet(&world).await, row) });
    }
    let (took, met): (Vec<_>, Vec<_>) = meetings.join_all().await.into_iter().unzip();
    let took: Vec<_> = took.into_iter().flatten().collect();
    end(&world, met).await;
    check_trail(&world, state, rows, took.len()).await;
    took
}

/// Ends what is still open, and requires that nothing has run behind a frame that ended its connection.
async fn end(world: &World, met: Vec<Row>) {
    let (mut serving, mut leaving, mut markers) = (Vec::new(), Vec::new(), Vec::new());
    for row in met {
        let [_, behind] = row.markers();
        markers.push(behind);
        serving.push(row.serving);
        if matches!(row.sample.answer(row.state), Answer::Goodbye | Answer::Unheard) {
            leaving.push(row.peer);
        }
    }
    release(world, serving).await;
    for mut peer in leaving {
        assert_eq!(peer.hear_close().await, None);
    }
    for marker in markers {
        assert!(!world.path(&marker).exists(), "{marker}: what stood behind a refused frame has run");
    }
}

/// Requires that exactly what the table allows has been started, and that each violation is written down once; of those of
/// strangers, who can be many, at least some.
async fn check_trail(world: &World, state: State, rows: &[(usize, Sample)], refused: usize) {
    let greeted = if state == State::Stranger { 0 } else { 2 };
    let is_granted = |(_, sample): &&(usize, Sample)| {
        sample.is_start() && state == State::Session && sample.answer(state) == Answer::Taken
    };
    let granted = rows.iter().filter(is_granted).count();
    assert_eq!(world.records("job_start").await.len(), greeted * rows.len() + granted, "{state:?}");
    let is_violation = |(_, sample): &&(usize, Sample)| sample.answer(state) == Answer::Violation;
    let violations = rows.iter().filter(is_violation).count();
    assert_eq!(refused, violations, "{state:?}");
    let recorded = world.records("protocol_violation").await.len();
    match state {
        State::Stranger => assert!((violations.min(5)..=violations).contains(&recorded), "{recorded}"),
        State::Session | State::Stopping | State::Closed => assert_eq!(recorded, violations, "{state:?}"),
    }
}

async fn every_frame_in(state: State) {
    let samples: Vec<_> = samples().into_iter().enumerate().collect();
    let mut took = Vec::new();
    for rows in samples.chunks(AT_ONCE) {
        took.extend(try_rows(state, rows).await);
    }
    took.sort();
    if let (Some(median), Some(longest)) = (took.get(took.len() / 2), took.last()) {
        assert!(*median < PROMPT && *longest < LATE, "{state:?}: {median:?}, {longest:?}");
    }
}

#[tokio::test]
async fn a_stranger_can_say_hello_and_nothing_else() {
    every_frame_in(State::Stranger).await;
}

#[tokio::test]
async fn a_client_that_was_let_in_keeps_to_the_table() {
    every_frame_in(State::Session).await;
}

#[tokio::test]
async fn a_server_that_stops_keeps_to_the_table_and_starts_nothing() {
    every_frame_in(State::Stopping).await;
}

#[tokio::test]
async fn nothing_counts_behind_a_close() {
    every_frame_in(State::Closed).await;
}
