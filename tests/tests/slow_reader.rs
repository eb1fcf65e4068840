//! A reader that does not read stops its own command, and nothing else.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use std::fs;
use std::process::Stdio;

use rustix::process::Signal;
use tests::{DEADLINE, Mark, TestServer, noise, resident_bytes, wait_until, within};

/// What an unread stream may cost a program: its windows and buffers, not its output.
const ALLOWED_GROWTH: u64 = 16 * 1024 * 1024;

/// Waits until the job's only process can write no more: twenty looks in a row find it where it was.
fn wait_until_blocked(mark: &Mark) {
    mark.wait_for(1);
    let process = mark.processes()[0];
    let written = || {
        let counters = fs::read_to_string(format!("/proc/{process}/io")).unwrap_or_default();
        counters
            .lines()
            .find_map(|line| line.strip_prefix("wchar: ")?.parse::<u64>().ok())
            .unwrap_or_default()
    };
    let (mut last, mut same) = (0, 0);
    wait_until("the command is blocked", DEADLINE, || {
        let now = written();
        same = if now == last && now > 0 { same + 1 } else { 0 };
        last = now;
        same == 20
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unread_job_delays_no_other_on_its_connection() {
    let server = TestServer::start();
    let client = server.connect().await;
    within("a first job ends", client.command("true").status()).await.unwrap();
    let before = resident_bytes(server.process_id());
    let before_here = resident_bytes(std::process::id());

    let mark = Mark::new();
    let (name, value) = mark.variable();
    let mut unread = within("it starts", client.command("yes").env(name, value).spawn()).await.unwrap();
    wait_until_blocked(&mark);

    let file = server.file("noise", noise(8_000_000));
    for _ in 0..5 {
        let output = within("another job ends", client.command("cat").arg(&file).output()).await.unwrap();
        assert!(output.outcome.is_success() && output.stdout.len() == 8_000_000);
    }
    within("a pong comes", client.ping()).await.unwrap();

    let grown = resident_bytes(server.process_id()).saturating_sub(before);
    assert!(grown < ALLOWED_GROWTH, "the server has grown by {grown} bytes");
    let grown = resident_bytes(std::process::id()).saturating_sub(before_here);
    assert!(grown < 3 * ALLOWED_GROWTH, "the client has grown by {grown} bytes");

    let first = within("what was sent is there", unread.stdout.as_mut().unwrap().next()).await.unwrap();
    assert!(first.starts_with(b"y\ny\n"));
    unread.cancel().unwrap();
    drop(unread);
    mark.wait_until_gone();
}

#[test]
fn a_client_whose_output_nobody_takes_stops_its_command() {
    let server = TestServer::start();
    server.run(["true"]).exits(0);
    let before = resident_bytes(server.process_id());
    let mark = Mark::new();
    let mut command = server.client();
    command.args(["run", "-n"]).args(mark.option()).args(["--", "yes"]);
    let mut client = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    wait_until_blocked(&mark);
    for process in [server.process_id(), client.id()] {
        let occupied = resident_bytes(process);
        assert!(occupied < before + ALLOWED_GROWTH, "{occupied} bytes, {before} before");
    }
    // Whoever hung up the reader's end ends the command too.
    drop(client.stdout.take());
    mark.wait_until_gone();
    client.wait().unwrap();
}

#[test]
fn a_command_that_does_not_read_stops_its_client() {
    let server = TestServer::start();
    server.run(["true"]).exits(0);
    let before = resident_bytes(server.process_id());
    let mark = Mark::new();
    let mut command = server.client();
    command.arg("run").args(mark.option()).args(["--", "sleep", "1000"]);
    let mut source = server.command("/usr/bin/yes").stdout(Stdio::piped()).spawn().unwrap();
    let mut client = tests::Running::start_with(&mut command, source.stdout.take().unwrap());
    mark.wait_for(1);
    let moved = |process: u32| fs::read_to_string(format!("/proc/{process}/io")).unwrap();
    let (mut last, mut same) = (String::new(), 0);
    wait_until("nothing moves any more", DEADLINE, || {
        let now = moved(source.id());
        same = if now == last { same + 1 } else { 0 };
        last = now;
        same == 20
    });
    for process in [server.process_id(), client.id()] {
        let occupied = resident_bytes(process);
        assert!(occupied < before + ALLOWED_GROWTH, "{occupied} bytes, {before} before");
    }
    client.signal(Signal::TERM);
    client.finish().exits(143);
    source.kill().unwrap();
    source.wait().unwrap();
    mark.wait_until_gone();
}
