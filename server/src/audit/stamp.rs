//! When something happened, by both clocks: people compare the one, and the other never jumps.

use std::process;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use common::calendar::rfc3339;
use rustix::time::{ClockId, clock_gettime};

/// Which server it is: the same from its start to its end, and no other's on this machine. Connections are numbered anew by
/// each.
pub(super) fn instance() -> &'static str {
    static INSTANCE: OnceLock<String> = OnceLock::new();
    INSTANCE.get_or_init(|| {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        format!("{:x}-{:x}", since.as_millis(), process::id())
    })
}

/// A point in time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stamp {
    /// The calendar's.
    pub(super) wall: SystemTime,
    /// `CLOCK_MONOTONIC` (clock_gettime(2)): comparable until the machine is started again, also between processes.
    pub(super) monotonic: Duration,
}

impl Stamp {
    /// Now.
    pub(super) fn now() -> Self {
        let clock = clock_gettime(ClockId::Monotonic);
        let monotonic = Duration::try_from(clock).unwrap_or_default();
        Self { wall: SystemTime::now(), monotonic }
    }

    /// The calendar's time in UTC, to the millisecond (RFC 3339).
    pub(super) fn rfc3339(&self) -> String {
        rfc3339(self.wall)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_monotonic_clock_runs() {
        let first = Stamp::now();
        assert!(!first.monotonic.is_zero());
        assert!(Stamp::now().monotonic >= first.monotonic);
    }
}
