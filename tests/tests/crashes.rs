//! A job whose server or supervisor is killed (SIGKILL) at each named point of its life: it is never started twice, none of its
//! output is missing or said twice, what is said of its end is true, and the next server knows it.
//!
//! A few times each with every build; 50 times each with `just abuse`. Only a debug build can be killed so.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

#[path = "crashes/attached.rs"]
mod attached;
#[path = "crashes/supervised.rs"]
mod supervised;

use std::fs;
use std::path::PathBuf;

use rustix::process::Signal;
use server::CrashPoint;
use tests::{DEADLINE, Mark, Ran, Running, Sandbox, TestServer, command_lines, wait_until};

/// How often everybody is killed at each point: with every build, and with `just abuse`.
const ROUNDS: u32 = 3;
const MANY_ROUNDS: u32 = 50;

/// Lines that the job writes to stdout.
const LINES: u32 = 200;

/// Who is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Victim {
    /// The server, wherever the point is.
    Server,
    /// The supervisor.
    Supervisor,
    /// Both, as by a power cut.
    Both,
}

/// What a client says of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// It has ended, and here is all that it wrote.
    Whole,
    /// Nobody knows how it ended.
    Lost,
    /// It was not started, and will not be.
    NeverRan,
}

/// A server that can be killed by plan.
struct World {
    server: TestServer,
    plan: PathBuf,
    count: PathBuf,
    mark: Mark,
}

impl World {
    fn new() -> Self {
        if !cfg!(debug_assertions) {
            panic!("a release build cannot be killed at a point: leave --release out");
        }
        let sandbox = Sandbox::with_keys();
        let (plan, count) = (sandbox.path("plan"), sandbox.path("count"));
        let options = TestServer::options_in(sandbox).listen("127.0.0.1:0");
        let server = options.env("TELEX_CRASH_AT", plan.to_str().unwrap()).start();
        Self { server, plan, count, mark: Mark::new() }
    }

    /// Has the next job's `victim` killed at `point`, which its server reaches or its supervisor.
    fn arm(&self, point: CrashPoint, victim: Victim, in_server: bool) {
        fs::remove_file(&self.count).ok();
        let whom = match victim {
            Victim::Server if in_server => "0".to_owned(),
            Victim::Server => self.server.process_id().to_string(),
            Victim::Supervisor => "0".to_owned(),
            Victim::Both => format!("{} 0", self.server.process_id()),
        };
        let unnamed = self.server.file("plan.new", format!("{} {whom}", point.name()));
        fs::rename(unnamed, &self.plan).unwrap();
    }

    /// Waits until the point is reached, and for another server if that one was killed.
    #[track_caller]
    fn wait_for_the_crash(&mut self, victim: Victim) {
        wait_until("the point is reached", DEADLINE, || !self.plan.exists());
        if victim != Victim::Supervisor {
            self.server.start_again();
        }
    }

    /// A job that counts how often it is started.
    fn script(&self) -> String {
        format!(
            "echo x >> {}; n=0; while [ $n -lt {LINES} ]; do n=$((n + 1)); echo $n; done; echo done >&2; exit 7",
            self.count.display()
        )
    }

    fn start(&self, arguments: &[&str]) -> Running {
        let mut command = self.server.client();
        command.args(["run", "-q", "-n"]).args(self.mark.option()).args(arguments).arg(self.script());
        Running::start(&mut command)
    }

    /// How often the command was started.
    fn starts(&self) -> usize {
        fs::read_to_string(&self.count).unwrap_or_default().lines().count()
    }

    /// Requires that nothing of the job is left that could still do something.
    #[track_caller]
    fn is_over(&self) {
        self.mark.wait_until_gone();
        let own = self.server.path("").display().to_string();
        let of_us = |line: &String| line.contains("supervise") && line.contains(own.trim_end_matches('/'));
        wait_until("no supervisor is left", DEADLINE, || !command_lines().iter().any(of_us));
    }

    /// What `client jobs --all` lists.
    #[track_caller]
    fn listed(&self) -> String {
        Ran::of(self.server.client().args(["jobs", "--all"])).succeeds()
    }
}

/// What a client says; its output has to go with that.
#[track_caller]
fn verdict(ran: &Ran) -> Verdict {
    let whole: String = (1..=LINES).map(|line| format!("{line}\n")).collect();
    let (output, errors) = (ran.text(), ran.errors());
    let (said, message) = match errors.split_once("client: ") {
        Some((said, message)) => (said, message),
        None => (errors.as_str(), ""),
    };
    let is_prefix = whole.starts_with(&output) && "done\n".starts_with(said);
    assert!(is_prefix, "not what the job has written: {ran:?}");
    match ran.status.code() {
        Some(7) => {
            assert!(output == whole && errors == "done\n", "something is missing: {ran:?}");
            Verdict::Whole
        }
        Some(125) if message.contains("lost") || message.contains("there is no job") => Verdict::Lost,
        Some(125) if message.contains("before it was started") && output.is_empty() => Verdict::NeverRan,
        _ => panic!("{ran:?}"),
    }
}
