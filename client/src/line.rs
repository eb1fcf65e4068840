//! Keeps a line to a server: one connection, and after its loss another one, for as long as there are jobs to come back to.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use common::connection::{
    ConnectionError, Liveness, PacketReader, PacketSender, PacketWriter, Sign, packet_queue,
};
use common::endpoint::{Endpoint, Target};
use common::frame::Kind;
use common::greeting::{Close, CloseCode, Features, Hello, Method, VERSION};
use common::limits;
use common::message::{ClientMessage, ServerMessage};
use common::packet::Packet;
use common::tls::{Alert, TlsError};
use common::transport::{ReadHalf, Transport, WriteHalf};
use tokio::task::JoinHandle;
use tokio::time::{self, Instant};

use crate::access::Access;
use crate::clock::Since;
use crate::dial;
use crate::error::{Denied, Error};
use crate::reconnect::Attempts;
use crate::router::Router;

/// How long a server may take to answer the greeting.
const GREETING_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the other task of a connection may take to find out why it is lost, when one has found out that it is. A peer that
/// closes often says why.
const VERDICT: Duration = Duration::from_millis(100);

/// Most of a stranger's first bytes that an error repeats.
const SAID: usize = 32;

/// Name and version that HELLO carries.
const SOFTWARE: &str = concat!("telex-client/", env!("CARGO_PKG_VERSION"));

/// A connection before its greeting.
#[derive(Debug)]
pub(crate) struct Connected {
    pub(crate) transport: Transport,
    /// This side's end of it, over TCP.
    pub(crate) address: Option<SocketAddr>,
}

/// How further connections are made.
#[derive(Debug)]
pub(crate) struct Dialer {
    target: Target,
    access: Option<Access>,
}

impl Dialer {
    /// `access` is for a target over TCP.
    pub(crate) fn new(target: Target, access: Option<Access>) -> Self {
        Self { target, access }
    }

    async fn dial(&self) -> Result<Connected, Error> {
        match (&self.target.endpoint, &self.access) {
            (Endpoint::Unix(path), _) => dial::unix(&self.target.endpoint, path).await,
            (Endpoint::Tcp { host, port }, Some(access)) => {
                // It was trusted before; if it is not known now, it is another one.
                dial::tcp(host, *port, access).await.map(|(connected, _new)| connected)
            }
            (Endpoint::Tcp { .. }, None) => Err(Error::ServerGone),
        }
    }

    fn is_local(&self) -> bool {
        matches!(self.target.endpoint, Endpoint::Unix(_))
    }
}

/// What the first connection greets with.
#[derive(Debug)]
pub(crate) struct Greeting {
    pub(crate) user: String,
    pub(crate) method: Method,
}

/// Serves one connection after the other, until none is wanted or none can be had.
pub(crate) async fn keep(router: Arc<Router>, first: Opened, dialer: Option<Dialer>, user: String) {
    let mut error = first.serve(&router).await;
    loop {
        let is_loss = is_loss(&error) || (router.is_welcome() && is_silent_end(&error));
        let comes_again = |dialer: &&Dialer| is_loss && may_have_heard(&error, router.is_welcome(), dialer);
        let Some(dialer) = dialer.as_ref().filter(comes_again) else { return router.fail(error) };
        if !router.lose_line(error.clone()) {
            return router.fail(error);
        }
        let Ok(connected) = redial(&router, dialer, error).await else { return };
        let greeting = Greeting { user: user.clone(), method: Method::Transport };
        error = Opened::new(connected, greeting).serve(&router).await;
    }
}

/// Makes a connection in place of a lost one. If there is none to be had, whoever waits is told.
async fn redial(router: &Router, dialer: &Dialer, lost: Error) -> Result<Connected, ()> {
    let since = Since::now();
    let mut attempts = Attempts::new(router.grace(), dialer.is_local());
    if attempts.patience().is_zero() {
        router.fail(lost);
        return Err(());
    }
    loop {
        match dialer.dial().await {
            Ok(connected) => return Ok(connected),
            Err(error) if !is_passing(&error) => {
                router.fail(error);
                return Err(());
            }
            Err(_) if router.is_closed() => return Err(()),
            Err(_) => {}
        }
        let jitter = getrandom::u32().map_or(1.0, |number| f64::from(number) / f64::from(u32::MAX));
        let Some(pause) = attempts.pause(since.elapsed(), jitter) else {
            // Why it was lost tells more than why it cannot be had again.
            router.fail(lost);
            return Err(());
        };
        time::sleep(pause).await;
    }
}

