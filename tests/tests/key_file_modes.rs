//! Files that decide who may do what are used only if nobody else can have written them, and secrets only if nobody else
//! can read them. Whatever lies in their place, the refusal comes at once and says what to do.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::process::geteuid;
use tests::{Ran, RawClient, Sandbox, TestServer};

/// How long a refusal may take.
const AT_ONCE: Duration = Duration::from_secs(1);

/// Attempts of which one must be that fast: the machine may be busy with something else.
const ATTEMPTS: usize = 3;

/// The user `nobody`.
const STRANGER: u32 = 65534;

/// What can be wrong with a file.
#[derive(Debug, Clone, Copy)]
enum Defect {
    /// These permission bits.
    Mode(u32),
    /// A link to a file of somebody else's.
    LinkToOthers,
    Fifo,
    Directory,
    /// 5 GiB, none of which is on the disk.
    Sparse,
    /// Anybody can replace it.
    OpenDirectory,
}

impl Defect {
    /// Makes the file at `path` so; whether that can be done by whoever runs this.
    fn apply(self, path: &Path) -> bool {
        let set_mode = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        match self {
            Self::Mode(mode) => set_mode(path, mode),
            Self::OpenDirectory => set_mode(path.parent().unwrap(), 0o777),
            Self::Sparse => File::options().write(true).open(path).unwrap().set_len(5 << 30).unwrap(),
            Self::LinkToOthers => return link_to_others(path),
            Self::Fifo => {
                fs::remove_file(path).unwrap();
                mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
            }
            Self::Directory => {
                fs::remove_file(path).unwrap();
                fs::create_dir(path).unwrap();
            }
        }
        true
    }

    /// What the message says beside the path: what is wrong, and what to do.
    fn words(self) -> [&'static str; 2] {
        match self {
            Self::Mode(0o644 | 0o640) => ["it is a secret, and open to others", "; chmod 600 "],
            Self::Mode(_) => ["it can be changed by others", "; chmod go-w "],
            Self::LinkToOthers => ["it belongs to uid 65534", "; if you know what is in it, chown "],
            Self::Fifo => ["it is a FIFO, not a file", "; put an ordinary file in its place"],
            Self::Directory => ["it is a directory, not a file", "; put an ordinary file in its place"],
            Self::Sparse => ["it has 5368709120 bytes", "; keep it below "],
            Self::OpenDirectory => ["can be changed by others (mode 0777)", "; chmod go-w "],
        }
    }
}

/// Puts a link in place of the file, to one with the same content that belongs to somebody else.
fn link_to_others(path: &Path) -> bool {
    if !geteuid().is_root() {
        eprintln!("not run: only root can make a file of another user's");
        return false;
    }
    let other = path.with_extension("other");
    fs::rename(path, &other).unwrap();
    chown(&other, Some(STRANGER), None).unwrap();
    symlink(&other, path).unwrap();
    true
}

/// What is wrong with any file.
const ANY: [Defect; 4] = [Defect::LinkToOthers, Defect::Fifo, Defect::Directory, Defect::Sparse];

/// What is wrong with a secret.
const SECRET: [Defect; 2] = [Defect::Mode(0o644), Defect::Mode(0o640)];

/// What is wrong with a file that decides something.
const DECISIVE: [Defect; 3] = [Defect::Mode(0o666), Defect::Mode(0o660), Defect::OpenDirectory];

/// Requires that `command` ends at once with `code`, and says what is wrong with `file` and what to do.
#[track_caller]
fn is_refused(command: &mut Command, code: i32, file: &Path, defect: Defect) {
    let mut least = Duration::MAX;
    for _ in 0..ATTEMPTS {
        let start = Instant::now();
        let errors = Ran::of(command).exits(code).errors();
        least = least.min(start.elapsed());
        let message = errors.lines().last().unwrap_or_default();
        for part in [file.to_str().unwrap()].iter().chain(&defect.words()) {
            assert!(message.contains(part), "{defect:?}: no {part:?} in {message:?}");
        }
        if least < AT_ONCE {
            return;
        }
    }
    panic!("{defect:?}: it took {least:?}");
}

