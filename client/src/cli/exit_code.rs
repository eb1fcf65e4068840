//! What this program exits with. The one table.

use common::job::{Outcome, StartFailure};

/// The server ended the job at its time limit.
pub(crate) const TIMED_OUT: u8 = 124;
/// Telex itself failed.
pub(crate) const FAILED: u8 = 125;
/// The program is there and cannot be executed.
pub(crate) const NOT_EXECUTABLE: u8 = 126;
/// There is no such program.
pub(crate) const NOT_FOUND: u8 = 127;
/// The user left with a second Ctrl-C.
pub(crate) const INTERRUPTED: u8 = SIGNAL_BASE + 2;

/// To which a signal's number is added.
const SIGNAL_BASE: u8 = 128;

/// The exit code that stands for `outcome`.
pub(crate) fn of_outcome(outcome: &Outcome) -> u8 {
    match outcome {
        Outcome::Exited(code) => *code,
        Outcome::Signaled { signal, .. } => of_signal(*signal),
        Outcome::TimedOut => TIMED_OUT,
        Outcome::NotStarted(StartFailure::NotFound { .. }) => NOT_FOUND,
        Outcome::NotStarted(StartFailure::NotExecutable { .. }) => NOT_EXECUTABLE,
        Outcome::NotStarted(_) | Outcome::Cancelled | Outcome::Lost(_) => FAILED,
    }
}

/// The exit code of a death by `signal`.
pub(crate) fn of_signal(signal: common::job::Signal) -> u8 {
    SIGNAL_BASE.saturating_add(signal.into())
}

#[cfg(test)]
mod tests {
    use common::job::Signal;

    use common::job::Resource;

    use super::*;

    fn not_started(failure: StartFailure) -> u8 {
        of_outcome(&Outcome::NotStarted(failure))
    }

    #[test]
    fn the_table() {
        for code in 0..=255 {
            assert_eq!(of_outcome(&Outcome::Exited(code)), code);
        }
        for number in 1..=64 {
            let signal = Signal::from_number(number).unwrap();
            let outcome = Outcome::Signaled { signal, core_dumped: number % 2 == 0 };
            assert_eq!(i32::from(of_outcome(&outcome)), 128 + number);
        }
        assert_eq!(of_outcome(&Outcome::TimedOut), 124);
        assert_eq!(of_outcome(&Outcome::Cancelled), 125);
        assert_eq!(of_outcome(&Outcome::Lost(String::new())), 125);
        let text = String::new;
        assert_eq!(not_started(StartFailure::NotExecutable { program: text(), reason: text() }), 126);
        assert_eq!(not_started(StartFailure::NotFound { program: text(), searched: text() }), 127);
        assert_eq!(not_started(StartFailure::Directory { path: text(), reason: text() }), 125);
        assert_eq!(not_started(StartFailure::Invalid(text())), 125);
        assert_eq!(not_started(StartFailure::Exhausted(text())), 125);
        assert_eq!(not_started(StartFailure::Refused(text())), 125);
        let limit = Resource::Memory;
        assert_eq!(not_started(StartFailure::Limit { limit, reason: text() }), 125);
        assert_eq!(INTERRUPTED, of_signal(Signal::INT));
    }
}
