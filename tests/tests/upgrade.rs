//! A server becomes the program that is in its file now: nobody who connects is refused, and whatever is wrong with that
//! program, the server goes on as it was. What becomes of its jobs is in `jobs`.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

#[path = "upgrade/jobs.rs"]
mod jobs;

use std::fs::{self, Permissions};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use common::packet::{Echo, Packet};
use rustix::process::Signal;
use tests::{DEADLINE, Manager, Ran, RawClient, Running, Sandbox, ServerOptions, TestServer, wait_until};

/// Upgrades in a row.
const UPGRADES: usize = 50;

/// What says that an upgrade came to nothing.
const REFUSED: &str = "not upgraded; this server goes on";

/// A server that was started from a file of its own, which can be replaced.
fn replaceable(sandbox: Sandbox) -> ServerOptions {
    let program = sandbox.path("telexd");
    copy(&sandbox, &program);
    TestServer::options_in(sandbox).program(program).patient()
}

/// The program, in another file.
fn copy(sandbox: &Sandbox, to: &Path) {
    install(sandbox, Path::new(sandbox.server().get_program()), to, 0o755);
}

/// Copies a program. Not in this process: while it has a file open for writing, so have programs that other tests are starting,
/// and then nobody can execute it.
fn install(sandbox: &Sandbox, from: &Path, to: &Path, mode: u32) {
    let mode = format!("{mode:o}");
    Ran::of(sandbox.command("/usr/bin/install").args(["-m", &mode]).args([from, to])).succeeds();
}

/// Puts a script in the place of the server's program. `$REAL` is a program that works.
fn replace_with_script(server: &TestServer, script: &str, mode: u32) -> PathBuf {
    let (new, program) = (server.path("new"), server.path("telexd"));
    let real = server.server().get_program().to_str().unwrap().to_owned();
    let text = server.file("script", format!("#!/bin/sh\nREAL={real}\n{script}\n"));
    install(server, &text, &new, mode);
    fs::rename(new, &program).unwrap();
    program
}

/// The same program once more, as a new version would come.
fn replace(server: &TestServer) {
    let new = server.path("new");
    copy(server, &new);
    fs::rename(new, server.path("telexd")).unwrap();
}

/// The file that a process was executed from.
fn executed(server: &TestServer) -> (PathBuf, u64) {
    use std::os::unix::fs::MetadataExt;
    let link = PathBuf::from(format!("/proc/{}/exe", server.process_id()));
    (fs::read_link(&link).unwrap(), fs::metadata(link).unwrap().ino())
}

fn upgrade(server: &TestServer) -> Ran {
    Ran::of(server.server().arg("upgrade"))
}

/// Tells the server to upgrade, which must come to nothing; why, as its log has it.
#[track_caller]
fn does_not_upgrade(server: &mut TestServer) -> String {
    let before = server.log().matches(REFUSED).count();
    server.signal(Signal::USR2);
    wait_until("the upgrade is refused", DEADLINE, || server.log().matches(REFUSED).count() > before);
    server.still_serves();
    let log = server.log();
    log.lines().rfind(|line| line.contains(REFUSED)).unwrap().to_owned()
}

fn descriptors(server: &TestServer) -> usize {
    fs::read_dir(format!("/proc/{}/fd", server.process_id())).unwrap().count()
}

#[test]
fn fifty_upgrades_in_a_row_refuse_nobody() {
    let mut server = replaceable(Sandbox::with_keys()).listen("127.0.0.1:0").start();
    let (stop, served, connected) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    upgrade(&server).succeeds();
    // With the cgroup of a job, which the next one gets.
    server.still_serves();
    let open = descriptors(&server);
    let is_over = || stop.load(Ordering::Relaxed);
    thread::scope(|scope| {
        let pings = scope.spawn(|| {
            while !is_over() {
                let ran = Ran::of(server.client().args(["ping", "-c", "1"]));
                if ran.status.success() {
                    served.fetch_add(1, Ordering::Relaxed);
                } else {
                    // One that was let in, and whose line was lost then.
                    assert!(
                        ran.errors().ends_with("client: the server ended the connection\n"),
                        "{}",
                        ran.errors()
                    );
                }
            }
        });
        let connects = scope.spawn(|| {
            while !is_over() {
                TcpStream::connect(server.address()).expect("nobody is refused");
                connected.fetch_add(1, Ordering::Relaxed);
            }
        });
        for number in 0..UPGRADES {
            let before = served.load(Ordering::Relaxed);
            if number % 10 == 0 {
                replace(&server);
            }
            let said = upgrade(&server).succeeds();
            assert!(said.starts_with(&format!("process {} is upgraded", server.process_id())), "{said}");
            wait_until("somebody is served", DEADLINE, || {
                served.load(Ordering::Relaxed) > before || pings.is_finished() || connects.is_finished()
            });
        }
        stop.store(true, Ordering::Relaxed);
        pings.join().unwrap();
        connects.join().unwrap();
    });
    assert!(connected.load(Ordering::Relaxed) > UPGRADES);
    server.still_serves();
    wait_until("nothing is left open", DEADLINE, || descriptors(&server) <= open);
    assert_eq!(tests::zombie_children(server.process_id()), Vec::<u32>::new());
}

