//! A directory of jobs that is damaged, full, not to be written to, or gone: each job that suffers says so, and no other does.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal, kill_process};
use tests::{DEADLINE, Ran, Running, Sandbox, TestServer, supervisors, wait_until, zombie_children};

fn ran(server: &TestServer, arguments: &[&str]) -> Ran {
    Ran::of(server.client().args(arguments))
}

fn jobs(server: &TestServer) -> PathBuf {
    server.path("home/.local/state/telex/jobs")
}

/// Waits until the server has logged this.
#[track_caller]
fn logs(server: &TestServer, text: &str) {
    wait_until(text, DEADLINE, || server.log().contains(text));
}

/// The directories of jobs, by what is in them.
fn directories(server: &TestServer) -> Vec<PathBuf> {
    let entries = fs::read_dir(jobs(server)).unwrap().flatten().map(|entry| entry.path());
    entries.filter(|path| path.join("intent").exists()).collect()
}

#[test]
fn a_damaged_job_is_set_aside_and_never_started_again_and_the_others_still_work() {
    for file in ["intent", "ended"] {
        let mut server = TestServer::start();
        let trace = server.path("trace");
        let script = format!("echo x >> {}; echo out", trace.display());
        ran(&server, &["run", "--id", "bad", &script]).succeeds();
        wait_until("it is over", DEADLINE, || supervisors(&server.path("")).is_empty());
        let damaged = directories(&server)[0].join(file);
        let mut bytes = fs::read(&damaged).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0xff;
        ran(&server, &["run", "--id", "good", "echo fine; exit 3"]).exits(3);
        server.replace_after(Signal::TERM, || fs::write(&damaged, bytes).unwrap());
        let said = ran(&server, &["run", "--id", "bad", &script]).complains("client", 125);
        assert!(said.contains("the outcome is lost") && said.contains("damaged"), "{said}");
        assert!(said.ends_with("once that directory is removed, the id can be used again"), "{said}");
        let aside = fs::read_dir(jobs(&server).join("damaged")).unwrap().next().unwrap().unwrap();
        let name = aside.file_name().into_string().unwrap();
        // With its intent, its id is gone: the directory's name stands for it.
        let shown = if file == "intent" { name.as_str() } else { "bad" };
        for verb in ["attach", "logs", "wait", "signal", "forget"] {
            for id in ["bad", shown, &shown[..shown.len() - 1]] {
                let said = ran(&server, &[verb, id]).complains("client", 125);
                assert!(said.contains(&format!("jobs/damaged/{name} is damaged")), "{verb}: {said}");
                assert!(said.contains("ask whoever runs it"), "{verb}: {said}");
            }
        }
        let listed = ran(&server, &["jobs", "--all"]).succeeds();
        let line = listed.lines().find(|line| line.starts_with(shown)).unwrap();
        assert!(line.contains(" lost "), "{line}");
        assert_eq!(line.contains("neither its id nor its command can be read"), file == "intent", "{line}");
        assert!(!ran(&server, &["jobs"]).succeeds().contains(shown));
        assert_eq!(fs::read_to_string(&trace).unwrap(), "x\n");
        logs(&server, "a job cannot be read");
        assert_eq!(ran(&server, &["logs", "good"]).succeeds(), "fine\n");
        assert!(ran(&server, &["jobs", "--all"]).succeeds().contains("good"));
        ran(&server, &["run", "--id", "new", "exit 5"]).exits(5);
        fs::remove_dir_all(aside.path()).unwrap();
        ran(&server, &["run", "--id", "bad", "exit 6"]).exits(6);
    }
}

#[test]
fn a_memory_that_is_gone_is_said_and_keeps_no_new_job_from_starting() {
    let mut server = TestServer::start();
    let memory = jobs(&server).join("memory");
    ran(&server, &["run", "--id", "old", "exit 3"]).exits(3);
    fs::remove_file(&memory).unwrap();
    ran(&server, &["run", "--id", "new", "exit 4"]).exits(4);
    let said = "it is not known how far back there is a record of every job";
    logs(&server, said);
    server.replace_after(Signal::TERM, || fs::write(&memory, "x").unwrap());
    wait_until("the start says it, too", DEADLINE, || server.log().matches(said).count() == 2);
    for (id, code) in [("old", 3), ("new", 4), ("newer", 5)] {
        ran(&server, &["run", "--id", id, &format!("exit {code}")]).exits(code);
    }
}

