//! A client that was let in: takes its packets until it ends, is sent away, or the server stops.

use std::sync::Arc;

use common::connection::ConnectionError;
use common::greeting::{Close, CloseCode};
use common::packet::Packet;
use tokio_util::sync::CancellationToken;
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
        let place = service.sessions.enter(self.principal.clone());
        let mut jobs =
            Jobs::new(Arc::clone(service), self.principal.clone(), connection, self.sender.clone());
        if let Err(error) = self.route(service, &place.revoked, &mut jobs).await {
            if error.is_violation() {
                record::violation(service, connection, peer.remote(), &error.to_string());
            }
            // Before the jobs are ended, so that a client takes their ends for what they are: a consequence.
            send_close(&error, &self.sender);
        }
        jobs.abandon().await;
        debug!("disconnected");
        record::change(service, connection, &peer, ConnectionChange::Closed);
        let Self { visitor, reader, sender, writer, .. } = self;
        drop(sender);
        finish_writing(writer).await;
        drop((visitor, reader));
    }

    async fn route(
        &mut self,
        service: &Service,
        revoked: &CancellationToken,
        jobs: &mut Jobs,
    ) -> Result<(), ConnectionError> {
        let Self { principal, reader, sender, .. } = self;
        let mut told = false;
        loop {
            let packet = tokio::select! {
                packet = reader.next() => packet?,
                () = sender.closed() => return Ok(()),
                () = revoked.cancelled() => {
                    let close = Close::new(CloseCode::Denied, "this key is not authorised any more");
                    sender.try_send_control(Packet::Close(close)).ok();
                    return Ok(());
                }
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
                packet => jobs.handle(packet)?,
            }
        }
    }
}
