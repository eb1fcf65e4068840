//! Jobs on a terminal, and with control descriptors, with real commands.

mod control;

use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use common::job::{Digest, Ended, Extras, Outcome, Program, Signal, Spec, Terminal, WindowSize};
use common::stream::Budget;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::control::Control;
use super::orders::Command;
use super::outlet::{Buffer, Outlet, Read};
use super::state::Job;
use super::task::{self, Watched};
use crate::authorize::Owner;
use crate::service::Service;

/// How long anything may take that these commands do.
const DEADLINE: Duration = Duration::from_secs(20);

const SIZE: WindowSize = WindowSize { rows: 24, columns: 80, width: 0, height: 0 };

/// A job that runs, and how far its output was read.
struct Running {
    job: Arc<Job>,
    task: JoinHandle<Ended>,
    pause: CancellationToken,
    output: Vec<u8>,
    typed: u64,
}

impl Running {
    /// On a terminal, with a keyboard.
    fn start(text: &str) -> Self {
        Self::with(Program::Shell(text.into()), true)
    }

    fn with(program: Program, stdin: bool) -> Self {
        let terminal = Terminal { name: "xterm".into(), size: SIZE, modes: Vec::new() };
        Self::with_extras(program, stdin, Extras { terminal: Some(terminal), control: false })
    }

    fn with_extras(program: Program, stdin: bool, extras: Extras) -> Self {
        let mut spec = Spec::new(program);
        (spec.directory, spec.stdin) = (Some("/".into()), stdin);
        let id = format!("test-{}", fastrand::u64(..)).parse().unwrap();
        let budget = Budget::new(1 << 20);
        let [stdout, stderr, reports] = [(); 3].map(|()| Outlet::Buffer(Buffer::new(budget.clone(), None)));
        let mut job = Job::new(Owner::User(1), id, Digest::of(b""), &spec, &budget, [stdout, stderr]);
        if extras.control {
            job = job.with_control(Control::new(reports));
        }
        let job = Arc::new(job);
        let (own, pause) = (Arc::clone(&job), CancellationToken::new());
        let paused = pause.clone();
        let task = tokio::spawn(async move {
            let service = Service::of_histories();
            let on_terminal = extras.terminal.is_some();
            let started = task::start(&own, spec, extras, ready(Ok(())), &service).await;
            // Cut off once at most.
            match task::go_on(&own, started.unwrap(), &service, &paused).await {
                Watched::Over(ended, _) => ended,
                Watched::Paused(course) => {
                    assert_eq!(course.feed.terminal().is_some(), on_terminal, "it goes on with its terminal");
                    match task::go_on(&own, *course, &service, &CancellationToken::new()).await {
                        Watched::Over(ended, _) => ended,
                        Watched::Paused(_) => panic!("cut off again"),
                    }
                }
            }
        });
        Self { job, task, pause, output: Vec::new(), typed: 0 }
    }

    /// Reads more of the output; whether it has not ended.
    async fn read(&mut self) -> bool {
        let offset = self.output.len() as u64;
        let read = timeout(DEADLINE, self.job.stdout.read(offset, usize::MAX)).await;
        match read.unwrap_or_else(|_| panic!("nothing comes after {:?}", self.text())) {
            Read::Bytes(bytes) => self.output.extend_from_slice(&bytes),
            Read::Skip(_) => panic!("output is lost"),
            Read::End => return false,
        }
        self.job.stdout.release(self.output.len() as u64);
        true
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.output).into_owned()
    }

    async fn wait_for(&mut self, text: &str) {
        while !self.text().contains(text) {
            assert!(self.read().await, "it has ended without {text:?}: {:?}", self.text());
        }
    }

    /// Types this as fast as the window lets it.
    async fn type_in(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = usize::try_from(self.job.stdin.resume().limit - self.typed).unwrap();
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            if now.is_empty() {
                sleep(Duration::from_millis(1)).await;
                continue;
            }
            self.job.stdin.receive(self.typed, Bytes::copy_from_slice(now)).unwrap();
            self.typed += now.len() as u64;
            bytes = later;
        }
    }

    fn type_end(&self) {
        self.job.stdin.finish(self.typed).unwrap();
    }

    /// All output, and how it ended.
    async fn end(mut self) -> (String, Ended) {
        while self.read().await {}
        let text = self.text();
        (text, timeout(DEADLINE, self.task).await.expect("it ends").unwrap())
    }
}

#[tokio::test]
async fn all_that_was_written_before_the_end_comes() {
    for _ in 0..20 {
        let running = Running::with(Program::Shell("head -c 60000 /dev/zero | tr '\\0' x".into()), false);
        let (text, ended) = running.end().await;
        assert!(text.len() == 60_000 && text.bytes().all(|byte| byte == b'x'), "{}", text.len());
        assert_eq!((ended.outcome, ended.output_left_open), (Outcome::Exited(0), false));
        assert_eq!((ended.totals[0].bytes, ended.totals[1].bytes), (60_000, 0));
    }
}

