//! What sources owe for what they did, and whether they are refused for it. Who is exempt is not known here.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use super::{PenaltyLimits, Source};

/// Records that have ended are dropped at most so many at a time. More than one, so that they get fewer while a table
/// that is full of them is added to; few, so that no arrival pays for a whole flood.
const DROPPED_AT_ONCE: usize = 2;

/// What is remembered of a source.
///
/// ```text
///               add                sum reaches effective_from
///   nothing ───────────► Counting ────────────────────────────► Refused ──┐ add: longer,
///      ▲                    │ effective_from after the first       │  ▲───┘ up to `longest`
///      └────────────────────┴──────────────────────────────────────┘ until
/// ```
///
/// sshd lets the sum run down as it is counted, so that three penalties of 5 s, one after the other, never come to 15
/// s. Here they do, if the third comes in time; the rate that a source can keep up unharmed is the same, a second's
/// penalty each second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Record {
    Counting { sum: Duration, until: Instant },
    Refused { until: Instant },
}

impl Record {
    fn end(&self) -> Instant {
        match self {
            Self::Counting { until, .. } | Self::Refused { until } => *until,
        }
    }
}

/// The sources that owe something.
#[derive(Debug)]
pub(super) struct Penalties {
    limits: PenaltyLimits,
    by_source: HashMap<Source, Record>,
    /// The same, by the end of the record.
    by_end: BTreeSet<(Instant, Source)>,
}

impl Penalties {
    pub(super) fn new(limits: PenaltyLimits) -> Self {
        Self { limits, by_source: HashMap::new(), by_end: BTreeSet::new() }
    }

    /// Changes what is added from now on.
    pub(super) fn set_limits(&mut self, limits: PenaltyLimits) {
        self.limits = limits;
    }

    /// How long a source is refused from now on; `None` if it is not.
    pub(super) fn remaining(&self, source: Source, now: Instant) -> Option<Duration> {
        match self.current(source, now)? {
            Record::Refused { until } => Some(until.saturating_duration_since(now)),
            Record::Counting { .. } => None,
        }
    }

    /// Adds to what a source owes.
    pub(super) fn add(&mut self, source: Source, penalty: Duration, now: Instant) {
        if penalty.is_zero() {
            return;
        }
        self.forget_ended(now);
        let record = self.increased(self.current(source, now), penalty, now);
        if let Some(former) = self.by_source.insert(source, record) {
            self.by_end.remove(&(former.end(), source));
        }
        self.by_end.insert((record.end(), source));
        if self.by_source.len() > self.limits.sources {
            self.forget_first();
        }
    }

    fn increased(&self, record: Option<Record>, penalty: Duration, now: Instant) -> Record {
        let (sum, until) = match record {
            Some(Record::Refused { until }) => {
                return Record::Refused { until: later(until, penalty).min(later(now, self.limits.longest)) };
            }
            Some(Record::Counting { sum, until }) => (sum.saturating_add(penalty), until),
            None => (penalty, later(now, self.limits.effective_from)),
        };
        if sum < self.limits.effective_from {
            return Record::Counting { sum, until };
        }
        Record::Refused { until: later(now, sum.min(self.limits.longest)) }
    }

    fn current(&self, source: Source, now: Instant) -> Option<Record> {
        self.by_source.get(&source).copied().filter(|record| record.end() > now)
    }

    /// Drops some of the records that have ended.
    pub(super) fn forget_ended(&mut self, now: Instant) {
        for _ in 0..DROPPED_AT_ONCE {
            if self.by_end.first().is_some_and(|(end, _)| *end <= now) {
                self.forget_first();
            }
        }
    }

    fn forget_first(&mut self) {
        if let Some((_, source)) = self.by_end.pop_first() {
            self.by_source.remove(&source);
        }
    }
}

/// A time beyond the clock's range is not reached.
fn later(time: Instant, by: Duration) -> Instant {
    time.checked_add(by).unwrap_or(time)
}

#[cfg(test)]
impl Penalties {
    /// Sources remembered, after a check that both indices agree on them.
    pub(super) fn len(&self) -> usize {
        let ends: BTreeSet<_> =
            self.by_source.iter().map(|(source, record)| (record.end(), *source)).collect();
        assert_eq!(ends, self.by_end);
        ends.len()
    }
}

#[cfg(test)]
mod tests;
