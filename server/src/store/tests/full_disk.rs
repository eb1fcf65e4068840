//! A disk that is really full: a small one in memory, mounted where nobody else sees it.

use std::env;
use std::path::Path;
use std::process::Command as Process;

use super::world::*;
use super::*;

const DIRECTORY: &str = "TELEX_TEST_SMALL_DISK";

/// Mounts a disk of 1 MiB and runs the test again on it.
#[test]
fn on_a_full_disk_what_was_written_counts_and_an_end_is_still_written_down() {
    if env::var_os(DIRECTORY).is_some() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let script = r#"mount -t tmpfs -o size=1m,mode=700 tmpfs "$1" || exit 77; shift; exec "$@""#;
    let output = Process::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"])
        .arg(directory.path())
        .arg(env::current_exe().unwrap())
        .args(["--exact", "store::tests::full_disk::the_disk_that_is_full", "--nocapture"])
        .env(DIRECTORY, directory.path())
        .output();
    match output {
        Ok(output) if output.status.success() => {}
        Ok(output) if output.status.code() == Some(101) => {
            panic!("{}", String::from_utf8_lossy(&output.stderr))
        }
        other => eprintln!("no disk can be mounted here, left out: {other:?}"),
    }
}

#[test]
fn the_disk_that_is_full() {
    if let Some(path) = env::var_os(DIRECTORY) {
        fill(&Path::new(&path).join("jobs"));
    }
}

fn fill(path: &Path) {
    let limits = LogLimits { segment: 256 * 1024, job: 64 * 1024 * 1024 };
    let store = Store::open_with(path, NOW, Some(QUOTAS), limits, nobody).unwrap();
    let custody = create(&store, ANN, "job");
    custody.begin(None, NOW).unwrap();
    let mut output = custody.output(limits).unwrap();
    let bytes: Vec<u8> = (0..10_000_u32).map(|number| number as u8).collect();
    let mut written = Vec::new();
    let error = loop {
        match output.append(LogStream::Stdout, &bytes, NOW) {
            Ok(count) => written.extend_from_slice(&bytes[..count]),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, StoreError::DiskFull { .. }) && error.is_for_want_of_room(), "{error}");
    assert!(written.len() > 500_000);
    assert_eq!(output.end(LogStream::Stdout), written.len() as u64);
    assert!(matches!(output.append(LogStream::Stderr, b"x", NOW), Err(StoreError::DiskFull { .. })));

    // Another job is refused, and nothing of it is left.
    let error = request(&store, ANN, "another", "make").unwrap_err();
    assert!(matches!(error, StoreError::DiskFull { .. }), "{error}");
    assert_eq!(store.root.names(100).unwrap().listed.iter().filter(|name| name.starts_with('.')).count(), 0);

    // With room again it goes on, where it was.
    output.trim(LogStream::Stdout, 300_000).unwrap();
    assert_eq!(output.append(LogStream::Stdout, b"more", NOW).unwrap(), 4);
    written.extend_from_slice(b"more");
    while output.append(LogStream::Stdout, &bytes[..1], NOW).is_ok() {
        written.push(bytes[0]);
    }

    // And the end has its room.
    let end = custody.end(&exited(3), NOW).unwrap();
    abandon(custody);
    let store = Store::open_with(path, NOW, Some(QUOTAS), limits, nobody).unwrap();
    let job = store.find(&ANN, &id("job")).unwrap();
    assert_eq!(job.state().unwrap(), State::Ended(end));
    let mut reader = job.log(LogStream::Stdout).unwrap();
    let mut offset = reader.oldest().unwrap();
    assert_eq!(offset, 256 * 1024);
    while offset < written.len() as u64 {
        let read = reader.read(offset, 100_000).unwrap();
        assert!(written[offset as usize..].starts_with(&read) && !read.is_empty());
        offset += read.len() as u64;
    }
    // The output of what is over makes room for others.
    job.remove_output(NOW).unwrap();
    abandon(create(&store, ANN, "another"));
}
