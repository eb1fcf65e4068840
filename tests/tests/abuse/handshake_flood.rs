//! Strangers that make the server compute: full handshakes with keys that nobody knows.

use std::thread;
use std::time::{Duration, Instant};

use common::greeting::Hello;
use tests::flood::{Maximum, Probe, cpu_time, greet_from, sockets, source};
use tests::{TestServer, strange_key};

use super::{address, on_this_machine};

/// Places that strangers share, and sockets on their way to or from one.
const PLACES: usize = 256 + 16;

/// Threads that attack: their part is as costly as the server's, and there are two cores.
const THREADS: u16 = 2;

/// Failed logins of a source until it is refused, and one more for each further thread that was in the middle of one.
const LOGINS: usize = 3 + THREADS as usize - 1;

/// How long a source is refused after them.
const REFUSED: Duration = Duration::from_secs(15);

struct Attack {
    sources: u16,
    /// Handshakes begun in a second.
    rate: u32,
    length: Duration,
}

impl Attack {
    /// One thread's part of it: how many handshakes were finished, and how many were not let begin.
    fn attack(&self, server: std::net::SocketAddr, part: u16) -> (usize, usize) {
        let begun = Instant::now();
        let pause = Duration::from_secs(1) * u32::from(THREADS) / self.rate;
        let (mut finished, mut turned_away) = (0, 0);
        for number in 0_u32.. {
            let due = begun + pause * number;
            if due > begun + self.length {
                break;
            }
            thread::sleep(due.saturating_duration_since(Instant::now()));
            let from = source((number as u16 * THREADS + part) % self.sources);
            match greet_from(from, strange_key(), &Hello::new("", ""), server) {
                Ok(_) => finished += 1,
                Err(_) => turned_away += 1,
            }
            if begun.elapsed() > self.length {
                break;
            }
        }
        (finished, turned_away)
    }

    /// The probe's slow runs: 99 % took less.
    fn run(&self) -> Duration {
        let mut server = TestServer::start();
        server.run(["true"]).exits(0);
        let process = server.process_id();
        let (before, cpu_before) = (sockets(process), cpu_time(process));

        let held = Maximum::of(move || sockets(process));
        let probe = Probe::start(&server, Duration::from_millis(500));
        let begun = Instant::now();
        let parts: Vec<_> = thread::scope(|scope| {
            let address = address(&server);
            let threads: Vec<_> =
                (0..THREADS).map(|part| scope.spawn(move || self.attack(address, part))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let share = (cpu_time(process) - cpu_before).as_secs_f64() / begun.elapsed().as_secs_f64();
        let (finished, turned_away) = parts.iter().fold((0, 0), |sum, part| (sum.0 + part.0, sum.1 + part.1));
        let (latencies, held) = (probe.finish(), held.take() - before);
        println!("{finished} handshakes, {turned_away} turned away; {latencies}; {held} held");
        println!("{:.0} % of a core", share * 100.0);

        latencies.are_served();
        assert!(held <= PLACES, "{held} connections held");
        let rounds = self.length.as_secs().div_ceil(REFUSED.as_secs()) as usize;
        assert!(finished <= usize::from(self.sources) * LOGINS * rounds, "{finished} handshakes");
        assert!(turned_away > 0, "nobody was turned away");
        server.still_serves();
        latencies.percentile(99)
    }
}

/// 200 a second from 8 sources for 3 s.
#[test]
fn handshakes_of_strangers_end_with_their_welcome() {
    Attack { sources: 8, rate: 200, length: Duration::from_secs(3) }.run();
}

/// 500 a second from 64 sources for a minute.
#[test]
#[ignore = "takes a minute"]
fn handshakes_of_strangers_for_a_minute_delay_nobody() {
    let p99 = Attack { sources: 64, rate: 500, length: Duration::from_secs(60) }.run();
    assert!(p99 < on_this_machine(Duration::from_secs(1)), "{p99:?}");
}
