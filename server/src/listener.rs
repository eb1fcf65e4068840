//! Addresses to listen on: checked, bound or taken over, accepting.
//!
//! - `origin`: why a server listens somewhere
//! - `arrangement`: which listeners go on, and which are missing
//! - `adopted`: descriptors that somebody else has bound
//! - `unix_socket`: sockets that only their owner can reach

mod adopted;
mod arrangement;
mod origin;
pub(crate) mod unix_socket;

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;
use std::time::SystemTime;

use common::endpoint::{DEFAULT_PORT, Endpoint, local_socket};
use common::tls::Alert;
use rustix::io::Errno;
use rustix::net::SendFlags;
use tokio::net::{TcpListener, TcpSocket, TcpStream, UnixStream};
use tracing::{info, warn};

use crate::admission::AdmissionRefusal;
use crate::connection::Arrival;
use crate::error::StartError;
use crate::gate::Visitor;
use crate::login::Door;
use unix_socket::UnixSocket;

pub(crate) use adopted::Adopted;
pub use adopted::Unusable;
pub(crate) use arrangement::{Arrangement, Given, Missing, arrange};
pub(crate) use origin::Origin;

/// Connections that wait in the system to be accepted (listen(2), which has a limit of its own). The usual 128 are full when
/// a few hundred clients come at once, and whoever finds them full tries again only after a second.
const BACKLOG: u32 = 1024;

/// A bound address.
#[derive(Debug)]
pub(crate) struct Listener {
    /// Why it is one.
    pub(crate) origin: Origin,
    socket: Socket,
}

#[derive(Debug)]
enum Socket {
    /// A TCP port.
    Tcp(TcpListener),
    /// A Unix socket in a private directory.
    Unix(UnixSocket),
}

impl Listener {
    /// Listens where `listen` says, and on what was bound for it already. What is bound already and not wanted any more is
    /// closed.
    ///
    /// # Errors
    /// [`StartError`] if one of the addresses may not be used or cannot be had; nothing stays bound then.
    pub(crate) async fn open(
        listen: &[Endpoint],
        adopted: Vec<Adopted>,
        door: &Door,
    ) -> Result<Vec<Self>, StartError> {
        let mut given = Vec::new();
        for adopted in adopted {
            let (origin, endpoint) = (adopted.origin().clone(), adopted.endpoint().clone());
            match Self::adopt(adopted) {
                Ok(listener) => given.push(Given { origin, endpoint, listener }),
                Err(error) if origin.is_foreign() => return Err(error),
                // It is bound anew if it is still wanted.
                Err(error) => warn!(%endpoint, %error, "cannot go on listening there as before"),
            }
        }
        let Arrangement { kept, missing, dropped } = arrange(listen, given).await?;
        for Given { endpoint, .. } in &dropped {
            info!(%endpoint, "not listening there any more");
        }
        // Before others are bound: they may be in their place.
        drop(dropped);
        let mut listeners = Vec::new();
        for Given { origin, endpoint, mut listener } in kept {
            check_kept(&endpoint, door)?;
            listener.origin = origin;
            listeners.push(listener);
        }
        for missing in missing {
            listeners.extend(Self::bind(&missing, door)?);
        }
        Ok(listeners)
    }

    /// Binds what is missing.
    ///
    /// # Errors
    /// [`StartError`] if one of the addresses may not be used or cannot be had; for a server that was told none, a machine
    /// without IPv6 is no error.
    pub(crate) fn bind(missing: &Missing, door: &Door) -> Result<Vec<Self>, StartError> {
        match missing {
            Missing::Default => Self::bind_default(),
            Missing::Unix(path) => {
                let origin = Origin::Named(Endpoint::Unix(path.clone()));
                Ok(vec![Self { origin, socket: Socket::Unix(UnixSocket::bind(path)?) }])
            }
            Missing::Tcp { named, addresses, missing } => {
                check_reach(named, addresses, door)?;
                let bind = |address: &SocketAddr| {
                    let socket = Socket::Tcp(bind_tcp(*address)?);
                    Ok(Self { origin: Origin::Named(named.clone()), socket })
                };
                missing.iter().map(bind).collect()
            }
        }
    }

    fn bind_default() -> Result<Vec<Self>, StartError> {
        let mut sockets = vec![Socket::Tcp(bind_tcp((Ipv4Addr::LOCALHOST, DEFAULT_PORT).into())?)];
        match bind_tcp((Ipv6Addr::LOCALHOST, DEFAULT_PORT).into()) {
            Ok(listener) => sockets.push(Socket::Tcp(listener)),
            Err(StartError::Listen { source, .. }) if is_no_ipv6(&source) => {}
            Err(error) => return Err(error),
        }
        sockets.push(Socket::Unix(UnixSocket::bind(&default_socket()?)?));
        Ok(sockets.into_iter().map(|socket| Self { origin: Origin::Default, socket }).collect())
    }

    /// Goes on listening on what somebody else has bound.
    fn adopt(adopted: Adopted) -> Result<Self, StartError> {
        let origin = adopted.origin().clone();
        Ok(Self { origin, socket: adopted.into_socket()? })
    }

    /// The address that it got.
    pub(crate) fn endpoint(&self) -> io::Result<Endpoint> {
        match &self.socket {
            Socket::Tcp(listener) => listener.local_addr().map(tcp_endpoint),
            Socket::Unix(socket) => Ok(Endpoint::Unix(socket.path().to_owned())),
        }
    }

