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
//! While a size is not answered, of those after it the last one waits: a window that is dragged about crowds no other order out, and the
//! size that it has in the end is never one order too many.
//! Acknowledgements have no content here: what is said is what is true when there is room for it.

use std::collections::VecDeque;

use common::frame::{Outputs, StreamId};
use common::job::WindowSize;
use common::limits;
use common::message::Order;

use crate::error::Error;

/// Orders that wait to be answered. A signal that is pending already is not pending twice, so few programs need more than one.
const ORDERS: usize = 64;

/// Bytes that a job is told and that wait to be answered: what a server lets wait, so that more would only be declined.
const TOLD: usize = limits::CONTROL_WAITING;

/// One thing to be said.
#[derive(Debug, Clone, PartialEq, Eq)]
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
    /// The last size, while one before it is not answered, or there is no room.
    waiting_size: Option<WindowSize>,
    /// Which streams that is due for.
    stopped: Outputs<bool>,
    acknowledged: Outputs<bool>,
    leave: Leave,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum Leave {
    #[default]
    No,
    Due,
    Said,
}

impl Unsaid {
    /// Gives an order. A repetition of one that was not said yet is the same one, and of sizes that were not said the last counts. What
    /// a job is told counts as often as it is told.
    ///
    /// # Errors
    /// [`Error::TooManyOrders`]; never for a size, which waits.
    pub(crate) fn order(&mut self, order: Order) -> Result<(), Error> {
        match &order {
            Order::Resize(size) => {
                let size = *size;
                match self.unheard_size() {
                    Some(unheard) => *unheard = order,
                    None => self.waiting_size = Some(size),
                }
                self.take_waiting_size();
                return Ok(());
            }
            Order::Control(text) if self.told() + text.0.len() > TOLD => return Err(Error::TooManyOrders),
            Order::Control(_) => {}
            Order::Signal(_) | Order::Cancel | Order::Keep => {
                if self.unsaid_orders().any(|(_, pending)| *pending == order) {
                    return Ok(());
                }
            }
        }
        if self.orders.len() >= ORDERS {
            return Err(Error::TooManyOrders);
        }
        self.push(order);
        Ok(())
    }

    /// What the order of this number is, if it is not answered yet.
    pub(crate) fn order_of(&self, sequence: u64) -> Option<&Order> {
        self.orders.iter().find(|(number, _)| *number == sequence).map(|(_, order)| order)
    }

    /// The server has answered this order, and all before it.
    pub(crate) fn answered(&mut self, sequence: u64) {
        while self.orders.front().is_some_and(|(first, _)| *first <= sequence) {
            self.orders.pop_front();
        }
        self.take_waiting_size();
    }

    /// Whether every order is answered.
    pub(crate) fn all_answered(&self) -> bool {
        self.orders.is_empty()
    }

    /// This side has got further with a stream.
    pub(crate) fn acknowledge(&mut self, stream: StreamId) {
        set(&mut self.acknowledged, stream, true);
    }

    /// This side wants no more of a stream.
    pub(crate) fn stop(&mut self, stream: StreamId) {
        set(&mut self.stopped, stream, true);
    }

    /// This side parts with the job, once everything else is said.
    pub(crate) fn leave(&mut self) {
        if self.leave == Leave::No {
            self.leave = Leave::Due;
            // Nothing is said behind that, and nobody has that window any more.
            self.waiting_size = None;
        }
    }

    /// Whether this side has parted, or is about to.
    pub(crate) fn is_leaving(&self) -> bool {
        self.leave != Leave::No
    }

    /// The job is asked for on a new connection, in words that say which streams are wanted, and from where.
    pub(crate) fn asked_again(&mut self) {
        self.said_order = 0;
        self.stopped = Outputs::default();
        self.acknowledged = Outputs::default();
    }