#[test]
fn the_next_program_is_the_one_that_is_in_the_file_then() {
    let mut server = replaceable(Sandbox::with_keys()).listen("127.0.0.1:0").start();
    let (path, before) = executed(&server);
    assert_eq!(path, server.path("telexd"));
    replace(&server);
    assert!(executed(&server).0.ends_with("telexd (deleted)"));
    upgrade(&server).succeeds();
    let (path, after) = executed(&server);
    assert_eq!(path, server.path("telexd"));
    assert_ne!(before, after);
    server.still_serves();
    // A script may stand before it, and is asked the next time, too.
    replace_with_script(&server, "WRAPPED=1 exec $REAL \"$@\"", 0o755);
    for _ in 0..2 {
        upgrade(&server).succeeds();
        let environment = fs::read(format!("/proc/{}/environ", server.process_id())).unwrap();
        let environment = String::from_utf8_lossy(&environment).into_owned();
        assert!(environment.contains("WRAPPED=1"), "{environment}");
    }
    let seen = server.run(["env; ls -l /proc/self/fd"]).succeeds();
    assert!(!seen.contains("TELEX_HANDOVER") && !seen.contains("WRAPPED"), "{seen}");
    assert!(!seen.contains("memfd") && !seen.contains("socket:"), "{seen}");
}

#[test]
fn a_link_is_followed_when_it_counts() {
    let sandbox = Sandbox::with_keys();
    let (old, new, link) = (sandbox.path("1"), sandbox.path("2"), sandbox.path("current"));
    copy(&sandbox, &old);
    copy(&sandbox, &new);
    std::os::unix::fs::symlink(&old, &link).unwrap();
    // A shell gives the name by which it was called.
    let server = TestServer::options_in(sandbox).program(&link).listen("127.0.0.1:0").start();
    assert_eq!(executed(&server).0, old);
    std::os::unix::fs::symlink(&new, server.path("next")).unwrap();
    fs::rename(server.path("next"), &link).unwrap();
    upgrade(&server).succeeds();
    assert_eq!(executed(&server).0, new);
}

#[test]
fn a_program_that_is_not_sound_is_not_made_the_next_one() {
    let mut server = replaceable(Sandbox::with_keys()).listen("127.0.0.1:0").start();
    let mut lasting = RawClient::greeted(server.address());
    for (script, mode, reason) in [
        ("exec $REAL \"$@\"", 0o644, "it cannot be executed: permission denied"),
        ("exit 1", 0o755, "it does not answer as a server does"),
        ("exit 0", 0o755, "it does not answer as a server does"),
        ("echo no such thing >&2; exit 78", 0o755, "it says: no such thing"),
        ("exec $REAL --no-such-option", 0o755, "unexpected argument '--no-such-option'"),
        ("kill -SEGV $$", 0o755, "it does not answer as a server does"),
        ("yes | head -c 1000000; echo the end >&2", 0o755, "it says: the end"),
    ] {
        replace_with_script(&server, script, mode);
        let log = does_not_upgrade(&mut server);
        assert!(log.contains(reason), "{script}: {log}");
        let message = upgrade(&server).complains("server", 69);
        let expected = format!("process {} was not upgraded: ", server.process_id());
        assert!(message.starts_with(&expected) && message.contains(reason), "{script}: {message}");
    }
    fs::remove_file(server.path("telexd")).unwrap();
    assert!(does_not_upgrade(&mut server).contains("it cannot be executed: no such file or directory"));
    // Nobody who was there has noticed anything.
    let echo = Echo { token: 7, payload: vec![1].into() };
    lasting.send(Packet::Ping(echo.clone()));
    assert_eq!(lasting.hear(), Some(Packet::Pong(echo)));
    replace(&server);
    upgrade(&server).succeeds();
}

#[test]
fn settings_that_would_be_refused_are_refused_before() {
    let mut server = replaceable(Sandbox::with_keys()).listen("127.0.0.1:0").start();
    for (settings, reason) in [
        ("lisen = 1\n", "unknown key `lisen`"),
        ("[audit]\nto = \"/nonexistent/audit\"\n", "cannot open the audit trail"),
        ("host_key = \"/dev/null\"\n", "/dev/null"),
    ] {
        server.settings("server.toml", settings);
        let log = does_not_upgrade(&mut server);
        assert!(log.contains(reason), "{settings}: {log}");
    }
}

