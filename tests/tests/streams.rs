//! stdout and stderr: 8-bit clean, apart, complete, as they are written.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use tests::{Mark, Ran, Running, TestServer, noise, wait_until};

const MEBIBYTE: usize = 1024 * 1024;

#[track_caller]
fn same(found: &[u8], expected: &[u8]) {
    assert_eq!(found.len(), expected.len(), "lengths differ");
    if let Some(place) = found.iter().zip(expected).position(|(found, expected)| found != expected) {
        panic!("the bytes differ from offset {place} on");
    }
}

#[test]
fn every_byte_value_goes_both_ways_unchanged() {
    let server = TestServer::start();
    let bytes: Vec<u8> = (0..64 * 1024).flat_map(|step: u32| [step as u8, (step >> 8) as u8]).collect();
    let ran = server.run_with_input(["tee /dev/stderr"], &bytes).exits(0);
    same(&ran.stdout, &bytes);
    same(&ran.stderr, &bytes);
}

#[test]
fn downloads_of_every_size_are_complete() {
    let server = TestServer::start();
    for size in [0, 1, 65_535, 65_536, 65_537, 64 * MEBIBYTE] {
        let bytes = noise(size);
        let file = server.file("download", &bytes);
        let ran = server.run(["--", "cat", file.to_str().unwrap()]).exits(0);
        same(&ran.stdout, &bytes);
    }
}

#[test]
fn uploads_of_every_size_are_complete() {
    let server = TestServer::start();
    for size in [0, 1, 65_535, 65_536, 65_537, 64 * MEBIBYTE] {
        let bytes = noise(size);
        let expected =
            Ran::of(server.command("/usr/bin/sha256sum").arg(server.file("upload", &bytes))).succeeds();
        let remote = server.run_with_input(["sha256sum"], &bytes).succeeds();
        assert_eq!(remote.split(' ').next(), expected.split(' ').next(), "{size} bytes");
    }
}

#[test]
fn sixty_four_mebibytes_through_cat_do_not_deadlock() {
    let server = TestServer::start();
    let bytes = noise(64 * MEBIBYTE);
    same(&server.run_with_input(["--", "cat"], &bytes).exits(0).stdout, &bytes);
}

#[test]
fn stdout_and_stderr_stay_apart() {
    let server = TestServer::start();
    let script = "i=0; while [ $i -lt 500 ]; do echo out $i; echo err $i >&2; i=$((i+1)); done";
    let ran = server.run([script]).exits(0);
    let lines = |word: &str| (0..500).map(|i| format!("{word} {i}\n")).collect::<String>();
    assert_eq!(ran.text(), lines("out"));
    assert_eq!(ran.errors(), lines("err"));
}

#[test]
fn a_flood_on_stderr_does_not_need_stdout_to_move() {
    let server = TestServer::start();
    let ran = server.run(["head -c 52428800 /dev/zero >&2; echo done"]).exits(0);
    assert_eq!(ran.text(), "done\n");
    assert_eq!(ran.stderr.len(), 50 * MEBIBYTE);
    assert!(ran.stderr.iter().all(|byte| *byte == 0));
}

#[test]
fn merged_output_keeps_its_true_order() {
    let server = TestServer::start();
    let script = "i=0; while [ $i -lt 1000 ]; do echo out $i; echo err $i >&2; i=$((i+1)); done";
    let ran = server.run(["--merge", script]).exits(0);
    assert_eq!(ran.text(), (0..1000).map(|i| format!("out {i}\nerr {i}\n")).collect::<String>());
    assert_eq!(ran.errors(), "");
}

#[test]
fn a_line_of_ten_megabytes_arrives_whole() {
    let server = TestServer::start();
    let ran = server.run(["head -c 10000000 /dev/zero | tr '\\0' x; echo"]).exits(0);
    assert_eq!(ran.stdout.len(), 10_000_001);
    assert_eq!(ran.stdout.iter().position(|byte| *byte != b'x'), Some(10_000_000));
}

#[test]
fn output_arrives_as_it_is_written() {
    let server = TestServer::start();
    let mut client = Running::start(server.client().args(["run", "echo first; read line; echo $line"]));
    client.wait_for_stdout("first\n");
    assert!(!client.has_ended());
    client.write(b"second\n");
    assert_eq!(client.finish().succeeds(), "first\nsecond\n");
}

#[test]
fn a_part_of_a_line_does_not_wait_for_its_end() {
    let server = TestServer::start();
    let mut client = Running::start(server.client().args(["run", "printf 'password: '; read line; echo ok"]));
    client.wait_for_stdout("password: ");
    client.write(b"secret\n");
    assert_eq!(client.finish().succeeds(), "password: ok\n");
}

#[test]
fn a_stream_that_the_command_closes_early_is_no_end_of_the_other() {
    let server = TestServer::start();
    let ran = server.run(["exec >&-; echo to stderr >&2; exit 6"]).exits(6);
    assert_eq!((ran.text().as_str(), ran.errors().as_str()), ("", "to stderr\n"));
    let ran = server.run(["exec 2>&-; echo to stdout; exit 7"]).exits(7);
    assert_eq!((ran.text().as_str(), ran.errors().as_str()), ("to stdout\n", ""));
}

#[test]
fn a_reader_that_leaves_early_ends_the_command() {
    let server = TestServer::start();
    let mark = Mark::new();
    let [option, variable] = mark.option();
    let script = format!("$CLIENT run {option} {variable} yes | head -n 1; echo ${{PIPESTATUS[0]}}");
    let ran = Ran::of(&mut server.script("/bin/bash", &script)).exits(0);
    // 128 + SIGPIPE, whether the client died of it or says that the command did.
    assert_eq!(ran.text(), "y\n141\n");
    mark.wait_until_gone();
    wait_until("no zombie is left", tests::DEADLINE, || {
        tests::zombie_children(server.process_id()).is_empty()
    });
}

#[test]
fn a_full_disk_on_our_side_is_not_a_success() {
    let server = TestServer::start();
    let ran = Ran::of(&mut server.script("/bin/sh", "$CLIENT run 'echo hello' > /dev/full"));
    ran.complains("telex-test-client", 125);
}

#[test]
fn stdout_can_be_opened_again_by_name() {
    let server = TestServer::start();
    let ran = server.run(["echo one > /dev/stdout; echo two > /dev/stderr"]).exits(0);
    assert_eq!((ran.text().as_str(), ran.errors().as_str()), ("one\n", "two\n"));
}
