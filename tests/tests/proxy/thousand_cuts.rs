//! A client that connects again and goes on where it was gets its stream whole, and none of the cuts went missing.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use tests::noise;
use tests::proxy::{Cutter, Proxy};

use super::{MIB, connect, patient};

/// Answers every byte with the same, on any number of connections.
struct Echo {
    address: SocketAddr,
    stops: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Echo {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let stops = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stops);
        let thread = thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                thread::spawn(move || echo(&patient(stream.unwrap())));
            }
        });
        Self { address, stops, thread: Some(thread) }
    }
}

fn echo(mut stream: &TcpStream) -> io::Result<()> {
    let mut buffer = vec![0; 256 * 1024];
    loop {
        match stream.read(&mut buffer)? {
            0 => return Ok(()),
            read => stream.write_all(&buffer[..read])?,
        }
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.stops.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(self.address));
        self.thread.take().unwrap().join().unwrap();
    }
}

/// Bytes of which any part can be had again: noise that repeats itself after a length that nothing else has.
struct Source(Vec<u8>);

impl Source {
    fn new() -> Self {
        Self(noise(16 * MIB + 13))
    }

    fn from(&self, offset: usize) -> &[u8] {
        &self.0[offset % self.0.len()..]
    }
}

/// Sends what is behind `offset`, and takes in its echo, until the line is cut or all `total` bytes are back; how many are.
fn echo_from(offset: usize, total: usize, source: &Source, address: SocketAddr) -> usize {
    let stream = &connect(address);
    let send = |mut stream: &TcpStream| {
        let mut sent = offset;
        while sent < total {
            let bytes = source.from(sent);
            match stream.write(&bytes[..bytes.len().min(total - sent)]) {
                Ok(written) => sent += written,
                Err(_) => return,
            }
        }
    };
    let receive = |mut stream: &TcpStream| {
        let mut buffer = vec![0; 256 * 1024];
        let mut received = offset;
        while received < total {
            let most = buffer.len().min(source.from(received).len());
            match stream.read(&mut buffer[..most]) {
                Ok(read @ 1..) => {
                    assert!(buffer[..read] == source.from(received)[..read], "not the echo of {received}");
                    received += read;
                }
                Ok(0) => break,
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
                    break;
                }
            }
        }
        received
    };
    thread::scope(|scope| {
        scope.spawn(|| send(stream));
        let received = receive(stream);
        stream.shutdown(Shutdown::Both).ok();
        received
    })
}

#[test]
fn a_stream_arrives_whole_over_a_thousand_cuts() {
    const TOTAL: usize = 256 * MIB;
    let echo = Echo::start();
    let proxy = Proxy::start(echo.address);
    // Half a GiB passes at the least, and the cuts are over after 400 MiB.
    proxy.cut_by(Cutter::random(1, 1000, 1..=800 * 1024));
    let source = Source::new();
    let mut received = 0;
    while received < TOTAL {
        received = echo_from(received, TOTAL, &source, proxy.address());
    }
    let observed = proxy.observed();
    assert_eq!((received, observed.cuts, observed.connections), (TOTAL, 1000, 1001));
    assert!((400..600).contains(&observed.resets), "{observed:?}");
}
