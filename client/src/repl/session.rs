//! What lasts from line to line: the directory, the exported variables, the last exit code.
//!
//! The plain way: every line is a shell of its own, and hands them on through files in a private directory on the
//! server. `session.sh` is what each of those shells runs, `keeper.sh` a job that removes the directory. A persistent
//! shell can take the place of this file; nothing else knows how state is kept.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use common::job::{Outcome, Signal, StartFailure};
use tokio::time;

use crate::cli::failure::Failure;
use crate::error::Error;
use crate::{Client, Command, Job, Stdin};

const LINE_SCRIPT: &str = include_str!("session.sh");
const KEEPER_SCRIPT: &str = include_str!("keeper.sh");

/// The variable that tells a line's shell where the state is. Every line needs it, and a restricted key may not set it.
const STATE_VARIABLE: &str = "TELEX_STATE";

/// How long the private directory may take to be removed.
const END: Duration = Duration::from_secs(2);

/// A REPL's state on the server.
#[derive(Debug)]
pub(crate) struct Session<'a> {
    client: &'a Client,
    keeper: Job,
    state: Vec<u8>,
    directory: Vec<u8>,
    status: u8,
}

impl<'a> Session<'a> {
    /// Makes a place for the state.
    ///
    /// # Errors
    /// [`Failure::RestrictedKey`] if the server will run none of its lines, [`Failure::Session`] if the server's machine
    /// does not allow it, [`Failure::Client`] for the connection.
    pub(crate) async fn open(client: &'a Client) -> Result<Self, Failure> {
        let mut keeper = client.shell(KEEPER_SCRIPT);
        // It has no use for it. What the server says of it here, it would say of every line.
        keeper.env(STATE_VARIABLE, "");
        let mut keeper = keeper.stdin(Stdin::Piped).start().await?;
        let said = first_lines(&mut keeper).await;
        let mut lines = said.split(|byte| *byte == b'\n');
        match (lines.next(), lines.next(), lines.next()) {
            (Some(state), Some(directory), Some(_)) => {
                let (state, directory) = (state.to_owned(), directory.to_owned());
                Ok(Self { client, keeper, state, directory, status: 0 })
            }
            _ => Err(refusal(keeper).await),
        }
    }

    /// The command that runs `line` where the line before has left off.
    pub(crate) fn command(&self, line: &[u8]) -> Command<'a> {
        let mut command = self.client.shell(LINE_SCRIPT);
        // In the environment and not in the script: nothing needs to be quoted, and no other user can see it.
        command.env(STATE_VARIABLE, OsStr::from_bytes(&self.state));
        command.env("TELEX_LINE", OsStr::from_bytes(line));
        command.env("TELEX_STATUS", self.status.to_string());
        command
    }

    /// The connection that it lives on.
    pub(crate) fn client(&self) -> &'a Client {
        self.client
    }

    /// Takes note of how the last line ended, for the next one's `$?`.
    pub(crate) fn set_status(&mut self, status: u8) {
        self.status = status;
    }

    /// The directory that the next line runs in, as far as is known here.
    pub(crate) fn directory(&self) -> &[u8] {
        &self.directory
    }

    /// Asks the server for the directory.
    ///
    /// # Errors
    /// The connection's failure.
    pub(crate) async fn ask_directory(&mut self) -> Result<(), Error> {
        // There is no such file before the first line has run.
        if let Some(directory) = self.read("directory").await? {
            self.directory = directory;
        }
        Ok(())
    }

    /// What a file of the state holds; `None` if there is no such file.
    async fn read(&self, name: &str) -> Result<Option<Vec<u8>>, Error> {
        let file = [&self.state, &b"/"[..], name.as_bytes()].concat();
        let output = self.client.command("cat").arg(OsStr::from_bytes(&file)).output().await?;
        Ok(output.outcome.is_success().then_some(output.stdout))
    }

    /// What the last line wants to leave with, if it ended as one does that says `exit`.
    ///
    /// # Errors
    /// The connection's failure.
    pub(crate) async fn left(&self, outcome: &Outcome) -> Result<Option<u8>, Error> {
        if !matches!(outcome, Outcome::Signaled { signal: Signal::VTALRM, .. }) {
            return Ok(None);
        }
        let said = self.read("left").await?.unwrap_or_default();
        Ok(String::from_utf8_lossy(&said).trim().parse().ok())
    }

    /// Waits until the connection is lost, and the state with it.
    pub(crate) async fn lost(&self) -> Failure {
        match self.keeper.wait().await {
            Err(error) => error.into(),
            Ok(_) if self.client.is_going_away() => Failure::ServerStopping,
            Ok(finished) => Failure::Session(format!("what kept it there was {}", finished.outcome)),
        }
    }

    /// Removes the state.
    pub(crate) async fn close(mut self) {
        drop(self.keeper.stdin.take());
        // If it takes longer, the server removes it when the connection is closed.
        time::timeout(END, self.keeper.wait()).await.ok();
    }
}

/// What the keeper says first: two whole lines, or whatever it could before it ended.
async fn first_lines(keeper: &mut Job) -> Vec<u8> {
    let mut said = Vec::new();
    if let Some(stdout) = &mut keeper.stdout {
        while said.iter().filter(|byte| **byte == b'\n').count() < 2 {
            let Some(bytes) = stdout.next().await else { break };
            said.extend_from_slice(&bytes);
        }
    }
    said
}

/// Why there is no keeper.
async fn refusal(mut keeper: Job) -> Failure {
    let complaint = match &mut keeper.stderr {
        Some(stderr) => stderr.read_to_end().await,
        None => Vec::new(),
    };
    match keeper.wait().await {
        Err(error) => error.into(),
        Ok(_) if !complaint.is_empty() => {
            Failure::Session(String::from_utf8_lossy(complaint.trim_ascii()).into_owned())
        }
        Ok(finished) if is_about_the_key(&finished.outcome) => Failure::RestrictedKey,
        Ok(finished) => Failure::Session(finished.outcome.to_string()),
    }
}

/// Whether the server refuses the variable, and not this one job: it then names it.
fn is_about_the_key(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::NotStarted(StartFailure::Refused(reason)) => reason.contains(STATE_VARIABLE),
        _ => false,
    }
}
