//! Lives of jobs: at most one for each id, one holder at a time, an end that stays, and nothing for strangers.

use std::fs::{self, Permissions};
use std::os::fd::AsFd;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::{Command as Process, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use common::frame::StreamId;
use common::job::{Outcome, Program, StartFailure, Variable};

use super::world::*;
use super::*;

fn started() -> Started {
    Started { process_id: 4711, process_start: 99, at: NOW }
}

#[test]
fn a_job_is_known_from_its_making_to_its_end() {
    let world = World::new();
    let store = world.store();
    let custody = create(&store, ANN, "build");
    let look = || store.find(&ANN, &id("build")).unwrap().state().unwrap();
    assert_eq!(look(), State::Running { started: None });
    custody.begin(None, NOW).unwrap();
    assert!(matches!(custody.begin(None, NOW), Err(StoreError::Begun)));
    custody.started(started()).unwrap();
    assert_eq!(look(), State::Running { started: Some(started()) });
    let end = custody.end(&exited(3), Timestamp(NOW.0 + 5)).unwrap();
    let expected =
        End { ended: exited(3), cause: Cause::Seen, at: Timestamp(NOW.0 + 5), started: Some(started()) };
    assert_eq!(end, expected);
    assert_eq!(look(), State::Ended(expected.clone()));
    // Once is for good.
    assert!(matches!(custody.begin(None, NOW), Err(StoreError::Begun)));
    assert_eq!(custody.end(&exited(4), NOW).unwrap(), expected);
    abandon(custody);
    assert_eq!(
        world.after_restart().find(&ANN, &id("build")).unwrap().settle(NOW).unwrap(),
        State::Ended(expected)
    );
}

#[test]
fn what_is_kept_of_a_request_is_short_and_has_no_values() {
    let world = World::new();
    let store = world.store();
    let variable =
        |number: usize| Variable { name: format!("NAME_{number}").as_str().into(), value: "hush".into() };
    let words = ["make", "größe", &"x".repeat(5000)].map(|word| word.into()).to_vec();
    let spec = Spec { environment: (0..1000).map(variable).collect(), ..Spec::new(Program::Argv(words)) };
    let request = Request { owner: ANN, id: &id("a"), digest: digest(""), first_sent: NOW, spec: &spec };
    let (Creation::New(custody), _) = store.create(request, NOW).unwrap() else { panic!() };
    let intent = custody.job().intent();
    let Command::Argv(text) = &intent.command else { panic!() };
    assert!(text.starts_with("make größe xxx") && text.len() == record::COMMAND_BYTES, "{text}");
    assert_eq!(intent.variables[..2], ["NAME_0", "NAME_1"]);
    assert!(intent.variables.iter().map(String::len).sum::<usize>() < record::VARIABLES_BYTES);
    let bytes = fs::read(world.job_path(ANN, "a").join("intent")).unwrap();
    assert!(bytes.len() < 4096);
    assert!(!bytes.windows(4).any(|window| window == b"hush"));
}

#[test]
fn the_same_request_finds_its_job_and_another_one_is_refused() {
    let world = World::new();
    let store = world.store();
    let _custody = create(&store, ANN, "build");
    assert!(matches!(request(&store, ANN, "build", "make"), Ok(Creation::Existing(_))));
    assert!(matches!(request(&world.store(), ANN, "build", "make"), Ok(Creation::Existing(_))));
    assert!(matches!(request(&store, ANN, "build", "make clean"), Err(StoreError::Conflict { .. })));
    assert!(matches!(request(&store, BOB, "build", "make clean"), Ok(Creation::New(_))));
}

#[test]
fn of_many_who_make_one_job_at_once_one_does() {
    let world = World::new();
    for round in 0..50 {
        let id = format!("job-{round}");
        let made: Vec<Creation> = thread::scope(|scope| {
            let makers: Vec<_> =
                (0..8).map(|_| scope.spawn(|| request(&world.store(), ANN, &id, "make").unwrap())).collect();
            makers.into_iter().map(|maker| maker.join().unwrap()).collect()
        });
        assert_eq!(made.iter().filter(|creation| matches!(creation, Creation::New(_))).count(), 1);
    }
    // Nothing of the others is left.
    let names = world.store().root.names(1000).unwrap().listed;
    assert_eq!(names.iter().filter(|name| name.starts_with('.')).count(), 0, "{names:?}");
}

#[test]
fn a_job_has_a_holder_at_every_moment_and_no_second_one() {
    let world = World::new();
    let store = world.store();
    let custody = create(&store, ANN, "build");
    let path = custody.job().path().to_owned();
    let inherited = custody.lock().as_fd().try_clone_to_owned().unwrap();
    drop(custody);
    let job = store.find(&ANN, &id("build")).unwrap();
    assert_eq!(job.state().unwrap(), State::Running { started: None });
    // Somebody who has only opened it does not hold it.
    let stranger = fs::File::open(path.join("lock")).unwrap().into();
    assert!(matches!(Custody::inherit(&path, stranger), Err(StoreError::Running)));
    let other = fs::File::open(path.join("intent")).unwrap().into();
    assert!(matches!(Custody::inherit(&path, other), Err(StoreError::NotOurs { .. })));
    let custody = Custody::inherit(&path, inherited).unwrap();
    assert_eq!(job.settle(NOW).unwrap(), State::Running { started: None });
    abandon(custody);
    assert_eq!(job.state().unwrap(), State::NeverBegan);
}

/// The lock as it really goes from one process to another.
#[test]
fn a_job_runs_as_long_as_a_process_lives_that_has_inherited_its_lock() {
    let world = World::new();
    let store = world.store();
    let custody = create(&store, ANN, "build");
    let inherited: Stdio = custody.lock().as_fd().try_clone_to_owned().unwrap().into();
    let mut supervisor = Process::new("sleep").arg("600").stdin(inherited).spawn().unwrap();
    drop(custody);
    let job = store.find(&ANN, &id("build")).unwrap();
    assert_eq!(job.settle(NOW).unwrap(), State::Running { started: None });
    assert!(matches!(store.forget(&ANN, &id("build")), Err(StoreError::Running)));
    supervisor.kill().unwrap();
    supervisor.wait().unwrap();
    // What other tests start may have a copy of it for a moment.
    let until = Instant::now() + Duration::from_secs(20);
    while job.state().unwrap() == (State::Running { started: None }) && Instant::now() < until {
        thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(job.state().unwrap(), State::NeverBegan);
}

#[test]
fn a_job_that_is_removed_under_the_eyes_of_a_reader_is_unknown_and_not_damaged() {
    let world = World::new();
    let store = world.store();
    finished(&store, ANN, "build", 40, NOW);
    let job = store.find(&ANN, &id("build")).unwrap();
    let mut log = job.log(LogStream::Stdout).unwrap();
    store.forget(&ANN, &id("build")).unwrap();
    assert!(matches!(job.state(), Err(StoreError::Unknown)));
    assert!(matches!(job.settle(NOW), Err(StoreError::Unknown)));
    assert!(matches!(log.read(0, 10), Err(StoreError::Unknown)));
    assert!(matches!(log.end(), Err(StoreError::Unknown)));
}

#[test]
fn servers_that_share_a_directory_do_not_disturb_each_other() {
    let world = World::new();
    drop(world.store());
    let quotas = Quotas { owner_jobs: 8, ..QUOTAS };
    let server = || Store::open_with(&world.path, NOW, Some(quotas), LOGS, nobody).unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let makers: Vec<_> = [0_u64, 1, 2]
            .into_iter()
            .map(|seed| scope.spawn(move || make_and_forget(&server(), seed)))
            .collect();
        let lookers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let store = server();
                    while !done.load(Ordering::SeqCst) {
                        let problems = store.recover(NOW, bound()).unwrap().problems;
                        assert!(problems.is_empty(), "{problems:?}");
                        store.list(Scope::own(ANN)).unwrap();
                    }
                })
            })
            .collect();
        let made: Vec<_> = makers.into_iter().map(thread::ScopedJoinHandle::join).collect();
        done.store(true, Ordering::SeqCst);
        lookers.into_iter().for_each(|looker| looker.join().unwrap());
        made.into_iter().for_each(|made| made.unwrap());
    });
    assert!(!world.path.join(DAMAGED).exists());
}

