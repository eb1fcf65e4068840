//! What can be said on the command line, and what each measurement does when nothing is said.

use clap::{Parser, ValueEnum};

/// Measures Telex beside `sh -c`, socat and OpenSSH, in turns, on this machine.
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Options {
    /// Measure only this; repeatable.
    #[arg(long, value_enum, value_name = "PART")]
    only: Vec<Part>,
    /// Rounds of each measurement, instead of its own number.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rounds: Option<u32>,
    /// Fewer rounds, less data, fewer jobs and connections: to see that it works, not to believe the numbers.
    #[arg(long)]
    quick: bool,
    /// Exit 1 if a goal is missed or could not be judged.
    #[arg(long)]
    pub(crate) check: bool,
}

/// A measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// A one-shot command, from the start of the client's process to its end.
    Cold,
    /// A command on a connection that is open already.
    Warm,
    /// A job that outlives its server, until its client knows that it runs.
    Detached,
    /// A key on a terminal, until it is shown.
    Echo,
    /// Bytes from and to a command.
    Throughput,
    /// What a job that does nothing costs the server.
    Memory,
    /// What a connection that does nothing costs the server.
    Connections,
    /// How often bytes have to cross the network until output is there.
    RoundTrips,
}

impl Options {
    /// What is to be measured, in order.
    pub(crate) fn parts(&self) -> Vec<Part> {
        let asked = |part: &Part| self.only.is_empty() || self.only.contains(part);
        Part::value_variants().iter().copied().filter(asked).collect()
    }

    /// The number of rounds: as asked for, else `normal`, or `quick` if that was asked for.
    pub(crate) fn rounds(&self, normal: u32, quick: u32) -> u32 {
        self.rounds.unwrap_or_else(|| self.pick(normal, quick))
    }

    /// `quick` if that was asked for, else `normal`.
    pub(crate) fn pick<T>(&self, normal: T, quick: T) -> T {
        if self.quick { quick } else { normal }
    }
}
