//! `ping` tells whether a server answers, and how fast.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use common::greeting::{Features, VERSION, Welcome};
use common::packet::Packet;
use tests::{Ran, RawListener, Running, Sandbox, TestServer};

/// The number between two texts of a line.
#[track_caller]
fn between(line: &str, before: &str, after: &str) -> f64 {
    let number = line.strip_prefix(before).and_then(|rest| rest.strip_suffix(after));
    number.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("not {before}…{after}: {line:?}"))
}

#[test]
fn every_pong_has_a_line_and_all_have_a_summary() {
    let server = TestServer::start();
    let output = Ran::of(server.client().args(["ping", "-c", "3", "-i", "0.01"])).succeeds();
    let lines: Vec<&str> = output.lines().filter(|line| !line.is_empty()).collect();
    assert_eq!(lines.len(), 6, "{output}");
    let address = server.address();
    for (place, line) in lines[..3].iter().enumerate() {
        assert!(between(line, &format!("pong from {address}: seq={} time=", place + 1), " ms") > 0.0);
    }
    assert_eq!(lines[3], format!("--- {address} ping statistics ---"));
    assert_eq!(lines[4], "3 sent, 3 received, 0% lost");
    let times =
        lines[5].strip_prefix("rtt min/avg/max = ").and_then(|rest| rest.strip_suffix(" ms")).unwrap();
    let times: Vec<f64> = times.split('/').map(|time| time.parse().unwrap()).collect();
    assert!(matches!(times[..], [min, avg, max] if min <= avg && avg <= max), "{times:?}");
}

#[test]
fn a_unix_socket_can_be_pinged() {
    let server = TestServer::options().listen("unix:DIR/run/telex/server.sock").start();
    let output = Ran::of(server.client().args(["ping", "-c", "1"])).succeeds();
    assert!(output.starts_with(&format!("pong from {}: seq=1 time=", server.address())), "{output}");
}

#[test]
fn pongs_are_shown_as_they_come() {
    let server = TestServer::start();
    let mut client = Running::start(server.client().args(["ping", "-c", "1000", "-i", "1000"]));
    client.wait_for_stdout("seq=1 ");
    assert!(!client.has_ended());
}

#[test]
fn a_pong_that_does_not_come_is_counted_as_lost() {
    let sandbox = Sandbox::new();
    let listener = RawListener::new();
    let address = listener.address();
    let client = Running::start(sandbox.client().args(["-H", &address, "ping", "-c", "2", "-i", "0.01"]));
    let mut peer = listener.accept();
    peer.send(Packet::Welcome(Welcome {
        version: VERSION,
        software: String::new(),
        features: Features::default(),
    }));
    let mut answered = false;
    while let Some(packet) = peer.hear() {
        if let (Packet::Ping(echo), false) = (packet, answered) {
            peer.send(Packet::Pong(echo));
            answered = true;
        }
    }
    let ran = client.finish().exits(1);
    assert!(ran.text().contains("2 sent, 1 received, 50% lost"), "{ran:?}");
}

#[test]
fn no_server_is_no_lost_pong() {
    let sandbox = Sandbox::new();
    let ran = Ran::of(sandbox.client().args(["-H", "unix:/no/such/socket", "ping"]));
    let message = ran.complains("client", 125);
    assert!(message.contains("/no/such/socket"), "{message}");
}
