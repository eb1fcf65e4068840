//! The real release programs, and a server of them.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use client::Client;
use common::transport::Transport;
use rustix::process::Pid;
use tempfile::TempDir;

use crate::daemon::Daemon;
use crate::sandbox::Sandbox;

/// What to do when the programs are not there.
const BUILD: &str = "build them first: cargo build --release --workspace --bins";

/// Copies of the programs, as an installation makes them: the pages of a file that a linker has just written lie
/// scattered in memory, and those of the other contestants do not.
#[derive(Debug)]
pub(crate) struct Programs {
    server: PathBuf,
    client: PathBuf,
    /// What they were copied from, and when that was built.
    description: String,
    /// Where they are; removed when dropped.
    _directory: TempDir,
}

/// A server that runs; stopped when dropped.
#[derive(Debug)]
pub(crate) struct Telex {
    daemon: Daemon,
    client: PathBuf,
    /// Its TCP address on 127.0.0.1.
    pub(crate) tcp: String,
    /// Its Unix socket.
    pub(crate) unix: String,
}

impl Programs {
    /// Installs those beside this program, where cargo puts them all.
    pub(crate) fn install() -> Result<Self> {
        let own = std::env::current_exe()?;
        let built = own.parent().context("this program is nowhere")?;
        let directory = TempDir::with_prefix("telex-compare-").context("no temporary directory")?;
        let mut description = String::new();
        let mut install = |name: &str| -> Result<PathBuf> {
            let (from, to) = (built.join(name), directory.path().join(name));
            fs::copy(&from, &to).with_context(|| format!("cannot use {}; {BUILD}", from.display()))?;
            // Running this does not build them.
            let age = fs::metadata(&from)?.modified()?.elapsed().unwrap_or_default();
            description += &format!("{}, built {} min ago\n", from.display(), age.as_secs() / 60);
            Ok(to)
        };
        let (server, client) = (install("server")?, install("client")?);
        Ok(Self { server, client, description, _directory: directory })
    }

    /// Which programs are measured, and how old they are.
    pub(crate) fn describe(&self) -> &str {
        self.description.trim_end()
    }
}

impl Telex {
    /// Starts a server at a free port and a Unix socket, with its log in a file as a service would have it.
    pub(crate) fn start(programs: &Programs, sandbox: &Sandbox) -> Result<Self> {
        let log = sandbox.path("server.log");
        let socket = format!("unix:{}", sandbox.path("run/telex.sock").display());
        let mut command = sandbox.command(&programs.server);
        command.args(["--listen", "127.0.0.1:0", "--listen", &socket]);
        command.stdout(Stdio::piped()).stderr(File::create(&log)?);
        let mut daemon = Daemon::start(&mut command)?;
        let stdout = daemon.child().stdout.take().context("the server has no stdout")?;
        let mut addresses = Vec::new();
        for line in BufReader::new(stdout).lines().take(2) {
            let line = line?;
            let address =
                line.strip_prefix("listening on ").with_context(|| format!("unexpected: {line}"))?;
            addresses.push(address.to_owned());
        }
        let Ok([tcp, unix]) = <[String; 2]>::try_from(addresses) else {
            bail!("the server does not listen: {}", fs::read_to_string(&log)?.trim());
        };
        Ok(Self { daemon, client: programs.client.clone(), tcp, unix })
    }

    pub(crate) fn id(&self) -> Pid {
        self.daemon.id()
    }

    /// Its TCP address.
    pub(crate) fn address(&self) -> Result<SocketAddr> {
        Ok(self.tcp.parse()?)
    }

    /// A connection of the library's to its TCP address.
    pub(crate) async fn connect(&self, sandbox: &Sandbox) -> Result<Client> {
        let stream = sandbox.keys().connect(self.address()?).await?;
        Ok(Client::over(Transport::Tls(Box::new(stream)), &self.tcp.parse()?))
    }

    /// The program `client run TEXT`, told to use `address`.
    pub(crate) fn run(&self, sandbox: &Sandbox, address: &str, text: &str) -> Command {
        let mut command = sandbox.command(&self.client);
        command.args(["-H", address, "run", text]);
        command
    }

    /// The program `client run --detach TEXT`, told to use `address`.
    pub(crate) fn run_detached(&self, sandbox: &Sandbox, address: &str, text: &str) -> Command {
        let mut command = sandbox.command(&self.client);
        command.args(["-H", address, "run", "--detach", text]);
        command
    }

    /// The program `client run -t TEXT`, told to use `address`.
    pub(crate) fn run_on_terminal(&self, sandbox: &Sandbox, address: &str, text: &str) -> Command {
        let mut command = sandbox.command(&self.client);
        command.args(["-H", address, "run", "-t", text]);
        command
    }

    /// Makes sure that the client does what is going to be timed.
    pub(crate) fn check_client(&self, sandbox: &Sandbox) -> Result<()> {
        let mut command = self.run(sandbox, &self.tcp, "echo ready; exit 3");
        let output = command.stdout(Stdio::piped()).stderr(Stdio::piped()).output()?;
        let did = output.stdout == b"ready\n" && output.status.code() == Some(3);
        ensure!(did, "the client does not do its work: {output:?}; {BUILD}");
        Ok(())
    }
}
