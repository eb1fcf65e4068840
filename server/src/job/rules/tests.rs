//! Every path through the rules by name, and the invariants under a hundred thousand random histories.

use std::time::{Duration, Instant};

use common::job::{Outcome, Signal};

use super::{
    Action, Cause, DRAIN, Event, GONE_AFTER_KILL, KILL_AFTER, KILL_AFTER_STOPPING, LOOK_EVERY, Rules,
    TERM_AFTER,
};

const EXIT: Outcome = Outcome::Exited(3);

/// A job with a clock that only moves when told.
struct Story {
    rules: Rules,
    start: Instant,
    now: Instant,
}

impl Story {
    fn new(timeout: Option<Duration>, wait_output: bool) -> Self {
        let now = Instant::now();
        Self { rules: Rules::new(now, timeout, wait_output), start: now, now }
    }

    fn handle(&mut self, event: Event) -> Vec<Action> {
        self.rules.handle(event, self.now)
    }

    fn exit(&mut self) -> Vec<Action> {
        self.handle(Event::Exited(EXIT))
    }

    fn outputs_end(&mut self) -> Vec<Action> {
        self.handle(Event::OutputsEnded { left_open: false })
    }

    /// Lets deadlines pass until `after` the start; what was to be done meanwhile.
    fn pass(&mut self, after: Duration) -> Vec<Action> {
        let until = self.start + after;
        let mut actions = Vec::new();
        while let Some(deadline) = self.rules.deadline().filter(|deadline| *deadline <= until) {
            self.now = self.now.max(deadline);
            actions.extend(self.handle(Event::Elapsed));
        }
        self.now = until;
        actions
    }
}

fn finish(outcome: Outcome) -> Vec<Action> {
    vec![Action::Finish { outcome, output_left_open: false }]
}

fn hang_up() -> Vec<Action> {
    vec![Action::SignalTree(Signal::HUP), Action::SignalTree(Signal::CONT)]
}

fn signals(actions: &[Action]) -> Vec<Signal> {
    let sent = actions.iter().filter_map(|action| match action {
        Action::SignalTree(signal) => Some(*signal),
        _ => None,
    });
    let mut sent: Vec<_> = sent.collect();
    sent.dedup();
    sent
}

#[test]
fn exit_and_end_of_output_finish_in_either_order() {
    let mut story = Story::new(None, false);
    assert_eq!(story.exit(), []);
    assert_eq!(story.outputs_end(), finish(EXIT));
    let mut story = Story::new(None, false);
    assert_eq!(story.outputs_end(), []);
    assert_eq!(story.exit(), finish(EXIT));
}

#[test]
fn output_held_open_is_waited_for_two_seconds_and_left_alone() {
    let mut story = Story::new(None, false);
    story.exit();
    assert_eq!(story.pass(DRAIN - Duration::from_millis(1)), []);
    assert_eq!(story.pass(DRAIN), [Action::StopReading]);
    let end = story.handle(Event::OutputsEnded { left_open: true });
    assert_eq!(end, [Action::Finish { outcome: EXIT, output_left_open: true }]);
}

#[test]
fn waiting_for_all_output_has_no_end_of_its_own() {
    let mut story = Story::new(None, true);
    story.exit();
    assert_eq!(story.rules.deadline(), None);
    assert_eq!(story.outputs_end(), finish(EXIT));
}

#[test]
fn the_ladder_is_hup_then_term_then_kill() {
    let mut story = Story::new(None, false);
    assert_eq!(story.handle(Event::Stop(Cause::Cancelled)), hang_up());
    assert_eq!(signals(&story.pass(TERM_AFTER - LOOK_EVERY)), []);
    assert_eq!(signals(&story.pass(TERM_AFTER + LOOK_EVERY)), [Signal::TERM, Signal::CONT]);
    assert_eq!(signals(&story.pass(KILL_AFTER - LOOK_EVERY)), []);
    assert_eq!(signals(&story.pass(KILL_AFTER + LOOK_EVERY)), [Signal::KILL]);
    assert_eq!(story.exit(), [Action::LookAtTree]);
    assert_eq!(story.handle(Event::TreeGone), []);
    assert_eq!(story.outputs_end(), finish(Outcome::Cancelled));
}

#[test]
fn a_tree_that_outlives_its_leader_is_still_ended() {
    let mut story = Story::new(None, false);
    story.handle(Event::Stop(Cause::ClientGone));
    assert_eq!(story.exit(), [Action::LookAtTree]);
    let later = story.pass(TERM_AFTER + LOOK_EVERY);
    assert_eq!(signals(&later), [Signal::TERM, Signal::CONT]);
    assert!(later.contains(&Action::LookAtTree));
}

#[test]
fn what_even_kill_does_not_end_is_given_up() {
    let mut story = Story::new(None, false);
    story.handle(Event::Stop(Cause::Cancelled));
    story.outputs_end();
    let last = story.pass(KILL_AFTER + GONE_AFTER_KILL + 2 * LOOK_EVERY);
    let Some(Action::Finish { outcome: Outcome::Lost(_), .. }) = last.last() else { panic!("{last:?}") };
}

#[test]
fn a_time_limit_ends_the_job_as_timed_out() {
    let limit = Duration::from_secs(30);
    let mut story = Story::new(Some(limit), false);
    assert_eq!(story.pass(limit - Duration::from_millis(1)), []);
    assert_eq!(signals(&story.pass(limit)), [Signal::HUP, Signal::CONT]);
    story.exit();
    story.handle(Event::TreeGone);
    assert_eq!(story.outputs_end(), finish(Outcome::TimedOut));
}

