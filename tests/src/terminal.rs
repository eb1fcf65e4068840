//! A terminal that a program is started on, and the test that sits before it.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::{OFlags, fcntl_setfl};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use crate::running::{Ran, Running};
use crate::sandbox::Sandbox;
use crate::wait::{DEADLINE, wait_until};

/// A terminal. Dropping it hangs up on the program.
#[derive(Debug)]
pub struct Terminal {
    own: File,
    path: PathBuf,
    shown: Vec<u8>,
}

impl Terminal {
    /// A new one, with nobody on it.
    #[expect(clippy::new_without_default, reason = "it opens a device")]
    pub fn new() -> Self {
        let own = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&own).unwrap();
        unlockpt(&own).unwrap();
        let path = ptsname(&own, Vec::new()).unwrap().into_string().unwrap().into();
        fcntl_setfl(&own, OFlags::NONBLOCK).unwrap();
        Self { own: own.into(), path, shown: Vec::new() }
    }

    /// Where a program finds its end.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The end of a program's.
    pub fn end(&self) -> File {
        File::options().read(true).write(true).open(&self.path).unwrap()
    }

    /// Starts `command` with this as its controlling terminal and its stdin; stdout and stderr are collected.
    pub fn start(&self, sandbox: &Sandbox, command: &Command) -> Running {
        let mut wrapped = sandbox.command("/usr/bin/setsid");
        // setsid(1) passes on no argv[0] of its own.
        wrapped.args(["--ctty", "/bin/bash", "-c", "exec -a client \"$@\"", "bash"]);
        wrapped.arg(command.get_program()).args(command.get_args());
        wrapped.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        Running::start_with(&mut wrapped, self.end())
    }

    /// Types a line.
    pub fn line(&mut self, line: &str) {
        self.own.write_all(format!("{line}\r").as_bytes()).unwrap();
    }

    /// Presses keys.
    pub fn keys(&mut self, keys: &[u8]) {
        self.own.write_all(keys).unwrap();
    }

    /// Its modes and control characters, as `stty` writes them.
    pub fn modes(&self) -> String {
        let ran = Ran::of(Command::new("stty").arg("-g").arg("-F").arg(&self.path));
        ran.text()
    }

    /// What it has shown so far.
    pub fn shown(&mut self) -> String {
        let mut bytes = [0; 4096];
        loop {
            match self.own.read(&mut bytes) {
                Ok(read @ 1..) => self.shown.extend_from_slice(&bytes[..read]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // Nothing for now, or nobody at the other end (EIO).
                Ok(0) | Err(_) => return String::from_utf8_lossy(&self.shown).into_owned(),
            }
        }
    }

    /// Waits until it has shown `text`.
    #[track_caller]
    pub fn wait_for(&mut self, text: &str) {
        wait_until(&format!("{text:?} on the terminal"), DEADLINE, || self.shown().contains(text));
    }
}
