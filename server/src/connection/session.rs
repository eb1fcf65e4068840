//! A client that was let in: takes its packets until it ends, is sent away, or the server stops.

use std::sync::Arc;

use common::connection::ConnectionError;
use common::greeting::{Close, CloseCode};
use common::packet::Packet;
use tracing::debug;

use super::jobs::{Jobs, permit};
use super::record;
use super::{Reader, Sender, Writer, finish_writing, send_close};
use crate::audit::ConnectionChange;
use crate::authorize::{Action, Principal};
use crate::gate::Visitor;
use crate::service::Service;

/// A connection after its login.
#[derive(Debug)]
pub(super) struct Session {
    principal: Principal,
    /// Its place at the gate, given up with the session.
    visitor: Visitor,
    reader: Reader,
    sender: Sender,
    writer: Writer,
}

impl Session {
    pub(super) fn new(
        principal: Principal,
        visitor: Visitor,
        reader: Reader,
        sender: Sender,
        writer: Writer,
    ) -> Self {
        Self { principal, visitor, reader, sender, writer }
    }

    /// Serves the client until it is gone, and its jobs until they are over.
    pub(super) async fn serve(mut self, service: &Arc<Service>) {
        let (connection, peer) = (self.visitor.id(), *self.principal.peer());
        record::change(service, connection, &peer, ConnectionChange::Opened);
        let entry = service.sessions.enter(self.principal.clone());
        let mut jobs =
            Jobs::new(Arc::clone(service), self.principal.clone(), connection, self.sender.clone());
        let sent_away = tokio::select! {
            routed = self.route(service, &mut jobs) => {
                routed.is_err_and(|error| self.part_with(service, &error))
            }
            // Whatever it waits for: a client that does not read makes it wait for long.
            () = entry.revoked() => {
                let close = Close::new(CloseCode::Denied, "this key is not authorised any more");
                self.sender.try_send_control(Packet::Close(close)).ok();
                true
            }
            // To the client the line is lost: it comes again, to the program that takes over.
            () = service.handing_over.begun() => false,
        };
        let Self { visitor, reader, sender, writer, .. } = self;
        drop(sender);
        if sent_away {
            // CLOSE is the last that it hears, if it reads at all: the last words of its jobs need not wait for it.
            tokio::join!(jobs.abandon(), finish_writing(writer));
        } else {
            jobs.abandon().await;
            finish_writing(writer).await;
        }
        debug!("disconnected");
        let closed = entry.reason().map_or(ConnectionChange::Closed, ConnectionChange::Ended);
        record::change(service, connection, &peer, closed);
        drop((visitor, reader));
    }

    /// Says why the connection ends, before the jobs are ended: so a client takes their ends for what they are, a
    /// consequence. Whether the client is sent away, as opposed to gone.
    fn part_with(&self, service: &Service, error: &ConnectionError) -> bool {
        if error.is_violation() {
            record::violation(service, self.visitor.id(), self.principal.peer().remote(), &error.to_string());
        }
        send_close(error, &self.sender, true);
        error.is_violation()
    }

    async fn route(&mut self, service: &Service, jobs: &mut Jobs) -> Result<(), ConnectionError> {
        let Self { principal, reader, sender, .. } = self;
        let mut told = false;
        loop {
            let packet = tokio::select! {
                packet = reader.next() => packet?,
                () = sender.closed() => return Ok(()),
                () = service.stopping.cancelled(), if !told => {
                    told = true;
                    jobs.stop_accepting().await;
                    continue;
                }
                () = jobs.all_over(), if told => {
                    let close = Close::new(CloseCode::GoingAway, "the server is stopping");
                    // In order, behind the reports of the jobs.
                    sender.send(Packet::Close(close)).await.ok();
                    return Ok(());
                }
            };
            let Some(packet) = packet else { return Ok(()) };
            match packet {
                Packet::Ping(echo) => {
                    permit(principal, Action::Ping)?;
                    if sender.send_control(Packet::Pong(echo)).await.is_err() {
                        return Ok(());
                    }
                }
                Packet::Pong(_) => return Err(ConnectionError::Violation("a pong without its ping")),
                Packet::Hello(_) | Packet::Welcome(_) => {
                    return Err(ConnectionError::Violation("a second greeting"));
                }
                Packet::Close(Close { code, text }) => {
                    return Err(ConnectionError::ClosedByPeer { code, text });
                }
                packet => jobs.handle(packet).await?,
            }
        }
    }
}
