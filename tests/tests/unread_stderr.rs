//! A server whose stderr is a pipe that nobody reads: only what must be recorded waits for it, and not for long.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use std::fs::File;
use std::io::Read;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tests::{DEADLINE, Ran, ServerOptions, Terminal, TestServer, wait_until};

/// What the contract grants a server that stops, and what looking may add on a busy machine.
const STOPPED_WITHIN: Duration = Duration::from_secs(12);

/// How long a record is waited for; see `PATIENCE` in the server's `audit.rs`.
const PATIENCE: Duration = Duration::from_secs(5);

/// A server whose stderr is the FIFO `stuck`, which is full.
fn server(settings: &str) -> TestServer {
    let options = TestServer::options().listen("127.0.0.1:0").settings("server.toml", settings);
    full(options).start()
}

fn full(options: ServerOptions) -> ServerOptions {
    options.after("mkfifo $HOME/stuck; exec 2<>$HOME/stuck; head -c 65536 /dev/zero >&2")
}

fn stops(mut server: TestServer) {
    let begun = Instant::now();
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(0));
    assert!(begun.elapsed() < STOPPED_WITHIN, "it took {:?}", begun.elapsed());
}

/// A terminal says that it has room when it has some, and not how much.
#[test]
fn a_terminal_that_nobody_reads_stops_nothing() {
    let terminal = Terminal::new();
    let options = TestServer::options().listen("127.0.0.1:0");
    let options = options.settings("server.toml", "[audit]\nto = \"off\"\n[log]\nlevel = \"trace\"\n");
    let server = options.after(&format!("exec 2>{}", terminal.path().display())).start();
    for number in 0..100 {
        // Of many lengths, so that one of them meets what is left.
        let word = "x".repeat(37 * number % 1900);
        server.run(["--", "true", &word]).exits(0);
    }
    stops(server);
}

#[test]
fn a_log_that_nobody_reads_stops_nothing() {
    let server = server("[audit]\nto = \"off\"\n[log]\nlevel = \"trace\"\n");
    for number in 0..20 {
        assert_eq!(server.run([format!("echo {number}")]).succeeds(), format!("{number}\n"));
    }
    stops(server);
}

#[test]
fn a_trail_that_nobody_reads_refuses_jobs_and_stops_nothing_else() {
    let server = server("");
    let begun = Instant::now();
    let message = server.run(["echo"]).complains("client", 125);
    assert!(message.contains("the server cannot record it"), "{message}");
    assert!(begun.elapsed() >= PATIENCE, "a reader that is late is waited for");
    // Once it is known, nobody waits any more.
    let begun = Instant::now();
    for _ in 0..5 {
        server.run(["echo"]).complains("client", 125);
    }
    assert!(begun.elapsed() < PATIENCE, "it took {:?}", begun.elapsed());
    Ran::of(server.client().args(["ping", "-c", "1"])).succeeds();
    stops(server);
}

#[test]
fn when_the_trail_is_read_again_jobs_run_again() {
    let server = server("");
    server.run(["echo"]).complains("client", 125);
    let mut reader = File::open(server.path("home/stuck")).unwrap();
    let reading = thread::spawn(move || {
        let mut trail = String::new();
        reader.read_to_string(&mut trail).unwrap();
        trail
    });
    wait_until("a job runs", DEADLINE, || server.run(["true"]).status.success());
    stops(server);
    let trail = reading.join().unwrap();
    let starts = trail.lines().filter(|line| line.contains("\"event\":\"job_start\""));
    assert!(
        starts.clone().count() >= 1 && starts.clone().all(|line| line.contains("\"shell\":\"true\"")),
        "{trail}"
    );
}
