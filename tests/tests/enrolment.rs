//! How somebody comes in by an invitation, which is good once and not for long. By hand: `authorize.rs`.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use common::greeting::{CloseCode, Hello, Method};
use common::invitation::{Invitation, Token};
use common::keys::{PrivateKey, authorized_keys};
use common::packet::Packet;
use tests::enrolment::{administer, authorized_lines, has_open_invitation, invite, join, new_server, run};
use tests::{
    DEADLINE, Ran, RawClient, RawListener, Running, Sandbox, TestServer, client_key, command_lines,
    strange_key, wait_until,
};

#[test]
fn an_invitation_is_all_that_two_strangers_need() {
    let (server, ann) = (new_server(), Sandbox::new());
    let line = invite(&server, &[]);
    let ran = join(&ann, &[&line, "--name", "db1"]).exits(0);
    let next = format!("client: joined {}; now: client -H db1 run \"uname -a\"\n", server.address());
    assert!(ran.errors().ends_with(&next) && ran.stdout.is_empty(), "{ran:?}");
    assert_eq!(run(&ann, "db1", &["echo hello"]).succeeds(), "hello\n");
    assert_eq!(run(&ann, server.address(), &["echo by address"]).succeeds(), "by address\n");
    let mode = fs::metadata(ann.settings_path("id_ed25519")).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
}

#[test]
fn a_key_that_is_there_is_used() {
    let (server, ann) = (new_server(), Sandbox::new());
    ann.key("id_ed25519", strange_key());
    join(&ann, &[&invite(&server, &[])]).exits(0);
    assert!(authorized_lines(&server).contains(&strange_key().public().to_string()));
    ann.key("another", client_key());
    let another = ann.settings_path("another");
    let line = invite(&server, &[]);
    join(&ann, &["-i", another.to_str().unwrap(), &line, "--name", "db2"]).exits(0);
    assert!(authorized_lines(&server).contains(&client_key().public().to_string()));
    // The name remembers which key it was: without the first one, it still works.
    fs::remove_file(ann.settings_path("id_ed25519")).unwrap();
    assert_eq!(run(&ann, "db2", &["echo hello"]).succeeds(), "hello\n");
}

#[test]
fn an_invitation_is_spent_once() {
    let (server, ann, bob) = (new_server(), Sandbox::new(), Sandbox::new());
    let line = invite(&server, &[]);
    join(&ann, &[&line]).exits(0);
    let ran = join(&bob, &[&line, "--name", "db1"]).exits(125);
    assert!(ran.errors().contains("does not accept the invitation"), "{ran:?}");
    assert!(!bob.settings_path("known_hosts").exists(), "who is not in has met nobody");
    run(&bob, server.address(), &["true"]).exits(125);
    run(&bob, "db1", &["true"]).exits(125);
    assert_eq!(authorized_lines(&server).lines().count(), 1);
    // One who is in already needs no invitation, and spends none.
    let another = invite(&server, &[]);
    join(&ann, &[&another]).exits(0);
    run(&ann, server.address(), &["exit 3"]).exits(3);
    join(&bob, &[&another]).exits(0);
    assert_eq!(authorized_lines(&server).lines().count(), 2);
    // The trail has what was spent and what was refused, and not what nobody needed.
    let trail = server.log();
    let enrolments = |result: &str| {
        let is_one = |line: &&str| line.contains("\"event\":\"enrolment\"") && line.contains(result);
        trail.lines().filter(is_one).count()
    };
    assert_eq!((enrolments("\"accepted\""), enrolments("\"refused\"")), (2, 1), "{trail}");
}

#[test]
fn a_join_that_could_not_be_written_down_can_be_done_again() {
    let (server, ann) = (new_server(), Sandbox::new());
    ann.key("id_ed25519", client_key());
    let line = invite(&server, &[]);
    // As on a full disk: no file may grow.
    let script = "trap '' XFSZ; ulimit -f 0; exec -a client $CLIENT join \"$1\"";
    let message = Ran::of(ann.script("/bin/bash", script).args(["bash", &line])).complains("client", 125);
    assert!(message.contains("known_hosts: ") && message.contains("join again"), "{message}");
    assert!(!has_open_invitation(&server) && !ann.settings_path("known_hosts").exists());
    join(&ann, &[&line, "--name", "db1"]).exits(0);
    assert_eq!(run(&ann, "db1", &["echo hello"]).succeeds(), "hello\n");
}

