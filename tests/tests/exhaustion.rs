//! A server that has run out of descriptors waits for some, without spinning and without flooding its log, and serves again
//! when there are some.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use std::fs;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use tests::{DEADLINE, TestServer, wait_until};

/// Descriptors that the server has.
const DESCRIPTORS: usize = 64;

/// Clients that come.
const CLIENTS: usize = 200;

/// How long they stay.
const STAY: Duration = Duration::from_secs(3);

/// How soon it serves again: what was promised, and a margin for a busy machine.
const RECOVERY: Duration = Duration::from_secs(5);

/// Processor time that a process has used, in ticks of 10 ms.
fn ticks(process: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let fields: Vec<u64> = stat
        .rsplit_once(") ")
        .unwrap()
        .1
        .split(' ')
        .skip(11)
        .take(2)
        .map(|field| field.parse().unwrap())
        .collect();
    fields.iter().sum()
}

#[test]
fn without_descriptors_it_waits_and_then_serves_again() {
    let settings = "[limits]\nunauthenticated = 1000\nunauthenticated_per_source = 1000\nclient_hello_timeout = \"1h\"\n\
                    login_timeout = \"1h\"\nexempt = [\"127.0.0.0/8\"]\n";
    let options = TestServer::options().settings("server.toml", settings).listen("127.0.0.1:0");
    let mut server = options.after(&format!("ulimit -n {DESCRIPTORS}")).start();
    let failures = || server.log().matches("cannot accept connections").count();
    let clients: Vec<_> = (0..CLIENTS).map(|_| TcpStream::connect(server.address()).unwrap()).collect();
    wait_until("there are no descriptors left", DEADLINE, || failures() > 0);
    let (before, since) = (ticks(server.process_id()), Instant::now());
    wait_until("they have stayed for a while", DEADLINE, || since.elapsed() >= STAY);
    let used = ticks(server.process_id()) - before;
    // A tenth of a processor.
    assert!(Duration::from_millis(10 * used) < since.elapsed() / 10, "{used} ticks in {:?}", since.elapsed());
    assert!(server.log().lines().count() <= 20, "{}", server.log());
    drop(clients);
    let gone = Instant::now();
    server.still_serves();
    assert!(gone.elapsed() < RECOVERY, "{:?}", gone.elapsed());
}
