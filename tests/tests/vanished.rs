//! A peer that has vanished without a word is noticed by both sides after 45 to 60 s: without traffic, in the middle of it, and when
//! nobody takes what is sent. The jobs go on when it is back, from another address too.
//!
//! It takes more than a minute, nearly all of it waiting.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tests::proxy::{Mode, Proxy};
use tests::{DEADLINE, Network, Running, Sandbox, TestServer, host_key, is_stopped, noise, wait_until};

/// When it is noticed: promised are 60 s, of which 5 are left to a busy machine. Not earlier, for then a line that is only slow
/// would be lost.
const EARLIEST: Duration = Duration::from_secs(45);
const LATEST: Duration = Duration::from_secs(60);

/// What a job that is busy writes over and over.
const CHUNK: usize = 256 * 1024;

/// Clients whose line will be lost.
struct Clients {
    idle: Running,
    busy: Running,
    /// Takes nothing.
    stopped: Running,
}

impl Clients {
    fn start(server: &TestServer, mut client: impl FnMut() -> Command) -> Self {
        let chunk = server.file("chunk", noise(CHUNK));
        let busy = format!(
            "echo ready; until [ -e {0} ]; do cat {1}; done; exit 4",
            server.path("go").display(),
            chunk.display()
        );
        let mut start = |script: &str| {
            let mut running = Running::start(client().args(["run", "--grace", "120s", script]));
            running.wait_for_stdout("ready\n");
            running
        };
        let idle = start("echo ready; read line; echo \"got $line\"; exit 3");
        let mut stopped = start(&busy);
        stopped.signal(Signal::STOP);
        wait_until("it is stopped", DEADLINE, || is_stopped(stopped.id()));
        Self { idle, busy: start(&busy), stopped }
    }

    /// Waits until those that can notice it have noticed that the line is lost, and the server has lost them all.
    fn wait_until_lost(&self, server: &TestServer, since: Instant) {
        let is_lost = |running: &Running| running.stderr().contains(" is lost: ");
        let gone = || server.log().matches("\"state\":\"closed\"").count();
        let mut noticed = [None; 5];
        wait_until("both sides notice that the line is lost", LATEST + DEADLINE, || {
            let now = [is_lost(&self.idle), is_lost(&self.busy), gone() > 0, gone() > 1, gone() > 2];
            for (noticed, now) in noticed.iter_mut().zip(now) {
                *noticed = noticed.or(now.then(|| since.elapsed()));
            }
            noticed.iter().all(Option::is_some)
        });
        println!("idle client, busy client; first, second, third at the server: {noticed:?}");
        for noticed in noticed.into_iter().flatten() {
            assert!((EARLIEST..LATEST).contains(&noticed), "noticed after {noticed:?}");
        }
    }

    /// Requires that all go on where they were.
    fn go_on(mut self, server: &TestServer) {
        server.file("go", "");
        self.stopped.signal(Signal::CONT);
        self.idle.write(b"it\n");
        let idle = self.idle.finish().exits(3);
        assert_eq!(idle.text(), "ready\ngot it\n");
        assert!(idle.errors().contains(" is back after "), "{idle:?}");
        let chunk = fs::read(server.path("chunk")).unwrap();
        for running in [self.busy, self.stopped] {
            let ran = running.finish().exits(4);
            let output = ran.stdout.strip_prefix(b"ready\n").unwrap();
            assert!(output.len() >= CHUNK && output.len().is_multiple_of(CHUNK), "{}", output.len());
            assert!(output.chunks(CHUNK).all(|found| found == chunk), "not what the job has written");
        }
    }
}

#[test]
fn a_peer_whose_packets_vanish_is_noticed_and_comes_back_from_another_address() {
    let Some(network) = Network::new() else { return };
    let sandbox = Sandbox::with_keys();
    let address = network.server().address(2);
    sandbox.settings("known_hosts", format!("[{address}]:* {}\n", host_key().public()));
    let options = TestServer::options_in(sandbox).listen(&format!("{address}:0"));
    let server = network.server().enter(|| options.start());
    let clients = network.client().enter(|| Clients::start(&server, || server.client()));
    network.cut();
    clients.wait_until_lost(&server, Instant::now());
    network.client().move_to(3).unwrap();
    network.mend();
    clients.go_on(&server);
    let moved = format!("\"peer\":\"{}:", network.client().address(3));
    assert!(server.log().matches(&moved).count() >= 3, "they come back from elsewhere");
}

#[test]
fn a_peer_that_takes_everything_and_says_nothing_is_noticed() {
    let server = TestServer::start();
    let proxy = Proxy::start(server.address().parse().unwrap());
    let clients = Clients::start(&server, || {
        let mut client = server.bare_client();
        client.args(["-H", &proxy.address().to_string()]);
        client
    });
    proxy.set(Mode::BlackHole);
    clients.wait_until_lost(&server, Instant::now());
    proxy.set(Mode::Pass);
    clients.go_on(&server);
}
