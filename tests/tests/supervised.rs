//! Jobs that outlive the server: it can be killed at any moment, and the next one finds them where they are.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tests::proxy::{Mode, Proxy};
use tests::{DEADLINE, Mark, Ran, Running, TestServer, wait_until};

/// Writes ten numbers, each when it is told to by a file, and exits with 9.
fn counting(server: &TestServer) -> String {
    let gate = server.path("gate");
    format!(
        "for n in 1 2 3 4 5 6 7 8 9 10; do echo $n; echo e$n >&2; until [ -e {0}.$n ]; do sleep 0.02; done; done; exit 9",
        gate.display()
    )
}

fn open_gate(server: &TestServer, number: u32) {
    fs::write(server.path(&format!("gate.{number}")), "").unwrap();
}

/// What [`counting`] writes to stdout up to a number.
fn counted(up_to: u32) -> String {
    (1..=up_to).map(|number| format!("{number}\n")).collect()
}

#[test]
fn a_killed_server_does_not_end_them_and_their_client_goes_on_with_the_next_one() {
    let mut server = TestServer::start();
    let script = counting(&server);
    let mut client = Running::start(server.client().args(["run", "-q", "--id", "build-1", &script]));
    for number in 1..=10 {
        client.wait_for_stdout(&counted(number));
        if number % 3 == 0 {
            server.replace(Signal::KILL);
        }
        open_gate(&server, number);
    }
    let ran = client.finish().exits(9);
    assert_eq!(ran.text(), counted(10));
    let errors: String = (1..=10).map(|number| format!("e{number}\n")).collect();
    assert_eq!(ran.errors(), errors);
}

#[test]
fn a_start_that_is_said_again_attaches_whoever_says_it_and_whatever_became_of_it() {
    let mut server = TestServer::start();
    let trace = server.path("trace");
    let script = format!("echo x >> {}; echo out; echo err >&2; exit 4", trace.display());
    let run = |server: &TestServer| server.run(["-q", "--id", "step-7", &script]).exits(4);
    for round in 0..4 {
        if round == 2 {
            server.replace(Signal::KILL);
        }
        let ran = run(&server);
        assert_eq!((ran.text().as_str(), ran.errors().as_str()), ("out\n", "err\n"), "round {round}");
    }
    assert_eq!(fs::read_to_string(trace).unwrap(), "x\n");
}

#[test]
fn another_request_under_the_same_id_is_refused() {
    let server = TestServer::start();
    server.run(["--id", "step-7", "true"]).succeeds();
    let message = server.run(["--id", "step-7", "false"]).complains("client", 125);
    assert!(message.contains("step-7") && message.contains("another request"), "{message}");
}

#[test]
fn what_a_killed_server_had_itself_is_lost_and_is_not_run_again() {
    let mut server = TestServer::start();
    let (mark, trace) = (Mark::new(), server.path("trace"));
    let script = format!("echo x >> {}; echo ready; exec sleep 1000", trace.display());
    let mut client = Running::start(server.client().args(["run", "-q"]).args(mark.option()).arg(script));
    client.wait_for_stdout("ready\n");
    server.replace(Signal::KILL);
    let message = client.finish().complains("client", 125);
    assert!(message.contains("no such job") || message.contains("lost"), "{message}");
    assert_eq!(fs::read_to_string(trace).unwrap(), "x\n");
}

