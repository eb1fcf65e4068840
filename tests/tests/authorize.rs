//! Keys let in and put out by hand: what `server authorize` and `server revoke` write, and what they refuse to. What becomes
//! of those who are connected: `revocation.rs`.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use std::fs;
use std::thread;

use common::keys::{PublicKey, authorized_keys, revoked_keys};
use tests::enrolment::{administer, authorized_lines, has_open_invitation, invite, join, new_server, run};
use tests::{Ran, Sandbox, client_key, strange_key};

#[test]
fn a_key_can_be_let_in_and_put_out_by_hand() {
    let (server, ann) = (new_server(), Sandbox::new());
    fs::create_dir_all(ann.settings_path("")).unwrap();
    let shown = Ran::of(ann.client().arg("key")).exits(0).text();
    let [line, fingerprint] = shown.lines().collect::<Vec<_>>()[..] else { panic!("{shown}") };
    let host = administer(&server, &["key"]);
    let host = host.lines().next().unwrap();
    let (_, port) = server.address().rsplit_once(':').unwrap();
    ann.settings("known_hosts", format!("[127.0.0.1]:{port} {host}\n"));
    run(&ann, server.address(), &["true"]).complains("client", 125);

    let said = administer(&server, &["authorize", line]);
    assert_eq!(said, format!("{fingerprint} may connect now\n"));
    assert!(administer(&server, &["keys"]).starts_with(fingerprint));
    run(&ann, server.address(), &["exit 3"]).exits(3);
    assert!(administer(&server, &["check"]).contains("keys that may connect: 1"));
    let message = Ran::of(server.server().args(["authorize", line])).complains("server", 78);
    assert!(message.contains("already"), "{message}");

    assert!(administer(&server, &["revoke", fingerprint]).contains(fingerprint));
    assert_eq!(administer(&server, &["keys"]), "");
    run(&ann, server.address(), &["true"]).complains("client", 125);
    let message = Ran::of(server.server().args(["authorize", line])).complains("server", 78);
    assert!(message.contains("revoked"), "{message}");
    // Nor does an invitation make it good again, or lose its worth by the attempt.
    let invitation = invite(&server, &[]);
    join(&ann, &[&invitation]).complains("client", 125);
    assert!(has_open_invitation(&server));
}

#[test]
fn what_is_no_key_is_not_let_in() {
    let server = new_server();
    for line in [
        "",
        "nonsense",
        "ssh-rsa AAAAB3NzaC1yc2E= old",
        "no-such-option ssh-ed25519 AAAA",
        "ssh-ed25519 AAAA",
    ] {
        Ran::of(server.server().args(["authorize", line])).complains("server", 78);
    }
    let two = format!("{}\n{}", client_key().public(), strange_key().public());
    Ran::of(server.server().args(["authorize", &two])).exits(78);
    for key in ["", "nonsense", "SHA256:short"] {
        Ran::of(server.server().args(["revoke", key])).complains("server", 78);
    }
    assert_eq!(authorized_lines(&server), "");
    assert!(!server.settings_path("revoked_keys").exists());
}

