//! The REPL with a script instead of a person: lines in turn, a memory from line to line, honest exit codes.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use tests::{DEADLINE, Mark, Ran, Running, TestServer, wait_until};

/// Feeds `script` to the REPL through a pipe.
#[track_caller]
fn repl(server: &TestServer, arguments: &[&str], script: &str) -> Ran {
    Ran::with_input(server.client().args(arguments), script.as_bytes())
}

#[test]
fn lines_run_in_turn_without_a_prompt() {
    let server = TestServer::start();
    assert_eq!(repl(&server, &[], "echo one\necho two; echo three\n").succeeds(), "one\ntwo\nthree\n");
    assert_eq!(
        repl(&server, &["repl"], "echo one\necho without a newline").succeeds(),
        "one\nwithout a newline\n"
    );
    assert_eq!(repl(&server, &["repl"], "").succeeds(), "");
}

#[test]
fn blank_lines_and_comments_do_nothing() {
    let server = TestServer::start();
    assert_eq!(repl(&server, &["repl"], "\n   \n# a comment\necho done\n\n").succeeds(), "done\n");
}

#[test]
fn a_command_may_take_several_lines() {
    let server = TestServer::start();
    let script = "for word in one two\ndo\n  echo $word\n\ndone\ncat <<'END'\nit's $HOME\n:quit\nEND\necho 'three\nfour'\n";
    assert_eq!(repl(&server, &[], script).succeeds(), "one\ntwo\nit's $HOME\n:quit\nthree\nfour\n");
}

#[test]
fn a_message_names_the_first_line_of_a_command() {
    let server = TestServer::start();
    let script = "true\nif true\nthen\n  (exit 3)\nfi\ntrue\nfi\ntrue\n";
    let errors = repl(&server, &["repl"], script).exits(0).errors();
    assert!(errors.contains("line 2: exit 3\n"), "{errors}");
    assert!(errors.contains("line 7: exit "), "{errors}");
}

#[test]
fn the_directory_lasts() {
    let server = TestServer::start();
    let directory = server.directory("some where", 0o755);
    let path = directory.to_str().unwrap();
    let script = format!("cd '{path}'\npwd\nmkdir inner && cd inner\npwd\ncd ..\npwd\n");
    assert_eq!(repl(&server, &["repl"], &script).succeeds(), format!("{path}\n{path}/inner\n{path}\n"));
}

#[test]
fn all_lines_are_one_job_and_one_shell() {
    let server = TestServer::start();
    let ids = repl(&server, &["repl"], "echo $TELEX_JOB_ID $$\necho $TELEX_JOB_ID $$\n").succeeds();
    let ids: Vec<_> = ids.lines().collect();
    assert!(ids.len() == 2 && ids[0] == ids[1], "{ids:?}");
}

#[test]
fn whatever_lasts_in_a_shell_lasts() {
    let server = TestServer::start();
    let script = "f() { echo \"f $1 $word\"; }; word=here; umask 027; set -f\nf 1; umask; echo *\nset +f; trap 'echo bye' EXIT\n";
    assert_eq!(repl(&server, &["repl"], script).succeeds(), "f 1 here\n0027\n*\nbye\n");
}

#[test]
fn exported_variables_last() {
    let server = TestServer::start();
    let script = "export WORD='two  words' EMPTY=\necho \"<$WORD><$EMPTY>\"\nunset WORD\necho \"<$WORD>\"\n\
                  export LINES2=\"$(printf 'a\\nb')\"\necho \"$LINES2\"\nenv | grep -c ^EMPTY=\n";
    assert_eq!(repl(&server, &["repl"], script).succeeds(), "<two  words><>\n<>\na\nb\n1\n");
}

#[test]
fn a_line_that_fails_keeps_what_lasts() {
    let server = TestServer::start();
    let script = "cd /tmp; export A=1; false\npwd; echo $A\n(exit 9)\npwd\n";
    assert_eq!(repl(&server, &["repl"], script).exits(0).text(), "/tmp\n1\n/tmp\n");
}

