//! Configuration files: what is wrong with them is said with its place, what they say holds, and a server takes a new one
//! over while it runs, or keeps the old.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tests::{DEADLINE, Ran, RawClient, Running, Sandbox, TestServer, strange_key, wait_until};

/// How soon a change counts.
const LIVE: Duration = Duration::from_secs(2);

/// Changes that are wrong, one after the other.
const WRONG_CHANGES: usize = 100;

/// The last line on stderr, without the program's name: the complaint.
#[track_caller]
fn complaint(ran: &Ran, program: &str) -> String {
    let errors = ran.errors();
    let last = errors.lines().last().unwrap_or_default();
    last.strip_prefix(&format!("{program}: ")).unwrap_or_else(|| panic!("{errors}")).to_owned()
}

#[test]
fn what_is_wrong_in_the_servers_file_is_said_by_the_server_and_by_check() {
    for (text, expected) in [
        ("# mine\nlisen = []\n", ":2: unknown key `lisen`; did you mean `listen`?"),
        ("[limits]\nunauthenticated = 10\nunauthenticatd = 10\n", ":3: unknown key `unauthenticatd`"),
        ("[limits]\nconnections = 0\n", ":2: "),
        ("[penalties]\nauth_failure = \"1 day\"\n", ":2: "),
        ("[audit]\nto = \"relative\"\n", ":2: "),
        ("[audit]\non_failure = \"ignore\"\n", ":2: audit.on_failure: unknown value `ignore`; write one of"),
        ("listen = [\"127.0.0.1:0\",\n \"127.0.0.1:x\"]\n", ":2: "),
        ("listen = [", ":1: "),
        ("[audit]\n[audit]\n", ":2: "),
        ("host_key = \"relative\"\n", ":1: "),
        (
            "listen = [\"127.0.0.1:0\"]\n[audit]\nto = \"/nonexistent/audit\"\n",
            "cannot open the audit trail /nonexistent/audit",
        ),
        ("listen = [\"0.0.0.0:0\"]\nauthorized_keys = \"/nonexistent/keys\"\n", "no key is authorised"),
    ] {
        let sandbox = Sandbox::with_keys();
        let path = sandbox.settings("server.toml", text);
        let started = Ran::of(sandbox.server().args(["--log-level", "error"])).exits(78);
        let checked = Ran::of(sandbox.server().arg("check")).exits(78);
        let message = complaint(&started, "server");
        assert_eq!(message, complaint(&checked, "server"), "{text:?}");
        let place = if expected.starts_with(':') { path.display().to_string() } else { String::new() };
        assert!(message.contains(&format!("{place}{expected}")), "{text:?}: {message}");
    }
}

#[test]
fn a_file_that_is_named_must_be_there_and_is_the_only_one() {
    let sandbox = Sandbox::with_keys();
    sandbox.settings("server.toml", "no such key = 1\n");
    let socket = sandbox.path("run/s/s.sock");
    let other = sandbox.settings("other.toml", format!("listen = [\"unix:{}\"]\n", socket.display()));
    let checked = Ran::of(sandbox.server().arg("check").arg("--config").arg(&other)).succeeds();
    let keys = sandbox.settings_path("authorized_keys");
    assert_eq!(
        checked,
        format!(
            "settings: {}\nkeys: {}\nsettings are good; keys that may connect: 1\n",
            other.display(),
            keys.display()
        )
    );
    Ran::of(sandbox.server().arg("check")).exits(78);
    let missing = Ran::of(sandbox.server().args(["check", "--config", "/nonexistent.toml"])).exits(78);
    assert_eq!(complaint(&missing, "server"), "there is no file /nonexistent.toml");
    fs::remove_file(sandbox.settings_path("server.toml")).unwrap();
    let checked = Ran::of(sandbox.server().arg("check")).succeeds();
    let defaults = format!(
        "settings: the defaults; there is no file {} and no /etc/telex/server.toml\n",
        sandbox.settings_path("server.toml").display()
    );
    assert!(checked.starts_with(&defaults), "{checked}");
}

