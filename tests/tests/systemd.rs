//! The server under a service manager such as systemd: it says how it is doing, and listens on what was bound for it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use std::fs;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use rustix::net::{AddressFamily, SocketAddrUnix, SocketType, bind, listen, socket};
use rustix::process::Signal;
use rustix::time::{ClockId, clock_gettime};
use tests::{DEADLINE, Manager, Ran, Running, Sandbox, ServerOptions, TestServer, wait_until};

/// Restarts in a row.
const RESTARTS: usize = 20;

fn managed(manager: &Manager, sandbox: Sandbox) -> ServerOptions {
    TestServer::options_in(sandbox).env("NOTIFY_SOCKET", manager.name())
}

#[test]
fn a_server_says_when_it_is_ready_when_it_reads_its_settings_and_when_it_stops() {
    let sandbox = Sandbox::with_keys();
    let path = sandbox.path("notify");
    for (manager, sandbox) in
        [(Manager::at(&path), sandbox), (Manager::with_abstract_name(), Sandbox::with_keys())]
    {
        let mut server = managed(&manager, sandbox).listen("127.0.0.1:0").start();
        let ready = manager.hear();
        assert_eq!(ready.value("READY"), Some("1"), "{ready:?}");
        let status = format!("listening on {}", server.address());
        assert_eq!(ready.value("STATUS"), Some(status.as_str()), "{ready:?}");

        let before = clock_gettime(ClockId::Monotonic).tv_sec * 1_000_000;
        server.signal(Signal::HUP);
        let reloading = manager.hear();
        assert_eq!(reloading.value("RELOADING"), Some("1"), "{reloading:?}");
        let at: i64 = reloading.value("MONOTONIC_USEC").unwrap().parse().unwrap();
        assert!((before..before + 60_000_000).contains(&at), "{at}");
        let again = manager.hear();
        assert_eq!((again.value("READY"), again.value("STATUS")), (Some("1"), Some(status.as_str())));

        server.settings("server.toml", "lisen = 1\n");
        server.signal(Signal::HUP);
        manager.hear_of("RELOADING=1");
        let kept = manager.hear();
        assert_eq!(kept.value("READY"), Some("1"), "{kept:?}");
        assert!(kept.value("STATUS").unwrap().contains("settings stay as they were: "), "{kept:?}");

        server.signal(Signal::TERM);
        let stopping = manager.hear();
        assert_eq!(stopping.value("STOPPING"), Some("1"), "{stopping:?}");
        assert_eq!(server.wait().code(), Some(0));
    }
}

#[test]
fn a_server_that_is_watched_says_that_it_is_alive() {
    let sandbox = Sandbox::with_keys();
    let manager = Manager::at(&sandbox.path("notify"));
    let server = managed(&manager, sandbox).env("WATCHDOG_USEC", "100000").listen("127.0.0.1:0").start();
    manager.hear_of("READY=1");
    for _ in 0..5 {
        assert_eq!(manager.hear().text, "WATCHDOG=1");
    }
    // Nobody else is.
    drop(server);
    let sandbox = Sandbox::with_keys();
    let manager = Manager::at(&sandbox.path("notify"));
    let options = managed(&manager, sandbox).env("WATCHDOG_USEC", "100000").env("WATCHDOG_PID", "1");
    let server = options.listen("127.0.0.1:0").start();
    server.signal(Signal::TERM);
    manager.hear_of("READY=1");
    assert_eq!(manager.hear().value("STOPPING"), Some("1"));
}

#[test]
fn a_manager_that_is_not_there_is_done_without() {
    for name in ["/nonexistent/notify", "@nobody", "vsock:2:1", ""] {
        let mut server = TestServer::options().env("NOTIFY_SOCKET", name).listen("127.0.0.1:0").start();
        server.still_serves();
    }
}

#[test]
fn a_tcp_listener_that_was_passed_on_is_taken_over() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut server = TestServer::options().passing(listener, "telexd.socket").start();
    // In place of the default: other tests have servers there.
    assert_eq!(server.addresses(), [address.to_string()]);
    server.still_serves();
    let commands = server.run(["--", "sh", "-c", "env; ls -l /proc/self/fd"]).succeeds();
    assert!(!commands.contains("LISTEN_") && !commands.contains("socket:"), "{commands}");
}

#[test]
fn what_is_named_is_listened_on_besides_and_what_was_passed_on_is_not_bound_again() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let server = TestServer::options()
        .passing(listener, "a")
        .listen("127.0.0.1:0")
        .argument("--listen")
        .argument(&address);
    let mut server = server.start();
    assert_eq!(server.addresses().len(), 2);
    assert_eq!(server.address(), address);
    server.still_serves();
    let mut other = server.bare_client();
    assert_eq!(Ran::of(other.args(["-H", &server.addresses()[1], "run", "echo in"])).succeeds(), "in\n");
}

