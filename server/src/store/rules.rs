//! What is true of a job, from what its directory shows. Pure: no file, no clock.
//!
//! ```text
//!             create            begin            started              end
//!   (nothing) ─────► intended ────────► begun ───────────► started ───────► ENDED
//!                        │                │                   │               ▲
//!      held by nobody:   │                └─────────┬─────────┘               │
//!      its supervisor    │ the same boot            ▼                         │
//!      is no more        ├──────────► NEVER BEGAN   UNKNOWN ── settle ────────┤
//!                        │                │            ▲        "lost"        │
//!                        │                └── settle ──┼──────────────────────┤
//!                        │                "not started"│                      │
//!                        └──── another boot ───────────┘                      │
//!                                                                             │
//!      held: RUNNING, whatever is written ──────── its supervisor's end ──────┘
//! ```
//!
//! After the machine was started again, an intention alone proves nothing: that a job had begun is not on the disk before
//! it is begun. Nor does a missing end prove anything where something else shows that there was one.

use common::job::{Ended, Outcome, StartFailure, StreamTotal};

use super::record::{Cause, End, Started};

/// What a job's directory shows. The lock is looked at before everything else but the end: what a supervisor has written is
/// there when it is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// The end, if it is written down.
    pub end: Option<End>,
    /// Whether somebody holds the lock.
    pub held: bool,
    /// Whether there is a file that says that it has begun, in whatever state, or output of it.
    pub begun: bool,
    /// Whether something is there that comes after an end, or missing that goes with one: then `end` was there, too.
    pub had_ended: bool,
    /// What is known of the process.
    pub started: Option<Started>,
    /// Whether the machine was not started again since it was made.
    pub same_boot: bool,
}

/// What is true of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// It has a supervisor, or is just being given one.
    Running {
        /// Its process, as soon as there is one.
        started: Option<Started>,
    },
    /// It is over; this does not change any more.
    Ended(End),
    /// It has no supervisor, and its process was provably never started.
    NeverBegan,
    /// It has no supervisor, and nobody can say whether its process has run, or still does.
    Unknown {
        /// The process, if that much is known. It may still run, unless the machine was started again.
        started: Option<Started>,
        /// Whether the machine was started again.
        restarted: bool,
        /// Whether it is over: what is missing is the record of how it ended.
        over: bool,
    },
}

/// The one state that fits.
pub fn judge(evidence: Evidence) -> State {
    let Evidence { end, held, begun, had_ended, started, same_boot } = evidence;
    match end {
        Some(end) => State::Ended(end),
        None if held => State::Running { started },
        // A process without a beginning would be somebody else's file; it is no proof that there was none.
        None if same_boot && !begun && !had_ended && started.is_none() => State::NeverBegan,
        None => State::Unknown { started, restarted: !same_boot, over: had_ended },
    }
}

/// What is to be written down of a job that nobody supervises, and whose output has these lengths; `None` for one that is
/// supervised, or over.
pub fn verdict(state: &State, totals: Vec<StreamTotal>) -> Option<(Ended, Cause)> {
    let (outcome, cause) = match state {
        State::Running { .. } | State::Ended(_) => return None,
        State::NeverBegan => (
            Outcome::NotStarted(StartFailure::Refused(
                "its server or its supervisor ended before it was started; forget it to use its id again"
                    .to_owned(),
            )),
            Cause::NeverBegan,
        ),
        State::Unknown { over: true, .. } => {
            let outcome = Outcome::Lost("it is over, and the record of how it ended is missing".to_owned());
            (outcome, Cause::SupervisorLost)
        }
        State::Unknown { restarted: true, .. } => {
            (lost("the machine was started again", state), Cause::Restarted)
        }
        State::Unknown { restarted: false, .. } => {
            (lost("its supervisor was killed", state), Cause::SupervisorLost)
        }
    };
    Some((Ended { totals, ..Ended::without_output(outcome) }, cause))
}

fn lost(what: &str, state: &State) -> Outcome {
    let ran = match state {
        State::Unknown { started: Some(_), .. } => "while the command ran",
        _ => "when the command may have been running",
    };
    Outcome::Lost(format!("{what} {ran}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Timestamp;

    fn nothing() -> Evidence {
        Evidence { end: None, held: false, begun: false, had_ended: false, started: None, same_boot: true }
    }

    fn started() -> Started {
        Started { process_id: 5, process_start: 7, at: Timestamp(9) }
    }

    fn end() -> End {
        let ended = Ended::without_output(Outcome::Exited(3));
        End { ended, cause: Cause::Seen, at: Timestamp(1), started: None }
    }

    /// Everything that a directory can show.
    fn all() -> Vec<Evidence> {
        let mut all = Vec::new();
        for bits in 0..16 {
            let [held, begun, had_ended, same_boot] = [1, 2, 4, 8].map(|bit| bits & bit != 0);
            for (end, started) in [(None, None), (Some(end()), None), (None, Some(started()))] {
                all.push(Evidence { end, held, begun, had_ended, started, same_boot });
            }
        }
        all
    }

    #[test]
    fn an_end_is_never_taken_back() {
        for evidence in all() {
            let expected = evidence.end.clone();
            match judge(evidence) {
                State::Ended(found) => assert_eq!(Some(found), expected),
                _ => assert_eq!(expected, None),
            }
        }
    }

    #[test]
    fn what_is_held_runs_unless_its_end_is_written() {
        for evidence in all().into_iter().filter(|evidence| evidence.held && evidence.end.is_none()) {
            assert_eq!(judge(evidence.clone()), State::Running { started: evidence.started });
        }
    }

    #[test]
    fn only_what_has_provably_not_begun_never_began() {
        for evidence in all() {
            let proven = evidence == nothing();
            assert_eq!(judge(evidence.clone()) == State::NeverBegan, proven, "{evidence:?}");
        }
    }

    #[test]
    fn a_verdict_is_spoken_over_what_nobody_holds_and_never_invents_an_exit() {
        for evidence in all() {
            let state = judge(evidence.clone());
            let open = !evidence.held && evidence.end.is_none();
            let verdict = verdict(&state, Vec::new());
            assert_eq!(verdict.is_some(), open, "{evidence:?}");
            let Some((ended, cause)) = verdict else { continue };
            match cause {
                Cause::NeverBegan => {
                    assert!(matches!(ended.outcome, Outcome::NotStarted(StartFailure::Refused(_))));
                }
                Cause::SupervisorLost | Cause::Restarted => {
                    assert!(matches!(ended.outcome, Outcome::Lost(_)));
                    assert_eq!(cause == Cause::Restarted, !evidence.same_boot && !evidence.had_ended);
                }
                Cause::Seen => panic!("nobody has seen it: {evidence:?}"),
            }
        }
    }
}