/// Goes through what can be wrong with the file `name`: each of `uses` is refused then with `code`.
fn rows(name: &str, defects: &[Defect], code: i32, uses: impl Fn(&Sandbox) -> Vec<Command>) {
    for defect in ANY.iter().chain(defects) {
        let sandbox = Sandbox::with_keys();
        let file = sandbox.settings_path(name);
        if !file.exists() {
            sandbox.settings(name, "");
        }
        if !defect.apply(&file) {
            continue;
        }
        for mut command in uses(&sandbox) {
            is_refused(&mut command, code, &file, *defect);
        }
    }
}

/// `server` with these arguments, each a call of its own.
fn server_calls(sandbox: &Sandbox, calls: &[&[&str]]) -> Vec<Command> {
    let call = |arguments: &&[&str]| {
        let mut command = sandbox.server();
        command.args(*arguments);
        command
    };
    calls.iter().map(call).collect()
}

/// A client that would run something on a server that it knows.
fn client_call(sandbox: &Sandbox, address: &str) -> Vec<Command> {
    let mut command = sandbox.client();
    command.args(["-H", address, "run", "-n", "echo must not run"]);
    vec![command]
}

#[test]
fn the_host_key_is_a_secret() {
    rows("host_key", &SECRET, 78, |sandbox| {
        server_calls(sandbox, &[&["--listen", "127.0.0.1:0"], &["check"], &["key"]])
    });
}

#[test]
fn the_settings_of_a_server_are_its_owners() {
    rows("server.toml", &DECISIVE, 78, |sandbox| {
        server_calls(sandbox, &[&["--listen", "127.0.0.1:0"], &["check"], &["keys"]])
    });
}

#[test]
fn the_authorised_keys_are_their_owners() {
    rows("authorized_keys", &DECISIVE, 78, |sandbox| {
        server_calls(sandbox, &[&["--listen", "0.0.0.0:0"], &["check"], &["keys"]])
    });
}

#[test]
fn the_revoked_keys_are_their_owners() {
    // The directory is that of the authorised keys as well, which come first.
    rows("revoked_keys", &DECISIVE[..2], 78, |sandbox| server_calls(sandbox, &[&["check"], &["keys"]]));
}

#[test]
fn the_clients_key_is_a_secret() {
    let server = TestServer::start();
    rows("id_ed25519", &SECRET, 125, |sandbox| client_call(sandbox, server.address()));
}

#[test]
fn the_known_hosts_are_their_owners() {
    let server = TestServer::start();
    rows("known_hosts", &DECISIVE, 125, |sandbox| client_call(sandbox, server.address()));
}

#[test]
fn the_settings_of_a_client_are_its_owners() {
    let server = TestServer::start();
    rows("config.toml", &DECISIVE, 125, |sandbox| client_call(sandbox, server.address()));
}

#[test]
fn a_server_that_runs_survives_whatever_its_files_become() {
    for defect in ANY.iter().chain(&[Defect::Mode(0o666)]) {
        for name in ["authorized_keys", "revoked_keys"] {
            let sandbox = Sandbox::with_keys();
            sandbox.settings("revoked_keys", "");
            let server = TestServer::options_in(sandbox)
                .listen("127.0.0.1:0")
                .listen("unix:DIR/own/server.sock")
                .patient()
                .start();
            let file = server.settings_path(name);
            let others = RawClient::greeted(&server.addresses()[1]);
            if !defect.apply(&file) {
                continue;
            }
            let start = Instant::now();
            let message = server.run(["true"]).complains("client", 125);
            assert!(message.contains("this key is not authorised"), "{defect:?}: {message}");
            // What is wrong is the operator's to know: a client learns nothing of the server's files.
            assert!(!message.contains(defect.words()[0]), "{message}");
            let log = server.log();
            assert!(
                log.contains(defect.words()[0]) && log.contains(file.to_str().unwrap()),
                "{defect:?}: {log}"
            );
            assert!(start.elapsed() < 5 * AT_ONCE, "{defect:?}: it took {:?}", start.elapsed());
            let mut local = server.bare_client();
            local.args(["-H", &server.addresses()[1], "run", "echo in"]);
            assert_eq!(Ran::of(&mut local).succeeds(), "in\n", "{defect:?}");
            drop(others);
        }
    }
}

#[test]
fn a_key_is_let_in_again_when_its_file_is_mended() {
    let server = TestServer::options().listen("127.0.0.1:0").patient().start();
    let file = server.settings_path("authorized_keys");
    fs::set_permissions(&file, Permissions::from_mode(0o666)).unwrap();
    server.run(["true"]).complains("client", 125);
    fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    assert_eq!(server.run(["echo in"]).succeeds(), "in\n");
}
