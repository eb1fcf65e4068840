//! Addresses to listen on: checked, bound, accepting.

mod unix_socket;

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use common::endpoint::{DEFAULT_PORT, Endpoint, local_socket};
use common::transport::Transport;
use rustix::io::Errno;
use tokio::net::TcpListener;

use crate::authorize::Peer;
use crate::error::StartError;
use unix_socket::UnixSocket;

/// A bound address.
#[derive(Debug)]
pub(crate) enum Listener {
    /// A loopback TCP port.
    Tcp(TcpListener),
    /// A Unix socket in a private directory; removed when dropped.
    Unix(UnixSocket),
}

impl Listener {
    /// Binds every address that `endpoint` names.
    ///
    /// # Errors
    /// [`StartError`] if one of them may not be used or cannot be had.
    pub(crate) async fn bind(endpoint: &Endpoint) -> Result<Vec<Self>, StartError> {
        match endpoint {
            Endpoint::Unix(path) => Ok(vec![Self::Unix(UnixSocket::bind(path)?)]),
            Endpoint::Tcp { host, port } => {
                let listen_error = |source| StartError::Listen { endpoint: endpoint.clone(), source };
                let found = tokio::net::lookup_host((host.as_str(), *port)).await.map_err(listen_error)?;
                let addresses: Vec<_> = found.collect();
                if !addresses.iter().all(|address| address.ip().is_loopback()) {
                    return Err(StartError::NotLoopback { endpoint: endpoint.clone() });
                }
                let mut listeners = Vec::new();
                for address in addresses {
                    listeners.push(Self::Tcp(bind_tcp(address).await?));
                }
                Ok(listeners)
            }
        }
    }

    /// Binds the addresses of a server that was told none.
    ///
    /// # Errors
    /// [`StartError`] as for [`Listener::bind`]; a machine without IPv6 is none.
    pub(crate) async fn bind_default() -> Result<Vec<Self>, StartError> {
        let mut listeners = vec![Self::Tcp(bind_tcp((Ipv4Addr::LOCALHOST, DEFAULT_PORT).into()).await?)];
        match bind_tcp((Ipv6Addr::LOCALHOST, DEFAULT_PORT).into()).await {
            Ok(listener) => listeners.push(Self::Tcp(listener)),
            Err(StartError::Listen { source, .. }) if is_no_ipv6(&source) => {}
            Err(error) => return Err(error),
        }
        let variable = |name| std::env::var_os(name).map(PathBuf::from);
        let path = local_socket(variable("XDG_RUNTIME_DIR").as_deref(), variable("HOME").as_deref())
            .ok_or(StartError::NoSocketPlace)?;
        listeners.push(Self::Unix(UnixSocket::bind(&path)?));
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
    pub(crate) async fn accept(&self) -> io::Result<(Transport, Peer)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, address) = listener.accept().await?;
                Ok((Transport::tcp(stream)?, Peer::Tcp(address)))
            }
            Self::Unix(socket) => {
                let stream = socket.accept().await?;
                let uid = stream.peer_cred()?.uid();
                Ok((Transport::Unix(stream), Peer::Unix { uid }))
            }
        }
    }
}

async fn bind_tcp(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|source| {
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
