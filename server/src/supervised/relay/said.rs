//! What a client has said to a job with a supervisor, what of it has reached the supervisor, and how far its output was passed on.
//! Pure: knows no socket.

use std::collections::VecDeque;

use common::frame::StreamId;
use common::limits;
use common::message::{ClientMessage, Order};
use common::packet::{Ack, Packet};
use common::stream::Retained;

use super::NUMBER;

/// Orders that may wait here. A client of ours has no more of them pending.
pub(super) const ORDERS: usize = 64;

/// What the client has said, and the supervisor was not told.
#[derive(Debug, Default)]
pub(super) struct Said {
    pub(super) stdin: Retained,
    /// How far the client may send.
    pub(super) limit: u64,
    /// How much of stdin was passed on.
    pub(super) passed: u64,
    pub(super) eof: Option<u64>,
    pub(super) eof_passed: bool,
    pub(super) acks: [Option<Ack>; 2],
    pub(super) stop: [bool; 2],
    pub(super) orders: VecDeque<(u64, Order)>,
    pub(super) leave: bool,
    /// Its machine says that there is no such connection.
    pub(super) reset: bool,
    /// Whether the client knows that it has hold of the job.
    pub(super) attached: bool,
    pub(super) outputs: [Passed; 2],
}

/// How far an output stream was passed on to the client.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Passed {
    /// Where it begins for the client.
    pub(super) from: u64,
    pub(super) to: u64,
    pub(super) limit: u64,
    pub(super) ended: bool,
    /// What the client has acknowledged of it, if it has.
    pub(super) acked: Option<Ack>,
    /// The client wants no more of it.
    pub(super) stopped: bool,
}

/// What is to be told next.
pub(super) enum Next {
    Packet(Packet<ClientMessage>),
    /// In order, behind what was sent of stdin.
    Ordered(Packet<ClientMessage>),
    Leave,
}

impl Said {
    pub(super) fn note(&mut self, stream: StreamId, change: impl FnOnce(&mut Passed)) {
        let [stdout, stderr] = &mut self.outputs;
        match stream {
            StreamId::Stdout => change(stdout),
            StreamId::Stderr => change(stderr),
            StreamId::Stdin | StreamId::Control => {}
        }
    }

    pub(super) fn passed(&self, stream: StreamId) -> Option<&Passed> {
        let [stdout, stderr] = &self.outputs;
        match stream {
            StreamId::Stdout => Some(stdout),
            StreamId::Stderr => Some(stderr),
            StreamId::Stdin | StreamId::Control => None,
        }
    }

    /// Stdin goes on where the supervisor has got to.
    pub(super) fn begin(&mut self, received: u64, limit: u64) {
        // What was said before that is on its way there.
        if received > self.stdin.end() {
            self.stdin = Retained::starting_at(received);
            self.passed = received;
        }
        self.limit = self.limit.max(limit);
    }

    pub(super) fn acknowledged(&mut self, ack: Ack) {
        self.limit = self.limit.max(ack.limit);
    }

    pub(super) fn next(&mut self) -> Option<Next> {
        let job = NUMBER;
        if let Some((sequence, order)) = self.orders.pop_front() {
            return Some(Next::Packet(Packet::Message {
                job,
                message: ClientMessage::Order { sequence, order },
            }));
        }
        for (index, stream) in [StreamId::Stdout, StreamId::Stderr].into_iter().enumerate() {
            if let Some(ack) = self.acks.get_mut(index).and_then(Option::take) {
                return Some(Next::Packet(Packet::Ack { job, stream, ack }));
            }
            if self.stop.get_mut(index).is_some_and(std::mem::take) {
                return Some(Next::Packet(Packet::StopSending { job, stream }));
            }
        }
        let bytes = self.stdin.read(self.passed, limits::DATA_PAYLOAD);
        if !bytes.is_empty() {
            let offset = self.passed;
            self.passed += bytes.len() as u64;
            self.stdin.release(self.passed);
            return Some(Next::Ordered(Packet::Data { job, stream: StreamId::Stdin, offset, bytes }));
        }
        if let Some(total) = self.eof.filter(|_| !self.eof_passed) {
            self.eof_passed = true;
            return Some(Next::Ordered(Packet::Eof { job, stream: StreamId::Stdin, total }));
        }
        self.leave.then_some(Next::Leave)
    }
}
