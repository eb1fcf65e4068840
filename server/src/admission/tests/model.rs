//! Random histories, held against a plain list of what is connected.

use std::collections::{HashMap, HashSet};

use fastrand::Rng;

use super::super::unauthenticated::SAFE;
use super::*;

/// What the list knows of a connection.
#[derive(Clone, Copy)]
struct Known {
    id: ConnectionId,
    number: u32,
    since: Instant,
}

/// A server's admission beside a list of its connections.
struct Model {
    story: Story,
    limits: Limits,
    unauthenticated: Vec<Known>,
    authenticated: Vec<ConnectionId>,
    gone: Vec<ConnectionId>,
    /// Sources that may be penalised.
    offenders: HashSet<u32>,
}

impl Model {
    fn new(limits: Limits) -> Self {
        Self {
            story: Story::with(limits.clone()),
            limits,
            unauthenticated: Vec::new(),
            authenticated: Vec::new(),
            gone: Vec::new(),
            offenders: HashSet::new(),
        }
    }

    fn is_old(&self, known: &Known) -> bool {
        self.story.now - known.since >= SAFE
    }

    fn held(&self) -> HashMap<u32, usize> {
        self.unauthenticated.iter().fold(HashMap::new(), |mut held, known| {
            *held.entry(known.number).or_default() += 1;
            held
        })
    }

    fn arrive(&mut self, number: u32) {
        let held = self.held();
        let own = held.get(&number).copied().unwrap_or(0);
        let full = self.unauthenticated.len() == self.limits.unauthenticated;
        let share_taken = own == self.limits.unauthenticated_per_source;
        match self.story.arrive(from(number)) {
            Decision::Admitted { id, evicted } => {
                assert_eq!(evicted.is_some(), full || share_taken);
                assert!(self.authenticated.len() < self.limits.authenticated);
                if let Some(evicted) = evicted {
                    self.evict(evicted, number, own, &held);
                }
                self.unauthenticated.push(Known { id, number, since: self.story.now });
            }
            Decision::Refused(AdmissionRefusal::Penalised { remaining }) => {
                assert!(self.offenders.contains(&number), "{number} did nothing");
                assert!(!remaining.is_zero() && remaining <= self.limits.penalties.longest, "{remaining:?}");
            }
            Decision::Refused(AdmissionRefusal::Busy)
                if self.authenticated.len() >= self.limits.authenticated => {}
            Decision::Refused(AdmissionRefusal::Busy) if share_taken => {
                assert!(
                    !self.unauthenticated.iter().any(|known| known.number == number && self.is_old(known))
                );
            }
            Decision::Refused(AdmissionRefusal::Busy) if full => {
                assert!(held.values().all(|weight| *weight < own + 2), "somebody holds more");
                let mut displaced = self.unauthenticated.iter().filter(|known| self.is_old(known));
                assert!(!displaced.any(|known| known.number == number || held[&known.number] > own));
            }
            Decision::Refused(AdmissionRefusal::Busy) => panic!("there was room"),
        }
    }

    /// Takes an evicted connection off the list, and holds the choice against the rules.
    fn evict(&mut self, id: ConnectionId, newcomer: u32, own: usize, held: &HashMap<u32, usize>) {
        let place =
            self.unauthenticated.iter().position(|known| known.id == id).expect("still unauthenticated");
        let victim = self.unauthenticated.remove(place);
        assert!(
            self.unauthenticated[..place].iter().all(|known| known.number != victim.number),
            "not its oldest"
        );
        let weight = held[&victim.number];
        let old = self.is_old(&victim);
        if victim.number == newcomer {
            assert!(old);
        } else {
            assert!(own < self.limits.unauthenticated_per_source, "its own share was full");
            assert!(weight > own && (old || weight >= own + 2), "{weight} {own} {old}");
            assert!(weight > 1 || held.values().all(|weight| *weight == 1), "somebody's only one");
            let heavier = |known: &&Known| held[&known.number] > weight && (!old || self.is_old(known));
            assert_eq!(self.unauthenticated.iter().filter(heavier).count(), 0, "a heavier source was spared");
        }
        if old {
            self.offenders.insert(victim.number);
        }
        self.gone.push(id);
    }

