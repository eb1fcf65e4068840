//! A TCP connection over a long way: each side hears the other so much later, and flights are counted.
//!
//! Side A's bytes belong to the same flight as long as A has not been given anything new of B's: so many flights are
//! needed at the least, however the bytes are cut and whatever the clock says. Knows nothing of what the bytes mean.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

/// Bytes that travel as one, and how many such pieces may be under way.
const PIECE: usize = 16 * 1024;
const UNDER_WAY: usize = 1024;

/// A link from a free port of 127.0.0.1 to a server, for one connection. Its threads end with the connection.
#[derive(Debug)]
pub(crate) struct SlowLink {
    address: SocketAddr,
    flights: Arc<Flights>,
}

/// The latest flight that either side has been given. The client's are numbered from 1; an answer has the number of what
/// it answers, and what a server says unasked has 0.
#[derive(Debug, Default)]
struct Flights {
    to_server: AtomicU32,
    to_client: AtomicU32,
}

/// Some bytes of a flight.
struct Piece {
    due: Instant,
    flight: u32,
    bytes: Vec<u8>,
}

impl SlowLink {
    /// A link to `server` that takes `delay` each way. It carries the answers to the client's first `most_answers`
    /// flights; with the answer to another one it ends instead.
    ///
    /// # Errors
    /// The system's, if there is no port to be had.
    pub(crate) fn start(server: SocketAddr, delay: Duration, most_answers: u32) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let flights = Arc::new(Flights::default());
        let shared = Arc::clone(&flights);
        // An end that cannot be reached is closed, and whoever is at the other one sees that.
        thread::spawn(move || carry(&listener, server, delay, most_answers, &shared));
        Ok(Self { address, flights })
    }

    /// Where the client connects to.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many flights of the client's it has been given an answer to.
    pub(crate) fn answers(&self) -> u32 {
        self.flights.to_client.load(Ordering::SeqCst)
    }
}

fn carry(
    listener: &TcpListener,
    server: SocketAddr,
    delay: Duration,
    most_answers: u32,
    flights: &Flights,
) -> io::Result<()> {
    let (client, _) = listener.accept()?;
    let server = TcpStream::connect(server)?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let Flights { to_server, to_client } = flights;
    thread::scope(|scope| {
        let (queue, pieces) = sync_channel(UNDER_WAY);
        let (client, server) = (&client, &server);
        scope.spawn(move || take(client, &queue, delay, || to_client.load(Ordering::SeqCst) + 1));
        scope.spawn(move || give(server, &pieces, u32::MAX, to_server));
        let (queue, pieces) = sync_channel(UNDER_WAY);
        scope.spawn(move || take(server, &queue, delay, || to_server.load(Ordering::SeqCst)));
        scope.spawn(move || give(client, &pieces, most_answers, to_client));
    });
    Ok(())
}

/// Takes what one side says, until it ends.
fn take(mut side: &TcpStream, queue: &SyncSender<Piece>, delay: Duration, flight: impl Fn() -> u32) {
    let mut buffer = vec![0; PIECE];
    while let Ok(read @ 1..) = side.read(&mut buffer) {
        let bytes = buffer.get(..read).unwrap_or_default().to_vec();
        if queue.send(Piece { due: Instant::now() + delay, flight: flight(), bytes }).is_err() {
            return;
        }
    }
}

/// Gives it to the other, when it is due.
fn give(mut side: &TcpStream, pieces: &Receiver<Piece>, most_flights: u32, given: &AtomicU32) {
    for piece in pieces {
        if piece.flight > most_flights {
            break;
        }
        thread::sleep(piece.due.saturating_duration_since(Instant::now()));
        // Before the bytes: what they cause must not be taken for older than them.
        given.fetch_max(piece.flight, Ordering::SeqCst);
        if side.write_all(&piece.bytes).is_err() {
            break;
        }
    }
    side.shutdown(Shutdown::Write).ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    const DELAY: Duration = Duration::from_millis(20);

    /// A server that greets, and answers every byte with the same.
    fn echo() -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.write_all(b"!").unwrap();
            let mut byte = [0];
            while let Ok(1) = stream.read(&mut byte) {
                stream.write_all(&byte).unwrap();
            }
        });
        address
    }

    fn read(mut stream: &TcpStream, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        stream.read_exact(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn a_flight_is_what_is_said_before_anything_is_heard() {
        let link = SlowLink::start(echo(), DELAY, u32::MAX).unwrap();
        let mut stream = TcpStream::connect(link.address()).unwrap();
        assert_eq!((read(&stream, 1), link.answers()), (b"!".to_vec(), 0));
        for flight in 1..=3 {
            let start = Instant::now();
            stream.write_all(b"ab").unwrap();
            assert_eq!((read(&stream, 2), link.answers()), (b"ab".to_vec(), flight));
            assert!(start.elapsed() >= 2 * DELAY);
        }
        stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(stream.read(&mut [0]).unwrap(), 0, "the end travels, too");
    }

    #[test]
    fn no_more_answers_are_carried_than_asked_for() {
        let link = SlowLink::start(echo(), DELAY, 1).unwrap();
        let mut stream = TcpStream::connect(link.address()).unwrap();
        stream.write_all(b"a").unwrap();
        assert_eq!(read(&stream, 2), b"!a");
        stream.write_all(b"b").unwrap();
        assert_eq!((stream.read(&mut [0]).unwrap(), link.answers()), (0, 1));
    }
}