#[test]
fn a_time_limit_also_ends_the_wait_for_all_output() {
    let limit = Duration::from_secs(30);
    let mut story = Story::new(Some(limit), true);
    story.exit();
    assert_eq!(signals(&story.pass(limit)), [Signal::HUP, Signal::CONT]);
    story.handle(Event::TreeGone);
    assert_eq!(story.outputs_end(), finish(Outcome::TimedOut));
}

#[test]
fn a_job_that_waits_for_all_output_is_not_over_when_its_command_is() {
    for cause in [Cause::Cancelled, Cause::ClientGone, Cause::ServerStopping] {
        let mut story = Story::new(None, true);
        story.exit();
        assert_eq!(story.handle(Event::Stop(cause)), hang_up());
        story.handle(Event::TreeGone);
        assert_eq!(story.outputs_end(), finish(Outcome::Cancelled));
    }
}

#[test]
fn a_server_that_slept_through_the_ladder_still_kills() {
    let mut story = Story::new(None, false);
    story.handle(Event::Stop(Cause::ClientGone));
    story.now += Duration::from_secs(3600);
    assert_eq!(signals(&story.handle(Event::Elapsed)), [Signal::KILL]);
}

#[test]
fn a_stopping_server_kills_sooner() {
    for already_ending in [false, true] {
        let mut story = Story::new(None, false);
        if already_ending {
            story.handle(Event::Stop(Cause::Cancelled));
        }
        story.handle(Event::Stop(Cause::ServerStopping));
        assert_eq!(signals(&story.pass(KILL_AFTER_STOPPING + LOOK_EVERY)).last(), Some(&Signal::KILL));
    }
}

#[test]
fn a_command_that_ends_as_the_client_told_it_takes_its_tree_along() {
    for (signal, outcome) in [
        (Signal::TERM, Outcome::Exited(1)),
        (Signal::KILL, Outcome::Signaled { signal: Signal::KILL, core_dumped: false }),
        (Signal::HUP, Outcome::Signaled { signal: Signal::HUP, core_dumped: false }),
    ] {
        let mut story = Story::new(None, false);
        story.outputs_end();
        assert_eq!(story.handle(Event::Signalled(signal)), []);
        let begun = story.handle(Event::Exited(outcome.clone()));
        assert_eq!(begun, [hang_up(), vec![Action::LookAtTree]].concat());
        assert_eq!(story.handle(Event::TreeGone), finish(outcome));
    }
}

#[test]
fn a_command_that_lives_on_after_hup_or_dies_of_int_leaves_its_background_alone() {
    for signal in [Signal::HUP, Signal::INT, Signal::USR1] {
        let mut story = Story::new(None, false);
        story.outputs_end();
        story.handle(Event::Signalled(signal));
        assert_eq!(story.exit(), finish(EXIT));
    }
}

/// A small generator, so that a failing history can be named by its seed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// One random life of a job. The tree dies of KILL, sometimes earlier; outputs end when everything is dead, or are
/// given up when reading is stopped.
fn history(seed: u64) {
    let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let timeout = (random.below(3) == 0).then(|| Duration::from_millis(random.below(5_000)));
    let mut story = Story::new(timeout, random.below(3) == 0);
    let (mut exited, mut gone, mut ended, mut finished) = (false, false, false, 0);
    let mut stops = Vec::new();
    for _ in 0..5_000 {
        let event = match random.below(40) {
            0 if !exited => {
                exited = true;
                Event::Exited(EXIT)
            }
            1 if exited && !gone => {
                gone = true;
                continue;
            }
            2 if exited && !ended => {
                ended = true;
                Event::OutputsEnded { left_open: !gone }
            }
            3 => {
                let causes = [Cause::Cancelled, Cause::ClientGone, Cause::ServerStopping];
                let cause = causes[random.below(3) as usize];
                stops.push(cause);
                Event::Stop(cause)
            }
            _ => match story.rules.deadline() {
                Some(deadline) => {
                    story.now = story.now.max(deadline);
                    Event::Elapsed
                }
                None if !exited => continue,
                None if !ended => {
                    ended = true;
                    Event::OutputsEnded { left_open: !gone }
                }
                None => break,
            },
        };
        let mut events = vec![event];
        while let Some(event) = events.pop() {
            for action in story.handle(event) {
                assert_eq!(finished, 0, "seed {seed}: {action:?} after the end");
                match action {
                    Action::SignalTree(Signal::KILL) => {
                        gone = true;
                        if !std::mem::replace(&mut exited, true) {
                            events.push(Event::Exited(Outcome::Exited(9)));
                        }
                    }
                    Action::SignalTree(_) => {}
                    Action::LookAtTree if exited && gone => events.push(Event::TreeGone),
                    Action::LookAtTree => {}
                    Action::StopReading => {
                        if !std::mem::replace(&mut ended, true) {
                            events.push(Event::OutputsEnded { left_open: !gone });
                        }
                    }
                    Action::Finish { outcome, .. } => {
                        finished += 1;
                        assert!(exited && ended, "seed {seed}: finished before the process and its output");
                        assert!(
                            outcome != Outcome::Cancelled || !stops.is_empty(),
                            "seed {seed}: cancelled by nobody"
                        );
                        assert!(outcome != Outcome::TimedOut || timeout.is_some(), "seed {seed}: no limit");
                    }
                }
            }
        }
        if finished > 0 {
            break;
        }
    }
    if exited && ended {
        assert_eq!(finished, 1, "seed {seed}: no end");
    }
    assert!(story.rules.deadline().is_none() || finished == 0, "seed {seed}: a deadline after the end");
}

#[test]
fn a_hundred_thousand_histories_end_once_and_truthfully() {
    for seed in 0..100_000 {
        history(seed);
    }
}
