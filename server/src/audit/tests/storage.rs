//! Files that are refused, moved away, cut off or full.

use std::collections::VecDeque;
use std::fmt;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::sync::{Arc, Barrier, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use common::job::{Extras, JobId, Program, Spec};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::io::Errno;

use super::*;
use crate::admission::ConnectionId;
use crate::audit::destination::{Opened, Sink};
use crate::authorize::Owner;

#[test]
fn the_file_is_made_private_and_lines_go_to_its_end() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("audit.log");
    for count in 1..=3 {
        admit(&Audit::open(&in_file(&path)).unwrap(), &STARTED).unwrap();
        assert_eq!(records(&path).len(), count);
    }
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_file_that_is_not_ours_alone_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    fs::write(at("target"), "").unwrap();
    symlink(at("target"), at("link")).unwrap();
    fs::write(at("group"), "").unwrap();
    fs::set_permissions(at("group"), Permissions::from_mode(0o660)).unwrap();
    fs::write(at("world"), "").unwrap();
    fs::set_permissions(at("world"), Permissions::from_mode(0o602)).unwrap();
    mknodat(CWD, at("fifo"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    fs::create_dir(at("open")).unwrap();
    fs::set_permissions(at("open"), Permissions::from_mode(0o777)).unwrap();
    let rows = [
        ("open/audit.log", "the mode of its directory is 0777: anybody can remove it"),
        ("link", "too many levels of symbolic links"),
        ("group", "its mode is 0660: others can write to it"),
        ("world", "its mode is 0602: others can write to it"),
        ("fifo", "it is not a regular file"),
        (".", "is a directory"),
        ("none/audit.log", "no such file or directory"),
    ];
    for (name, reason) in rows {
        let error = Audit::open(&in_file(&at(name))).unwrap_err().to_string();
        assert_eq!(error, format!("cannot open the audit trail {}: {reason}", at(name).display()));
    }
}

#[test]
fn lines_of_many_writers_never_mix() {
    const WRITERS: usize = 8;
    const EACH: usize = 200;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("audit.log");
    // Two of them, as two servers would be, each shared by half of the writers.
    let audits = [Audit::open(&in_file(&path)).unwrap(), Audit::open(&in_file(&path)).unwrap()];
    thread::scope(|scope| {
        for writer in 0..WRITERS {
            let audit = &audits[writer % 2];
            scope.spawn(move || {
                let job: JobId = format!("writer-{writer}").parse().unwrap();
                let text = writer.to_string().repeat(5000);
                let spec = Spec::new(Program::Shell(text.as_str().into()));
                for _ in 0..EACH {
                    let (connection, owner) = (ConnectionId(0), Owner::User(0));
                    admit(
                        audit,
                        &Event::JobStart(JobStart {
                            connection,
                            job: &job,
                            owner,
                            spec: &spec,
                            extras: &Extras::default(),
                            original: None,
                        }),
                    )
                    .unwrap();
                }
            });
        }
    });
    let records = records(&path);
    assert_eq!(records.len(), WRITERS * EACH);
    for record in records {
        let writer = record["job"].as_str().unwrap().strip_prefix("writer-").unwrap();
        assert_eq!(record["shell"], writer.repeat(5000));
    }
}

#[test]
fn a_line_that_was_cut_off_by_a_crash_spoils_no_other() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("audit.log");
    admit(&Audit::open(&in_file(&path)).unwrap(), &STARTED).unwrap();
    fs::write(&path, [&fs::read(&path).unwrap()[..], b"{\"time\":\"20"].concat()).unwrap();
    let audit = Audit::open(&in_file(&path)).unwrap();
    admit(&audit, &STARTED).unwrap();
    admit(&audit, &STARTED).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    let valid: Vec<_> = text.lines().map(|line| serde_json::from_str::<Json>(line).is_ok()).collect();
    assert_eq!(valid, [true, false, true, true]);
}

/// A destination that does what it is told, call by call, and then works.
#[derive(Debug, Clone, Default)]
struct Fake(Arc<Mutex<FakeState>>);

#[derive(Debug, Default)]
struct FakeState {
    /// What the next writes answer: how much they take, or an error.
    writes: VecDeque<Result<usize, Errno>>,
    syncs: VecDeque<Errno>,
    opened: usize,
    synced: usize,
    written: Vec<u8>,
    /// What writing waits for, if it does.
    held: Option<Arc<Barrier>>,
}

impl Fake {
    fn audit(&self, on_failure: OnFailure) -> Audit {
        let settings = AuditSettings { on_failure, sync: true, ..settings(AuditDestination::Stderr) };
        Audit::to(Some(Box::new(self.clone())), &settings, Duration::from_millis(50)).unwrap()
    }

    fn state(&self) -> MutexGuard<'_, FakeState> {
        self.0.lock().unwrap()
    }

    fn text(&self) -> String {
        String::from_utf8(self.state().written.clone()).unwrap()
    }
}

impl fmt::Display for Fake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("/audit.log")
    }
}

impl Destination for Fake {
    fn open(&self) -> io::Result<Opened> {
        self.state().opened += 1;
        Ok(Opened { sink: Box::new(self.clone()), mid_line: None })
    }
}

