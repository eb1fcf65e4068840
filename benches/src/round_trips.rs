//! How often bytes cross the network until the first byte of a command's output is there, from nothing.
//!
//! A long way is put between the programs, so that everything else takes no time beside it.

use std::io::Read;
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::goal::Goal;
use crate::options::Options;
use crate::peers::{OpenSsh, installed};
use crate::report::{Report, Table};
use crate::sandbox::Sandbox;
use crate::slow_link::SlowLink;
use crate::statistics::Samples;
use crate::under_test::{Programs, Telex};

/// What the way takes in one direction.
const DELAY: Duration = Duration::from_millis(50);

/// Round trips that Telex needs, TCP's own included.
const GOAL: f64 = 3.0;

/// How many times the way there and back it may take once TCP is connected: those round trips, and some milliseconds.
const TIME_GOAL: f64 = 2.1;

/// Connecting to the link takes no time, since it is here; to whoever is at its other end, it would take a round trip.
const OF_TCP: f64 = 1.0;

const TEXT: &str = "echo output";

/// What was measured of a program.
#[derive(Debug, Default)]
struct Trips {
    /// Round trips behind TCP's own.
    answers: Samples,
    /// Times of the way there and back, from the start of the process.
    time: Samples,
}

pub(crate) fn measure(options: &Options, programs: &Programs, report: &mut Report) -> Result<()> {
    let sandbox = Sandbox::new()?;
    let telex = Telex::start(programs, &sandbox)?;
    telex.check_client(&sandbox)?;
    let ssh = installed("OpenSSH", OpenSsh::start(&sandbox), report);
    let rounds = options.rounds(10, 2);

    let server = telex.address()?;
    let client = |address: SocketAddr| telex.run(&sandbox, &address.to_string(), TEXT);
    let telex = trips(rounds, server, client)?;
    let title = format!("to the first byte, {} ms each way, {rounds} rounds", DELAY.as_millis());
    let mut table = Table::new(title, &["round trips", "min x way", "p50 x way"]);
    let all = telex.answers.percentile(100) + OF_TCP;
    let goals = [
        Goal::at_most(all, GOAL, "round trips"),
        Goal::at_most(telex.time.median(), TIME_GOAL, "x there and back"),
    ];
    table.row("client run, TCP", &[all, telex.time.minimum(), telex.time.median()], goals);
    if let Some(ssh) = &ssh {
        let trips = trips(rounds.min(3), ssh.address(), |address| ssh.run_at(address, &sandbox, TEXT))?;
        let all = trips.answers.percentile(100) + OF_TCP;
        table.row("ssh", &[all, trips.time.minimum(), trips.time.median()], None);
    }
    report.table(table);
    Ok(())
}

/// Starts `client` again and again, each time at a link to `server` that is new.
fn trips(rounds: u32, server: SocketAddr, client: impl Fn(SocketAddr) -> Command) -> Result<Trips> {
    let mut trips = Trips::default();
    for _ in 0..rounds {
        let link = SlowLink::start(server, DELAY, u32::MAX)?;
        let mut command = client(link.address());
        let start = Instant::now();
        let mut child = command.stdout(Stdio::piped()).spawn()?;
        let mut stdout = child.stdout.take().context("no stdout")?;
        stdout.read_exact(&mut [0]).context("no output")?;
        trips.time.push(start.elapsed().as_secs_f64() / (2 * DELAY).as_secs_f64());
        trips.answers.push(link.answers().into());
        drop(stdout);
        let status = child.wait()?;
        ensure!(status.success(), "it failed: {status}");
    }
    Ok(trips)
}
