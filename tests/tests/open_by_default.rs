//! A server that other machines can reach starts only when somebody could log in: never open by default.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use std::fs;
use std::net::TcpListener;
use std::time::SystemTime;

use rustix::process::Signal;
use tests::{DEADLINE, Ran, Running, Sandbox, client_key, wait_until};

/// Who could log in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keys {
    None,
    Authorized,
    OpenInvitation,
    ExpiredInvitation,
    /// Nothing but lines that let nobody in.
    Unusable,
}

const KEYS: [Keys; 5] =
    [Keys::None, Keys::Authorized, Keys::OpenInvitation, Keys::ExpiredInvitation, Keys::Unusable];

impl Keys {
    /// A machine on which that is so.
    fn sandbox(self) -> Sandbox {
        let sandbox = Sandbox::new();
        let key = client_key().public();
        match self {
            Self::None => {}
            Self::Authorized => drop(sandbox.settings("authorized_keys", format!("{key}\n"))),
            Self::OpenInvitation => invite(&sandbox, "1h"),
            Self::ExpiredInvitation => expired_invitation(&sandbox),
            Self::Unusable => {
                let lines =
                    format!("# nobody yet\nno-such-option {key}\nssh-rsa AAAA old\nssh-ed25519 AAAA\n");
                sandbox.settings("authorized_keys", lines);
            }
        }
        sandbox
    }

    fn let_somebody_in(self) -> bool {
        matches!(self, Self::Authorized | Self::OpenInvitation)
    }
}

fn invite(sandbox: &Sandbox, time: &str) {
    let line = Ran::of(sandbox.server().args(["invite", "--ttl", time, "--address", "db1.example"]));
    assert!(line.exits(0).text().starts_with("telex://"));
}

/// One whose time is past.
fn expired_invitation(sandbox: &Sandbox) {
    invite(sandbox, "1s");
    let made = SystemTime::now();
    wait_until("the invitation has expired", DEADLINE, || made.elapsed().unwrap().as_secs() > 1);
}

/// A port that nobody listens on.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Whether any process of this machine listens on the port (proc_net_tcp(5)).
fn is_listened_on(port: u16) -> bool {
    let tables =
        ["/proc/net/tcp", "/proc/net/tcp6"].map(|table| fs::read_to_string(table).unwrap_or_default());
    let is_it = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        matches!(fields[..], [_, local, _, "0A", ..] if local.ends_with(&format!(":{port:04X}")))
    };
    tables.iter().flat_map(|table| table.lines()).any(is_it)
}

/// The server refuses to start, `server check` says the same, and nothing listens.
#[track_caller]
fn is_refused(sandbox: &Sandbox, address: &str, ports: &[u16]) {
    let expected = format!(
        "{address} can be reached from other machines, and no key is authorised; \
         let somebody in first, with `server authorize 'ssh-ed25519 …'` or `server invite`"
    );
    let ran = Ran::of(&mut sandbox.server());
    assert_eq!(ran.text(), "", "nothing is said to listen");
    let errors = ran.exits(78).errors();
    assert_eq!(errors.lines().last(), Some(format!("server: {expected}").as_str()), "{errors}");
    for port in ports {
        assert!(!is_listened_on(*port), "{address}");
    }
    assert_eq!(Ran::of(sandbox.server().arg("check")).complains("server", 78), expected);
}

/// The server starts, and `server check` has nothing against it.
#[track_caller]
fn is_started(sandbox: &Sandbox, ports: &[u16]) {
    Ran::of(sandbox.server().arg("check")).exits(0);
    let mut server = Running::start(&mut sandbox.server());
    server.wait_for_stdout("listening on ");
    wait_until("every port is listened on", DEADLINE, || ports.iter().all(|port| is_listened_on(*port)));
    server.signal(Signal::TERM);
    server.finish().exits(0);
}

/// Goes through every state of the keys with a server that is told these addresses.
fn row(is_public: bool, addresses: impl Fn(&Sandbox, u16) -> Vec<String>) {
    for keys in KEYS {
        let (sandbox, port) = (keys.sandbox(), free_port());
        let addresses = addresses(&sandbox, port);
        sandbox.settings("server.toml", format!("listen = {addresses:?}\n"));
        let ports: &[u16] = if addresses[0].starts_with("unix:") { &[] } else { &[port] };
        if is_public && !keys.let_somebody_in() {
            is_refused(&sandbox, addresses.last().unwrap(), ports);
        } else {
            is_started(&sandbox, ports);
        }
    }
}

#[test]
fn loopback_needs_no_keys() {
    row(false, |_, port| vec![format!("127.0.0.1:{port}")]);
}

#[test]
fn a_unix_socket_needs_no_keys() {
    row(false, |sandbox, _| vec![format!("unix:{}", sandbox.path("run/telex/own.sock").display())]);
}

#[test]
fn every_address_of_version_4_needs_a_key_or_an_open_invitation() {
    row(true, |_, port| vec![format!("0.0.0.0:{port}")]);
}

#[test]
fn every_address_of_version_6_needs_a_key_or_an_open_invitation() {
    if TcpListener::bind("[::]:0").is_err() {
        eprintln!("not run: this machine has no IPv6");
        return;
    }
    row(true, |_, port| vec![format!("[::]:{port}")]);
}

#[test]
fn one_public_address_among_others_is_enough_to_refuse_them_all() {
    row(true, |_, port| vec![format!("127.0.0.1:{port}"), "0.0.0.0:0".to_owned()]);
}

#[test]
fn an_address_on_the_command_line_is_judged_like_one_in_the_file() {
    let sandbox = Sandbox::new();
    for verb in [&[][..], &["check"]] {
        let message = Ran::of(sandbox.server().args(["--listen", "0.0.0.0:0"]).args(verb)).exits(78).errors();
        assert!(message.contains("no key is authorised"), "{message}");
    }
}
