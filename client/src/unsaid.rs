//! What this side has to say about one job and has not said on the present connection. No connection: words out.
//!
//! ```text
//!                 order, acknowledge, stop, leave
//!   nothing unsaid ──────────────────────────────► some unsaid
//!         ▲                 next, said                 │
//!         └────────────────────────────────────────────┘
//! ```
//!
//! Orders are numbered when they are given and remembered until the server has answered them, so that a lost connection loses none.
//! Acknowledgements have no content here: what is said is what is true when there is room for it.

use std::collections::VecDeque;

use common::frame::StreamId;
use common::message::Order;

use crate::error::Error;

/// Orders that wait to be answered. A signal that is pending already is not pending twice, so few programs need more than one.
const ORDERS: usize = 64;

/// One thing to be said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Word {
    Order(u64, Order),
    /// This side wants no more of the stream.
    Stop(StreamId),
    /// How far this side has got with the stream.
    Acknowledge(StreamId),
    /// This side parts with the job.
    Leave,
}

/// The words about one job.
#[derive(Debug, Default)]
pub(crate) struct Unsaid {
    orders: VecDeque<(u64, Order)>,
    last_order: u64,
    /// The last order that was said on this connection.
    said_order: u64,
    /// The last order that was said on any.
    heard_order: u64,
    stopped: Streams,
    acknowledged: Streams,
    leave: Leave,
}

/// Whether something is due for stdout, and for stderr.
#[derive(Debug, Default)]
struct Streams {
    stdout: bool,
    stderr: bool,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum Leave {
    #[default]
    No,
    Due,
    Said,
}

impl Unsaid {
    /// Gives an order. A repetition of one that was not said yet is the same one, and of sizes that were not said the last counts.
    ///
    /// # Errors
    /// [`Error::TooManyOrders`].
    pub(crate) fn order(&mut self, order: Order) -> Result<(), Error> {
        if let Order::Resize(_) = order {
            if let Some(unheard) = self.unheard_size() {
                *unheard = order;
                return Ok(());
            }
        } else if self.unsaid_orders().any(|(_, pending)| *pending == order) {
            return Ok(());
        }
        if self.orders.len() >= ORDERS {
            return Err(Error::TooManyOrders);
        }
        self.last_order += 1;
        self.orders.push_back((self.last_order, order));
        Ok(())
    }

    /// What the order of this number is, if it is not answered yet.
    pub(crate) fn order_of(&self, sequence: u64) -> Option<Order> {
        self.orders.iter().find(|(number, _)| *number == sequence).map(|(_, order)| *order)
    }

    /// The server has answered this order, and all before it.
    pub(crate) fn answered(&mut self, sequence: u64) {
        while self.orders.front().is_some_and(|(first, _)| *first <= sequence) {
            self.orders.pop_front();
        }
    }

    /// Whether every order is answered.
    pub(crate) fn all_answered(&self) -> bool {
        self.orders.is_empty()
    }

    /// This side has got further with a stream.
    pub(crate) fn acknowledge(&mut self, stream: StreamId) {
        self.acknowledged.set(stream, true);
    }

    /// This side wants no more of a stream.
    pub(crate) fn stop(&mut self, stream: StreamId) {
        self.stopped.set(stream, true);
    }

    /// This side parts with the job, once everything else is said.
    pub(crate) fn leave(&mut self) {
        if self.leave == Leave::No {
            self.leave = Leave::Due;
        }
    }

    /// Whether this side has parted, or is about to.
    pub(crate) fn is_leaving(&self) -> bool {
        self.leave != Leave::No
    }

    /// The job is asked for on a new connection, in words that say which streams are wanted, and from where.
    pub(crate) fn asked_again(&mut self) {
        self.said_order = 0;
        self.stopped = Streams::default();
        self.acknowledged = Streams::default();
    }

    /// What is to be said next.
    pub(crate) fn next(&self) -> Option<Word> {
        let order = self.unsaid_orders().next().map(|(sequence, order)| Word::Order(*sequence, *order));
        let leave = || (self.leave == Leave::Due).then_some(Word::Leave);
        order
            .or_else(|| self.stopped.first().map(Word::Stop))
            .or_else(|| self.acknowledged.first().map(Word::Acknowledge))
            .or_else(leave)
    }

    /// It is said.
    pub(crate) fn said(&mut self, word: Word) {
        match word {
            Word::Order(sequence, _) => {
                self.said_order = sequence;
                self.heard_order = self.heard_order.max(sequence);
            }
            Word::Stop(stream) => {
                self.stopped.set(stream, false);
                // Nobody needs to know how far this side got.
                self.acknowledged.set(stream, false);
            }
            Word::Acknowledge(stream) => self.acknowledged.set(stream, false),
            Word::Leave => self.leave = Leave::Said,
        }
    }

