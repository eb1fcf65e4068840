//! Strangers that take their time (slow loris): they fill the table of those who have not logged in, and nobody is locked
//! out by that.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tests::flood::{Maximum, Probe, connect_task_from, descriptors, sockets, source};
use tests::{TestServer, resident_bytes, wait_until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;
use tokio::time;

use super::{MIB, address, on_this_machine};

/// Places that strangers share.
const PLACES: usize = 256;

/// Sockets that the server may have beyond [`PLACES`] for the blink of an eye: the probe's, one that is about to be turned
/// away, and those that make room but whose tasks have not run yet.
const ON_THEIR_WAY: usize = 16;

/// How every client's first word begins: a record with 512 bytes of a hello (RFC 8446, sections 4.1.2 and 5.1).
const HELLO: [u8; 9] = [22, 3, 1, 2, 0, 1, 0, 1, 0xfc];

/// Whoever was closed at once tries again after this long: 250 sources with 8 sockets each are 2,000 attempts a second.
const PAUSE: Duration = Duration::from_secs(1);

struct Attack {
    sources: u16,
    sockets_each: usize,
    /// From one byte to the next.
    pace: Duration,
    length: Duration,
    settings: &'static str,
    /// By when each connection has to be closed.
    closed_within: Duration,
}

/// Holds one place as long as it can, until `end`; the longest that it was held.
async fn hold(from: Ipv4Addr, server: std::net::SocketAddr, pace: Duration, end: Instant) -> Duration {
    let mut longest = Duration::ZERO;
    while Instant::now() < end {
        let begun = Instant::now();
        if let Ok(mut stream) = connect_task_from(from, server).await {
            // The first byte at once: it would be no stranger of this kind else.
            for byte in HELLO.into_iter().chain(std::iter::repeat(0)) {
                if stream.write_all(&[byte]).await.is_err() {
                    break;
                }
                let mut alert = [0; 64];
                if let Ok(Ok(0) | Err(_)) = time::timeout(pace, stream.read(&mut alert)).await {
                    break;
                }
            }
        }
        longest = longest.max(begun.elapsed());
        time::sleep(PAUSE.saturating_sub(begun.elapsed())).await;
    }
    longest
}

impl Attack {
    fn run(&self) {
        let server =
            TestServer::options().listen("127.0.0.1:0").settings("server.toml", self.settings).start();
        server.run(["true"]).exits(0);
        let process = server.process_id();
        let before = (descriptors(process), sockets(process), resident_bytes(process));

        let held = Maximum::of(move || sockets(process));
        let occupied = Maximum::of(move || resident_bytes(process) as usize);
        let probe = Probe::start(&server, Duration::from_secs(1));
        let longest = self.strangers(&server);
        let latencies = probe.finish();
        let held = held.take() - before.1;
        let grown = (occupied.take() as u64).saturating_sub(before.2);
        println!("{latencies}; {held} held, the longest for {longest:?}; grown by {} KiB", grown / 1024);

        latencies.are_served();
        assert!(held <= PLACES + ON_THEIR_WAY, "{held} connections held");
        assert!(held >= PLACES.min(usize::from(self.sources) * self.sockets_each / 2), "no attack: {held}");
        assert!(longest < on_this_machine(self.closed_within), "one was held for {longest:?}");
        assert!(grown < 40 * MIB, "grown by {grown} bytes");
        wait_until("the descriptors are free again", Duration::from_secs(35), || {
            descriptors(process) <= before.0 + 5
        });
        server.signal(Signal::TERM);
    }

    fn strangers(&self, server: &TestServer) -> Duration {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (server, end) = (address(server), Instant::now() + self.length);
        runtime.block_on(async {
            let mut strangers = JoinSet::new();
            for number in 0..self.sources {
                for _ in 0..self.sockets_each {
                    strangers.spawn(hold(source(number), server, self.pace, end));
                }
            }
            strangers.join_all().await.into_iter().max().unwrap()
        })
    }
}

/// 40 sources with 8 sockets each for 4 s; a first word has to be there within 1 s. No penalties, so that places are all
/// that is between the probe and the strangers.
#[test]
fn strangers_that_take_their_time_lock_nobody_out() {
    Attack {
        sources: 40,
        sockets_each: 8,
        pace: Duration::from_millis(400),
        length: Duration::from_secs(4),
        settings: "[limits]\nclient_hello_timeout = \"1s\"\n[penalties]\nenabled = false\n",
        closed_within: Duration::from_secs(2),
    }
    .run();
}

/// 250 sources with 8 sockets each for 3 minutes, a byte every 4 s; with everything as it comes.
#[test]
#[ignore = "takes more than 3 minutes"]
fn two_thousand_slow_strangers_lock_nobody_out() {
    Attack {
        sources: 250,
        sockets_each: 8,
        pace: Duration::from_secs(4),
        length: Duration::from_secs(180),
        settings: "",
        closed_within: Duration::from_secs(31),
    }
    .run();
}

/// The same for one minute, with addresses that the operator never penalises.
#[test]
#[ignore = "takes more than a minute"]
fn two_thousand_slow_strangers_without_penalties_lock_nobody_out() {
    Attack {
        sources: 250,
        sockets_each: 8,
        pace: Duration::from_secs(4),
        length: Duration::from_secs(60),
        settings: "[limits]\nexempt = [\"127.0.0.0/8\"]\n",
        closed_within: Duration::from_secs(31),
    }
    .run();
}