/// Whether there was a server at all: one that has never let us in, and does not answer or is a local socket that is closed, is not
/// worth waiting for. One that has proven its key is.
fn may_have_heard(error: &Error, welcome: bool, dialer: &Dialer) -> bool {
    let silent = matches!(error, Error::Connection(error) if matches!(**error, ConnectionError::GreetingTimeout { .. }));
    welcome || !(silent || dialer.is_local())
}

/// Whether a connection that ended so may come again: nobody has said that it should not.
fn is_loss(error: &Error) -> bool {
    match error {
        Error::ServerGone => true,
        Error::Connection(error) => matches!(
            **error,
            ConnectionError::Io(_)
                | ConnectionError::Truncated
                | ConnectionError::Silent
                | ConnectionError::Stalled
                | ConnectionError::GreetingTimeout { .. }
        ),
        _ => false,
    }
}

/// Whether what keeps a connection from being made may pass.
fn is_passing(error: &Error) -> bool {
    match error {
        Error::Connect { .. } | Error::Unreachable { .. } | Error::Resolve { .. } => true,
        Error::Handshake { error, .. } => matches!(
            **error,
            TlsError::Io(_)
                | TlsError::ClosedInHandshake
                | TlsError::Refused(Alert::Busy | Alert::AccessDenied)
        ),
        error => is_loss(error) || is_silent_end(error),
    }
}

/// Whether a connection was closed before a word was said: by a stranger, unless there was a server of ours before. Then by whatever
/// lies between, or by a server that starts or stops.
fn is_silent_end(error: &Error) -> bool {
    matches!(error, Error::NotTelex { said, .. } if said.is_empty())
}

/// A connection whose greeting is on its way.
#[derive(Debug)]
pub(crate) struct Opened {
    read: ReadHalf,
    write: WriteHalf,
    stall: Duration,
    sender: PacketSender<ClientMessage>,
    queue: PacketWriter<ClientMessage>,
    /// Whether the system tells when the other end is gone, so that silence means nothing.
    local: bool,
}

impl Opened {
    pub(crate) fn new(connected: Connected, greeting: Greeting) -> Self {
        let Connected { transport, address } = connected;
        let local = matches!(transport, Transport::Unix(_));
        let stall = transport.write_stall();
        let (read, write) = transport.split();
        let (sender, queue) = packet_queue();
        let Greeting { user, method } = greeting;
        let hello = Hello { method, address, features: Features::KNOWN, ..Hello::new(&user, SOFTWARE) };
        // The queue is new and has room; the greeting is first in it.
        let greeted = sender.try_send_control(Packet::Hello(hello)).is_ok();
        debug_assert!(greeted, "an empty queue takes a packet");
        Self { read, write, stall, sender, queue, local }
    }

    /// The queue to the server.
    pub(crate) fn sender(&self) -> PacketSender<ClientMessage> {
        self.sender.clone()
    }

    /// Serves the connection until it ends; why it did.
    async fn serve(self, router: &Arc<Router>) -> Error {
        let Self { read, write, stall, sender, queue, local } = self;
        let mut writer = Aborting(tokio::spawn(queue.run(write, stall)));
        let reading = read_all(router, read, &sender, local);
        let error = {
            let mut reading = std::pin::pin!(reading);
            let mut saying = std::pin::pin!(router.speak(sender.clone()));
            let mut said = false;
            loop {
                tokio::select! {
                    error = &mut reading => break error,
                    // A connection that is lost again already shows in the reading.
                    _closed = &mut saying, if !said => said = true,
                    () = router.closed() => break Error::Closed,
                    written = &mut writer.0 => {
                        let heard = time::timeout(VERDICT, reading).await;
                        return match (heard, written) {
                            (Ok(error), _) => error,
                            (Err(_), Ok(Err(error))) => error.into(),
                            (Err(_), _) => Error::Closed,
                        };
                    }
                }
            }
        };
        let last_words = matches!(error, Error::Closed) || say_goodbye(&error, &sender);
        drop(sender);
        if last_words {
            time::timeout(limits::CLOSE_FLUSH, &mut writer.0).await.ok();
        }
        error
    }
}

