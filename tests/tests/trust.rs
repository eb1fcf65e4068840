//! Nothing leaves for a server that is not the one that is meant: not a byte of a command, whoever is asked and whatever
//! is written in `known_hosts`.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;

use common::keys::known_hosts::{HostName, hashed_line};
use common::keys::{PrivateKey, PublicKey};
use tests::{
    DEADLINE, Ran, RawListener, Running, Sandbox, Terminal, TestServer, host_key, strange_key, wait_until,
};

/// What must not be heard by the wrong server.
const COMMAND: &str = "echo for-the-right-server-only";

/// A key of another algorithm, which could be a server's.
const ECDSA: &str = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBPTFEHjeNhpowKLpYQQlraok\
                     iWNTPewh3HGlbatfdEdEp2thJ/P05rMGxHV8rjj/6vQdFjod4iRq07f63GLcuNA=";

/// What `known_hosts` has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    NoFile,
    OtherHosts,
    Match,
    Changed,
    Revoked,
    RevokedAndMatch,
    HashedMatch,
    HashedChanged,
    OtherAlgorithm,
    WritableByOthers,
    NoRegularFile,
    DamagedKey,
    DamagedMarker,
    DamagedHashedName,
    OnlyFirstOfTwoMatches,
}

impl Known {
    const ALL: [Self; 15] = [
        Self::NoFile,
        Self::OtherHosts,
        Self::Match,
        Self::Changed,
        Self::Revoked,
        Self::RevokedAndMatch,
        Self::HashedMatch,
        Self::HashedChanged,
        Self::OtherAlgorithm,
        Self::WritableByOthers,
        Self::NoRegularFile,
        Self::DamagedKey,
        Self::DamagedMarker,
        Self::DamagedHashedName,
        Self::OnlyFirstOfTwoMatches,
    ];

    /// Writes it down, for a server at `port` that has [`host_key`].
    fn write(self, sandbox: &Sandbox, port: u16) {
        let own = host_key().public();
        let other = strange_key().public();
        let host = HostName::new("127.0.0.1", port).unwrap();
        let hashed = |key: &PublicKey| hashed_line(&host, key, [7; 20]);
        let text = match self {
            Self::NoFile => return fs::remove_file(sandbox.settings_path("known_hosts")).unwrap(),
            Self::NoRegularFile => {
                fs::remove_file(sandbox.settings_path("known_hosts")).unwrap();
                return fs::create_dir(sandbox.settings_path("known_hosts")).unwrap();
            }
            Self::OtherHosts => format!("[127.0.0.1]:{} {own}\n[db1]:{port} {own}\n", port ^ 1),
            Self::Match | Self::WritableByOthers => format!("{host} {own}\n"),
            Self::Changed => format!("{host} {other}\n"),
            Self::Revoked => format!("@revoked {host} {own}\n"),
            Self::RevokedAndMatch => format!("{host} {own}\n@revoked * {own}\n"),
            Self::HashedMatch => format!("{}\n", hashed(&own)),
            Self::HashedChanged => format!("{}\n", hashed(&other)),
            Self::OtherAlgorithm => format!("{host} {ECDSA}\n"),
            Self::DamagedKey => format!("{host} ssh-ed25519 AAAA\n"),
            Self::DamagedMarker => format!("@revokd {host} {own}\n"),
            Self::DamagedHashedName => hashed(&other).replacen('=', "", 1) + "\n",
            Self::OnlyFirstOfTwoMatches => format!("{host} {own}\n{host} {other}\n"),
        };
        let path = sandbox.settings("known_hosts", text);
        if self == Self::WritableByOthers {
            fs::set_permissions(path, Permissions::from_mode(0o666)).unwrap();
        }
    }
}

/// Who decides about a server that is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Decision {
    Nobody,
    PersonSaysYes,
    PersonSaysNo,
    Option,
}

impl Decision {
    const ALL: [Self; 4] = [Self::Nobody, Self::PersonSaysYes, Self::PersonSaysNo, Self::Option];
}

/// What became of a call.
#[derive(Debug)]
struct Met {
    /// All that the server heard behind handshakes, and whether the client wanted to know something.
    heard: Vec<u8>,
    asked: bool,
    ran: Ran,
}

/// Has a client call a server at `listener` that hears and never answers, and decides so about it.
#[track_caller]
fn meet(sandbox: &Sandbox, listener: &RawListener, command: &Command, decision: Decision) -> Met {
    let mut terminal = Terminal::new();
    let mut client = match decision {
        Decision::PersonSaysYes | Decision::PersonSaysNo => terminal.start(sandbox, command),
        // Away from the terminal of whoever runs the tests.
        Decision::Nobody | Decision::Option => without_terminal(sandbox, command),
    };
    let (mut heard, mut asked) = (Vec::new(), false);
    wait_until("the client is done", DEADLINE, || {
        if let Ok(mut peer) = listener.try_accept() {
            heard.extend(peer.hear_until(COMMAND.as_bytes()));
        }
        if !asked && terminal.shown().contains("(yes/no)") {
            asked = true;
            terminal.line(if decision == Decision::PersonSaysYes { "yes" } else { "no" });
        }
        client.has_ended()
    });
    Met { heard, asked, ran: client.finish() }
}

