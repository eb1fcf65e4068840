//! Every rule by name. Random histories and floods have files of their own.

mod floods;
mod model;

use std::net::IpAddr;

use super::*;

const MILLISECOND: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// A server's admission, with a clock that only moves when told.
struct Story {
    admission: Admission,
    now: Instant,
}

impl Story {
    /// With this many places, and places for a source.
    fn new(unauthenticated: usize, unauthenticated_per_source: usize) -> Self {
        Self::with(Limits { unauthenticated, unauthenticated_per_source, ..Limits::default() })
    }

    fn with(limits: Limits) -> Self {
        Self { admission: Admission::new(limits), now: Instant::now() }
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
    }

    fn arrive(&mut self, origin: Origin) -> Decision {
        self.admission.arrive(origin, self.now)
    }

    /// The id of an arrival that takes nobody's place.
    fn admitted(&mut self, origin: Origin) -> ConnectionId {
        match self.arrive(origin) {
            Decision::Admitted { id, evicted: None } => id,
            other => panic!("{other:?}"),
        }
    }

    /// Whose place an arrival takes.
    fn evicts(&mut self, origin: Origin) -> ConnectionId {
        match self.arrive(origin) {
            Decision::Admitted { evicted: Some(evicted), .. } => evicted,
            other => panic!("{other:?}"),
        }
    }

    fn end(&mut self, id: ConnectionId, ending: Ending) {
        self.admission.ended(id, ending, self.now);
    }

    /// Lets a connection come and end so, several times.
    fn endings(&mut self, origin: Origin, ending: Ending, times: usize) {
        for _ in 0..times {
            let id = self.admitted(origin);
            self.end(id, ending);
        }
    }

    fn remembers_nothing(&self) -> bool {
        let Admission { unauthenticated, authenticated, local, .. } = &self.admission;
        unauthenticated.check();
        unauthenticated.len() == 0 && authenticated.is_empty() && local.is_empty()
    }
}

fn address(number: u32) -> IpAddr {
    IpAddr::from(number.to_be_bytes())
}

/// An arrival from the network; a number for each source.
fn from(number: u32) -> Origin {
    Origin::network(address(number), false)
}

const BUSY: Decision = Decision::Refused(AdmissionRefusal::Busy);

fn penalised(seconds: u64) -> Decision {
    Decision::Refused(AdmissionRefusal::Penalised { remaining: Duration::from_secs(seconds) })
}

#[test]
fn a_source_with_all_its_places_replaces_its_own_oldest() {
    let mut story = Story::new(10, 2);
    let other = story.admitted(from(2));
    let (first, second) = (story.admitted(from(1)), story.admitted(from(1)));
    story.pass(SECOND - MILLISECOND);
    assert_eq!(story.arrive(from(1)), BUSY);
    story.pass(MILLISECOND);
    assert_eq!(story.evicts(from(1)), first);
    assert_eq!(story.evicts(from(1)), second);
    assert_eq!(story.arrive(from(1)), BUSY);
    assert!(story.admission.authenticated(other));
}

#[test]
fn a_full_table_loses_the_oldest_of_the_heaviest_source() {
    let mut story = Story::new(5, 3);
    let oldest = story.admitted(from(1));
    let heavy: Vec<_> = [2, 3, 2, 3].map(|number| story.admitted(from(number))).into();
    story.pass(2 * SECOND);
    assert_eq!(story.evicts(from(4)), heavy[0]);
    assert_eq!(story.evicts(from(5)), heavy[1]);
    assert_eq!(story.evicts(from(6)), oldest);
}

#[test]
fn a_full_table_of_equals_is_safe_for_a_second() {
    let mut story = Story::new(3, 3);
    let oldest = story.admitted(from(1));
    story.pass(MILLISECOND);
    story.admitted(from(2));
    story.admitted(from(3));
    story.pass(SECOND - 2 * MILLISECOND);
    assert_eq!(story.arrive(from(4)), BUSY);
    story.pass(MILLISECOND);
    assert_eq!(story.evicts(from(4)), oldest);
    assert_eq!(story.arrive(from(5)), BUSY);
}

#[test]
fn a_source_that_holds_more_than_a_newcomer_would_gives_way_even_when_young() {
    let mut story = Story::new(4, 4);
    let heavy: Vec<_> = [1, 1, 1].map(|number| story.admitted(from(number))).into();
    story.admitted(from(2));
    assert_eq!(story.evicts(from(3)), heavy[0]);
    assert_eq!(story.evicts(from(4)), heavy[1]);
    assert_eq!(story.arrive(from(5)), BUSY);
}

