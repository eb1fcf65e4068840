//! A line between a real client and a real server that fails as a test tells it: cut, reset, stalled, silent, slow, or one
//! byte at a time, at once or when so many bytes have passed. Knows nothing of what the bytes mean.
//!
//! A [`Mode`] says how connections are carried, and may change while they are open. A [`Cutter`] cuts them by what has passed.
//! Whatever a test has to wait for is in [`Observed`].
//!
//! Inside: `door` accepts, `connection` has the two sockets, `pump` carries one direction, `line` is what they share with the
//! test; `cutter` and `pieces` are rules, and touch no socket.

mod connection;
mod cutter;
mod door;
mod line;
mod pieces;
mod pump;

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::sync::watch;

pub use cutter::Cutter;
pub use line::{Observed, Traffic};

use crate::wait::{DEADLINE, wait_until};
use line::Line;

/// A proxy from a free port of 127.0.0.1 to a server. All of it is one thread, which ends when the proxy is dropped, and every
/// connection with it.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    line: Arc<Line>,
    /// Whether it shall listen; dropped when it shall end.
    listens: Option<watch::Sender<bool>>,
    thread: Option<JoinHandle<()>>,
}

/// How a connection is carried. `TCP_NODELAY` is set on both sides of every one.
///
/// The server hears of a connection when it is first carried (by [`Mode::Pass`], [`Mode::Delay`] or [`Mode::ByteByByte`]). If
/// it cannot be reached then, the client is reset. The end of a stream is passed on like its bytes, for each direction by
/// itself, and so is a reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// As fast as it goes.
    #[default]
    Pass,
    /// So much later each way, and in order. Up to 16 MiB each way are under way at a time.
    Delay(Duration),
    /// Every byte in a write of its own.
    ByteByByte,
    /// Nothing is read and nothing is written; both sockets stay open. Whoever goes on sending finds the window closed. Goes
    /// on where it was when the mode changes.
    Stall,
    /// Everything is read, and none of it is written, the end of a stream included; what was under way is gone, too. Nobody
    /// can tell from TCP that nobody is there.
    BlackHole,
    /// The end, for both sides: [`Ending::Fin`]. What was under way is gone.
    Cut,
    /// The end, for both sides: [`Ending::Reset`]. What was under way is gone.
    Reset,
}

/// How a connection ends that is ended by the proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// As if the peer had closed in an orderly way: what was written arrives, then the end of the stream. What a side says
    /// after that is read and dropped, for up to a minute, so that it never gets a reset.
    Fin,
    /// Both sides get a reset. What was written just before may be lost.
    Reset,
}

/// Whose bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Those that the client sends.
    ToServer,
    /// Those that the server sends.
    ToClient,
}

impl Proxy {
    /// A proxy that passes everything on to the server at `to`, and listens already.
    ///
    /// # Panics
    /// If there is no port to be had.
    #[track_caller]
    pub fn start(to: SocketAddr) -> Self {
        let line = Arc::new(Line::default());
        let (listens, wanted) = watch::channel(true);
        let port = door::Port::any().unwrap();
        let address = port.address();
        let shared = Arc::clone(&line);
        let thread = thread::spawn(move || door::run(&port, to, &shared, wanted));
        let proxy = Self { address, line, listens: Some(listens), thread: Some(thread) };
        proxy.wait_until("the proxy listens", |observed| observed.listening);
        proxy
    }

    /// Where the client connects to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The mode of the connections that are open, and of those that come. When this returns, nothing is carried in the old
    /// mode any more.
    pub fn set(&self, mode: Mode) {
        self.line.lock().set(mode, mode);
    }

    /// The mode of the connections that are open now. One that a client has just made is among them when it is counted in
    /// [`Observed::connections`].
    pub fn set_open(&self, mode: Mode) {
        self.line.lock().set_open(mode);
    }

    /// The mode of the connections that come from now on.
    pub fn set_coming(&self, mode: Mode) {
        self.line.lock().set_coming(mode);
    }

    /// Has connections cut by what passes from now on, in place of an earlier cutter.
    pub fn cut_by(&self, cutter: Cutter) {
        self.line.lock().set_cutter(cutter);
    }

    /// Listens no more, and keeps the port: who connects from now on is refused. Those that are open stay.
    #[track_caller]
    pub fn refuse(&self) {
        self.listen(false);
        self.wait_until("the proxy does not listen", |observed| !observed.listening);
    }

    /// Listens again, on the same port.
    #[track_caller]
    pub fn accept(&self) {
        self.listen(true);
        self.wait_until("the proxy listens", |observed| observed.listening);
    }

    fn listen(&self, listens: bool) {
        self.listens.as_ref().unwrap().send_replace(listens);
    }

    /// What has happened so far. Bytes are counted before their receiver can have them.
    pub fn observed(&self) -> Observed {
        self.line.lock().observed()
    }

    /// Waits until what is observed is so.
    ///
    /// # Panics
    /// Naming `what`, if it is not so within [`DEADLINE`], or if the proxy has failed.
    #[track_caller]
    pub fn wait_until(&self, what: &str, mut is_so: impl FnMut(Observed) -> bool) {
        wait_until(what, DEADLINE, || {
            let failed = self.thread.as_ref().is_none_or(JoinHandle::is_finished);
            assert!(!failed, "the proxy has failed; waited until {what}");
            is_so(self.observed())
        });
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.listens = None;
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(thread::panicking() || matches!(ended, Some(Ok(()))), "the proxy has failed");
    }
}
