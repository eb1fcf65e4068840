//! A lost line costs time and nothing else: streams go on byte-exact, signals arrive once, and nothing runs twice.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::Signal;
use tests::proxy::{Cutter, Direction, Ending, Mode, Proxy};
use tests::{DEADLINE, Mark, Running, TestServer, wait_until};

/// A server and a client of it that reaches it through a proxy.
fn far_away() -> (TestServer, Proxy) {
    let server = TestServer::start();
    let proxy = Proxy::start(server.address().parse().unwrap());
    (server, proxy)
}

fn client(server: &TestServer, proxy: &Proxy) -> Command {
    let mut client = server.bare_client();
    client.args(["-H", &proxy.address().to_string()]);
    client
}

/// Bytes on each stream of a job, and how often its line is cut meanwhile.
struct Load {
    stdout: u64,
    stderr: u64,
    stdin: u64,
    cuts: u64,
}

const MIB: u64 = 1024 * 1024;

/// A command that writes and reads that much at once, and leaves the sums of it and a trace of each start in `directory`.
fn script(load: &Load, directory: &Path) -> String {
    let (out, err, dir) = (load.stdout, load.stderr, directory.display());
    format!(
        "echo started >> {dir}/starts; exec 4<&0
         (sha256sum <&4 > {dir}/stdin) & reader=$!
         (head -c {err} /dev/urandom | tee >(sha256sum > {dir}/stderr) >&2) & writer=$!
         head -c {out} /dev/urandom | tee >(sha256sum > {dir}/stdout)
         wait $reader $writer; exit 7"
    )
}

fn sum(path: &Path) -> String {
    // Written by a process that may end a little later than the command.
    wait_until("a sum is written", DEADLINE, || fs::read(path).is_ok_and(|sum| sum.ends_with(b"\n")));
    fs::read_to_string(path).unwrap().split(' ').next().unwrap().to_owned()
}

/// Runs the load through a line that is cut again and again, and requires that nobody notices.
fn carries(load: &Load, seed: u64) {
    let (server, proxy) = far_away();
    let total = load.stdout + load.stderr + load.stdin;
    // Spread over three quarters of what passes at the least, so that none is left when the streams are over.
    let gap = total * 3 / 2 / load.cuts;
    proxy.cut_by(Cutter::random(seed, load.cuts, 1..=gap));
    let directory = tempfile::tempdir().unwrap();
    let input = directory.path().join("input");
    let made = Command::new("/bin/sh")
        .args(["-c", &format!("head -c {} /dev/urandom > {}", load.stdin, input.display())])
        .status();
    assert!(made.unwrap().success());
    let (here, there) = (directory.path().join("here"), directory.path().join("there"));
    fs::create_dir(&here).unwrap();
    fs::create_dir(&there).unwrap();
    let mut run = client(&server, &proxy);
    run.args(["run", "-q", "--", "bash", "-c", &script(load, &there)]);
    // The shell gives the client's exit code, and leaves the sums of what it has written.
    let mut shell = Command::new("/bin/bash");
    shell.args(["-c", "\"$@\" > >(sha256sum > $HERE/stdout) 2> >(sha256sum > $HERE/stderr)", "bash"]);
    shell.arg(run.get_program()).args(run.get_args()).env("HERE", &here);
    shell.envs(run.get_envs().filter_map(|(name, value)| Some((name, value?))));
    shell.stdin(Stdio::from(fs::File::open(&input).unwrap()));
    let status = shell.status().unwrap();
    let observed = proxy.observed();
    assert_eq!(status.code(), Some(7), "{observed:?}");
    assert_eq!(fs::read_to_string(there.join("starts")).unwrap(), "started\n");
    for stream in ["stdout", "stderr"] {
        assert_eq!(sum(&here.join(stream)), sum(&there.join(stream)), "{stream}");
    }
    let input_sum = Command::new("sha256sum").arg(&input).output().unwrap().stdout;
    assert!(String::from_utf8(input_sum).unwrap().starts_with(&sum(&there.join("stdin"))), "stdin");
    assert_eq!(observed.cuts, load.cuts, "{observed:?}");
    // Every cut cost a connection, and each of those was one that a job went on over.
    assert!(observed.connections > load.cuts, "{observed:?}");
    println!("{observed:?}");
}

#[test]
fn streams_go_on_byte_exact_through_a_line_that_is_cut_again_and_again() {
    carries(&Load { stdout: 64 * MIB, stderr: 12 * MIB, stdin: 6 * MIB, cuts: 60 }, 1);
}

#[test]
fn a_gibibyte_is_carried_through_a_thousand_cuts() {
    carries(&Load { stdout: 1024 * MIB, stderr: 200 * MIB, stdin: 100 * MIB, cuts: 1000 }, 2);
}

#[test]
fn a_job_goes_on_while_its_line_is_lost() {
    let (server, proxy) = far_away();
    let mark = Mark::new();
    let mut client = Running::start(
        client(&server, &proxy)
            .args(["run", "-q"])
            .args(mark.option())
            .arg("echo one; read line; echo \"got $line\""),
    );
    client.wait_for_stdout("one\n");
    proxy.refuse();
    proxy.set(Mode::Reset);
    proxy.wait_until("the line is cut", |observed| observed.open == 0);
    client.write(b"two\n");
    mark.wait_for(1);
    proxy.set(Mode::Pass);
    proxy.accept();
    assert_eq!(client.finish().succeeds(), "one\ngot two\n");
}