fn without_terminal(sandbox: &Sandbox, command: &Command) -> Running {
    let mut wrapped = sandbox.command("/usr/bin/setsid");
    wrapped.args(["/bin/bash", "-c", "exec -a client \"$@\"", "bash"]).arg(command.get_program());
    Running::start_with(wrapped.args(command.get_args()), std::process::Stdio::null())
}

fn call(sandbox: &Sandbox, listener: &RawListener, decision: Decision) -> Command {
    let mut command = sandbox.client();
    command.args(["-H", &listener.address()]);
    if decision == Decision::Option {
        command.arg("--accept-new");
    }
    command.args(["run", "--grace", "0", "-n", COMMAND]);
    command
}

fn port(listener: &RawListener) -> u16 {
    listener.address().rsplit_once(':').unwrap().1.parse().unwrap()
}

fn content(path: &Path) -> Option<String> {
    fs::read_to_string(path).ok()
}

#[test]
fn only_a_known_server_or_one_that_is_accepted_hears_anything() {
    for known in Known::ALL {
        for decision in Decision::ALL {
            let (sandbox, listener) = (Sandbox::with_keys(), RawListener::secure(host_key()));
            known.write(&sandbox, port(&listener));
            let path = sandbox.settings_path("known_hosts");
            let before = content(&path);
            let met = meet(&sandbox, &listener, &call(&sandbox, &listener, decision), decision);
            let is_unknown = matches!(known, Known::NoFile | Known::OtherHosts);
            let is_known = matches!(known, Known::Match | Known::HashedMatch | Known::OnlyFirstOfTwoMatches);
            let is_accepted = is_unknown && matches!(decision, Decision::PersonSaysYes | Decision::Option);
            let has_person = matches!(decision, Decision::PersonSaysYes | Decision::PersonSaysNo);
            let case = format!("{known:?}, {decision:?}: {met:?}");
            assert_eq!(met.asked, is_unknown && has_person, "{case}");
            if is_known || is_accepted {
                let heard = String::from_utf8_lossy(&met.heard);
                assert!(heard.contains(COMMAND), "{case}");
            } else {
                assert_eq!(met.heard, b"", "{case}");
                met.ran.complains("client", 125);
            }
            if is_accepted {
                let line = format!("[127.0.0.1]:{} {}\n", port(&listener), host_key().public());
                assert_eq!(content(&path), Some(before.unwrap_or_default() + &line), "{case}");
            } else {
                assert_eq!(content(&path), before, "{case}");
            }
        }
    }
}

#[test]
fn an_accepted_server_that_cannot_be_written_down_hears_nothing() {
    let (sandbox, listener) = (Sandbox::with_keys(), RawListener::secure(host_key()));
    let path = sandbox.settings("known_hosts", "");
    // As on a full disk: no file may grow.
    let mut limited = sandbox.script("/bin/bash", "trap '' XFSZ; ulimit -f 0; exec -a client $CLIENT \"$@\"");
    limited.arg("bash").args(call(&sandbox, &listener, Decision::Option).get_args());
    let mut client = Running::start_with(&mut limited, std::process::Stdio::null());
    let mut heard = Vec::new();
    wait_until("the client is done", DEADLINE, || {
        if let Ok(mut peer) = listener.try_accept() {
            heard.extend(peer.hear_until(COMMAND.as_bytes()));
        }
        client.has_ended()
    });
    let message = client.finish().complains("client", 125);
    assert!(message.contains(path.to_str().unwrap()), "{message}");
    assert_eq!((heard, content(&path)), (Vec::new(), Some(String::new())));
}

#[test]
fn what_was_accepted_once_is_known_and_its_change_is_noticed() {
    let server = TestServer::start();
    fs::remove_file(server.settings_path("known_hosts")).unwrap();
    let run = || Ran::of(server.client().args(["--accept-new", "run", "echo hello"]));
    assert_eq!(run().succeeds(), "hello\n");
    assert_eq!(server.run(["echo again"]).succeeds(), "again\n");
    let known = content(&server.settings_path("known_hosts")).unwrap();
    let changed = known.replace(&host_key().public().to_string(), &strange_key().public().to_string());
    server.settings("known_hosts", &changed);
    let message = run().complains("client", 125);
    assert!(message.contains("line 1 of"), "{message}");
    assert_eq!(content(&server.settings_path("known_hosts")), Some(changed));
}

