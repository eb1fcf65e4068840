//! Whole processes that take turns, so that whatever else the machine does falls on all alike.

use std::fs::File;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::statistics::Samples;
use crate::system;

/// A program that is run again and again.
#[derive(Debug)]
pub(crate) struct Contestant {
    pub(crate) name: &'static str,
    command: Command,
    stdin: Option<PathBuf>,
    every: u32,
    /// Whether its ratio has a goal to meet.
    pub(crate) judged: bool,
    /// Seconds from the start of the process to its end.
    pub(crate) wall: Samples,
    /// Seconds of CPU of the process and of its own children; not of any server.
    pub(crate) cpu: Samples,
}

impl Contestant {
    pub(crate) fn new(name: &'static str, command: Command) -> Self {
        Self {
            name,
            command,
            stdin: None,
            every: 1,
            judged: false,
            wall: Samples::default(),
            cpu: Samples::default(),
        }
    }

    /// Takes part in one round of `rounds` only, because it is slow.
    pub(crate) fn every(mut self, rounds: u32) -> Self {
        self.every = rounds;
        self
    }

    /// Has a goal to meet.
    pub(crate) fn judged(mut self) -> Self {
        self.judged = true;
        self
    }

    /// Reads this file from its beginning in each run.
    pub(crate) fn stdin(mut self, file: impl Into<PathBuf>) -> Self {
        self.stdin = Some(file.into());
        self
    }

    /// In how many of so many rounds it takes part.
    pub(crate) fn runs(&self, rounds: u32) -> u32 {
        rounds.div_ceil(self.every)
    }

    fn run(&mut self) -> Result<(Duration, Duration)> {
        if let Some(path) = &self.stdin {
            self.command.stdin(File::open(path)?);
        }
        let before = system::children_cpu_time()?;
        let start = Instant::now();
        let status = self.command.status().with_context(|| format!("cannot start {}", self.name))?;
        let wall = start.elapsed();
        ensure!(status.success(), "{} failed: {status}", self.name);
        Ok((wall, system::children_cpu_time()?.saturating_sub(before)))
    }
}

/// How long the race is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Course {
    pub(crate) rounds: u32,
    /// Rounds before the first that counts.
    pub(crate) warm_up: u32,
    /// Pause between two runs, in which the last one's server can clean up.
    pub(crate) pause: Duration,
}

/// Runs everyone once a round, each round in another order, so that nobody always follows the same neighbour: who comes
/// after a large program finds the caches cold. The orders are the same in every race of as many rounds.
pub(crate) fn race(contestants: &mut [Contestant], course: Course) -> Result<()> {
    for _ in 0..course.warm_up {
        for contestant in contestants.iter_mut().filter(|contestant| contestant.every == 1) {
            contestant.run()?;
        }
    }
    let mut order: Vec<_> = contestants.iter_mut().collect();
    let mut random = fastrand::Rng::with_seed(u64::from(course.rounds));
    for round in 0..course.rounds {
        random.shuffle(&mut order);
        for contestant in order.iter_mut().filter(|contestant| round % contestant.every == 0) {
            thread::sleep(course.pause);
            let (wall, cpu) = contestant.run()?;
            contestant.wall.push(wall.as_secs_f64());
            contestant.cpu.push(cpu.as_secs_f64());
        }
    }
    Ok(())
}
