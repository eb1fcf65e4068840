//! Thousands of jobs, and a bound on the work that they make.

use std::time::Instant;

use super::world::*;
use super::*;

/// What a server may spend on its start.
const AT_MOST: Duration = Duration::from_secs(5);

#[test]
fn ten_thousand_finished_jobs_are_recovered_in_bounded_time() {
    let world = World::new();
    // Made by hand: what they cost is not asked for here.
    let store = world.store();
    finished(&store, ANN, "template", 40, NOW);
    let template = world.job_path(ANN, "template");
    let ended = std::fs::read(template.join("ended")).unwrap();
    for number in 0..10_000 {
        let id = id(&format!("job-{number}"));
        let path = world.path.join(JobName::of(&ANN, &id).as_str());
        std::fs::create_dir(&path).unwrap();
        let intent = Intent { id, ..store.find(&ANN, &world::id("template")).unwrap().intent().clone() };
        for (name, bytes) in
            [("intent", intent.sealed().unwrap()), ("ended", ended.clone()), ("lock", Vec::new())]
        {
            std::fs::write(path.join(name), bytes).unwrap();
        }
        std::fs::write(path.join("stdout.0000000000000000"), [b'x'; 100]).unwrap();
    }
    let begin = Instant::now();
    let recovered = recover(&store);
    let took = begin.elapsed();
    eprintln!("10,000 finished jobs recovered in {took:?}");
    assert_eq!((recovered.jobs.len(), recovered.problems.len()), (10_001, 0));
    assert!(recovered.complete && took < AT_MOST, "{took:?}");
    let begin = Instant::now();
    assert_eq!(store.list(Scope::own(BOB)).unwrap().0.len(), 0);
    eprintln!("the list of somebody without jobs took {:?}", begin.elapsed());
    let begin = Instant::now();
    abandon(create(&store, ANN, "another"));
    eprintln!("one more was made in {:?}", begin.elapsed());
}

#[test]
fn work_is_bounded_by_number_and_by_time_and_what_is_left_is_found_by_its_id() {
    let world = World::new();
    let store = world.store();
    for number in 0..20 {
        finished(&store, ANN, &format!("job-{number}"), 0, NOW);
    }
    let few = Bound { entries: 5, ..bound() };
    let recovered = store.recover(NOW, few).unwrap();
    assert!(!recovered.complete && recovered.jobs.len() <= 5);
    let late = Bound { until: Instant::now(), ..bound() };
    let recovered = store.recover(NOW, late).unwrap();
    assert!(!recovered.complete && recovered.jobs.len() < 20);
    for number in 0..20 {
        assert!(store.find(&ANN, &id(&format!("job-{number}"))).is_ok());
    }
}
