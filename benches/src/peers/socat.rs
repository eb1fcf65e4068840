//! socat at both ends: bytes between a command and a socket, with no protocol, no identity and no outcome.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use rustix::process::Pid;

use super::{answers, find, free_port};
use crate::daemon::Daemon;
use crate::sandbox::Sandbox;

/// A listening socat that runs the same command for whoever connects.
#[derive(Debug)]
pub(crate) struct Socat {
    daemon: Daemon,
    program: PathBuf,
    port: u16,
}

impl Socat {
    /// Listens; `action` is the address of its other side, `EXEC:…` or `SYSTEM:…`.
    pub(crate) fn start(sandbox: &Sandbox, options: &[&str], action: &str) -> Result<Self> {
        let program = find("socat")?;
        let port = free_port()?;
        let mut command = sandbox.command(&program);
        command.args(options);
        command.arg(format!("TCP-LISTEN:{port},bind=127.0.0.1,reuseaddr,fork")).arg(action);
        // The first question is answered before anybody asks; what the command then writes goes nowhere.
        command.stderr(std::process::Stdio::null());
        let mut daemon = Daemon::start(&mut command)?;
        daemon.wait_until(|| answers(port)).context("socat")?;
        Ok(Self { daemon, program, port })
    }

    pub(crate) fn id(&self) -> Pid {
        self.daemon.id()
    }

    /// A socat that connects, with `-` for its own stdin and stdout before or behind the socket, as `reversed` has it.
    pub(crate) fn connect(&self, sandbox: &Sandbox, options: &[&str], reversed: bool) -> Command {
        let socket = format!("TCP:127.0.0.1:{}", self.port);
        let mut command = sandbox.command(&self.program);
        command.args(options).args(if reversed { [socket.as_str(), "-"] } else { ["-", socket.as_str()] });
        command
    }
}
