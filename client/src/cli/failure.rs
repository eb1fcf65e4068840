//! What can fail on the command line's own account, each as the sentence that the user reads: what failed, why, and
//! what to do next. The sentences for the library's errors are in [`super::report`].

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use common::duration;
use common::endpoint::{Endpoint, EndpointError};
use common::job::JobId;
use common::keys::agent::AgentError;
use common::keys::known_hosts::HostName;
use common::keys::{FileError, Fingerprint, WriteError};
use common::reason::system_reason;
use thiserror::Error;

use super::environment::AssignmentError;
use super::report::{advice, explain, what_failed};
use crate::Job;
use crate::config::AddHostError;
use crate::error::Error;

/// Why this program exits with 125.
#[derive(Debug, Error)]
pub(crate) enum Failure {
    /// The library's.
    #[error("{}", explain(.0))]
    Client(#[from] Error),
    /// The server's name makes no sense.
    #[error("{given_by}: {error}")]
    Host {
        /// Where the user wrote it.
        given_by: &'static str,
        /// What is wrong with it.
        error: EndpointError,
    },
    /// A name that is neither in the user's settings nor the name of a machine.
    #[error("{}, and config.toml has no host of that name{}; check the name", what_failed(error), meant(nearest.as_deref()))]
    NoSuchHost {
        /// Why it is no machine's.
        error: Error,
        /// The name in the settings that may have been meant.
        nearest: Option<String>,
    },
    /// Nobody named a server, and the user has none running.
    #[error(
        "no server listens at {0}: start `server`, name another one with -H, or pass --embedded for a private one"
    )]
    NoLocalServer(Endpoint),
    /// Nobody named a server, and there is no place where a local one would be.
    #[error(
        "no server is named, and neither XDG_RUNTIME_DIR nor HOME says where a local one would be: pass -H or --embedded"
    )]
    NoLocalPlace,
    /// The ssh-agent is wanted, and there is none.
    #[error("no ssh-agent: SSH_AUTH_SOCK is not set; start one (eval $(ssh-agent)), or leave --agent out")]
    NoAgent,
    /// The ssh-agent does not do what it should.
    #[error("ssh-agent: {}{}", .0, agent_advice(.0))]
    Agent(AgentError),
    /// The ssh-agent has no key that can be used.
    #[error(
        "the ssh-agent has no key that can be used{}; add one: ssh-add ~/.config/telex/id_ed25519",
        listed(others)
    )]
    EmptyAgent {
        /// Those that it has, and why not.
        others: Vec<String>,
    },
    /// The ssh-agent has several keys.
    #[error("the ssh-agent has {count} keys; name the file of the one that is meant with -i")]
    ManyInAgent {
        /// How many can be used.
        count: usize,
    },
    /// The ssh-agent does not have the key that is named.
    #[error("the ssh-agent does not have the key {0}; add it with ssh-add")]
    NotInAgent(Fingerprint),
    /// A file was named for a public key, and has none.
    #[error("there is no key in {} or {}.pub; name a key of the ssh-agent by its file", .0.display(), .0.display())]
    NoPublicKey(PathBuf),
    /// A file was named for a public key, and cannot be read.
    #[error("{0}; name a key of the ssh-agent by its file")]
    PublicKeyFile(FileError),
    /// Nobody has typed the passphrase.
    #[error("no passphrase for {}", .0.display())]
    NoPassphrase(PathBuf),
    /// The user has not said yes.
    #[error("the server {0} is not trusted: nothing was sent to it")]
    NotTrusted(HostName),
    /// The server has let this key in, and cannot be written down.
    #[error("{0}; the server has let this key in: once that is mended, join again with the same line")]
    JoinedUnwritten(Arc<WriteError>),
    /// A name for a server cannot be written down.
    #[error("{error}{}", name_advice(error))]
    AddHost {
        /// Why.
        error: Box<AddHostError>,
    },
    /// The connection was lost while a job ran on it.
    #[error("{}; the outcome of job {id} is lost: it {}; {fate}", what_failed(error), if *started { "had started" } else { "may have run" })]
    Lost {
        /// The job.
        id: JobId,
        /// What happened to the connection.
        error: Box<Error>,
        /// Whether the job is known to have run.
        started: bool,
        /// What the server does with it.
        fate: String,
    },
    /// The private server could not be started.
    #[cfg_attr(not(feature = "embedded"), expect(dead_code, reason = "for the other build"))]
    #[error("cannot start a private server: {}", system_reason(.0))]
    Embedded(io::Error),
    /// This program was built without the server.
    #[cfg_attr(feature = "embedded", expect(dead_code, reason = "for the other build"))]
    #[error("this build has no private server in it: name a server with -H")]
    NoEmbedded,
    /// A file of variables cannot be read.
    #[error("cannot read the variables in {}: {}", .0.display(), system_reason(.1))]
    EnvFile(PathBuf, io::Error),
    /// A line in a file of variables is none.
    #[error("{}:{line}: {error}", path.display())]
    EnvLine {
        /// The file.
        path: PathBuf,
        /// Number of the line, from 1.
        line: usize,
        /// What is wrong with it.
        error: AssignmentError,
    },
    /// The file for `--stdin` cannot be opened.
    #[error("cannot open {} for stdin: {}", .0.display(), system_reason(.1))]
    StdinFile(PathBuf, io::Error),
    /// Our stdin cannot be read, and there is no job.
    #[error("cannot read stdin: {}", system_reason(.0))]
    Stdin(io::Error),
    /// Our stdin cannot be read; to end the command's as if it were whole would be a lie.
    #[error("cannot read stdin: {}", system_reason(.0))]
    Input(io::Error),
    /// Our stdout or stderr cannot be written, and a job has output for it.
    #[error("cannot write to {stream}: {}", system_reason(error))]
    Output {
        /// Which.
        stream: &'static str,
        /// The system's error.
        error: io::Error,
    },
    /// One of our own streams failed, and what becomes of the job.
    #[error("{failure}; {fate}")]
    Broken {
        /// The stream's.
        failure: Box<Self>,
        /// What becomes of it.
        fate: String,
    },
    /// There is a detached job, and nobody gets to know its id.
    #[error("cannot write to stdout: {}; job {id} runs, and goes on", system_reason(error))]
    Unnamed {
        /// The job.
        id: JobId,
        /// The system's error.
        error: io::Error,
    },
    /// Our stdout cannot be written, and there is no job.
    #[error("cannot write to stdout: {}", system_reason(.0))]
    Stdout(io::Error),
    /// A shell is wanted where nobody can type.
    #[error(
        "stdin is no terminal, and a shell needs one; to run a command: client run \"…\", on a terminal in any case: client run -tt \"…\""
    )]
    NoTerminalForShell,
    /// A script for the REPL cannot be read.
    #[error("cannot read {}: {}", .0.display(), system_reason(.1))]
    Script(PathBuf, io::Error),
    /// The REPL's shell has not come up, or has gone.
    #[error("there is no shell for the prompt: {0}; client run and client shell do without it")]
    Session(String),
    /// The server runs no line of the REPL's for this key.
    #[error("this key is restricted on the server and has no prompt; use client run")]
    RestrictedKey,
    /// The REPL's server goes, and its shell with it.
    #[error("the server is stopping: start it again, or name another one with -H")]
    ServerStopping,
    /// The terminal cannot be used.
    #[error("cannot use the terminal: {}", system_reason(.0))]
    Terminal(io::Error),
    /// The system refuses what every program needs: an event queue, a thread, a signal handler.
    #[error("the system refuses {what}: {}", system_reason(error))]
    System {
        /// What it refuses.
        what: &'static str,
        /// Its error.
        error: io::Error,
    },
}