#[test]
fn an_invitation_can_be_read_from_stdin() {
    let (server, ann) = (new_server(), Sandbox::new());
    let line = format!("{}\n", invite(&server, &[]));
    Ran::with_input(ann.client().args(["join", "-", "--name", "db1"]), line.as_bytes()).exits(0);
    assert_eq!(run(&ann, "db1", &["echo hello"]).succeeds(), "hello\n");
}

#[test]
fn of_many_who_join_at_once_one_is_let_in() {
    let server = new_server();
    for _ in 0..5 {
        let before = authorized_lines(&server).lines().count();
        let line = invite(&server, &[]);
        let people: Vec<Sandbox> = (0..8).map(|_| Sandbox::new()).collect();
        for person in &people {
            Ran::of(person.client().arg("key")).exits(0);
        }
        let joining: Vec<Running> =
            people.iter().map(|person| Running::start(person.client().args(["join", &line]))).collect();
        let joined: Vec<bool> =
            joining.into_iter().map(|client| client.finish().status.code() == Some(0)).collect();
        assert_eq!(joined.iter().filter(|joined| **joined).count(), 1, "{joined:?}");
        for (person, joined) in people.iter().zip(joined) {
            run(person, server.address(), &["exit 3"]).exits(if joined { 3 } else { 125 });
        }
        assert_eq!(authorized_lines(&server).lines().count(), before + 1);
    }
}

#[test]
fn an_invitation_expires() {
    let (server, ann) = (new_server(), Sandbox::new());
    let line = invite(&server, &["--ttl", "2s"]);
    assert!(has_open_invitation(&server));
    wait_until("the invitation has expired", DEADLINE, || !has_open_invitation(&server));
    let ran = join(&ann, &[&line]).exits(125);
    assert!(ran.errors().contains("does not accept the invitation"), "{ran:?}");
    assert_eq!(authorized_lines(&server), "");
    let invitations = server.path("home/.local/state/telex/invitations");
    assert_eq!(fs::read_dir(invitations).unwrap().count(), 0, "what has expired is cleared away");
}

#[test]
fn a_server_with_another_key_does_not_even_hear_of_the_invitation() {
    let (server, ann) = (new_server(), Sandbox::new());
    let line = invite(&server, &[]);
    let other = RawListener::secure(strange_key());
    let misled = line.replace(server.address(), &other.address());
    let mut client = Running::start(ann.client().args(["join", &misled, "--name", "db1"]));
    let mut heard = Vec::new();
    wait_until("the client is done", DEADLINE, || {
        if let Ok(mut peer) = other.try_accept() {
            heard.extend(peer.hear_all());
        }
        client.has_ended()
    });
    let ran = client.finish().exits(125);
    assert!(ran.errors().contains("as was promised"), "{ran:?}");
    assert_eq!(heard, b"");
    assert!(!ann.settings_path("known_hosts").exists() && !ann.settings_path("config.toml").exists());
    // It is as good as before.
    join(&ann, &[&line]).exits(0);
}

#[test]
fn a_server_that_is_known_by_another_key_is_not_joined() {
    let (server, ann) = (new_server(), Sandbox::new());
    ann.known_hosts(strange_key());
    let ran = join(&ann, &[&invite(&server, &[])]).exits(125);
    assert!(ran.errors().contains("is not the one that is known"), "{ran:?}");
    assert!(has_open_invitation(&server));
}

#[test]
fn the_options_of_an_invitation_bind() {
    let (server, ann) = (new_server(), Sandbox::new());
    let options = r#"restrict,command="echo only this, not $TELEX_ORIGINAL_COMMAND""#;
    join(&ann, &[&invite(&server, &["--options", options]), "--name", "db1"]).exits(0);
    assert_eq!(run(&ann, "db1", &["id -u"]).succeeds(), "only this, not id -u\n");
    assert_eq!(run(&ann, "db1", &["--", "rm", "-r", "a b"]).succeeds(), "only this, not rm -r 'a b'\n");
    let message = run(&ann, "db1", &["-e", "LD_PRELOAD=/tmp/x.so", "id"]).exits(125).errors();
    assert!(message.contains("LD_PRELOAD"), "{message}");
    assert!(authorized_lines(&server).starts_with("restrict,command="), "{}", authorized_lines(&server));
}

