//! From a peer and its greeting to somebody who may do things, or to nobody.
//!
//! The client learns no more than whether it is in: an unknown key, a revoked one, one from a wrong address and a file that
//! cannot be read have the same answer. The reason is for the audit.

use std::net::SocketAddr;
use std::time::SystemTime;

use common::greeting::{Close, CloseCode, Hello, Method, VERSION};
use common::invitation::{InvitationId, Token};
use common::keys::authorized_keys::{self, AuthorizedKeys, Options};
use common::keys::{LineError, Problem, PublicKey, Trust, WriteError, append_line};
use thiserror::Error;

use crate::audit;
use crate::authorize::{Peer, Principal};
use crate::config::Paths;
use crate::invitations::{Invitations, InvitationsError};
use crate::key_files::{KEYS_MODE, KeyFiles, KeyRefusal};
use crate::process::Account;

/// What decides who is let in.
#[derive(Debug, Clone)]
pub(crate) struct Door {
    pub(crate) account: Account,
    pub(crate) keys: KeyFiles,
    pub(crate) invitations: Invitations,
}

impl Door {
    /// The door of a server of this process's account, with its files there.
    pub(crate) fn new(paths: &Paths, trust: &Trust) -> Self {
        Self {
            account: Account::current(std::env::var_os("LANG")),
            keys: KeyFiles {
                authorized: paths.authorized_keys.clone(),
                revoked: paths.revoked_keys.clone(),
                revoked_is_named: paths.revoked_keys_named,
                trust: trust.clone(),
            },
            invitations: Invitations::new(&paths.state_directory, trust.clone()),
        }
    }

    /// Whether `peer` may say anything. Over a Unix socket that is known before its first byte.
    ///
    /// # Errors
    /// [`LoginRefusal::WrongUser`].
    pub(crate) fn listen_to(&self, peer: &Peer) -> Result<(), LoginRefusal> {
        match peer {
            Peer::User { uid } if *uid != self.account.uid => Err(LoginRefusal::WrongUser { uid: *uid }),
            Peer::User { .. } | Peer::Key { .. } => Ok(()),
        }
    }

    /// Lets `peer`, greeting so, in at the time `now`, or does not. With an invitation, this spends it, so it changes files.
    ///
    /// # Errors
    /// [`LoginRefusal`].
    pub(crate) fn let_in(&self, peer: Peer, hello: &Hello, now: SystemTime) -> Result<Answer, LoginRefusal> {
        self.listen_to(&peer)?;
        if hello.common_version().is_none() {
            return Err(LoginRefusal::Version { lowest: hello.lowest, highest: hello.highest });
        }
        let options = match (peer, &hello.method) {
            (Peer::Key { address, key }, Method::Transport) => {
                self.keys.read()?.options(&key, Some(address.ip()), now)?
            }
            (Peer::Key { address, key }, Method::Invitation(token)) => {
                match self.keys.read()?.options(&key, Some(address.ip()), now) {
                    Ok(options) => options,
                    Err(refusal) => {
                        return self.redeem(&key, token, address, refusal, hello, now).map(Answer::Invited);
                    }
                }
            }
            (Peer::User { .. }, Method::Transport) => Options::default(),
            (Peer::User { .. }, Method::Invitation(_)) => return Err(LoginRefusal::NothingToEnrol),
            (_, Method::Unknown(number)) => return Err(LoginRefusal::Method { number: *number }),
        };
        self.check_account(hello)?;
        Ok(Answer::In(Principal::let_in(peer, options)))
    }

    /// Spends the invitation of `token` for a `key` that is otherwise refused.
    fn redeem(
        &self,
        key: &PublicKey,
        token: &Token,
        address: SocketAddr,
        otherwise: KeyRefusal,
        hello: &Hello,
        now: SystemTime,
    ) -> Result<Invited, LoginRefusal> {
        // Whoever has no token learns nothing else.
        self.invitations.check(token, Some(address.ip()), now)?;
        let KeyRefusal::NotFound(_) = otherwise else { return Err(otherwise.into()) };
        self.check_account(hello)?;
        let options = self.invitations.spend(token, Some(address.ip()), now)?;
        Ok(Invited { key: *key, address, options, invitation: token.id() })
    }

    /// Writes the key of somebody invited down and lets them in; if that cannot be done, the invitation is good again. May
    /// have to wait for others who write files of keys.
    ///
    /// # Errors
    /// [`LoginRefusal::Write`], [`LoginRefusal::Full`], [`LoginRefusal::Key`].
    pub(crate) fn enrol(&self, invited: &Invited, now: SystemTime) -> Result<Principal, LoginRefusal> {
        let enrolled = self.write_down(invited, now);
        match enrolled {
            Ok(_) => self.invitations.forget(invited.invitation),
            Err(_) => self.invitations.give_back(invited.invitation),
        }
        enrolled
    }

    fn write_down(&self, invited: &Invited, now: SystemTime) -> Result<Principal, LoginRefusal> {
        let Invited { key, address, options, invitation } = invited;
        let comment = format!("invited {invitation} from {}", address.ip());
        let line = authorized_keys::line(options, key, &comment);
        append_line(&self.keys.authorized, &line, KEYS_MODE, |_, new| {
            match AuthorizedKeys::parse(new).problems.pop() {
                Some(Problem { error: LineError::TooMany { .. }, .. }) => Err(LoginRefusal::Full),
                _ => Ok(true),
            }
        })?;
        let options = self.keys.read()?.options(key, Some(address.ip()), now)?;
        Ok(Principal::let_in(Peer::Key { address: *address, key: *key }, options))
    }

