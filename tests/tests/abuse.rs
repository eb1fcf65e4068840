//! Attacks on a server that anybody can reach, and what each of them gets: nothing, at a bounded price, while others are
//! served.
//!
//! Every attack has a short form among the ordinary tests, and its full length in `just abuse`. The numbers are those
//! that `docs/security.md` promises for a quiet machine; what is measured in time gets a margin on a busy one.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "abuse/connection_flood.rs"]
mod connection_flood;
#[path = "abuse/enumeration.rs"]
mod enumeration;
#[path = "abuse/garbage.rs"]
mod garbage;
#[path = "abuse/handshake_flood.rs"]
mod handshake_flood;
#[path = "abuse/idle_connections.rs"]
mod idle_connections;
#[path = "abuse/rapid_cancel.rs"]
mod rapid_cancel;
#[path = "abuse/slow_strangers.rs"]
mod slow_strangers;
#[path = "abuse/unread_replies.rs"]
mod unread_replies;

use std::fs;
use std::net::SocketAddr;
use std::thread::available_parallelism;
use std::time::Duration;

use tests::TestServer;

const MIB: u64 = 1024 * 1024;

/// Where a server listens that listens on TCP.
fn address(server: &TestServer) -> SocketAddr {
    server.address().parse().unwrap()
}

/// What a promised time is on this machine now: more, if others want its processors, too.
fn on_this_machine(promised: Duration) -> Duration {
    let load = fs::read_to_string("/proc/loadavg").unwrap();
    let load: f64 = load.split(' ').next().unwrap().parse().unwrap();
    let cores = available_parallelism().map_or(1, usize::from) as f64;
    promised.mul_f64(1.0 + load / cores)
}