impl Sink for Fake {
    fn append(&self, bytes: &[u8]) -> io::Result<usize> {
        let held = self.state().held.take();
        if let Some(barrier) = held {
            barrier.wait();
        }
        let mut state = self.state();
        let taken = state.writes.pop_front().unwrap_or(Ok(bytes.len()))?.min(bytes.len());
        state.written.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn append_now(&self, bytes: &[u8]) -> Option<io::Result<usize>> {
        let is_held = self.state().held.is_some();
        (!is_held).then(|| self.append(bytes))
    }

    fn is_there(&self) -> bool {
        true
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.state();
        state.synced += 1;
        state.syncs.pop_front().map_or(Ok(()), |error| Err(error.into()))
    }
}

#[test]
fn while_the_disk_is_full_nothing_starts_and_then_it_goes_on_at_once() {
    let fake = Fake::default();
    let audit = fake.audit(OnFailure::Refuse);
    fake.state().writes.extend([Err(Errno::NOSPC), Ok(10), Ok(0), Ok(1), Err(Errno::NOSPC)]);
    let rows = [
        "no space left on device",
        "there was room for 10 of",
        "there was room for 0 of",
        // The end of the line that was cut.
        "there was room for 1 of",
        "no space left on device",
    ];
    for (failures, reason) in rows.into_iter().enumerate() {
        let refusal = admit(&audit, &STARTED).unwrap_err();
        assert_eq!(refusal.to_string(), "the server cannot record it");
        let cause = refusal.0.to_string();
        let expected = format!("cannot write to the audit trail /audit.log: {reason}");
        assert!(cause.starts_with(&expected), "{cause}");
        assert!(is_failing(&audit));
        assert_eq!(fake.state().opened, failures + 1);
    }
    admit(&audit, &STARTED).unwrap();
    admit(&audit, &STARTED).unwrap();
    assert!(!is_failing(&audit));
    let text = fake.text();
    let valid: Vec<_> = text.lines().map(|line| serde_json::from_str::<Json>(line).is_ok()).collect();
    assert_eq!(valid, [false, true, true]);
}

#[test]
fn whoever_prefers_it_goes_on_without_records() {
    let fake = Fake::default();
    let audit = fake.audit(OnFailure::Continue);
    fake.state().writes.push_back(Err(Errno::IO));
    admit(&audit, &STARTED).unwrap();
    assert!(is_failing(&audit));
    assert!(admit(&audit, &STARTED).is_ok() && !is_failing(&audit));
}

#[test]
fn a_trail_that_takes_nothing_refuses_what_waits_for_it_and_holds_up_nothing_else() {
    let fake = Fake::default();
    let (audit, barrier) = (fake.audit(OnFailure::Refuse), Arc::new(Barrier::new(2)));
    fake.state().held = Some(Arc::clone(&barrier));
    audit.record(&STARTED);
    let refusal = admit(&audit, &STARTED).unwrap_err();
    let stuck = "cannot write to the audit trail /audit.log: it has taken nothing for 50ms";
    assert_eq!(refusal.0.to_string(), stuck);
    // From now on nobody waits, however long it lasts, and what does not wait is kept as far as it may be.
    for _ in 0..2 * WAITING {
        audit.record(&STARTED);
    }
    assert_eq!(admit(&audit, &STARTED).unwrap_err().0.to_string(), stuck);
    assert!(is_failing(&audit) && fake.text().is_empty());
    barrier.wait();
    audit.writer.as_ref().unwrap().thread.finish();
    // The first one and those that waited, without the one that was refused.
    let lines = fake.text().lines().count();
    assert!((WAITING..=WAITING + 1).contains(&lines), "{lines}");
    assert!(!is_failing(&audit));
}

#[test]
fn a_signal_does_not_lose_a_record() {
    let fake = Fake::default();
    let audit = fake.audit(OnFailure::Refuse);
    fake.state().writes.extend([Err(Errno::INTR), Err(Errno::INTR)]);
    admit(&audit, &STARTED).unwrap();
    assert_eq!(fake.text().lines().count(), 1);
}

#[test]
fn only_jobs_wait_for_the_disk_and_a_disk_that_fails_is_told() {
    let fake = Fake::default();
    let audit = fake.audit(OnFailure::Refuse);
    admit(&audit, &STARTED).unwrap();
    assert_eq!(fake.state().synced, 0);
    let (job, spec) = ("j1".parse().unwrap(), Spec::new(Program::Shell("true".into())));
    let start = JobStart {
        connection: ConnectionId(1),
        job: &job,
        owner: Owner::User(0),
        spec: &spec,
        extras: &Extras::default(),
        original: None,
    };
    let start = Event::JobStart(start);
    admit(&audit, &start).unwrap();
    assert_eq!(fake.state().synced, 1);
    fake.state().syncs.push_back(Errno::IO);
    let refusal = admit(&audit, &start).unwrap_err();
    assert_eq!(refusal.0.to_string(), "cannot sync the audit trail /audit.log: input/output error");
    admit(&audit, &start).unwrap();
}

#[test]
fn a_trail_that_is_off_takes_everything() {
    let audit = Audit::open(&settings(AuditDestination::Off)).unwrap();
    admit(&audit, &STARTED).unwrap();
    assert!(!is_failing(&audit));
}