#[test]
fn a_unix_socket_that_was_passed_on_has_to_be_private_and_stays() {
    let sandbox = Sandbox::with_keys();
    let directory = sandbox.directory("own", 0o700);
    let path = directory.join("server.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let again: OwnedFd = listener.try_clone().unwrap().into();
    let mut server = TestServer::options_in(sandbox).passing(listener, "telexd.socket").start();
    assert_eq!(server.address(), format!("unix:{}", path.display()));
    server.still_serves();
    // Nobody takes its place.
    let second = server.sandboxed_server(&format!("unix:{}", path.display()));
    assert!(second.complains("server", 69).contains("is in use"));
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(0));
    assert!(path.exists(), "it is not the server's");
    // The service manager has it still: who comes now waits for the next server.
    drop(UnixStream::connect(&path).unwrap());
    drop(again);
}

/// What becomes of a server in `sandbox` that is passed `descriptor`.
fn refused(sandbox: &Sandbox, descriptor: impl Into<OwnedFd>, arguments: &[&str]) -> String {
    let mut command = sandbox.command("/bin/sh");
    let script = "exec 3<&0 0</dev/null; export LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=x; exec \"$@\"";
    command.args(["-c", script, "sh"]).arg(sandbox.server().get_program()).args(arguments);
    let ran = Running::start_with(&mut command, descriptor.into()).finish().exits(78);
    ran.errors().lines().last().unwrap().to_owned()
}

fn unix_socket(kind: SocketType) -> OwnedFd {
    socket(AddressFamily::UNIX, kind, None).unwrap()
}

#[test]
fn a_descriptor_of_another_kind_is_an_error_that_names_it() {
    let sandbox = Sandbox::with_keys();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let connection = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let nameless = unix_socket(SocketType::STREAM);
    bind(
        &nameless,
        &SocketAddrUnix::new_abstract_name(sandbox.path("x").as_os_str().as_encoded_bytes()).unwrap(),
    )
    .unwrap();
    listen(&nameless, 1).unwrap();
    for (descriptor, expected) in [
        (OwnedFd::from(fs::File::open("/dev/null").unwrap()), "it is no socket"),
        (UdpSocket::bind("127.0.0.1:0").unwrap().into(), "one for datagrams"),
        (unix_socket(SocketType::SEQPACKET), "one for packets"),
        (connection.into(), "does not listen"),
        (unix_socket(SocketType::STREAM), "does not listen"),
        (nameless, "without a path"),
    ] {
        let message = refused(&sandbox, descriptor, &[]);
        assert!(message.contains("descriptor 3 (x) was passed to listen on, and"), "{message}");
        assert!(message.contains(expected), "{expected}: {message}");
    }
}

#[test]
fn the_same_rules_hold_as_for_listeners_of_its_own() {
    // Other machines could come, and nobody is authorised.
    let sandbox = Sandbox::new();
    let message = refused(&sandbox, TcpListener::bind("0.0.0.0:0").unwrap(), &[]);
    assert!(message.contains("can be reached from other machines, and no key is authorised"), "{message}");
    // Others could reach the socket.
    let path = sandbox.directory("open", 0o755).join("server.sock");
    let message = refused(&sandbox, UnixListener::bind(&path).unwrap(), &[]);
    assert!(message.contains("is not a private directory: its mode is 0755, not 0700"), "{message}");
    assert!(path.exists(), "it is not the server's");
    // It is not there any more.
    let path = sandbox.directory("own", 0o700).join("server.sock");
    let listener = UnixListener::bind(&path).unwrap();
    fs::remove_file(&path).unwrap();
    let mut command = sandbox.command("/bin/sh");
    let script = "exec 3<&0 0</dev/null; export LISTEN_PID=$$ LISTEN_FDS=1; exec \"$@\"";
    command.args(["-c", script, "sh"]).arg(sandbox.server().get_program());
    let ran = Running::start_with(&mut command, OwnedFd::from(listener)).finish().exits(69);
    assert!(ran.errors().contains("no such file"), "{}", ran.errors());
}

#[test]
fn what_was_announced_has_to_be_there() {
    let sandbox = Sandbox::with_keys();
    let run = |variables: &str| {
        let mut command = sandbox.command("/bin/sh");
        command.args(["-c", &format!("exec 3>&-; export LISTEN_PID=$$ {variables}; exec \"$@\""), "sh"]);
        command.arg(sandbox.server().get_program());
        Ran::of(&mut command).exits(78).errors()
    };
    assert!(
        run("LISTEN_FDS=1")
            .contains("descriptor 3 (unknown) was passed to listen on, and bad file descriptor")
    );
    assert!(run("LISTEN_FDS=many").contains("LISTEN_FDS is \"many\", not a number of descriptors"));
}

/// Pings again and again until told to stop: how many found no server. A connection that was lost after it had been accepted
/// is none of these.
fn count_refused(server: &dyn Fn() -> Command, stop: &AtomicBool, served: &AtomicUsize) -> Vec<String> {
    let mut refused = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let ran = Ran::of(server().args(["ping", "-c", "1"]));
        if ran.status.success() {
            served.fetch_add(1, Ordering::Relaxed);
        } else if ran.errors().contains("refused") || ran.errors().contains("no server listens") {
            refused.push(ran.errors());
        }
    }
    refused
}

