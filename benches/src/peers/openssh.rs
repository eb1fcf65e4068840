//! OpenSSH with its own defaults: an sshd of this user's, with keys made for the occasion.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use rustix::process::Pid;

use super::{answers, find, free_port};
use crate::daemon::Daemon;
use crate::sandbox::Sandbox;

/// What the client calls the server, at whichever address.
const NAME: &str = "compare";

/// An sshd that runs, and what a client needs to be let in.
#[derive(Debug)]
pub(crate) struct OpenSsh {
    daemon: Daemon,
    ssh: PathBuf,
    configuration: PathBuf,
    port: u16,
}

impl OpenSsh {
    pub(crate) fn start(sandbox: &Sandbox) -> Result<Self> {
        let (ssh, sshd) = (find("ssh")?, find("sshd")?);
        let path = |name: &str| sandbox.path(name).display().to_string();
        let port = free_port()?;
        let host = make_key(sandbox, "host_key")?;
        fs::write(path("authorized_keys"), make_key(sandbox, "user_key")?)?;
        fs::write(path("known_hosts"), format!("{NAME} {host}"))?;
        // Nothing here touches algorithms or anything else that has to do with speed.
        let server = format!(
            "ListenAddress 127.0.0.1\nPort {port}\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\nStrictModes no\n",
            path("host_key"),
            path("authorized_keys"),
        );
        fs::write(path("sshd_config"), server)?;
        let client = format!(
            "Host *\nHostName 127.0.0.1\nHostKeyAlias {NAME}\nPort {port}\nIdentityFile {}\nIdentitiesOnly yes\nIdentityAgent none\n\
             UserKnownHostsFile {}\nGlobalKnownHostsFile /dev/null\nBatchMode yes\n",
            path("user_key"),
            path("known_hosts"),
        );
        fs::write(path("ssh_config"), client)?;
        let log = sandbox.path("sshd.log");
        let mut command = sandbox.command(sshd);
        command.args(["-D", "-e", "-f", &path("sshd_config")]).stderr(fs::File::create(&log)?);
        let mut daemon = Daemon::start(&mut command)?;
        daemon.wait_until(|| answers(port)).with_context(|| reason(&log))?;
        let peer = Self { daemon, ssh, configuration: sandbox.path("ssh_config"), port };
        peer.check(sandbox)?;
        Ok(peer)
    }

    pub(crate) fn id(&self) -> Pid {
        self.daemon.id()
    }

    /// Its address.
    pub(crate) fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// `ssh HOST TEXT`.
    pub(crate) fn run(&self, sandbox: &Sandbox, text: &str) -> Command {
        self.run_at(self.address(), sandbox, text)
    }

    /// The same at another address, from which something leads to its own.
    pub(crate) fn run_at(&self, address: SocketAddr, sandbox: &Sandbox, text: &str) -> Command {
        let mut command = sandbox.command(&self.ssh);
        command.arg("-F").arg(&self.configuration).args(["-p", &address.port().to_string(), NAME, text]);
        command
    }

    /// `ssh -tt HOST TEXT`.
    pub(crate) fn run_on_terminal(&self, sandbox: &Sandbox, text: &str) -> Command {
        let mut command = sandbox.command(&self.ssh);
        command.arg("-tt").arg("-F").arg(&self.configuration);
        // From 9.5 on it sends keys only every 20 ms, so that nobody can listen to how they are typed; without that it would be no match.
        command.args(["-o", "IgnoreUnknown=ObscureKeystrokeTiming", "-o", "ObscureKeystrokeTiming=no"]);
        command.args([NAME, text]);
        command
    }

    fn check(&self, sandbox: &Sandbox) -> Result<()> {
        let output = self.run(sandbox, "true").stderr(Stdio::piped()).output()?;
        ensure!(output.status.success(), "ssh: {}", String::from_utf8_lossy(&output.stderr).trim());
        Ok(())
    }
}

/// Why an sshd did not start, and what to do where that is known.
fn reason(log: &Path) -> String {
    let log = fs::read_to_string(log).unwrap_or_default();
    let advice = match log.trim().strip_prefix("Missing privilege separation directory: ") {
        Some(directory) => format!(" (as root it needs one: mkdir -m 755 {directory})"),
        None => String::new(),
    };
    format!("sshd: {}{advice}", log.trim())
}

/// Makes a key; gives its public half.
fn make_key(sandbox: &Sandbox, name: &str) -> Result<String> {
    let mut command = sandbox.command(find("ssh-keygen")?);
    command.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(sandbox.path(name));
    ensure!(command.status()?.success(), "ssh-keygen failed");
    Ok(fs::read_to_string(sandbox.path(&format!("{name}.pub")))?)
}
