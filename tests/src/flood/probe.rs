//! A client with every right to be served, that tells how it is served while others misbehave.

use std::fmt;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use client::{Access, Client, Target, UnknownHosts};
use common::keys::PrivateKey;
use tokio::time::error::Elapsed;
use tokio::time::timeout;

use crate::keys::{client_key, host_key};
use crate::test_server::TestServer;
use crate::wait::{DEADLINE, wait_until};

/// A probe that takes longer has failed: nobody would wait for `true` any longer.
const GIVEN_UP: Duration = Duration::from_secs(10);

/// Connects from 127.0.0.1, runs `true` and leaves, again and again, in a thread of its own.
#[derive(Debug)]
pub struct Probe {
    stop: Sender<()>,
    runs: Arc<AtomicUsize>,
    thread: JoinHandle<Latencies>,
}

impl Probe {
    /// Begins, with so much time from one beginning to the next.
    pub fn start(server: &TestServer, period: Duration) -> Self {
        let key = PrivateKey::from_openssh(client_key().to_openssh("").as_bytes(), None).unwrap();
        let known_hosts = server.path("known_to_the_probe");
        let access = Access::new(Arc::new(key), known_hosts.clone())
            .unknown_hosts(UnknownHosts::Expect(host_key().public().fingerprint()));
        let target: Target = server.address().parse().unwrap();
        let (stop, stopped) = mpsc::channel();
        let runs = Arc::new(AtomicUsize::new(0));
        let counted = runs.clone();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let mut latencies = Latencies::default();
            loop {
                let begun = Instant::now();
                // The timer belongs to the runtime, too.
                let run = async { timeout(GIVEN_UP, run(&target, &access)).await };
                latencies.add(begun, runtime.block_on(run));
                counted.store(latencies.runs(), Ordering::Relaxed);
                // In a directory of tests it would not be trusted a second time.
                fs::remove_file(&known_hosts).ok();
                match stopped.recv_timeout(period.saturating_sub(begun.elapsed())) {
                    Err(RecvTimeoutError::Timeout) => {}
                    _ => return latencies,
                }
            }
        });
        Self { stop, runs, thread }
    }

    /// Waits until so many runs are over, however they ended.
    ///
    /// # Panics
    /// If they are not within [`DEADLINE`].
    #[track_caller]
    pub fn wait_for_runs(&self, runs: usize) {
        wait_until("the runs of the probe", DEADLINE, || self.runs.load(Ordering::Relaxed) >= runs);
    }

    /// Ends after the run that goes on.
    pub fn finish(self) -> Latencies {
        drop(self.stop);
        self.thread.join().unwrap()
    }
}

async fn run(target: &Target, access: &Access) -> Result<(), String> {
    let client = Client::connect_with(target, access).await.map_err(|error| error.to_string())?;
    let outcome = client.command("true").status().await.map_err(|error| error.to_string())?;
    client.close().await;
    if outcome.is_success() { Ok(()) } else { Err(outcome.to_string()) }
}

/// How long the runs of a [`Probe`] took, from the connection's beginning to its end.
#[derive(Debug, Default)]
pub struct Latencies {
    succeeded: Vec<Duration>,
    failed: Vec<String>,
}

impl Latencies {
    fn add(&mut self, begun: Instant, run: Result<Result<(), String>, Elapsed>) {
        match run {
            Ok(Ok(())) => self.succeeded.push(begun.elapsed()),
            Ok(Err(error)) => self.failed.push(error),
            Err(_) => self.failed.push(format!("not within {GIVEN_UP:?}")),
        }
    }

    /// How many runs there were.
    pub fn runs(&self) -> usize {
        self.succeeded.len() + self.failed.len()
    }

    /// How many of them failed.
    pub fn failures(&self) -> usize {
        self.failed.len()
    }

    /// What so many per cent of the successful runs did not exceed; no time at all if there was none.
    pub fn percentile(&self, percent: usize) -> Duration {
        let mut sorted = self.succeeded.clone();
        sorted.sort();
        let rank = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
        sorted.get(rank).copied().unwrap_or_default()
    }

    /// Requires that at least 99 % of the runs succeeded, and at least one.
    #[track_caller]
    pub fn are_served(&self) {
        assert!(self.failures() * 100 <= self.runs() && !self.succeeded.is_empty(), "{self}");
    }
}

impl fmt::Display for Latencies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [half, most, all] = [50, 99, 100].map(|percent| self.percentile(percent));
        write!(f, "{} runs, {} failed, p50 {half:?}, p99 {most:?}, ", self.runs(), self.failures())?;
        write!(f, "longest {all:?}")?;
        self.failed.first().map_or(Ok(()), |first| write!(f, "; first failure: {first}"))
    }
}
