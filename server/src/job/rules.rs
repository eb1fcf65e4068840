//! What a job may do next. No process, no pipe, no clock: events and times in, actions out.

mod handed;

use std::time::{Duration, Instant};

use common::job::{Outcome, Signal};

/// How long output may still come after the command's own exit, from processes that it left behind.
pub(super) const DRAIN: Duration = Duration::from_secs(2);

/// The steps of ending a tree, counted from the first.
const TERM_AFTER: Duration = Duration::from_secs(1);
const KILL_AFTER: Duration = Duration::from_secs(10);

/// When the server itself must be gone within 10 s: leaves room for [`DRAIN`] and for telling the client.
const KILL_AFTER_STOPPING: Duration = Duration::from_secs(6);

/// How long killed processes may take to disappear before they are given up, stuck in the kernel.
const GONE_AFTER_KILL: Duration = Duration::from_secs(5);

/// How often the tree is looked at while it is being ended.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Why a job is to end before its command does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// Its time limit passed.
    TimedOut,
    /// The client asked for it.
    Cancelled,
    /// The client is gone.
    ClientGone,
    /// The server is stopping.
    ServerStopping,
}

/// What happens to a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Event {
    /// The command's own process has exited.
    Exited(Outcome),
    /// Both output streams have ended; whether a process still held one of them open.
    OutputsEnded {
        /// Reading was given up before the end.
        left_open: bool,
    },
    /// The client has sent the command this signal.
    Signalled(Signal),
    /// It is to end.
    Stop(Cause),
    /// Nothing of its tree is alive, as was asked with [`Action::LookAtTree`].
    TreeGone,
    /// The time of [`Rules::deadline`] has come.
    Elapsed,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Action {
    /// Send this to every process of the tree.
    SignalTree(Signal),
    /// Say [`Event::TreeGone`] if nothing of the tree is alive.
    LookAtTree,
    /// Wait no longer for the ends of the output streams: send what is in the pipes, and end them.
    StopReading,
    /// The job is over.
    Finish {
        /// How it ended.
        outcome: Outcome,
        /// Whether a process still held its output open.
        output_left_open: bool,
    },
}

/// A job whose process runs or has run.
///
/// ```text
///              Exited                          OutputsEnded
///   Running ───────────────► Draining ────────────────────────► Over
///      │                      │    ▲   DRAIN elapsed: StopReading,
///      │ Stop(cause)          │    │   then OutputsEnded
///      │        Stop, while   │    │ TreeGone, or killed and given up
///      ▼        waiting for   ▼    │
///   Ending ◄──── all output ──┘    │
///      └───────────────────────────┘
///   Running ── Exited, having been told to end ──► Ending
///
///   HUP at 0 s ─► TERM at 1 s ─► KILL at 10 s (stopping: 6 s) ─ 5 s ─► given up
/// ```
///
/// A command that exits by itself leaves alone what it put into the background; only a job that is *ended* takes its
/// whole tree along. A command that the client has sent TERM or KILL, or that dies of the client's HUP, was ended.
#[derive(Debug)]
pub(super) struct Rules {
    state: State,
    wait_output: bool,
    timeout_at: Option<Instant>,
    /// Whether an output was left open, once both have ended.
    outputs_ended: Option<bool>,
    exited: bool,
    /// The last signal of the client's that tells a command to end.
    told: Option<Signal>,
}

#[derive(Debug)]
enum State {
    Running,
    Ending(Ending),
    Draining { outcome: Outcome, reading: Reading },
    Over,
}

/// How long the ends of the outputs are waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reading {
    /// Until this time.
    Until(Instant),
    /// As long as it takes, or until the job's time limit.
    Unlimited,
    /// No longer; what is in the pipes is on its way.
    Stopped,
}

#[derive(Debug)]
struct Ending {
    outcome: Outcome,
    since: Instant,
    kill_after: Duration,
    sent: Rung,
    /// When KILL was first sent.
    killed_at: Option<Instant>,
    look_at: Instant,
}

/// How far up the ladder the tree has been signalled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rung {
    Hup,
    Term,
    Kill,
}

impl Rules {
    /// A job that has just started.
    pub(super) fn new(now: Instant, timeout: Option<Duration>, wait_output: bool) -> Self {
        Self {
            state: State::Running,
            wait_output,
            // A limit beyond the clock's range is none.
            timeout_at: timeout.and_then(|timeout| now.checked_add(timeout)),
            outputs_ended: None,
            exited: false,
            told: None,
        }
    }