#[test]
fn a_person_may_think_twice() {
    let (sandbox, listener) = (Sandbox::with_keys(), RawListener::secure(host_key()));
    Known::NoFile.write(&sandbox, port(&listener));
    let mut terminal = Terminal::new();
    let mut client = terminal.start(&sandbox, &call(&sandbox, &listener, Decision::PersonSaysYes));
    let mut heard = Vec::new();
    let mut answers = ["y", "ok", "no"].iter();
    let mut answered = 0;
    wait_until("the client is done", DEADLINE, || {
        if let Ok(mut peer) = listener.try_accept() {
            heard.extend(peer.hear_until(COMMAND.as_bytes()));
        }
        let questions =
            terminal.shown().matches("no) ").count() + terminal.shown().matches("or no: ").count();
        if questions > answered {
            answered = questions;
            terminal.line(answers.next().unwrap());
        }
        client.has_ended()
    });
    assert!(terminal.shown().contains(&host_key().public().fingerprint().to_string()));
    client.finish().complains("client", 125);
    assert_eq!((heard, answered), (Vec::new(), 3));
}

/// Says yes to a server at `listener` that has become known by `key` while the question stood; all that it heard.
#[track_caller]
fn says_yes_too_late(sandbox: &Sandbox, listener: &RawListener, key: &PublicKey) -> (Vec<u8>, Ran) {
    Known::NoFile.write(sandbox, port(listener));
    let mut terminal = Terminal::new();
    let mut client = terminal.start(sandbox, &call(sandbox, listener, Decision::PersonSaysYes));
    let (mut heard, mut asked) = (Vec::new(), false);
    wait_until("the client is done", DEADLINE, || {
        if let Ok(mut peer) = listener.try_accept() {
            heard.extend(peer.hear_until(COMMAND.as_bytes()));
        }
        if !asked && terminal.shown().contains("(yes/no)") {
            asked = true;
            sandbox.settings("known_hosts", format!("[127.0.0.1]:{} {key}\n", port(listener)));
            terminal.line("yes");
        }
        client.has_ended()
    });
    (heard, client.finish())
}

#[test]
fn a_server_that_was_accepted_by_two_at_once_has_one_key() {
    for (key, is_same) in [(host_key().public(), true), (strange_key().public(), false)] {
        let (sandbox, listener) = (Sandbox::with_keys(), RawListener::secure(host_key()));
        let (heard, ran) = says_yes_too_late(&sandbox, &listener, &key);
        let line = format!("[127.0.0.1]:{} {key}\n", port(&listener));
        assert_eq!(content(&sandbox.settings_path("known_hosts")), Some(line), "nothing was added");
        assert_eq!(String::from_utf8_lossy(&heard).contains(COMMAND), is_same);
        if !is_same {
            assert_eq!(heard, b"");
            let message = ran.complains("client", 125);
            assert!(message.contains("is not the one that is known") && message.contains("line 1 of"));
        }
    }
}

/// Passes on everything between clients and `server`, and keeps it.
fn tap(server: &str) -> (String, Arc<Mutex<Vec<u8>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (server, seen) = (server.to_owned(), Arc::new(Mutex::new(Vec::new())));
    let kept = Arc::clone(&seen);
    thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let server = TcpStream::connect(&server).unwrap();
            let ways = [(client.try_clone().unwrap(), server.try_clone().unwrap()), (server, client)];
            for (from, to) in ways {
                let kept = Arc::clone(&kept);
                thread::spawn(move || pass_on(from, to, &kept));
            }
        }
    });
    (address, seen)
}

fn pass_on(mut from: TcpStream, mut to: TcpStream, kept: &Mutex<Vec<u8>>) {
    let mut bytes = [0; 16 * 1024];
    while let Ok(read @ 1..) = from.read(&mut bytes) {
        kept.lock().unwrap().extend_from_slice(&bytes[..read]);
        if to.write_all(&bytes[..read]).is_err() {
            break;
        }
    }
    to.shutdown(std::net::Shutdown::Write).ok();
}

#[test]
fn nothing_of_a_session_can_be_read_on_the_way() {
    let server = TestServer::start();
    let (address, seen) = tap(server.address());
    let mut command = server.bare_client();
    command.args(["-H", &address, "run", "-e", "NAME=value-seen", "echo out-seen $((40 + 2)); cat"]);
    let ran = Ran::with_input(&mut command, b"in-seen");
    assert_eq!(ran.succeeds(), "out-seen 42\nin-seen");
    let seen = seen.lock().unwrap();
    assert!(seen.len() > 1000, "it went this way");
    let key = |key: &PrivateKey| *key.public().as_bytes();
    let secrets: [&[u8]; 5] =
        [b"-seen", b"TELEX", b"raw client", &key(tests::client_key()), &key(host_key())];
    for secret in secrets {
        assert!(!seen.windows(secret.len()).any(|window| window == secret), "{}", secret.escape_ascii());
    }
}
