//! The byte stream below a connection: TCP or a Unix socket.
//!
//! Encryption will sit here; nothing above needs to know.

use std::io;
use std::time::Duration;

use rustix::net::sockopt;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use crate::limits;

/// Quiet time after which the system asks the other end whether it is still there.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(15);

/// Pause between such questions, and how many may go unanswered: 60 s until a vanished machine is noticed.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);
const KEEPALIVE_COUNT: u32 = 3;

/// The half that reads.
pub type ReadHalf = Box<dyn AsyncRead + Send + Unpin>;

/// The half that writes.
pub type WriteHalf = Box<dyn AsyncWrite + Send + Unpin>;

/// An open byte stream in both directions.
#[derive(Debug)]
pub enum Transport {
    /// TCP.
    Tcp(TcpStream),
    /// A Unix socket.
    Unix(UnixStream),
}

impl Transport {
    /// A TCP stream, set up so that small packets go at once and a vanished peer is noticed.
    ///
    /// # Errors
    /// The system's, if an option cannot be set.
    pub fn tcp(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        sockopt::set_socket_keepalive(&stream, true)?;
        sockopt::set_tcp_keepidle(&stream, KEEPALIVE_IDLE)?;
        sockopt::set_tcp_keepintvl(&stream, KEEPALIVE_INTERVAL)?;
        sockopt::set_tcp_keepcnt(&stream, KEEPALIVE_COUNT)?;
        // Keepalive does not count while data is unacknowledged; this does (tcp(7)).
        let stall = u32::try_from(limits::WRITE_STALL.as_millis()).unwrap_or(u32::MAX);
        sockopt::set_tcp_user_timeout(&stream, stall)?;
        Ok(Self::Tcp(stream))
    }

    /// How long the peer may take nothing of what is written.
    pub fn write_stall(&self) -> Duration {
        match self {
            Self::Tcp(_) => limits::WRITE_STALL,
            Self::Unix(_) => limits::LOCAL_WRITE_STALL,
        }
    }

    /// The two directions, for two tasks.
    pub fn split(self) -> (ReadHalf, WriteHalf) {
        match self {
            Self::Tcp(stream) => {
                let (read, write) = stream.into_split();
                (Box::new(read), Box::new(write))
            }
            Self::Unix(stream) => {
                let (read, write) = stream.into_split();
                (Box::new(read), Box::new(write))
            }
        }
    }
}