#[test]
fn who_has_had_its_time_goes_before_a_heavier_source_that_has_not() {
    let mut story = Story::new(7, 4);
    let idle: Vec<_> = [1, 1, 1].map(|number| story.admitted(from(number))).into();
    story.pass(SECOND);
    for _ in 0..4 {
        story.admitted(from(2));
    }
    assert_eq!(story.evicts(from(3)), idle[0]);
}

#[test]
fn nobody_loses_its_only_place_to_a_source_that_has_one() {
    let mut story = Story::new(3, 3);
    let slow: Vec<_> = [1, 2].map(|number| story.admitted(from(number))).into();
    story.pass(10 * SECOND);
    let greedy = story.admitted(from(3));
    assert_eq!(story.arrive(from(3)), BUSY);
    story.pass(SECOND);
    assert_eq!(story.evicts(from(3)), greedy);
    assert!(slow.into_iter().all(|id| story.admission.authenticated(id)));
}

#[test]
fn an_authenticated_connection_leaves_its_place_and_is_never_evicted() {
    let mut story = Story::new(2, 2);
    let ids: Vec<_> = [1, 1].map(|number| story.admitted(from(number))).into();
    assert!(story.admission.authenticated(ids[0]));
    assert!(story.admission.authenticated(ids[0]));
    story.admitted(from(1));
    story.pass(SECOND);
    assert_eq!(story.evicts(from(1)), ids[1]);
    story.end(ids[0], Ending::Authenticated);
    assert!(!story.admission.authenticated(ids[0]));
}

#[test]
fn an_evicted_connection_cannot_authenticate_any_more_and_its_end_is_no_news() {
    let mut story = Story::new(1, 1);
    let first = story.admitted(from(1));
    story.pass(SECOND);
    assert_eq!(story.evicts(from(2)), first);
    assert!(!story.admission.authenticated(first));
    story.end(first, Ending::Violation);
    story.pass(SECOND);
    assert!(matches!(story.arrive(from(1)), Decision::Admitted { .. }));
}

#[test]
fn authenticated_connections_are_limited_in_number() {
    let mut story = Story::with(Limits { authenticated: 2, ..Limits::default() });
    let ids: Vec<_> = [1, 2, 3].map(|number| story.admitted(from(number))).into();
    assert!(ids.iter().take(2).all(|id| story.admission.authenticated(*id)));
    assert_eq!(story.arrive(from(4)), BUSY);
    assert!(story.admission.authenticated(ids[2]), "it was there before");
    story.end(ids[0], Ending::Authenticated);
    assert_eq!(story.arrive(from(4)), BUSY);
    story.end(ids[1], Ending::OurFault);
    story.admitted(from(4));
}

#[test]
fn what_an_ending_costs() {
    for (ending, free, remaining) in [
        (Ending::AuthenticationFailed, 2, 15),
        (Ending::NoAuthentication, 14, 15),
        (Ending::DeadlinePassed, 1, 20),
        (Ending::Violation, 0, 30),
    ] {
        let mut story = Story::new(8, 8);
        story.endings(from(1), ending, free + 1);
        assert_eq!(story.arrive(from(1)), penalised(remaining), "{ending:?}");
        story.admitted(from(2));
        let mut story = Story::new(8, 8);
        story.endings(from(1), ending, free);
        story.admitted(from(1));
    }
    for ending in [Ending::Authenticated, Ending::OurFault] {
        let mut story = Story::new(8, 8);
        story.endings(from(1), ending, 100);
    }
}

#[test]
fn three_failures_within_fifteen_seconds_are_refused_for_fifteen() {
    let mut story = Story::new(8, 8);
    for _ in 0..3 {
        story.pass(7 * SECOND);
        story.endings(from(1), Ending::AuthenticationFailed, 1);
    }
    assert_eq!(story.arrive(from(1)), penalised(15));
    story.pass(15 * SECOND);
    story.admitted(from(1));
}

#[test]
fn connections_in_progress_go_on_and_their_penalties_add_up() {
    let mut story = Story::new(8, 8);
    let ids: Vec<_> = (0..8).map(|_| story.admitted(from(1))).collect();
    for id in &ids[1..] {
        story.end(*id, Ending::Violation);
    }
    assert_eq!(story.arrive(from(1)), penalised(210));
    assert!(story.admission.authenticated(ids[0]));
}