#[test]
fn a_server_without_a_place_for_jobs_runs_those_that_need_none() {
    let sandbox = Sandbox::with_keys();
    let file = sandbox.file("occupied", "");
    let settings = format!("[jobs]\ndirectory = {file:?}\n");
    let options = TestServer::options_in(sandbox).settings("server.toml", &settings);
    let server = options.listen("127.0.0.1:0").start();
    logs(&server, "no job can outlive this server");
    for options in [&["--detach"][..], &["--id", "x"], &["--on-disconnect", "keep"]] {
        let said = ran(&server, &[&["run"], options, &["true"]].concat()).complains("client", 125);
        assert!(said.contains("no place for jobs that outlive it"), "{options:?}: {said}");
    }
    ran(&server, &["run", "exit 4"]).exits(4);
}

/// A server with a small disk for its jobs, which is mounted for it alone, and where to find that; `None` where nothing may be
/// mounted.
fn with_disk(mebibytes: usize) -> Option<(TestServer, PathBuf)> {
    let sandbox = Sandbox::with_keys();
    let directory = sandbox.directory("disk", 0o700);
    let mount = format!(
        "m='mount -t tmpfs -o size={mebibytes}m,mode=700 none {}'
        unshare -m sh -c \"$m\" 2> /dev/null || {{ echo 'listening on nothing'; exit; }}
        exec unshare -m sh -c \"$m\"'; exec \"$@\"' sh \"$@\"",
        directory.display()
    );
    let settings = format!("[jobs]\ndirectory = {:?}\n", directory.join("jobs"));
    let options = TestServer::options_in(sandbox).settings("server.toml", &settings);
    let server = options.listen("127.0.0.1:0").after(&mount).start();
    let inside = PathBuf::from(format!("/proc/{}/root{}", server.process_id(), directory.display()));
    (server.address() != "nothing").then_some((server, inside))
}

fn free(disk: &Path) -> u64 {
    let found = rustix::fs::statvfs(disk).unwrap();
    found.f_bfree * found.f_frsize
}

