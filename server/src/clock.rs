//! The time by which the rules of jobs go: the system's, which a test can stop.

use std::time::{Instant, SystemTime};

/// The present moment.
pub(crate) fn now() -> Instant {
    // The runtime's clock is the system's, except in a test that has stopped it.
    tokio::time::Instant::now().into_std()
}

/// The present moment by the calendar.
pub(crate) fn calendar() -> SystemTime {
    #[cfg(test)]
    if let Some(stage) = crate::job::stage::Stage::present() {
        return stage.calendar();
    }
    SystemTime::now()
}
