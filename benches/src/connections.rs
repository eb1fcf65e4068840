//! What a connection that does nothing costs the server in memory: it has proven a key, was let in, and asks for nothing.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::time::Instant;

use anyhow::{Result, bail, ensure};
use common::connection::{PacketReader, packet_bytes};
use common::greeting::Hello;
use common::message::{ClientMessage, ServerMessage};
use common::packet::Packet;
use common::tls::{TlsReader, TlsWriter};
use tokio::runtime::Builder;
use tokio::task::JoinSet;

use crate::goal::Goal;
use crate::keys::Keys;
use crate::options::Options;
use crate::report::{Report, Table};
use crate::sandbox::Sandbox;
use crate::system;
use crate::under_test::{Programs, Telex};

/// KiB that a connection may cost.
const GOAL: f64 = 20.0;

/// Connections that log in at a time: as many as a server lets one address have.
const AT_A_TIME: u32 = 8;

/// Descriptors that both sides need beside those of the connections.
const OTHER_DESCRIPTORS: u64 = 256;

/// A connection that is kept, with as little as it can be kept with.
type Idle = (PacketReader<TlsReader, ServerMessage>, TlsWriter);

pub(crate) fn measure(
    options: &Options,
    programs: &Programs,
    descriptors: u64,
    report: &mut Report,
) -> Result<()> {
    let connections = options.pick(10_000, 1000);
    let needed = u64::from(connections) + OTHER_DESCRIPTORS;
    ensure!(descriptors >= needed, "only {descriptors} open files allowed; needs {needed} (ulimit -Hn)");
    let sandbox = Sandbox::new()?;
    let telex = Telex::start(programs, &sandbox)?;
    let (keys, address) = (sandbox.keys(), telex.address()?);
    // With a thread of its own, so that connections close when they are dropped and not at the next `block_on`.
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    // What the first ones bring with them is the server's.
    drop(runtime.block_on(connect_many(keys, address, AT_A_TIME))?);
    let before = system::memory(telex.id())?;
    let start = Instant::now();
    let idle = runtime.block_on(connect_many(keys, address, connections))?;
    let rate = f64::from(connections) / start.elapsed().as_secs_f64();
    let after = system::memory(telex.id())?;
    let open = system::open_files(telex.id())?;
    ensure!(open >= idle.len(), "the server has only {open} files open");
    let each = |after: f64, before: f64| (after - before) / f64::from(connections);
    let resident = each(after.resident, before.resident);
    let anonymous = each(after.anonymous, before.anonymous);
    let title = format!("{connections} idle connections");
    let mut table = Table::new(title, &["KiB each", "anonymous", "server MiB", "logins/s"]);
    let goal = Goal::at_most(resident, GOAL, "KiB a connection");
    table.row("TCP, logged in", &[resident, anonymous, after.resident / 1024.0, rate], Some(goal));
    report.table(table);
    Ok(())
}

async fn connect_many(keys: &Keys, address: SocketAddr, count: u32) -> Result<Vec<Idle>> {
    let mut workers = JoinSet::new();
    for worker in 0..AT_A_TIME {
        let (keys, share) = (keys.clone(), (count + worker) / AT_A_TIME);
        workers.spawn(async move {
            let mut idle = Vec::new();
            for _ in 0..share {
                idle.push(log_in(&keys, address).await?);
            }
            anyhow::Ok(idle)
        });
    }
    let mut all = Vec::new();
    while let Some(idle) = workers.join_next().await {
        all.extend(idle??);
    }
    Ok(all)
}

async fn log_in(keys: &Keys, address: SocketAddr) -> Result<Idle> {
    let (reader, mut writer) = keys.connect(address).await?.split();
    let mut hello = packet_bytes::<ClientMessage>(Packet::Hello(Hello::new("", "compare")))?;
    while !hello.is_empty() || !writer.is_flushed() {
        poll_fn(|context| writer.poll_send(context, &mut hello)).await?;
    }
    let mut reader = PacketReader::new(reader);
    match reader.next().await? {
        Some(Packet::Welcome(_)) => Ok((reader, writer)),
        said => bail!("the server does not say welcome, but {said:?}"),
    }
}
