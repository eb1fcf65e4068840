//! Where a server listens, and where it refuses to.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Stdio;

use common::greeting::{CloseCode, Hello};
use common::job::Outcome;
use common::message::ServerMessage;
use common::packet::Packet;
use rustix::process::Signal;
use tests::{Ran, RawClient, Running, Sandbox, TestServer, client_key, start};

/// Starts a server that must not start; gives its complaint.
#[track_caller]
fn refused(sandbox: &Sandbox, address: &str, code: i32) -> String {
    let ran = Ran::of(sandbox.server().args(["--listen", address]));
    assert_eq!(ran.text(), "", "nothing listens");
    // The log goes to stderr as well; the complaint is the last line.
    let errors = ran.errors();
    assert_eq!(ran.status.code(), Some(code), "{errors}");
    let last = errors.lines().last().unwrap_or_default();
    last.strip_prefix("server: ").unwrap_or_else(|| panic!("{errors}")).to_owned()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn every_address_is_said_with_the_port_it_got() {
    let server = TestServer::options()
        .listen("127.0.0.1:0")
        .listen("[::1]:0")
        .listen("unix:DIR/run/telex/server.sock")
        .start();
    let [v4, v6, unix] = server.addresses() else { panic!("{:?}", server.addresses()) };
    assert!(v4.starts_with("127.0.0.1:") && !v4.ends_with(":0"), "{v4}");
    assert!(v6.starts_with("[::1]:") && !v6.ends_with(":0"), "{v6}");
    assert_eq!(*unix, format!("unix:{}", server.path("run/telex/server.sock").display()));
    for address in server.addresses() {
        let ran = Ran::of(server.bare_client().args(["-H", address, "run", "echo hello"]));
        assert_eq!(ran.succeeds(), "hello\n", "{address}");
    }
}

#[test]
fn a_client_finds_the_local_server_by_itself() {
    let server = TestServer::options().listen("unix:DIR/run/telex/server.sock").start();
    assert_eq!(Ran::of(server.bare_client().args(["run", "echo hello"])).succeeds(), "hello\n");
}

#[test]
fn a_host_name_is_resolved() {
    let server = TestServer::options().listen("localhost:0").start();
    assert_eq!(server.run(["echo hello"]).succeeds(), "hello\n");
}

#[test]
fn the_directory_of_a_socket_is_private() {
    let server = TestServer::options().listen("unix:DIR/run/telex/server.sock").start();
    assert_eq!(mode(&server.path("run/telex")), 0o700);
    assert!(fs::metadata(server.path("run/telex/server.sock")).unwrap().file_type().is_socket());
}

#[test]
fn a_directory_that_others_can_enter_is_refused() {
    for bits in [0o755, 0o701, 0o710, 0o777] {
        let sandbox = Sandbox::new();
        let directory = sandbox.directory("open", bits);
        let message = refused(&sandbox, &format!("unix:{}/server.sock", directory.display()), 78);
        assert!(message.contains(directory.to_str().unwrap()), "{message}");
        assert_eq!(mode(&directory), bits, "it is left as it was");
    }
}

#[test]
fn every_address_but_loopback_is_refused_as_long_as_nobody_could_use_it() {
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0", "8.8.8.8:0"] {
        let sandbox = Sandbox::new();
        let message = refused(&sandbox, address, 78);
        assert!(message.contains(address.rsplit_once(':').unwrap().0), "{message}");
        let unusable =
            ["", "# nobody\n", "ssh-rsa AAAAB3NzaC1yc2E= old\n", "no-such-option ssh-ed25519 AAAA\n"];
        for text in unusable {
            sandbox.settings("authorized_keys", text);
            refused(&sandbox, address, 78);
        }
    }
}

#[test]
fn a_server_that_somebody_can_use_listens_wherever_it_is_told_to() {
    for (address, reached) in [("0.0.0.0:0", "127.0.0.1"), ("[::]:0", "[::1]")] {
        let server = TestServer::options().listen(address).start();
        let (_, port) = server.address().rsplit_once(':').unwrap();
        let target = format!("{reached}:{port}");
        let ran = Ran::of(server.bare_client().args(["-H", &target, "run", "echo hello"]));
        assert_eq!(ran.succeeds(), "hello\n", "{address}");
    }
}