#[tokio::test]
async fn what_stays_behind_on_the_terminal_is_not_waited_for_without_end() {
    let (text, ended) =
        Running::start("trap '' HUP; sleep 60 & echo $!; head -c 60000 /dev/zero | tr '\\0' x").end().await;
    let (left, rest) = text.split_once("\r\n").unwrap();
    let left = rustix::process::Pid::from_raw(left.parse().unwrap()).unwrap();
    rustix::process::kill_process(left, rustix::process::Signal::KILL).unwrap();
    assert_eq!(rest.len(), 60_000);
    assert_eq!((ended.outcome, ended.output_left_open), (Outcome::Exited(0), true));
}

#[tokio::test]
async fn the_end_of_stdin_is_typed() {
    for (typed, lines) in [("", "0"), ("a\nb\n", "2"), ("a\nb", "1")] {
        let mut running = Running::start("stty -echo; echo ready; cat | wc -l");
        running.wait_for("ready").await;
        running.type_in(typed.as_bytes()).await;
        running.type_end();
        let (text, ended) = running.end().await;
        assert_eq!(text, format!("ready\r\n{lines}\r\n"), "{typed:?}");
        assert_eq!((ended.outcome, ended.stdin_consumed), (Outcome::Exited(0), typed.len() as u64));
    }
}

#[tokio::test]
async fn a_program_that_has_every_key_is_typed_no_end() {
    let mut running = Running::start("stty raw -echo; printf ready; head -c 3 | od -An -c");
    running.wait_for("ready").await;
    running.type_in(b"\x03\x04x").await;
    running.type_end();
    let (text, ended) = running.end().await;
    assert_eq!(text.trim_start_matches("ready").split_whitespace().collect::<Vec<_>>(), ["003", "004", "x"]);
    assert_eq!(ended.outcome, Outcome::Exited(0));
}

#[tokio::test]
async fn much_is_typed_as_fast_as_the_program_reads() {
    let mut running = Running::start("stty raw -echo; printf ready; head -c 1000000 | cksum");
    running.wait_for("ready").await;
    let bytes: Vec<u8> = (0..1_000_000_u32).map(|at| (at % 251) as u8).collect();
    running.type_in(&bytes).await;
    let (text, ended) = running.end().await;
    assert!(text.starts_with("ready3404551817 1000000"), "{text}");
    assert_eq!(ended.stdin_consumed, 1_000_000);
}

#[tokio::test]
async fn a_key_interrupts_what_is_in_the_foreground_and_so_does_its_signal() {
    // The inner shell has a group of its own, and the outer one must not be told.
    let inner = "trap 'exit 3' INT; echo ready; while :; do sleep 0.02; done";
    let text = format!("set -m; trap 'echo wrong' INT; sh -c \"{inner}\"; echo status $?");
    for by_key in [true, false] {
        let mut running = Running::start(&text);
        running.wait_for("ready").await;
        if by_key {
            running.type_in(b"\x03").await;
        } else {
            running.job.orders.push(Command::Signal(Signal::INT));
        }
        running.wait_for("status 3").await;
        let (text, ended) = running.end().await;
        assert!(!text.contains("wrong"), "{text}");
        assert_eq!(ended.outcome, Outcome::Exited(0));
    }
}

#[tokio::test]
async fn a_size_is_seen_and_so_is_the_same_again() {
    let mut running = Running::start("trap 'stty size' WINCH; echo ready; while :; do sleep 0.02; done");
    running.wait_for("ready").await;
    assert_eq!(running.job.terminal_size(), Some(SIZE));
    let size = WindowSize { rows: 50, columns: 132, width: 800, height: 600 };
    for _ in 0..2 {
        let before = running.text().matches("50 132").count();
        assert!(running.job.resize(size));
        while running.text().matches("50 132").count() == before {
            assert!(running.read().await);
        }
    }
    assert_eq!(running.job.terminal_size(), Some(size));
    running.job.orders.push(Command::Cancel);
    assert_eq!(running.end().await.1.outcome, Outcome::Cancelled);
}

#[tokio::test]
async fn a_job_that_was_cut_off_goes_on_with_its_terminal() {
    let mut running =
        Running::start("stty -echo; echo ready; read line; echo got $line; stty size; read line; echo $line");
    running.wait_for("ready").await;
    running.type_in(b"one").await;
    let size = WindowSize { rows: 5, ..SIZE };
    assert!(running.job.resize(size));
    running.pause.cancel();
    running.type_in(b" two\n").await;
    running.wait_for("5 80").await;
    running.type_in(b"three").await;
    running.type_end();
    let (text, ended) = running.end().await;
    assert_eq!(text, "ready\r\ngot one two\r\n5 80\r\nthree\r\n");
    assert_eq!((ended.outcome, ended.stdin_consumed), (Outcome::Exited(0), 13));
}

#[tokio::test]
async fn who_wants_no_output_hangs_up() {
    let mut running = Running::start("trap 'exit 9' HUP; echo ready; while :; do sleep 0.02; done");
    running.wait_for("ready").await;
    running.job.stdout.close();
    assert_eq!(running.end().await.1.outcome, Outcome::Exited(9));
}
