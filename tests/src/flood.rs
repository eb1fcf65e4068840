//! What attacks are made of: many addresses, peers that take no for an answer, and an eye on what they cost the server.
//!
//! Unlike the other peers of this package, these do not panic when they are refused: that is what they are for.

mod observed;
mod probe;

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::connection::{ConnectionError, PacketReader, PacketSender, packet_bytes, packet_queue};
use common::greeting::Hello;
use common::keys::PrivateKey;
use common::message::{ClientMessage, ServerMessage};
use common::packet::Packet;
use common::tls::{ClientTls, connect};
use common::transport::{ReadHalf, Transport};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, socket_with, sockopt};
use tokio::net::TcpSocket;
use tokio::task::JoinHandle;

use crate::keys::host_key;
use crate::tls;
use crate::wait::DEADLINE;

pub use observed::{Maximum, cpu_time, descriptors, direct_children, raise_descriptor_limit, sockets};
pub use probe::{Latencies, Probe};

/// How long an [`Insider`] waits for a server that takes nothing: longer than any test.
const PATIENCE: Duration = Duration::from_secs(3600);

/// The address number so many of those that attacks come from; all of 127.0.0.0/8 is this machine, and 127.0.0.1 is left
/// to everybody else.
pub fn source(number: u16) -> Ipv4Addr {
    let [high, low] = number.to_be_bytes();
    Ipv4Addr::new(127, 80, high, low)
}

/// Opens a TCP connection from `source`. Nothing that is done with it takes longer than [`DEADLINE`].
///
/// # Errors
/// The system's.
pub fn connect_from(source: Ipv4Addr, server: SocketAddr) -> io::Result<TcpStream> {
    let socket = socket_of(source, SocketFlags::CLOEXEC)?;
    sockopt::set_socket_timeout(&socket, sockopt::Timeout::Send, Some(DEADLINE))?;
    sockopt::set_socket_timeout(&socket, sockopt::Timeout::Recv, Some(DEADLINE))?;
    rustix::net::connect(&socket, &server)?;
    Ok(socket.into())
}

/// Begins to open a TCP connection from `source`, and leaves the rest to the system. It is reset when it is dropped, so that
/// no port is kept from others.
///
/// # Errors
/// The system's.
pub fn begin_to_connect_from(source: Ipv4Addr, server: SocketAddr) -> io::Result<TcpStream> {
    let socket = socket_of(source, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)?;
    sockopt::set_socket_linger(&socket, Some(Duration::ZERO))?;
    match rustix::net::connect(&socket, &server) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(socket.into()),
        Err(error) => Err(error.into()),
    }
}

fn socket_of(source: Ipv4Addr, flags: SocketFlags) -> io::Result<OwnedFd> {
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
    bind(&socket, &SocketAddr::from((source, 0)))?;
    Ok(socket)
}

/// The same for a task.
///
/// # Errors
/// The system's.
pub async fn connect_task_from(source: Ipv4Addr, server: SocketAddr) -> io::Result<tokio::net::TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((source, 0).into())?;
    socket.connect(server).await
}

/// What a server says to somebody who greets.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Everything it says behind the handshake.
    pub said: Vec<u8>,
    /// Bytes of the whole connection in its direction, handshake included.
    pub received: usize,
    /// From the greeting to the first byte of the answer.
    pub after: Duration,
}

/// Shakes hands from `source` as the owner of `key`, greets, and listens until the server closes.
///
/// # Errors
/// The system's or those of TLS, if the server closes before it has said anything.
pub fn greet_from(
    source: Ipv4Addr,
    key: &PrivateKey,
    hello: &Hello,
    server: SocketAddr,
) -> io::Result<Answer> {
    let mut stream = Counted { stream: connect_from(source, server)?, received: 0 };
    stream.stream.set_nodelay(true)?;
    let mut tls = tls::client(key, host_key().public());
    while tls.is_handshaking() || tls.wants_write() {
        tls.complete_io(&mut stream)?;
    }
    let packet = packet_bytes::<ClientMessage>(Packet::Hello(hello.clone())).map_err(io::Error::other)?;
    let greeted = Instant::now();
    let mut peer = rustls::Stream::new(&mut tls, &mut stream);
    peer.write_all(&packet)?;
    let mut said = vec![0; 16 * 1024];
    let first = peer.read(&mut said)?;
    let after = greeted.elapsed();
    said.truncate(first);
    peer.read_to_end(&mut said)?;
    Ok(Answer { said, received: stream.received, after })
}

/// Counts what is read.
struct Counted {
    stream: TcpStream,
    received: usize,
}

impl Read for Counted {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = self.stream.read(bytes)?;
        self.received += read;
        Ok(read)
    }
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// A client that was let in, whose two directions are under a test's control.
#[derive(Debug)]
pub struct Insider {
    /// What the server says. A test that does not read it is one that does not read.
    pub reader: PacketReader<ReadHalf, ServerMessage>,
    /// What it hears.
    pub sender: PacketSender<ClientMessage>,
    /// Ends with this, whatever the server makes of what it is sent.
    _writer: Writer,
}

#[derive(Debug)]
struct Writer(JoinHandle<Result<(), ConnectionError>>);

impl Drop for Writer {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Insider {
    /// Logs in over this stream as the owner of `key`.
    ///
    /// # Panics
    /// If the server does not let it in.
    pub async fn enter(stream: tokio::net::TcpStream, key: &PrivateKey) -> Self {
        stream.set_nodelay(true).unwrap();
        let identity = PrivateKey::from_openssh(key.to_openssh("").as_bytes(), None).unwrap();
        let settings = ClientTls::new(Arc::new(identity), |key| *key == host_key().public()).unwrap();
        let stream = connect(stream, &settings).await.expect("no handshake");
        let (read, write) = Transport::Tls(Box::new(stream)).split();
        let (sender, queue) = packet_queue();
        let writer = Writer(tokio::spawn(queue.run(write, PATIENCE)));
        let mut reader = PacketReader::new(read);
        sender.send_control(Packet::Hello(Hello::new("", "insider"))).await.unwrap();
        let welcome = reader.next().await;
        assert!(matches!(welcome, Ok(Some(Packet::Welcome(_)))), "{welcome:?}");
        Self { reader, sender, _writer: writer }
    }
}
