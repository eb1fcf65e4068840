//! The two ends of one stream and what is under way between them, checked after every step.
//!
//! Bytes are not kept: each stands for its own offset, so a range of offsets is content enough. The channel keeps its
//! order and loses what is under way when the connection breaks. Then the receiver says where it is, and the sender goes on
//! from there: the same one, or another that has the same bytes, as a server has for each connection. Or a sender that may
//! send nothing new repeats all that it has not heard of, as one would that is told nothing.

use std::collections::VecDeque;
use std::ops::Range;

use common::limits::{DATA_PAYLOAD, INITIAL_WINDOW, STREAM_WINDOW};
use common::packet::Ack;
use common::stream::{ReceiveState, SendState, StreamError};

enum ToReceiver {
    Data(Range<u64>),
    Skip(u64),
    Eof(u64),
}

enum ToSender {
    Ack(Ack),
    Stop,
}

/// Selects the end of a connection that is resumed.
pub(crate) const RESUME: u8 = 28;

/// A stream of `goal` bytes on its way.
pub(crate) struct StreamPair {
    sender: SendState,
    receiver: ReceiveState,
    to_receiver: VecDeque<ToReceiver>,
    to_sender: VecDeque<ToSender>,
    goal: u64,
    sent: u64,
    /// How far the sender has ever come, and its total if it has ever said one: that does not change with a connection.
    produced: u64,
    promised: Option<u64>,
    /// What the sender has left out, and cannot send any more; the receiver misses nothing else.
    skipped: Vec<Range<u64>>,
    /// What the sender has said last about its end.
    total: Option<u64>,
    /// The last acknowledgement that the sender has heard.
    heard: Ack,
    /// The limit that follows from that with what was left out since.
    moved_limit: u64,
    /// What was left out and the receiver has not heard of.
    skipping: u64,
    sender_stopped: bool,
    /// Received and not yet handed on.
    queue: VecDeque<Range<u64>>,
    /// How far the receiver has handed on, and that with what it will never have.
    position: u64,
    delivered: u64,
    consumed: u64,
    limit: u64,
    /// The last acknowledgement that the receiver has sent.
    said: Ack,
    receiver_stopped: bool,
}

impl StreamPair {
    pub(crate) fn new(goal: u64) -> Self {
        let start = Ack { limit: INITIAL_WINDOW, ..Ack::default() };
        Self {
            sender: SendState::default(),
            receiver: ReceiveState::default(),
            to_receiver: VecDeque::new(),
            to_sender: VecDeque::new(),
            goal,
            sent: 0,
            produced: 0,
            promised: None,
            skipped: Vec::new(),
            total: None,
            heard: start,
            moved_limit: 0,
            skipping: 0,
            sender_stopped: false,
            queue: VecDeque::new(),
            position: 0,
            delivered: 0,
            consumed: 0,
            limit: INITIAL_WINDOW,
            said: start,
            receiver_stopped: false,
        }
    }

    /// Performs the operation that `selector` names, as far as it makes sense now; `size` says how much of it.
    pub(crate) fn apply(&mut self, selector: u8, size: u32) {
        let size = u64::from(size);
        match selector % 64 {
            0..14 => self.send(1 + size % (DATA_PAYLOAD as u64)),
            14..28 => self.receive(),
            RESUME => self.resume(size),
            29 => self.skip(size),
            30..42 => self.deliver(1 + size % STREAM_WINDOW, window(size)),
            42..48 => self.consume(size),
            48..58 => self.hear(),
            58 => self.reconnect(1 + size % 20),
            59 => self.stop(size),
            60 => self.finish(size),
            61 | 62 => self.hostile_bytes(size),
            _ => self.hostile_acks(size),
        }
        self.check();
    }

    /// Lets everyone do their duty until the stream has ended.
    pub(crate) fn settle(&mut self) {
        while !(self.receiver.is_ended() && self.queue.is_empty()) {
            let before = self.progress();
            while self.sender.credit().min(self.goal.saturating_sub(self.sent)) > 0 {
                self.send(DATA_PAYLOAD as u64);
            }
            if self.sent >= self.goal || self.sender_stopped {
                self.finish(0);
            }
            while !self.to_receiver.is_empty() {
                self.receive();
            }
            while !self.queue.is_empty() {
                self.deliver(u64::MAX, INITIAL_WINDOW);
            }
            while !self.to_sender.is_empty() {
                self.hear();
            }
            self.check();
            assert_ne!(before, self.progress(), "nobody can go on");
        }
        assert_eq!((self.receiver.received(), self.total), (self.sent, Some(self.sent)));
        self.step_over_gaps();
        assert!(self.receiver_stopped || self.delivered == self.sent, "bytes were lost");
        assert!(
            self.receiver_stopped || self.position == self.sent,
            "bytes were lost, and others counted twice"
        );
        assert!(self.receiver_stopped || self.sent == self.goal, "the sender gave up");
    }