    /// What is to be said next.
    pub(crate) fn next(&self) -> Option<Word> {
        let order =
            self.unsaid_orders().next().map(|(sequence, order)| Word::Order(*sequence, order.clone()));
        let leave = || (self.leave == Leave::Due).then_some(Word::Leave);
        order
            .or_else(|| first(&self.stopped).map(Word::Stop))
            .or_else(|| first(&self.acknowledged).map(Word::Acknowledge))
            .or_else(leave)
    }

    /// Whether there is something.
    pub(crate) fn has_next(&self) -> bool {
        let due = |streams: &Outputs<bool>| first(streams).is_some();
        self.unsaid_orders().next().is_some()
            || due(&self.stopped)
            || due(&self.acknowledged)
            || self.leave == Leave::Due
    }

    /// It is said.
    pub(crate) fn said(&mut self, word: &Word) {
        match word {
            Word::Order(sequence, _) => {
                self.said_order = *sequence;
                self.heard_order = self.heard_order.max(*sequence);
            }
            Word::Stop(stream) => {
                set(&mut self.stopped, *stream, false);
                // Nobody needs to know how far this side got.
                set(&mut self.acknowledged, *stream, false);
            }
            Word::Acknowledge(stream) => set(&mut self.acknowledged, *stream, false),
            Word::Leave => self.leave = Leave::Said,
        }
    }

    fn push(&mut self, order: Order) {
        self.last_order += 1;
        self.orders.push_back((self.last_order, order));
    }

    /// The size that waits becomes an order, if it need not wait any more.
    fn take_waiting_size(&mut self) {
        let has_size = self.orders.iter().any(|(_, order)| matches!(order, Order::Resize(_)));
        if let Some(size) = self.waiting_size.take_if(|_| !has_size && self.orders.len() < ORDERS) {
            self.push(Order::Resize(size));
        }
    }

    /// A size that no server can have heard of, on whatever connection: only its number must not be another's.
    fn unheard_size(&mut self) -> Option<&mut Order> {
        let heard = self.heard_order;
        let mut unheard = self.orders.iter_mut().filter(|(sequence, _)| *sequence > heard);
        unheard.find_map(|(_, order)| matches!(order, Order::Resize(_)).then_some(order))
    }

    /// Bytes that the job is told, in what is not answered.
    fn told(&self) -> usize {
        let text = |order: &Order| if let Order::Control(text) = order { text.0.len() } else { 0 };
        self.orders.iter().map(|(_, order)| text(order)).sum()
    }

    fn unsaid_orders(&self) -> impl Iterator<Item = &(u64, Order)> {
        self.orders.iter().filter(|(sequence, _)| *sequence > self.said_order)
    }
}

fn set(due: &mut Outputs<bool>, stream: StreamId, is: bool) {
    if let Some(due) = due.get_mut(stream) {
        *due = is;
    }
}

fn first(due: &Outputs<bool>) -> Option<StreamId> {
    due.iter().find_map(|(stream, is)| is.then_some(stream))
}

#[cfg(test)]
mod tests {
    use common::job::{ByteString, Signal};

    use super::*;

    fn size(rows: u16) -> Order {
        Order::Resize(WindowSize { rows, ..WindowSize::default() })
    }

    fn say_all(unsaid: &mut Unsaid) -> Vec<Word> {
        std::iter::from_fn(|| {
            let word = unsaid.next()?;
            assert!(unsaid.has_next());
            unsaid.said(&word);
            Some(word)
        })
        .collect()
    }