#[test]
fn an_invitation_cannot_be_stretched() {
    let (server, ann) = (new_server(), Sandbox::new());
    join(&ann, &[&invite(&server, &["--options", r#"from="192.0.2.1""#])]).exits(125);
    run(&ann, server.address(), &["true"]).exits(125);
    let server = new_server();
    let expired = ["invite", "--address", server.address(), "--options", r#"expiry-time="20200101""#];
    let message = Ran::of(server.server().args(expired)).complains("server", 78);
    assert!(message.contains("its expiry-time has passed; name a time"), "{message}");
    assert!(!has_open_invitation(&server));
    for arguments in [["--options", "no-such-option"], ["--ttl", "soon"]] {
        Ran::of(server.server().arg("invite").args(arguments)).exits(2);
    }
}

#[test]
fn a_name_that_is_taken_spends_nothing() {
    let (server, ann) = (new_server(), Sandbox::new());
    let before = "# mine\n[hosts.db1]\naddress = \"192.0.2.1\"\n";
    ann.settings("config.toml", before);
    let line = invite(&server, &[]);
    let message = join(&ann, &[&line, "--name", "db1"]).complains("client", 125);
    assert!(message.contains("db1"), "{message}");
    assert!(has_open_invitation(&server));
    join(&ann, &[&line, "--name", "db2"]).exits(0);
    let after = fs::read_to_string(ann.settings_path("config.toml")).unwrap();
    assert!(after.starts_with(before) && after.len() > before.len(), "{after}");
}

#[test]
fn an_invitation_names_the_address_that_the_settings_give() {
    let sandbox = Sandbox::new();
    let line = |arguments: &[&str]| Ran::of(sandbox.server().arg("invite").args(arguments)).exits(0).text();
    assert!(line(&[]).starts_with("telex://"), "{}", line(&[]));
    sandbox.settings("server.toml", "address = \"db1.example:9001\"\n");
    assert!(line(&[]).starts_with("telex://db1.example:9001/"), "{}", line(&[]));
    assert!(line(&["--address", "[::1]:9"]).starts_with("telex://[::1]:9/"));
}

#[test]
fn an_invitation_to_where_nobody_can_come_is_not_made() {
    let sandbox = Sandbox::new();
    let refuses = |arguments: &[&str]| {
        let message = Ran::of(sandbox.server().arg("invite").args(arguments)).complains("server", 78);
        let expected = "an address that others can connect to; pass --address HOST:PORT";
        assert!(message.contains(expected), "{arguments:?}: {message}");
    };
    for address in ["unix:/run/telex.sock", "db1.example:0", "[::]:9000"] {
        refuses(&["--address", address]);
    }
    for listen in ["127.0.0.1:0", "0.0.0.0:0", "unix:/run/telex.sock"] {
        refuses(&["--listen", listen]);
    }
    sandbox.settings("server.toml", "address = \"db1.example:0\"\n");
    refuses(&[]);
    assert!(!sandbox.path("home/.local/state/telex/invitations").exists());
    // Of several addresses it is one that is good.
    sandbox.settings("server.toml", "listen = [\"db1:0\", \"0.0.0.0:9003\", \"db1:9001\"]\n");
    let line = |arguments: &[&str]| Ran::of(sandbox.server().arg("invite").args(arguments)).exits(0).text();
    assert!(line(&[]).starts_with("telex://db1:9001/"), "{}", line(&[]));
    let everywhere = line(&["--listen", "db1:0", "--listen", "0.0.0.0:9003"]);
    assert!(everywhere.contains(":9003/") && !everywhere.contains("0.0.0.0"), "{everywhere}");
}

#[test]
fn an_invitation_that_nobody_has_seen_is_not_open() {
    let server = new_server();
    let invite_to = |to: &str| {
        let script = format!("\"$SERVER\" invite --address db1:9000 {to}");
        let mut command = server.script("/bin/sh", &script);
        Ran::of(command.env("SERVER", server.server().get_program()))
    };
    for to in [">&-", "> /dev/full"] {
        let errors = invite_to(to).exits(70).errors();
        assert!(errors.contains("there is no invitation, because it cannot be printed: "), "{to}: {errors}");
        assert!(!has_open_invitation(&server), "{to}");
    }
    // Who throws it away has not asked for more.
    invite_to("> /dev/null").exits(0);
    assert!(has_open_invitation(&server));
}

#[test]
fn a_file_that_is_no_invitation_breaks_no_other() {
    let (server, ann) = (new_server(), Sandbox::new());
    let line = invite(&server, &[]);
    let directory = server.path("home/.local/state/telex/invitations");
    let damaged = directory.join("notes.json");
    fs::write(&damaged, "{").unwrap();
    let said = format!("{}: not an invitation: ", damaged.display());
    assert!(administer(&server, &["check"]).contains(&said));
    assert!(has_open_invitation(&server));
    let ran = Ran::of(server.server().args(["invite", "--address", server.address()])).exits(0);
    assert!(ran.errors().contains(&said) && ran.errors().contains("; take "), "{ran:?}");
    join(&ann, &[ran.text().trim_end()]).exits(0);
    join(&Sandbox::new(), &[&line]).exits(0);
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o777)).unwrap();
    for arguments in [&["invite", "--address", "db1:9000"][..], &["check"]] {
        let message = Ran::of(server.server().args(arguments)).complains("server", 78);
        assert!(message.ends_with(&format!("; chmod go-w {}", directory.display())), "{message}");
    }
}

#[test]
fn nobody_is_enrolled_by_a_line_that_would_not_count() {
    let (server, ann) = (new_server(), Sandbox::new());
    let line = invite(&server, &[]);
    let full = "# a comment\n".repeat(authorized_keys::LINES);
    server.settings("authorized_keys", &full);
    let ran = join(&ann, &[&line]).exits(125);
    assert!(ran.errors().contains("its authorized_keys is full"), "{ran:?}");
    assert_eq!(authorized_lines(&server), full);
    // It was not spent by that.
    server.settings("authorized_keys", "");
    join(&ann, &[&line]).exits(0);
    join(&Sandbox::new(), &[&line]).exits(125);
}

#[test]
fn who_has_no_invitation_learns_nothing_by_showing_one() {
    let revoked = PrivateKey::generate().unwrap();
    let server = TestServer::options()
        .listen("127.0.0.1:0")
        .patient()
        .settings("revoked_keys", &format!("{}\n", revoked.public()))
        .start();
    let answers = [(strange_key(), ""), (strange_key(), "nobody-at-all"), (&revoked, ""), (&revoked, "root")]
        .map(|(key, user)| {
            let mut peer = RawClient::connect_as(key, server.address());
            let method = Method::Invitation(Token::generate().unwrap());
            peer.send(Packet::Hello(Hello { method, ..Hello::new(user, "") }));
            peer.hear()
        });
    assert!(
        matches!(&answers[0], Some(Packet::Close(close)) if close.code == CloseCode::Invitation),
        "{answers:?}"
    );
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
}

/// The files under `directory` that hold `secret`.
fn files_with(secret: &[u8], directory: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(directory).unwrap().flatten() {
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            files_with(secret, &entry.path(), found);
        } else if kind.is_file() {
            let content = fs::read(entry.path()).unwrap();
            if content.windows(secret.len()).any(|window| window == secret) {
                found.push(entry.path().display().to_string());
            }
        }
    }
}

#[test]
fn a_token_is_kept_nowhere() {
    let sandbox = Sandbox::new();
    let audit = sandbox.path("audit.json");
    let settings = format!("[audit]\nto = \"{}\"\n[log]\nlevel = \"trace\"\n", audit.display());
    let server =
        TestServer::options_in(sandbox).settings("server.toml", &settings).listen("127.0.0.1:0").start();
    let (ann, bob) = (Sandbox::new(), Sandbox::new());
    let line = invite(&server, &[]);
    let token = line.parse::<Invitation>().unwrap().token.to_bytes();
    let (_, written) = line.rsplit_once('/').unwrap();
    let hex: String = token.iter().map(|byte| format!("{byte:02x}")).collect();
    // The part that is secret; the rest says which invitation it is.
    let secrets: [&[u8]; 3] = [&written.as_bytes()[12..], &hex.as_bytes()[16..], &token[8..]];
    let found = || {
        let mut found = Vec::new();
        for secret in secrets {
            files_with(secret, &server.path(""), &mut found);
            files_with(secret, &ann.path(""), &mut found);
        }
        found
    };
    assert_eq!(found(), [""; 0], "before it is spent");
    join(&ann, &[&line, "--name", "db1"]).exits(0);
    join(&bob, &[&line]).exits(125);
    let mut client = Running::start(ann.client().args(["-H", "db1", "run", "echo ready; env; read line"]));
    client.wait_for_stdout("ready\n");
    let shown: Vec<_> = command_lines().into_iter().filter(|line| line.contains(&written[12..])).collect();
    assert_eq!(shown, [""; 0]);
    let ran = client.finish();
    assert!(!ran.text().contains(&written[12..]));
    assert_eq!(found(), [""; 0], "after it was spent");
    let (log, audit) = (server.log(), fs::read_to_string(audit).unwrap());
    assert!(log.contains("refused") && audit.contains("\"event\":\"enrolment\""), "{log}\n{audit}");
}
