//! What comes of a command ends with it when it is ended, however it tries to leave, and nothing of it stays behind; by cgroup
//! where the machine grants one, and by searching for it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use std::fs;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tests::{DEADLINE, Mark, Ran, Running, TestServer, WITHOUT_CGROUPS, wait_until, zombie_children};

/// A server of each kind: as it is here, and without cgroups.
fn servers() -> [TestServer; 2] {
    let without = TestServer::options().listen("127.0.0.1:0").after(WITHOUT_CGROUPS).start();
    [TestServer::start(), without]
}

/// How long the server says it waits before TERM, and before KILL.
const TERM_AFTER: Duration = Duration::from_secs(1);
const KILL_AFTER: Duration = Duration::from_secs(10);

#[test]
fn a_daemon_of_a_job_ends_with_it_if_that_is_ended() {
    for server in servers() {
        let mark = Mark::new();
        let script = "setsid sleep 1000 & (setsid sh -c 'sleep 1000 & exit' &); exec sleep 1000";
        let ran = Ran::of(server.client().arg("run").args(mark.option()).args(["--timeout", "1", script]));
        ran.exits(124);
        // By the HUP: long before anything is killed.
        mark.wait_until_gone();
        wait_until("no zombies", DEADLINE, || zombie_children(server.process_id()).is_empty());
    }
}

#[test]
fn a_daemon_of_a_command_that_ends_by_itself_is_left_alone() {
    for server in servers() {
        let mark = Mark::new();
        let script = "setsid sleep 1000 < /dev/null > /dev/null 2>&1 & exit 3";
        Ran::of(server.client().arg("run").args(mark.option()).arg(script)).exits(3);
        mark.wait_for(1);
        assert_eq!(server.run(["echo next"]).succeeds(), "next\n");
        mark.wait_for(1);
    }
}

#[test]
fn a_job_that_ignores_all_it_can_is_killed_with_its_daemons_in_time() {
    for server in servers() {
        let mark = Mark::new();
        let script = "trap '' HUP TERM INT; setsid sleep 1000 & sleep 1000 & wait; wait; sleep 1000";
        let start = Instant::now();
        let ran = Ran::of(server.client().arg("run").args(mark.option()).args(["--timeout", "1", script]));
        let took = start.elapsed();
        ran.exits(124);
        assert!(took >= TERM_AFTER + KILL_AFTER && took < KILL_AFTER + Duration::from_secs(5), "{took:?}");
        assert_eq!(mark.processes(), [] as [u32; 0]);
    }
}

#[test]
fn a_fork_bomb_is_ended() {
    for server in servers() {
        let mark = Mark::new();
        let script = "trap '' HUP TERM; bomb() { sleep 1000 & [ $1 -gt 0 ] && bomb $(($1 - 1)) & setsid sleep 1000 & wait; }
            bomb 66";
        let mut client = Running::start(server.client().arg("run").args(mark.option()).arg(script));
        wait_until("200 processes", DEADLINE, || mark.processes().len() >= 200);
        client.signal(Signal::KILL);
        mark.wait_until_gone();
        wait_until("no zombies", DEADLINE, || zombie_children(server.process_id()).is_empty());
    }
}

#[test]
fn many_short_jobs_leave_neither_zombies_nor_cgroups() {
    for server in servers() {
        let script = "seq 250 | xargs -P 8 -I N $CLIENT run --timeout 5 '(setsid true &); exit 0'";
        Ran::of(&mut server.script("/bin/sh", script)).succeeds();
        wait_until("no zombies", DEADLINE, || zombie_children(server.process_id()).is_empty());
        let log = server.log();
        let Some((_, path)) = log.split_once("each job has a cgroup of its own path=") else { continue };
        let path = path.split_whitespace().next().unwrap().to_owned();
        let jobs = format!("{path}/jobs");
        // Some are kept for the next jobs.
        wait_until("few cgroups", DEADLINE, || {
            fs::read_dir(&jobs).unwrap().flatten().filter(|entry| entry.path().is_dir()).count() <= 32
        });
        drop(server);
        assert!(!fs::exists(&path).unwrap(), "{path} is left behind");
    }
}

#[test]
fn a_command_is_as_dear_to_the_kernel_as_any_other() {
    let unprotected = "echo 500 > /proc/self/oom_score_adj";
    let server = TestServer::options().listen("127.0.0.1:0").after(unprotected).start();
    let score = fs::read_to_string(format!("/proc/{}/oom_score_adj", server.process_id())).unwrap();
    assert_eq!(score, "500\n");
    // Back to 0 is downwards, which takes a privilege unless the server itself started there.
    assert_eq!(server.run(["cat /proc/self/oom_score_adj"]).succeeds(), "0\n");
}

#[test]
fn signals_that_the_server_ignores_mean_to_a_command_what_they_always_do() {
    let server = TestServer::options().listen("127.0.0.1:0").after("trap '' PIPE QUIT USR1 40 64").start();
    let status = server.run(["--", "cat", "/proc/self/status"]).succeeds();
    for mask in ["SigBlk", "SigIgn", "SigCgt"] {
        assert!(status.contains(&format!("{mask}:\t0000000000000000\n")), "{status}");
    }
}
