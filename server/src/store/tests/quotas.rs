//! What makes room, and what is refused when there is none.

use super::world::*;
use super::*;

const UNIT: u64 = quota::RECORD_COST;

fn store(world: &World, quotas: Quotas) -> Store {
    Store::open_with(&world.path, NOW, Some(quotas), LogLimits { segment: UNIT, job: 4 * UNIT }, nobody)
        .unwrap()
}

/// A job of ten units of output fits an owner's twelve only alone.
fn small(owner: u64, all: u64) -> Quotas {
    Quotas { owner_bytes: owner * UNIT, all_bytes: all * UNIT, ..QUOTAS }
}

fn at(seconds: u64) -> Timestamp {
    Timestamp(NOW.0 + 1000 * seconds)
}

#[test]
fn the_oldest_output_of_an_owner_makes_room_and_its_record_stays() {
    let world = World::new();
    let store = store(&world, small(12, 100));
    finished(&store, ANN, "second", 3 * UNIT as usize, at(2));
    finished(&store, ANN, "first", 3 * UNIT as usize, at(1));
    finished(&store, BOB, "theirs", 3 * UNIT as usize, at(0));
    // 8 units are in use; the next one may come to 1 and a record.
    assert_eq!(store.make_room(&ANN, UNIT, NOW).unwrap(), []);
    let gone = store.make_room(&ANN, 4 * UNIT, NOW).unwrap();
    assert_eq!(gone, [Gone { owner: ANN, id: id("first"), record: false }]);
    let first = store.find(&ANN, &id("first")).unwrap();
    assert_eq!(first.removed().unwrap().unwrap().stdout, 3 * UNIT);
    assert!(matches!(first.state().unwrap(), State::Ended(_)));
    assert_eq!(store.find(&ANN, &id("second")).unwrap().removed().unwrap(), None);
    assert_eq!(store.find(&BOB, &id("theirs")).unwrap().removed().unwrap(), None);
}

#[test]
fn a_job_for_which_there_is_no_room_is_refused_and_leaves_nothing() {
    let world = World::new();
    let store = store(&world, small(6, 100));
    let custody = create(&store, ANN, "running");
    let mut output = custody.output(store.log_limits()).unwrap();
    output.append(LogStream::Stdout, &vec![0; 4 * UNIT as usize], NOW).unwrap();
    let full = output.append(LogStream::Stderr, b"x", NOW);
    assert!(matches!(full, Err(StoreError::OutputFull { limit }) if limit == 4 * UNIT));
    let error = request(&store, ANN, "another", "make").unwrap_err();
    assert!(matches!(error, StoreError::StorageFull { quota: Quota::OwnerBytes, .. }), "{error}");
    assert!(error.to_string().ends_with(&format!("(limit {} bytes)", 6 * UNIT)), "{error}");
    assert!(matches!(store.find(&ANN, &id("another")), Err(StoreError::Unknown)));
    assert!(matches!(request(&store, BOB, "theirs", "make"), Ok(Creation::New(_))));
    // The repeated request of one that is there needs no room.
    assert!(matches!(request(&store, ANN, "running", "make"), Ok(Creation::Existing(_))));
    custody.end(&exited(0), NOW).unwrap();
    assert!(matches!(request(&store, ANN, "another", "make"), Ok(Creation::New(_))));
}

#[test]
fn all_together_have_a_limit_and_other_servers_count() {
    let world = World::new();
    let (one, other) = (store(&world, small(50, 10)), store(&world, small(50, 10)));
    finished(&one, ANN, "hers", 3 * UNIT as usize, at(5));
    finished(&one, BOB, "his", 3 * UNIT as usize, at(4));
    // The other one has not seen these being made. Its own count says that there is room, until it looks.
    recover(&other);
    let gone = other.make_room(&ANN, 3 * UNIT, NOW).unwrap();
    assert_eq!(gone, [Gone { owner: BOB, id: id("his"), record: false }]);
    let error = other.make_room(&ANN, 10 * UNIT, NOW).unwrap_err();
    assert!(matches!(error, StoreError::StorageFull { quota: Quota::AllBytes, .. }), "{error}");
    assert!(one.find(&ANN, &id("hers")).unwrap().removed().unwrap().is_none());
}

#[test]
fn records_that_go_for_want_of_room_are_known_to_be_gone() {
    let world = World::new();
    let store = store(&world, Quotas { owner_jobs: 3, ..QUOTAS });
    for number in 0..3 {
        finished(&store, ANN, &format!("job-{number}"), 0, at(number));
    }
    assert_eq!(store.remembers_since().unwrap(), NOW);
    let gone = store.make_room(&ANN, 0, NOW).unwrap();
    assert_eq!(gone, [Gone { owner: ANN, id: id("job-0"), record: true }]);
    assert_eq!(store.remembers_since().unwrap(), Timestamp(NOW.0 + 1));
}

#[test]
fn removal_that_was_cut_off_is_completed() {
    let world = World::new();
    let store = store(&world, QUOTAS);
    finished(&store, ANN, "job", 2 * UNIT as usize, NOW);
    let path = world.job_path(ANN, "job");
    let kept = std::fs::read(path.join("stdout.0000000000000000")).unwrap();
    store.find(&ANN, &id("job")).unwrap().remove_output(NOW).unwrap();
    std::fs::write(path.join("stdout.0000000000000000"), kept).unwrap();
    let reader = store.find(&ANN, &id("job")).unwrap().log(LogStream::Stdout).unwrap();
    assert_eq!(reader.oldest().unwrap(), 2 * UNIT);
    recover(&store);
    assert!(!path.join("stdout.0000000000000000").exists());
}

#[test]
fn quotas_follow_the_file_system() {
    assert_eq!(Quotas::of_file_system(20 << 30).all_bytes, 2 << 30);
    assert_eq!(Quotas::of_file_system(1 << 40).all_bytes, 10 << 30);
    assert_eq!(Quotas::of_file_system(1 << 40).owner_bytes, 1 << 30);
}