    /// When [`Event::Elapsed`] is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match &self.state {
            State::Running => self.timeout_at,
            State::Ending(ending) => Some(ending.look_at),
            State::Draining { reading: Reading::Until(until), .. } => Some(*until),
            State::Draining { reading: Reading::Unlimited, .. } => self.timeout_at,
            State::Draining { reading: Reading::Stopped, .. } | State::Over => None,
        }
    }

    /// Whether the command's own process has exited.
    pub(super) fn has_exited(&self) -> bool {
        self.exited
    }

    /// Whether both output streams have ended.
    pub(super) fn have_outputs_ended(&self) -> bool {
        self.outputs_ended.is_some()
    }

    /// Takes an event at a time; what is to be done, in this order.
    pub(super) fn handle(&mut self, event: Event, now: Instant) -> Vec<Action> {
        match event {
            Event::OutputsEnded { left_open } => self.outputs_ended = Some(left_open),
            Event::Exited(_) => self.exited = true,
            Event::Signalled(signal @ (Signal::HUP | Signal::TERM | Signal::KILL)) => {
                self.told = Some(signal);
            }
            Event::Signalled(_) | Event::Stop(_) | Event::TreeGone | Event::Elapsed => {}
        }
        let overdue = self.timeout_at.is_some_and(|at| now >= at);
        match (&mut self.state, event) {
            (State::Running, Event::Exited(outcome)) if was_told(self.told, &outcome) => {
                let mut actions = self.begin_ending(outcome, KILL_AFTER, now);
                actions.push(Action::LookAtTree);
                actions
            }
            (State::Running, Event::Exited(outcome)) => {
                let reading = if self.wait_output { Reading::Unlimited } else { Reading::Until(now + DRAIN) };
                self.drain(outcome, reading)
            }
            (State::Running, Event::Stop(cause)) => self.end(cause, now),
            (State::Running, Event::Elapsed) if overdue => self.end(Cause::TimedOut, now),
            (State::Ending(ending), Event::Stop(Cause::ServerStopping)) => {
                ending.kill_after = ending.kill_after.min(now - ending.since + KILL_AFTER_STOPPING);
                Vec::new()
            }
            (State::Ending(_), Event::Exited(_)) => vec![Action::LookAtTree],
            (State::Ending(_), Event::TreeGone) if self.exited => self.ended(now),
            (State::Ending(_), Event::Elapsed) => self.climb(now),
            (State::Draining { .. }, Event::OutputsEnded { .. }) => self.finish_if_complete(),
            (State::Draining { reading, .. }, Event::Elapsed) => match reading {
                Reading::Until(until) if now >= *until => {
                    *reading = Reading::Stopped;
                    vec![Action::StopReading]
                }
                Reading::Unlimited if overdue => self.end(Cause::TimedOut, now),
                _ => Vec::new(),
            },
            (State::Draining { reading: Reading::Unlimited, .. }, Event::Stop(cause)) => self.end(cause, now),
            _ => Vec::new(),
        }
    }

    fn end(&mut self, cause: Cause, now: Instant) -> Vec<Action> {
        let outcome = match cause {
            Cause::TimedOut => Outcome::TimedOut,
            Cause::Cancelled | Cause::ClientGone | Cause::ServerStopping => Outcome::Cancelled,
        };
        let kill_after = if cause == Cause::ServerStopping { KILL_AFTER_STOPPING } else { KILL_AFTER };
        self.begin_ending(outcome, kill_after, now)
    }

    fn begin_ending(&mut self, outcome: Outcome, kill_after: Duration, now: Instant) -> Vec<Action> {
        let look_at = now + LOOK_EVERY;
        self.state = State::Ending(Ending {
            outcome,
            since: now,
            kill_after,
            sent: Rung::Hup,
            killed_at: None,
            look_at,
        });
        // What is stopped cannot act on a signal until it goes on.
        vec![Action::SignalTree(Signal::HUP), Action::SignalTree(Signal::CONT)]
    }

    fn climb(&mut self, now: Instant) -> Vec<Action> {
        let State::Ending(ending) = &mut self.state else { return Vec::new() };
        let elapsed = now - ending.since;
        ending.look_at = now + LOOK_EVERY;
        // Counted from the signal itself: a server that was stopped meanwhile still owes it.
        if ending.killed_at.is_some_and(|at| now >= at + GONE_AFTER_KILL) {
            return self.give_up(now);
        }
        let mut actions = Vec::new();
        if elapsed >= ending.kill_after {
            // Again at every look: a process that forks may have been between two listings.
            ending.sent = Rung::Kill;
            ending.killed_at.get_or_insert(now);
            actions.push(Action::SignalTree(Signal::KILL));
        } else if elapsed >= TERM_AFTER && ending.sent < Rung::Term {
            ending.sent = Rung::Term;
            actions.extend([Action::SignalTree(Signal::TERM), Action::SignalTree(Signal::CONT)]);
        }
        actions.push(Action::LookAtTree);
        actions
    }

    /// What even KILL does not end is stuck in the kernel. Without the command's own exit nobody knows its outcome.
    fn give_up(&mut self, now: Instant) -> Vec<Action> {
        if let State::Ending(ending) = &mut self.state
            && !self.exited
        {
            ending.outcome = Outcome::Lost(format!("{}, but the command does not end", ending.outcome));
        }
        self.ended(now)
    }

    fn ended(&mut self, now: Instant) -> Vec<Action> {
        let State::Ending(Ending { outcome, .. }) = std::mem::replace(&mut self.state, State::Over) else {
            return Vec::new();
        };
        self.drain(outcome, Reading::Until(now + DRAIN))
    }

    fn drain(&mut self, outcome: Outcome, reading: Reading) -> Vec<Action> {
        self.state = State::Draining { outcome, reading };
        self.finish_if_complete()
    }

    fn finish_if_complete(&mut self) -> Vec<Action> {
        let Some(output_left_open) = self.outputs_ended else { return Vec::new() };
        match std::mem::replace(&mut self.state, State::Over) {
            State::Draining { outcome, .. } => vec![Action::Finish { outcome, output_left_open }],
            other => {
                self.state = other;
                Vec::new()
            }
        }
    }
}

/// Whether a command that ended so did what the client had told it.
fn was_told(told: Option<Signal>, outcome: &Outcome) -> bool {
    match told {
        Some(Signal::HUP) => matches!(outcome, Outcome::Signaled { signal: Signal::HUP, .. }),
        told => told.is_some(),
    }
}

#[cfg(test)]
mod tests;
