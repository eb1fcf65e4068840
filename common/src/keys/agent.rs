//! Keys that an ssh-agent keeps: which there are, and signatures by them. The private keys stay with the agent.
//!
//! Speaks two messages of RFC 9987 over the agent's Unix socket and blocks while it does: not for a thread that others
//! wait for. Reads no environment and asks nobody; whoever calls knows where the agent is.
//!
//! - [`message`]: requests and answers as bytes
//! - [`Agent`]: the connection

mod identity;
pub mod message;

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SendFlags, SocketAddrUnix, SocketFlags, SocketType};
use thiserror::Error;

pub use self::identity::{AgentKey, Identity, OtherKey};
use self::message::MessageError;
use crate::keys::PublicKey;
use crate::reason::system_reason;

/// What an agent is usually given: time for its owner to find the window that asks for a confirmation, and to decide.
pub const TIMEOUT: Duration = Duration::from_secs(60);

/// A connection to an agent. After any error but a refusal it is of no more use.
#[derive(Debug)]
pub struct Agent {
    socket: Socket,
}

impl Agent {
    /// Connects to the agent whose socket is at `path`, usually what `SSH_AUTH_SOCK` says. At `deadline` everything ends
    /// that is asked of this connection, be it one call or several; see [`TIMEOUT`].
    ///
    /// # Errors
    /// [`AgentError::NoAgent`], [`AgentError::Connect`], [`AgentError::TimedOut`].
    pub fn connect(path: &Path, deadline: Instant) -> Result<Self, AgentError> {
        Socket::connect(path, deadline).map(|socket| Self { socket }).map_err(|error| match error.kind() {
            // Nobody has made the socket, or whoever did is gone.
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                AgentError::NoAgent(path.to_owned())
            }
            io::ErrorKind::TimedOut => AgentError::TimedOut,
            _ => AgentError::Connect { path: path.to_owned(), error },
        })
    }

    /// The keys that the agent holds, at most [`message::MOST_IDENTITIES`]. A locked agent says that it has none.
    ///
    /// # Errors
    /// Any [`AgentError`] but [`AgentError::RefusedToSign`] and [`AgentError::WrongSignature`].
    pub fn identities(&mut self) -> Result<Vec<Identity>, AgentError> {
        let answer = self.socket.exchange(&message::request_identities())?;
        message::decode_identities(&answer).map_err(|error| match error {
            MessageError::Refused => AgentError::RefusedToList,
            error => AgentError::Message(error),
        })
    }

    /// The signature of `message` by `key`, verified.
    ///
    /// # Errors
    /// Any [`AgentError`] but [`AgentError::RefusedToList`].
    pub fn sign(&mut self, key: &PublicKey, message: &[u8]) -> Result<[u8; 64], AgentError> {
        let answer = self.socket.exchange(&message::sign_request(key, message)?)?;
        let signature = message::decode_signature(&answer).map_err(|error| match error {
            MessageError::Refused => AgentError::RefusedToSign,
            error => AgentError::Message(error),
        })?;
        UnparsedPublicKey::new(&ED25519, key.as_bytes())
            .verify(message, &signature)
            .map_err(|_| AgentError::WrongSignature)?;
        Ok(signature)
    }
}

/// A stream that ends in an error of kind `TimedOut` when its time is over, however little arrives until then.
#[derive(Debug)]
struct Socket {
    stream: UnixStream,
    deadline: Instant,
}

impl Socket {
    fn connect(path: &Path, deadline: Instant) -> io::Result<Self> {
        let address = SocketAddrUnix::new(path)?;
        let socket =
            rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        let stream = UnixStream::from(socket);
        let socket = Self { stream, deadline };
        // Waits when too many others wait for this agent; the timeout for writing counts here, too (socket(7)).
        while let Err(error) = socket.before_write().and_then(|()| connect(&socket.stream, &address)) {
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error);
            }
        }
        Ok(socket)
    }

    /// Sends a request and reads the body of its answer. Takes no more memory than twice what has arrived.
    fn exchange(&mut self, request: &[u8]) -> Result<Vec<u8>, AgentError> {
        self.write_all(request)?;
        let mut prefix = [0; 4];
        self.read_exact(&mut prefix)?;
        let length = message::length(prefix)?;
        let mut body = Vec::new();
        let read = self.take(length as u64).read_to_end(&mut body)?;
        if read < length { Err(AgentError::Closed) } else { Ok(body) }
    }

    fn before_write(&self) -> io::Result<()> {
        self.stream.set_write_timeout(Some(self.time_left()?))
    }

    fn time_left(&self) -> io::Result<Duration> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
    }
}

fn connect(stream: &UnixStream, address: &SocketAddrUnix) -> io::Result<()> {
    rustix::net::connect(stream, address).map_err(timed_out)
}

/// The system says "again" when the time of a blocking call is over.
fn timed_out(error: Errno) -> io::Error {
    if error == Errno::AGAIN { io::ErrorKind::TimedOut.into() } else { error.into() }
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(self.time_left()?))?;
        rustix::io::read(&self.stream, buffer).map_err(timed_out)
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.before_write()?;
        rustix::net::send(&self.stream, bytes, SendFlags::NOSIGNAL).map_err(timed_out)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Why an agent is of no use. Everything that is not said otherwise is the agent's fault.
#[derive(Debug, Error)]
pub enum AgentError {
    /// Nobody listens at the socket: the local user's affair.
    #[error("no agent listens at {}", .0.display())]
    NoAgent(PathBuf),
    /// The socket cannot be used: the local user's affair.
    #[error("cannot connect to the agent at {}: {}", path.display(), system_reason(error))]
    Connect {
        /// The socket.
        path: PathBuf,
        /// The system's reason.
        error: io::Error,
    },
    /// The deadline passed, perhaps because the agent waits for its owner.
    #[error("the agent did not answer in time")]
    TimedOut,
    /// The connection ended before the answer did.
    #[error("the agent closed the connection without an answer")]
    Closed,
    /// The connection failed.
    #[error("the connection to the agent failed: {}", system_reason(.0))]
    Io(io::Error),
    /// The answer makes no sense; or the caller's message to sign is too long.
    #[error("the exchange with the agent failed: {0}")]
    Message(#[from] MessageError),
    /// The agent does not say which keys it holds.
    #[error("the agent refuses to list its keys")]
    RefusedToList,
    /// The agent does not sign. It never says why, so this names what its owner can have meant.
    #[error(
        "the agent refuses to sign with this key: it may be constrained to SSH hosts (ssh-add -h), its confirmation \
         (ssh-add -c) may have been declined, or the agent may be locked or have dropped it"
    )]
    RefusedToSign,
    /// What the agent calls a signature is not one of this message by this key.
    #[error("the agent's signature is wrong: it is not one by the key that was asked for")]
    WrongSignature,
}

impl From<io::Error> for AgentError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::TimedOut => Self::TimedOut,
            io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => {
                Self::Closed
            }
            _ => Self::Io(error),
        }
    }
}