    /// The socket itself, and what tells others that its path is taken.
    pub(crate) fn descriptors(&self) -> (BorrowedFd<'_>, Option<BorrowedFd<'_>>) {
        match &self.socket {
            Socket::Tcp(listener) => (listener.as_fd(), None),
            Socket::Unix(socket) => (socket.listener().as_fd(), Some(socket.lock())),
        }
    }

    /// Somebody keeps the socket open after this process: its file has to stay.
    pub(crate) fn outlives_us(&mut self) {
        if let Socket::Unix(socket) = &mut self.socket {
            socket.leave_file();
        }
    }

    /// The next connection. One that is not waited for to the end is not lost.
    pub(crate) async fn accept(&self) -> io::Result<Accepted> {
        match &self.socket {
            Socket::Tcp(listener) => {
                let (stream, address) = listener.accept().await?;
                Ok(Accepted::Tcp(stream, address))
            }
            Socket::Unix(socket) => Accepted::unix(socket.accept().await?),
        }
    }
}

/// Refuses a listener that was bound before, if other machines can reach it and nobody could come in.
///
/// # Errors
/// As [`check_reach`].
pub(crate) fn check_kept(endpoint: &Endpoint, door: &Door) -> Result<(), StartError> {
    let Endpoint::Tcp { host, port } = endpoint else { return Ok(()) };
    // An address that cannot be read as one, such as one with a zone, is not known to be loopback.
    let address = host.parse().unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    check_reach(endpoint, &[(address, *port).into()], door)
}

/// All addresses that `host` means; `endpoint` is what it stands in.
async fn resolve(endpoint: &Endpoint, host: &str, port: u16) -> Result<Vec<SocketAddr>, StartError> {
    let found = tokio::net::lookup_host((host, port)).await;
    let listen_error = |source| StartError::Listen { endpoint: endpoint.clone(), source };
    Ok(found.map_err(listen_error)?.collect())
}

/// Refuses addresses beyond loopback, which `endpoint` names, as long as nobody could come in there.
///
/// # Errors
/// [`StartError::NoKeys`]; also if the files of keys cannot be used.
pub(crate) fn check_reach(
    endpoint: &Endpoint,
    addresses: &[SocketAddr],
    door: &Door,
) -> Result<(), StartError> {
    let is_public = !addresses.iter().all(|address| address.ip().is_loopback());
    if is_public && !door.may_let_somebody_in(SystemTime::now())? {
        return Err(StartError::NoKeys { endpoint: endpoint.clone() });
    }
    Ok(())
}

/// Where the socket is of a server that was told no addresses.
///
/// # Errors
/// [`StartError::NoSocketPlace`].
pub(crate) fn default_socket() -> Result<PathBuf, StartError> {
    let variable = |name| std::env::var_os(name).map(PathBuf::from);
    local_socket(variable("XDG_RUNTIME_DIR").as_deref(), variable("HOME").as_deref())
        .ok_or(StartError::NoSocketPlace)
}

/// A connection that nobody has let in.
#[derive(Debug)]
pub(crate) enum Accepted {
    /// Over TCP, from this address.
    Tcp(TcpStream, SocketAddr),
    /// Over a Unix socket, from a process of this user.
    Unix(UnixStream, u32),
}

impl Accepted {
    /// A Unix socket, with the user at its other end as the system knows it.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn unix(stream: UnixStream) -> io::Result<Self> {
        let uid = stream.peer_cred()?.uid();
        Ok(Self::Unix(stream, uid))
    }

    /// Where it comes from, if it comes over the network.
    pub(crate) fn address(&self) -> Option<IpAddr> {
        match self {
            Self::Tcp(_, address) => Some(address.ip().to_canonical()),
            Self::Unix(..) => None,
        }
    }

    /// It has a place.
    pub(crate) fn arrive(self, visitor: Visitor) -> Arrival {
        match self {
            Self::Tcp(stream, address) => Arrival::Tcp(stream, address, visitor),
            Self::Unix(stream, uid) => Arrival::Unix(stream, uid, visitor),
        }
    }

    /// It has none: says so in seven bytes, if they can be written at once, and closes.
    pub(crate) fn turn_away(self, refusal: AdmissionRefusal) {
        let Self::Tcp(stream, _) = self else { return };
        let alert = match refusal {
            AdmissionRefusal::Penalised { .. } => Alert::AccessDenied,
            AdmissionRefusal::Busy => Alert::Busy,
        };
        rustix::net::send(&stream, &alert.record(), SendFlags::DONTWAIT | SendFlags::NOSIGNAL).ok();
    }
}

impl fmt::Display for Accepted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(_, address) => address.fmt(f),
            Self::Unix(_, uid) => write!(f, "uid {uid}"),
        }
    }
}

fn bind_tcp(address: SocketAddr) -> Result<TcpListener, StartError> {
    let listening = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        // As the standard library does it: connections of a server before this one may linger on.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    listening().map_err(|source: io::Error| {
        let endpoint = tcp_endpoint(address);
        match source.kind() {
            io::ErrorKind::AddrInUse => StartError::InUse { endpoint },
            _ => StartError::Listen { endpoint, source },
        }
    })
}

fn tcp_endpoint(address: SocketAddr) -> Endpoint {
    Endpoint::Tcp { host: address.ip().to_string(), port: address.port() }
}

fn is_no_ipv6(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::ADDRNOTAVAIL | Errno::AFNOSUPPORT))
}