#[test]
fn over_restarts_nobody_is_refused_who_comes_to_a_listener_of_the_manager() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let clients = Sandbox::with_keys();
    let address = listener.local_addr().unwrap().to_string();
    let ping = || {
        let mut client = clients.client();
        client.args(["-H", &address]);
        client
    };
    let (stop, served) = (AtomicBool::new(false), AtomicUsize::new(0));
    let refused = thread::scope(|scope| {
        let load = scope.spawn(|| count_refused(&ping, &stop, &served));
        for _ in 0..RESTARTS {
            let before = served.load(Ordering::Relaxed);
            let options =
                TestServer::options().patient().passing(listener.try_clone().unwrap(), "telexd.socket");
            let mut server = options.start();
            wait_until("somebody is served", DEADLINE, || {
                served.load(Ordering::Relaxed) > before || load.is_finished()
            });
            server.signal(Signal::TERM);
            assert_eq!(server.wait().code(), Some(0));
        }
        let options = TestServer::options().patient().passing(listener.try_clone().unwrap(), "telexd.socket");
        let server = options.start();
        stop.store(true, Ordering::Relaxed);
        let refused = load.join().unwrap();
        drop(server);
        refused
    });
    assert_eq!(refused, Vec::<String>::new());
    assert!(served.load(Ordering::Relaxed) >= RESTARTS);
}

#[test]
fn a_manager_that_keeps_descriptors_has_the_listeners_over_a_restart() {
    let sandbox = Sandbox::with_keys();
    let manager = Manager::at(&sandbox.path("notify"));
    let options = managed(&manager, sandbox).env("FDSTORE", "4");
    let mut server = options.listen("127.0.0.1:0").listen("unix:DIR/own/server.sock").start();
    let mut kept = Vec::new();
    for name in ["telex-named-127.0.0.1%3A0", "telex-named-unix%3A"] {
        let mut said = manager.hear_of("FDSTORE=1");
        assert!(said.value("FDNAME").unwrap().starts_with(name), "{said:?}");
        kept.push((said.value("FDNAME").unwrap().to_owned(), said.descriptors.pop().unwrap()));
    }
    manager.hear_of("READY=1");
    let (addresses, socket) = (server.addresses().to_vec(), server.path("own/server.sock"));
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(0));
    // Who comes now waits.
    let waiting = UnixStream::connect(&socket).unwrap();
    let mut client = server.bare_client();
    client.args(["-H", &addresses[0], "run", "echo in"]);
    let mut client = Running::start(&mut client);
    client.close_stdin();
    // Each of them in turn, since a test can pass on one only; the other is bound anew, or still named by nobody.
    let (name, tcp) = kept.remove(0);
    let port = addresses[0].clone();
    let next = TestServer::options().env("NOTIFY_SOCKET", manager.name()).env("FDSTORE", "4");
    let next = next.passing(tcp, &name).argument("--listen").argument("127.0.0.1:0").start();
    assert_eq!(next.addresses(), [port], "the port that it had, although any free one is asked for");
    assert_eq!(client.finish().succeeds(), "in\n");
    let said = manager.hear_of("FDSTOREREMOVE=1");
    assert_eq!(said.value("FDNAME"), Some(name.as_str()));
    assert_eq!(manager.hear().value("FDNAME"), Some(name.as_str()), "and is stored again");
    drop(next);
    let (name, unix) = kept.remove(0);
    let named = name.strip_prefix("telex-named-").unwrap().replace("%3A", ":");
    let last = TestServer::options().passing(unix, &name).argument("--listen").argument(&named).start();
    assert_eq!(last.addresses(), [format!("unix:{}", socket.display())]);
    drop(waiting);
    assert_eq!(last.run(["echo in"]).succeeds(), "in\n");
    drop(last);
    assert!(!socket.exists(), "this one was asked to keep nothing");
}

#[test]
fn a_listener_that_was_kept_and_is_not_named_any_more_is_closed() {
    // Where no other test has a server.
    let kept = TcpListener::bind("127.4.3.2:0").unwrap();
    let address = kept.local_addr().unwrap();
    let sandbox = Sandbox::with_keys();
    let manager = Manager::at(&sandbox.path("notify"));
    let options = managed(&manager, sandbox).env("FDSTORE", "4").listen("unix:DIR/own/server.sock");
    let name = "telex-named-127.4.3.2%3A0";
    let script = format!("exec 3<&0 0</dev/null; export LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES={name}");
    let server = options.after(&script).stdin(kept).start();
    assert!(server.address().starts_with("unix:"));
    let said = manager.hear_of("FDSTOREREMOVE=1");
    assert_eq!(said.value("FDNAME"), Some(name));
    manager.hear_of("READY=1");
    wait_until("nobody listens there", DEADLINE, || TcpStream::connect(address).is_err());
}
