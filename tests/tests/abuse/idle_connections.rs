//! Thousands of connections that nobody uses: they cost little memory, no time, and delay nobody.

use std::thread;
use std::time::Duration;

use tests::flood::{Insider, Probe, connect_task_from, cpu_time, raise_descriptor_limit, source};
use tests::{TestServer, client_key, resident_bytes};
use tokio::task::JoinSet;

use super::address;

/// Memory of one. The state of a task is larger without optimisation.
const ALLOWED_BYTES: u64 = if cfg!(debug_assertions) { 32 } else { 20 } * 1024;

/// Those that come at the same time: fewer than the places of one source.
const AT_A_TIME: usize = 4;

struct Idle {
    connections: usize,
    /// The window in which the server's CPU time is taken: the subject measured, not a wait for something to happen.
    watched: Duration,
    probes: usize,
}

impl Idle {
    /// The probe's slow runs meanwhile: 99 % took less.
    async fn run(&self) -> Duration {
        // Two descriptors each: one at either end.
        assert!(raise_descriptor_limit() > self.connections as u64 + 200, "too few descriptors");
        let mut server = TestServer::options().listen("127.0.0.1:0").after("ulimit -n $(ulimit -Hn)").start();
        server.run(["true"]).exits(0);
        let process = server.process_id();
        let before = resident_bytes(process);
        let idle = self.connect(&server).await;
        let each = resident_bytes(process).saturating_sub(before) / self.connections as u64;

        let cpu_before = cpu_time(process);
        thread::sleep(self.watched);
        let cpu = cpu_time(process) - cpu_before;

        let probe = Probe::start(&server, Duration::from_millis(50));
        probe.wait_for_runs(self.probes);
        let latencies = probe.finish();
        println!("{each} bytes each; {cpu:?} of CPU in {:?}; {latencies}", self.watched);
        assert!(each < ALLOWED_BYTES, "{each} bytes for each connection");
        assert!(cpu * 20 < self.watched, "{cpu:?} of CPU for doing nothing");
        latencies.are_served();
        drop(idle);
        server.still_serves();
        latencies.percentile(99)
    }

    async fn connect(&self, server: &TestServer) -> Vec<Insider> {
        let (address, mut idle, mut coming) = (address(server), Vec::new(), JoinSet::new());
        for number in 0..self.connections {
            if coming.len() == AT_A_TIME {
                idle.extend(coming.join_next().await.transpose().unwrap());
            }
            coming.spawn(async move {
                let from = source((number % 250) as u16);
                Insider::enter(connect_task_from(from, address).await.unwrap(), client_key()).await
            });
        }
        idle.extend(coming.join_all().await);
        assert_eq!(idle.len(), self.connections);
        idle
    }
}

/// 400 of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn idle_connections_cost_little() {
    Idle { connections: 400, watched: Duration::from_secs(1), probes: 20 }.run().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
#[ignore = "takes a minute and ten thousand descriptors twice"]
async fn ten_thousand_idle_connections_cost_little_and_delay_nobody() {
    let idle = Idle { connections: 10_000, watched: Duration::from_secs(10), probes: 200 };
    let p99 = idle.run().await;
    let promised = super::on_this_machine(Duration::from_millis(50));
    assert!(p99 < promised, "{p99:?}, promised {promised:?}");
}
