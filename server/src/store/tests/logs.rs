//! Logs beside a plain model of them: two vectors of bytes, and where each begins.

use std::fs;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use fastrand::Rng;

use super::world::*;
use super::*;

/// A log as it should be.
#[derive(Debug, Default, Clone)]
struct Model {
    bytes: Vec<u8>,
    /// Where the appends began, and when.
    times: Vec<(u64, Timestamp)>,
    trimmed: u64,
}

impl Model {
    fn end(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// The beginning of the oldest segment that is kept.
    fn oldest(&self) -> u64 {
        let last = self.end().saturating_sub(1) / LOGS.segment * LOGS.segment;
        (self.trimmed / LOGS.segment * LOGS.segment).min(last)
    }

    fn kept(&self) -> u64 {
        self.end() - self.oldest()
    }
}

fn check(job: &Job, stream: LogStream, model: &Model, random: &mut Rng) {
    let mut reader = job.log(stream).unwrap();
    assert_eq!((reader.oldest().unwrap(), reader.end().unwrap()), (model.oldest(), model.end()));
    let offset = random.u64(0..model.end() + 4);
    let max = random.usize(0..40);
    match reader.read(offset, max) {
        Ok(bytes) => {
            assert!((model.oldest()..=model.end()).contains(&offset));
            let rest = &model.bytes[offset as usize..];
            assert!(rest.starts_with(&bytes) && bytes.len() <= max);
            assert_eq!(bytes.is_empty(), rest.is_empty() || max == 0);
        }
        Err(StoreError::Trimmed { oldest }) => {
            assert_eq!(oldest, model.oldest());
            assert!(offset < oldest);
        }
        Err(StoreError::Beyond { end }) => {
            assert_eq!(end, model.end());
            assert!(offset > end);
        }
        Err(other) => panic!("{other}"),
    }
    if let Ok(Some(time)) = reader.time_of(offset) {
        // Never later than it was written, and never earlier by more than what is passed over.
        let place = model.times.partition_point(|(at, _)| *at <= offset) - 1;
        let written = model.times[place].1;
        assert!(time <= written && written.0 - time.0 < 100, "{time:?} {written:?}");
    }
}

#[test]
fn logs_are_what_was_appended_less_what_was_trimmed() {
    let world = World::new();
    let store = world.store();
    for seed in 0..60 {
        let mut random = Rng::with_seed(seed);
        let custody = create(&store, ANN, &format!("job-{seed}"));
        let mut output = custody.output(LOGS).unwrap();
        let mut models = [Model::default(), Model::default()];
        let mut now = NOW.0;
        for _ in 0..120 {
            now += random.u64(0..80);
            let which = random.usize(0..2);
            let stream = LogStream::ALL[which];
            let room = LOGS.job - models[0].kept() - models[1].kept();
            let model = &mut models[which];
            match random.u8(0..10) {
                0..=5 => {
                    let bytes: Vec<u8> = (0..random.usize(1..40)).map(|_| random.u8(..)).collect();
                    match output.append(stream, &bytes, Timestamp(now)) {
                        Ok(count) => {
                            assert_eq!(count as u64, room.min(bytes.len() as u64));
                            model.times.push((model.end(), Timestamp(now)));
                            model.bytes.extend_from_slice(&bytes[..count]);
                        }
                        Err(StoreError::OutputFull { limit }) => assert_eq!((room, limit), (0, LOGS.job)),
                        Err(other) => panic!("{other}"),
                    }
                }
                6 | 7 => {
                    let below = random.u64(0..model.end() + 1);
                    output.trim(stream, below).unwrap();
                    model.trimmed = model.trimmed.max(below);
                }
                // What is open and what is opened anew are the same.
                8 => output = custody.output(LOGS).unwrap(),
                _ => output.sync().unwrap(),
            }
            // The model forgets what cannot be trimmed yet, as the files do.
            model.trimmed = model.oldest();
            assert_eq!(output.kept(), models[0].kept() + models[1].kept());
            assert_eq!(output.end(stream), models[which].end());
            assert_eq!(output.oldest(stream), models[which].oldest());
            check(custody.job(), stream, &models[which], &mut random);
        }
    }
}

#[test]
fn whoever_follows_a_log_gets_every_byte_once_while_it_grows_and_is_trimmed() {
    let world = World::new();
    let store = world.store();
    let custody = create(&store, ANN, "build");
    let mut output = custody.output(LOGS).unwrap();
    let bytes: Vec<u8> = (0..20_000_u32).map(|number| number as u8).collect();
    let done = AtomicBool::new(false);
    let acknowledged = std::sync::atomic::AtomicU64::new(0);
    let read = thread::scope(|scope| {
        let follower = scope.spawn(|| {
            let mut reader = store.find(&ANN, &id("build")).unwrap().log(LogStream::Stdout).unwrap();
            let mut read = Vec::new();
            loop {
                let last = done.load(Ordering::SeqCst);
                let bytes = reader.read(read.len() as u64, 50).unwrap();
                if bytes.is_empty() && last {
                    return read;
                }
                read.extend_from_slice(&bytes);
                acknowledged.store(read.len() as u64, Ordering::SeqCst);
            }
        });
        let mut written = 0;
        while written < bytes.len() && !follower.is_finished() {
            let next = &bytes[written..bytes.len().min(written + 23)];
            match output.append(LogStream::Stdout, next, NOW) {
                Ok(count) => written += count,
                Err(StoreError::OutputFull { .. }) => thread::yield_now(),
                Err(other) => panic!("{other}"),
            }
            output.trim(LogStream::Stdout, acknowledged.load(Ordering::SeqCst)).unwrap();
        }
        done.store(true, Ordering::SeqCst);
        follower.join().unwrap()
    });
    assert_eq!(read, bytes);
    assert!(output.oldest(LogStream::Stdout) > 0);
}

#[test]
fn an_index_of_times_is_bounded_and_says_what_was_when() {
    let world = World::new();
    let store = world.store();
    let custody = create(&store, ANN, "build");
    let limits = LogLimits { segment: 4 * 1024 * 1024, job: 64 * 1024 * 1024 };
    let mut output = custody.output(limits).unwrap();
    let line = [b'.'; 60];
    for second in 0..10_000 {
        output.append(LogStream::Stdout, &line, Timestamp(NOW.0 + 1000 * second)).unwrap();
    }
    let size = fs::metadata(custody.job().path().join("stdout.0000000000000000.times")).unwrap().len();
    assert!(size <= 64 * 1024, "{size}");
    let reader = custody.job().log(LogStream::Stdout).unwrap();
    let second = |offset| (reader.time_of(offset).unwrap().unwrap().0 - NOW.0) / 1000;
    for line in [0, 1, 2, 1000, 2047] {
        assert_eq!((second(line * 60), second(line * 60 + 59)), (line, line));
    }
    // Later every 2 KiB, which is 34 lines.
    let found = second(9_000 * 60);
    assert!((9_000 - 35..=9_000).contains(&found), "{found}");
    assert!(matches!(reader.time_of(600_000), Err(StoreError::Beyond { end: 600_000 })));
}

#[test]
fn a_torn_or_senseless_index_costs_times_and_nothing_else() {
    let world = World::new();
    let store = world.store();
    let custody = create(&store, ANN, "build");
    let mut output = custody.output(LogLimits { segment: 1000, job: 10_000 }).unwrap();
    for at in 0..10 {
        output.append(LogStream::Stdout, b"0123456789", Timestamp(NOW.0 + 1000 * at)).unwrap();
    }
    let path = custody.job().path().join("stdout.0000000000000000.times");
    let whole = fs::read(&path).unwrap();
    assert_eq!(whole.len(), 160);
    let mut reader = custody.job().log(LogStream::Stdout).unwrap();
    for length in 0..whole.len() {
        fs::write(&path, &whole[..length]).unwrap();
        let expected = (length / 16).checked_sub(1).map(|last| Timestamp(NOW.0 + 1000 * last as u64));
        assert_eq!(reader.time_of(99).unwrap(), expected, "{length}");
    }
    for bit in 0..whole.len() * 8 {
        let mut flipped = whole.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        fs::write(&path, &flipped).unwrap();
        reader.time_of(99).unwrap();
        assert_eq!(reader.read(90, 100).unwrap(), "0123456789");
    }
    // What is written next goes behind the last whole entry.
    fs::write(&path, &whole[..37]).unwrap();
    let mut output = custody.output(LogLimits { segment: 1000, job: 10_000 }).unwrap();
    output.append(LogStream::Stdout, b"more", Timestamp(NOW.0 + 99_000)).unwrap();
    assert_eq!(reader.time_of(103).unwrap(), Some(Timestamp(NOW.0 + 99_000)));
    assert_eq!(reader.time_of(50).unwrap(), Some(Timestamp(NOW.0 + 1000)));
}

#[test]
fn a_hole_in_a_log_is_an_error_and_no_other_bytes() {
    let world = World::new();
    let store = world.store();
    let custody = create(&store, ANN, "build");
    let mut output = custody.output(LOGS).unwrap();
    output.append(LogStream::Stdout, &[b'x'; 60], NOW).unwrap();
    let file = |start: u64| custody.job().path().join(format!("stdout.{start:016x}"));
    fs::remove_file(file(16)).unwrap();
    let mut reader = custody.job().log(LogStream::Stdout).unwrap();
    assert!(matches!(reader.read(40, 10), Err(StoreError::Damaged { .. })));
    assert!(matches!(custody.output(LOGS), Err(StoreError::Damaged { .. })));
    // The other log is whole.
    assert_eq!(custody.job().log(LogStream::Stderr).unwrap().read(0, 10).unwrap(), "");
    // A segment of another length than it has to have is a hole as well.
    fs::write(file(16), [b'x'; 15]).unwrap();
    assert!(matches!(reader.read(40, 10), Err(StoreError::Damaged { .. })));
    fs::File::options().write(true).open(file(16)).unwrap().write_all_at(b"x", 15).unwrap();
    assert_eq!(reader.read(40, 10).unwrap(), "xxxxxxxx");
}

#[test]
fn output_that_was_removed_says_how_long_it_was() {
    let world = World::new();
    let store = world.store();
    finished(&store, ANN, "build", 70, NOW);
    let job = store.find(&ANN, &id("build")).unwrap();
    let mut open = job.log(LogStream::Stdout).unwrap();
    assert_eq!(open.read(0, 100).unwrap().len(), 16);
    job.remove_output(NOW).unwrap();
    assert_eq!(job.removed().unwrap().unwrap().stdout, 70);
    let mut reader = job.log(LogStream::Stdout).unwrap();
    assert!(matches!(reader.read(0, 1), Err(StoreError::Trimmed { oldest: 70 })));
    assert_eq!(reader.read(70, 1).unwrap(), "");
    assert!(matches!(reader.read(71, 1), Err(StoreError::Beyond { end: 70 })));
    assert!(matches!(open.read(20, 1), Err(StoreError::Trimmed { oldest: 70 })));
    assert!(matches!(job.state().unwrap(), State::Ended(_)));
    assert_eq!(stored(&job), 0);
}

fn stored(job: &Job) -> u64 {
    log::stored_bytes(job.directory()).unwrap()
}
