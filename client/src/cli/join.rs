//! `client join`: an invitation becomes a server that can be used by name.

use std::io::{self, BufRead, Read};
use std::path::{Path, PathBuf};

use common::config::Places;

use super::args::{JoinOptions, Options};
use super::exit_code;
use super::failure::Failure;
use super::report::Reporter;
use crate::access::known_hosts_path;
use crate::config::{ClientConfig, HostAlias, HostEntry};
use crate::error::Error;
use crate::{Access, Client, Invitation};

/// More than an invitation with the longest host name has.
const INVITATION_BYTES: u64 = 1024;

/// Joins; the exit code.
pub(crate) async fn join(options: &Options, join: &JoinOptions, reporter: &Reporter) -> u8 {
    match try_join(options, join, reporter).await {
        Ok(()) => 0,
        Err(failure) => {
            reporter.fail(&failure);
            exit_code::FAILED
        }
    }
}

/// The invitation on the first line of stdin.
fn read_invitation() -> Result<Invitation, Failure> {
    let mut line = String::new();
    let mut stdin = io::stdin().lock().take(INVITATION_BYTES);
    stdin.read_line(&mut line).map_err(Failure::Stdin)?;
    line.trim().parse().map_err(|error| Failure::Client(Error::Invitation(error)))
}

fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    std::path::absolute(path).map_err(|error| Failure::System { what: "the current directory", error })
}

async fn try_join(options: &Options, join: &JoinOptions, reporter: &Reporter) -> Result<(), Failure> {
    let places = Places::of_user().map_err(Error::from)?;
    let invitation = match &join.invitation {
        Some(invitation) => invitation.clone(),
        None => read_invitation()?,
    };
    // Before the invitation is spent: a name that cannot be had would spend it for nothing.
    let key = &options.server.key;
    let entry = HostEntry {
        address: invitation.endpoint.clone(),
        identity: key.file.as_deref().map(absolute).transpose()?,
        user: None,
        agent: key.agent,
    };
    if let Some(name) = &join.name {
        ClientConfig::may_add(&places, name, &entry)?;
    }
    let (identity, made) = key.load_or_make(&places)?;
    if made {
        reporter.remark(format_args!("made a key: {}", crate::access::key_path(&places).display()));
    }
    let access = Access::new(identity, known_hosts_path(&places));
    let client = Client::join(&invitation, &access).await.map_err(|error| match error {
        Error::Write(error) => Failure::JoinedUnwritten(error),
        error => error.into(),
    })?;
    client.close().await;
    if let Some(name) = &join.name {
        ClientConfig::add(&places, name, &entry)?;
    }
    let name = join.name.as_ref().map_or_else(|| invitation.endpoint.to_string(), HostAlias::to_string);
    let program = reporter.program();
    reporter
        .remark(format_args!("joined {}; now: {program} -H {name} run \"uname -a\"", invitation.endpoint));
    Ok(())
}
