//! A command on a connection that is open already, through the library.

mod in_flight;

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Result, ensure};
use client::Client;
use common::job::Outcome;
use tokio::runtime::{Builder, Runtime};

use crate::goal::Goal;
use crate::options::Options;
use crate::report::{Report, Table};
use crate::sandbox::Sandbox;
use crate::statistics::Samples;
use crate::under_test::{Programs, Telex};

/// How many times as long as a local `sh -c true` a warm job may take.
const GOAL: f64 = 1.3;

const MILLISECONDS: f64 = 1000.0;

/// A connection and the runtime that serves it.
struct Connection {
    runtime: Runtime,
    client: Arc<Client>,
}

pub(crate) fn measure(options: &Options, programs: &Programs, report: &mut Report) -> Result<()> {
    let sandbox = Sandbox::new()?;
    let telex = Telex::start(programs, &sandbox)?;
    let single = Connection::new(&telex, &sandbox, &mut Builder::new_current_thread())?;
    let multi = Connection::new(&telex, &sandbox, &mut Builder::new_multi_thread())?;
    latency(options, &sandbox, [&single, &multi], report)?;
    in_flight::measure(options, &sandbox, [&single, &multi], report)
}

fn latency(
    options: &Options,
    sandbox: &Sandbox,
    [single, multi]: [&Connection; 2],
    report: &mut Report,
) -> Result<()> {
    let (rounds, warm_up) = (options.rounds(300, 50), 10);
    let (mut local, mut library, mut threads) = (Samples::default(), Samples::default(), Samples::default());
    for round in 0..warm_up + rounds {
        let times = [seconds(|| shell(sandbox))?, seconds(|| single.job())?, seconds(|| multi.job())?];
        if round >= warm_up {
            for (samples, time) in [&mut local, &mut library, &mut threads].into_iter().zip(times) {
                samples.push(time);
            }
        }
    }
    let title = format!("warm job, library, {rounds} rounds");
    let mut table = Table::new(title, &["p50 ms", "p99 ms", "min ms", "x sh -c"]);
    let mut row = |name, samples: &Samples, judged: bool| {
        let numbers = [samples.median(), samples.percentile(99), samples.minimum()];
        let [p50, p99, minimum] = numbers.map(|seconds| seconds * MILLISECONDS);
        let ratio = samples.median() / local.median();
        let goal = judged.then(|| Goal::at_most(ratio, GOAL, "x sh -c true"));
        table.row(name, &[p50, p99, minimum, ratio], goal);
    };
    row("sh -c true", &local, false);
    row("shell(\"true\").status(), one thread", &library, true);
    row("the same on a runtime of many threads", &threads, false);
    report.table(table);
    Ok(())
}

impl Connection {
    fn new(telex: &Telex, sandbox: &Sandbox, runtime: &mut Builder) -> Result<Self> {
        let runtime = runtime.enable_all().build()?;
        let client = runtime.block_on(async {
            let client = telex.connect(sandbox).await?;
            client.ready().await?;
            anyhow::Ok(client)
        })?;
        Ok(Self { runtime, client: Arc::new(client) })
    }

    fn job(&self) -> Result<()> {
        self.runtime.block_on(job(&self.client))
    }
}

async fn job(client: &Client) -> Result<()> {
    let outcome = client.shell("true").status().await?;
    ensure!(outcome == Outcome::Exited(0), "the job {outcome}");
    Ok(())
}

fn shell(sandbox: &Sandbox) -> Result<()> {
    ensure!(sandbox.local_shell("true").status()?.success(), "sh failed");
    Ok(())
}

fn seconds(action: impl FnOnce() -> Result<()>) -> Result<f64> {
    let start = Instant::now();
    action()?;
    Ok(start.elapsed().as_secs_f64())
}