#[test]
fn a_program_that_hangs_is_given_up() {
    let mut server = replaceable(Sandbox::with_keys()).listen("127.0.0.1:0").start();
    replace_with_script(&server, "exec sleep 1000", 0o755);
    assert!(does_not_upgrade(&mut server).contains("it has not answered within 10 s"));
    wait_until("it is gone", DEADLINE, || tests::zombie_children(server.process_id()).is_empty());
}

#[test]
fn a_server_that_is_told_to_stop_meanwhile_stops() {
    let mut server = replaceable(Sandbox::with_keys()).listen("127.0.0.1:0").start();
    let asked = server.path("asked");
    replace_with_script(&server, &format!("touch {}; exec sleep 1000", asked.display()), 0o755);
    server.signal(Signal::USR2);
    wait_until("the program is asked", DEADLINE, || asked.exists());
    // What else it is told meanwhile, it does.
    server.signal(Signal::HUP);
    wait_until("the settings are read", DEADLINE, || server.log().contains("settings read again"));
    server.still_serves();
    let before = Instant::now();
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(0));
    assert!(before.elapsed() < Duration::from_secs(8), "{:?}", before.elapsed());
}

#[test]
fn a_program_that_cannot_be_executed_in_the_end_leaves_everything_as_it_was() {
    let mut server =
        replaceable(Sandbox::with_keys()).listen("127.0.0.1:0").listen("unix:DIR/own/server.sock").start();
    // Sound when it is asked, and not there when it is needed.
    replace_with_script(&server, "chmod 644 \"$0\"; exec $REAL \"$@\"", 0o755);
    let open = descriptors(&server);
    for _ in 0..3 {
        fs::set_permissions(server.path("telexd"), Permissions::from_mode(0o755)).unwrap();
        assert!(does_not_upgrade(&mut server).contains("cannot be executed: permission denied"));
        let other = Ran::of(server.bare_client().args(["-H", &server.addresses()[1], "run", "echo in"]));
        assert_eq!(other.succeeds(), "in\n");
    }
    wait_until("nothing is left open", DEADLINE, || descriptors(&server) <= open);
    let inherited = server.run(["ls -l /proc/self/fd"]).succeeds();
    assert!(!inherited.contains("socket:"), "{inherited}");
    // Its signals are heard again.
    server.signal(Signal::HUP);
    wait_until("the settings are read", DEADLINE, || server.log().contains("settings read again"));
    replace(&server);
    upgrade(&server).succeeds();
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn to_those_who_are_connected_the_line_is_lost() {
    let mut server = replaceable(Sandbox::with_keys()).listen("127.0.0.1:0").start();
    let mut idle = RawClient::greeted(server.address());
    // One that is about to log in, or never does.
    let silent = RawClient::connect_bare(server.address());
    upgrade(&server).succeeds();
    assert_eq!(idle.hear_close(), None, "nobody says that the server is stopping");
    drop(silent);
    server.still_serves();
}

#[test]
fn a_socket_stays_its_servers() {
    let mut server = replaceable(Sandbox::with_keys()).listen("unix:DIR/own/server.sock").start();
    let (path, address) = (server.path("own/server.sock"), server.address().to_owned());
    for _ in 0..2 {
        upgrade(&server).succeeds();
        server.still_serves();
        assert!(server.sandboxed_server(&address).complains("server", 69).contains("is in use"));
    }
    UnixStream::connect(&path).unwrap();
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(0));
    assert!(!path.exists());
}

#[test]
fn an_upgrade_goes_by_the_settings_of_that_moment() {
    let sandbox = Sandbox::with_keys();
    let text = |addresses: &str| {
        format!(
            "listen = [{addresses}]\n[limits]\nunauthenticated_per_source = 1000\nexempt = [\"127.0.0.0/8\"]\n"
        )
    };
    let options = replaceable(sandbox).settings("server.toml", &text("\"127.0.0.1:0\", \"127.4.3.2:0\""));
    let mut server = options.saying(2).start();
    let [kept, dropped] = [0, 1].map(|index| server.addresses()[index].clone());
    let socket = server.path("own/server.sock");
    server.settings("server.toml", text(&format!("\"127.0.0.1:0\", \"unix:{}\"", socket.display())));
    upgrade(&server).succeeds();
    assert_eq!(server.address(), kept);
    server.still_serves();
    UnixStream::connect(&socket).unwrap();
    wait_until("nobody listens there", DEADLINE, || TcpStream::connect(&dropped).is_err());
    // An address that cannot be had is a reason to stay.
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    server.settings("server.toml", text(&format!("\"{}\"", taken.local_addr().unwrap())));
    assert!(does_not_upgrade(&mut server).contains("is in use"));
    server.settings("server.toml", "listen = [\"0.0.0.0:0\"]\nauthorized_keys = \"/nonexistent\"\n");
    server.signal(Signal::USR2);
    wait_until("the upgrade is refused", DEADLINE, || server.log().contains("no key is authorised"));
    assert!(socket.exists());
}

