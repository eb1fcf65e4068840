//! What a server or a supervisor leaves running when it is killed is ended by whoever comes next, and nobody else is.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use std::fs;
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tests::{DEADLINE, Mark, Ran, Running, TestServer, WITHOUT_CGROUPS, wait_until};

/// A server of each kind: as it is here, and without cgroups.
fn servers() -> [TestServer; 2] {
    let without = TestServer::options().listen("127.0.0.1:0").after(WITHOUT_CGROUPS).start();
    [TestServer::start(), without]
}

/// A client of a job that has left as many ways as there are: in each of five processes.
const SCATTERED: &str = "setsid sleep 1000 & (setsid sh -c 'sleep 1000 & exec sleep 1000' &) ; sleep 1000 & echo ready; exec sleep 1000";
const PROCESSES: usize = 5;

fn start(server: &TestServer, mark: &Mark, options: &[&str]) -> Running {
    let mut client =
        Running::start(server.client().args(["run", "-q"]).args(options).args(mark.option()).arg(SCATTERED));
    client.wait_for_stdout("ready\n");
    client
}

/// The supervisor of the only job there is.
fn supervisor(server: &TestServer) -> Pid {
    let own = server.path("").display().to_string();
    let is_it = |process: u32| {
        let line = fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).into_owned();
        line.contains("supervise") && line.contains(own.trim_end_matches('/'))
    };
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let process =
        processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).find(|it| is_it(*it));
    Pid::from_raw(process.unwrap() as i32).unwrap()
}

#[test]
fn of_a_killed_supervisor_all_is_ended_before_its_job_counts_as_lost() {
    for server in servers() {
        let mark = Mark::new();
        let client = start(&server, &mark, &["--id", "doomed"]);
        mark.wait_for(PROCESSES);
        kill_process(supervisor(&server), Signal::KILL).unwrap();
        let message = client.finish().complains("client", 125);
        assert!(message.contains("lost"), "{message}");
        assert_eq!(mark.processes(), [] as [u32; 0]);
    }
}

#[test]
fn of_a_supervisor_that_was_killed_while_no_server_ran_the_next_one_ends_all() {
    for mut server in servers() {
        let mark = Mark::new();
        let client = start(&server, &mark, &["--id", "doomed"]);
        mark.wait_for(PROCESSES);
        let supervisor = supervisor(&server);
        server.replace_after(Signal::KILL, || kill_process(supervisor, Signal::KILL).unwrap());
        mark.wait_until_gone();
        let message = client.finish().complains("client", 125);
        assert!(message.contains("lost"), "{message}");
    }
}

#[test]
fn attached_jobs_of_a_killed_server_are_ended_by_the_next_one() {
    for mut server in servers() {
        let (mark, daemons) = (Mark::new(), Mark::new());
        // What a command that has ended by itself has left in the background is nobody's.
        let script = "setsid sleep 1000 < /dev/null > /dev/null 2>&1 & exit 3";
        Ran::of(server.client().arg("run").args(daemons.option()).arg(script)).exits(3);
        let (name, value) = mark.variable();
        let mut stranger = Command::new("sleep").arg("1000").stdin(Stdio::null()).spawn().unwrap();
        let clients: Vec<_> = (0..20).map(|_| start(&server, &mark, &[])).collect();
        mark.wait_for(20 * PROCESSES);
        server.replace(Signal::KILL);
        wait_until(&format!("{name}={value} is gone"), DEADLINE, || mark.processes().is_empty());
        daemons.wait_for(1);
        assert!(stranger.try_wait().unwrap().is_none());
        stranger.kill().unwrap();
        stranger.wait().unwrap();
        for client in clients {
            client.finish().exits(125);
        }
        assert_eq!(server.run(["echo next"]).succeeds(), "next\n");
        let running = server.path("home/.local/state/telex/running");
        wait_until("only its own journal", DEADLINE, || fs::read_dir(&running).unwrap().count() == 1);
        server.signal(Signal::TERM);
        server.wait();
        assert_eq!(fs::read_dir(&running).unwrap().count(), 0);
    }
}

#[test]
fn a_supervised_job_has_a_cgroup_where_jobs_have_one_and_leaves_none() {
    let server = TestServer::start();
    let of = |options: &[&str]| {
        let arguments = [options, &["grep ^0:: /proc/self/cgroup"]].concat();
        server.run(arguments).succeeds().trim_end().to_owned()
    };
    let attached = of(&[]);
    let supervised = of(&["--id", "x"]);
    assert_eq!(attached.contains("/telex."), supervised.contains("/telex."), "{attached} {supervised}");
    assert!(attached != supervised || !attached.contains("/telex."), "{supervised}");
    if let Some(path) = server.log().split("has a cgroup of its own path=").nth(1) {
        let path = path.split_whitespace().next().unwrap();
        let name = supervised.split('/').find(|part| part.starts_with("telex.")).unwrap();
        let own = std::path::Path::new(path).with_file_name(name);
        wait_until("its cgroup is gone", DEADLINE, || !own.exists());
    }
}

#[test]
fn limits_are_kept_for_a_supervised_job_or_refused_as_for_any_other() {
    let server = TestServer::start();
    for (limit, value) in [("--cpu", "50"), ("--pids", "50"), ("--mem", "200M"), ("--nice", "5")] {
        let script = "nice; ulimit -v; for f in cpu.max pids.max; do cat /sys/fs/cgroup/$(grep ^0:: /proc/self/cgroup | cut -d: -f3)/$f 2> /dev/null; done; exit 0";
        let ran = |options: &[&str]| {
            let ran = server.run([&[limit, value], options, &[script]].concat());
            (ran.status.code(), ran.text(), ran.errors())
        };
        let attached = ran(&[]);
        assert_eq!(attached, ran(&[&format!("--id=of{limit}")]), "{limit}");
        let detached = ran(&["--detach"]);
        assert_eq!((detached.0, detached.2), (attached.0, attached.2), "{limit}");
    }
}