/// A job that this server has begun has to be there until it has ended, whatever the others do.
fn make_and_forget(store: &Store, seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    for _ in 0..150 {
        let id = id(&format!("job-{}", random.u8(0..6)));
        let spec = &Spec::new(Program::Shell("make".into()));
        let first_sent = Timestamp(u64::MAX);
        let request = Request { owner: ANN, id: &id, digest: digest(""), first_sent, spec };
        match store.create(request, NOW) {
            Ok((Creation::New(custody), _)) => {
                custody.begin(None, NOW).unwrap();
                let mut output = custody.output(LOGS).unwrap();
                output.append(LogStream::Stdout, b"bytes", NOW).unwrap();
                assert!(matches!(store.find(&ANN, &id).unwrap().state().unwrap(), State::Running { .. }));
                assert_eq!(custody.end(&exited(0), NOW).unwrap().cause, Cause::Seen);
            }
            Ok((Creation::Existing(job), _)) => match job.settle(NOW) {
                Ok(State::Ended(_)) if random.bool() => match store.forget(&ANN, &id) {
                    Ok(()) | Err(StoreError::Unknown | StoreError::Running) => {}
                    Err(error) => panic!("{error:?}"),
                },
                Ok(_) | Err(StoreError::Unknown) => {}
                Err(error) => panic!("{error:?}"),
            },
            // Removed by another one between the two looks; or all that may be run.
            Err(StoreError::Unknown | StoreError::StorageFull { .. }) => {}
            Err(error) => panic!("{error:?}"),
        }
    }
}

