//! Who is a job's client, and when the job has to end because nobody is. No connection and no clock: events and times in.

mod handed;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use common::job::{Keeping, OnDisconnect};
use common::message::AttachmentId;

/// How long a client is waited for whose own machine has reset the connection: hardly ever does anybody else, and then the client
/// is back at once.
pub(crate) const RETURN: Duration = Duration::from_secs(1);

/// How a client has parted with a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Departure {
    /// It said so, or its process is known to be dead.
    Gone,
    /// Its machine says that there is no such connection.
    Reset,
    /// Its line is lost. It may be back.
    Lost,
}

/// Counts the clients of a job, so that an old one is not taken for the present one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Epoch(u64);

/// A job and its client.
///
/// ```text
///               attach                    lost, reset
///   Vacant ───────────────► Held ──────────────────────► Away
///     ▲                     ▲  │                          │  │
///     │                     │  └─ gone ─┐   elapsed ──────┘  │ attach
///     │                     └───────────┼────────────────────┘
///     └─── if it is kept ───────────────┤
///   Abandoned ◄── else ─────────────────┘
/// ```
///
/// Whoever attaches takes the place of whoever is there. An abandoned job is ended; somebody may still attach, to see its end.
#[derive(Debug)]
pub(crate) struct Presence {
    state: State,
    epoch: u64,
    on_disconnect: OnDisconnect,
    grace: Duration,
    /// Whether it was ever given up. That is not taken back.
    abandoned: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Vacant,
    Held,
    Away { until: Instant },
}

impl Presence {
    /// A job that nobody is attached to yet.
    pub(crate) fn new(keeping: &Keeping) -> Self {
        Self {
            state: State::Vacant,
            epoch: 0,
            on_disconnect: keeping.on_disconnect,
            grace: keeping.grace(),
            abandoned: false,
        }
    }

    /// Somebody is expected, as if their line had been lost at `now`; unless the job goes on without anybody.
    pub(crate) fn wait(&mut self, now: Instant) {
        if self.on_disconnect == OnDisconnect::Kill
            && let Some(until) = now.checked_add(self.grace.max(RETURN))
        {
            self.state = State::Away { until };
        }
    }

    /// Somebody is its client from now on.
    pub(crate) fn attach(&mut self) -> Epoch {
        self.state = State::Held;
        self.epoch += 1;
        Epoch(self.epoch)
    }

    /// Whether `epoch` is that of the present client.
    pub(crate) fn is_present(&self, epoch: Epoch) -> bool {
        self.state == State::Held && epoch.0 == self.epoch
    }

    /// The client of `epoch` has parted. Without effect if another one has taken its place.
    pub(crate) fn depart(&mut self, epoch: Epoch, departure: Departure, now: Instant) {
        if !self.is_present(epoch) {
            return;
        }
        let grace = match departure {
            Departure::Gone => Duration::ZERO,
            Departure::Reset => self.grace.min(RETURN),
            Departure::Lost => self.grace,
        };
        match now.checked_add(grace) {
            Some(until) if grace > Duration::ZERO => self.state = State::Away { until },
            // Beyond the clock's range is for ever.
            None => self.state = State::Vacant,
            Some(_) => self.leave(),
        }
    }

    /// The job goes on whoever leaves.
    pub(crate) fn keep(&mut self) {
        self.on_disconnect = OnDisconnect::Keep;
    }

    /// How long a lost line is waited for; `None` if the job is kept.
    pub(crate) fn grace(&self) -> Option<Duration> {
        (self.on_disconnect == OnDisconnect::Kill).then_some(self.grace)
    }

    /// When [`Presence::elapsed`] has something to do.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Away { until } => Some(until),
            State::Vacant | State::Held => None,
        }
    }

    /// Time has passed.
    pub(crate) fn elapsed(&mut self, now: Instant) {
        if self.deadline().is_some_and(|until| now >= until) {
            self.leave();
        }
    }

    /// Whether nobody will come who has a right to find it.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.abandoned
    }

    /// Whether somebody is attached, or may be back.
    pub(crate) fn is_awaited(&self) -> bool {
        self.state != State::Vacant
    }

    fn leave(&mut self) {
        self.state = State::Vacant;
        self.abandoned |= self.on_disconnect == OnDisconnect::Kill;
    }
}