#[test]
fn a_signal_that_is_sent_while_the_line_is_lost_arrives_once() {
    let (server, proxy) = far_away();
    let script =
        "trap 'echo usr1' USR1; echo ready; for i in 1 2 3 4 5 6; do read line; echo \"$line\"; done";
    let mut client = Running::start(client(&server, &proxy).args(["run", "-q", script]));
    client.wait_for_stdout("ready\n");
    proxy.refuse();
    proxy.set(Mode::Cut);
    proxy.wait_until("the line is cut", |observed| observed.open == 0);
    client.signal(Signal::USR1);
    client.write(b"a\n");
    proxy.set(Mode::Pass);
    proxy.accept();
    client.wait_for_stdout("usr1\n");
    client.write(b"b\nc\nd\ne\nf\n");
    let shown = client.finish().succeeds();
    assert_eq!(shown.matches("usr1").count(), 1, "{shown}");
}

#[test]
fn a_start_whose_answer_was_lost_is_not_repeated() {
    // Behind one byte or another of what the server says, from its part of the handshake to the end of the job.
    let mut resumed = 0;
    for bytes in (1400..2000).step_by(25) {
        let (server, proxy) = far_away();
        proxy.cut_by(Cutter::once(Direction::ToClient, bytes, Ending::Reset));
        let directory = tempfile::tempdir().unwrap();
        let starts = directory.path().join("starts");
        let script = format!("echo x >> {}; echo done; exit 5", starts.display());
        let ran = tests::Ran::of(client(&server, &proxy).args(["run", "-q", "-n", &script]));
        let starts = fs::read_to_string(&starts).unwrap_or_default();
        if starts.is_empty() {
            // A server that has never proven its key is not one to come back to.
            ran.complains("client", 125);
            continue;
        }
        resumed += proxy.observed().cuts;
        assert_eq!((ran.exits(5).text().as_str(), starts.as_str()), ("done\n", "x\n"), "cut at {bytes}");
    }
    assert!(resumed > 3, "{resumed}");
}

#[test]
fn a_job_whose_line_stays_lost_is_ended_after_its_grace() {
    let (server, proxy) = far_away();
    let mark = Mark::new();
    let mut client = Running::start(
        client(&server, &proxy)
            .args(["run", "-q", "--grace", "1s"])
            .args(mark.option())
            .arg("echo ready; exec sleep 1000"),
    );
    client.wait_for_stdout("ready\n");
    proxy.refuse();
    proxy.set(Mode::Cut);
    mark.wait_until_gone();
    client.signal(Signal::KILL);
    client.finish();
}

#[test]
fn a_job_that_is_kept_outlives_its_client() {
    let mut server = TestServer::start();
    let mark = Mark::new();
    let mut run = server.client();
    run.args(["run", "-q", "--on-disconnect", "keep"]).args(mark.option()).arg("echo ready; exec sleep 1000");
    let mut client = Running::start(&mut run);
    client.wait_for_stdout("ready\n");
    client.signal(Signal::KILL);
    client.finish();
    server.still_serves();
    mark.wait_for(1);
    assert!(!mark.processes().is_empty());
    // Not by accident: whoever wants it to end says so, and it outlives the server.
    let list = tests::Ran::of(server.client().arg("jobs")).succeeds();
    let id = list.lines().nth(1).unwrap().split(' ').next().unwrap();
    tests::Ran::of(server.client().args(["signal", id, "KILL"])).succeeds();
    mark.wait_until_gone();
}

/// Runs a command that writes so many MiB while its line is lost, and lets the line be back when it has written `until`; what it
/// had written then. All of it has to arrive.
fn writes_without_its_client(mebibytes: u64, until: u64) -> u64 {
    let (server, proxy) = far_away();
    let directory = tempfile::tempdir().unwrap();
    let (go, count) = (directory.path().join("go"), directory.path().join("count"));
    let script = format!(
        "echo ready; until [ -e {} ]; do sleep 0.05; done
         for n in $(seq {mebibytes}); do head -c 1048576 /dev/zero; echo $n > {}; done",
        go.display(),
        count.display()
    );
    let client = client(&server, &proxy);
    let mut run = Command::new("/bin/bash");
    run.args(["-c", "\"$@\" | tee >(wc -c >&2) | (head -c 6; cat > /dev/null)", "bash"])
        .arg(client.get_program());
    run.args(client.get_args()).args(["run", "-q", "-n", &script]);
    run.envs(client.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let mut run = Running::start(&mut run);
    run.wait_for_stdout("ready\n");
    proxy.refuse();
    proxy.set(Mode::Reset);
    proxy.wait_until("the line is cut", |observed| observed.open == 0);
    fs::write(&go, "").unwrap();
    let written = || fs::read_to_string(&count).ok().and_then(|count| count.trim().parse().ok()).unwrap_or(0);
    wait_until("it has written what it is to", DEADLINE, || written() >= until);
    let before = written();
    proxy.set(Mode::Pass);
    proxy.accept();
    let ran = run.finish();
    assert_eq!(ran.errors().trim(), (mebibytes * MIB + 6).to_string());
    before
}

#[test]
fn what_a_command_writes_without_its_client_is_kept_and_the_command_need_not_wait() {
    assert_eq!(writes_without_its_client(20, 20), 20);
}

#[test]
fn a_command_that_writes_more_than_is_kept_waits_and_nothing_is_lost() {
    let before = writes_without_its_client(90, 60);
    assert!(before < 80, "{before}");
}
