//! The client exits as the command did: every code arrives as it is.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use std::sync::atomic::{AtomicI32, Ordering};
use std::thread;

use tests::{Ran, TestServer};

#[test]
fn every_exit_code_arrives() {
    let server = TestServer::start();
    let next = AtomicI32::new(0);
    let run_some = || {
        loop {
            let code = next.fetch_add(1, Ordering::Relaxed);
            if code > 255 {
                break;
            }
            let ran = server.run([format!("exit {code}")]).exits(code);
            assert!(ran.stdout.is_empty() && ran.stderr.is_empty(), "{ran:?}");
        }
    };
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(run_some);
        }
    });
}

#[test]
fn every_exit_code_arrives_without_a_shell_too() {
    let server = TestServer::start();
    server.run(["--", "true"]).exits(0);
    server.run(["--", "false"]).exits(1);
    server.run(["--", "sh", "-c", "exit 125"]).exits(125);
}

#[test]
fn a_code_of_the_commands_own_is_told_from_a_failure_of_telex() {
    let server = TestServer::start();
    for code in [124, 125, 126, 127, 130, 255] {
        let ran = server.run([format!("exit {code}")]).exits(code);
        assert_eq!(ran.errors(), "", "nothing of Telex' own is said when the command has exited by itself");
    }
}

#[test]
fn output_written_just_before_the_exit_is_complete() {
    let server = TestServer::start();
    for _ in 0..50 {
        let ran = server.run(["echo to stdout; echo to stderr >&2; exit 3"]).exits(3);
        assert_eq!((ran.text().as_str(), ran.errors().as_str()), ("to stdout\n", "to stderr\n"));
    }
}

#[test]
fn a_usage_error_exits_with_125_and_runs_nothing() {
    let server = TestServer::start();
    for arguments in [&["run"][..], &["run", "--no-such-option", "true"], &["no-such-command"]] {
        let ran = Ran::of(server.client().args(arguments)).exits(125);
        assert!(ran.stdout.is_empty() && !ran.stderr.is_empty(), "{ran:?}");
    }
    server.run(["--timeout", "soon", "true"]).exits(125);
    server.run(["--id", "two words", "true"]).exits(125);
}

#[test]
fn help_and_version_are_no_errors() {
    let server = TestServer::start();
    for program in [server.client(), server.server()] {
        for option in ["--help", "--version"] {
            let mut command = server.command(program.get_program());
            assert!(!Ran::of(command.arg(option)).succeeds().is_empty());
        }
    }
}
