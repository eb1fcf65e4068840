//! The Unix socket is its owner's alone: other users do not reach it, and are not listened to if they do. What cannot be
//! shown without being root is left out for others, and said to be.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use std::fs::{self, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::thread;

use common::greeting::CloseCode;
use rustix::process::{Gid, Uid, geteuid};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};
use serde_json::Value;
use tests::{DEADLINE, Noise, Ran, RawClient, Running, Sandbox, TestServer, wait_until};

/// The user `nobody`, who owns nothing.
const STRANGER: u32 = 65534;

/// How often a mebibyte of noise is sent.
const FLOODS: u64 = 200;

/// Whether this process may take on other users; says so if not.
fn is_root() -> bool {
    let root = geteuid().is_root();
    if !root {
        eprintln!("not run: only root can become another user");
    }
    root
}

/// Does `work` as another user of this machine, on a thread of its own: the kernel knows users by thread.
fn as_stranger<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    let (uid, gid) = (Uid::from_raw(STRANGER), Gid::from_raw(STRANGER));
    let become_stranger = || {
        set_thread_groups(&[])?;
        set_thread_res_gid(gid, gid, gid)?;
        set_thread_res_uid(uid, uid, uid)
    };
    thread::scope(|scope| {
        let worker = scope.spawn(|| {
            become_stranger().unwrap();
            work()
        });
        worker.join().unwrap()
    })
}

fn connect_as_stranger(socket: &Path) -> io::Result<UnixStream> {
    as_stranger(|| UnixStream::connect(socket))
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// A server whose socket is in a directory of its own, and nothing above that one keeps others out.
fn server() -> (TestServer, PathBuf) {
    let sandbox = Sandbox::with_keys();
    let audit = format!("[audit]\nto = {:?}\n", sandbox.path("audit"));
    sandbox.settings("server.toml", audit);
    let server = TestServer::options_in(sandbox).listen("unix:DIR/own/server.sock").start();
    set_mode(&server.path(""), 0o755);
    let socket = server.path("own/server.sock");
    (server, socket)
}

/// Refusals in the audit trail.
fn refusals(server: &TestServer) -> Vec<Value> {
    let trail = fs::read_to_string(server.path("audit")).unwrap();
    let events = trail.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    events.filter(|event| event["result"] == "refused").collect()
}

#[test]
fn another_user_cannot_reach_the_socket() {
    if !is_root() {
        return;
    }
    let (mut server, socket) = server();
    let error = connect_as_stranger(&socket).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    // Nor with the directory open, for the socket itself is closed.
    set_mode(socket.parent().unwrap(), 0o755);
    let error = connect_as_stranger(&socket).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    assert!(refusals(&server).is_empty());
    server.still_serves();
}

#[test]
fn another_user_who_reaches_the_socket_is_not_listened_to() {
    if !is_root() {
        return;
    }
    let (mut server, socket) = server();
    set_mode(socket.parent().unwrap(), 0o755);
    set_mode(&socket, 0o666);
    // One who says nothing, and one whose first bytes would break the protocol if they were looked at.
    for bytes in [&b""[..], &[0xff; 64]] {
        let mut peer = RawClient::over_socket(connect_as_stranger(&socket).unwrap());
        peer.send_bytes(bytes);
        peer.is_refused_aloud(CloseCode::Denied);
    }
    // The answer does not wait for the audit trail.
    wait_until("both are in the audit trail", DEADLINE, || refusals(&server).len() >= 2);
    let refusals = refusals(&server);
    assert_eq!(refusals.len(), 2, "{refusals:?}");
    for refusal in refusals {
        assert_eq!(
            refusal["event"], "authentication",
            "no protocol was spoken that could be broken: {refusal}"
        );
        assert_eq!(refusal["peer"], format!("uid {STRANGER}"), "{refusal}");
        assert_eq!(refusal["reason"], format!("uid {STRANGER} is not the server's"), "{refusal}");
    }
    server.still_serves();
}

#[test]
fn a_directory_of_somebody_else_is_refused() {
    if !is_root() {
        return;
    }
    let sandbox = Sandbox::new();
    let directory = sandbox.directory("own", 0o700);
    chown(&directory, Some(STRANGER), None).unwrap();
    let address = format!("unix:{}/server.sock", directory.display());
    for verb in [&[][..], &["check"]] {
        let message = Ran::of(sandbox.server().args(["--listen", &address]).args(verb)).exits(78).errors();
        let expected =
            format!("{} is not a private directory: it belongs to uid {STRANGER}", directory.display());
        assert!(message.contains(&expected), "{message}");
    }
    assert_eq!(fs::read_dir(&directory).unwrap().count(), 0, "nothing was made there");
}

#[test]
fn a_link_to_a_directory_is_refused() {
    let sandbox = Sandbox::new();
    let directory = sandbox.directory("real", 0o700);
    std::os::unix::fs::symlink(&directory, sandbox.path("link")).unwrap();
    let address = format!("unix:{}/server.sock", sandbox.path("link").display());
    let message = Ran::of(sandbox.server().args(["--listen", &address])).exits(78).errors();
    assert!(message.contains("it is not a directory"), "{message}");
}

#[test]
fn noise_ends_neither_the_server_nor_a_job() {
    let (mut server, _) = server();
    let mut job = Running::start(server.client().args(["run", "cat"]));
    job.write(b"before\n");
    job.wait_for_stdout("before\n");
    for seed in 0..FLOODS {
        let mut peer = RawClient::connect(server.address());
        peer.send_bytes(&Noise::new(seed).bytes(1 << 20));
        peer.end();
        peer.hear_close();
    }
    job.write(b"after\n");
    job.wait_for_stdout("after\n");
    job.finish().exits(0);
    server.still_serves();
}