    fn end(&mut self, random: &mut Rng) {
        let endings = [
            Ending::Authenticated,
            Ending::AuthenticationFailed,
            Ending::NoAuthentication,
            Ending::DeadlinePassed,
            Ending::Violation,
            Ending::OurFault,
        ];
        let ending = endings[random.usize(..endings.len())];
        let id = if random.bool() && !self.authenticated.is_empty() {
            self.authenticated.swap_remove(random.usize(..self.authenticated.len()))
        } else if !self.unauthenticated.is_empty() {
            let known = self.unauthenticated.remove(random.usize(..self.unauthenticated.len()));
            if !matches!(ending, Ending::Authenticated | Ending::OurFault) {
                self.offenders.insert(known.number);
            }
            known.id
        } else {
            return;
        };
        self.story.end(id, ending);
        self.gone.push(id);
    }

    fn authenticate(&mut self, random: &mut Rng) {
        if !self.unauthenticated.is_empty() {
            let known = self.unauthenticated.remove(random.usize(..self.unauthenticated.len()));
            assert!(self.story.admission.authenticated(known.id));
            self.authenticated.push(known.id);
        }
    }

    /// One that is gone stays so, whatever is said of it.
    fn haunt(&mut self, random: &mut Rng) {
        if !self.gone.is_empty() {
            let id = self.gone[random.usize(..self.gone.len())];
            assert!(!self.story.admission.authenticated(id));
            self.story.end(id, Ending::Violation);
        }
    }

    fn step(&mut self, random: &mut Rng, sources: u32) {
        match random.u32(..20) {
            0..12 => self.arrive(random.u32(..sources)),
            12 => self.end(random),
            13 => self.authenticate(random),
            14 => self.haunt(random),
            15 => self.story.pass(Duration::from_millis(random.u64(..1_000))),
            _ => self.story.pass(MILLISECOND),
        }
        let Admission { unauthenticated, authenticated, penalties, .. } = &self.story.admission;
        assert_eq!(unauthenticated.len(), self.unauthenticated.len());
        assert_eq!(authenticated.len(), self.authenticated.len());
        assert!(unauthenticated.len() <= self.limits.unauthenticated);
        if random.u32(..20) == 0 {
            assert!(self.held().values().all(|held| *held <= self.limits.unauthenticated_per_source));
            unauthenticated.check();
            assert!(penalties.len() <= self.limits.penalties.sources);
        }
    }

    /// Ends everything; then nothing may be left of it.
    fn finish(mut self) {
        let left: Vec<_> =
            self.unauthenticated.iter().map(|known| known.id).chain(self.authenticated).collect();
        for id in left {
            self.story.end(id, Ending::NoAuthentication);
        }
        assert!(self.story.remembers_nothing());
        self.story.pass(self.limits.penalties.longest);
        for number in 0..1_000 {
            let Decision::Admitted { id, .. } = self.story.arrive(from(number)) else { panic!("{number}") };
            self.story.end(id, Ending::OurFault);
        }
        assert_eq!(self.story.admission.penalties.len(), 0);
    }
}

fn histories(limits: &Limits, sources: u32, histories: u64, steps: u32) {
    for seed in 0..histories {
        let mut random = Rng::with_seed(seed);
        let mut model = Model::new(limits.clone());
        for _ in 0..steps {
            model.step(&mut random, sources);
        }
        model.finish();
    }
}

#[test]
fn a_hundred_thousand_steps_of_a_small_server() {
    let penalties = PenaltyLimits { sources: 4, ..PenaltyLimits::default() };
    let limits = Limits { unauthenticated: 12, unauthenticated_per_source: 3, authenticated: 20, penalties };
    for sources in [2, 8, 30] {
        histories(&limits, sources, 100, 400);
    }
}

#[test]
fn thirty_thousand_steps_of_a_server_with_the_default_limits() {
    for sources in [40, 250, 1_000] {
        histories(&Limits::default(), sources, 2, 5_000);
    }
}