    fn progress(&self) -> impl PartialEq + std::fmt::Debug + use<> {
        let sender = (self.sent, self.total, self.heard, self.sender_stopped);
        (sender, self.receiver.received(), self.delivered, self.receiver.is_ended())
    }

    fn send(&mut self, most: u64) {
        let credit = self.sender.credit();
        assert_eq!(self.sender.send(credit as usize + 1), None, "sent beyond the limit");
        if let Some(range) = self.skipped.iter().find(|range| range.contains(&self.sent)) {
            return self.leave_out(range.end);
        }
        let next_gap = self.skipped.iter().map(|range| range.start).filter(|start| *start > self.sent).min();
        let until = self.goal.min(next_gap.unwrap_or(u64::MAX));
        let len = most.min(credit).min(until.saturating_sub(self.sent));
        if len == 0 {
            return;
        }
        assert_eq!(self.sender.send(len as usize), Some(self.sent));
        self.to_receiver.push_back(ToReceiver::Data(self.sent..self.sent + len));
        self.sent += len;
        self.produced = self.produced.max(self.sent);
    }

    fn leave_out(&mut self, to: u64) {
        if self.sender_stopped {
            return;
        }
        let skipped = to - self.sent;
        self.sender.skip(to);
        self.moved_limit = self.moved_limit.max(self.heard.limit) + skipped;
        self.skipping += skipped;
        self.sent = to;
        self.produced = self.produced.max(to);
        self.goal = self.goal.max(to);
        self.to_receiver.push_back(ToReceiver::Skip(to));
    }

    /// What the receiver does not have yet is not kept any more.
    fn skip(&mut self, size: u64) {
        if self.promised.is_some()
            || self.sender_stopped
            || self.sent < self.produced
            || !size.is_multiple_of(3)
        {
            return;
        }
        let to = self.sent + 1 + size % 100_000;
        self.skipped.push(self.sent..to);
        self.leave_out(to);
    }

    /// The connection breaks, and on the next one the receiver says where it is: a sender that knows the stream goes back to there,
    /// and another begins there. A stream that has ended, or is not wanted, is not gone on with.
    fn resume(&mut self, size: u64) {
        if self.receiver_stopped || self.receiver.is_ended() {
            return;
        }
        self.to_receiver.clear();
        self.to_sender.clear();
        let ack = self.receiver.resume();
        let consumed = self.consumed;
        assert_eq!(ack, Ack { received: self.receiver.received(), limit: self.limit, consumed });
        self.heard = if size.is_multiple_of(2) {
            self.refuses_to_resume(size, ack);
            self.sender.resume(ack).unwrap();
            ack
        } else {
            self.sender = SendState::starting_at(ack.received, ack.limit - ack.received);
            Ack { consumed: 0, ..ack }
        };
        self.said = ack;
        (self.moved_limit, self.skipping) = (0, 0);
        self.sent = ack.received;
        self.total = None;
    }

    fn refuses_to_resume(&mut self, size: u64, ack: Ack) {
        let far = 1 + size % 1_000_000;
        let ahead = self.sent + far;
        let wrong = [
            Some(Ack { received: ahead, limit: ack.limit.max(ahead), ..ack }),
            Some(Ack { received: u64::MAX, limit: u64::MAX, consumed: u64::MAX }),
            Some(Ack { consumed: ack.received + far, ..ack }),
            ack.received.checked_sub(far).map(|limit| Ack { limit, ..ack }),
            self.heard.received.checked_sub(far).map(|received| Ack { received, ..ack }),
            self.heard.consumed.checked_sub(far).map(|consumed| Ack { consumed, ..ack }),
        ];
        for ack in wrong.into_iter().flatten() {
            assert_eq!(self.sender.resume(ack), Err(StreamError::ImpossibleAck), "{ack:?}");
        }
    }

