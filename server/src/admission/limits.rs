//! The numbers that admission goes by. Those that an operator may change come from the settings, which have the defaults
//! and their reasons; the others are constants here.

use std::time::Duration;

use super::Ending;

/// A source is refused as soon as its penalties of this time come to this much. So a slip or two cost nothing.
pub(crate) const EFFECTIVE_FROM: Duration = Duration::from_secs(15);

/// No source is refused for longer than this ahead: addresses change hands.
pub(crate) const LONGEST: Duration = Duration::from_secs(600);

/// Sources remembered: with two indices some 10 MiB at worst. Beyond, whoever would be forgotten soonest is.
pub(crate) const SOURCES: usize = 65_536;

/// How many connections there may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Unauthenticated ones in all.
    pub(crate) unauthenticated: usize,
    /// Unauthenticated ones of one source.
    pub(crate) unauthenticated_per_source: usize,
    /// Authenticated ones in all. Those of Unix sockets do not count.
    pub(crate) authenticated: usize,
    /// What misbehaviour costs.
    pub(crate) penalties: PenaltyLimits,
}

/// Those of a server without a file.
#[cfg(test)]
impl Default for Limits {
    fn default() -> Self {
        crate::config::Config::without_files().admission()
    }
}

/// What an unauthenticated connection costs its source, by its ending. A time of zero is no penalty; one beyond the
/// clock's range counts as none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PenaltyLimits {
    /// For [`Ending::AuthenticationFailed`].
    pub(crate) authentication_failed: Duration,
    /// For [`Ending::NoAuthentication`], and for an eviction.
    pub(crate) no_authentication: Duration,
    /// For [`Ending::DeadlinePassed`].
    pub(crate) deadline_passed: Duration,
    /// For [`Ending::Violation`].
    pub(crate) violation: Duration,
    /// [`EFFECTIVE_FROM`].
    pub(crate) effective_from: Duration,
    /// [`LONGEST`].
    pub(crate) longest: Duration,
    /// [`SOURCES`].
    pub(crate) sources: usize,
}

/// Those of a server without a file.
#[cfg(test)]
impl Default for PenaltyLimits {
    fn default() -> Self {
        Limits::default().penalties
    }
}

impl PenaltyLimits {
    /// The price of an ending.
    pub(super) fn after(&self, ending: Ending) -> Duration {
        match ending {
            Ending::AuthenticationFailed => self.authentication_failed,
            Ending::NoAuthentication => self.no_authentication,
            Ending::DeadlinePassed => self.deadline_passed,
            Ending::Violation => self.violation,
            Ending::Authenticated | Ending::OurFault => Duration::ZERO,
        }
    }
}
