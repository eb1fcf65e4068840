//! The server's end of a connection, as a session keeps it: without greeting, and with packets that the test brings.

use std::sync::Arc;

use client::model::Connection;
use common::connection::{ConnectionError, packet_queue};
use common::greeting::Features;
use common::keys::authorized_keys::Options;
use common::message::ClientMessage;
use common::packet::Packet;

use super::super::super::Sender;
use super::super::super::departure::Path;
use super::super::super::jobs::Jobs;
use super::super::super::signs::Signs;
use super::wire::{Wire, Writing};
use crate::admission::ConnectionId;
use crate::authorize::{Peer, Principal, Remote};
use crate::job::Departure;
use crate::service::Service;

/// The server's end.
#[derive(Debug)]
pub(super) struct ServerEnd {
    jobs: Jobs,
    signs: Signs,
    sender: Sender,
    writing: Writing,
    pub(super) down: Wire,
    /// What comes from the client.
    pub(super) up: Wire,
}

/// The client's end.
#[derive(Debug)]
pub(super) struct ClientEnd {
    pub(super) connection: Connection,
    pub(super) _writing: Writing,
    pub(super) up: Wire,
    pub(super) down: Wire,
}

impl ServerEnd {
    /// A connection on which a client has just been let in.
    pub(super) fn new(service: &Arc<Service>, up: Wire) -> Self {
        let (sender, queue) = packet_queue();
        let (down, writing) = Wire::from(queue);
        let principal = Principal::let_in(Peer::User { uid: 1000 }, Options::default());
        let jobs = Jobs::new(
            Arc::clone(service),
            principal,
            (Remote::Unix { uid: 1000 }, Features::KNOWN),
            ConnectionId(1),
            sender.clone(),
        );
        Self { jobs, signs: Signs::new(Path::Local), sender, writing, down, up }
    }

    /// Takes the next packet, if there is one.
    pub(super) async fn take_next(&mut self) -> Result<bool, ConnectionError> {
        let Some(packet) = self.up.next::<ClientMessage>() else { return Ok(false) };
        match packet {
            Packet::Ping(echo) => {
                self.sender.send_control(Packet::Pong(echo)).await.ok();
            }
            Packet::Pong(echo) => self.signs.answered(&echo, &self.jobs)?,
            packet => self.jobs.handle(packet).await?,
        }
        if self.jobs.wants_sign() {
            self.ask();
        }
        Ok(true)
    }

    /// Asks the client for a sign of life.
    pub(super) fn ask(&mut self) {
        self.signs.ask(&self.jobs, &self.sender);
    }

    /// The connection is over.
    pub(super) async fn part(self, departure: Departure) {
        self.down.end();
        drop((self.sender, self.writing));
        self.jobs.part(departure).await;
    }
}