    fn receive(&mut self) {
        let before = self.receiver.received();
        match self.to_receiver.pop_front() {
            Some(ToReceiver::Data(range)) => {
                let len = (range.end - range.start) as usize;
                let repeated = self.receiver.receive(range.start, len).unwrap() as u64;
                if self.receiver_stopped {
                    assert_eq!(repeated as usize, len, "kept what nobody wants");
                } else if repeated < len as u64 {
                    assert_eq!(range.start + repeated, before, "kept a byte twice or lost one");
                    self.queue.push_back(before..range.end);
                }
                assert_eq!(self.receiver.received(), before.max(range.end));
            }
            Some(ToReceiver::Skip(to)) => {
                self.receiver.skip(to).unwrap();
                let skipped = to.saturating_sub(before);
                assert_eq!(self.receiver.received(), before + skipped);
                self.limit += skipped;
                self.skipping -= skipped;
                self.delivered += skipped;
                self.acknowledge();
            }
            Some(ToReceiver::Eof(total)) => {
                self.receiver.finish(total).unwrap();
                assert!(self.receiver.is_ended() && total == before);
            }
            None => {}
        }
    }

    fn deliver(&mut self, most: u64, window: u64) {
        let Some(range) = self.queue.pop_front() else { return };
        self.step_over_gaps();
        assert_eq!(range.start, self.position, "out of order");
        let end = range.end.min(range.start.saturating_add(most));
        if end < range.end {
            self.queue.push_front(end..range.end);
        }
        let len = end - range.start;
        self.receiver.deliver(len as usize, window);
        self.position = end;
        self.delivered += len;
        self.limit = self.limit.max(self.delivered + window);
        self.acknowledge();
    }

    fn step_over_gaps(&mut self) {
        while let Some(gap) = self.skipped.iter().find(|gap| gap.start == self.position) {
            self.position = gap.end;
        }
    }

    fn consume(&mut self, size: u64) {
        // Also behind what was consumed and ahead of what was delivered: neither may count.
        let offset = size % (self.delivered + 1000);
        self.receiver.consume(offset);
        if !self.receiver_stopped {
            self.consumed = self.consumed.max(offset.min(self.delivered));
        }
        self.acknowledge();
    }

    fn acknowledge(&mut self) {
        let Some(ack) = self.receiver.due_ack() else { return };
        assert!(!self.receiver.is_ended(), "an acknowledgement after the end");
        assert!(ack.received == self.receiver.received() && ack.limit == self.limit, "{ack:?}");
        assert!(ack.consumed == self.consumed || self.receiver_stopped, "{ack:?}");
        self.say(ack);
    }

    fn say(&mut self, ack: Ack) {
        let last = self.said;
        assert!(ack.received >= last.received && ack.limit >= last.limit && ack.consumed >= last.consumed);
        assert!(ack.consumed <= ack.received && ack.received <= ack.limit, "{ack:?}");
        self.said = ack;
        self.to_sender.push_back(ToSender::Ack(ack));
    }

    fn hear(&mut self) {
        match self.to_sender.pop_front() {
            Some(ToSender::Ack(ack)) => {
                self.sender.acknowledge(ack).unwrap();
                self.heard = ack;
            }
            Some(ToSender::Stop) => {
                self.sender.stop();
                assert!(self.sender.is_stopped());
                self.sender_stopped = true;
            }
            None => {}
        }
    }

    /// The connection breaks and there is a new one. What is repeated comes in other pieces than before.
    fn reconnect(&mut self, pieces: u64) {
        if !self.skipped.is_empty() || self.heard.received > self.sent {
            return;
        }
        self.to_receiver.clear();
        self.to_sender.clear();
        self.say(Ack { received: self.receiver.received(), ..self.said });
        if self.receiver_stopped {
            self.to_sender.push_back(ToSender::Stop);
        }
        let mut offset = self.heard.received;
        let step = 1 + (self.sent - offset) / pieces;
        while offset < self.sent {
            let end = self.sent.min(offset + step);
            self.to_receiver.push_back(ToReceiver::Data(offset..end));
            offset = end;
        }
        self.to_receiver.extend(self.total.map(ToReceiver::Eof));
    }

