//! For the project's own tests, with the feature `model` alone: a client whose lines are in the hand of the test, which brings
//! packets from one side to the other, or does not. Jobs, streams and orders are as they always are; there is no socket, no
//! greeting and no pause.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use common::connection::{ConnectionError, PacketSender, PacketWriter, packet_queue};
use common::endpoint::{Endpoint, Target};
use common::greeting::Features;
use common::message::{ClientMessage, ServerMessage};
use common::packet::Packet;
use tokio::task::JoinHandle;

use crate::client::Client;
use crate::error::Error;
use crate::reconnect::Attempts;
use crate::router::Router;

thread_local! {
    static CLOCK: Cell<Option<fn() -> Duration>> = const { Cell::new(None) };
    static TICKS: Cell<u64> = const { Cell::new(0) };
}

/// Has this thread's clients go by another clock.
pub fn go_by(clock: fn() -> Duration) {
    CLOCK.set(Some(clock));
}

/// What that clock says.
pub(crate) fn now() -> Option<Duration> {
    // What comes after something else is later, as it is outside.
    CLOCK.get().map(|clock| clock() + Duration::from_nanos(TICKS.replace(TICKS.get() + 1)))
}

/// The lines of a client, one after the other.
#[derive(Debug)]
pub struct Lines {
    router: Arc<Router>,
}

/// The client's end of one connection, on which it was welcomed.
#[derive(Debug)]
pub struct Connection {
    router: Arc<Router>,
    sender: PacketSender<ClientMessage>,
    speaking: JoinHandle<()>,
}

impl Lines {
    /// A client with its first connection, and what it says there.
    pub fn open() -> (Client, Self, Connection, PacketWriter<ClientMessage>) {
        let target = Target::from(Endpoint::Unix("/model".into()));
        let router = Arc::new(Router::new(target.endpoint, None));
        let (sender, queue) = packet_queue();
        router.begin(sender.clone());
        let client = Client::without_line(Arc::clone(&router));
        let lines = Self { router };
        let connection = lines.join(sender);
        (client, lines, connection, queue)
    }

    /// Another connection, after the one before is [lost](Self::lose).
    pub fn connect(&self) -> (Connection, PacketWriter<ClientMessage>) {
        let (sender, queue) = packet_queue();
        (self.join(sender), queue)
    }

    fn join(&self, sender: PacketSender<ClientMessage>) -> Connection {
        self.router.welcomed(Features::KNOWN);
        let (router, said) = (Arc::clone(&self.router), sender.clone());
        let speaking = tokio::spawn(async move {
            // A connection that is lost again shows elsewhere.
            router.speak(said).await.ok();
        });
        Connection { router: Arc::clone(&self.router), sender, speaking }
    }

    /// The connection is lost, and gone; whether the client wants another one.
    pub fn lose(&self) -> bool {
        let wanted = self.router.lose_line(Error::ServerGone);
        if !wanted {
            self.give_up();
        }
        wanted
    }

    /// How long another connection is tried for.
    pub fn patience(&self) -> Duration {
        Attempts::new(self.router.grace(), false).patience()
    }

    /// No other connection can be made.
    pub fn give_up(&self) {
        self.router.fail(Error::ServerGone);
    }

    /// As [`Client::close`], without waiting.
    pub fn close(&self) {
        self.router.close();
    }

    /// Whether no further connection is wanted.
    pub fn is_closed(&self) -> bool {
        self.router.is_closed()
    }
}

impl Connection {
    /// Takes a packet of the server's.
    ///
    /// # Errors
    /// [`ConnectionError`] if it breaks a rule.
    pub async fn hear(&self, packet: Packet<ServerMessage>) -> Result<(), ConnectionError> {
        self.router.handle(packet, &self.sender).await
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.speaking.abort();
    }
}
