//! The numbers of admission, each with its reason. An operator may change any of them.

use std::time::Duration;

use super::Ending;

/// How many connections there may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Unauthenticated ones in all: room for a fan-out that reaches a server from everywhere at once, and at 8.5 KiB
    /// for a TLS handshake some 2 MiB.
    pub(crate) unauthenticated: usize,
    /// Unauthenticated ones of one source: a host needs few at a time, as each takes milliseconds, and 32 sources are
    /// needed to fill the table.
    pub(crate) unauthenticated_per_source: usize,
    /// Authenticated ones in all: 10,000 idle clients and half as many again. Those of Unix sockets do not count.
    pub(crate) authenticated: usize,
    /// What misbehaviour costs.
    pub(crate) penalties: PenaltyLimits,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            unauthenticated: 256,
            unauthenticated_per_source: 8,
            authenticated: 16_384,
            penalties: PenaltyLimits::default(),
        }
    }
}

/// What an unauthenticated connection costs its source, by its ending. A time of zero is no penalty; one beyond the
/// clock's range counts as none.
///
/// The times are those of sshd's `PerSourcePenalties` (sshd_config(5)), which are its defaults since OpenSSH 9.8; only a
/// violation has no price of its own there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PenaltyLimits {
    /// For [`Ending::AuthenticationFailed`]. The third within [`Self::effective_from`] has an effect.
    pub(crate) authentication_failed: Duration,
    /// For [`Ending::NoAuthentication`], and for an eviction. Small: port scans and health checks do this, too.
    pub(crate) no_authentication: Duration,
    /// For [`Ending::DeadlinePassed`]: it held a place for long.
    pub(crate) deadline_passed: Duration,
    /// For [`Ending::Violation`]: has an effect at once, as no client of ours does this.
    pub(crate) violation: Duration,
    /// A source is refused as soon as its penalties of this time come to this much. So a slip or two cost nothing.
    pub(crate) effective_from: Duration,
    /// No source is refused for longer than this ahead: addresses change hands.
    pub(crate) longest: Duration,
    /// Sources remembered: with two indices some 10 MiB at worst. Beyond, whoever would be forgotten soonest is.
    pub(crate) sources: usize,
}

impl Default for PenaltyLimits {
    fn default() -> Self {
        Self {
            authentication_failed: Duration::from_secs(5),
            no_authentication: Duration::from_secs(1),
            deadline_passed: Duration::from_secs(10),
            violation: Duration::from_secs(30),
            effective_from: Duration::from_secs(15),
            longest: Duration::from_secs(600),
            sources: 65_536,
        }
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