#[test]
fn who_is_invited_counts_as_somebody() {
    let sandbox = Sandbox::new();
    Ran::of(sandbox.server().args(["invite", "--address", "127.0.0.1:9000"])).exits(0);
    let mut server = Running::start(sandbox.server().args(["--listen", "0.0.0.0:0"]));
    server.wait_for_stdout("listening on ");
    server.signal(Signal::TERM);
    server.finish().exits(0);
}

#[test]
fn loopback_and_sockets_need_no_keys_to_listen() {
    let server = TestServer::options_in(Sandbox::new())
        .listen("127.0.0.1:0")
        .listen("[::1]:0")
        .listen("unix:DIR/own/server.sock")
        .start();
    let [v4, v6, unix] = server.addresses() else { panic!("{:?}", server.addresses()) };
    for address in [v4, v6] {
        Ran::of(server.bare_client().args(["-H", address, "run", "echo never"])).complains("client", 125);
    }
    let ran = Ran::of(server.bare_client().args(["-H", unix, "run", "echo hello"]));
    assert_eq!(ran.succeeds(), "hello\n");
}

#[test]
fn one_bad_address_keeps_the_server_from_all() {
    let sandbox = Sandbox::new();
    let ran = Ran::of(sandbox.server().args(["--listen", "127.0.0.1:0", "--listen", "0.0.0.0:0"])).exits(78);
    assert_eq!(ran.text(), "");
}

#[test]
fn an_address_in_use_is_refused() {
    let server = TestServer::start();
    let message = refused(&server, server.address(), 69);
    assert!(message.contains(server.address()) && message.contains("in use"), "{message}");
}

#[test]
fn a_socket_in_use_is_refused_and_left_alone() {
    let mut server = TestServer::options().listen("unix:DIR/run/telex/server.sock").start();
    let message = refused(&server, server.address(), 69);
    assert!(message.contains("server.sock"), "{message}");
    server.still_serves();
}

#[test]
fn a_socket_that_a_killed_server_left_behind_is_taken_over() {
    let mut killed = TestServer::options().listen("unix:DIR/run/telex/server.sock").start();
    killed.signal(Signal::KILL);
    killed.wait();
    assert!(killed.path("run/telex/server.sock").exists());
    let mut next = Running::start(killed.server().args(["--listen", killed.address()]));
    next.wait_for_stdout("listening on ");
    killed.run(["echo hello"]).succeeds();
    next.signal(Signal::TERM);
    next.finish().exits(0);
}

#[test]
fn a_file_that_is_no_socket_is_left_alone() {
    let sandbox = Sandbox::new();
    sandbox.directory("private", 0o700);
    let file = sandbox.file("private/precious", "data");
    refused(&sandbox, &format!("unix:{}", file.display()), 69);
    assert_eq!(fs::read(file).unwrap(), b"data");
}

#[test]
fn a_command_line_that_cannot_be_understood_exits_with_2() {
    let sandbox = Sandbox::new();
    let table: [(&[&str], &str); 9] = [
        (&["--no-such-option"], "unexpected argument '--no-such-option' found"),
        (&["--lisen", "[::1]:9"], "unexpected argument '--lisen' found (did you mean --listen?)"),
        (&["inviet"], "unrecognized subcommand 'inviet' (did you mean invite?)"),
        (&["keys", "--listen", "[::1]:9"], "--listen is for a server that serves, `check` and `invite`"),
        (&["authorize"], "the following required arguments were not provided: <KEY>"),
        (&["--listen"], "a value is required for '--listen <ADDRESS>' but none was supplied"),
        (
            &["--listen", "host:port"],
            "invalid value 'host:port' for '--listen <ADDRESS>': not a port between 0 and 65535: \"host:port\" (write \
             host:port; without one it is 9000)",
        ),
        (
            &["--log-level", "wran"],
            "invalid value 'wran' for '--log-level <LOG_LEVEL>' [possible values: error, warn, info, debug, trace] (did \
             you mean warn?)",
        ),
        (&["--\u{1b}[2J"], "unexpected argument '--\\x1b[2J' found"),
    ];
    for (arguments, expected) in table {
        let message = Ran::of(sandbox.server().args(arguments)).complains("server", 2);
        assert_eq!(message, format!("{expected}; see `server --help`"));
    }
    let message = Ran::of(sandbox.server().arg("two\n\nlines")).complains("server", 2);
    assert!(message.ends_with("; see `server --help`"), "{message}");
}