#[test]
fn what_has_no_supervisor_is_settled_once_and_says_what_is_known() {
    let world = World::new();
    let store = world.store();
    abandon(create(&store, ANN, "intended"));
    let custody = create(&store, ANN, "begun");
    custody.begin(None, NOW).unwrap();
    let mut logs = custody.output(LOGS).unwrap();
    logs.append(LogStream::Stdout, b"some output", NOW).unwrap();
    abandon(custody);
    drop(logs);
    let settle = |store: &Store, id: &str| {
        let State::Ended(end) = store.find(&ANN, &world::id(id)).unwrap().settle(NOW).unwrap() else {
            panic!()
        };
        (end.cause, end.ended.outcome, end.ended.totals)
    };
    let (cause, outcome, _) = settle(&store, "intended");
    assert_eq!(cause, Cause::NeverBegan);
    assert!(matches!(outcome, Outcome::NotStarted(StartFailure::Refused(_))));
    let (cause, outcome, totals) = settle(&store, "begun");
    assert_eq!(cause, Cause::SupervisorLost);
    assert!(matches!(outcome, Outcome::Lost(_)));
    assert!(totals.iter().any(|total| (total.stream, total.bytes) == (StreamId::Stdout, 11)));
    // Also after the machine was started again.
    assert_eq!(settle(&world.after_restart(), "intended").0, Cause::NeverBegan);
    assert_eq!(settle(&world.after_restart(), "begun").0, Cause::SupervisorLost);
}

#[test]
fn after_a_restart_of_the_machine_an_intention_proves_nothing() {
    let world = World::new();
    abandon(create(&world.store(), ANN, "intended"));
    let job = world.after_restart().find(&ANN, &id("intended")).unwrap();
    assert_eq!(job.state().unwrap(), State::Unknown { started: None, restarted: true, over: false });
    let State::Ended(end) = job.settle(NOW).unwrap() else { panic!() };
    assert_eq!(end.cause, Cause::Restarted);
}

#[test]
fn jobs_are_found_by_id_and_by_unique_prefix_and_those_of_others_are_not() {
    let world = World::new();
    let store = world.store();
    for id in ["build-1", "build-2", "build", "test"] {
        abandon(create(&store, ANN, id));
    }
    abandon(create(&store, BOB, "theirs"));
    let found =
        |prefix: &str| store.find_by_prefix(Scope::own(ANN), prefix).map(|job| job.intent().id.to_string());
    assert_eq!(found("t").unwrap(), "test");
    assert_eq!(found("build").unwrap(), "build");
    assert_eq!(found("build-1").unwrap(), "build-1");
    assert!(matches!(found("build-"), Err(StoreError::Ambiguous { count: 2 })));
    assert!(matches!(found("b"), Err(StoreError::Ambiguous { count: 3 })));
    assert!(matches!(found(""), Err(StoreError::Ambiguous { count: 4 })));
    let text = |error: StoreError| format!("{error:?} {error}");
    let never = text(store.find(&ANN, &id("never")).unwrap_err());
    assert_eq!(text(store.find(&ANN, &id("theirs")).unwrap_err()), never);
    assert_eq!(text(found("theirs").unwrap_err()), never);
    assert_eq!(text(found("the").unwrap_err()), never);
    assert_eq!(text(store.forget(&ANN, &id("theirs")).unwrap_err()), never);
    let (jobs, problems) = store.list(Scope::own(ANN)).unwrap();
    assert_eq!((jobs.len(), problems.len()), (4, 0));
    assert!(jobs.iter().all(|job| job.intent.owner == ANN));
    assert!(store.find(&BOB, &id("theirs")).is_ok());
}