impl From<AddHostError> for Failure {
    fn from(error: AddHostError) -> Self {
        Self::AddHost { error: Box::new(error) }
    }
}

fn listed(others: &[String]) -> String {
    if others.is_empty() { String::new() } else { format!(" ({})", others.join("; ")) }
}

fn meant(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |name| format!(" (did you mean {name}?)"))
}

fn agent_advice(error: &AgentError) -> &'static str {
    match error {
        AgentError::NoAgent(_) => "; start one (eval $(ssh-agent)), or leave --agent out",
        _ => "",
    }
}

fn name_advice(error: &AddHostError) -> &'static str {
    match error {
        AddHostError::Exists { .. } => "; choose another --name, or remove it from config.toml",
        _ => "",
    }
}

impl Failure {
    /// What to do about it, where its sentence ends with that.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::Client(error) => advice(error),
            _ => None,
        }
    }

    /// The end of a connection on which `job` was not over; `come_back` is the command that comes back to it.
    pub(crate) async fn lost(job: &Job, error: Error, come_back: &str) -> Self {
        // Known at once, since there is no connection left to wait for.
        let started = matches!(job.started().await, Ok(Some(_)));
        let fate = match job.grace() {
            _ if matches!(error, Error::Job { .. }) => {
                "the server was restarted since, or has forgotten it".to_owned()
            }
            None => format!("it goes on there if the server can: {come_back}"),
            Some(Duration::ZERO) => "the server ends it if it still can".to_owned(),
            Some(grace) => {
                let grace = duration::shown(grace);
                format!("the server waits {grace} for this client, and then ends it, if it still can")
            }
        };
        Self::Lost { id: job.id().clone(), error: Box::new(error), started, fate }
    }
}
