//! Whether the other side is still there. No clock and no socket: times in, what to do out.

use std::time::Instant;

use crate::limits;

/// What is known of the other side of a connection.
///
/// ```text
///   quiet for 15 s ──► Ask ── again after 30 s, 45 s ──► quiet for 55 s ──► Lost
///     ▲                                    │
///     └──────────── anything heard ────────┘
/// ```
#[derive(Debug)]
pub struct Liveness {
    heard: Instant,
    /// How often it was asked since then.
    asked: u32,
}

/// What to do when a time has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// Nothing yet.
    Wait,
    /// Ask for a sign of life.
    Ask,
    /// The connection is lost.
    Lost,
}

impl Liveness {
    /// A connection on which something was heard at `now`.
    pub fn new(now: Instant) -> Self {
        Self { heard: now, asked: 0 }
    }

    /// Something was heard.
    pub fn heard(&mut self, now: Instant) {
        *self = Self::new(now);
    }

    /// When [`Liveness::look`] has something to say.
    pub fn deadline(&self) -> Instant {
        let ask = self.heard + limits::PING_AFTER * (self.asked + 1);
        ask.min(self.heard + limits::LOST_AFTER)
    }

    /// What is to be done at `now`.
    pub fn look(&mut self, now: Instant) -> Sign {
        if now < self.deadline() {
            return Sign::Wait;
        }
        if now >= self.heard + limits::LOST_AFTER {
            return Sign::Lost;
        }
        self.asked += 1;
        Sign::Ask
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_quiet_peer_is_asked_three_times_and_given_up_within_a_minute() {
        let start = Instant::now();
        let mut liveness = Liveness::new(start);
        let mut asked = Vec::new();
        let lost = loop {
            let deadline = liveness.deadline();
            assert_eq!(liveness.look(deadline - Duration::from_millis(1)), Sign::Wait);
            match liveness.look(deadline) {
                Sign::Ask => asked.push((deadline - start).as_secs()),
                Sign::Lost => break deadline - start,
                Sign::Wait => panic!("the deadline has come"),
            }
        };
        assert_eq!((asked, lost), (vec![15, 30, 45], limits::LOST_AFTER));
    }

    #[test]
    fn whatever_is_heard_counts() {
        let start = Instant::now();
        let mut liveness = Liveness::new(start);
        assert_eq!(liveness.look(start + limits::PING_AFTER), Sign::Ask);
        liveness.heard(start + Duration::from_secs(54));
        assert_eq!(liveness.look(start + Duration::from_secs(68)), Sign::Wait);
        assert_eq!(liveness.look(start + Duration::from_secs(69)), Sign::Ask);
    }

    #[test]
    fn who_looks_late_finds_the_connection_lost() {
        let start = Instant::now();
        assert_eq!(Liveness::new(start).look(start + limits::LOST_AFTER), Sign::Lost);
    }
}
