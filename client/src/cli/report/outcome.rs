//! The sentences for how a job ended, and for what it has taken. Nothing is printed here.

use std::time::Duration;

use common::job::{Outcome, Signal, StartFailure};

use crate::{Finished, PeakMemory};

/// The sentence for an outcome, if there is something to say that the exit code of a command does not.
pub(crate) fn outcome(finished: &Finished, timeout: Option<Duration>, going_away: bool) -> Option<String> {
    let outcome = &finished.outcome;
    match outcome {
        Outcome::Exited(_) => None,
        Outcome::Signaled { signal: Signal::KILL, .. } if finished.out_of_memory => {
            Some(format!("{outcome} (out of memory)"))
        }
        Outcome::Signaled { .. } => Some(outcome.to_string()),
        Outcome::TimedOut => Some(match timeout {
            Some(limit) => format!("timed out after {limit:?}: the server ended the job"),
            None => "timed out: the server ended the job".to_owned(),
        }),
        Outcome::Cancelled if going_away => {
            Some("cancelled: the server is stopping and ended the job".to_owned())
        }
        Outcome::Cancelled => Some("cancelled: the server was asked to end the job".to_owned()),
        Outcome::NotStarted(failure) => Some(start_failure(failure)),
        Outcome::Lost(known) => Some(format!("the outcome is lost: {known}")),
    }
}

/// What a job has taken, in one line.
pub(crate) fn usage(finished: &Finished) -> String {
    let wall = finished.wall.as_secs_f64();
    match finished.usage {
        None => format!("wall {wall:.3} s; what it has used is not known"),
        Some(usage) => {
            let (cpu, peak) = (usage.cpu().as_secs_f64(), peak_memory(usage.peak_memory));
            format!("wall {wall:.3} s, cpu {cpu:.3} s, peak memory {peak}")
        }
    }
}

fn peak_memory(peak: PeakMemory) -> String {
    let size = |bytes: u64| {
        let units = [("GiB", 1_u64 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
        let unit = units.into_iter().find(|(_, unit)| bytes >= *unit);
        unit.map_or_else(
            || format!("{bytes} B"),
            |(name, unit)| format!("{:.1} {name}", bytes as f64 / unit as f64),
        )
    };
    match peak {
        PeakMemory::Exactly(bytes) => size(bytes),
        PeakMemory::AtMost(bytes) => format!("at most {}", size(bytes)),
    }
}

fn start_failure(failure: &StartFailure) -> String {
    match failure {
        StartFailure::NotFound { program, searched } if searched.is_empty() => {
            format!("{program}: not found on the server; check the path")
        }
        StartFailure::NotFound { program, searched } => {
            format!("{program}: not found in PATH on the server ({searched}); name it with its directory")
        }
        StartFailure::NotExecutable { .. } => failure.to_string(),
        StartFailure::Directory { path, reason } => {
            format!("cannot enter {path} on the server: {reason}; check --cwd")
        }
        StartFailure::Exhausted(_) => format!("not started: {failure}; try again later"),
        StartFailure::Invalid(_) | StartFailure::Refused(_) | StartFailure::Limit { .. } => {
            format!("not started: {failure}")
        }
    }
}

#[cfg(test)]
mod tests {
    use common::job::{Resource, Usage};

    use super::*;

    #[test]
    fn what_a_job_has_taken() {
        let finished = |usage| Finished {
            outcome: Outcome::Exited(0),
            stdout_bytes: 0,
            stderr_bytes: 0,
            stdin_consumed: 0,
            output_left_open: false,
            out_of_memory: false,
            wall: Duration::from_millis(1234),
            usage,
            missed: 0,
        };
        let used = |peak_memory| usage(&finished(Some(Usage { cpu_us: 567_800, peak_memory })));
        let expected = "wall 1.234 s, cpu 0.568 s, peak memory 12.5 MiB";
        assert_eq!(used(PeakMemory::Exactly(25 << 19)), expected);
        assert!(used(PeakMemory::AtMost(3 << 30)).ends_with("peak memory at most 3.0 GiB"));
        assert_eq!(usage(&finished(None)), "wall 1.234 s; what it has used is not known");
    }

    #[test]
    fn outcomes() {
        let finished = |outcome| Finished {
            outcome,
            stdout_bytes: 0,
            stderr_bytes: 0,
            stdin_consumed: 0,
            output_left_open: false,
            out_of_memory: true,
            wall: Duration::ZERO,
            usage: None,
            missed: 0,
        };
        let sentence = |what| outcome(&finished(what), Some(Duration::from_millis(1500)), true);
        assert_eq!(sentence(Outcome::Exited(3)), None);
        assert_eq!(sentence(Outcome::TimedOut).unwrap(), "timed out after 1.5s: the server ended the job");
        let signaled = |signal| sentence(Outcome::Signaled { signal, core_dumped: false }).unwrap();
        assert_eq!(signaled(Signal::KILL), "killed by SIGKILL (out of memory)");
        assert_eq!(signaled(Signal::TERM), "killed by SIGTERM");
        let missing = StartFailure::NotFound { program: "foo".to_owned(), searched: "/bin".to_owned() };
        let expected = "foo: not found in PATH on the server (/bin); name it with its directory";
        assert_eq!(sentence(Outcome::NotStarted(missing)).unwrap(), expected);
        let limit = StartFailure::Limit { limit: Resource::Cpu, reason: "no controller".to_owned() };
        let expected = "not started: cannot limit processor time: no controller";
        assert_eq!(sentence(Outcome::NotStarted(limit)).unwrap(), expected);
    }
}
