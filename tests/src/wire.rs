//! What a peer under a test's control speaks through: bare TCP, TLS over it, or a Unix socket. Blocking.

use std::fmt::Debug;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::ops::DerefMut;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustls::{ConnectionCommon, SideData, StreamOwned};

/// A stream in both directions.
pub(crate) trait Wire: Read + Write + Debug + Send {
    /// Sends nothing more. That the peer has closed already is no failure.
    fn end(&mut self);

    /// This end of it, over TCP.
    fn local_address(&self) -> Option<SocketAddr>;

    /// Has reading and writing fail that takes longer.
    fn set_deadline(&self, deadline: Duration);
}

impl Wire for TcpStream {
    fn end(&mut self) {
        self.shutdown(Shutdown::Write).ok();
    }

    fn local_address(&self) -> Option<SocketAddr> {
        self.local_addr().ok()
    }

    fn set_deadline(&self, deadline: Duration) {
        self.set_read_timeout(Some(deadline)).unwrap();
        self.set_write_timeout(Some(deadline)).unwrap();
    }
}

impl Wire for UnixStream {
    fn end(&mut self) {
        self.shutdown(Shutdown::Write).ok();
    }

    fn local_address(&self) -> Option<SocketAddr> {
        None
    }

    fn set_deadline(&self, deadline: Duration) {
        self.set_read_timeout(Some(deadline)).unwrap();
        self.set_write_timeout(Some(deadline)).unwrap();
    }
}

impl<C, S> Wire for StreamOwned<C, TcpStream>
where
    C: DerefMut<Target = ConnectionCommon<S>> + Debug + Send,
    S: SideData,
{
    fn end(&mut self) {
        self.conn.send_close_notify();
        self.flush().ok();
        self.sock.end();
    }

    fn local_address(&self) -> Option<SocketAddr> {
        self.sock.local_address()
    }

    fn set_deadline(&self, deadline: Duration) {
        self.sock.set_deadline(deadline);
    }
}
