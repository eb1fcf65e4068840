//! A one-shot command: the whole process, from its start to its end, connection and greeting included.

use std::time::Duration;

use anyhow::Result;

use crate::goal::Goal;
use crate::options::Options;
use crate::peers::{OpenSsh, Socat, installed};
use crate::race::{Contestant, Course, race};
use crate::report::{Report, Table};
use crate::sandbox::Sandbox;
use crate::under_test::{Programs, Telex};

/// How many times as long as `sh -c true` a one-shot over TCP may take.
const GOAL: f64 = 3.5;

/// ssh takes a hundred times as long as all others together.
const SSH_EVERY: u32 = 5;

const MILLISECONDS: f64 = 1000.0;

pub(crate) fn measure(options: &Options, programs: &Programs, report: &mut Report) -> Result<()> {
    let sandbox = Sandbox::new()?;
    let telex = Telex::start(programs, &sandbox)?;
    telex.check_client(&sandbox)?;
    let socat = installed("socat", Socat::start(&sandbox, &[], "EXEC:/bin/sh -c true"), report);
    let ssh = installed("OpenSSH", OpenSsh::start(&sandbox), report);

    let mut contestants = vec![
        Contestant::new("sh -c true", sandbox.local_shell("true")),
        Contestant::new("client run true, TCP", telex.run(&sandbox, &telex.tcp, "true")).judged(),
        Contestant::new("client run true, Unix socket", telex.run(&sandbox, &telex.unix, "true")),
    ];
    if let Some(socat) = &socat {
        contestants.push(Contestant::new("socat, TCP", socat.connect(&sandbox, &[], false)));
    }
    if let Some(ssh) = &ssh {
        contestants.push(Contestant::new("ssh true", ssh.run(&sandbox, "true")).every(SSH_EVERY));
    }
    let course = Course { rounds: options.rounds(100, 20), warm_up: 3, pause: Duration::from_millis(2) };
    race(&mut contestants, course)?;

    let local = contestants.first().map_or(f64::NAN, |local| local.wall.median());
    let title = format!("cold one-shot, {} rounds", course.rounds);
    let mut table = Table::new(title, &["p50 ms", "p99 ms", "min ms", "CPU ms", "x sh -c"]);
    for contestant in &contestants {
        let wall = &contestant.wall;
        let ratio = wall.median() / local;
        let numbers = [wall.median(), wall.percentile(99), wall.minimum(), contestant.cpu.median()];
        let [p50, p99, minimum, cpu] = numbers.map(|seconds| seconds * MILLISECONDS);
        let goal = contestant.judged.then(|| Goal::at_most(ratio, GOAL, "x sh -c true"));
        table.row(contestant.name, &[p50, p99, minimum, cpu, ratio], goal);
    }
    report.table(table);
    Ok(())
}
