//! Files that are not what was written: never a panic, never another job's loss, and never a second start.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;

use common::job::Outcome;

use super::world::*;
use super::*;

/// Two finished jobs, and one that is lost.
fn world() -> World {
    let world = World::new();
    let store = world.store();
    finished(&store, ANN, "victim", 40, NOW);
    finished(&store, ANN, "other", 40, NOW);
    let lost = create(&store, ANN, "lost");
    lost.begin(None, NOW).unwrap();
    lost.started(Started { process_id: 1, process_start: 2, at: NOW }).unwrap();
    abandon(lost);
    world
}

#[track_caller]
fn others_are_whole(store: &Store, recovered: &Recovered) {
    let other = recovered.jobs.iter().find(|job| job.intent.id == id("other")).unwrap();
    assert!(matches!(other.state, State::Ended(_)) && other.output_bytes > 40);
    let mut log = store.find(&ANN, &id("other")).unwrap().log(LogStream::Stdout).unwrap();
    assert_eq!(log.read(0, 100).unwrap(), vec![b'x'; 16]);
}

/// What a store does with a job that has `contents` in its file `name`.
#[track_caller]
fn is_set_aside(name: &str, contents: &[u8]) {
    let world = world();
    fs::write(world.job_path(ANN, "victim").join(name), contents).unwrap();
    let store = world.store();
    let recovered = recover(&store);
    assert!(matches!(&recovered.problems[..], [StoreError::Damaged { .. }]), "{recovered:?}");
    others_are_whole(&store, &recovered);
    // It is gone from the list, and known all the same.
    assert_eq!(recover(&store).problems.len(), 0);
    assert_eq!(store.list(Scope::own(ANN)).unwrap().0.len(), 2);
    assert!(matches!(request(&store, ANN, "victim", "make"), Err(StoreError::Damaged { .. })));
    let name = JobName::of(&ANN, &id("victim"));
    assert!(world.path.join(DAMAGED).join(name.as_str()).join("intent").exists());
}

fn file_of(job: &str, name: &str) -> Vec<u8> {
    fs::read(world().job_path(ANN, job).join(name)).unwrap()
}

#[test]
fn a_record_that_is_cut_off_or_has_a_bit_flipped_is_set_aside_and_its_job_not_started_again() {
    for name in ["intent", "ended"] {
        let whole = file_of("victim", name);
        for length in [0, 1, 9, 10, whole.len() / 2, whole.len() - 1] {
            is_set_aside(name, &whole[..length]);
        }
        for bit in [0, 37, 41, 48, whole.len() * 4, whole.len() * 8 - 1] {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            is_set_aside(name, &flipped);
        }
        is_set_aside(name, &vec![0; 1 << 20]);
        is_set_aside(name, &file_of("other", if name == "intent" { "ended" } else { "intent" }));
    }
    // Whole, but another job's.
    is_set_aside("intent", &file_of("other", "intent"));
}

#[test]
fn at_every_length_and_with_every_bit_flipped_a_record_is_damaged_or_as_it_was() {
    let world = world();
    let store = world.store();
    for name in ["intent", "ended"] {
        let path = world.job_path(ANN, "victim").join(name);
        let whole = fs::read(&path).unwrap();
        let state = || store.find(&ANN, &id("victim")).and_then(|job| job.state());
        for length in 0..whole.len() {
            fs::write(&path, &whole[..length]).unwrap();
            assert!(matches!(state(), Err(StoreError::Damaged { .. })), "{name} {length}");
        }
        for bit in 0..whole.len() * 8 {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            fs::write(&path, flipped).unwrap();
            assert!(matches!(state(), Err(StoreError::Damaged { .. })), "{name} {bit}");
        }
        fs::write(&path, &whole).unwrap();
        assert!(matches!(state(), Ok(State::Ended(_))));
    }
}

#[test]
fn a_beginning_counts_in_whatever_state_it_is() {
    for name in ["begun", "started"] {
        let whole = file_of("lost", name);
        let cut = (0..whole.len()).map(|length| whole[..length].to_vec());
        let flipped = (0..whole.len() * 8).map(|bit| {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            flipped
        });
        let world = world();
        let path = world.job_path(ANN, "lost");
        let store = world.store();
        for contents in cut.chain(flipped) {
            for other in ["begun", "started"] {
                fs::remove_file(path.join(other)).ok();
            }
            fs::write(path.join(name), contents).unwrap();
            let state = store.find(&ANN, &id("lost")).unwrap().state().unwrap();
            assert_eq!(state, State::Unknown { started: None, restarted: false, over: false });
        }
    }
}

