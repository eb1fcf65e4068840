//! A home for everything that is started: a directory of its own with keys for both sides, and an environment that holds
//! nothing of the user's.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::keys::Keys;

/// A temporary directory that programs take for home; removed when dropped.
#[derive(Debug)]
pub(crate) struct Sandbox {
    directory: TempDir,
    keys: Keys,
}

impl Sandbox {
    pub(crate) fn new() -> Result<Self> {
        let directory = TempDir::with_prefix("telex-compare-").context("no temporary directory")?;
        let (home, run) = (directory.path().join("home"), directory.path().join("run"));
        fs::create_dir(&home)?;
        // A directory for sockets must be the user's alone.
        DirBuilder::new().mode(0o700).create(run)?;
        Ok(Self { keys: Keys::install(&home)?, directory })
    }

    /// The keys of the server and of its user.
    pub(crate) fn keys(&self) -> &Keys {
        &self.keys
    }

    /// A path inside.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A program in the same small environment as all others, without input and with its output dropped.
    ///
    /// Nothing here makes the standard library `fork` where it could `posix_spawn`.
    pub(crate) fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        command
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("LANG", "C.UTF-8")
            .env("HOME", self.path("home"))
            .env("XDG_RUNTIME_DIR", self.path("run"))
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        command
    }

    /// `sh -c TEXT` on this machine: what all others are compared with.
    pub(crate) fn local_shell(&self, text: &str) -> Command {
        let mut command = self.command("/bin/sh");
        command.args(["-c", text]);
        command
    }
}