/// Has a server serve `theirs` as its stdin, and the peer at the other end run a job.
#[track_caller]
fn serves_its_stdin(sandbox: &Sandbox, theirs: OwnedFd, peer: impl FnOnce() -> RawClient) {
    let server = Running::start_with(sandbox.server().arg("--inetd"), Stdio::from(theirs));
    let mut peer = peer();
    peer.send(Packet::Hello(Hello::new("", "raw client")));
    peer.send_message(1, start("exit 3"));
    assert_eq!(peer.hear_ended(1).outcome, Outcome::Exited(3));
    peer.end();
    assert_eq!(server.finish().exits(0).text(), "", "it says nowhere that it listens");
}

#[test]
fn a_server_can_serve_the_one_connection_that_is_its_stdin() {
    let sandbox = Sandbox::with_keys();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (theirs, _) = listener.accept().unwrap();
    serves_its_stdin(&sandbox, theirs.into(), || RawClient::secure(client_key(), ours));
    let (ours, theirs) = UnixStream::pair().unwrap();
    serves_its_stdin(&Sandbox::new(), theirs.into(), || RawClient::over_socket(ours));
}

#[test]
fn a_key_that_is_taken_back_loses_the_one_connection_that_is_stdin() {
    let sandbox = Sandbox::with_keys();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (theirs, _) = listener.accept().unwrap();
    let server = Running::start_with(sandbox.server().arg("--inetd"), Stdio::from(OwnedFd::from(theirs)));
    let mut peer = RawClient::secure(client_key(), ours);
    peer.send(Packet::Hello(Hello::new("", "raw client")));
    peer.send_message(1, start("exec sleep 600"));
    while !matches!(peer.hear(), Some(Packet::Message { message: ServerMessage::Started { .. }, .. })) {}
    let fingerprint = client_key().public().fingerprint().to_string();
    Ran::of(sandbox.server().args(["revoke", &fingerprint])).exits(0);
    peer.is_refused_aloud(CloseCode::Denied);
    server.finish().exits(0);
}

#[test]
fn the_log_can_be_had_as_json() {
    let server = TestServer::options()
        .listen("127.0.0.1:0")
        .argument("--log-format")
        .argument("json")
        .argument("--log-level")
        .argument("debug")
        .start();
    server.run(["true"]).succeeds();
    let log = server.log();
    assert!(!log.is_empty());
    for line in log.lines() {
        assert!(serde_json::from_str::<serde_json::Value>(line).is_ok_and(|line| line.is_object()), "{line}");
    }
}

#[test]
fn a_log_that_cannot_be_written_does_not_stop_the_service() {
    let mut server = TestServer::options()
        .listen("127.0.0.1:0")
        .settings("server.toml", "[audit]\nto = \"off\"\n")
        .after("exec 2>/dev/full")
        .start();
    server.run(["exit 3"]).exits(3);
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn a_job_that_cannot_be_recorded_is_refused_and_not_started() {
    let mut server = TestServer::options().listen("127.0.0.1:0").after("exec 2>/dev/full").start();
    let trace = server.path("trace");
    let message = server.run([format!("touch {}", trace.display())]).complains("client", 125);
    assert!(message.starts_with("not started: ") && message.contains("record"), "{message}");
    assert!(!trace.exists());
    assert!(server.is_alive());
}

#[test]
fn files_beside_the_socket_keep_what_is_in_them() {
    let sandbox = Sandbox::new();
    sandbox.directory("private", 0o700);
    let lock = sandbox.file("private/Cargo.lock", "data");
    let socket = format!("unix:{}", sandbox.path("private/Cargo.sock").display());
    let mut server = Running::start(sandbox.server().args(["--listen", &socket]));
    server.wait_for_stdout("listening on ");
    server.signal(Signal::TERM);
    server.finish().exits(0);
    assert_eq!(fs::read(lock).unwrap(), b"data");
}
