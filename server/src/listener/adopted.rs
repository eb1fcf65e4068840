//! Listening sockets that somebody else has bound: a service manager, or the server before this one. What they are is looked
//! at, not believed.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use common::endpoint::Endpoint;
use common::reason::system_reason;
use rustix::net::sockopt::{socket_acceptconn, socket_type};
use rustix::net::{AddressFamily, SocketAddrAny, SocketAddrUnix, SocketType, getsockname};
use thiserror::Error;
use tokio::net::{TcpListener, UnixListener};

use super::unix_socket::UnixSocket;
use super::{Origin, Socket, tcp_endpoint};
use crate::error::StartError;

/// A listening socket of a kind that a server can use.
#[derive(Debug)]
pub(crate) struct Adopted {
    pub(super) origin: Origin,
    descriptor: OwnedFd,
    /// What tells others that the path of a Unix socket is taken, if that came with it.
    lock: Option<OwnedFd>,
    endpoint: Endpoint,
}

/// Why a descriptor is no listener of a server.
#[derive(Debug, Error)]
pub enum Unusable {
    /// There is no such descriptor, or the system does not tell what it is.
    #[error("{}", system_reason(.0))]
    Unknown(#[from] io::Error),
    /// It is no socket.
    #[error("it is no socket")]
    NoSocket,
    /// It is a socket of another kind: for datagrams, say.
    #[error("it is no stream socket, but {0}")]
    Kind(&'static str),
    /// It does not listen: a connection, say (`Accept=yes`).
    #[error("it is a socket that does not listen")]
    NotListening,
    /// It is neither TCP nor a Unix socket.
    #[error("it is neither a TCP socket nor a Unix socket")]
    Family,
    /// It has no path, whose permissions could keep others out.
    #[error("it is a Unix socket without a path")]
    NoPath,
}

impl Adopted {
    /// The listener that `descriptor` is.
    ///
    /// # Errors
    /// [`Unusable`].
    pub(crate) fn new(origin: Origin, descriptor: OwnedFd, lock: Option<OwnedFd>) -> Result<Self, Unusable> {
        let endpoint = endpoint(&descriptor)?;
        Ok(Self { origin, descriptor, lock, endpoint })
    }

    /// Why it is one.
    pub(crate) fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Where it listens.
    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Goes on listening there. Needs a runtime.
    ///
    /// # Errors
    /// [`StartError`] for a Unix socket that others can reach, or that was removed or replaced meanwhile.
    pub(super) fn into_socket(self) -> Result<Socket, StartError> {
        let Self { origin, descriptor, lock, endpoint } = self;
        let listen_error = |source| StartError::Listen { endpoint: endpoint.clone(), source };
        rustix::io::ioctl_fionbio(&descriptor, true).map_err(|error| listen_error(error.into()))?;
        match &endpoint {
            Endpoint::Tcp { .. } => {
                TcpListener::from_std(descriptor.into()).map(Socket::Tcp).map_err(listen_error)
            }
            Endpoint::Unix(path) => {
                let listener = UnixListener::from_std(descriptor.into()).map_err(listen_error)?;
                let removes = !origin.is_foreign();
                UnixSocket::adopt(listener, path, lock, removes).map(Socket::Unix)
            }
        }
    }
}

/// Where `descriptor` listens.
fn endpoint(descriptor: &OwnedFd) -> Result<Endpoint, Unusable> {
    match socket_type(descriptor) {
        Ok(SocketType::STREAM) => {}
        Ok(kind) => return Err(Unusable::Kind(kind_name(kind))),
        Err(rustix::io::Errno::NOTSOCK) => return Err(Unusable::NoSocket),
        Err(error) => return Err(Unusable::Unknown(error.into())),
    }
    if !socket_acceptconn(descriptor).map_err(io::Error::from)? {
        return Err(Unusable::NotListening);
    }
    let address = getsockname(descriptor).map_err(io::Error::from)?;
    match address.address_family() {
        AddressFamily::INET | AddressFamily::INET6 => {
            std::net::SocketAddr::try_from(address).map(tcp_endpoint).map_err(|_| Unusable::Family)
        }
        AddressFamily::UNIX => path(address).map(Endpoint::Unix).ok_or(Unusable::NoPath),
        _ => Err(Unusable::Family),
    }
}

fn path(address: SocketAddrAny) -> Option<PathBuf> {
    let address = SocketAddrUnix::try_from(address).ok()?;
    let path = std::ffi::OsStr::from_bytes(address.path_bytes()?).to_owned();
    // One without a path, or with an abstract name, has none.
    Some(PathBuf::from(path)).filter(|path| path.is_absolute())
}

fn kind_name(kind: SocketType) -> &'static str {
    match kind {
        SocketType::DGRAM => "one for datagrams",
        SocketType::SEQPACKET => "one for packets",
        _ => "one of another kind",
    }
}
