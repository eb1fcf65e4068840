//! Jobs with a supervisor: the truth about them is on the disk.

use super::*;

/// What becomes of the first client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum First {
    /// It goes on with the next server.
    GoesOn,
    /// It is killed as well.
    Killed,
    /// It leaves as soon as it knows that the job runs.
    Leaves,
}

impl First {
    /// In turn; one that leaves at once is not told of output and end.
    fn of(point: CrashPoint, round: u32) -> Self {
        use CrashPoint::{EndRelayed, EndSaid, OutputRelayed, OutputSaid};
        let stays = matches!(point, OutputSaid | OutputRelayed | EndSaid | EndRelayed);
        match round % if stays { 2 } else { 3 } {
            0 => Self::GoesOn,
            1 => Self::Killed,
            _ => Self::Leaves,
        }
    }
}

/// Whether the server itself gets to the point, and not the supervisor. Of every point, so that a new one has its row.
fn is_in_server(point: CrashPoint) -> bool {
    use CrashPoint::*;
    match point {
        Asked | IntentWritten | SupervisorSpawned | LockGiven | IntentDurable | Permitted | StartRelayed
        | OutputRelayed | EndRelayed | Forgotten => true,
        Charged | Begun | Spawned | StartWritten | StartSaid | OutputKept | OutputSaid | Exited | Reaped
        | OutputSynced | EndWritten | EndSaid | SupervisorLeft => false,
    }
}

/// What may be said of a job whose `victim` is killed there.
fn truths(point: CrashPoint, victim: Victim) -> &'static [Verdict] {
    use CrashPoint::*;
    match (victim, point) {
        // The supervisor was not told to begin.
        (Victim::Server, IntentWritten | LockGiven | IntentDurable) => &[Verdict::NeverRan],
        // Whether the intent was written, or the supervisor told to begin, is decided at the same time.
        (Victim::Server, SupervisorSpawned | Charged) => &[Verdict::NeverRan, Verdict::Whole],
        (Victim::Server, _) => &[Verdict::Whole],
        (_, Charged) => &[Verdict::NeverRan],
        (_, Begun | Spawned | OutputKept | Exited | Reaped | OutputSynced) => &[Verdict::Lost],
        // The job may be faster than who is told of it.
        (_, StartWritten | StartSaid | OutputSaid) => &[Verdict::Lost, Verdict::Whole],
        (_, _) => &[Verdict::Whole],
    }
}

fn kill_everywhere(victims: &[Victim], rounds: u32) {
    let mut world = World::new();
    for point in CrashPoint::ALL {
        let in_server = is_in_server(point);
        if point == CrashPoint::Forgotten || (in_server && !victims.contains(&Victim::Server)) {
            continue;
        }
        for round in 0..rounds {
            let victim = victims[round as usize % victims.len()];
            live(&mut world, point, victim, round);
        }
    }
}

/// A job's life with one crash in it.
fn live(world: &mut World, point: CrashPoint, victim: Victim, round: u32) {
    let (id, first) = (format!("{}-{victim:?}-{round}", point.name()), First::of(point, round));
    let what = format!("{id}, first client {first:?}");
    world.arm(point, victim, is_in_server(point));
    let mut client = match first {
        First::Leaves => world.start(&["--detach", "--id", &id]),
        First::GoesOn | First::Killed => world.start(&["--id", &id]),
    };
    if first == First::Killed {
        wait_until(&format!("the point is reached: {what}"), DEADLINE, || !world.plan.exists());
        if !client.has_ended() {
            client.signal(Signal::KILL);
        }
    }
    world.wait_for_the_crash(victim);
    let ran = client.finish();
    let again = match first {
        First::Leaves => world.start(&["--on-disconnect", "keep", "--id", &id]).finish(),
        First::GoesOn | First::Killed => world.start(&["--id", &id]).finish(),
    };
    let said = verdict(&again);
    assert!(truths(point, victim).contains(&said), "{what}: {said:?}, {again:?}");
    match first {
        First::GoesOn => assert_eq!(verdict(&ran), said, "{what}: {ran:?}, then {again:?}"),
        First::Killed => {}
        // Whoever was told that it runs was told the truth.
        First::Leaves if ran.status.success() => {
            wait_until(&format!("it runs: {what}"), DEADLINE, || world.starts() == 1);
        }
        First::Leaves => {}
    }
    let starts = world.starts();
    match said {
        Verdict::Whole => assert_eq!(starts, 1, "{what}"),
        Verdict::Lost => assert!(starts <= 1, "{what}: {starts} starts"),
        Verdict::NeverRan => assert_eq!(starts, 0, "{what}"),
    }
    world.is_over();
    let listed = world.listed();
    assert!(listed.contains(&id), "{what} is not listed: {listed}");
    assert!(world.starts() <= 1, "{what}");
    Ran::of(world.server.client().args(["forget", &id])).exits(0);
}

#[test]
fn a_server_that_is_killed_at_any_point_costs_its_jobs_nothing() {
    kill_everywhere(&[Victim::Server], ROUNDS);
}

#[test]
fn a_supervisor_that_is_killed_at_any_point_costs_its_job_the_outcome_at_most() {
    kill_everywhere(&[Victim::Supervisor, Victim::Both], 2 * ROUNDS);
}

#[test]
#[ignore = "takes minutes"]
fn a_server_that_is_killed_at_any_point_fifty_times_costs_its_jobs_nothing() {
    kill_everywhere(&[Victim::Server], MANY_ROUNDS);
}

#[test]
#[ignore = "takes minutes"]
fn a_supervisor_that_is_killed_at_any_point_fifty_times_costs_its_job_the_outcome_at_most() {
    kill_everywhere(&[Victim::Supervisor, Victim::Both], 2 * MANY_ROUNDS);
}

#[test]
fn what_was_to_be_forgotten_stays_forgotten() {
    let mut world = World::new();
    for round in 0..ROUNDS {
        let id = format!("forgotten-{round}");
        world.start(&["--id", &id]).finish().exits(7);
        world.is_over();
        world.arm(CrashPoint::Forgotten, Victim::Server, true);
        let mut client = Running::start(world.server.client().args(["forget", &id]));
        world.wait_for_the_crash(Victim::Server);
        if !client.has_ended() {
            client.signal(Signal::KILL);
        }
        client.finish();
        let listed = world.listed();
        assert!(!listed.contains(&id), "{listed}");
        Ran::of(world.server.client().args(["wait", &id])).complains("client", 125);
    }
}
