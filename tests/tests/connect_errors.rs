//! Where there is no server of ours, one line says what failed and what to do, and the exit code is 125.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use rustix::net::{AddressFamily, SocketType, bind, getsockname, socket};
use tests::{Ran, RawListener, Running, Sandbox, TestServer};

/// Runs a harmless command against `target`; gives the client's complaint.
#[track_caller]
fn complaint(target: &str) -> String {
    let sandbox = Sandbox::with_keys();
    Ran::of(sandbox.client().args(["-H", target, "run", "echo never"])).complains("client", 125)
}

/// A port that is taken, so that nobody else gets it, and refuses connections.
fn refusing_port() -> (OwnedFd, SocketAddr) {
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    bind(&socket, &SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let address = getsockname(&socket).unwrap().try_into().unwrap();
    (socket, address)
}

/// Lets a client meet a peer that says `greeting` and listens until the client leaves: over TCP, where it is asked for TLS.
#[track_caller]
fn meets_peer_that_says(greeting: &[u8]) -> String {
    meets_peer_at(&RawListener::bare(), greeting)
}

#[track_caller]
fn meets_peer_at(listener: &RawListener, greeting: &[u8]) -> String {
    let sandbox = Sandbox::with_keys();
    let client = Running::start(sandbox.client().args(["-H", &listener.address(), "run", "echo never"]));
    let mut peer = listener.accept();
    peer.send_bytes(greeting);
    peer.hear_all();
    client.finish().complains("client", 125)
}

#[test]
fn a_refused_connection_names_the_address() {
    let (_taken, address) = refusing_port();
    let message = complaint(&address.to_string());
    assert!(message.contains(&address.to_string()) && message.contains("refused"), "{message}");
}

#[test]
fn a_refused_connection_to_a_name_names_the_addresses_that_were_tried() {
    let (_taken, address) = refusing_port();
    let message = complaint(&format!("localhost:{}", address.port()));
    assert!(message.contains("refused (127.0.0.1)"), "{message}");
}

#[test]
fn an_unknown_host_is_named() {
    let message = complaint("no-such-host.invalid:9000");
    assert!(message.contains("no-such-host.invalid"), "{message}");
}

#[test]
fn a_name_that_is_in_no_settings_either_is_said_to_be_unknown_there() {
    let sandbox = Sandbox::with_keys();
    sandbox.settings("config.toml", "[hosts.\"db1.invalid\"]\naddress = \"127.0.0.1:1\"\n");
    let says = |target| {
        let mut client = sandbox.client();
        Ran::of(client.args(["-H", target, "run", "echo never"])).complains("client", 125)
    };
    for target in ["db2.invalid", "somebody@db2.invalid"] {
        let message = says(target);
        assert!(message.starts_with("cannot resolve db2.invalid: "), "{message}");
        let end = ", and config.toml has no host of that name (did you mean db1.invalid?); check the name";
        assert!(message.ends_with(end), "{message}");
    }
    let message = says("no-such-host.invalid");
    assert!(message.ends_with(", and config.toml has no host of that name; check the name"), "{message}");
    let message = says("db2.invalid:9000");
    assert!(!message.contains("config.toml"), "an address with a port is no name: {message}");
}

#[test]
fn a_target_that_cannot_be_read_is_named() {
    for target in ["host:port", "unix:relative/path", "[::1", "", "host:99999", "@host"] {
        let sandbox = Sandbox::new();
        let ran = Ran::of(sandbox.client().args(["-H", target, "run", "echo never"])).exits(125);
        assert!(ran.stdout.is_empty() && ran.errors().contains(target), "{target}: {ran:?}");
    }
}

#[test]
fn a_missing_socket_is_named() {
    let message = complaint("unix:/no/such/socket");
    assert!(message.contains("/no/such/socket"), "{message}");
}

#[test]
fn without_any_server_the_three_ways_on_are_named() {
    let sandbox = Sandbox::new();
    let message = Ran::of(sandbox.client().args(["run", "echo never"])).complains("client", 125);
    for way in ["server", "-H", "--embedded"] {
        assert!(message.contains(way), "{way} is missing: {message}");
    }
}

#[test]
fn a_peer_that_speaks_http_is_told_from_a_server() {
    let message = meets_peer_that_says(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    assert!(message.contains("HTTP"), "{message}");
}

#[test]
fn a_peer_that_speaks_ssh_is_told_from_a_server() {
    let message = meets_peer_that_says(b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n");
    assert!(message.contains("SSH"), "{message}");
}

#[test]
fn garbage_is_told_from_a_server() {
    for listener in [RawListener::new(), RawListener::bare()] {
        meets_peer_at(&listener, &tests::noise(1000));
        meets_peer_at(&listener, &[0; 1000]);
    }
}

#[test]
fn a_peer_that_says_nothing_is_given_up() {
    let message = meets_peer_at(&RawListener::new(), b"");
    assert!(message.contains("10 s") || message.contains("10s"), "how long it waited is said: {message}");
}

#[test]
fn a_peer_that_never_shakes_hands_is_given_up() {
    let message = meets_peer_that_says(b"");
    assert!(message.contains("30 s") || message.contains("30s"), "how long it waited is said: {message}");
}

#[test]
fn a_peer_that_closes_at_once_is_told_from_a_server() {
    for listener in [RawListener::new(), RawListener::bare()] {
        let sandbox = Sandbox::with_keys();
        let client = Running::start(sandbox.client().args(["-H", &listener.address(), "run", "echo never"]));
        drop(listener.accept());
        client.finish().complains("client", 125);
    }
}

#[test]
fn json_says_it_as_an_event_too() {
    let (_taken, address) = refusing_port();
    let sandbox = Sandbox::with_keys();
    let ran =
        Ran::of(sandbox.client().args(["-H", &address.to_string(), "run", "--json", "true"])).exits(125);
    let event: serde_json::Value = serde_json::from_str(&ran.text()).unwrap();
    assert_eq!(event["event"], "error");
    assert!(event["message"].as_str().unwrap().contains("refused"), "{event}");
}

#[test]
fn the_environment_names_the_host_and_the_option_overrules_it() {
    let server = TestServer::start();
    let mut command = server.script("/bin/sh", "$CLIENT run 'echo by environment'");
    assert_eq!(Ran::of(&mut command).succeeds(), "by environment\n");
    let mut command = server.client();
    let ran = Ran::of(command.env("TELEX_HOST", "unix:/no/such/socket").args(["run", "echo by option"]));
    assert_eq!(ran.succeeds(), "by option\n");
    let sandbox = Sandbox::new();
    let ran = Ran::of(sandbox.client().env("TELEX_HOST", "unix:/no/such/socket").args(["run", "true"]));
    assert!(ran.complains("client", 125).contains("/no/such/socket"));
}

#[test]
fn a_user_that_the_server_does_not_run_as_is_refused() {
    let server = TestServer::start();
    let target = format!("somebody-else@{}", server.address());
    let message = Ran::of(server.bare_client().args(["-H", &target, "run", "id"])).complains("client", 125);
    assert!(message.contains("somebody-else"), "{message}");
}

#[test]
fn a_name_that_makes_no_sense_is_found_where_it_was_written() {
    let sandbox = Sandbox::new();
    let message = Ran::of(sandbox.client().args(["-H", "db1:ssh", "run", "true"])).complains("client", 125);
    assert!(message.contains("-H: ") && message.contains("db1:ssh"), "{message}");
    let message =
        Ran::of(sandbox.client().env("TELEX_HOST", "[::1").args(["run", "true"])).complains("client", 125);
    assert!(message.contains("TELEX_HOST: ") && message.contains("[v6]:port"), "{message}");
}
