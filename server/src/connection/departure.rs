//! What the end of a connection says about the client.
//!
//! A client that is dead takes its jobs along; one whose line is lost may be back. The system reports both in the same words, if
//! the line goes through something that speaks for the client's machine: a proxy, or a translator of addresses. So these words
//! count only where both ends agree on the client's address.

use std::io;
use std::net::SocketAddr;

use common::connection::ConnectionError;

use crate::authorize::Remote;
use crate::job::Departure;

/// Whether what the system says of the other end is said by the other end's machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Path {
    /// It is this machine.
    Local,
    /// Nothing stands between that would speak for it.
    Direct,
    /// Something may.
    Indirect,
    /// The other end is a server, between the client and the supervisor of its job: its end says nothing of the client, who says
    /// so when they leave.
    Relayed,
}

impl Path {
    /// The path to `peer`, which calls itself `own`.
    pub(super) fn to(peer: Remote, own: Option<SocketAddr>) -> Self {
        match (peer, own) {
            (Remote::Unix { .. }, _) => Self::Local,
            (Remote::Tcp(peer), Some(own)) if is_same(peer, own) => Self::Direct,
            (Remote::Tcp(_), _) => Self::Indirect,
        }
    }

    /// What the end of reading says about a client.
    pub(super) fn departure(self, end: &Result<(), ConnectionError>) -> Departure {
        let error = match end {
            _ if self == Self::Relayed => return Departure::Lost,
            Ok(()) => return Departure::Gone,
            Err(error) => error,
        };
        let words = match error {
            ConnectionError::ClosedByPeer { .. } => return Departure::Gone,
            error if error.is_violation() => return Departure::Gone,
            ConnectionError::Truncated => io::ErrorKind::UnexpectedEof,
            ConnectionError::Io(error) => error.kind(),
            _ => return Departure::Lost,
        };
        match (self, words) {
            (Self::Local, _) | (Self::Direct, io::ErrorKind::UnexpectedEof) => Departure::Gone,
            (
                Self::Direct,
                io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionAborted,
            ) => Departure::Reset,
            _ => Departure::Lost,
        }
    }
}

/// An IPv4 address is the same in its IPv6 form; a scope names an interface of one machine and means nothing to another.
fn is_same(one: SocketAddr, other: SocketAddr) -> bool {
    one.ip().to_canonical() == other.ip().to_canonical() && one.port() == other.port()
}

#[cfg(test)]
mod tests {
    use common::greeting::CloseCode;

    use super::*;

    fn broken(kind: io::ErrorKind) -> Result<(), ConnectionError> {
        Err(ConnectionError::Io(kind.into()))
    }

    #[test]
    fn only_a_path_without_anything_between_tells_a_death_from_a_lost_line() {
        use io::ErrorKind::{ConnectionReset, TimedOut, UnexpectedEof};
        for (path, end, reset, timeout) in [
            (Path::Local, Departure::Gone, Departure::Gone, Departure::Gone),
            (Path::Direct, Departure::Gone, Departure::Reset, Departure::Lost),
            (Path::Indirect, Departure::Lost, Departure::Lost, Departure::Lost),
        ] {
            assert_eq!(path.departure(&broken(UnexpectedEof)), end, "{path:?}");
            assert_eq!(path.departure(&broken(ConnectionReset)), reset, "{path:?}");
            assert_eq!(path.departure(&broken(TimedOut)), timeout, "{path:?}");
            let silent = Err(ConnectionError::Silent);
            assert_eq!(path.departure(&silent), Departure::Lost, "{path:?}");
        }
    }

    #[test]
    fn who_says_goodbye_is_gone_wherever_it_is() {
        let closed = ConnectionError::ClosedByPeer { code: CloseCode::GoingAway, text: String::new() };
        for end in [Ok(()), Err(closed), Err(ConnectionError::Violation("x"))] {
            assert_eq!(Path::Indirect.departure(&end), Departure::Gone);
        }
    }

    #[test]
    fn a_path_is_direct_if_both_ends_agree_on_one_address() {
        let path = |peer: &str, own: Option<&str>| {
            Path::to(Remote::Tcp(peer.parse().unwrap()), own.map(|own| own.parse().unwrap()))
        };
        assert_eq!(path("192.0.2.1:5000", Some("192.0.2.1:5000")), Path::Direct);
        assert_eq!(path("[::ffff:192.0.2.1]:5000", Some("192.0.2.1:5000")), Path::Direct);
        assert_eq!(path("[fe80::1%3]:5000", Some("[fe80::1%2]:5000")), Path::Direct);
        assert_eq!(path("192.0.2.1:5000", Some("192.0.2.1:5001")), Path::Indirect);
        assert_eq!(path("192.0.2.1:5000", Some("10.0.0.1:5000")), Path::Indirect);
        assert_eq!(path("192.0.2.1:5000", None), Path::Indirect);
        assert_eq!(Path::to(Remote::Unix { uid: 0 }, None), Path::Local);
    }
}