#[test]
fn a_line_past_the_limit_is_not_written() {
    let sandbox = Sandbox::with_keys();
    let (client, stranger) = (client_key().public(), strange_key().public());
    let count = |expected: &str| {
        let checked = Ran::of(sandbox.server().arg("check")).succeeds();
        assert!(checked.contains(expected), "{checked}");
    };
    let full = format!("{}{client} the client\n", "# an old line\n".repeat(authorized_keys::LINES - 1));
    let path = sandbox.settings("authorized_keys", &full);
    let authorize = || Ran::of(sandbox.server().args(["authorize", &stranger.to_string()]));
    let message = authorize().complains("server", 78);
    let expected = format!("{} has 1000 lines already, and no more are read; take out lines", path.display());
    assert!(message.starts_with(&expected), "{message}");
    assert_eq!(fs::read_to_string(&path).unwrap(), full);
    count("keys that may connect: 1");
    // One line less, and there is room.
    fs::write(&path, full.split_once('\n').unwrap().1).unwrap();
    authorize().exits(0);
    count("keys that may connect: 2");

    // A full file of revoked keys: nobody else is to be kept out.
    let full = "# an old line\n".repeat(revoked_keys::LINES);
    let path = sandbox.settings("revoked_keys", &full);
    let revoke = |key: &PublicKey| {
        Ran::of(sandbox.server().args(["revoke", &key.fingerprint().to_string()])).complains("server", 78)
    };
    let message = revoke(&stranger);
    let expected = format!(
        "{} has 10000 lines already, and no more are read; {} is taken out of authorized_keys, but it is not \
         revoked and could be authorised again; take out lines that are not needed, then do it again",
        path.display(),
        stranger.fingerprint()
    );
    assert_eq!(message, expected);
    assert_eq!(fs::read_to_string(&path).unwrap(), full);
    count("keys that may connect: 1");
    let left = fs::read_to_string(sandbox.settings_path("authorized_keys")).unwrap();
    assert!(left.contains(&client.to_string()) && !left.contains(&stranger.to_string()));
    let message = revoke(&stranger);
    assert!(message.contains(&format!("{} is not revoked; take", stranger.fingerprint())), "{message}");

    // One that is in it already needs no more room.
    sandbox.settings("revoked_keys", full.replacen("# an old line", &client.to_string(), 1));
    let said = Ran::of(sandbox.server().args(["revoke", &client.to_string()])).succeeds();
    assert!(said.contains("may not connect any more"), "{said}");
}

#[test]
fn a_key_can_be_put_out_while_the_revoked_ones_cannot_be_read() {
    let sandbox = Sandbox::with_keys();
    let path = sandbox.settings("revoked_keys", "nonsense\n");
    let key = client_key().public().fingerprint();
    let ran = Ran::of(sandbox.server().args(["revoke", &key.to_string()]));
    let expected = format!(
        "{}:1: no key; nobody is let in; {key} is taken out of authorized_keys, but it is not revoked and could be \
         authorised again; mend that line or take it out",
        path.display()
    );
    assert_eq!(ran.complains("server", 78), expected);
    assert_eq!(fs::read_to_string(&path).unwrap(), "nonsense\n");
    assert_eq!(fs::read_to_string(sandbox.settings_path("authorized_keys")).unwrap(), "");
}

#[test]
fn of_many_who_let_in_the_same_key_one_writes_it_down() {
    let server = new_server();
    let key = client_key().public().to_string();
    let authorized = thread::scope(|scope| {
        let authorize = || Ran::of(server.server().args(["authorize", &key])).status.success();
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(authorize)).collect();
        threads.into_iter().map(|thread| usize::from(thread.join().unwrap())).sum::<usize>()
    });
    assert_eq!((authorized, authorized_lines(&server).lines().count()), (1, 1));
}

#[test]
fn keys_that_are_put_out_at_once_take_nobody_along() {
    let server = new_server();
    let keys: Vec<PublicKey> = (1..=12).map(|byte| PublicKey::from_bytes([byte; 32])).collect();
    for key in &keys {
        administer(&server, &["authorize", &key.to_string()]);
    }
    let (gone, left): (Vec<&PublicKey>, Vec<&PublicKey>) =
        keys.iter().partition(|key| key.as_bytes()[0] % 2 == 0);
    thread::scope(|scope| {
        for key in &gone {
            scope.spawn(|| administer(&server, &["revoke", &key.fingerprint().to_string()]));
        }
    });
    let text = authorized_lines(&server);
    assert!(left.iter().all(|key| text.contains(&key.to_string())), "{text}");
    assert!(!gone.iter().any(|key| text.contains(&key.to_string())), "{text}");
}