#[test]
fn a_command_waits_while_the_disk_is_full_and_no_byte_is_missing() {
    let Some((server, disk)) = with_disk(64) else { return };
    let filler = disk.join("filler");
    fs::write(&filler, vec![0; free(&disk) as usize - (1 << 20)]).unwrap();
    let script = "seq 500000; echo done >&2; exit 3";
    let mut client = Running::start(server.client().args(["run", "-q", "--id", "wide", script]));
    wait_until("the disk is full", DEADLINE, || free(&disk) == 0);
    assert!(!client.has_ended());
    let said = ran(&server, &["run", "--id", "next", "true"]).complains("client", 125);
    assert!(said.contains("cannot write") && said.contains("no space left on device"), "{said}");
    logs(&server, r#""event":"job_refused""#);
    ran(&server, &["run", "exit 6"]).exits(6);
    fs::remove_file(filler).unwrap();
    let ran = client.finish().exits(3);
    let expected: String = (1..=500_000).map(|number| format!("{number}\n")).collect();
    assert!(ran.text() == expected, "{} bytes", ran.text().len());
    assert_eq!(ran.errors(), "done\n");
}

#[test]
fn a_job_for_which_there_is_no_room_is_refused_until_another_is_over() {
    // A tenth of it is for jobs.
    let Some((server, _disk)) = with_disk(48) else { return };
    let script = "head -c 1000000 /dev/zero; read line; exit 3";
    let mut client = Running::start(server.client().args(["run", "-q", "--id", "large", script]));
    client.wait_for_stdout(&"\0".repeat(1_000_000));
    let said = ran(&server, &["run", "--id", "next", "exit 4"]).complains("client", 125);
    assert!(said.contains("all jobs together have no room for another job"), "{said}");
    client.write(b"\n");
    client.finish().exits(3);
    ran(&server, &["run", "--id", "next", "exit 4"]).exits(4);
    // What has made room is said.
    let said = ran(&server, &["attach", "--from", "0", "large"]).complains("client", 125);
    assert!(said.contains("job large: stdout is kept from byte 1000000 on"), "{said}");
    let said = ran(&server, &["logs", "--from", "1000001", "large"]).complains("client", 125);
    assert!(said.contains("job large: stdout has 1000000 bytes until now"), "{said}");
}

#[test]
fn a_supervisor_whose_directory_was_removed_ends_with_its_job_and_writes_nothing_more() {
    for rest in ["exit 0", "yes | head -c 100000000; exit 0"] {
        let server = TestServer::start();
        let go = server.path("go");
        let script = format!("while [ ! -e {} ]; do sleep 0.02; done; {rest}", go.display());
        ran(&server, &["run", "--detach", "--id", "gone", &script]).succeeds();
        assert_eq!(supervisors(&server.path("")).len(), 1);
        fs::remove_dir_all(&directories(&server)[0]).unwrap();
        server.file("go", "");
        wait_until("it is gone", DEADLINE, || supervisors(&server.path("")).is_empty());
        ran(&server, &["run", "--id", "next", "exit 7"]).exits(7);
    }
}

#[test]
fn output_that_is_not_there_any_more_is_missed_aloud() {
    let server = TestServer::start();
    ran(&server, &["run", "--id", "short", "printf 0123456789abcdef"]).succeeds();
    wait_until("it is over", DEADLINE, || supervisors(&server.path("")).is_empty());
    let files = fs::read_dir(&directories(&server)[0]).unwrap().flatten().map(|entry| entry.path());
    let is_log = |path: &PathBuf| path.extension().is_some() && path.file_stem().unwrap() == "stdout";
    let log = files.filter(is_log).max_by_key(|path| fs::metadata(path).unwrap().len()).unwrap();
    // Longer than it was written, shorter, and empty.
    for (content, kept) in
        [("0123456789abcdef and more", "0123456789abcdef"), ("0123456789", "0123456789"), ("", "")]
    {
        fs::write(&log, content).unwrap();
        let logs = ran(&server, &["logs", "short"]).exits(0);
        let missing = 16 - kept.len();
        let said = if missing == 0 {
            String::new()
        } else {
            format!("client: the last {missing} bytes of stdout are not kept\n")
        };
        assert_eq!((logs.text().as_str(), logs.errors()), (kept, said));
    }
}

#[test]
fn output_is_there_also_when_it_is_not_known_any_more_how_a_job_began_and_ended() {
    let mut server = TestServer::start();
    ran(&server, &["run", "-q", "--id", "torn", "echo out; echo err >&2"]).exits(0);
    wait_until("it is over", DEADLINE, || supervisors(&server.path("")).is_empty());
    let ended = directories(&server)[0].join("ended");
    server.replace_after(Signal::TERM, || fs::remove_file(&ended).unwrap());
    let logs = ran(&server, &["logs", "torn"]);
    assert_eq!((logs.text().as_str(), logs.errors().as_str()), ("out\n", "err\n"), "{logs:?}");
    let attached = ran(&server, &["attach", "torn", "--from", "oldest"]);
    assert_eq!(attached.text(), "out\n", "{attached:?}");
    let said = attached.errors();
    assert!(said.contains("the record of how it ended is missing"), "{said}");
}

#[test]
fn starts_that_fail_and_supervisors_that_are_killed_leave_no_process_and_every_end_in_the_trail() {
    let mut server = TestServer::start();
    let jobs = jobs(&server);
    let aside = jobs.with_extension("aside");
    fs::rename(&jobs, &aside).unwrap();
    for _ in 0..10 {
        ran(&server, &["run", "--detach", "true"]).complains("client", 125);
    }
    fs::rename(&aside, &jobs).unwrap();
    let mut clients: Vec<Running> = (0..10)
        .map(|number| {
            let id = format!("killed-{number}");
            Running::start(server.client().args(["run", "-q", "--id", &id, "echo ready; exec sleep 1000"]))
        })
        .collect();
    clients.iter_mut().for_each(|client| client.wait_for_stdout("ready\n"));
    for supervisor in supervisors(&server.path("")) {
        kill_process(Pid::from_raw(supervisor.cast_signed()).unwrap(), Signal::KILL).unwrap();
    }
    for client in clients {
        let said = client.finish().complains("client", 125);
        assert!(said.contains("its supervisor was killed"), "{said}");
    }
    let is_end = |line: &&str| line.contains(r#""event":"job_end""#) && line.contains(r#""job":"killed-"#);
    let ends = || server.log().lines().filter(is_end).count();
    wait_until("all ends are in the trail", DEADLINE, || ends() == 10);
    wait_until("nobody is left", DEADLINE, || zombie_children(server.process_id()).is_empty());
    server.still_serves();
}
