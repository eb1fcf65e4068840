//! Waiting for something to happen, never for time to pass.

use std::future::Future;
use std::thread;
use std::time::{Duration, Instant};

/// How long anything may take before a test gives up. Only failing tests ever wait that long, so it is generous.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// Between two looks at a condition.
const PAUSE: Duration = Duration::from_millis(10);

/// Waits until `condition` holds.
///
/// # Panics
/// Naming `what`, if it does not hold within `deadline`.
#[track_caller]
pub fn wait_until(what: &str, deadline: Duration, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < deadline, "not within {deadline:?}: {what}");
        thread::sleep(PAUSE);
    }
}

/// Waits for `future`.
///
/// # Panics
/// Naming `what`, if it is not done within [`DEADLINE`].
pub async fn within<F: Future>(what: &str, future: F) -> F::Output {
    match tokio::time::timeout(DEADLINE, future).await {
        Ok(output) => output,
        Err(_) => panic!("not within {DEADLINE:?}: {what}"),
    }
}
