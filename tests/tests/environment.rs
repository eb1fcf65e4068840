//! What surrounds a command: exactly what is documented, whatever the server itself was started with.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeSet;

use rustix::process::Signal;
use tests::{Mark, Ran, Running, TestServer, command_lines};

/// A server that was started in the worst of surroundings, none of which its jobs may see.
fn ill_started_server() -> TestServer {
    TestServer::options()
        .listen("127.0.0.1:0")
        .env("SERVER_ONLY", "leaked")
        .env("LD_LIBRARY_PATH", "/nowhere")
        .after("umask 077; exec 9</etc/passwd; trap '' HUP INT QUIT PIPE USR1 TSTP; cd /")
        .on_a_terminal()
        .start()
}

#[test]
fn the_environment_is_the_documented_one_and_nothing_else() {
    let server = ill_started_server();
    let mut names =
        BTreeSet::from(["HOME", "USER", "LOGNAME", "SHELL", "PATH", "LANG", "PWD", "TELEX_JOB_ID"]);
    let environment = server.run(["--", "env"]).succeeds();
    let found = |environment: &str| -> BTreeSet<String> {
        environment.lines().map(|line| line.split_once('=').unwrap().0.to_owned()).collect()
    };
    assert_eq!(found(&environment), names.iter().map(|name| (*name).to_owned()).collect());
    assert!(environment.lines().all(|line| !line.ends_with('=')), "{environment}");

    names.insert("GREETING");
    let environment = server.run(["-e", "GREETING=hello", "--", "env"]).succeeds();
    assert_eq!(found(&environment), names.iter().map(|name| (*name).to_owned()).collect());
    assert!(environment.contains("GREETING=hello\n"), "{environment}");
}

#[test]
fn user_and_home_are_those_of_the_servers_user() {
    let server = TestServer::start();
    let user = Ran::of(server.command("/usr/bin/id").arg("-un")).succeeds();
    assert_eq!(server.run(["echo $USER; echo $LOGNAME; id -un"]).succeeds(), user.repeat(3));
    assert_eq!(
        server.run(["[ -d \"$HOME\" ] && [ \"$HOME\" = \"$PWD\" ] && [ -x \"$SHELL\" ]"]).succeeds(),
        ""
    );
}

#[test]
fn a_command_has_three_pipes_and_no_other_descriptor() {
    let server = ill_started_server();
    let bystander = Running::start(server.client().args(["run", "cat"]));
    // `true` keeps the shell from becoming `ls`, which has one descriptor more.
    let list = server.run_with_input(["ls -l /proc/$$/fd; true"], b"").succeeds();
    let descriptors: Vec<(&str, &str)> = list
        .lines()
        .filter_map(|line| line.rsplit_once(" -> "))
        .map(|(name, target)| (name.rsplit(' ').next().unwrap(), target.split(':').next().unwrap()))
        .collect();
    assert_eq!(descriptors, [("0", "pipe"), ("1", "pipe"), ("2", "pipe")], "{list}");
    bystander.finish().exits(0);
}

#[test]
fn a_command_without_stdin_reads_from_nowhere() {
    let server = TestServer::start();
    assert_eq!(server.run(["-n", "readlink /proc/$$/fd/0"]).succeeds(), "/dev/null\n");
}

#[test]
fn a_command_has_no_terminal_and_a_session_of_its_own() {
    let server = ill_started_server();
    assert_eq!(server.run(["ps -o tty= -p $$"]).succeeds(), "?\n");
    let ran = server.run(["( : < /dev/tty ) 2> /dev/null && echo terminal || echo none"]);
    assert_eq!(ran.succeeds(), "none\n");
    let ids = server.run(["ps -o pid=,pgid=,sid= -p $$"]).succeeds();
    let ids: BTreeSet<&str> = ids.split_whitespace().collect();
    assert_eq!(ids.len(), 1, "process, group and session are one: {ids:?}");
}

#[test]
fn the_file_mask_is_the_usual_one() {
    let server = ill_started_server();
    assert_eq!(server.run(["umask"]).succeeds(), "0022\n");
}

#[test]
fn no_signal_is_blocked_or_ignored() {
    let server = TestServer::options()
        .listen("127.0.0.1:0")
        .after("set -- env --ignore-signal=HUP,INT,PIPE,USR1 --block-signal=USR2,WINCH,RTMIN \"$@\"")
        .start();
    let status = server.run(["--", "cat", "/proc/self/status"]).succeeds();
    // 32 and 33 belong to the C library, which lets every program it spawns ignore them.
    let of_the_library = 0b11_u64 << 31;
    for field in ["SigBlk:\t", "SigIgn:\t", "SigCgt:\t"] {
        let set = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
        let set = u64::from_str_radix(set, 16).unwrap();
        assert_eq!(set & !of_the_library, 0, "{status}");
    }
}

