//! A job that outlives its server: what it costs beside one that does not, until its client knows that it runs.

use std::time::Duration;

use anyhow::Result;

use crate::goal::Goal;
use crate::options::Options;
use crate::race::{Contestant, Course, race};
use crate::report::{Report, Table};
use crate::sandbox::Sandbox;
use crate::under_test::{Programs, Telex};

/// How many milliseconds more than an attached one a detached one may take.
const GOAL: f64 = 3.0;

/// The end of one job is written to the disk while the next one starts, unless that waits.
const PAUSE: Duration = Duration::from_millis(30);

const MILLISECONDS: f64 = 1000.0;

pub(crate) fn measure(options: &Options, programs: &Programs, report: &mut Report) -> Result<()> {
    let sandbox = Sandbox::new()?;
    let telex = Telex::start(programs, &sandbox)?;
    telex.check_client(&sandbox)?;
    let detached = telex.run_detached(&sandbox, &telex.unix, "true");
    let mut contestants = [
        Contestant::new("client run true", telex.run(&sandbox, &telex.unix, "true")),
        Contestant::new("client run --detach true", detached).judged(),
    ];
    let course = Course { rounds: options.rounds(150, 20), warm_up: 3, pause: PAUSE };
    race(&mut contestants, course)?;

    let attached = contestants.first().map_or(f64::NAN, |attached| attached.wall.median());
    let title = format!("detached, Unix socket, {} rounds", course.rounds);
    let mut table = Table::new(title, &["p50 ms", "p99 ms", "min ms", "CPU ms", "more ms"]);
    for contestant in &contestants {
        let wall = &contestant.wall;
        let numbers = [
            wall.median(),
            wall.percentile(99),
            wall.minimum(),
            contestant.cpu.median(),
            wall.median() - attached,
        ];
        let numbers = numbers.map(|seconds| seconds * MILLISECONDS);
        let [.., more] = numbers;
        let goal = contestant.judged.then(|| Goal::at_most(more, GOAL, "ms more"));
        table.row(contestant.name, &numbers, goal);
    }
    report.table(table);
    Ok(())
}