#[test]
fn a_job_whose_end_somebody_has_removed_was_not_one_that_never_began() {
    let world = world();
    let store = world.store();
    finished(&store, ANN, "silent", 0, NOW);
    for name in ["victim", "silent"] {
        fs::remove_file(world.job_path(ANN, name).join("ended")).unwrap();
        let State::Ended(end) = store.find(&ANN, &id(name)).unwrap().settle(NOW).unwrap() else { panic!() };
        let lost = "it is over, and the record of how it ended is missing";
        assert_eq!(end.ended.outcome, Outcome::Lost(lost.to_owned()), "{name}");
    }
    // With what was reserved for an end, as if it were put back.
    fs::remove_file(world.job_path(ANN, "victim").join("ended")).unwrap();
    fs::write(world.job_path(ANN, "victim").join(".ended"), "").unwrap();
    let state = store.find(&ANN, &id("victim")).unwrap().state().unwrap();
    assert_eq!(state, State::Unknown { started: None, restarted: false, over: false }, "it has output");
    let running = create(&store, ANN, "running");
    running.begin(None, NOW).unwrap();
    running.output(LOGS).unwrap().append(LogStream::Stderr, b"x", NOW).unwrap();
    fs::remove_file(world.job_path(ANN, "running").join("begun")).unwrap();
    abandon(running);
    let State::Ended(end) = store.find(&ANN, &id("running")).unwrap().settle(NOW).unwrap() else { panic!() };
    assert!(matches!(end.ended.outcome, Outcome::Lost(_)), "{end:?}");
}

#[test]
fn a_record_of_a_newer_version_is_left_alone() {
    for name in ["intent", "ended", "started"] {
        let world = world();
        let path = world.job_path(ANN, if name == "started" { "lost" } else { "victim" }).join(name);
        let mut bytes = fs::read(&path).unwrap();
        bytes[5] = 2;
        let end = bytes.len() - 8;
        let sum = Digest::of(&bytes[..end]).to_bytes();
        bytes[end..].copy_from_slice(&sum[..8]);
        fs::write(&path, &bytes).unwrap();
        let store = world.store();
        let recovered = recover(&store);
        assert!(matches!(&recovered.problems[..], [StoreError::Newer { version: 2, .. }]), "{recovered:?}");
        others_are_whole(&store, &recovered);
        assert_eq!(fs::read(&path).unwrap(), bytes);
        if name != "started" {
            assert!(matches!(
                store.find(&ANN, &id("victim")).and_then(|job| job.state()),
                Err(StoreError::Newer { .. })
            ));
        }
    }
}

#[test]
fn what_is_no_file_is_neither_waited_for_nor_followed() {
    let kinds: [fn(&Path); 4] = [
        |path| fs::create_dir(path).unwrap(),
        |path| symlink("/etc/passwd", path).unwrap(),
        |path| drop(UnixListener::bind(path).unwrap()),
        |path| {
            let kind = rustix::fs::FileType::Fifo;
            rustix::fs::mknodat(rustix::fs::CWD, path, kind, rustix::fs::Mode::RUSR, 0).unwrap();
        },
    ];
    for make in kinds {
        for name in ["intent", "ended", "lock"] {
            let world = world();
            let job = if name == "lock" { "lost" } else { "victim" };
            let directory = world.job_path(ANN, job);
            fs::remove_file(directory.join(name)).unwrap();
            make(&directory.join(name));
            let store = world.store();
            let recovered = recover(&store);
            assert!(matches!(&recovered.problems[..], [StoreError::Damaged { .. }]), "{name} {recovered:?}");
            others_are_whole(&store, &recovered);
        }
    }
}

#[test]
fn a_job_that_is_no_directory_and_names_that_are_no_jobs_stop_nothing() {
    let world = world();
    let victim = world.job_path(ANN, "victim");
    fs::remove_dir_all(&victim).unwrap();
    symlink("/", &victim).unwrap();
    for other in ["README", "x".repeat(48).as_str(), ".new-x", ".gone-y", "größe"] {
        fs::write(world.path.join(other), "").unwrap();
    }
    let store = world.store();
    let recovered = recover(&store);
    assert_eq!(recovered.problems.len(), 1, "{recovered:?}");
    assert!(recovered.complete);
    others_are_whole(&store, &recovered);
    assert!(matches!(request(&store, ANN, "victim", "make"), Err(StoreError::Damaged { .. })));
}

