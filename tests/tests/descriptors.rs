//! What a command inherits from the server: three pipes, and nothing that was the server's own, however many start at
//! once.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use tests::{Mark, Ran, Running, TestServer};

/// Commands that run at the same time.
const PARALLEL: usize = 200;

/// What a service manager, an ssh-agent and an operator leave in a server's environment.
const VARIABLES: [&str; 11] = [
    "LISTEN_FDS",
    "LISTEN_FDNAMES",
    "LISTEN_PID",
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
    "FDSTORE",
    "TELEX_HANDOVER",
    "SSH_AUTH_SOCK",
    "SERVER_SECRET",
    "XDG_RUNTIME_DIR",
];

/// A server with all of these, and with descriptors that it was started with, its own host key among them.
fn server() -> TestServer {
    let mut options = TestServer::options().listen("127.0.0.1:0").patient();
    for name in VARIABLES {
        options = options.env(name, "/leaked");
    }
    options.after("exec 3<\"$HOME/.config/telex/host_key\" 7</etc/passwd 9>/dev/null").start()
}

/// Numbers and targets of descriptors, from what `ls -l` says of them.
fn descriptors(list: &str) -> Vec<(&str, &str)> {
    let lines = list.lines().filter_map(|line| line.rsplit_once(" -> "));
    lines.map(|(name, target)| (name.rsplit(' ').next().unwrap(), target)).collect()
}

#[test]
fn two_hundred_commands_at_once_have_three_descriptors_each() {
    let server = server();
    let lists = server.directory("lists", 0o700);
    let script = format!(
        "cd {}; for number in $(seq {PARALLEL}); do $CLIENT run -- ls -l /proc/self/fd >$number 2>&1 & done; wait",
        lists.display()
    );
    Ran::of(&mut server.script("/bin/sh", &script)).succeeds();
    for number in 1..=PARALLEL {
        let text = fs::read_to_string(lists.join(number.to_string())).unwrap();
        let [("0", stdin), ("1", stdout), ("2", stderr), ("3", own)] = descriptors(&text)[..] else {
            panic!("{text}")
        };
        assert!(own.starts_with("/proc/"), "the directory that ls reads: {text}");
        assert!(stdin == "/dev/null" || stdin.starts_with("pipe:"), "{text}");
        assert!(stdout.starts_with("pipe:") && stderr.starts_with("pipe:") && stdout != stderr, "{text}");
    }
}

#[test]
fn nothing_of_the_servers_environment_is_in_a_command() {
    let server = server();
    let environment = server.run(["--", "env", "-0"]).succeeds();
    for variable in environment.split('\0') {
        let name = variable.split('=').next().unwrap();
        assert!(!VARIABLES.contains(&name), "{variable}");
        assert!(!variable.contains("/leaked"), "{variable}");
    }
}

#[test]
fn the_host_key_is_in_no_process_that_the_server_started() {
    let server = server();
    let mark = Mark::new();
    let mut jobs = Vec::new();
    for _ in 0..4 {
        let command = "sleep 1000 & cat; kill $!".to_owned();
        let arguments = mark.option().into_iter().chain([command]);
        jobs.push(Running::start(server.client().arg("run").args(arguments)));
    }
    // Of each job the shell, sleep and cat.
    mark.wait_for(12);
    let path = server.settings_path("host_key");
    let (openssh, identity) = (fs::read_to_string(&path).unwrap(), identity(&path).unwrap());
    // The secret half stands in the last lines but the very last one.
    let secret = openssh.lines().rev().nth(2).unwrap();
    assert_eq!(secret.len(), 70, "a whole line of base64");
    for process in mark.processes() {
        let directory = Path::new("/proc").join(process.to_string());
        for name in ["environ", "cmdline"] {
            let text = fs::read(directory.join(name)).unwrap();
            assert!(!String::from_utf8_lossy(&text).contains(secret), "{name} of {process}");
        }
        for descriptor in fs::read_dir(directory.join("fd")).unwrap().flatten() {
            assert_ne!(self::identity(&descriptor.path()), Some(identity), "{descriptor:?}");
        }
    }
    for job in jobs {
        job.finish();
    }
}

/// Which file it is, wherever it is seen; `None` if it is none any more.
fn identity(path: &Path) -> Option<(u64, u64)> {
    let found = fs::metadata(path).ok()?;
    Some((found.dev(), found.ino()))
}