    #[test]
    fn what_was_not_answered_is_said_on_every_connection_in_its_order_and_leaving_comes_last() {
        let (hup, keep) = (Order::Signal(Signal::HUP), Order::Keep);
        let mut unsaid = Unsaid::default();
        unsaid.leave();
        unsaid.order(hup.clone()).unwrap();
        unsaid.order(keep.clone()).unwrap();
        unsaid.order(keep.clone()).unwrap();
        let first = [Word::Order(1, hup.clone()), Word::Order(2, keep.clone()), Word::Leave];
        assert_eq!(say_all(&mut unsaid), first);
        unsaid.answered(1);
        unsaid.asked_again();
        unsaid.order(hup.clone()).unwrap();
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
    fn of_sizes_that_were_not_said_the_last_counts_and_it_waits_for_one_that_was() {
        let mut unsaid = Unsaid::default();
        unsaid.order(size(1)).unwrap();
        unsaid.order(Order::Cancel).unwrap();
        unsaid.order(size(2)).unwrap();
        assert_eq!(say_all(&mut unsaid), [Word::Order(1, size(2)), Word::Order(2, Order::Cancel)]);
        unsaid.order(size(3)).unwrap();
        unsaid.order(size(4)).unwrap();
        assert_eq!(say_all(&mut unsaid), []);
        // On another connection it was not said yet, and may have been carried out on this one.
        unsaid.asked_again();
        unsaid.order(size(5)).unwrap();
        assert_eq!(say_all(&mut unsaid), [Word::Order(1, size(2)), Word::Order(2, Order::Cancel)]);
        unsaid.answered(1);
        assert_eq!(unsaid.order_of(3), Some(&size(5)));
        assert_eq!(say_all(&mut unsaid), [Word::Order(3, size(5))]);
        unsaid.answered(3);
        assert!(unsaid.all_answered());
    }

    #[test]
    fn a_window_that_is_dragged_about_crowds_nothing_out_and_its_last_size_is_not_lost() {
        let mut unsaid = Unsaid::default();
        let rows = u16::try_from(ORDERS).unwrap() * 2;
        for row in 1..=rows {
            unsaid.order(size(row)).unwrap();
            say_all(&mut unsaid);
        }
        unsaid.order(Order::Cancel).unwrap();
        assert_eq!(say_all(&mut unsaid), [Word::Order(2, Order::Cancel)]);
        unsaid.answered(1);
        assert_eq!(say_all(&mut unsaid), [Word::Order(3, size(rows))]);
    }

    #[test]
    fn a_size_for_which_there_is_no_room_is_said_once_there_is() {
        let mut unsaid = Unsaid::default();
        for _ in 0..ORDERS {
            unsaid.order(Order::Cancel).unwrap();
            say_all(&mut unsaid);
        }
        unsaid.order(size(1)).unwrap();
        unsaid.order(size(2)).unwrap();
        assert!(!unsaid.has_next());
        unsaid.answered(1);
        assert_eq!(say_all(&mut unsaid), [Word::Order(ORDERS as u64 + 1, size(2))]);
    }

    #[test]
    fn who_parts_does_not_wait_to_say_a_size() {
        let mut unsaid = Unsaid::default();
        unsaid.order(size(1)).unwrap();
        say_all(&mut unsaid);
        unsaid.order(size(2)).unwrap();
        unsaid.leave();
        assert_eq!(say_all(&mut unsaid), [Word::Leave]);
        unsaid.answered(1);
        assert!(unsaid.all_answered() && !unsaid.has_next());
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
        assert!(!unsaid.has_next());
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

    #[test]
    fn what_a_job_is_told_twice_it_is_told_twice_and_only_so_much_at_a_time() {
        let text = |length| Order::Control(ByteString(vec![b'x'; length]));
        let mut unsaid = Unsaid::default();
        unsaid.order(text(1)).unwrap();
        unsaid.order(text(1)).unwrap();
        let words = [Word::Order(1, text(1)), Word::Order(2, text(1))];
        assert_eq!(say_all(&mut unsaid), words);
        unsaid.asked_again();
        assert_eq!(say_all(&mut unsaid), words);
        unsaid.answered(1);
        unsaid.order(text(TOLD - 1)).unwrap();
        assert!(matches!(unsaid.order(text(1)), Err(Error::TooManyOrders)));
        unsaid.answered(2);
        unsaid.order(text(1)).unwrap();
    }
}
