//! The sums, by name, and that memory of sources is bounded and let go of.

use std::net::IpAddr;

use super::*;

/// Penalties with a clock that only moves when told.
struct Story {
    penalties: Penalties,
    now: Instant,
}

impl Story {
    fn new(sources: usize) -> Self {
        let limits = PenaltyLimits { sources, ..PenaltyLimits::default() };
        Self { penalties: Penalties::new(limits), now: Instant::now() }
    }

    fn add(&mut self, number: u32, seconds: u64) {
        self.penalties.add(source(number), Duration::from_secs(seconds), self.now);
    }

    fn remaining(&self, number: u32) -> Option<u64> {
        self.penalties.remaining(source(number), self.now).map(|remaining| remaining.as_secs())
    }

    fn pass(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
    }
}

fn source(number: u32) -> Source {
    IpAddr::from(number.to_be_bytes()).into()
}

#[test]
fn penalties_take_effect_when_they_come_to_fifteen_seconds() {
    let mut story = Story::new(10);
    story.add(1, 5);
    story.pass(7);
    story.add(1, 5);
    assert_eq!(story.remaining(1), None);
    story.pass(7);
    story.add(1, 5);
    assert_eq!((story.remaining(1), story.remaining(2)), (Some(15), None));
    story.pass(14);
    assert_eq!(story.remaining(1), Some(1));
    story.pass(1);
    assert_eq!(story.remaining(1), None);
}

#[test]
fn a_slip_is_forgotten_after_fifteen_seconds() {
    let mut story = Story::new(10);
    for _ in 0..10 {
        story.add(1, 5);
        story.add(1, 5);
        story.pass(15);
        assert_eq!(story.remaining(1), None);
    }
}

#[test]
fn a_connection_every_other_second_costs_nothing() {
    let mut story = Story::new(10);
    for _ in 0..1000 {
        story.add(1, 1);
        assert_eq!(story.remaining(1), None);
        story.pass(2);
    }
}

#[test]
fn penalties_add_up_to_ten_minutes_ahead_and_no_more() {
    let mut story = Story::new(10);
    story.add(1, 30);
    assert_eq!(story.remaining(1), Some(30));
    story.add(1, 1);
    assert_eq!(story.remaining(1), Some(31));
    for _ in 0..100 {
        story.add(1, 30);
    }
    assert_eq!(story.remaining(1), Some(600));
    story.add(2, 10_000);
    assert_eq!(story.remaining(2), Some(600));
}

#[test]
fn a_served_penalty_leaves_a_clean_slate() {
    let mut story = Story::new(10);
    story.add(1, 30);
    story.pass(30);
    story.add(1, 5);
    assert_eq!(story.remaining(1), None);
}

#[test]
fn a_full_memory_forgets_whose_penalty_ends_soonest() {
    let mut story = Story::new(3);
    for (number, seconds) in [(1, 40), (2, 30), (3, 50), (4, 35)] {
        story.add(number, seconds);
    }
    let remaining: Vec<_> = (1..=4).map(|number| story.remaining(number)).collect();
    assert_eq!(remaining, [Some(40), None, Some(50), Some(35)]);
    story.add(5, 1);
    assert_eq!((story.penalties.len(), story.remaining(4)), (3, Some(35)));
}

#[test]
fn penalties_that_are_switched_off_are_not_remembered() {
    let mut story = Story::new(3);
    story.add(1, 0);
    assert_eq!(story.penalties.len(), 0);
    let mut story = Story::new(0);
    story.add(1, 30);
    assert_eq!((story.penalties.len(), story.remaining(1)), (0, None));
}

#[test]
fn times_beyond_the_clock_are_none() {
    let limits = PenaltyLimits { longest: Duration::MAX, ..PenaltyLimits::default() };
    let mut story = Story { penalties: Penalties::new(limits), now: Instant::now() };
    story.penalties.add(source(1), Duration::MAX, story.now);
    assert_eq!(story.remaining(1), None);
}

#[test]
fn memory_of_a_flood_is_bounded_and_let_go_of_bit_by_bit() {
    let cap = PenaltyLimits::default().sources;
    let mut story = Story::new(cap);
    for number in 0..2 * cap as u32 {
        story.add(number, 1);
    }
    assert_eq!(story.penalties.len(), cap);
    story.pass(15);
    story.penalties.forget_ended(story.now);
    assert_eq!(story.penalties.len(), cap - DROPPED_AT_ONCE);
    for number in 0..cap as u32 {
        story.add(number, 1);
        story.pass(1);
    }
    assert!(story.penalties.len() <= 16, "{}", story.penalties.len());
}