/// Who was a job's client until another one took its place. One whose line was lost then does not know of it when it is back, and
/// must not take the place again: that is for those who ask for it.
#[derive(Debug, Default)]
pub(crate) struct Succession {
    client: Option<AttachmentId>,
    /// The last [`REMEMBERED`] of them, the youngest at the end.
    displaced: VecDeque<AttachmentId>,
}

/// A client that comes back comes soon, and few others take the place meanwhile.
const REMEMBERED: usize = 64;

impl Succession {
    /// Whether another one has taken the place of `client`.
    pub(crate) fn has_displaced(&self, client: AttachmentId) -> bool {
        self.displaced.contains(&client)
    }

    /// From now on it is `client`.
    pub(crate) fn pass_to(&mut self, client: AttachmentId) {
        let Some(before) = self.client.replace(client).filter(|before| *before != client) else { return };
        if self.displaced.len() == REMEMBERED {
            self.displaced.pop_front();
        }
        self.displaced.push_back(before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whose_place_was_taken_is_remembered_for_a_while() {
        let (ann, bob) = (AttachmentId(1), AttachmentId(2));
        let mut succession = Succession::default();
        succession.pass_to(ann);
        succession.pass_to(ann);
        assert!(!succession.has_displaced(ann));
        succession.pass_to(bob);
        assert!(succession.has_displaced(ann) && !succession.has_displaced(bob));
        for number in 0..10 * REMEMBERED as u64 {
            succession.pass_to(AttachmentId(number + 3));
        }
        assert!(!succession.has_displaced(ann) && succession.displaced.len() == REMEMBERED);
    }

    const GRACE: Duration = Duration::from_secs(60);

    fn presence(on_disconnect: OnDisconnect) -> Presence {
        Presence::new(&Keeping { on_disconnect, ..Keeping::default() })
    }

    #[test]
    fn a_client_that_is_gone_takes_the_job_along_at_once_unless_it_is_kept() {
        let now = Instant::now();
        let mut killed = presence(OnDisconnect::Kill);
        let epoch = killed.attach();
        killed.depart(epoch, Departure::Gone, now);
        assert!(killed.is_abandoned() && !killed.is_awaited());
        let mut kept = presence(OnDisconnect::Keep);
        let epoch = kept.attach();
        kept.depart(epoch, Departure::Gone, now);
        assert!(!kept.is_abandoned() && !kept.is_awaited());
    }

    #[test]
    fn a_lost_line_is_waited_for() {
        let now = Instant::now();
        for (departure, wait) in [(Departure::Lost, GRACE), (Departure::Reset, RETURN)] {
            let mut presence = presence(OnDisconnect::Kill);
            let epoch = presence.attach();
            presence.depart(epoch, departure, now);
            assert_eq!(presence.deadline(), Some(now + wait));
            presence.elapsed(now + wait - Duration::from_millis(1));
            assert!(!presence.is_abandoned() && presence.is_awaited());
            presence.elapsed(now + wait);
            assert!(presence.is_abandoned());
        }
    }

    #[test]
    fn who_comes_back_in_time_finds_it() {
        let now = Instant::now();
        let mut presence = presence(OnDisconnect::Kill);
        let first = presence.attach();
        presence.depart(first, Departure::Lost, now);
        let second = presence.attach();
        presence.elapsed(now + GRACE);
        assert!(presence.is_present(second) && !presence.is_present(first) && !presence.is_abandoned());
    }

    #[test]
    fn whose_place_was_taken_has_nothing_to_take_along() {
        let now = Instant::now();
        let mut presence = presence(OnDisconnect::Kill);
        let first = presence.attach();
        let second = presence.attach();
        presence.depart(first, Departure::Gone, now);
        assert!(presence.is_present(second) && !presence.is_abandoned());
    }

    #[test]
    fn it_can_be_kept_until_the_last_moment_and_not_after_it() {
        let now = Instant::now();
        let mut presence = presence(OnDisconnect::Kill);
        let epoch = presence.attach();
        presence.depart(epoch, Departure::Lost, now);
        presence.keep();
        presence.elapsed(now + GRACE);
        assert!(!presence.is_abandoned());
        assert_eq!(presence.grace(), None);
        let mut late = self::presence(OnDisconnect::Kill);
        let epoch = late.attach();
        late.depart(epoch, Departure::Gone, now);
        late.keep();
        assert!(late.is_abandoned());
    }
}
