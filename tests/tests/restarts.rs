//! A server that is stopped and started again costs the jobs that it keeps nothing: they write on, and how they end is known.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use std::fs;

use rustix::process::Signal;
use tests::{DEADLINE, Mark, Ran, TestServer, wait_until};

/// Jobs that run at the same time.
const JOBS: u32 = 100;

/// How often the server is stopped and started again.
const RESTARTS: u32 = 50;

/// Counts every quarter of a second, and beyond what it counts to only when it is told.
fn script(server: &TestServer, number: u32) -> String {
    format!(
        "n=0; until [ -e {} ]; do n=$((n + 1)); echo $n; sleep 0.25; done; echo last; exit {}",
        server.path(&format!("go.{}", number % RESTARTS)).display(),
        number % 100
    )
}

#[test]
fn a_hundred_jobs_go_on_over_fifty_restarts_and_none_of_their_output_or_ends_is_missing() {
    let mut server = TestServer::start();
    let mark = Mark::new();
    for number in 0..JOBS {
        let mut run = server.client();
        run.args(["run", "--detach", "--id", &format!("job-{number}")]).args(mark.option());
        Ran::of(run.arg(script(&server, number))).succeeds();
    }
    for restart in 0..RESTARTS {
        server.signal(Signal::TERM);
        assert_eq!(server.wait().code(), Some(0), "restart {restart}");
        // These end while there is no server, or while one starts.
        fs::write(server.path(&format!("go.{restart}")), "").unwrap();
        server.start_again();
        server.still_serves();
    }
    for number in 0..JOBS {
        let id = format!("job-{number}");
        Ran::of(server.client().args(["wait", &id])).exits((number % 100) as i32);
        let log = Ran::of(server.client().args(["logs", &id])).succeeds();
        let lines: Vec<_> = log.lines().collect();
        let (last, counted) = lines.split_last().unwrap();
        let expected: Vec<_> = (1..=counted.len()).map(|line| line.to_string()).collect();
        assert!(*last == "last" && !counted.is_empty() && counted == expected, "{id}: {log:?}");
    }
    mark.wait_until_gone();
    wait_until("the server has no job", DEADLINE, || {
        Ran::of(server.client().args(["jobs", "--json"])).succeeds().is_empty()
    });
}