#[test]
fn a_server_under_nohup_stays_so() {
    let options = replaceable(Sandbox::with_keys()).listen("127.0.0.1:0").on_a_terminal();
    let mut server = options.after("trap '' HUP").start();
    upgrade(&server).succeeds();
    server.hang_up();
    wait_until("it has read its settings again", DEADLINE, || server.log().contains("settings read again"));
    server.still_serves();
    // And one that is not ends with its terminal.
    let mut server = replaceable(Sandbox::with_keys()).listen("127.0.0.1:0").on_a_terminal().start();
    upgrade(&server).succeeds();
    server.hang_up();
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn a_service_manager_hears_of_it_and_what_it_has_bound_goes_on() {
    let sandbox = Sandbox::with_keys();
    let manager = Manager::at(&sandbox.path("notify"));
    let options = replaceable(sandbox).env("NOTIFY_SOCKET", manager.name()).env("FDSTORE", "4");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut server = options.passing(listener, "telexd.socket").listen("unix:DIR/own/server.sock").start();
    manager.hear_of("FDSTORE=1");
    manager.hear_of("READY=1");
    for _ in 0..3 {
        upgrade(&server).succeeds();
        assert_eq!(manager.hear().value("RELOADING"), Some("1"));
        assert!(manager.hear().value("FDSTOREREMOVE").is_some());
        assert!(manager.hear().value("FDSTORE").is_some());
        let ready = manager.hear();
        assert_eq!(ready.value("READY"), Some("1"), "{ready:?}");
        assert!(ready.value("STATUS").unwrap().contains(server.address()), "{ready:?}");
        server.still_serves();
    }
    let trail = server.log();
    assert_eq!(trail.matches("\"state\":\"handing_over\"").count(), 3, "{trail}");
    assert_eq!(trail.matches("\"state\":\"started\"").count(), 4, "{trail}");
}

#[test]
fn a_server_is_found_by_its_files_and_chosen_by_its_process() {
    let sandbox = Sandbox::with_keys();
    let message = Ran::of(sandbox.server().arg("upgrade")).complains("server", 78);
    assert!(message.starts_with("there is no server of yours that uses "), "{message}");
    let server = replaceable(sandbox).listen("127.0.0.1:0").start();
    let servers = server.path("home/.local/state/telex/servers");
    fs::set_permissions(&servers, Permissions::from_mode(0o777)).unwrap();
    let message = upgrade(&server).complains("server", 78);
    let why = "is not trusted: ";
    assert!(message.contains(why) && message.contains("can be changed by others (mode 0777)"), "{message}");
    let mend = format!("chmod go-w {}, or send the server SIGUSR2", servers.display());
    assert!(message.ends_with(&mend), "{message}");
    fs::set_permissions(&servers, Permissions::from_mode(0o700)).unwrap();
    let mut second = server.server();
    let mut second = Running::start(second.args(["--listen", "127.0.0.1:0"]));
    second.wait_for_stdout("listening on ");
    let message = upgrade(&server).complains("server", 78);
    assert!(message.starts_with("there are several servers: process "), "{message}");
    assert!(
        message.contains(server.address()) && message.ends_with("; say which one with --pid"),
        "{message}"
    );
    let pid = second.id().to_string();
    let said = Ran::of(server.server().args(["upgrade", "--pid", &pid])).succeeds();
    assert!(said.starts_with(&format!("process {pid} is upgraded")), "{said}");
    second.signal(Signal::TERM);
    second.finish().exits(0);
    assert!(upgrade(&server).succeeds().contains("is upgraded"));
    Ran::of(server.server().args(["upgrade", "--pid", "1"])).complains("server", 78);
}

#[test]
fn the_program_that_is_asked_believes_nothing_that_is_not_sealed() {
    let sandbox = Sandbox::with_keys();
    for input in [&b""[..], b"telex handover 1 2 0\n{}", b"\xff\xff"] {
        let ran = Ran::with_input(sandbox.server().arg("handover-check"), input);
        assert!(ran.complains("server", 78).contains("the record of what is handed over: "));
    }
    // Nor does a server that is started with somebody else's variable.
    let mut server = TestServer::options().env("TELEX_HANDOVER", "1:0").listen("127.0.0.1:0").start();
    server.still_serves();
}
