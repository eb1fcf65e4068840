//! Clients that are killed (SIGKILL) at random moments leave nothing behind: no process of their jobs, whatever group or session it
//! went to, no zombie, no supervisor, no descriptor.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use std::fs;
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use tests::flood::direct_children;
use tests::{
    DEADLINE, Mark, Noise, Ran, TestServer, WITHOUT_CGROUPS, command_lines, wait_until, zombie_children,
};

/// Jobs of each server that have begun, with every build and with `just abuse`; more clients are killed, for some die before that.
const JOBS: usize = 250;
const MANY_JOBS: usize = 1000;

/// How many there are at a time.
const AT_ONCE: usize = 4;

/// A client lives no longer than this: some are killed before they have asked for anything.
const LONGEST_LIFE: Duration = Duration::from_millis(500);

/// Descriptors of a process, less those of cgroups, of which some are kept for the next jobs.
fn descriptors(process: u32) -> usize {
    let links = fs::read_dir(format!("/proc/{process}/fd")).unwrap().flatten();
    // One that was closed since the listing is none.
    let names = links.filter_map(|link| fs::read_link(link.path()).ok());
    names.filter(|name| !name.to_string_lossy().contains("/cgroup/")).count()
}

/// A job that leaves a trace, a child in the background, one in a session of its own, and an orphan.
fn script(server: &TestServer, then: &str) -> String {
    format!(
        "echo x >> {}; sleep 1000 & setsid sleep 1000 & (setsid sh -c 'sleep 1000 & exit' &) ; {then}",
        server.path("trace").display()
    )
}

/// Runs a client and kills it; the number says which kind of job it has.
fn live_and_die(server: &TestServer, mark: &Mark, number: usize, life: Duration) {
    let id = format!("killed-{number}");
    let (options, then): (&[&str], &str) = match number % 4 {
        0 => (&[], "exec sleep 1000"),
        1 => (&[], "exec yes"),
        2 => (&["--id", &id], "seq 5000; exec sleep 1000"),
        _ => (&[], "trap '' HUP; sleep 1000"),
    };
    let mut command = server.client();
    command.args(["run", "-n"]).args(mark.option()).args(options).arg(script(server, then));
    let mut client =
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    // The moment is what is tried here, so nothing is waited for.
    thread::sleep(life);
    client.kill().unwrap();
    client.wait().unwrap();
}

fn kill_them_all(server: &mut TestServer, jobs: usize) {
    let mark = Mark::new();
    // Whatever is made once and kept is there.
    for options in [&["-q"][..], &["--id", "first"]] {
        server.run(options.iter().chain(&["true"])).exits(0);
    }
    let process = server.process_id();
    wait_until("the first jobs are gone", DEADLINE, || direct_children(process) == 0);
    let before = descriptors(process);
    let started = || fs::read_to_string(server.path("trace")).unwrap_or_default().lines().count();
    let clients = AtomicUsize::new(0);
    thread::scope(|scope| {
        for worker in 0..AT_ONCE {
            let (started, clients, server, mark) = (&started, &clients, &*server, &mark);
            scope.spawn(move || {
                let mut noise = Noise::new(worker as u64);
                while started() < jobs {
                    let number = clients.fetch_add(1, Ordering::Relaxed);
                    assert!(number < 10 * jobs, "hardly any job begins");
                    let life = noise.below(LONGEST_LIFE.as_micros() as usize) as u64;
                    live_and_die(server, mark, number, Duration::from_micros(life));
                }
            });
        }
    });
    println!("{clients:?} clients were killed, {} jobs had begun", started());
    mark.wait_until_gone();
    let own = server.path("").display().to_string();
    let supervises = |line: &String| line.contains("supervise") && line.contains(own.trim_end_matches('/'));
    wait_until("no supervisor is left", DEADLINE, || !command_lines().iter().any(supervises));
    wait_until("no child is left", DEADLINE, || direct_children(process) == 0);
    wait_until("no zombie is left", DEADLINE, || zombie_children(process).is_empty());
    wait_until("no descriptor is left", DEADLINE, || descriptors(process) <= before);
    assert_eq!(Ran::of(server.client().args(["jobs", "--json"])).succeeds(), "");
    server.still_serves();
}

/// As it is here, and without cgroups.
fn servers() -> [TestServer; 2] {
    let options = || TestServer::options().listen("127.0.0.1:0").patient();
    [options().start(), options().after(WITHOUT_CGROUPS).start()]
}

#[test]
fn killed_clients_leave_nothing() {
    servers().iter_mut().for_each(|server| kill_them_all(server, JOBS));
}

#[test]
#[ignore = "takes minutes"]
fn a_thousand_killed_clients_leave_nothing() {
    servers().iter_mut().for_each(|server| kill_them_all(server, MANY_JOBS));
}
