//! What a job that does nothing costs the server in memory of its own.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use client::{Client, Job};
use tokio::runtime::Builder;

use crate::goal::Goal;
use crate::options::Options;
use crate::report::{Report, Table};
use crate::sandbox::Sandbox;
use crate::system;
use crate::under_test::{Programs, Telex};

/// KiB that a job may cost.
const GOAL: f64 = 40.0;

/// A connection and a job hold eight descriptors of the server's at most; and there are others.
const DESCRIPTORS_PER_JOB: u64 = 8;

/// How long jobs may take to go once their connections are gone, and how often that is looked at: the look costs too.
const GONE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(100);
const LEFT: &str = "jobs are left a minute after their connections";

pub(crate) fn measure(
    options: &Options,
    programs: &Programs,
    descriptors: u64,
    report: &mut Report,
) -> Result<()> {
    let (few, jobs) = options.pick((10, 1000), (10, 200));
    let needed = u64::from(jobs) * DESCRIPTORS_PER_JOB + 256;
    ensure!(descriptors >= needed, "only {descriptors} open files allowed; needs {needed} (ulimit -Hn)");
    let mut table =
        Table::new(format!("{jobs} idle jobs"), &["KiB a job", "anonymous", "server MiB", "end s"]);
    let mut all_gone = true;
    for connections in [few, jobs] {
        let growth = growth(programs, connections, jobs / connections)?;
        let [share, anonymous] = [growth.share, growth.anonymous].map(|growth| growth / f64::from(jobs));
        // Others that map the same libraries make the share smaller; that is not to the server's credit.
        let goal = Goal::at_most(share.max(anonymous), GOAL, "KiB a job");
        all_gone &= growth.end.is_some();
        let end = growth.end.map_or(f64::NAN, |end| end.as_secs_f64());
        let name = format!("on {connections} connections");
        table.row(name, &[share, anonymous, growth.total / 1024.0, end], Some(goal));
    }
    report.table(table);
    ensure!(all_gone, LEFT);
    Ok(())
}

/// KiB that came with the jobs, and that there are altogether; how long the jobs outlived their connections.
struct Growth {
    share: f64,
    anonymous: f64,
    total: f64,
    end: Option<Duration>,
}

/// Starts a server and its jobs, and ends them all.
fn growth(programs: &Programs, connections: u32, jobs: u32) -> Result<Growth> {
    let sandbox = Sandbox::new()?;
    let telex = Telex::start(programs, &sandbox)?;
    // With a thread of its own, so that connections close when they are dropped and not at the next `block_on`.
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    // What the first job of all brings with it is the server's, not the jobs'.
    drop(runtime.block_on(connect(&telex, &sandbox, 1))?);
    wait_until_gone(&telex).context(LEFT)?;
    let before = system::memory(telex.id())?;
    let after = runtime.block_on(async {
        let mut idle = Vec::new();
        for _ in 0..connections {
            idle.push(connect(&telex, &sandbox, jobs).await?);
        }
        let after = system::memory(telex.id())?;
        let running = system::children(telex.id());
        ensure!(running == (connections * jobs) as usize, "only {running} jobs run");
        anyhow::Ok(after)
    })?;
    let end = wait_until_gone(&telex);
    let (share, anonymous) = (after.share - before.share, after.anonymous - before.anonymous);
    Ok(Growth { share, anonymous, total: after.share, end })
}

/// Waits until the server has no process any more; how long that took, if it came to pass.
fn wait_until_gone(telex: &Telex) -> Option<Duration> {
    let start = Instant::now();
    while system::children(telex.id()) > 0 {
        if start.elapsed() > GONE {
            return None;
        }
        thread::sleep(LOOK);
    }
    Some(start.elapsed())
}

/// A connection with jobs that sleep; they end when it is dropped.
async fn connect(telex: &Telex, sandbox: &Sandbox, jobs: u32) -> Result<(Vec<Job>, Client)> {
    let client = telex.connect(sandbox).await?;
    let mut idle = Vec::new();
    for _ in 0..jobs {
        let job = client.command("sleep").arg("1000").spawn().await?;
        ensure!(job.started().await?.is_some(), "a job did not start: {}", job.wait().await?.outcome);
        idle.push(job);
    }
    Ok((idle, client))
}
