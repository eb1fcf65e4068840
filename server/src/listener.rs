//! Addresses to listen on: checked, bound, accepting.

pub(crate) mod unix_socket;

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::SystemTime;

use common::endpoint::{DEFAULT_PORT, Endpoint, local_socket};
use common::tls::Alert;
use rustix::io::Errno;
use rustix::net::SendFlags;
use tokio::net::{TcpListener, TcpSocket, TcpStream, UnixStream};

use crate::admission::AdmissionRefusal;
use crate::connection::Arrival;
use crate::error::StartError;
use crate::gate::Visitor;
use crate::login::Door;
use unix_socket::UnixSocket;

/// Connections that wait in the system to be accepted (listen(2), which has a limit of its own). The usual 128 are full when
/// a few hundred clients come at once, and whoever finds them full tries again only after a second.
const BACKLOG: u32 = 1024;

/// A bound address.
#[derive(Debug)]
pub(crate) enum Listener {
    /// A TCP port.
    Tcp(TcpListener),
    /// A Unix socket in a private directory; removed when dropped.
    Unix(UnixSocket),
}

impl Listener {
    /// Binds every address that `endpoint` names.
    ///
    /// # Errors
    /// [`StartError`] if one of them may not be used or cannot be had.
    pub(crate) async fn bind(endpoint: &Endpoint, door: &Door) -> Result<Vec<Self>, StartError> {
        match endpoint {
            Endpoint::Unix(path) => Ok(vec![Self::Unix(UnixSocket::bind(path)?)]),
            Endpoint::Tcp { host, port } => {
                let listen_error = |source| StartError::Listen { endpoint: endpoint.clone(), source };
                let found = tokio::net::lookup_host((host.as_str(), *port)).await.map_err(listen_error)?;
                let addresses: Vec<_> = found.collect();
                check_reach(endpoint, &addresses, door)?;
                let mut listeners = Vec::new();
                for address in addresses {
                    listeners.push(Self::Tcp(bind_tcp(address)?));
                }
                Ok(listeners)
            }
        }
    }

    /// Binds the addresses of a server that was told none.
    ///
    /// # Errors
    /// [`StartError`] as for [`Listener::bind`]; a machine without IPv6 is none.
    pub(crate) fn bind_default() -> Result<Vec<Self>, StartError> {
        let mut listeners = vec![Self::Tcp(bind_tcp((Ipv4Addr::LOCALHOST, DEFAULT_PORT).into())?)];
        match bind_tcp((Ipv6Addr::LOCALHOST, DEFAULT_PORT).into()) {
            Ok(listener) => listeners.push(Self::Tcp(listener)),
            Err(StartError::Listen { source, .. }) if is_no_ipv6(&source) => {}
            Err(error) => return Err(error),
        }
        listeners.push(Self::Unix(UnixSocket::bind(&default_socket()?)?));
        Ok(listeners)
    }

    /// The address that it got.
    pub(crate) fn endpoint(&self) -> io::Result<Endpoint> {
        match self {
            Self::Tcp(listener) => listener.local_addr().map(tcp_endpoint),
            Self::Unix(socket) => Ok(Endpoint::Unix(socket.path().to_owned())),
        }
    }

    /// The next connection.
    pub(crate) async fn accept(&self) -> io::Result<Accepted> {
        match self {
            Self::Tcp(listener) => {
                let (stream, address) = listener.accept().await?;
                Ok(Accepted::Tcp(stream, address))
            }
            Self::Unix(socket) => Accepted::unix(socket.accept().await?),
        }
    }
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
