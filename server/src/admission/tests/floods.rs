//! Attacks from many addresses and from one, in virtual time, with honest clients among them.

use std::collections::VecDeque;

use super::*;

/// How many addresses attack in the first test, and with how many sockets each.
const SOURCES: u32 = 250;
const SOCKETS: u32 = 8;

/// How often an attacker that was thrown out is back; and what an honest client takes to authenticate.
const TICK: Duration = Duration::from_millis(100);

/// The attacker's sockets that are open: by number, from the oldest.
struct Attack {
    open: VecDeque<(ConnectionId, Instant, u32)>,
    closed: Vec<u32>,
    exempt: bool,
}

impl Attack {
    fn new(exempt: bool) -> Self {
        Self { open: VecDeque::new(), closed: (0..SOURCES * SOCKETS).collect(), exempt }
    }

    /// Opens again what is closed. The sockets stay silent until the deadline for the greeting.
    fn wave(&mut self, story: &mut Story, random: &mut fastrand::Rng) {
        while let Some((id, _, socket)) =
            self.open.pop_front_if(|(_, since, _)| story.now - *since >= 30 * SECOND)
        {
            story.end(id, Ending::DeadlinePassed);
            self.closed.push(socket);
        }
        random.shuffle(&mut self.closed);
        for socket in std::mem::take(&mut self.closed) {
            match story.arrive(Origin::network(address(socket % SOURCES), self.exempt)) {
                Decision::Admitted { id, evicted } => {
                    self.evicted(evicted);
                    self.open.push_back((id, story.now, socket));
                }
                Decision::Refused(_) => self.closed.push(socket),
            }
        }
    }

    fn evicted(&mut self, evicted: Option<ConnectionId>) {
        if let Some(place) = self.open.iter().position(|(id, ..)| Some(*id) == evicted) {
            self.closed.extend(self.open.remove(place).map(|(_, _, socket)| socket));
        }
    }
}

/// Three minutes of two thousand sockets. Of a client that comes once a second, how many in a hundred got in; the
/// same for one whose owner takes ten seconds to touch a security key.
fn slow_loris(exempt: bool) -> (usize, usize) {
    let mut story = Story::with(Limits::default());
    let mut random = fastrand::Rng::with_seed(1);
    let mut attack = Attack::new(exempt);
    let (mut quick, mut slow) = (Honest::new(1_000), Honest::new(1_001));
    for tick in 0..1_800 {
        attack.wave(&mut story, &mut random);
        match tick % 10 {
            0 => quick.arrive(&mut story, &mut attack),
            1 => quick.authenticate(&mut story),
            _ => {}
        }
        match tick % 150 {
            5 => slow.arrive(&mut story, &mut attack),
            105 => slow.authenticate(&mut story),
            _ => {}
        }
        assert!(story.admission.unauthenticated.len() <= 256);
        story.pass(TICK);
    }
    (quick.per_cent(), slow.per_cent())
}

/// A client with an address and a key of its own.
struct Honest {
    number: u32,
    id: Option<ConnectionId>,
    tried: usize,
    admitted: usize,
}

impl Honest {
    fn new(number: u32) -> Self {
        Self { number, id: None, tried: 0, admitted: 0 }
    }

    fn arrive(&mut self, story: &mut Story, attack: &mut Attack) {
        self.tried += 1;
        self.id = match story.arrive(from(self.number)) {
            Decision::Admitted { id, evicted } => {
                attack.evicted(evicted);
                Some(id)
            }
            Decision::Refused(_) => None,
        };
    }

    fn authenticate(&mut self, story: &mut Story) {
        if let Some(id) = self.id.take().filter(|id| story.admission.authenticated(*id)) {
            self.admitted += 1;
            story.end(id, Ending::Authenticated);
        }
    }

    fn per_cent(&self) -> usize {
        100 * self.admitted / self.tried
    }
}

#[test]
fn two_thousand_idle_sockets_lock_nobody_out() {
    assert_eq!(slow_loris(false), (100, 100));
}

#[test]
fn they_do_not_even_if_no_penalty_helps() {
    assert_eq!(slow_loris(true), (100, 100));
}

#[test]
fn a_flood_from_one_address_holds_eight_places_and_a_line_of_log() {
    let mut story = Story::with(Limits::default());
    let (mut held, mut reports, mut refused) = (HashSet::new(), Vec::new(), 0);
    for number in 0..600_000 {
        if number % 20_000 == 0 {
            let probe = story.admitted(from(2));
            assert!(story.admission.authenticated(probe));
            story.end(probe, Ending::Authenticated);
        }
        match story.arrive(from(1)) {
            Decision::Admitted { id, evicted } => {
                evicted.map(|id| held.remove(&id));
                held.insert(id);
            }
            Decision::Refused(_) => refused += 1,
        }
        assert!(held.len() <= 8);
        reports.extend(story.admission.report(story.now));
        story.pass(Duration::from_micros(50));
    }
    assert!(refused > 599_000, "{refused}");
    assert!(reports.len() <= 3, "{reports:?}");
}

#[test]
fn garbage_from_many_addresses_is_heard_once_from_each() {
    let mut story = Story::with(Limits::default());
    for number in 0..200_000 {
        story.endings(from(number), Ending::Violation, 1);
        if number % 1_000 == 0 {
            assert_eq!(story.arrive(from(number)), penalised(30));
            story.admitted(Origin::Local);
        }
    }
    assert_eq!(story.admission.penalties.len(), PenaltyLimits::default().sources);
}