/// Reads until the connection ends; why it did.
async fn read_all(
    router: &Router,
    read: ReadHalf,
    sender: &PacketSender<ClientMessage>,
    local: bool,
) -> Error {
    let mut reader = PacketReader::new(read);
    if let Err(error) = greet(router, &mut reader).await {
        return error;
    }
    match route(router, &mut reader, sender, local).await {
        Ok(()) => Error::ServerGone,
        Err(error) => error.into(),
    }
}

/// A task that ends with whoever waits for it.
#[derive(Debug)]
struct Aborting<T>(JoinHandle<T>);

impl<T> Drop for Aborting<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Tells a server that broke the rules that it did, and no other; whether it was told.
fn say_goodbye(error: &Error, sender: &PacketSender<ClientMessage>) -> bool {
    let Error::Connection(failure) = error else { return false };
    let close = Close::new(CloseCode::Violation, failure.to_string());
    // If the queue is full the peer will do without the reason.
    failure.is_violation() && sender.try_send_control(Packet::Close(close)).is_ok()
}

/// Waits for WELCOME, and tells a server that does not speak Telex from one that does.
async fn greet(router: &Router, reader: &mut PacketReader<ReadHalf, ServerMessage>) -> Result<(), Error> {
    let not_telex = |said: &[u8]| Error::NotTelex {
        endpoint: router.endpoint.clone(),
        said: said.get(..SAID.min(said.len())).unwrap_or_default().to_vec(),
    };
    let first = time::timeout(GREETING_TIMEOUT, reader.next_of(&[Kind::Welcome, Kind::Close])).await;
    match first {
        Err(_) => Err(ConnectionError::GreetingTimeout { within: GREETING_TIMEOUT }.into()),
        Ok(Ok(Some(Packet::Welcome(welcome)))) if welcome.version != VERSION => {
            Err(ConnectionError::Violation("the server chose a version that was not offered").into())
        }
        Ok(Ok(Some(Packet::Welcome(welcome)))) => {
            router.welcomed(welcome.features);
            Ok(())
        }
        Ok(Ok(Some(Packet::Close(Close { code: CloseCode::Denied, text })))) => {
            let endpoint = router.endpoint.clone();
            Err(Error::Denied(Arc::new(Denied { endpoint, key: router.key, text })))
        }
        Ok(Ok(Some(Packet::Close(Close { code, text })))) => Err(Error::Refused { code, text }),
        Ok(Ok(Some(_))) => Err(ConnectionError::Violation("the first frame was no greeting").into()),
        Ok(Ok(None)) => Err(not_telex(&[])),
        Ok(Err(ConnectionError::Packet(_))) => Err(not_telex(reader.unread())),
        Ok(Err(_)) if !may_be_greeting(reader.unread()) => Err(not_telex(reader.unread())),
        Ok(Err(error)) => Err(error.into()),
    }
}

/// Whether a server of ours may have begun like this before the connection failed: then its word was cut off, and a
/// job may run there. A little-endian length of a few thousand at most, then the kind.
fn may_be_greeting(said: &[u8]) -> bool {
    let is = |at: usize, expected: &[u8]| said.get(at).is_none_or(|byte| expected.contains(byte));
    is(2, &[0]) && is(3, &[0]) && is(4, &[Kind::Welcome as u8, Kind::Close as u8])
}

async fn route(
    router: &Router,
    reader: &mut PacketReader<ReadHalf, ServerMessage>,
    sender: &PacketSender<ClientMessage>,
    local: bool,
) -> Result<(), ConnectionError> {
    let mut liveness = Liveness::new(Instant::now().into_std());
    loop {
        let packet = tokio::select! {
            packet = reader.next() => packet?,
            () = time::sleep_until(liveness.deadline().into()), if !local => {
                match liveness.look(Instant::now().into_std()) {
                    Sign::Lost => return Err(ConnectionError::Silent),
                    Sign::Ask => router.nudge(),
                    Sign::Wait => {}
                }
                continue;
            }
        };
        let Some(packet) = packet else { return Ok(()) };
        router.handle(packet, sender).await?;
        liveness.heard(Instant::now().into_std());
    }
}