/// The supervisor of the only job there is.
fn supervisor(server: &TestServer) -> Pid {
    let mut found = None;
    wait_until("there is a supervisor", DEADLINE, || {
        let own = server.path("").display().to_string();
        let of_us = |directory: &PathBuf| {
            let line = fs::read(directory.join("cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line).into_owned();
            line.contains("supervise") && line.contains(own.trim_end_matches('/'))
        };
        let processes = fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
        found = processes
            .filter(|path| of_us(path))
            .find_map(|path| path.file_name()?.to_str()?.parse().ok().and_then(Pid::from_raw));
        found.is_some()
    });
    found.unwrap()
}

#[test]
fn a_supervisor_that_is_killed_costs_its_job_the_outcome_and_nothing_else() {
    let mut server = TestServer::start();
    let mark = Mark::new();
    let mut command = server.client();
    command.args(["run", "-q", "--id", "doomed"]).args(mark.option()).arg("echo ready; exec sleep 1000");
    let mut client = Running::start(&mut command);
    client.wait_for_stdout("ready\n");
    kill_process(supervisor(&server), Signal::KILL).unwrap();
    let message = client.finish().complains("client", 125);
    assert!(message.contains("lost"), "{message}");
    server.still_serves();
    server.run(["--id", "other", "exit 5"]).exits(5);
}

#[test]
fn a_kept_job_is_there_after_its_client_and_its_server_were_killed() {
    let mut server = TestServer::start();
    let script = counting(&server);
    let arguments = ["-q", "--on-disconnect", "keep", "--id", "night", &script];
    let mut client = Running::start(server.client().arg("run").args(arguments));
    client.wait_for_stdout("1\n");
    client.signal(Signal::KILL);
    client.finish();
    server.replace(Signal::KILL);
    (1..=10).for_each(|number| open_gate(&server, number));
    assert_eq!(server.run_with_input(arguments, b"").exits(9).text(), counted(10));
}

#[test]
fn a_supervisor_is_small_and_goes_when_its_job_is_over() {
    let server = TestServer::start();
    let mut client =
        Running::start(server.client().args(["run", "-q", "--id", "small", "echo ready; read x; exit 3"]));
    client.wait_for_stdout("ready\n");
    let process = supervisor(&server);
    let rollup = fs::read_to_string(format!("/proc/{}/smaps_rollup", process.as_raw_nonzero())).unwrap();
    let kib = |key: &str| -> u64 {
        let line = rollup.lines().find(|line| line.starts_with(key)).unwrap();
        line.split_ascii_whitespace().nth(1).unwrap().parse().unwrap()
    };
    let own = kib("Private_Dirty:");
    assert!(own < 3 * 1024, "{own} KiB of its own\n{rollup}");
    let threads = fs::read_dir(format!("/proc/{}/task", process.as_raw_nonzero())).unwrap().count();
    assert_eq!(threads, 1);
    client.write(b"\n");
    client.finish().exits(3);
    let path = PathBuf::from(format!("/proc/{}", process.as_raw_nonzero()));
    wait_until("it is gone", DEADLINE, || !path.exists());
}

#[test]
fn a_supervisor_that_does_not_answer_costs_nobody_the_outcome() {
    let server = TestServer::start();
    let script = counting(&server);
    server.run(["--detach", "--id", "slow", &script]).succeeds();
    let process = supervisor(&server);
    kill_process(process, Signal::STOP).unwrap();
    let mut attach = server.client();
    let message = Ran::of(attach.args(["attach", "slow"])).complains("client", 125);
    assert!(message.starts_with("job slow: the job cannot be reached: "), "{message}");
    kill_process(process, Signal::CONT).unwrap();
    (1..=10).for_each(|number| open_gate(&server, number));
    assert_eq!(Ran::of(server.client().args(["attach", "slow"])).exits(9).text(), counted(10));
}

#[test]
fn a_start_that_is_said_again_counts_whatever_is_allowed_by_then() {
    let server = TestServer::start();
    let script = counting(&server);
    server.run(["--detach", "--id", "night", &script]).succeeds();
    server.settings("server.toml", "[jobs]\nkeep = false\n");
    server.signal(Signal::HUP);
    wait_until("the new settings hold", DEADLINE, || {
        Ran::of(server.client().args(["run", "--detach", "true"])).errors().contains("keep = false")
    });
    (1..=10).for_each(|number| open_gate(&server, number));
    server.run(["--detach", "--id", "night", &script]).succeeds();
    assert_eq!(Ran::of(server.client().args(["wait", "night"])).exits(9).text(), "");
}

#[test]
fn a_job_that_nobody_is_expected_at_goes_on_and_keeps_the_end_of_its_output() {
    let server = TestServer::start();
    // More than a log keeps.
    let script = "i=0; while [ $i -lt 80 ]; do head -c 1048576 /dev/zero; i=$((i+1)); done; echo; echo last";
    server.run(["--detach", "--id", "talker", script]).succeeds();
    Ran::of(server.client().args(["wait", "talker"])).exits(0);
    let logs = Ran::of(server.client().args(["logs", "talker"])).exits(0);
    assert!(logs.text().ends_with("\nlast\n"));
    let errors = logs.errors();
    let (missed, rest) = errors.strip_prefix("client: the first ").unwrap().split_once(' ').unwrap();
    assert_eq!(rest, "bytes of stdout are not kept\n");
    assert_eq!(missed.parse::<usize>().unwrap() + logs.text().len(), 80 * 1024 * 1024 + 6);
}

#[test]
fn what_a_client_far_away_acknowledges_counts_also_when_the_supervisor_is_killed_meanwhile() {
    let mut server = TestServer::start();
    let proxy = Proxy::start(server.address().parse().unwrap());
    proxy.set(Mode::Delay(Duration::from_millis(50)));
    let mut command = server.bare_client();
    command.args(["-H", &proxy.address().to_string(), "run", "-q", "--id", "far"]);
    let client = Running::start(command.arg("seq 10000000; sleep 1000"));
    wait_until("it is in full flow", DEADLINE, || client.stdout().len() > 4 << 20);
    kill_process(supervisor(&server), Signal::KILL).unwrap();
    let ran = client.finish();
    let expected: String = (1..=10_000_000).map(|number| format!("{number}\n")).collect();
    assert!(expected.as_bytes().starts_with(&ran.stdout), "not what the job has written");
    let message = ran.complains("client", 125);
    assert!(message.contains("its supervisor was killed"), "{message}");
    assert!(!server.log().contains("violation"), "{}", server.log());
    server.still_serves();
}
