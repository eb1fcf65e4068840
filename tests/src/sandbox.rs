//! The two programs, with a home of their own and an environment that holds nothing of the developer's.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::keys::PrivateKey;
use tempfile::TempDir;

use crate::keys::{client_key, host_key};

/// Every server on this machine, on whatever port it is.
const LOCAL_HOSTS: &str = "[127.0.0.1]:*,[::1]:*,[localhost]:*";

/// A directory that both programs take for home, removed when dropped.
#[derive(Debug)]
pub struct Sandbox {
    directory: TempDir,
}

impl Sandbox {
    /// A new, empty one.
    #[expect(clippy::new_without_default, reason = "it makes a directory")]
    pub fn new() -> Self {
        let directory = TempDir::with_prefix("telex-test-").unwrap();
        let sandbox = Self { directory };
        fs::DirBuilder::new().mode(0o700).create(sandbox.path("run")).unwrap();
        fs::create_dir(sandbox.path("home")).unwrap();
        sandbox
    }

    /// One in which a client and a server know each other: both have their keys.
    pub fn with_keys() -> Self {
        let sandbox = Self::new();
        sandbox.key("id_ed25519", client_key());
        sandbox.key("host_key", host_key());
        sandbox.settings("authorized_keys", format!("{} the client\n", client_key().public()));
        sandbox.known_hosts(host_key());
        sandbox
    }

    /// A path inside.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes a file and gives its path.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, content).unwrap();
        path
    }

    /// Where the programs look for their files: keys, `authorized_keys`, `server.toml` and so on.
    pub fn settings_path(&self, name: &str) -> PathBuf {
        self.path("home/.config/telex").join(name)
    }

    /// Writes one of those files (0600) and gives its path.
    pub fn settings(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.settings_path(name);
        fs::DirBuilder::new().recursive(true).mode(0o700).create(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    /// Writes a private key among them.
    pub fn key(&self, name: &str, key: &PrivateKey) -> PathBuf {
        self.settings(name, key.to_openssh("a key for tests").as_bytes())
    }

    /// Has clients know every server on this machine by this key.
    pub fn known_hosts(&self, key: &PrivateKey) -> PathBuf {
        self.settings("known_hosts", format!("{LOCAL_HOSTS} {}\n", key.public()))
    }

    /// Makes a directory with these permissions and gives its path.
    pub fn directory(&self, name: &str, mode: u32) -> PathBuf {
        let path = self.path(name);
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    /// The program `client`, without arguments.
    pub fn client(&self) -> Command {
        self.program("telex-test-client", "client")
    }

    /// The program `server`, without arguments.
    pub fn server(&self) -> Command {
        self.program("telex-test-server", "server")
    }

    /// Any other program, in the same environment.
    pub fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        command
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("LANG", "C.UTF-8")
            .env("HOME", self.path("home"))
            .env("XDG_RUNTIME_DIR", self.path("run"));
        command
    }

    /// A shell script that finds the client in `$CLIENT`.
    pub fn script(&self, shell: &str, script: &str) -> Command {
        let mut command = self.command(shell);
        command.arg("-c").arg(script).env("CLIENT", built("telex-test-client"));
        command
    }

    fn program(&self, file: &str, name: &str) -> Command {
        let mut command = self.command(built(file));
        command.arg0(name);
        command
    }
}

/// Where cargo has put a program of this package: one above the test that runs.
fn built(file: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let path = test.parent().and_then(Path::parent).unwrap().join(file);
    assert!(path.exists(), "{} is missing; run `cargo test -p tests`, which builds it", path.display());
    path
}