#[test]
fn exit_leaves_and_nothing_behind_it_runs() {
    let server = TestServer::start();
    let never = "\necho never\n";
    for (line, code) in [
        ("exit 3", 3),
        ("cd /no/such/place 2>/dev/null || exit 7", 7),
        ("check() { test -e /no/such/file || exit 8; }; check", 8),
        ("(exit 9)\nexit", 9),
        ("false; exit", 1),
        ("exit 0", 0),
    ] {
        let ran = repl(&server, &["repl"], &format!("echo before\n{line}{never}")).exits(code);
        assert_eq!(ran.text(), "before\n", "{line}");
        assert!(!ran.errors().contains("SIG"), "{ran:?}");
    }
}

#[test]
fn the_exit_of_another_shell_is_its_own() {
    let server = TestServer::start();
    let script = "(exit 3)\nsh -c 'exit 4'\nsh -c 'kill -VTALRM $$'\necho goes on\n";
    let ran = repl(&server, &["repl"], script).exits(0);
    assert_eq!(ran.text(), "goes on\n");
    let errors = ran.errors();
    assert!(
        errors.contains("exit 3") && errors.contains("exit 4") && errors.contains("SIGVTALRM"),
        "{errors}"
    );
}

#[test]
fn an_outcome_other_than_0_is_said_on_stderr() {
    let server = TestServer::start();
    let script = "true\n(exit 42)\necho out\nsh -c 'kill -TERM $$'\ntrue\n";
    let ran = repl(&server, &["repl"], script).exits(0);
    assert_eq!(ran.text(), "out\n");
    let errors = ran.errors();
    let ours: Vec<_> = errors.lines().filter(|line| line.starts_with("client: ")).collect();
    assert_eq!(ours, ["client: line 2: exit 42", "client: line 4: exit 143, as after SIGTERM"], "{errors}");
}

#[test]
fn a_line_that_ends_the_shell_ends_the_session() {
    let server = TestServer::start();
    let ran = repl(&server, &["repl"], "echo out\nkill -KILL $$\necho never\n").exits(137);
    assert_eq!(ran.text(), "out\n");
    assert_eq!(ran.errors(), "client: line 2: killed by SIGKILL\n");
}

#[test]
fn set_e_ends_the_session_at_a_command_that_fails_and_at_nothing_else() {
    let server = TestServer::start();
    let script = "(exit 5)\nset -e\necho \"$?\"\nfalse || echo goes on\n(exit 6)\necho never\n";
    assert_eq!(repl(&server, &["repl"], script).exits(6).text(), "0\ngoes on\n");
}

#[test]
fn no_output_pretends_that_a_line_is_done() {
    let server = TestServer::start();
    // What the shell says on its own descriptor; a command has no such descriptor.
    let script = "printf 'P1 1 9 /\\0' >&9\nprintf 'P1 1 9 /\\0'; sleep 0.2; echo \" whole\"\n";
    let ran = repl(&server, &["repl"], script).exits(0);
    assert_eq!(ran.text(), "P1 1 9 /\0 whole\n");
    assert!(ran.errors().contains("line 1: exit"), "{ran:?}");
}

#[test]
fn the_last_line_decides_the_exit_code() {
    let server = TestServer::start();
    repl(&server, &["repl"], "false\ntrue\n").exits(0);
    repl(&server, &["repl"], "true\n(exit 7)\n").exits(7);
    repl(&server, &["repl"], "kill -KILL $$\n").exits(137);
}

#[test]
fn errexit_stops_at_the_first_failure() {
    let server = TestServer::start();
    let ran = repl(&server, &["repl", "--errexit"], "echo one\n(exit 5)\necho never\n").exits(5);
    assert_eq!(ran.text(), "one\n");
    assert_eq!(repl(&server, &["repl", "--errexit"], "true\necho two\n").succeeds(), "two\n");
}

#[test]
fn a_script_sets_errexit_for_what_follows() {
    let server = TestServer::start();
    let script = ":set errexit\n(exit 5)\n:set errexit on\necho two\n(exit 6)\necho never\n";
    assert_eq!(repl(&server, &["repl"], script).exits(6).text(), "errexit  off\ntwo\n");
    let ran = repl(&server, &["repl"], ":set colour off\n:set errexit maybe\n:set\n").exits(0);
    assert_eq!(ran.text(), "errexit  off\n");
    assert!(ran.errors().contains("line 1: this is not a terminal"), "{ran:?}");
    assert!(ran.errors().contains("line 2: not a value of errexit: it is on or off"), "{ran:?}");
}

