//! How long output waits for a disk that takes none of it. Times in, answers out: no clock and no file.
//!
//! As long as the command may go on, without a bound: its pipe fills, and it waits. Once its job is ending there is nobody left to
//! wait, and what is on its way has [`LAST_WAIT`].

use std::time::{Duration, Instant};

/// How long the rest of the output of a job that is ending waits for room, all in all: enough for somebody who has just been told
/// that the disk is full to make some, and not so long that who has ended the job takes it for stuck.
pub(super) const LAST_WAIT: Duration = Duration::from_secs(30);

/// The waits of one output stream.
#[derive(Debug, Default)]
pub(super) struct Stall {
    /// Since when its job is ending.
    ending: Option<Instant>,
    /// Since when the disk takes nothing.
    refused: Option<Instant>,
    /// What was waited while the job was ending, before that.
    waited: Duration,
}

impl Stall {
    /// Nothing will come any more but what is on its way.
    pub(super) fn ends(&mut self, now: Instant) {
        self.ending.get_or_insert(now);
    }

    /// The disk has taken something, or it is not the disk that is waited for.
    pub(super) fn is_over(&mut self, now: Instant) {
        self.waited += self.wait(now);
        self.refused = None;
    }

    /// The disk takes nothing; whether that is to be waited for.
    pub(super) fn goes_on(&mut self, now: Instant) -> bool {
        self.refused.get_or_insert(now);
        self.waited + self.wait(now) < LAST_WAIT
    }

    /// Whether the disk is waited for.
    pub(super) fn is_there(&self) -> bool {
        self.refused.is_some()
    }

    /// How much of the present wait counts.
    fn wait(&self, now: Instant) -> Duration {
        match (self.ending, self.refused) {
            (Some(ending), Some(refused)) => now.saturating_duration_since(ending.max(refused)),
            _ => Duration::ZERO,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);
    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_command_that_may_go_on_waits_for_days() {
        let (mut stall, now) = (Stall::default(), Instant::now());
        assert!(!stall.is_there());
        assert!(stall.goes_on(now) && stall.goes_on(now + DAY) && stall.is_there());
    }

    #[test]
    fn what_is_left_at_the_end_has_its_time_from_the_end_on() {
        let (mut stall, now) = (Stall::default(), Instant::now());
        assert!(stall.goes_on(now));
        stall.ends(now + DAY);
        // Said again, it is no later.
        stall.ends(now + DAY + SECOND);
        assert!(stall.goes_on(now + DAY + LAST_WAIT - SECOND));
        assert!(!stall.goes_on(now + DAY + LAST_WAIT));
    }

    #[test]
    fn a_disk_that_is_full_only_later_has_its_time_from_then_on() {
        let (mut stall, now) = (Stall::default(), Instant::now());
        stall.ends(now);
        assert!(stall.goes_on(now + DAY));
        assert!(stall.goes_on(now + DAY + LAST_WAIT - SECOND));
        assert!(!stall.goes_on(now + DAY + LAST_WAIT));
    }

    #[test]
    fn a_disk_that_takes_a_little_now_and_then_gets_no_more_time_and_what_it_worked_does_not_count() {
        let (mut stall, now) = (Stall::default(), Instant::now());
        stall.ends(now);
        assert!(stall.goes_on(now));
        stall.is_over(now + 20 * SECOND);
        assert!(!stall.is_there());
        assert!(stall.goes_on(now + DAY));
        assert!(stall.goes_on(now + DAY + 9 * SECOND));
        assert!(!stall.goes_on(now + DAY + 10 * SECOND));
    }
}
