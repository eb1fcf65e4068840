//! A client is a process for one command, so what its start costs is paid for every command. The library below TLS can
//! make it pay ten times as much, by a default that only the build can change; see `.cargo/config.toml`.
//!
//! One test only: it counts the CPU time of every child of this process.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use tests::TestServer;

/// CPU time that a whole `run true` over TLS may take. An optimised client takes 2 ms, one that is not 6 to 10, and the
/// default adds 30 to either.
const LIMIT: Duration = Duration::from_millis(if cfg!(debug_assertions) { 20 } else { 3 });

/// Other programs can make a run dearer, and none cheaper. With so many, one of them was hardly disturbed.
const RUNS: usize = 20;

#[test]
fn starting_a_client_takes_little_cpu_time() {
    let server = TestServer::start();
    let least = (0..RUNS).map(|_| cpu_time(|| drop(server.run(["true"]).exits(0)))).min().unwrap();
    assert!(least < LIMIT, "{least:?}; is AWS_LC_SYS_NO_JITTER_ENTROPY set when aws-lc-sys is built?");
}

/// User and system time of the children that `action` starts and waits for.
fn cpu_time(action: impl FnOnce()) -> Duration {
    let children = || {
        let usage = getrusage(UsageWho::RUSAGE_CHILDREN).unwrap();
        (usage.user_time() + usage.system_time()).num_microseconds()
    };
    let before = children();
    action();
    Duration::from_micros((children() - before).try_into().unwrap())
}