    /// A size that no server can have heard of, on whatever connection: only its number must not be another's.
    fn unheard_size(&mut self) -> Option<&mut Order> {
        let heard = self.heard_order;
        let mut unheard = self.orders.iter_mut().filter(|(sequence, _)| *sequence > heard);
        unheard.find_map(|(_, order)| matches!(order, Order::Resize(_)).then_some(order))
    }

    fn unsaid_orders(&self) -> impl Iterator<Item = &(u64, Order)> {
        self.orders.iter().filter(|(sequence, _)| *sequence > self.said_order)
    }
}

impl Streams {
    fn set(&mut self, stream: StreamId, due: bool) {
        match stream {
            StreamId::Stdout => self.stdout = due,
            StreamId::Stderr => self.stderr = due,
            StreamId::Stdin => {}
        }
    }

    fn first(&self) -> Option<StreamId> {
        let stdout = self.stdout.then_some(StreamId::Stdout);
        stdout.or_else(|| self.stderr.then_some(StreamId::Stderr))
    }
}

#[cfg(test)]
mod tests {
    use common::job::{Signal, WindowSize};

    use super::*;

    fn say_all(unsaid: &mut Unsaid) -> Vec<Word> {
        std::iter::from_fn(|| {
            let word = unsaid.next()?;
            unsaid.said(word);
            Some(word)
        })
        .collect()
    }

    #[test]
    fn what_was_not_answered_is_said_on_every_connection_in_its_order_and_leaving_comes_last() {
        let (hup, keep) = (Order::Signal(Signal::HUP), Order::Keep);
        let mut unsaid = Unsaid::default();
        unsaid.leave();
        unsaid.order(hup).unwrap();
        unsaid.order(keep).unwrap();
        unsaid.order(keep).unwrap();
        let first = [Word::Order(1, hup), Word::Order(2, keep), Word::Leave];
        assert_eq!(say_all(&mut unsaid), first);
        unsaid.answered(1);
        unsaid.asked_again();
        unsaid.order(hup).unwrap();
        assert_eq!(say_all(&mut unsaid), [Word::Order(2, keep), Word::Order(3, hup)]);
        assert!(!unsaid.all_answered() && unsaid.is_leaving());
        unsaid.answered(3);
        assert!(unsaid.all_answered());
    }

    #[test]
    fn an_order_that_was_said_can_be_given_again() {
        let mut unsaid = Unsaid::default();
        unsaid.order(Order::Cancel).unwrap();
        say_all(&mut unsaid);
        unsaid.order(Order::Cancel).unwrap();
        assert_eq!(say_all(&mut unsaid), [Word::Order(2, Order::Cancel)]);
    }

    #[test]
    fn of_sizes_that_were_not_said_the_last_counts_and_of_those_that_were_each() {
        let size = |rows| Order::Resize(WindowSize { rows, ..WindowSize::default() });
        let mut unsaid = Unsaid::default();
        unsaid.order(size(1)).unwrap();
        unsaid.order(Order::Cancel).unwrap();
        unsaid.order(size(2)).unwrap();
        assert_eq!(say_all(&mut unsaid), [Word::Order(1, size(2)), Word::Order(2, Order::Cancel)]);
        unsaid.order(size(3)).unwrap();
        assert_eq!(unsaid.order_of(3), Some(size(3)));
        assert_eq!(say_all(&mut unsaid), [Word::Order(3, size(3))]);
        // On another connection it was not said yet, and may have been carried out on this one.
        unsaid.answered(2);
        unsaid.asked_again();
        unsaid.order(size(4)).unwrap();
        unsaid.order(size(3)).unwrap();
        assert_eq!(say_all(&mut unsaid), [Word::Order(3, size(3)), Word::Order(4, size(3))]);
    }

    #[test]
    fn a_stream_that_is_stopped_needs_no_acknowledgement_and_none_is_about_an_earlier_connection() {
        let mut unsaid = Unsaid::default();
        unsaid.acknowledge(StreamId::Stdout);
        unsaid.acknowledge(StreamId::Stderr);
        unsaid.stop(StreamId::Stdout);
        let words = [Word::Stop(StreamId::Stdout), Word::Acknowledge(StreamId::Stderr)];
        assert_eq!(say_all(&mut unsaid), words);
        unsaid.acknowledge(StreamId::Stderr);
        unsaid.asked_again();
        assert_eq!(unsaid.next(), None);
    }

    #[test]
    fn there_are_only_so_many_orders() {
        let mut unsaid = Unsaid::default();
        for _ in 0..ORDERS {
            unsaid.order(Order::Cancel).unwrap();
            say_all(&mut unsaid);
        }
        assert!(matches!(unsaid.order(Order::Cancel), Err(Error::TooManyOrders)));
    }
}