#[test]
fn a_damaged_job_that_is_held_stays_where_its_supervisor_is() {
    let world = World::new();
    let store = world.store();
    let _custody = create(&store, ANN, "job");
    let intent = world.job_path(ANN, "job").join("intent");
    fs::write(&intent, "").unwrap();
    assert_eq!(recover(&store).problems.len(), 1);
    assert_eq!(recover(&store).problems.len(), 1);
    assert!(intent.exists());
}

#[test]
fn a_damaged_memory_means_that_nothing_earlier_is_known() {
    let world = world();
    let whole = fs::read(world.path.join("memory")).unwrap();
    let later = Timestamp(NOW.0 + 5);
    for length in 0..whole.len() {
        fs::write(world.path.join("memory"), &whole[..length]).unwrap();
        let store = Store::open(&world.path, later).unwrap();
        assert_eq!(store.remembers_since().unwrap(), later);
    }
}

#[test]
fn a_damaged_job_is_seen_by_its_owner_and_by_administrators_only() {
    let world = world();
    let store = world.store();
    fs::write(world.job_path(ANN, "victim").join("intent"), "").unwrap();
    recover(&store);
    let name = JobName::of(&ANN, &id("victim"));
    let seen = |scope| {
        let found = store.damaged(scope).unwrap();
        found.iter().map(|job| (job.id.to_string(), job.own, job.running.is_some())).collect::<Vec<_>>()
    };
    assert_eq!(seen(Scope::own(ANN)), [(name.as_str().to_owned(), true, false)]);
    assert_eq!(seen(Scope::own(BOB)), []);
    assert_eq!(seen(Scope::everyones(BOB)), [(name.as_str().to_owned(), false, false)]);
    let by_name = |scope| store.find_by_prefix(scope, name.as_str()).unwrap_err();
    assert!(by_name(Scope::own(ANN)).is_set_aside());
    assert!(matches!(by_name(Scope::own(BOB)), StoreError::Unknown));
    // One that is held runs, whatever its files say.
    let _custody = create(&store, BOB, "running");
    fs::write(world.job_path(BOB, "running").join("intent"), "").unwrap();
    let name = JobName::of(&BOB, &id("running"));
    assert_eq!(seen(Scope::own(BOB)), [(name.as_str().to_owned(), true, true)]);
}

#[test]
fn a_memory_that_goes_under_a_running_server_costs_no_new_job() {
    let world = world();
    let (store, memory) = (world.store(), world.path.join("memory"));
    let lose: [fn(&Path); 2] = [|path| fs::remove_file(path).unwrap(), |path| fs::write(path, "x").unwrap()];
    for (number, lose) in lose.into_iter().enumerate() {
        lose(&memory);
        let (old, new) = (format!("old-{number}"), format!("new-{number}"));
        let forgotten = request_at(&store, ANN, &old, "make", Timestamp(NOW.0 - 1)).unwrap_err();
        let said = "since 2023-11-14T22:13:20.000Z only, and this was asked for before";
        assert!(forgotten.to_string().contains(said), "{forgotten}");
        lose(&memory);
        abandon(create(&store, ANN, &new));
        assert_eq!(store.remembers_since().unwrap(), NOW);
        // What is forgotten after that is noted as well, from this moment on.
        lose(&memory);
        let before = Timestamp::now();
        store.forget(&ANN, &id(&new)).unwrap();
        assert!(store.remembers_since().unwrap() >= before);
        store.root.replace("memory", &Memory { since: NOW }.sealed().unwrap()).unwrap();
    }
}

#[test]
fn what_was_set_aside_goes_in_the_end() {
    let world = world();
    fs::write(world.job_path(ANN, "victim").join("intent"), "").unwrap();
    let store = world.store();
    recover(&store);
    let name = JobName::of(&ANN, &id("victim"));
    let aside = world.path.join(DAMAGED).join(name.as_str());
    store.expire(Timestamp::now()).unwrap();
    assert!(aside.exists());
    store.expire(Timestamp(Timestamp::now().0 + 8 * 24 * 3600 * 1000)).unwrap();
    assert!(!aside.exists());
}

#[test]
fn a_directory_that_cannot_be_written_to_is_said() {
    if rustix::process::geteuid().is_root() {
        eprintln!("root can write everywhere: left out");
        return;
    }
    let world = world();
    let store = world.store();
    fs::set_permissions(&world.path, fs::Permissions::from_mode(0o500)).unwrap();
    assert!(matches!(request(&store, ANN, "new", "make"), Err(StoreError::System { .. })));
    fs::set_permissions(&world.path, fs::Permissions::from_mode(0o700)).unwrap();
}
