//! What those who are attached to a job send. Only its client is heard about stdin and with orders.

use bytes::Bytes;
use common::connection::ConnectionError;
use common::frame::StreamId;
use common::job::ByteString;
use common::message::{Order, Role, ServerMessage};
use common::packet::Ack;

use super::Job;
use crate::config::NotKept;
use crate::job::attachment::Attachment;
use crate::job::control::NotTaken;
use crate::job::orders::{Command, Turn};
use crate::job::outlet::Outlet;

const EARLY: ConnectionError = ConnectionError::Violation("an order before which another is missing");

const NOT_RECEIVED: ConnectionError =
    ConnectionError::Violation("a frame about a stream that is not received");

const NOT_TOLD: ConnectionError =
    ConnectionError::Violation("an order of control to a job that takes none from this client");

/// Why a job cannot be resized.
const NO_TERMINAL: &str = "it has no terminal";

impl Job {
    /// Takes bytes for stdin; those of a client that is not the job's any more are dropped.
    ///
    /// # Errors
    /// [`ConnectionError`] if they break the stream's rules.
    pub(crate) fn receive_stdin(
        &self,
        from: &Attachment,
        offset: u64,
        bytes: Bytes,
    ) -> Result<(), ConnectionError> {
        self.as_writer(from, || Ok(self.stdin.receive(offset, bytes)?))
    }

    /// Takes the end of stdin, as [`Job::receive_stdin`] takes bytes.
    ///
    /// # Errors
    /// [`ConnectionError`] if it breaks the stream's rules.
    pub(crate) fn finish_stdin(&self, from: &Attachment, total: u64) -> Result<(), ConnectionError> {
        self.as_writer(from, || Ok(self.stdin.finish(total)?))
    }

    /// Takes a client's acknowledgement.
    ///
    /// # Errors
    /// [`ConnectionError`] if it breaks the stream's rules, or is about a stream that the client does not receive.
    pub(crate) fn acknowledge(
        &self,
        from: &Attachment,
        stream: StreamId,
        ack: Ack,
    ) -> Result<(), ConnectionError> {
        from.outbound(stream).ok_or(NOT_RECEIVED)?.acknowledge(ack)?;
        self.as_writer(from, || {
            self.outlet(stream).ok_or(NOT_RECEIVED)?.release(ack.received);
            Ok(())
        })
    }

    /// Takes a client's word that it wants no more of a stream.
    ///
    /// # Errors
    /// [`ConnectionError`] if it does not receive it.
    pub(crate) fn stop_sending(&self, from: &Attachment, stream: StreamId) -> Result<(), ConnectionError> {
        from.outbound(stream).ok_or(NOT_RECEIVED)?.stop();
        self.as_writer(from, || {
            self.outlet(stream).ok_or(NOT_RECEIVED)?.close();
            Ok(())
        })
    }

    /// Carries an order out, unless it was. What is to be said about it. `keeps` says whether jobs may go on without a client.
    ///
    /// # Errors
    /// [`ConnectionError`] if it may not be given, or if one before it is missing.
    pub(crate) fn order(
        &self,
        from: &Attachment,
        sequence: u64,
        order: Order,
        keeps: bool,
    ) -> Result<ServerMessage, ConnectionError> {
        if matches!(from.role(), Role::Reader | Role::Snapshot) {
            return Err(ConnectionError::Violation("an order from one who only reads"));
        }
        if self.ended().is_some() {
            // Without effect, and in what is left of a job nobody remembers which came before.
            return Ok(ServerMessage::Applied { sequence });
        }
        if let Order::Control(text) = order {
            return self.tell(from, sequence, text);
        }
        match (self.orders.turn(from.id(), sequence), order) {
            (Turn::Early, _) => return Err(EARLY),
            (Turn::Next, Order::Keep) if !keeps => {
                return Ok(ServerMessage::Declined { sequence, reason: NotKept.to_string() });
            }
            (Turn::Repeated, Order::Keep) if self.grace_ms().is_some() => {
                return Ok(ServerMessage::Declined { sequence, reason: NotKept.to_string() });
            }
            (Turn::Repeated, Order::Resize(_)) if self.terminal_size().is_none() => {
                return Ok(ServerMessage::Declined { sequence, reason: NO_TERMINAL.to_owned() });
            }
            (Turn::Repeated, _) | (_, Order::Control(_)) => {}
            (Turn::Next, Order::Signal(signal)) => self.orders.push(Command::Signal(signal)),
            (Turn::Next, Order::Cancel) => self.orders.push(Command::Cancel),
            (Turn::Next, Order::Keep) => self.lock().presence.keep(),
            (Turn::Next, Order::Resize(size)) => {
                if !self.resize(size) {
                    return Ok(ServerMessage::Declined { sequence, reason: NO_TERMINAL.to_owned() });
                }
            }
        }
        Ok(ServerMessage::Applied { sequence })
    }

    /// Tells it `text`, unless that was done, in the order of the numbers over whatever connection they come.
    fn tell(
        &self,
        from: &Attachment,
        sequence: u64,
        text: ByteString,
    ) -> Result<ServerMessage, ConnectionError> {
        let control = self.control.as_ref().filter(|_| from.role() == Role::Writer).ok_or(NOT_TOLD)?;
        let declined = |why: NotTaken| ServerMessage::Declined { sequence, reason: why.to_string() };
        let _one_after_the_other = self.lock();
        match self.orders.turn(from.id(), sequence) {
            Turn::Early => return Err(EARLY),
            Turn::Repeated if self.orders.was_declined(from.id(), sequence) => {
                return Ok(declined(NotTaken::Full));
            }
            Turn::Repeated => {}
            Turn::Next => {
                if let Err(why) = control.commands.push(&text.0) {
                    self.orders.decline(from.id(), sequence);
                    return Ok(declined(why));
                }
            }
        }
        Ok(ServerMessage::Applied { sequence })
    }

    /// A client was sent everything up to `offset`.
    pub(in crate::job) fn note_sent(&self, to: &Attachment, outlet: &Outlet, offset: u64) {
        let seat = self.lock();
        if to.epoch().is_some_and(|epoch| seat.presence.is_present(epoch)) {
            outlet.sent(offset);
        }
    }

    /// Does `action` if `from` is the job's client, while nobody can take its place.
    fn as_writer(
        &self,
        from: &Attachment,
        action: impl FnOnce() -> Result<(), ConnectionError>,
    ) -> Result<(), ConnectionError> {
        let seat = self.lock();
        if from.epoch().is_some_and(|epoch| seat.presence.is_present(epoch)) { action() } else { Ok(()) }
    }
}
