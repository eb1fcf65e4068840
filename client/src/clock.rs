//! How long ago something was, while this machine may have been asleep.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// A moment, on the clock that goes on while the machine is suspended (clock_gettime(2), `CLOCK_BOOTTIME`).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Since(Duration);

impl Since {
    pub(crate) fn now() -> Self {
        #[cfg(feature = "model")]
        if let Some(now) = crate::model::now() {
            return Self(now);
        }
        let time = clock_gettime(ClockId::Boottime);
        let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
        Self(Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or_default()))
    }

    /// How long ago it was.
    pub(crate) fn elapsed(self) -> Duration {
        Self::now().0.saturating_sub(self.0)
    }

    /// The same in milliseconds, rounded up; 0 only for a moment that is not over.
    pub(crate) fn milliseconds(self) -> u64 {
        u64::try_from(self.elapsed().as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
    }
}