#[test]
fn a_job_can_be_forgotten_when_nobody_holds_it() {
    let world = World::new();
    let store = world.store();
    let custody = create(&store, ANN, "build");
    assert!(matches!(store.forget(&ANN, &id("build")), Err(StoreError::Running)));
    let job = store.find(&ANN, &id("build")).unwrap();
    custody.end(&exited(0), NOW).unwrap();
    // Its supervisor may still be serving those who read its output.
    store.forget(&ANN, &id("build")).unwrap();
    assert!(matches!(store.find(&ANN, &id("build")), Err(StoreError::Unknown)));
    assert!(matches!(store.forget(&ANN, &id("build")), Err(StoreError::Unknown)));
    assert!(!world.job_path(ANN, "build").exists());
    abandon(custody);
    drop(job);
    // Who had asked for it, and asks again, does not start it again.
    let again = request(&store, ANN, "build", "make");
    assert!(matches!(again, Err(StoreError::Forgotten { .. })), "{again:?}");
    abandon(create(&store, ANN, "build"));
}

#[test]
fn a_directory_that_others_can_reach_or_that_is_a_link_is_refused() {
    let world = World::new();
    drop(world.store());
    assert_eq!(fs::metadata(&world.path).unwrap().permissions().mode() & 0o7777, 0o700);
    for mode in [0o755, 0o770, 0o701, 0o1777] {
        fs::set_permissions(&world.path, Permissions::from_mode(mode)).unwrap();
        let error = Store::open(&world.path, NOW).unwrap_err();
        assert!(matches!(error, StoreError::NotOurs { .. }), "{error}");
    }
    fs::set_permissions(&world.path, Permissions::from_mode(0o700)).unwrap();
    let link = world.path.with_file_name("link");
    symlink(&world.path, &link).unwrap();
    assert!(matches!(Store::open(&link, NOW), Err(StoreError::NotOurs { .. })));
    let file = world.path.with_file_name("file");
    fs::write(&file, "").unwrap();
    assert!(matches!(Store::open(&file, NOW), Err(StoreError::NotOurs { .. })));
    let below = file.join("jobs");
    assert!(matches!(Store::open(&below, NOW), Err(StoreError::System { .. })));
}

#[test]
fn it_is_known_how_far_back_there_are_records() {
    let world = World::new();
    let store = world.store();
    assert_eq!(store.remembers_since().unwrap(), NOW);
    // A later start changes nothing.
    let later = Timestamp(NOW.0 + 1_000_000);
    let again = Store::open(&world.path, later).unwrap();
    assert_eq!(again.remembers_since().unwrap(), NOW);
    finished(&store, ANN, "old", 0, NOW);
    let week_later = Timestamp(NOW.0 + 7 * 24 * 3600 * 1000);
    assert_eq!(store.expire(week_later).unwrap(), []);
    let gone = store.expire(Timestamp(week_later.0 + 1)).unwrap();
    assert_eq!(gone, [Gone { owner: ANN, id: id("old"), record: true }]);
    assert!(matches!(store.find(&ANN, &id("old")), Err(StoreError::Unknown)));
    assert_eq!(world.store().remembers_since().unwrap(), Timestamp(NOW.0 + 1));
    // A request that may have been that job is not made into another one.
    let since = Timestamp(NOW.0 + 1);
    let refused = request_at(&store, ANN, "old", "make", NOW);
    assert!(matches!(refused, Err(StoreError::Forgotten { since: found }) if found == since));
    assert!(matches!(request_at(&store, ANN, "old", "make", since), Ok(Creation::New(_))));
    // What its owner wants forgotten does not make the others' past unknown.
    store.forget(&ANN, &id("old")).unwrap();
    assert_eq!(store.remembers_since().unwrap(), Timestamp(NOW.0 + 1));
}
