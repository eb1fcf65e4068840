//! Brings what arrives on a connection to whom it concerns. Never waits for a job: one that does not take its output delays no
//! other.

use std::sync::Arc;

use common::connection::{ConnectionError, PacketSender};
use common::frame::JobNumber;
use common::greeting::Close;
use common::limits;
use common::message::{ClientMessage, ServerMessage};
use common::packet::{Echo, Packet};

use super::{Request, Router};
use crate::error::Error;
use crate::hold::{Hold, Link};

const NOT_RECEIVED: ConnectionError = ConnectionError::Violation("a stream that was not asked for");

impl Router {
    fn job(&self, number: JobNumber) -> Result<Option<Arc<Hold>>, ConnectionError> {
        let table = self.lock();
        match table.jobs.get(&number.0) {
            Some(job) => Ok(Some(Arc::clone(job))),
            None if number.0 <= table.last_number => Ok(None),
            None => Err(ConnectionError::Violation("a frame for a job that was never started")),
        }
    }

    /// Takes a packet that has come over `link`.
    pub(crate) async fn handle(
        &self,
        packet: Packet<ServerMessage>,
        link: &PacketSender<ClientMessage>,
    ) -> Result<(), ConnectionError> {
        match packet {
            Packet::Message { job, message } => self.handle_message(job, message, link),
            Packet::Data { job, stream, offset, bytes } => {
                let Some(job) = self.job(job)? else { return Ok(()) };
                Ok(job.inbound(stream).ok_or(NOT_RECEIVED)?.receive(offset, bytes)?)
            }
            Packet::Eof { job, stream, total } => {
                let Some(job) = self.job(job)? else { return Ok(()) };
                Ok(job.inbound(stream).ok_or(NOT_RECEIVED)?.finish(total)?)
            }
            Packet::Ack { job, ack, .. } => {
                let Some(job) = self.job(job)? else { return Ok(()) };
                Ok(job.stdin.acknowledge(ack)?)
            }
            Packet::StopSending { job, .. } => {
                if let Some(job) = self.job(job)? {
                    job.stdin.stop();
                }
                Ok(())
            }
            Packet::Ping(echo) => {
                // A closed writer shows where it failed, not here.
                link.send_control(Packet::Pong(echo)).await.ok();
                Ok(())
            }
            Packet::Pong(echo) => self.handle_pong(&echo),
            Packet::Close(Close { code, text }) => Err(ConnectionError::ClosedByPeer { code, text }),
            Packet::Hello(_) | Packet::Welcome(_) => Err(ConnectionError::Violation("a second greeting")),
        }
    }

    fn handle_message(
        &self,
        number: JobNumber,
        message: ServerMessage,
        sender: &PacketSender<ClientMessage>,
    ) -> Result<(), ConnectionError> {
        let of_connection = number == JobNumber::CONNECTION;
        if of_connection != matches!(message, ServerMessage::GoingAway) {
            return Err(ConnectionError::Violation("a message about the wrong job"));
        }
        if of_connection {
            self.lock().going_away = true;
            return Ok(());
        }
        match self.job(number)? {
            Some(job) => self.tell(&job, message, sender),
            None => self.answer(number, message),
        }
    }

    /// Takes what the server says about a job that this side has hold of.
    fn tell(
        &self,
        job: &Hold,
        message: ServerMessage,
        sender: &PacketSender<ClientMessage>,
    ) -> Result<(), ConnectionError> {
        let link = || Link { sender: sender.clone(), generation: self.lock().generation };
        match message {
            ServerMessage::Started { process_id, grace_ms } => job.start(process_id, grace_ms, link()),
            ServerMessage::Attached(attached) => job.attached(attached, link())?,
            ServerMessage::Applied { sequence } => job.applied(sequence),
            ServerMessage::Declined { sequence, reason } => job.declined(sequence, reason),
            ServerMessage::Skipped { stream, to } => job.skip(stream, to)?,
            ServerMessage::Written { stream, from, unix_ms } => job.times.note(stream, from, unix_ms),
            ServerMessage::Ended(ended) => {
                self.forget(job);
                job.end(ended);
            }
            ServerMessage::Refused(refusal) => {
                self.forget(job);
                job.lose(Error::Job { id: job.id().clone(), refusal });
            }
            ServerMessage::Superseded => {
                self.forget(job);
                job.lose(Error::Superseded { id: job.id().clone() });
            }
            ServerMessage::Done => {
                self.forget(job);
                job.lose(Error::Closed);
            }
            ServerMessage::Listed(_) => {
                return Err(ConnectionError::Violation("a list that was not asked for"));
            }
            ServerMessage::OnTerminal { size } => job.on_terminal(size),
            // Is about the connection, and was taken there.
            ServerMessage::GoingAway => {}
        }
        Ok(())
    }

    fn forget(&self, job: &Hold) {
        self.lock().jobs.remove(&job.number.0);
    }

    /// Takes an answer to a question that is no job. One that nobody asked for is about a job that is over.
    fn answer(&self, number: JobNumber, message: ServerMessage) -> Result<(), ConnectionError> {
        let mut table = self.lock();
        if let ServerMessage::Listed(summary) = message {
            let Some(request) = table.requests.get_mut(&number) else { return Ok(()) };
            if request.listed.len() >= limits::JOBS_LISTED {
                return Err(ConnectionError::Violation("a list without end"));
            }
            request.listed.push(summary);
            return Ok(());
        }
        let result = match message {
            ServerMessage::Done => Ok(()),
            ServerMessage::Refused(refusal) => Err(refusal),
            _ => return Ok(()),
        };
        if let Some(Request { listed, answer }) = table.requests.remove(&number) {
            // Whoever asked may have stopped waiting.
            answer.send(result.map(|()| listed)).ok();
        }
        Ok(())
    }

    fn handle_pong(&self, echo: &Echo) -> Result<(), ConnectionError> {
        let first = self.lock().pings.pop_front();
        match first {
            Some((token, sent, answer)) if token == echo.token => {
                // Whoever asked may have stopped waiting.
                answer.send(sent.elapsed()).ok();
                Ok(())
            }
            _ => Err(ConnectionError::Violation("a pong without its ping")),
        }
    }
}