#[test]
fn a_server_started_by_someone_who_ignores_children_still_learns_how_they_end() {
    let server =
        TestServer::options().listen("127.0.0.1:0").after("set -- env --ignore-signal=CHLD \"$@\"").start();
    server.run(["exit 3"]).exits(3);
    server.run(["kill -TERM $$"]).exits(143);
}

#[test]
fn a_command_dies_of_a_pipe_that_nobody_reads() {
    let server = ill_started_server();
    let ran = server.run(["--", "bash", "-c", "yes | true; echo ${PIPESTATUS[0]}"]);
    assert_eq!(ran.succeeds(), "141\n");
}

#[test]
fn variables_come_from_options_in_their_order() {
    let server = TestServer::start();
    assert_eq!(server.run(["-e", "A=1", "--env", "B=x=y  z", "echo \"$A,$B\""]).succeeds(), "1,x=y  z\n");
    assert_eq!(server.run(["-e", "A=1", "-e", "A=2", "echo $A; env | grep -c ^A="]).succeeds(), "2\n1\n");
    assert_eq!(server.run(["-e", "A=", "echo \"<$A>\"; env | grep ^A="]).succeeds(), "<>\nA=\n");
    assert_eq!(server.run(["-e", "LANG=de_DE.UTF-8", "echo $LANG"]).succeeds(), "de_DE.UTF-8\n");
    server.run(["-e", "=value", "true"]).exits(125);
}

#[test]
fn a_variable_without_a_value_is_copied() {
    let server = TestServer::start();
    let mut command = server.client();
    command.env("LOCAL", "local value\nof two lines").args(["run", "-e", "LOCAL", "echo \"$LOCAL\""]);
    assert_eq!(Ran::of(&mut command).succeeds(), "local value\nof two lines\n");
}

#[test]
fn variables_come_from_a_file() {
    let server = TestServer::start();
    let file = server.file("environment", "# a comment\n\nA=from file\nB=two = signs\n");
    let mut command = server.client();
    command.args(["run", "--env-file"]).arg(&file).arg("echo \"$A,$B\"");
    assert_eq!(Ran::of(&mut command).succeeds(), "from file,two = signs\n");
    let message = server.run(["--env-file", "/no/such/file", "true"]).complains("client", 125);
    assert!(message.contains("/no/such/file"), "{message}");
}

#[test]
fn secrets_are_in_no_log_and_no_process_list() {
    let secret = "hunter2-5f1e77";
    let server =
        TestServer::options().listen("127.0.0.1:0").argument("--log-level").argument("trace").start();
    let mark = Mark::new();
    let file = server.file("environment", format!("FROM_FILE={secret}-file\n"));
    let mut command = server.client();
    command.env("COPIED", format!("{secret}-copied")).arg("run").args(mark.option());
    command.args(["-e", "COPIED", "--env-file"]).arg(file).arg("echo $COPIED $FROM_FILE; exec sleep 1000");
    let mut client = Running::start(&mut command);
    client.wait_for_stdout(&format!("{secret}-copied {secret}-file\n"));
    let shown: Vec<String> = command_lines().into_iter().filter(|line| line.contains(secret)).collect();
    assert_eq!(shown, [""; 0]);
    client.signal(Signal::TERM);
    client.finish().exits(143);
    let log = server.log();
    assert!(!log.is_empty() && !log.contains(secret), "{log}");
}

#[test]
fn a_command_runs_where_it_is_told_to() {
    let server = TestServer::start();
    let directory = server.directory("some where", 0o755);
    let path = directory.to_str().unwrap();
    assert_eq!(server.run(["--cwd", path, "pwd; echo $PWD"]).succeeds(), format!("{path}\n{path}\n"));
    assert_eq!(server.run(["cd \"$HOME\" && pwd"]).succeeds(), server.run(["pwd"]).succeeds());
}

#[test]
fn a_program_named_relatively_is_found_from_its_directory() {
    let server = TestServer::start();
    let directory = server.directory("project", 0o755);
    let script = server.file("project/tool", "#!/bin/sh\necho tool in $PWD\n");
    Ran::of(server.command("/usr/bin/chmod").arg("755").arg(script)).succeeds();
    let path = directory.to_str().unwrap();
    assert_eq!(server.run(["--cwd", path, "--", "./tool"]).succeeds(), format!("tool in {path}\n"));
}