#[test]
fn a_success_pays_for_nothing() {
    let mut story = Story::new(8, 8);
    story.endings(from(1), Ending::AuthenticationFailed, 2);
    let id = story.admitted(from(1));
    assert!(story.admission.authenticated(id));
    story.end(id, Ending::Authenticated);
    story.endings(from(1), Ending::AuthenticationFailed, 1);
    assert_eq!(story.arrive(from(1)), penalised(15));
}

#[test]
fn who_has_authenticated_is_not_penalised_whatever_it_does() {
    let mut story = Story::new(8, 8);
    let id = story.admitted(from(1));
    assert!(story.admission.authenticated(id));
    story.end(id, Ending::Violation);
    story.admitted(from(1));
}

#[test]
fn an_eviction_costs_as_much_as_leaving() {
    let mut story = Story::new(8, 1);
    story.admitted(from(1));
    for _ in 0..15 {
        story.pass(SECOND);
        story.evicts(from(1));
    }
    assert_eq!(story.arrive(from(1)), penalised(15));
}

#[test]
fn an_eviction_in_the_first_second_costs_nothing() {
    let mut story = Story::new(8, 8);
    story.endings(from(1), Ending::NoAuthentication, 14);
    for _ in 0..8 {
        story.admitted(from(1));
    }
    for number in 2..=8 {
        story.evicts(from(number));
    }
    assert_eq!(story.arrive(from(1)), BUSY);
}

#[test]
fn refusals_cost_nothing() {
    let mut story = Story::new(8, 8);
    story.endings(from(1), Ending::Violation, 1);
    for _ in 0..29 {
        story.pass(SECOND);
        assert!(matches!(story.arrive(from(1)), Decision::Refused(AdmissionRefusal::Penalised { .. })));
    }
    story.pass(SECOND);
    for _ in 0..8 {
        story.admitted(from(1));
    }
    for _ in 0..100 {
        assert_eq!(story.arrive(from(1)), BUSY);
    }
    story.pass(SECOND);
    story.evicts(from(1));
}

#[test]
fn exempt_addresses_are_counted_but_not_penalised() {
    let mut story = Story::new(8, 2);
    let exempt = Origin::network(address(1), true);
    story.endings(exempt, Ending::Violation, 10);
    story.admitted(from(1));
    story.admitted(exempt);
    assert_eq!(story.arrive(exempt), BUSY);
    let mut story = Story::new(8, 2);
    story.endings(from(1), Ending::Violation, 1);
    assert_eq!(story.arrive(from(1)), penalised(30));
    story.admitted(exempt);
}

#[test]
fn unix_sockets_are_not_limited() {
    let mut story = Story::with(Limits { unauthenticated: 1, authenticated: 1, ..Limits::default() });
    let remote = story.admitted(from(1));
    let ids: Vec<_> = (0..1000).map(|_| story.admitted(Origin::Local)).collect();
    assert!(story.admission.authenticated(remote));
    assert_eq!(story.arrive(from(2)), BUSY);
    for id in ids {
        assert!(story.admission.authenticated(id));
        story.end(id, Ending::Violation);
        assert!(!story.admission.authenticated(id));
    }
    story.end(remote, Ending::Authenticated);
    assert!(story.remembers_nothing());
}

#[test]
fn limits_of_zero_refuse() {
    for (places, per_source, authenticated) in [(0, 8, 8), (8, 0, 8), (8, 8, 0)] {
        let limits = Limits {
            unauthenticated: places,
            unauthenticated_per_source: per_source,
            authenticated,
            ..Limits::default()
        };
        assert_eq!(Story::with(limits).arrive(from(1)), BUSY);
    }
}

#[test]
fn refusals_and_evictions_are_reported() {
    let mut story = Story::new(1, 1);
    story.admitted(from(1));
    let due = story.now + Duration::from_secs(10);
    assert_eq!(story.admission.report(due), None);
    assert_eq!(story.arrive(from(1)), BUSY);
    story.pass(SECOND);
    story.evicts(from(2));
    assert_eq!(story.admission.report(due - MILLISECOND), None);
    let summary = Summary { refused: 1, sources: 1, evicted: 1, period: Duration::from_secs(10) };
    assert_eq!(story.admission.report(due), Some(summary));
    assert_eq!(story.admission.report(due + Duration::from_secs(10)), None);
}

#[test]
fn a_refusal_says_whose_fault_it_is() {
    let remaining = Duration::from_millis(15_500);
    assert_eq!(
        AdmissionRefusal::Penalised { remaining }.to_string(),
        "its source is refused for another 15 s"
    );
    assert_eq!(AdmissionRefusal::Busy.to_string(), "too many connections");
}
