//! The byte stream below a connection: TLS over TCP, or a Unix socket.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use rustix::net::sockopt;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpStream, UnixStream};

use crate::connection::{Gather, Sink};
use crate::limits;
use crate::tls::{TlsReader, TlsStream, TlsWriter};

/// Quiet time after which the system asks the other end whether it is still there.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(15);

/// Pause between such questions, and how many may go unanswered: 55 s until a vanished machine is noticed.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_COUNT: u32 = 4;

/// An open byte stream in both directions.
#[derive(Debug)]
pub enum Transport {
    /// TLS over TCP; the other end has proven its key.
    Tls(Box<TlsStream>),
    /// A Unix socket; the system knows who is at the other end.
    Unix(UnixStream),
}

/// Sets a TCP stream up so that small packets go at once and a vanished peer is noticed.
///
/// # Errors
/// The system's, if an option cannot be set.
pub fn prepare_tcp(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, KEEPALIVE_IDLE)?;
    sockopt::set_tcp_keepintvl(stream, KEEPALIVE_INTERVAL)?;
    sockopt::set_tcp_keepcnt(stream, KEEPALIVE_COUNT)?;
    // Keepalive does not count while data is unacknowledged; this does (tcp(7)).
    let stall = u32::try_from(limits::WRITE_STALL.as_millis()).unwrap_or(u32::MAX);
    Ok(sockopt::set_tcp_user_timeout(stream, stall)?)
}

impl Transport {
    /// How long the peer may take nothing of what is written.
    pub fn write_stall(&self) -> Duration {
        match self {
            Self::Tls(_) => limits::WRITE_STALL,
            Self::Unix(_) => limits::LOCAL_WRITE_STALL,
        }
    }

    /// The two directions, for two tasks.
    pub fn split(self) -> (ReadHalf, WriteHalf) {
        match self {
            Self::Tls(stream) => {
                let (read, write) = stream.split();
                (ReadHalf::Tls(read), WriteHalf::Tls(write))
            }
            Self::Unix(stream) => {
                let (read, write) = stream.into_split();
                (ReadHalf::Unix(read), WriteHalf::Unix(write))
            }
        }
    }
}

/// The half that reads.
#[derive(Debug)]
pub enum ReadHalf {
    /// Of TLS.
    Tls(TlsReader),
    /// Of a Unix socket.
    Unix(OwnedReadHalf),
}

/// The half that writes.
#[derive(Debug)]
pub enum WriteHalf {
    /// Of TLS.
    Tls(TlsWriter),
    /// Of a Unix socket.
    Unix(OwnedWriteHalf),
}

impl AsyncRead for ReadHalf {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tls(reader) => Pin::new(reader).poll_read(context, buffer),
            Self::Unix(reader) => Pin::new(reader).poll_read(context, buffer),
        }
    }
}

impl Sink for WriteHalf {
    fn poll_send(&mut self, context: &mut Context<'_>, batch: &mut Gather) -> Poll<io::Result<()>> {
        match self {
            Self::Tls(writer) => writer.poll_send(context, batch),
            Self::Unix(writer) => writer.poll_send(context, batch),
        }
    }

    fn is_flushed(&self) -> bool {
        match self {
            Self::Tls(writer) => writer.is_flushed(),
            Self::Unix(writer) => writer.is_flushed(),
        }
    }

    fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tls(writer) => writer.poll_end(context),
            Self::Unix(writer) => writer.poll_end(context),
        }
    }
}
