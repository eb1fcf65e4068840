//! A server that has run out of descriptors waits for some, without spinning and without flooding its log, and serves again
//! when there are some.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use std::fs;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustix::process::geteuid;
use tests::{DEADLINE, Ran, TestServer, resident_bytes, wait_until};

/// Descriptors that the server has.
const DESCRIPTORS: usize = 64;

/// Clients that come.
const CLIENTS: usize = 200;

/// How long they stay.
const STAY: Duration = Duration::from_secs(3);

/// How soon it serves again: what was promised, and a margin for a busy machine.
const RECOVERY: Duration = Duration::from_secs(5);

/// Processor time that a process has used, in ticks of 10 ms.
fn ticks(process: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let fields: Vec<u64> = stat
        .rsplit_once(") ")
        .unwrap()
        .1
        .split(' ')
        .skip(11)
        .take(2)
        .map(|field| field.parse().unwrap())
        .collect();
    fields.iter().sum()
}

#[test]
fn without_descriptors_it_waits_and_then_serves_again() {
    let settings = "[limits]\nunauthenticated = 1000\nunauthenticated_per_source = 1000\nclient_hello_timeout = \"1h\"\n\
                    login_timeout = \"1h\"\nexempt = [\"127.0.0.0/8\"]\n";
    let options = TestServer::options().settings("server.toml", settings).listen("127.0.0.1:0");
    let mut server = options.after(&format!("ulimit -n {DESCRIPTORS}")).start();
    let failures = || server.log().matches("cannot accept connections").count();
    let clients: Vec<_> = (0..CLIENTS).map(|_| TcpStream::connect(server.address()).unwrap()).collect();
    wait_until("there are no descriptors left", DEADLINE, || failures() > 0);
    let (before, since) = (ticks(server.process_id()), Instant::now());
    wait_until("they have stayed for a while", DEADLINE, || since.elapsed() >= STAY);
    let used = ticks(server.process_id()) - before;
    // A tenth of a processor.
    assert!(Duration::from_millis(10 * used) < since.elapsed() / 10, "{used} ticks in {:?}", since.elapsed());
    assert!(server.log().lines().count() <= 20, "{}", server.log());
    drop(clients);
    let gone = Instant::now();
    server.still_serves();
    assert!(gone.elapsed() < RECOVERY, "{:?}", gone.elapsed());
}

/// The user `nobody`: root is not bound by the number of processes.
const USER: u32 = 65534;

/// Jobs that cannot be started.
const FAILURES: u32 = 100;

/// What so many may cost the server: nothing that stays.
const GROWTH: u64 = 2 * 1024 * 1024;

#[test]
fn without_processes_a_job_is_refused_with_the_reason_and_costs_nothing() {
    if !geteuid().is_root() {
        return eprintln!("not run: only root can become another user");
    }
    let options = TestServer::options().listen("127.0.0.1:0").patient();
    // The server's own threads count as well, and those of whoever else is nobody.
    let become_nobody = format!(
        "top=$(dirname $HOME); cd $HOME/.config/telex; chmod 711 $top; chmod 755 $HOME $HOME/.config .
         chown {USER} host_key authorized_keys server.toml $top/run; mkdir $top/state; chown {USER} $top/state
         export XDG_STATE_HOME=$top/state; install -m 755 \"$1\" $top/telexd; shift
         exec setpriv --reuid={USER} --clear-groups --inh-caps=-all --bounding-set=-all $top/telexd \"$@\""
    );
    let server = options.after(&become_nobody).start();
    let process = server.process_id();
    let limit = |processes: &str| {
        let limit = format!("--nproc={processes}:");
        let mut prlimit = server.command("/usr/bin/setpriv");
        prlimit.args([&format!("--reuid={USER}"), "--clear-groups", "prlimit"]);
        Ran::of(prlimit.args(["--pid", &process.to_string(), &limit])).succeeds();
    };
    let run = |arguments: &[&str]| server.run([&["--cwd", "/", "--"], arguments].concat());
    run(&["true"]).exits(0);
    limit("1");
    let message = run(&["true"]).complains("client", 125);
    assert!(
        message.contains("Resource temporarily unavailable") || message.contains("try again"),
        "{message}"
    );
    let script =
        format!("for n in $(seq {FAILURES}); do $CLIENT run -q -n --cwd / -- true && exit 9; done; exit 0");
    let before = resident_bytes(process);
    let ran = Ran::of(&mut server.script("/bin/sh", &script)).exits(0);
    assert_eq!(ran.errors().lines().count(), FAILURES as usize);
    let grown = resident_bytes(process).saturating_sub(before);
    assert!(grown < GROWTH, "{grown} bytes");
    limit("1000");
    run(&["true"]).exits(0);
}