    fn stop(&mut self, size: u64) {
        // Rare, or most histories would be about nothing else.
        if !size.is_multiple_of(4) {
            return;
        }
        let tell = self.receiver.stop();
        assert_eq!(tell, !self.receiver_stopped && !self.receiver.is_ended());
        if tell {
            self.receiver_stopped = true;
            self.queue.clear();
            self.to_sender.push_back(ToSender::Stop);
        }
    }

    fn finish(&mut self, size: u64) {
        if !size.is_multiple_of(4) {
            return;
        }
        if self.sent < self.produced && !self.sender_stopped {
            return;
        }
        let total = self.sender.finish();
        assert_eq!(total, self.total.is_none().then_some(self.sent), "an end comes once");
        if let Some(total) = total {
            self.goal = total;
            assert!(self.promised.is_none_or(|promised| promised == total) || self.sender_stopped);
            self.promised = Some(total);
            self.total = Some(total);
            self.to_receiver.push_back(ToReceiver::Eof(total));
        }
        assert_eq!(self.sender.credit(), 0);
    }

    fn hostile_bytes(&mut self, size: u64) {
        let received = self.receiver.received();
        let far = 1 + size % 1_000_000;
        let gap = StreamError::Gap { offset: received + far, received };
        assert_eq!(self.receiver.receive(received + far, size as usize), Err(gap));
        assert_eq!(self.receiver.receive(u64::MAX, 1), Err(StreamError::Gap { offset: u64::MAX, received }));
        let offset = received.saturating_sub(size % 100_000);
        let beyond = StreamError::BeyondLimit { end: self.limit + far, limit: self.limit };
        assert_eq!(self.receiver.receive(offset, (self.limit + far - offset) as usize), Err(beyond));
        let totals = [Some(received + far), received.checked_sub(far), Some(u64::MAX)];
        for total in totals.into_iter().flatten() {
            assert_eq!(self.receiver.finish(total), Err(StreamError::WrongTotal { total, received }));
        }
        if self.receiver.is_ended() && received < self.limit {
            let len = (received - offset + 1) as usize;
            assert_eq!(self.receiver.receive(offset, len), Err(StreamError::AfterEnd));
        }
        if self.receiver.is_ended() {
            assert_eq!(self.receiver.skip(received + far), Err(StreamError::AfterEnd));
        }
        assert_eq!(self.receiver.skip(received), Ok(()));
        assert_eq!(self.receiver.skip(0), Ok(()));
        assert_eq!(self.receiver.received(), received, "what was refused had an effect");
    }

    fn hostile_acks(&mut self, size: u64) {
        let Ack { received, limit, consumed } = self.heard;
        let far = 1 + size % 1_000_000;
        let ahead = self.sent + far;
        let wrong = [
            Some(Ack { received: ahead, limit: limit.max(ahead), consumed }),
            Some(Ack { received: u64::MAX, limit: u64::MAX, consumed: u64::MAX }),
            Some(Ack { consumed: received + far, ..self.heard }),
            limit.checked_sub(far).map(|limit| Ack { limit, ..self.heard }),
            received.checked_sub(far).map(|received| Ack { received, ..self.heard }),
            consumed.checked_sub(far).map(|consumed| Ack { consumed, ..self.heard }),
        ];
        for ack in wrong.into_iter().flatten() {
            assert_eq!(self.sender.acknowledge(ack), Err(StreamError::ImpossibleAck), "{ack:?}");
        }
    }

    fn check(&self) {
        assert_eq!((self.sender.sent(), self.sender.consumed()), (self.sent, self.heard.consumed));
        let open = self.total.is_none() && !self.sender_stopped;
        let limit = self.heard.limit.max(self.moved_limit);
        assert_eq!(self.sender.credit(), if open { limit - self.sent } else { 0 });
        let received = self.receiver.received();
        assert!(self.consumed <= self.delivered && self.delivered <= received && received <= self.limit);
        assert!(received <= self.sent && self.sent <= self.limit + self.skipping && self.sent <= limit);
        let waiting: u64 = self.queue.iter().map(|range| range.end - range.start).sum();
        assert!(self.receiver_stopped || self.delivered + waiting == received);
    }
}

/// With or without a share of the budget, and something in between.
fn window(size: u64) -> u64 {
    match size % 3 {
        0 => INITIAL_WINDOW,
        1 => STREAM_WINDOW,
        _ => INITIAL_WINDOW + size % (STREAM_WINDOW - INITIAL_WINDOW),
    }
}
