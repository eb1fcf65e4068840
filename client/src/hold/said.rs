//! What is said to the server about one job: the request, and then whatever waits for a connection with room. Nothing is heard
//! here.

use common::frame::StreamId;
use common::greeting::Features;
use common::job::{ByteString, WindowSize};
use common::message::{self, Attach, ClientMessage, Order, Position, Role, Start, Wanted};
use common::packet::{Ack, Packet};
use common::stream::Inbound;
use tokio::sync::mpsc::Permit;

use super::{Hold, Origin, State};
use crate::clock::Since;
use crate::error::Error;
use crate::unsaid::{Unsaid, Word};

impl Hold {
    /// What is to be said on a connection to have hold of the job there.
    pub(crate) fn request(&self) -> ClientMessage {
        let mut state = self.lock();
        let age_ms = state.asked.map_or(0, Since::milliseconds);
        state.asked.get_or_insert_with(Since::now);
        state.unsaid.asked_again();
        if !state.joined {
            // The first request wants what was wanted at first.
            let stopped = self.asked_for().filter(|(_, inbound)| inbound.is_stopped());
            stopped.for_each(|(stream, _)| state.unsaid.stop(stream));
        }
        match &self.origin {
            Origin::Start(start, extras, _) if !state.joined => {
                Start { age_ms, ..Start::clone(start) }.say(extras)
            }
            Origin::Attach(attach) if !state.joined => ClientMessage::Attach(attach.clone()),
            origin => {
                let (role, times) = match origin {
                    Origin::Start(..) => (Role::Writer, false),
                    Origin::Attach(attach) => (attach.role, attach.times),
                };
                let streams = self.still_wanted();
                let (job, attachment) = (self.id().clone(), self.attachment());
                ClientMessage::Attach(Attach { job, attachment, role, streams, times })
            }
        }
    }

    /// The streams that have not come to their end, from where they have come to.
    fn still_wanted(&self) -> Vec<Wanted> {
        let open = self.asked_for().filter(|(_, inbound)| !inbound.is_ended() && !inbound.is_stopped());
        open.map(|(stream, inbound)| {
            let Ack { received, limit, .. } = inbound.resume();
            Wanted { stream, from: Position::At(received), window: limit - received }
        })
        .collect()
    }

    /// Adds to what is to be said, and says it if there is a connection with room; else it is said when there is.
    fn say<T>(&self, add: impl FnOnce(&mut Unsaid) -> T) -> T {
        let mut state = self.lock();
        let added = add(&mut state.unsaid);
        self.say_all(&mut state);
        added
    }

    pub(super) fn say_all(&self, state: &mut State) {
        let Some(link) = &state.link else { return };
        while let Some(word) = state.unsaid.next() {
            if link.sender.try_send_control(self.packet(word.clone())).is_err() {
                // Whoever waits for room says it, or the next connection.
                self.crowded.notify_one();
                return;
            }
            state.unsaid.said(&word);
        }
    }

    /// Says one thing with the room that was found on the connection of `generation`. Whether there is more.
    pub(crate) fn say_one(&self, generation: u64, room: Permit<'_, Packet<ClientMessage>>) -> bool {
        let mut state = self.lock();
        let is_linked = state.link.as_ref().is_some_and(|link| link.generation == generation);
        if let (Some(word), true) = (state.unsaid.next(), is_linked) {
            state.unsaid.said(&word);
            room.send(self.packet(word));
        }
        is_linked && state.unsaid.has_next()
    }

    fn packet(&self, word: Word) -> Packet<ClientMessage> {
        let job = self.number;
        match word {
            Word::Order(sequence, order) => {
                Packet::Message { job, message: ClientMessage::Order { sequence, order } }
            }
            Word::Stop(stream) => Packet::StopSending { job, stream },
            Word::Acknowledge(stream) => {
                let ack = self.inbound(stream).map_or_else(Ack::default, Inbound::resume);
                Packet::Ack { job, stream, ack }
            }
            Word::Leave => Packet::Message { job, message: ClientMessage::Leave },
        }
    }

    /// Whether something waits for room on the connection of `generation`.
    pub(crate) fn waits_for_room(&self, generation: u64) -> bool {
        let state = self.lock();
        state.link.as_ref().is_some_and(|link| link.generation == generation) && state.unsaid.has_next()
    }

    /// Gives the job an order, as soon as it can be reached.
    ///
    /// # Errors
    /// [`Error::TooManyOrders`].
    pub(crate) fn order(&self, order: Order) -> Result<(), Error> {
        self.say(|unsaid| unsaid.order(order))
    }

    /// Tells the job `text` by its control descriptor, as soon as it can be reached.
    ///
    /// # Errors
    /// [`Error::NoControl`], [`Error::TooLong`], [`Error::TooManyOrders`]; [`Error::Declined`] once for what it was told before and did
    /// not reach it, and then this was not told either.
    pub(crate) fn tell(&self, text: &[u8]) -> Result<(), Error> {
        if !self.has_control() {
            return Err(Error::NoControl { id: self.id().clone() });
        }
        if let Some(reason) = self.lock().untold.take() {
            return Err(Error::Declined { id: self.id().clone(), reason });
        }
        let order = Order::Control(ByteString(text.to_vec()));
        message::check_size(&ClientMessage::Order { sequence: 0, order: order.clone() })?;
        if text.is_empty() { Ok(()) } else { self.order(order) }
    }

    /// Has the job's terminal resized, as soon as it can be reached. Of a job that may have none it is said once it is known to have
    /// one: its server or its supervisor may be too old for the word.
    ///
    /// # Errors
    /// None at present.
    pub(crate) fn resize(&self, size: WindowSize) -> Result<(), Error> {
        {
            let mut state = self.lock();
            if state.terminal.is_none() && !self.origin.needs().contain(Features::TERMINALS) {
                state.wanted_size = Some(size);
                return Ok(());
            }
        }
        self.order(Order::Resize(size))
    }

    /// Tells how far this side has got with a stream.
    pub(crate) fn acknowledge(&self, stream: StreamId) {
        self.say(|unsaid| unsaid.acknowledge(stream));
    }

    /// Tells that this side wants no more of a stream.
    pub(crate) fn stop(&self, stream: StreamId) {
        self.say(|unsaid| unsaid.stop(stream));
    }

    /// Parts with the job.
    pub(crate) fn leave(&self) {
        self.say(Unsaid::leave);
    }

    /// Whether this side has parted with the job, and nothing of it is left to be said.
    pub(crate) fn has_left(&self) -> bool {
        let state = self.lock();
        let said = state.link.is_none() || !state.unsaid.has_next();
        state.unsaid.is_leaving() && state.unsaid.all_answered() && said
    }

    /// Whether it was given an order that is not known to be carried out.
    pub(crate) fn has_orders(&self) -> bool {
        !self.lock().unsaid.all_answered()
    }
}
