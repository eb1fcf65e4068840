//! Many commands at a time on one connection: how many of them are done in a second.

use std::sync::Arc;
use std::thread;

use anyhow::{Context, Result};
use client::Client;

use super::{Connection, job, seconds, shell};
use crate::options::Options;
use crate::report::{Report, Table};
use crate::sandbox::Sandbox;
use crate::statistics::Samples;

/// Commands under way at a time, and how many of them make a round.
const IN_FLIGHT: u32 = 32;
const PER_ROUND: u32 = 640;

/// Rounds that are enough, however many are asked for.
const MOST_ROUNDS: u32 = 20;

pub(super) fn measure(
    options: &Options,
    sandbox: &Sandbox,
    [single, multi]: [&Connection; 2],
    report: &mut Report,
) -> Result<()> {
    let rounds = options.rounds(5, 2).min(MOST_ROUNDS);
    let (mut local, mut library, mut threads) = (Samples::default(), Samples::default(), Samples::default());
    for _ in 0..rounds {
        local.push(f64::from(PER_ROUND) / seconds(|| many_shells(sandbox))?);
        library.push(f64::from(PER_ROUND) / seconds(|| many_jobs(single))?);
        threads.push(f64::from(PER_ROUND) / seconds(|| many_jobs(multi))?);
    }
    let title = format!("{IN_FLIGHT} at a time, {rounds} rounds");
    let mut table = Table::new(title, &["per second", "x sh -c"]);
    let mut row = |name, samples: &Samples| {
        table.row(name, &[samples.median(), samples.median() / local.median()], None);
    };
    row("sh -c true", &local);
    row("shell(\"true\").status(), one thread", &library);
    row("the same on a runtime of many threads", &threads);
    report.table(table);
    Ok(())
}

fn many_jobs(connection: &Connection) -> Result<()> {
    let worker = |client: Arc<Client>| async move {
        for _ in 0..PER_ROUND / IN_FLIGHT {
            job(&client).await?;
        }
        anyhow::Ok(())
    };
    connection.runtime.block_on(async {
        let workers: Vec<_> =
            (0..IN_FLIGHT).map(|_| tokio::spawn(worker(Arc::clone(&connection.client)))).collect();
        for worker in workers {
            worker.await??;
        }
        Ok(())
    })
}

fn many_shells(sandbox: &Sandbox) -> Result<()> {
    let worker = || (0..PER_ROUND / IN_FLIGHT).try_for_each(|_| shell(sandbox));
    thread::scope(|scope| {
        let workers: Vec<_> = (0..IN_FLIGHT).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().try_for_each(|worker| worker.join().ok().context("a thread panicked")?)
    })
}
