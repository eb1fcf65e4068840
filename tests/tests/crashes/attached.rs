//! Jobs of the server itself: it takes the truth about them along, and the next one says so.

use super::*;

/// Where such a job gets to, and what is said of it. Of every point, so that a new one has its row.
fn truths(point: CrashPoint) -> &'static [Verdict] {
    use CrashPoint::*;
    match point {
        Asked | Spawned | StartSaid | OutputKept | OutputSaid | Exited | Reaped => &[Verdict::Lost],
        // Said, and maybe on its way already.
        EndSaid => &[Verdict::Lost, Verdict::Whole],
        IntentWritten | SupervisorSpawned | LockGiven | Charged | IntentDurable | Permitted | Begun
        | StartWritten | StartRelayed | OutputRelayed | OutputSynced | EndWritten | EndRelayed
        | SupervisorLeft | Forgotten => &[],
    }
}

fn kill_everywhere(rounds: u32) {
    let mut world = World::new();
    for point in CrashPoint::ALL.into_iter().filter(|point| !truths(*point).is_empty()) {
        for round in 0..rounds {
            let what = format!("{} {round}", point.name());
            world.arm(point, Victim::Server, true);
            let client = world.start(&[]);
            world.wait_for_the_crash(Victim::Server);
            // It comes back by itself, and asks for the job again.
            let ran = client.finish();
            assert!(truths(point).contains(&verdict(&ran)), "{what}: {ran:?}");
            world.is_over();
            assert!(world.starts() <= 1, "{what}: {} starts", world.starts());
            world.listed();
        }
    }
    world.server.still_serves();
}

#[test]
fn a_server_that_is_killed_at_any_point_is_not_asked_to_start_a_job_twice() {
    kill_everywhere(ROUNDS);
}

#[test]
#[ignore = "takes a minute"]
fn a_server_that_is_killed_at_any_point_fifty_times_is_not_asked_to_start_a_job_twice() {
    kill_everywhere(MANY_ROUNDS);
}
