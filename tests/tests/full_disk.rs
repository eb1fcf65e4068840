//! A disk that is full costs what has to be on it and nothing else: a job that would be kept is refused before it is started, others
//! go on, and with room again everything works at once. The disk is a small one in memory, which only the server sees.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tests::{DEADLINE, Mark, Ran, Running, TestServer, wait_until};

/// How soon everything works when there is room again.
const RECOVERY: Duration = Duration::from_secs(5);

/// How soon the end of a job is said whose output cannot be written down: HUP and TERM, what its processes leave in the pipe, the
/// disk's time, and some for a machine that is busy.
const END: Duration = Duration::from_secs(3 + 30 + 12);

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

#[test]
fn a_job_that_ends_while_its_disk_is_full_says_from_where_its_output_is_lost_and_keeps_nobody_waiting() {
    let Some(mut server) = server() else { return };
    let gate = server.path("gate");
    let open = gate.display();
    let start = |options: &[&str], script: &str| {
        let script = format!("echo begun; until [ -e {open} ]; do sleep 0.02; done; {script}");
        let mut run = Running::start(server.client().args(["run", "--id"]).args(options).arg(script));
        run.wait_for_stdout("begun\n");
        run
    };
    let exits = start(&["exits"], "seq 10000; exit 5");
    let is_slow = start(&["is-slow", "--timeout", "4s"], "yes");
    let mut is_ended = start(&["is-ended"], "yes");
    let mut is_left = start(&["is-left"], "trap '' INT; yes");
    fill(&server);
    std::fs::write(&gate, "").unwrap();
    // What the first of them writes is on its way when there is no more room.
    Ran::of(server.client().args(["wait", "--timeout", "1s", "exits"])).exits(124);
    let list = Ran::of(server.client().arg("jobs")).succeeds();
    let line = list.lines().find(|line| line.starts_with("exits ")).unwrap();
    assert!(
        line.contains("127.0.0.1:") && line.ends_with(", waits for the disk, which takes no more"),
        "{list}"
    );
    let since = Instant::now();
    is_ended.signal(Signal::TERM);
    // Two signals sent in one breath arrive as one, so it is pressed until it has worked.
    wait_until("the client leaves", DEADLINE, || {
        is_left.has_ended() || {
            is_left.signal(Signal::INT);
            false
        }
    });
    is_left.finish().exits(130);
    assert!(since.elapsed() < Duration::from_secs(5), "it took {:?} to leave", since.elapsed());
    for (client, end) in [(is_ended, "killed by SIGTERM"), (exits, "exited with 5"), (is_slow, "timed out")] {
        let ran = client.finish();
        let lost = format!("stdout is not kept from byte {} on: no space left on device", ran.stdout.len());
        let message = ran.complains("client", 125);
        let expected = format!("the outcome is lost: {end}, but a stream of it was cut: {lost}");
        assert!(message.contains(&expected), "{message} in place of {expected}");
        assert!(since.elapsed() < END, "it took {:?} until {end}", since.elapsed());
    }
    let warning = "the disk is full: commands wait until their output can be written down";
    assert_eq!(server.log().matches(warning).count(), 1, "{}", server.log());
    // It is written down, and what was kept can be read.
    let message = Ran::of(server.client().args(["wait", "exits"])).complains("client", 125);
    assert!(message.contains("exited with 5"), "{message}");
    assert!(Ran::of(server.client().args(["logs", "exits"])).succeeds().starts_with("begun\n1\n2\n"));
    server.still_serves();
    make_room(&server);
    server.run(["--id", "next", "true"]).exits(0);
    wait_until("the log says that there is room", DEADLINE, || server.log().contains("has room again"));
}
