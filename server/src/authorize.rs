//! Who may do what. The one place that every connection passes.

use std::fmt;
use std::net::SocketAddr;

use common::greeting::{Close, CloseCode, Hello, Method};

use crate::process::Account;

/// The other end of a connection, as the transport knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peer {
    /// A TCP address.
    Tcp(SocketAddr),
    /// A process of this user on this machine.
    Unix {
        /// Its user id.
        uid: u32,
    },
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix { uid } => write!(f, "uid {uid}"),
        }
    }
}

/// Whether `peer`, greeting so, may run commands as `account`.
///
/// # Errors
/// The CLOSE to send.
pub(crate) fn authorize(peer: Peer, hello: &Hello, account: &Account) -> Result<(), Close> {
    let trusted = match peer {
        // Until keys exist, whoever is on this machine is trusted, and nobody else can be connected.
        Peer::Tcp(address) => address.ip().to_canonical().is_loopback(),
        Peer::Unix { uid } => uid == account.uid,
    };
    if !trusted {
        return Err(Close::new(CloseCode::Denied, "this server serves its own user on its own machine only"));
    }
    if hello.method != Method::Transport {
        return Err(Close::new(CloseCode::Denied, "this server knows no such authentication method"));
    }
    if !hello.user.is_empty() && hello.user != account.name {
        let text = format!("this server runs commands as {} only, not as {}", account.name, hello.user);
        return Err(Close::new(CloseCode::Denied, text));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn denied(peer: Peer, user: &str) -> bool {
        authorize(peer, &Hello::new(user, "test"), &Account::ann()).is_err()
    }

    #[test]
    fn only_the_own_user_on_the_own_machine_gets_in() {
        let tcp = |text: &str| Peer::Tcp(text.parse().unwrap());
        assert!(!denied(tcp("127.0.0.1:1"), ""));
        assert!(!denied(tcp("[::1]:1"), "ann"));
        assert!(!denied(tcp("[::ffff:127.0.0.1]:1"), ""));
        assert!(!denied(Peer::Unix { uid: 1000 }, ""));
        assert!(denied(tcp("192.0.2.1:1"), ""));
        assert!(denied(Peer::Unix { uid: 0 }, ""));
        assert!(denied(tcp("127.0.0.1:1"), "root"));
    }

    #[test]
    fn an_unknown_method_is_refused() {
        let hello = Hello { method: Method::Unknown(9), ..Hello::new("", "test") };
        assert!(authorize(Peer::Unix { uid: 1000 }, &hello, &Account::ann()).is_err());
    }
}
