//! Counts whom a server turns away, so that a flood of connections is not a flood of log lines. It does not log.

use std::collections::HashSet;
use std::fmt;
use std::time::{Duration, Instant};

use super::Source;

/// From the first refusal that is counted to the report.
pub(super) const INTERVAL: Duration = Duration::from_secs(10);

/// Sources told apart between two reports; about 50 KiB. Beyond, it is enough to know that they are many.
const SOURCES: usize = 1024;

/// What happened since the report before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Summary {
    /// Connections refused.
    pub(crate) refused: u64,
    /// Sources that these came from; if 1,024, there may have been more.
    pub(crate) sources: usize,
    /// Connections closed in favour of others.
    pub(crate) evicted: u64,
    /// Since the first of them.
    pub(crate) period: Duration,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { refused, sources, evicted, period } = self;
        let more = if *sources >= SOURCES { " or more" } else { "" };
        write!(f, "refused {refused} connections from {sources}{more} sources and closed {evicted}")?;
        write!(f, " to make room in the last {} s", period.as_secs())
    }
}

/// What there is to report.
#[derive(Debug, Default)]
pub(super) struct Tally {
    since: Option<Instant>,
    refused: u64,
    evicted: u64,
    sources: HashSet<Source>,
}

impl Tally {
    pub(super) fn refused(&mut self, source: Source, now: Instant) {
        self.since.get_or_insert(now);
        self.refused += 1;
        if self.sources.len() < SOURCES {
            self.sources.insert(source);
        }
    }

    pub(super) fn evicted(&mut self, now: Instant) {
        self.since.get_or_insert(now);
        self.evicted += 1;
    }

    /// When the report is due, if there is something to report.
    pub(super) fn due(&self) -> Option<Instant> {
        self.since.and_then(|since| since.checked_add(INTERVAL))
    }

    /// The report, if it is due; then counts anew.
    pub(super) fn report(&mut self, now: Instant) -> Option<Summary> {
        let since = self.since.filter(|_| self.due().is_some_and(|due| due <= now))?;
        let Self { refused, evicted, sources, .. } = std::mem::take(self);
        let period = now.saturating_duration_since(since);
        Some(Summary { refused, sources: sources.len(), evicted, period })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(number: u32) -> Source {
        std::net::IpAddr::from(number.to_be_bytes()).into()
    }

    #[test]
    fn one_report_for_ten_seconds_of_flood() {
        let start = Instant::now();
        let mut tally = Tally::default();
        let mut reports = Vec::new();
        assert_eq!(tally.due(), None);
        for number in 0..20_000_u32 {
            let now = start + Duration::from_millis(number.into());
            tally.refused(source(number % 64), now);
            reports.extend(tally.report(now));
        }
        let text = "refused 10001 connections from 64 sources and closed 0 to make room in the last 10 s";
        assert_eq!(reports.iter().map(Summary::to_string).collect::<Vec<_>>(), [text]);
        assert_eq!(tally.due(), Some(start + Duration::from_millis(10_001) + INTERVAL));
    }

    #[test]
    fn evictions_alone_are_reported() {
        let start = Instant::now();
        let mut tally = Tally::default();
        tally.evicted(start);
        assert_eq!(tally.report(start + INTERVAL - Duration::from_millis(1)), None);
        let summary = Summary { refused: 0, sources: 0, evicted: 1, period: INTERVAL };
        assert_eq!(tally.report(start + INTERVAL), Some(summary));
        assert_eq!(tally.report(start + 2 * INTERVAL), None);
    }

    #[test]
    fn sources_beyond_a_thousand_are_many() {
        let start = Instant::now();
        let mut tally = Tally::default();
        for number in 0..5_000 {
            tally.refused(source(number), start);
        }
        let summary = tally.report(start + INTERVAL).unwrap();
        assert_eq!((summary.refused, summary.sources), (5_000, SOURCES));
        assert!(summary.to_string().contains("1024 or more sources"), "{summary}");
    }
}
