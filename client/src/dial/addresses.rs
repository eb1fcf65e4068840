//! Which of a host's addresses answers. Knows no names and sends nothing.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{self, Instant};

use crate::error::Attempt;

/// How long one address is waited for alone before the next is tried beside it (RFC 8305, section 8).
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// How many addresses are tried: as many as there is time for if none of them answers, and a message can name.
const ADDRESSES: usize = 32;

/// A connection to whichever of `addresses` takes one first, of at most 32. They are tried in their order: the next
/// one when the last has failed, or has not answered for 250 ms. So none can use up the time of the others.
///
/// # Errors
/// What became of each that was tried, if none has answered by `deadline`.
pub(super) async fn connect(
    addresses: impl IntoIterator<Item = SocketAddr>,
    deadline: Instant,
) -> Result<TcpStream, Vec<Attempt>> {
    let mut addresses = addresses.into_iter().take(ADDRESSES).peekable();
    let mut attempts = Vec::new();
    let mut pending = JoinSet::new();
    loop {
        if let Some(address) = addresses.next() {
            // As it ends if nothing else is heard of it.
            let number = attempts.len();
            attempts.push(Attempt { address, source: Arc::new(io::ErrorKind::TimedOut.into()) });
            pending.spawn(async move { (number, TcpStream::connect(address).await) });
        }
        let next = if addresses.peek().is_some() { Instant::now() + ATTEMPT_DELAY } else { deadline };
        match time::timeout_at(next.min(deadline), pending.join_next()).await {
            Ok(Some(Ok((_, Ok(stream))))) => return Ok(stream),
            Ok(Some(Ok((number, Err(error))))) => {
                if let Some(attempt) = attempts.get_mut(number) {
                    attempt.source = Arc::new(error);
                }
            }
            // A task that is no more: it has nothing to say.
            Ok(Some(Err(_))) => {}
            Ok(None) => return Err(attempts),
            Err(_) if Instant::now() >= deadline => return Err(attempts),
            Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::{TcpListener, TcpSocket};

    use super::*;

    /// What a test would wait for at the worst.
    const LONG: Duration = Duration::from_secs(10);

    /// A listener that takes no connection and refuses none, as a host that is gone; and what keeps it so.
    async fn silent() -> (SocketAddr, TcpListener, TcpStream) {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        // One fits into a queue of this length; nobody accepts it, and the system drops what else comes.
        let listener = socket.listen(0).unwrap();
        let address = listener.local_addr().unwrap();
        let first = TcpStream::connect(address).await.unwrap();
        (address, listener, first)
    }

    /// An address that refuses connections, and what keeps others from it.
    fn refusing() -> (SocketAddr, TcpSocket) {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        (socket.local_addr().unwrap(), socket)
    }

    fn outcomes(attempts: Vec<Attempt>) -> Vec<(SocketAddr, io::ErrorKind)> {
        attempts.into_iter().map(|attempt| (attempt.address, attempt.source.kind())).collect()
    }

    #[tokio::test]
    async fn an_address_that_does_not_answer_leaves_time_for_the_others() {
        let (silent, _listener, _first) = silent().await;
        let (refusing, _socket) = refusing();
        let answering = TcpListener::bind("127.0.0.2:0").await.unwrap();
        let address = answering.local_addr().unwrap();
        let stream = connect([silent, refusing, silent, address], Instant::now() + LONG).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), address);
    }

    #[tokio::test]
    async fn the_first_that_answers_is_the_one() {
        let first = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (silent, _listener, _first) = silent().await;
        let address = first.local_addr().unwrap();
        let stream = connect([address, silent], Instant::now() + LONG).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), address);
    }

    #[tokio::test]
    async fn what_became_of_each_is_told() {
        let (silent, _listener, _first) = silent().await;
        let (refusing, _socket) = refusing();
        // More than twice the delay: the third is tried while the first is still pending.
        let deadline = Instant::now() + Duration::from_secs(2);
        let attempts = connect([silent, refusing, silent], deadline).await.unwrap_err();
        let (refused, timed_out) = (io::ErrorKind::ConnectionRefused, io::ErrorKind::TimedOut);
        assert_eq!(outcomes(attempts), [(silent, timed_out), (refusing, refused), (silent, timed_out)]);
        let attempts = connect([refusing, refusing], Instant::now() + LONG).await.unwrap_err();
        assert_eq!(outcomes(attempts), [(refusing, refused); 2]);
        assert_eq!(outcomes(connect([], Instant::now() + LONG).await.unwrap_err()), []);
    }
}
