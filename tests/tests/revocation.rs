//! How somebody is put out: at once, with what runs for them, and with nobody else.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::{Duration, Instant};

use common::keys::PrivateKey;
use tests::enrolment::{administer, invite, join, new_server, run};
use tests::{DEADLINE, Mark, Ran, Running, Sandbox, TestServer, client_key, strange_key, wait_until};

/// A revoked key is to have no connection after 2 s; what looking may add on a busy machine.
const REVOKED_WITHIN: Duration = Duration::from_secs(3);

/// Starts a job, has `put_out` take the key away, and requires that job and connection end in time.
#[track_caller]
fn ends_what_runs(put_out: impl FnOnce(&TestServer)) {
    let server = TestServer::options().listen("127.0.0.1:0").patient().start();
    let mark = Mark::new();
    let script = "trap 'exit 9' HUP; echo ready; while :; do sleep 0.05; done";
    let mut client = Running::start(server.client().arg("run").args(mark.option()).arg(script));
    client.wait_for_stdout("ready\n");
    let before = Instant::now();
    put_out(&server);
    let ran = client.finish();
    mark.wait_until_gone();
    assert!(before.elapsed() < REVOKED_WITHIN, "it took {:?}", before.elapsed());
    let message = ran.complains("client", 125);
    assert!(message.contains("not authorised any more"), "{message}");
    server.run(["true"]).complains("client", 125);
}

/// Who can open a directory can lock it (flock(2)).
#[test]
fn nobody_else_can_keep_a_key_from_being_revoked() {
    let server = TestServer::options().listen("127.0.0.1:0").start();
    fs::set_permissions(server.settings_path(""), fs::Permissions::from_mode(0o755)).unwrap();
    let directory = fs::File::open(server.settings_path("")).unwrap();
    directory.lock().unwrap();
    let begun = Instant::now();
    administer(&server, &["revoke", &client_key().public().fingerprint().to_string()]);
    assert!(begun.elapsed() < REVOKED_WITHIN, "it took {:?}", begun.elapsed());
    let lock = fs::metadata(server.settings_path(".telex-lock")).unwrap();
    assert_eq!(lock.permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_revoked_key_loses_its_jobs_and_comes_in_no_more() {
    let fingerprint = client_key().public().fingerprint().to_string();
    ends_what_runs(|server| drop(administer(server, &["revoke", &fingerprint])));
}

#[test]
fn a_key_whose_line_is_gone_loses_its_jobs_and_comes_in_no_more() {
    ends_what_runs(|server| drop(server.settings("authorized_keys", "")));
    ends_what_runs(|server| fs::remove_file(server.settings_path("authorized_keys")).unwrap());
}

#[test]
fn a_key_in_a_directory_that_others_can_write_to_loses_its_jobs() {
    ends_what_runs(|server| {
        fs::set_permissions(server.settings_path(""), fs::Permissions::from_mode(0o777)).unwrap();
    });
}

#[test]
fn revoked_keys_that_are_meant_and_not_there_keep_everybody_out() {
    let settings = "revoked_keys = \"~/revoked\"\n[penalties]\nenabled = false\n";
    let server = TestServer::options().listen("127.0.0.1:0").settings("server.toml", settings).start();
    let says_why = |reason: &str| {
        server.run(["true"]).complains("client", 125);
        let message = Ran::of(server.server().arg("check")).complains("server", 78);
        assert!(message.contains(reason), "{message}");
        assert!(server.log().contains(reason), "{}", server.log());
    };
    says_why("there is no file of revoked keys at");
    administer(&server, &["revoke", &strange_key().public().fingerprint().to_string()]);
    server.run(["true"]).exits(0);
    let path = server.path("home/revoked");
    fs::rename(&path, server.path("elsewhere")).unwrap();
    symlink(server.path("nowhere"), &path).unwrap();
    says_why("it is a link that leads nowhere");
}

#[test]
fn a_key_is_revoked_also_while_the_server_has_no_descriptors_left() {
    let server = TestServer::options().listen("127.0.0.1:0").patient().after("ulimit -n 64").start();
    let mark = Mark::new();
    let mut client =
        Running::start(server.client().arg("run").args(mark.option()).arg("echo ready; exec sleep 1000"));
    client.wait_for_stdout("ready\n");
    // They say nothing, and are let wait for that for some time.
    let mut strangers: Vec<_> = (0..80).map(|_| TcpStream::connect(server.address()).unwrap()).collect();
    wait_until("nothing is left", DEADLINE, || server.log().contains("cannot accept connections"));
    let before = Instant::now();
    administer(&server, &["revoke", &client_key().public().fingerprint().to_string()]);
    mark.wait_until_gone();
    assert!(before.elapsed() < REVOKED_WITHIN, "it took {:?}", before.elapsed());
    let message = client.finish().complains("client", 125);
    assert!(message.contains("not authorised any more"), "{message}");
    strangers.clear();
}

#[test]
fn a_key_that_may_do_less_now_loses_what_it_does() {
    let server = TestServer::options().listen("127.0.0.1:0").start();
    let mark = Mark::new();
    let script = "echo ready; exec sleep 1000";
    let mut client = Running::start(server.client().arg("run").args(mark.option()).arg(script));
    client.wait_for_stdout("ready\n");
    let key = client_key().public();
    server.settings("authorized_keys", format!("command=\"echo less\" {key}\n"));
    client.finish().complains("client", 125);
    mark.wait_until_gone();
    assert_eq!(server.run(["echo more"]).succeeds(), "less\n");
}

#[test]
fn one_who_is_put_out_takes_nobody_along() {
    let (server, ann) = (new_server(), Sandbox::new());
    join(&ann, &[&invite(&server, &[])]).exits(0);
    server.key("id_ed25519", client_key());
    administer(&server, &["authorize", &client_key().public().to_string()]);
    server.known_hosts(&host_key_of(&server));
    let mut client = Running::start(server.client().args(["run", "echo ready; read line; exit 3"]));
    client.wait_for_stdout("ready\n");
    let anns = Ran::of(ann.client().arg("key")).exits(0).text();
    administer(&server, &["revoke", anns.lines().last().unwrap()]);
    wait_until("it is put out", DEADLINE, || {
        run(&ann, server.address(), &["true"]).status.code() == Some(125)
    });
    client.write(b"go on\n");
    client.finish().exits(3);
}

fn host_key_of(server: &TestServer) -> PrivateKey {
    let text = fs::read(server.settings_path("host_key")).unwrap();
    PrivateKey::from_openssh(&text, None).unwrap()
}
