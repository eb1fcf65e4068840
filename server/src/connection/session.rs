//! A client that was let in: takes its packets until it ends, is sent away, or the server stops.

use std::sync::Arc;
use std::time::Duration;

use common::connection::ConnectionError;
use common::greeting::{Close, CloseCode, Features};
use common::message::ClientMessage;
use common::packet::Packet;
use tokio::time;
use tracing::debug;

use super::departure::Path;
use super::jobs::{Jobs, permit};
use super::record;
use super::signs::Signs;
use super::{Reader, Sender, Writer, finish_writing, send_close};
use crate::audit::ConnectionChange;
use crate::authorize::{Action, Principal, Remote};
use crate::gate::Visitor;
use crate::job::Departure;
use crate::service::Service;

/// How long the reader may take to find out why nothing can be written any more.
const VERDICT: Duration = Duration::from_millis(100);

/// A connection after its login.
#[derive(Debug)]
pub(super) struct Session {
    principal: Principal,
    /// Where the client is, and what it knows beyond the version.
    client: (Remote, Features),
    path: Path,
    /// Its place at the gate, given up with the session.
    visitor: Visitor,
    reader: Reader,
    sender: Sender,
    writer: Writer,
}

impl Session {
    pub(super) fn new(
        principal: Principal,
        client: (Remote, Features),
        path: Path,
        visitor: Visitor,
        reader: Reader,
        sender: Sender,
        writer: Writer,
    ) -> Self {
        Self { principal, client, path, visitor, reader, sender, writer }
    }

    /// Serves the client until it is gone.
    pub(super) async fn serve(mut self, service: &Arc<Service>) {
        let (connection, peer) = (self.visitor.id(), *self.principal.peer());
        record::change(service, connection, &peer, ConnectionChange::Opened);
        let entry = service.sessions.enter(self.principal.clone());
        let mut jobs = Jobs::new(
            Arc::clone(service),
            self.principal.clone(),
            self.client,
            connection,
            self.sender.clone(),
        );
        let (departure, sent_away) = tokio::select! {
            routed = self.route(service, &mut jobs) => {
                let goes_on = routed.is_ok() && service.stopping.is_cancelled() && jobs.has_relayed();
                let departure = if goes_on { Departure::Lost } else { self.path.departure(&routed) };
                (departure, routed.is_err_and(|error| self.part_with(service, &error)))
            }
            // Whatever it waits for: a client that does not read makes it wait for long.
            () = entry.revoked() => {
                let close = Close::new(CloseCode::Denied, "this key is not authorised any more");
                self.sender.try_send_control(Packet::Close(close)).ok();
                (Departure::Gone, true)
            }
            // To the client the line is lost: it comes again, to the program that takes over.
            () = service.handing_over.begun() => (Departure::Lost, false),
        };
        let Self { visitor, reader, sender, writer, .. } = self;
        drop(sender);
        if sent_away {
            // CLOSE is the last that it hears, if it reads at all: the last words of its jobs need not wait for it.
            tokio::join!(jobs.part(departure), finish_writing(writer));
        } else {
            jobs.part(departure).await;
            finish_writing(writer).await;
        }
        debug!(?departure, "disconnected");
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
        let Self { principal, reader, sender, path, .. } = self;
        let mut told = false;
        let mut signs = Signs::new(*path);
        loop {
            let packet = tokio::select! {
                packet = reader.next() => packet?,
                () = sender.closed() => return verdict(reader, jobs).await,
                () = service.stopping.cancelled(), if !told => {
                    told = true;
                    jobs.stop_accepting().await;
                    continue;
                }
                () = jobs.all_over(), if told => {
                    // To the client of a job that goes on the line is lost: it comes again, to the next server.
                    if !jobs.has_relayed() {
                        let close = Close::new(CloseCode::GoingAway, "the server is stopping");
                        // In order, behind the reports of the jobs.
                        sender.send(Packet::Close(close)).await.ok();
                    }
                    return Ok(());
                }
                () = signs.due() => {
                    signs.look(jobs, sender)?;
                    continue;
                }
            };
            let Some(packet) = packet else { return Ok(()) };
            match packet {
                Packet::Ping(echo) => {
                    permit(principal, Action::Ping)?;
                    if sender.send_control(Packet::Pong(echo)).await.is_err() {
                        return verdict(reader, jobs).await;
                    }
                }
                Packet::Pong(echo) => signs.answered(&echo, jobs)?,
                Packet::Hello(_) | Packet::Welcome(_) => {
                    return Err(ConnectionError::Violation("a second greeting"));
                }
                Packet::Close(Close { code, text }) => {
                    return Err(ConnectionError::ClosedByPeer { code, text });
                }
                packet => jobs.handle(packet).await?,
            }
            signs.heard();
            if jobs.wants_sign() {
                signs.ask(jobs, sender);
            }
        }
    }
}

/// Why nothing can be written any more: the reader may know better. Who left its jobs before it closed has left them, although
/// they were in the middle of writing to it.
async fn verdict(reader: &mut Reader, jobs: &mut Jobs) -> Result<(), ConnectionError> {
    let read = async {
        while let Some(packet) = reader.next().await? {
            match packet {
                Packet::Close(Close { code, text }) => {
                    return Err(ConnectionError::ClosedByPeer { code, text });
                }
                Packet::Message { message: ClientMessage::Leave | ClientMessage::Order { .. }, .. } => {
                    jobs.handle(packet).await?;
                }
                _ => {}
            }
        }
        Ok(())
    };
    time::timeout(VERDICT, read).await.unwrap_or(Err(ConnectionError::Stalled))
}
