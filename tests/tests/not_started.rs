//! A command that cannot be started is told from one that ran, and the message says what to mend.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use tests::TestServer;

#[test]
fn an_unknown_program_exits_with_127_and_names_the_path_searched() {
    let server = TestServer::start();
    let message = server.run(["--", "no-such-program-here", "argument"]).complains("client", 127);
    assert!(message.starts_with("no-such-program-here: not found in "), "{message}");
    assert!(message.contains("/usr/bin"), "{message}");
}

#[test]
fn the_path_searched_is_the_commands_own() {
    let server = TestServer::start();
    let directory = server.directory("bin", 0o755);
    let script = server.file("bin/greet", "#!/bin/sh\necho hello\n");
    std::process::Command::new("chmod").arg("755").arg(script).status().unwrap();
    let path = format!("PATH={}", directory.display());
    assert_eq!(server.run(["-e", &path, "--", "greet"]).succeeds(), "hello\n");
    let message = server.run(["-e", &path, "--", "ls"]).complains("client", 127);
    assert!(message.starts_with("ls: not found in "), "{message}");
}

#[test]
fn an_unknown_path_exits_with_127() {
    let server = TestServer::start();
    let message = server.run(["--", "/no/such/program"]).complains("client", 127);
    assert!(message.starts_with("/no/such/program: not found"), "{message}");
}

#[test]
fn a_file_that_is_no_program_exits_with_126() {
    let server = TestServer::start();
    let file = server.file("plain.txt", "not a program\n");
    let message = server.run(["--", file.to_str().unwrap()]).complains("client", 126);
    assert!(message.starts_with(&format!("{}: cannot be executed: ", file.display())), "{message}");
}

#[test]
fn a_directory_exits_with_126() {
    let server = TestServer::start();
    let message = server.run(["--", "/tmp"]).complains("client", 126);
    assert!(message.starts_with("/tmp: cannot be executed: "), "{message}");
}

#[test]
fn a_program_without_its_interpreter_does_not_count_as_run() {
    let server = TestServer::start();
    let file = server.file("script", "#!/no/such/interpreter\n");
    std::process::Command::new("chmod").arg("755").arg(&file).status().unwrap();
    let ran = server.run(["--", file.to_str().unwrap()]);
    assert!(matches!(ran.status.code(), Some(126 | 127)), "{ran:?}");
    assert!(ran.errors().contains("script"), "{ran:?}");
}

#[test]
fn what_the_remote_shell_reports_is_the_commands_own_failure() {
    let server = TestServer::start();
    let ran = server.run(["no-such-program-here"]).exits(127);
    assert!(!ran.errors().starts_with("client:"), "the shell speaks here, not Telex: {ran:?}");
}

#[test]
fn a_directory_that_cannot_be_entered_exits_with_125_and_is_named() {
    let server = TestServer::start();
    let message = server.run(["--cwd", "/no/such/directory", "true"]).complains("client", 125);
    assert!(message.contains("cannot enter /no/such/directory"), "{message}");
}

#[test]
fn a_command_too_long_for_any_system_is_refused_and_not_cut() {
    let server = TestServer::start();
    // The client's own arguments obey the same limit, so the long one comes from a file.
    let file = server.file("environment", format!("LONG={}", "x".repeat(200_000)));
    let ran = server.run(["--env-file", file.to_str().unwrap(), "echo started"]);
    let message = ran.complains("client", 125);
    assert!(message.contains("bytes"), "{message}");
}

#[test]
fn an_empty_command_is_refused() {
    let server = TestServer::start();
    server.run(["--", ""]).complains("client", 125);
}

#[test]
fn the_server_outlives_everything_it_could_not_start() {
    let mut server = TestServer::start();
    for _ in 0..100 {
        server.run(["--", "no-such-program-here"]).exits(127);
    }
    server.still_serves();
    assert_eq!(tests::zombie_children(server.process_id()), [0_u32; 0]);
}

#[test]
fn names_too_long_for_an_answer_still_get_one() {
    let server = TestServer::start();
    let long = "a".repeat(20_000);
    assert!(server.run(["--", &long]).complains("client", 127).contains("not found"));
    let path = format!("PATH=/{long}");
    assert!(server.run(["-e", &path, "--", "nope"]).complains("client", 127).contains("not found"));
    let directory = format!("/{long}");
    server.run(["--cwd", &directory, "pwd"]).complains("client", 125);
}
