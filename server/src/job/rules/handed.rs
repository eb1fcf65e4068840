//! The rules of a job as they stand, for the next program, and from the one before.

use std::time::{Duration, Instant};

use super::{Ending, Reading, Rules, Rung, State};
use crate::job::handed::{HandedReading, HandedRules, HandedRung, HandedState};

impl Rules {
    /// How they stand.
    pub(in crate::job) fn hand(&self) -> HandedRules {
        HandedRules {
            state: self.state.hand(),
            wait_output: self.wait_output,
            timeout_at: self.timeout_at.map(Into::into),
            outputs_ended: self.outputs_ended,
            exited: self.exited,
            told: self.told,
        }
    }

    /// Goes on from there.
    pub(in crate::job) fn take(handed: HandedRules) -> Self {
        let HandedRules { state, wait_output, timeout_at, outputs_ended, exited, told } = handed;
        let timeout_at = timeout_at.map(Instant::from);
        Self { state: State::take(state), wait_output, timeout_at, outputs_ended, exited, told }
    }
}

impl State {
    fn hand(&self) -> HandedState {
        match self {
            Self::Running => HandedState::Running,
            Self::Ending(Ending { outcome, since, kill_after, sent, killed_at, look_at }) => {
                HandedState::Ending {
                    outcome: outcome.clone(),
                    since: (*since).into(),
                    kill_after_ms: u64::try_from(kill_after.as_millis()).unwrap_or(u64::MAX),
                    sent: (*sent).into(),
                    killed_at: killed_at.map(Into::into),
                    look_at: (*look_at).into(),
                }
            }
            Self::Draining { outcome, reading } => {
                HandedState::Draining { outcome: outcome.clone(), reading: (*reading).into() }
            }
            Self::Over => HandedState::Over,
        }
    }

    fn take(handed: HandedState) -> Self {
        match handed {
            HandedState::Running => Self::Running,
            HandedState::Ending { outcome, since, kill_after_ms, sent, killed_at, look_at } => {
                Self::Ending(Ending {
                    outcome,
                    since: since.into(),
                    kill_after: Duration::from_millis(kill_after_ms),
                    sent: sent.into(),
                    killed_at: killed_at.map(Instant::from),
                    look_at: look_at.into(),
                })
            }
            HandedState::Draining { outcome, reading } => Self::Draining { outcome, reading: reading.into() },
            HandedState::Over => Self::Over,
        }
    }
}

impl From<Reading> for HandedReading {
    fn from(reading: Reading) -> Self {
        match reading {
            Reading::Until(until) => Self::Until(until.into()),
            Reading::Unlimited => Self::Unlimited,
            Reading::Stopped => Self::Stopped,
        }
    }
}

impl From<HandedReading> for Reading {
    fn from(reading: HandedReading) -> Self {
        match reading {
            HandedReading::Until(until) => Self::Until(until.into()),
            HandedReading::Unlimited => Self::Unlimited,
            HandedReading::Stopped => Self::Stopped,
        }
    }
}

impl From<Rung> for HandedRung {
    fn from(rung: Rung) -> Self {
        match rung {
            Rung::Hup => Self::Hup,
            Rung::Term => Self::Term,
            Rung::Kill => Self::Kill,
        }
    }
}

impl From<HandedRung> for Rung {
    fn from(rung: HandedRung) -> Self {
        match rung {
            HandedRung::Hup => Self::Hup,
            HandedRung::Term => Self::Term,
            HandedRung::Kill => Self::Kill,
        }
    }
}
