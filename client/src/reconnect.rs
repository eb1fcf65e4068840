//! Whether and when a lost line is tried again. No socket and no clock: times in, what to do out.

use std::time::Duration;

/// The first pause, and the longest. The first attempt comes at once: most lines are back by then.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// By when a server has surely noticed that a line is lost: what is promised, and more than it takes.
const NOTICED: Duration = Duration::from_secs(60);

/// How long a server on this machine is waited for: what keeps it away longer is not a line.
const LOCAL_PATIENCE: Duration = Duration::from_secs(10);

/// The attempts to make a lost line anew.
///
/// ```text
///   lost ─► attempt ─► pause, doubled each time up to 5 s ─► attempt ─► …  ─► given up
///              └────────────────────────► back
/// ```
#[derive(Debug)]
pub(crate) struct Attempts {
    patience: Duration,
    pause: Duration,
}

impl Attempts {
    /// For jobs of which the server keeps the most patient for `grace`. The server may notice the loss as late as it can, and
    /// waits from then on.
    pub(crate) fn new(grace: Duration, local: bool) -> Self {
        let patience = match (grace.is_zero(), local) {
            (true, _) => Duration::ZERO,
            (false, true) => LOCAL_PATIENCE,
            (false, false) => grace.saturating_add(NOTICED),
        };
        Self { patience, pause: FIRST_PAUSE }
    }

    /// How long attempts are made.
    pub(crate) fn patience(&self) -> Duration {
        self.patience
    }

    /// The pause before the next attempt, after one that failed `elapsed` after the line was lost; `None` if that was the last.
    /// `jitter` is from 0 to 1: those that were cut off together do not come back together.
    pub(crate) fn pause(&mut self, elapsed: Duration, jitter: f64) -> Option<Duration> {
        let pause = self.pause.mul_f64((1.0 + jitter) / 2.0);
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        (elapsed.saturating_add(pause) < self.patience).then_some(pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All pauses of attempts that fail at once.
    fn pauses(grace: Duration, local: bool, jitter: f64) -> Vec<Duration> {
        let (mut attempts, mut elapsed, mut pauses) =
            (Attempts::new(grace, local), Duration::ZERO, Vec::new());
        while let Some(pause) = attempts.pause(elapsed, jitter) {
            elapsed += pause;
            pauses.push(pause);
        }
        pauses
    }

    #[test]
    fn pauses_grow_to_a_limit_and_end_when_the_server_has_surely_given_up() {
        let pauses = pauses(Duration::from_secs(60), false, 1.0);
        let first: Vec<_> = pauses.iter().take(7).map(Duration::as_millis).collect();
        assert_eq!(first, [100, 200, 400, 800, 1600, 3200, 5000]);
        assert!(pauses.iter().all(|pause| *pause <= LONGEST_PAUSE));
        let total: Duration = pauses.iter().sum();
        assert!(total < Duration::from_secs(120) && total >= Duration::from_secs(115), "{total:?}");
    }

    #[test]
    fn jitter_takes_up_to_half_of_a_pause() {
        assert_eq!(
            pauses(Duration::from_secs(60), false, 0.0)[..3],
            [50, 100, 200].map(Duration::from_millis)
        );
    }

    #[test]
    fn without_a_grace_there_is_nothing_to_come_back_to() {
        assert!(pauses(Duration::ZERO, false, 1.0).is_empty());
    }

    #[test]
    fn a_local_server_is_not_waited_for_for_long() {
        let total: Duration = pauses(Duration::from_secs(3600), true, 1.0).iter().sum();
        assert!(total < LOCAL_PATIENCE);
        assert_eq!(Attempts::new(Duration::MAX, false).patience(), Duration::MAX);
    }
}
