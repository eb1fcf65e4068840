//! The proxy's thread and its port: accepts connections, or refuses them. Knows nothing of how they are carried.

use std::future::pending;
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use tokio::net::{TcpListener, TcpSocket};
use tokio::runtime::Builder;
use tokio::sync::watch;

use super::connection;
use super::line::Line;

/// Connections that wait to be accepted.
const BACKLOG: u32 = 1024;

/// A port of 127.0.0.1 that stays the proxy's while nobody listens on it.
#[derive(Debug)]
pub(super) struct Port {
    address: SocketAddr,
    /// Bound, and never listening, which the system lets others share that say the same.
    _holder: TcpSocket,
}

impl Port {
    /// A free one.
    pub(super) fn any() -> io::Result<Self> {
        let holder = bound_to((Ipv4Addr::LOCALHOST, 0).into())?;
        Ok(Self { address: holder.local_addr()?, _holder: holder })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    fn listen(&self) -> io::Result<TcpListener> {
        bound_to(self.address)?.listen(BACKLOG)
    }
}

fn bound_to(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

/// Accepts while it is wanted, until nobody is there to want it. Ends every connection when it returns.
pub(super) fn run(port: &Port, to: SocketAddr, line: &Arc<Line>, mut wanted: watch::Receiver<bool>) {
    let runtime = Builder::new_current_thread().enable_io().enable_time().build().unwrap();
    runtime.block_on(async {
        loop {
            let listener = wanted.borrow_and_update().then(|| port.listen().unwrap());
            line.lock().set_listening(listener.is_some());
            tokio::select! {
                changed = wanted.changed() => if changed.is_err() { return },
                () = accept(listener.as_ref(), to, line) => {},
            }
        }
    });
}

async fn accept(listener: Option<&TcpListener>, to: SocketAddr, line: &Arc<Line>) {
    let Some(listener) = listener else { return pending().await };
    loop {
        match listener.accept().await {
            Ok((client, _)) => drop(tokio::spawn(connection::run(client, to, line.admit()))),
            Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
            Err(error) => panic!("cannot accept: {error}"),
        }
    }
}