#[test]
fn what_is_wrong_in_the_clients_file_is_said_before_anything_is_sent() {
    let server = TestServer::start();
    for (text, expected) in [
        ("\ndefault_hots = \"x\"\n", ":2: unknown key `default_hots`; did you mean `default_host`?"),
        (
            "[hosts.db1]\naddress = \"a:1\"\nidentiy = \"/k\"\n",
            ":3: unknown key `identiy`; did you mean `identity`?",
        ),
        ("[hosts.db1]\nuser = \"u\"\n", ":1: missing key `address`"),
        ("[hosts.db1]\naddress = \"a:b:c\"\n", ":2: "),
        ("[hosts.\"-x\"]\naddress = \"a\"\n", ":1: "),
        ("[hosts.db1]\naddress = \"a\"\nuser = \"two words\"\n", ":3: "),
    ] {
        let path = server.settings("config.toml", text);
        let message = server.run(["true"]).complains("client", 125);
        assert!(message.starts_with(&format!("{}{expected}", path.display())), "{text:?}: {message}");
    }
    assert!(!server.log().contains("connected"), "{}", server.log());
}

#[test]
fn a_host_has_its_address_its_key_and_its_user() {
    let server = TestServer::options().listen("127.0.0.1:0").patient().start();
    let address = server.address();
    let other = server.key("other_key", strange_key());
    let me = Ran::of(server.command("/usr/bin/id").arg("-un")).succeeds().trim().to_owned();
    let config = format!(
        "default_host = \"db1\"\n[hosts.db1]\naddress = \"{address}\"\n\
         [hosts.mine]\naddress = \"{address}\"\nuser = \"{me}\"\n\
         [hosts.theirs]\naddress = \"{address}\"\nuser = \"somebody\"\n\
         [hosts.\"other.example\"]\naddress = \"{address}\"\nidentity = {other:?}\n\
         [hosts.home]\naddress = \"{address}\"\nidentity = \"~/.config/telex/id_ed25519\"\n"
    );
    server.settings("config.toml", config);
    let run = |host: &[&str]| Ran::of(server.bare_client().args(host).args(["run", "echo in"]));
    for host in [&[][..], &["-H", "db1"], &["-H", "mine"], &["-H", "home"], &["-H", address]] {
        assert_eq!(run(host).succeeds(), "in\n", "{host:?}");
    }
    assert_eq!(run(&["-H", &format!("{me}@theirs")]).succeeds(), "in\n");
    for host in ["theirs", "somebody@db1"] {
        let message = run(&["-H", host]).complains("client", 125);
        assert!(message.contains(&format!("it runs commands as {me}, not as somebody")), "{message}");
    }
    let message = run(&["-H", "other.example"]).complains("client", 125);
    assert!(message.contains(&strange_key().public().to_string()), "the key that was shown: {message}");
    // What is said on the command line wins.
    let usual = server.settings_path("id_ed25519");
    assert_eq!(run(&["-H", "other.example", "-i", usual.to_str().unwrap()]).succeeds(), "in\n");
    assert_eq!(
        Ran::of(server.bare_client().args(["run", "echo in"]).env("TELEX_HOST", "mine")).succeeds(),
        "in\n"
    );
}

/// A server whose trail goes to the file `name`, without the commands.
fn audited(sandbox: Sandbox) -> TestServer {
    let text = audit_to(&sandbox.path("audit"));
    sandbox.settings("server.toml", text);
    TestServer::options_in(sandbox).listen("127.0.0.1:0").start()
}

fn audit_to(path: &PathBuf) -> String {
    format!("[audit]\nto = {path:?}\ncommands = false\n[limits]\nexempt = [\"127.0.0.0/8\"]\n")
}

/// Runs short commands one after the other until told to stop; how many. Each must succeed.
fn keep_running(server: &TestServer, stop: &AtomicBool, ran: &AtomicUsize) {
    while !stop.load(Ordering::Relaxed) {
        assert_eq!(server.run(["echo in"]).succeeds(), "in\n");
        ran.fetch_add(1, Ordering::Relaxed);
    }
}

/// Makes the server's settings wrong, each time in another way, and tells it to read them.
fn spoil(server: &TestServer, number: usize) {
    let wrong = [
        "listen = [",
        "[limits]\nconections = 1\n",
        "[audit]\nto = \"/nonexistent/audit\"\n",
        "\u{7f}",
        "[log]\nlevel = 7\n",
    ];
    let path = server.settings("server.toml", wrong[number % wrong.len()]);
    if number % 7 == 6 {
        fs::set_permissions(path, Permissions::from_mode(0o666)).unwrap();
    }
    server.signal(Signal::HUP);
    let kept = || server.log().matches("settings stay as they were").count();
    wait_until("the change is refused", DEADLINE, || kept() == number + 1);
}

