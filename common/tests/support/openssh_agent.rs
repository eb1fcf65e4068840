//! OpenSSH's own agent, with keys made for it.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};

use tempfile::TempDir;

/// An agent that declines every confirmation. It ends when this is dropped.
pub(crate) struct OpenSshAgent {
    directory: TempDir,
    agent: Child,
    /// Held open, or the agent would find nobody to talk to.
    stdout: BufReader<ChildStdout>,
}

impl OpenSshAgent {
    pub(crate) fn start() -> Self {
        let directory = TempDir::new().unwrap();
        let mut agent = Command::new("ssh-agent")
            .arg("-D")
            .arg("-a")
            .arg(directory.path().join("agent"))
            .env("SSH_ASKPASS", "/bin/false")
            .env("SSH_ASKPASS_REQUIRE", "force")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(directory.path().join("stderr")).unwrap())
            .spawn()
            .expect("ssh-agent cannot be started: install openssh-client");
        let stdout = BufReader::new(agent.stdout.take().unwrap());
        let mut started = Self { directory, agent, stdout };
        // It says where it listens once it does.
        let mut line = String::new();
        started.stdout.read_line(&mut line).unwrap();
        assert!(line.starts_with("SSH_AUTH_SOCK="), "{line:?}");
        started
    }

    /// A file or socket of this name; the agent's own socket is `agent`.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Makes a key and adds it with these options; its `.pub` file.
    pub(crate) fn add(&self, algorithm: &str, name: &str, options: &[&str]) -> String {
        let file = self.path(name);
        run(Command::new("ssh-keygen").args(["-q", "-t", algorithm, "-N", "", "-C", name, "-f"]).arg(&file));
        let mut add = Command::new("ssh-add");
        add.arg("-q").args(options).arg(&file).env("SSH_AUTH_SOCK", self.path("agent"));
        run(add.env("HOME", self.directory.path()));
        fs::read_to_string(file.with_extension("pub")).unwrap()
    }
}

impl Drop for OpenSshAgent {
    fn drop(&mut self) {
        self.agent.kill().ok();
        self.agent.wait().ok();
    }
}

fn run(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output().expect("install openssh-client");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
