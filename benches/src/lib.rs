//! How Telex compares with `sh -c`, `socat` and OpenSSH on this machine, in one run.
//!
//! Everything that is compared is measured in turns, a run of each per round, so that a neighbour's load falls on all
//! alike; what counts are the ratios. No test depends on any of it.
//!
//! - `cold`, `warm`, `detached`, `echo`, `throughput`, `memory`, `connections`, `round_trips`: a measurement each
//! - `under_test`, `peers`: the real server and client, and the tools beside them
//! - `race`, `statistics`, `goal`, `report`: taking turns, counting, judging, printing
//! - `sandbox`, `keys`, `daemon`: a home for it all, what lets clients in, programs in the background
//! - `memory_file`, `slow_link`, `system`: something to send, something that delays it, what the kernel knows
//! - `typist`: somebody who types

mod cold;
mod connections;
mod daemon;
mod detached;
mod echo;
mod goal;
mod keys;
mod memory;
mod memory_file;
mod options;
mod peers;
mod race;
mod report;
mod round_trips;
mod sandbox;
mod slow_link;
mod statistics;
mod system;
mod throughput;
mod typist;
mod under_test;
mod warm;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

use options::{Options, Part};
use report::Report;
use under_test::Programs;

/// Exit code of a run in which something could not be measured.
const NOT_MEASURED: u8 = 2;

/// The whole program.
pub fn main() -> ExitCode {
    let options = Options::parse();
    match run(&options) {
        Ok(report) if options.check && !report.all_met() => ExitCode::FAILURE,
        Ok(report) if report.all_measured() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::from(NOT_MEASURED),
        Err(error) => {
            eprintln!("compare: {error:#}");
            ExitCode::from(NOT_MEASURED)
        }
    }
}

fn run(options: &Options) -> Result<Report> {
    let programs = Programs::install()?;
    let descriptors = system::raise_descriptor_limit()?;
    let mut report = Report::default();
    report.note(&system::describe());
    report.note(programs.describe());
    for part in options.parts() {
        let result = match part {
            Part::Cold => cold::measure(options, &programs, &mut report),
            Part::Warm => warm::measure(options, &programs, &mut report),
            Part::Detached => detached::measure(options, &programs, &mut report),
            Part::Echo => echo::measure(options, &programs, &mut report),
            Part::Throughput => throughput::measure(options, &programs, &mut report),
            Part::Memory => memory::measure(options, &programs, descriptors, &mut report),
            Part::Connections => connections::measure(options, &programs, descriptors, &mut report),
            Part::RoundTrips => round_trips::measure(options, &programs, &mut report),
        };
        if let Err(error) = result {
            // The other parts may still tell something.
            report.failed(&format!("{part:?}"), &error);
        }
    }
    report.summarise();
    Ok(report)
}
