//! A disk that is full costs what has to be on it and nothing else: a job that would be kept is refused before it is started, others
//! go on, and with room again everything works at once. The disk is a small one in memory, which only the server sees.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use std::process::Command;
use std::time::{Duration, Instant};

use tests::{Mark, Ran, Running, TestServer};

/// How soon everything works when there is room again.
const RECOVERY: Duration = Duration::from_secs(5);

/// A server whose state is on a disk of 64 MiB; `None`, said on stderr, where none may be mounted.
fn server() -> Option<TestServer> {
    let tried = Command::new("unshare").args(["-m", "mount", "-t", "tmpfs", "tmpfs", "/tmp"]).output();
    if !tried.as_ref().is_ok_and(|output| output.status.success()) {
        eprintln!("not run: no disk can be mounted here: {tried:?}");
        return None;
    }
    let prelude = "mkdir -p $HOME/.local/state; exec unshare -m sh -c '
        mount -t tmpfs -o size=64m,mode=700 tmpfs $HOME/.local/state && exec \"$@\"' sh \"$@\"";
    Some(TestServer::options().listen("127.0.0.1:0").after(prelude).start())
}

/// The disk, as only the server and its jobs see it.
fn disk(server: &TestServer) -> String {
    server.path("home/.local/state").display().to_string()
}

/// Takes all room there is. The jobs of the server itself need none.
fn fill(server: &TestServer) {
    server.run([format!("exec 2> /dev/null; cat /dev/zero > {}/filler", disk(server))]).exits(1);
}

fn make_room(server: &TestServer) {
    server.run([format!("rm {}/filler", disk(server))]).exits(0);
}

#[test]
fn a_job_that_cannot_be_kept_is_refused_and_works_as_soon_as_there_is_room() {
    let Some(mut server) = server() else { return };
    let mark = Mark::new();
    let trace = server.path("trace");
    let script = format!("echo x >> {}", trace.display());
    let mut attached =
        Running::start(server.client().args(["run", "echo ready; head -c 20000000 /dev/zero"]));
    attached.wait_for_stdout("ready\n");
    fill(&server);
    for options in [&["--detach"][..], &["--id", "step"]] {
        let mut run = server.client();
        run.arg("run").args(mark.option()).args(options).arg(&script);
        let message = Ran::of(&mut run).complains("client", 125);
        assert!(message.contains("no space left on device"), "{message}");
    }
    assert!(!trace.exists() && mark.processes().is_empty(), "it was started");
    assert_eq!(attached.finish().exits(0).stdout.len(), 20_000_006);
    server.still_serves();
    make_room(&server);
    let since = Instant::now();
    server.run(["--id", "step", &script]).exits(0);
    assert!(since.elapsed() < RECOVERY, "{:?}", since.elapsed());
    assert_eq!(std::fs::read_to_string(trace).unwrap(), "x\n");
}

#[test]
fn a_job_that_fills_the_disk_keeps_its_outcome_and_its_client_gets_every_byte() {
    let Some(mut server) = server() else { return };
    let whole: String = (1..=4_000_000).map(|number| format!("{number}\n")).collect();
    let ran = server.run(["-q", "--id", "loud", "seq 4000000; exit 9"]).exits(9);
    assert!(ran.text() == whole, "{} of {} bytes", ran.stdout.len(), whole.len());
    server.still_serves();
}

#[test]
fn a_job_whose_disk_is_full_waits_for_room_and_goes_on_when_there_is_some() {
    let Some(mut server) = server() else { return };
    let gate = server.path("gate");
    server.run([format!("mkfifo {}", gate.display())]).exits(0);
    let script = format!("echo begun; read line < {}; seq 100000; exit 5", gate.display());
    assert_eq!(server.run(["--detach", "--id", "quiet", &script]).succeeds(), "quiet\n");
    fill(&server);
    server.run([format!("echo > {}", gate.display())]).exits(0);
    // What it writes does not fit anywhere.
    Ran::of(server.client().args(["wait", "--timeout", "500ms", "quiet"])).exits(124);
    server.still_serves();
    make_room(&server);
    Ran::of(server.client().args(["wait", "quiet"])).exits(5);
    let whole: String = (1..=100_000).map(|number| format!("{number}\n")).collect();
    let logs = Ran::of(server.client().args(["logs", "quiet"])).succeeds();
    assert!(logs == format!("begun\n{whole}"), "{} bytes", logs.len());
}
