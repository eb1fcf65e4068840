//! A process that is killed (SIGKILL) at each named point, and what the next one finds. The process is this test's own binary,
//! which runs a whole life of a job and kills itself where it is told to.

use std::env;
use std::os::fd::AsFd;
use std::process::{Command as Process, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use common::job::{Outcome, StartFailure};
use rustix::process::{Signal, getpid, kill_process};

use super::point::Point;
use super::world::*;
use super::*;

/// Which point, by its place in [`Point::ALL`], and how often it is passed before.
const POINT: &str = "TELEX_TEST_CRASH_POINT";
const AFTER: &str = "TELEX_TEST_CRASH_AFTER";
const DIRECTORY: &str = "TELEX_TEST_CRASH_DIRECTORY";

/// How often a process is killed at each point: every day, and with `just abuse`.
const ROUNDS: u32 = 5;
const MANY_ROUNDS: u32 = 50;

fn number(variable: &str) -> Option<u32> {
    env::var(variable).ok()?.parse().ok()
}

/// Kills this process at the point that it was told.
fn crash(point: Point) {
    static PASSED: AtomicU32 = AtomicU32::new(0);
    let told = number(POINT).and_then(|place| Point::ALL.get(place as usize).copied());
    if told == Some(point) && Some(PASSED.fetch_add(1, Ordering::SeqCst)) == number(AFTER) {
        kill_process(getpid(), Signal::KILL).unwrap();
    }
}

const FIRST: usize = 37;
const SECOND: usize = 45;

/// A life that passes every point. What it has done is said on stdout, a line at a time.
fn life(path: &Path) {
    let store = Store::open_with(path, NOW, Some(QUOTAS), LOGS, crash).unwrap();
    // One that has gone before, with its output and then its record.
    finished(&store, BOB, "former", 40, NOW);
    store.find(&BOB, &id("former")).unwrap().remove_output(NOW).unwrap();
    store.forget(&BOB, &id("former")).unwrap();
    // One that is damaged is set aside.
    finished(&store, BOB, "damaged", 0, NOW);
    std::fs::write(path.join(JobName::of(&BOB, &id("damaged")).as_str()).join("intent"), "").unwrap();
    recover(&store);
    // And the one that counts.
    let custody = create(&store, ANN, "job");
    println!("created");
    let inherited = custody.lock().as_fd().try_clone_to_owned().unwrap();
    let place = custody.job().path().to_owned();
    drop(custody);
    let custody = Custody::inherit_watched(&place, inherited, crash).unwrap();
    println!("beginning");
    custody.begin(None, NOW).unwrap();
    println!("begun");
    custody.started(Started { process_id: 1, process_start: 2, at: NOW }).unwrap();
    let mut output = custody.output(LOGS).unwrap();
    assert_eq!(output.append(LogStream::Stdout, &[b'a'; FIRST], NOW).unwrap(), FIRST);
    println!("first");
    output.trim(LogStream::Stdout, 20).unwrap();
    assert_eq!(output.append(LogStream::Stderr, &[b'b'; SECOND], NOW).unwrap(), SECOND);
    println!("second");
    output.sync().unwrap();
    println!("ending");
    custody.end(&exited(3), NOW).unwrap();
    println!("ended");
}

#[test]
fn the_process_that_is_killed() {
    if let Some(path) = env::var_os(DIRECTORY) {
        life(Path::new(&path));
    }
}

/// Runs a life until it is killed; what it has said, and whether it was killed.
fn run(path: &Path, point: usize, after: u32) -> (Vec<String>, bool) {
    let output = Process::new(env::current_exe().unwrap())
        .args([
            "--exact",
            "store::tests::crashes::the_process_that_is_killed",
            "--nocapture",
            "--test-threads=1",
        ])
        .env(DIRECTORY, path)
        .env(POINT, point.to_string())
        .env(AFTER, after.to_string())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect();
    let killed = std::os::unix::process::ExitStatusExt::signal(&output.status) == Some(9);
    assert!(killed || output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    (said, killed)
}

/// What is found after a process was killed that has said `said`.
fn check(path: &Path, said: &[String]) {
    let has = |word: &str| said.iter().any(|line| line.ends_with(word));
    let store = open(path);
    let recovered = recover(&store);
    assert!(recovered.complete);
    assert!(recovered.problems.iter().all(|problem| matches!(problem, StoreError::Damaged { .. })));
    // Nothing half made or half removed is left, once it is old enough to be nobody's.
    store.recover(Timestamp(Timestamp::now().0 + 2 * 3600 * 1000), bound()).unwrap();
    let names = store.root.names(1000).unwrap().listed;
    let belongs = |name: &String| {
        ["memory", ".memory", DAMAGED].contains(&name.as_str()) || JobName::parse(name).is_some()
    };
    assert!(names.iter().all(belongs), "{names:?}");
    // How long an output was is known whatever became of it.
    if let Ok(former) = store.find(&BOB, &id("former"))
        && let State::Ended(End { cause: Cause::Seen, .. }) = former.state().unwrap()
    {
        let log = former.log(LogStream::Stdout).unwrap();
        assert_eq!((log.end().unwrap(), log.oldest().unwrap() % 40), (40, 0));
    }
    let job = match store.find(&ANN, &id("job")) {
        Ok(job) => job,
        Err(StoreError::Unknown) => {
            // It was never said to be there, so it can be made.
            assert!(!has("created"));
            drop(create(&store, ANN, "job"));
            return;
        }
        Err(other) => panic!("{other}"),
    };
    let state = job.settle(NOW).unwrap();
    let State::Ended(end) = &state else { panic!("nobody holds it: {state:?}") };
    match (&end.cause, &end.ended.outcome) {
        (Cause::Seen, Outcome::Exited(3)) => assert!(has("ending")),
        (Cause::NeverBegan, Outcome::NotStarted(StartFailure::Refused(_))) => assert!(!has("begun")),
        (Cause::SupervisorLost, Outcome::Lost(_)) => assert!(has("beginning") && !has("ended")),
        other => panic!("{other:?}"),
    }
    // What counts once counts for ever, and nobody makes it again.
    assert_eq!(open(path).find(&ANN, &id("job")).unwrap().settle(Timestamp(0)).unwrap(), state);
    assert!(matches!(request(&store, ANN, "job", "make"), Ok(Creation::Existing(_))));
    check_logs(&job, has("first"), has("second"));
}

fn check_logs(job: &Job, first: bool, second: bool) {
    for (stream, byte, whole, length) in
        [(LogStream::Stdout, b'a', first, FIRST), (LogStream::Stderr, b'b', second, SECOND)]
    {
        let mut reader = job.log(stream).unwrap();
        let (oldest, end) = (reader.oldest().unwrap(), reader.end().unwrap());
        assert!(end <= length as u64 && oldest <= 16);
        assert!(!whole || end == length as u64, "{stream:?} ends at {end}");
        let mut offset = oldest;
        while offset < end {
            let bytes = reader.read(offset, 7).unwrap();
            assert!(!bytes.is_empty() && bytes.iter().all(|found| *found == byte));
            offset += bytes.len() as u64;
        }
    }
}

#[test]
fn whoever_is_killed_at_any_point_leaves_what_is_true() {
    kill_everywhere(ROUNDS);
}

#[test]
#[ignore = "takes half a minute"]
fn whoever_is_killed_at_any_point_leaves_what_is_true_many_times() {
    kill_everywhere(MANY_ROUNDS);
}

fn kill_everywhere(rounds: u32) {
    for (point, name) in Point::ALL.into_iter().enumerate() {
        let (mut kills, mut after) = (0, 0);
        while kills < rounds {
            let world = World::new();
            let (said, killed) = run(&world.path, point, after);
            check(&world.path, &said);
            // Each time it is passed, and then from the first again.
            after = if killed { after + 1 } else { 0 };
            kills += u32::from(killed);
            assert!(kills > 0, "{name:?} is never passed");
        }
    }
}