#[test]
fn a_script_can_come_from_a_file() {
    let server = TestServer::start();
    let file = server.file("script", "cd /tmp\npwd\n(exit 6)\n");
    let ran = repl(&server, &["repl", file.to_str().unwrap()], "echo not this\n").exits(6);
    assert_eq!(ran.text(), "/tmp\n");
    let message = repl(&server, &["repl", "/no/such/file"], "").complains("client", 125);
    assert!(message.contains("/no/such/file"), "{message}");
}

#[test]
fn stdout_and_stderr_stay_apart() {
    let server = TestServer::start();
    let ran = repl(&server, &["repl"], "echo out; echo err >&2\n").exits(0);
    assert_eq!((ran.text().as_str(), ran.errors().as_str()), ("out\n", "err\n"));
}

#[test]
fn quotes_and_other_syntax_are_the_remote_shells() {
    let server = TestServer::start();
    let script = "echo 'it'\\''s' \"a  b\" | tr a A\nfor i in 1 2; do echo $i; done\necho 日本\n";
    assert_eq!(repl(&server, &["repl"], script).succeeds(), "it's A  b\n1\n2\n日本\n");
}

#[test]
fn a_syntax_error_fails_its_line_only() {
    let server = TestServer::start();
    let ran = repl(&server, &["repl"], "cd /tmp\nfi\npwd\n").exits(0);
    assert_eq!(ran.text(), "/tmp\n");
    assert!(!ran.stderr.is_empty());
}

#[test]
fn help_and_env_are_its_own() {
    let server = TestServer::start();
    let help = repl(&server, &["repl"], ":help\n").succeeds();
    for command in [":help", ":env", ":quit"] {
        assert!(help.contains(command), "{help}");
    }
    let environment = repl(&server, &["repl"], "export GREETING='hello  there'\n:env\n").succeeds();
    assert!(environment.contains("GREETING") && environment.contains("hello  there"), "{environment}");
}

#[test]
fn jobs_lists_what_the_server_has_with_this_session() {
    let server = TestServer::start();
    let listed = repl(&server, &["repl"], "echo $TELEX_JOB_ID\n:jobs\n").succeeds();
    let (id, table) = listed.split_once('\n').unwrap();
    assert!(table.starts_with("ID ") && table.contains("ATTACHED"), "{listed}");
    assert!(table.lines().any(|row| row.starts_with(id) && row.contains(" running ")), "{listed}");
    assert!(!repl(&server, &["repl"], ":jobs --all\n").stderr.is_empty());
}

#[test]
fn quit_leaves() {
    let server = TestServer::start();
    assert_eq!(repl(&server, &["repl"], "echo one\n:quit\necho never\n").succeeds(), "one\n");
}

#[test]
fn an_unknown_command_of_its_own_is_an_error() {
    let server = TestServer::start();
    let ran = repl(&server, &["repl", "--errexit"], ":no-such-command\necho never\n");
    assert!(!ran.status.success() && ran.stdout.is_empty(), "{ran:?}");
    assert!(ran.errors().contains(":no-such-command"), "{ran:?}");
}

#[test]
fn a_line_runs_as_soon_as_it_is_there() {
    let server = TestServer::start();
    let mut client = Running::start(server.client().arg("repl"));
    for word in ["one", "two", "three"] {
        client.write(format!("echo {word}\n").as_bytes());
        client.wait_for_stdout(&format!("{word}\n"));
    }
    client.finish().exits(0);
}

#[test]
fn a_killed_repl_leaves_no_process() {
    let server = TestServer::start();
    let mark = Mark::new();
    let (name, value) = mark.variable();
    let mut client = Running::start(server.client().arg("repl"));
    client.write(format!("export {name}={value}\necho ready; sleep 1000\n").as_bytes());
    client.wait_for_stdout("ready\n");
    wait_until("the command runs", DEADLINE, || !mark.processes().is_empty());
    drop(client);
    mark.wait_until_gone();
}

#[test]
fn no_server_is_said_at_once() {
    let sandbox = tests::Sandbox::new();
    let ran = Ran::with_input(sandbox.client().args(["-H", "unix:/no/such/socket", "repl"]), b"echo never\n");
    ran.complains("client", 125);
}

#[test]
fn what_has_no_lines_is_no_script() {
    let server = TestServer::start();
    let message = repl(&server, &["repl", "/dev/zero"], "").complains("client", 125);
    assert!(message.contains("a line of more than"), "{message}");
}
