//! The proxy of the tests does what it says, between plain sockets: a scenario that goes through it is worth no more than that.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

#[path = "proxy/cuts.rs"]
mod cuts;
#[path = "proxy/modes.rs"]
mod modes;
#[path = "proxy/thousand_cuts.rs"]
mod thousand_cuts;

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::sockopt::set_socket_linger;
use rustix::net::{AddressFamily, SocketType};
use tests::proxy::{Mode, Proxy};
use tests::{DEADLINE, noise, wait_until};

const MIB: usize = 1024 * 1024;

/// More than the system keeps of what is sent and not read.
const PLENTY: usize = 32 * MIB;

/// A server that is the test itself, behind a proxy.
struct Setup {
    listener: TcpListener,
    proxy: Proxy,
}

impl Setup {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let proxy = Proxy::start(listener.local_addr().unwrap());
        Self { listener, proxy }
    }

    fn connect(&self) -> TcpStream {
        connect(self.proxy.address())
    }

    /// The server's side of the next connection.
    #[track_caller]
    fn accept(&self) -> TcpStream {
        let mut accepted = None;
        wait_until("the proxy connects", DEADLINE, || {
            accepted = self.listener.accept().ok();
            accepted.is_some()
        });
        let (stream, _) = accepted.unwrap();
        stream.set_nonblocking(false).unwrap();
        patient(stream)
    }

    /// Both sides of a new connection.
    #[track_caller]
    fn pair(&self) -> (TcpStream, TcpStream) {
        (self.connect(), self.accept())
    }

    #[track_caller]
    fn wait_until_closed(&self) {
        self.proxy.wait_until("no connection is open", |observed| observed.open == 0);
    }

    /// Whether anybody has connected to the server.
    fn is_reached(&self) -> bool {
        self.listener.accept().is_ok()
    }
}

fn connect(address: SocketAddr) -> TcpStream {
    patient(TcpStream::connect(address).unwrap())
}

fn patient(stream: TcpStream) -> TcpStream {
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.set_write_timeout(Some(DEADLINE)).unwrap();
    stream
}

fn reset(stream: TcpStream) {
    set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
}

#[track_caller]
fn read(mut stream: &TcpStream, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    stream.read_exact(&mut bytes).unwrap();
    bytes
}

/// Everything until the end, and how that was.
fn read_to_end(mut stream: &TcpStream) -> (Vec<u8>, Result<(), ErrorKind>) {
    let mut bytes = Vec::new();
    let end = stream.read_to_end(&mut bytes);
    (bytes, end.map(drop).map_err(|error| error.kind()))
}

fn write(mut stream: &TcpStream, bytes: &[u8]) {
    stream.write_all(bytes).unwrap();
}

/// Requires that the stream is open, and nothing is there to be read.
#[track_caller]
fn is_silent(stream: &TcpStream) {
    stream.set_nonblocking(true).unwrap();
    let peeked = stream.peek(&mut [0]).map_err(|error| error.kind());
    stream.set_nonblocking(false).unwrap();
    assert_eq!(peeked, Err(ErrorKind::WouldBlock));
}

const FIN: Result<(), ErrorKind> = Ok(());
const RESET: Result<(), ErrorKind> = Err(ErrorKind::ConnectionReset);

#[test]
fn bytes_and_their_end_pass_each_way_by_themselves() {
    let setup = Setup::new();
    let (client, server) = setup.pair();
    let sent = noise(PLENTY);
    thread::scope(|scope| {
        scope.spawn(|| {
            write(&client, &sent);
            client.shutdown(Shutdown::Write).unwrap();
        });
        assert!(read_to_end(&server) == (sent.clone(), FIN));
    });
    write(&server, b"the other half is open");
    assert_eq!(read(&client, 22), b"the other half is open");
    assert_eq!(setup.proxy.observed().open, 1);
    drop(server);
    assert_eq!(read_to_end(&client), (Vec::new(), FIN));
    setup.wait_until_closed();
    let observed = setup.proxy.observed();
    let passed = (observed.to_server.passed, observed.to_client.passed);
    assert_eq!((passed, observed.connections, observed.cuts), ((PLENTY as u64, 22), 1, 0));
}

#[test]
fn a_reset_passes() {
    let setup = Setup::new();
    let (client, server) = setup.pair();
    reset(client);
    assert_eq!(read_to_end(&server), (Vec::new(), RESET));
    let (client, server) = setup.pair();
    reset(server);
    assert_eq!(read_to_end(&client), (Vec::new(), RESET));
    setup.wait_until_closed();
}

#[test]
fn a_server_that_is_not_there_is_a_reset() {
    let Setup { listener, proxy } = Setup::new();
    drop(listener);
    assert_eq!(read_to_end(&connect(proxy.address())), (Vec::new(), RESET));
    proxy.wait_until("it is not open any more", |observed| observed.open == 0);
}

#[test]
fn connections_are_refused_and_accepted_on_the_same_port() {
    let setup = Setup::new();
    let (client, server) = setup.pair();
    for _ in 0..10 {
        setup.proxy.refuse();
        let refused = TcpStream::connect(setup.proxy.address()).map_err(|error| error.kind());
        assert!(matches!(refused, Err(ErrorKind::ConnectionRefused)), "{refused:?}");
        write(&client, b"x");
        assert_eq!(read(&server, 1), b"x");
        setup.proxy.accept();
        drop(setup.pair());
    }
    assert_eq!(setup.proxy.observed().connections, 11);
}

#[test]
fn the_port_is_kept_while_nobody_listens() {
    let setup = Setup::new();
    setup.proxy.refuse();
    let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    assert_eq!(rustix::net::bind(&socket, &setup.proxy.address()), Err(Errno::ADDRINUSE));
}

#[test]
fn what_is_dropped_is_closed() {
    let setup = Setup::new();
    let (client, server) = setup.pair();
    let address = setup.proxy.address();
    setup.proxy.set_coming(Mode::BlackHole);
    let swallowed = setup.connect();
    setup.proxy.wait_until("it is accepted", |observed| observed.connections == 2);
    drop(setup);
    for side in [&client, &server, &swallowed] {
        assert_eq!(read_to_end(side), (Vec::new(), FIN));
    }
    let refused = TcpStream::connect(address).map_err(|error| error.kind());
    assert!(matches!(refused, Err(ErrorKind::ConnectionRefused)), "{refused:?}");
}
