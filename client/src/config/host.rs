//! One server as the user knows it.

use std::borrow::Borrow;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use common::config::value::{PathText, Text};
use common::endpoint::Endpoint;
use serde::Deserialize;
use thiserror::Error;

/// Most bytes of a name of a user, as in [`common::endpoint::Target`].
const USER_MAX: usize = 255;

/// What the user calls a server: 1 to 64 of `A-Z a-z 0-9 . _ -`, and no `-` at the front, where it would be an option.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct HostAlias(String);

impl HostAlias {
    /// Most characters that a name may have.
    const MAX_LEN: usize = 64;
}

impl FromStr for HostAlias {
    type Err = HostAliasError;

    fn from_str(text: &str) -> Result<Self, HostAliasError> {
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        let fits = (1..=Self::MAX_LEN).contains(&text.len()) && !text.starts_with('-');
        if fits && text.bytes().all(is_allowed) {
            return Ok(Self(text.to_owned()));
        }
        Err(HostAliasError { text: text.to_owned() })
    }
}

impl fmt::Display for HostAlias {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Borrow<str> for HostAlias {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// Not a name for a server. The local user's fault.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "not a name of a host: {text:?} (1 to 64 letters, digits, dots, underscores and dashes, no dash first)"
)]
pub(crate) struct HostAliasError {
    /// What was written.
    text: String,
}

/// How to reach a server, and who to be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HostEntry {
    /// Where it is.
    pub(crate) address: Endpoint,
    /// The key to log in with, if it is not the usual one; absolute.
    pub(crate) identity: Option<PathBuf>,
    /// User to run commands as; the server's own if `None`.
    pub(crate) user: Option<String>,
    /// Whether keys of the SSH agent may be used.
    pub(crate) agent: bool,
}

/// `[hosts.NAME]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawHost {
    address: Text<Endpoint>,
    identity: Option<Text<PathText>>,
    user: Option<Text<User>>,
    #[serde(default)]
    agent: bool,
}

impl RawHost {
    pub(super) fn typed(self, home: &Path) -> HostEntry {
        HostEntry {
            address: self.address.0,
            identity: self.identity.map(|Text(path)| path.resolve(home)),
            user: self.user.map(|Text(User(name))| name),
            agent: self.agent,
        }
    }
}

/// A user's name: the server knows which ones there are.
#[derive(Debug)]
struct User(String);

impl FromStr for User {
    type Err = UserError;

    fn from_str(text: &str) -> Result<Self, UserError> {
        let fits = (1..=USER_MAX).contains(&text.len());
        if fits && !text.contains(|c: char| c.is_control() || c.is_whitespace()) {
            return Ok(Self(text.to_owned()));
        }
        Err(UserError(text.to_owned()))
    }
}

/// Not a user's name. The local user's fault.
#[derive(Debug, Error)]
#[error("not a user name: {0:?}")]
struct UserError(String);