#[test]
fn wrong_changes_under_load_disturb_nobody() {
    let server = audited(Sandbox::with_keys());
    let mut lasting = Running::start(server.client().args(["run", "cat"]));
    let (stop, ran) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        let load: Vec<_> = (0..2).map(|_| scope.spawn(|| keep_running(&server, &stop, &ran))).collect();
        for number in 0..WRONG_CHANGES {
            let before = ran.load(Ordering::Relaxed);
            spoil(&server, number);
            wait_until("commands run on", DEADLINE, || {
                ran.load(Ordering::Relaxed) > before || load.iter().any(|thread| thread.is_finished())
            });
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert!(ran.load(Ordering::Relaxed) >= WRONG_CHANGES);
    lasting.write(b"still here\n");
    lasting.wait_for_stdout("still here\n");
    lasting.finish().exits(0);
    // The old settings hold: the trail is where it was, and has no commands.
    let trail = fs::read_to_string(server.path("audit")).unwrap();
    let ends = trail.lines().filter(|line| line.contains("\"event\":\"job_end\"")).count();
    assert_eq!(ends, ran.load(Ordering::Relaxed) + 1);
    assert!(!trail.contains("echo in") && !trail.contains("reloaded"), "{trail}");
}

/// Has the server read these settings; when that was.
fn change(server: &TestServer, text: &str) -> Instant {
    server.settings("server.toml", text);
    server.signal(Signal::HUP);
    Instant::now()
}

#[test]
fn a_change_of_the_trail_counts_at_once() {
    let server = audited(Sandbox::with_keys());
    let mut lasting = Running::start(server.client().args(["run", "cat"]));
    lasting.write(b"x\n");
    lasting.wait_for_stdout("x\n");
    let other = server.path("other");
    let text = audit_to(&other).replace("commands = false", "commands = true");
    let changed = change(&server, &text);
    wait_until("the other file is used", LIVE, || other.exists());
    server.run(["echo after"]).succeeds();
    let trail = || fs::read_to_string(&other).unwrap();
    wait_until("the command is in it", LIVE.saturating_sub(changed.elapsed()) + LIVE, || {
        trail().contains("echo after")
    });
    assert!(!fs::read_to_string(server.path("audit")).unwrap().contains("echo after"));
    // What began before goes on, and ends in the new file.
    lasting.finish().exits(0);
    wait_until("the end of the other job is told", DEADLINE, || trail().matches("job_end").count() == 2);
}

#[test]
fn a_change_of_limits_counts_at_once() {
    let server = audited(Sandbox::with_keys());
    let patient = RawClient::connect_bare(server.address());
    change(
        &server,
        "[limits]\nclient_hello_timeout = \"100ms\"\nlogin_timeout = \"100ms\"\nunauthenticated_per_source = 1\nexempt = [\"127.0.0.0/8\"]\n",
    );
    wait_until("the settings are read", LIVE, || server.log().contains("settings read again"));
    let start = Instant::now();
    assert_eq!(RawClient::connect_bare(server.address()).hear_close(), None, "it is sent away");
    assert!(start.elapsed() < LIVE, "{:?}", start.elapsed());
    drop(patient);
}

#[test]
fn what_needs_a_restart_is_said() {
    let server = audited(Sandbox::with_keys());
    let elsewhere = server.path("elsewhere");
    let text = format!(
        "authorized_keys = {elsewhere:?}\nrevoked_keys = {:?}\n[log]\nlevel = \"debug\"\n{}",
        // Where it is anyway; but from now on it would have to be there.
        server.settings_path("revoked_keys"),
        audit_to(&server.path("audit"))
    );
    change(&server, &text);
    wait_until("the settings are read", LIVE, || server.log().contains("settings read again"));
    for setting in ["authorized_keys", "revoked_keys", "[log]"] {
        let line = format!("changed in the file; it needs a restart to count setting=\"{setting}\"");
        assert!(server.log().contains(&line), "{}", server.log());
    }
    // And it is so.
    assert_eq!(server.run(["echo in"]).succeeds(), "in\n");
}