    fn check_account(&self, hello: &Hello) -> Result<(), LoginRefusal> {
        if hello.user.is_empty() || hello.user == self.account.name {
            return Ok(());
        }
        let (own, asked) = (self.account.name.clone(), hello.user.clone());
        Err(LoginRefusal::OtherAccount { own, asked })
    }

    /// Whether there is anybody who could come in at the time `now`: a listed key, or somebody invited.
    ///
    /// # Errors
    /// [`KeyRefusal`] if the files of keys cannot be used.
    pub(crate) fn may_let_somebody_in(&self, now: SystemTime) -> Result<bool, KeyRefusal> {
        Ok(self.keys.read()?.good(now).next().is_some() || self.invitations.any_open(now))
    }
}

/// What the door says to somebody who may come in.
#[derive(Debug)]
pub(crate) enum Answer {
    /// They are in.
    In(Principal),
    /// They will be once their key is written down, by [`Door::enrol`].
    Invited(Invited),
}

/// Somebody whose invitation was spent.
#[derive(Debug)]
pub(crate) struct Invited {
    /// What they have proven to own.
    pub(crate) key: PublicKey,
    /// Where they are.
    pub(crate) address: SocketAddr,
    /// What they were invited to.
    options: Options,
    /// What was spent.
    pub(crate) invitation: InvitationId,
}

/// Why somebody is not let in.
#[derive(Debug, Error)]
pub(crate) enum LoginRefusal {
    /// The client speaks another version.
    #[error("it speaks versions {lowest} to {highest}")]
    Version {
        /// Lowest version it speaks.
        lowest: u16,
        /// Highest.
        highest: u16,
    },
    /// Its key is not good.
    #[error(transparent)]
    Key(#[from] KeyRefusal),
    /// Its invitation is not good.
    #[error(transparent)]
    Invitation(#[from] InvitationsError),
    /// It was invited, and its key cannot be written down.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// It was invited, and no further line of `authorized_keys` would be read.
    #[error("authorized_keys is full")]
    Full,
    /// It was invited, and that cannot be recorded.
    #[error(transparent)]
    Unrecorded(#[from] audit::Refusal),
    /// This server could not come to a decision.
    #[error("{0}")]
    Failed(String),
    /// Another user of this machine reached the socket.
    #[error("uid {uid} is not the server's")]
    WrongUser {
        /// Its user id.
        uid: u32,
    },
    /// An invitation over a Unix socket.
    #[error("an invitation authorises a key, and a Unix socket has none")]
    NothingToEnrol,
    /// It wants to be somebody whom this server cannot be.
    #[error("it wants to be {asked}, and commands run as {own}")]
    OtherAccount {
        /// The server's account.
        own: String,
        /// The one asked for.
        asked: String,
    },
    /// A method of a later version.
    #[error("authentication method {number} is not known")]
    Method {
        /// Its number.
        number: u8,
    },
}

impl LoginRefusal {
    /// What the client is told.
    pub(crate) fn close(&self) -> Close {
        let denied = |text: &str| Close::new(CloseCode::Denied, text);
        match self {
            Self::Version { lowest, highest } => {
                let text = format!("this server speaks version {VERSION}, the client {lowest}–{highest}");
                Close::new(CloseCode::Version, text)
            }
            Self::Key(refusal) if refusal.is_shortage() => {
                Close::new(CloseCode::Internal, "it has no descriptors or memory left to read its keys")
            }
            Self::Key(_) => denied("this key is not authorised"),
            Self::Invitation(InvitationsError::NotGood | InvitationsError::Refused(_)) => {
                Close::new(CloseCode::Invitation, "it is spent, has expired, or was never made")
            }
            Self::Invitation(_) => Close::new(CloseCode::Internal, "the invitations cannot be read"),
            Self::Write(_) => Close::new(CloseCode::Internal, "the key cannot be written down"),
            Self::Full => Close::new(CloseCode::Internal, "its authorized_keys is full"),
            Self::Unrecorded(refusal) => Close::new(CloseCode::Internal, refusal.to_string()),
            Self::Failed(_) => Close::new(CloseCode::Internal, "the login could not be finished"),
            Self::WrongUser { .. } => denied("this socket is for the server's own user"),
            Self::NothingToEnrol => denied("an invitation needs TCP"),
            Self::OtherAccount { own, asked } => {
                Close::new(CloseCode::Account, format!("it runs commands as {own}, not as {asked}"))
            }
            Self::Method { .. } => denied("this server knows no such authentication method"),
        }
    }

    /// What the operator can do about it, where that is an order for a shell.
    pub(crate) fn advice(&self) -> Option<String> {
        match self {
            Self::Key(KeyRefusal::File(error)) => error.advice(),
            Self::Invitation(error) => error.advice(),
            _ => None,
        }
    }

    /// Whether it was somebody who tried to be somebody else, as opposed to a client that this server cannot serve.
    pub(crate) fn is_failed_authentication(&self) -> bool {
        match self {
            Self::Key(refusal) => matches!(refusal, KeyRefusal::NotFound(_) | KeyRefusal::Revoked),
            Self::Invitation(error) => {
                matches!(error, InvitationsError::NotGood | InvitationsError::Refused(_))
            }
            Self::WrongUser { .. } => true,
            Self::Version { .. }
            | Self::Unrecorded(_)
            | Self::Write(_)
            | Self::Full
            | Self::Failed(_)
            | Self::NothingToEnrol
            | Self::OtherAccount { .. }
            | Self::Method { .. } => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_not_blamed_for_invitations_that_cannot_be_read() {
        let close = |error| LoginRefusal::Invitation(error).close().code;
        assert_eq!(close(InvitationsError::NotGood), CloseCode::Invitation);
        assert_eq!(
            close(InvitationsError::Malformed { path: "x".into(), reason: String::new() }),
            CloseCode::Internal
        );
    }
}
