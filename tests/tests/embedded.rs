//! `--embedded`: a private server for one call, gone with it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use rustix::process::Signal;
use tests::{DEADLINE, Mark, Ran, Running, Sandbox, TestServer, process_state, wait_until};

/// The client with a private server; it and all it starts carry the mark.
fn embedded(sandbox: &Sandbox, mark: &Mark) -> std::process::Command {
    let mut command = sandbox.client();
    let (name, value) = mark.variable();
    command.env(name, value).arg("--embedded");
    command
}

#[test]
fn a_command_runs_and_its_code_is_passed_on() {
    let (sandbox, mark) = (Sandbox::new(), Mark::new());
    let ran = Ran::of(embedded(&sandbox, &mark).args(["run", "echo out; echo err >&2; exit 3"])).exits(3);
    assert_eq!((ran.text().as_str(), ran.errors().as_str()), ("out\n", "err\n"));
    for code in [0, 1, 125, 255] {
        Ran::of(embedded(&sandbox, &mark).args(["run", &format!("exit {code}")])).exits(code);
    }
    Ran::of(embedded(&sandbox, &mark).args(["run", "kill -TERM $$"])).complains("client", 143);
    Ran::of(embedded(&sandbox, &mark).args(["run", "--", "no-such-program"])).complains("client", 127);
}

#[test]
fn it_can_be_pinged_and_needs_no_key() {
    let (sandbox, mark) = (Sandbox::new(), Mark::new());
    let output = Ran::of(embedded(&sandbox, &mark).args(["ping", "-c", "1"])).succeeds();
    assert!(output.starts_with("pong from embedded: seq=1 time="), "{output}");
    assert!(!sandbox.settings_path("").exists(), "nothing is made for a call that needs nothing");
}

#[test]
fn stdin_reaches_the_command() {
    let (sandbox, mark) = (Sandbox::new(), Mark::new());
    let bytes = tests::noise(3_000_000);
    let ran = Ran::with_input(embedded(&sandbox, &mark).args(["run", "--", "cat"]), &bytes).exits(0);
    assert!(ran.stdout == bytes);
}

/// Whether there is such a process. An orphan that has ended counts as gone: whoever adopted it may not wait for it.
fn is_running(process: u32) -> bool {
    !matches!(process_state(process), None | Some('Z'))
}

#[test]
fn nothing_is_left_running_or_listening() {
    let (sandbox, mark) = (Sandbox::new(), Mark::new());
    let mut command = embedded(&sandbox, &mark);
    let mut client = Running::start(command.arg("run").args(mark.option()).arg("echo $PPID; read line"));
    client.wait_for_stdout("\n");
    let server = client.stdout().trim().parse().unwrap();
    assert!(is_running(server));
    client.write(b"go on\n");
    client.finish().exits(0);
    // Whoever listened was one of these.
    wait_until("the private server is gone", DEADLINE, || !is_running(server));
    mark.wait_until_gone();
}

#[test]
fn a_killed_client_leaves_neither_server_nor_command() {
    let (sandbox, mark) = (Sandbox::new(), Mark::new());
    let mut command = embedded(&sandbox, &mark);
    let script = "echo $PPID; sleep 1000 & sleep 1000";
    let mut client = Running::start(command.arg("run").args(mark.option()).arg(script));
    client.wait_for_stdout("\n");
    let server = client.stdout().trim().parse().unwrap();
    client.signal(Signal::KILL);
    client.finish();
    mark.wait_until_gone();
    wait_until("the private server is gone", DEADLINE, || !is_running(server));
}

#[test]
fn a_signal_reaches_the_command() {
    let (sandbox, mark) = (Sandbox::new(), Mark::new());
    let mut command = embedded(&sandbox, &mark);
    command
        .arg("run")
        .args(mark.option())
        .arg("trap 'echo got; exit 9' TERM; echo ready; while :; do sleep 0.05; done");
    let mut client = Running::start(&mut command);
    client.wait_for_stdout("ready\n");
    client.signal(Signal::TERM);
    assert_eq!(client.finish().exits(9).text(), "ready\ngot\n");
    mark.wait_until_gone();
}

#[test]
fn a_command_that_is_ended_leaves_nothing() {
    let (sandbox, mark) = (Sandbox::new(), Mark::new());
    let mut command = embedded(&sandbox, &mark);
    command.args(["run", "--timeout", "500ms"]).args(mark.option()).arg("sleep 1000 & sleep 1000");
    Ran::of(&mut command).complains("client", 124);
    mark.wait_until_gone();
}

#[test]
fn a_server_of_the_users_own_is_not_disturbed() {
    let server = TestServer::options().listen("unix:DIR/run/telex/server.sock").start();
    let mark = Mark::new();
    Ran::of(embedded(&server, &mark).args(["run", "exit 4"])).exits(4);
    assert_eq!(Ran::of(server.bare_client().args(["run", "echo hello"])).succeeds(), "hello\n");
}

#[test]
fn several_at_once_do_not_get_in_each_others_way() {
    let (sandbox, mark) = (Sandbox::new(), Mark::new());
    let clients: Vec<Running> = (0..10)
        .map(|number| Running::start(embedded(&sandbox, &mark).args(["run", &format!("exit {number}")])))
        .collect();
    for (number, client) in clients.into_iter().enumerate() {
        client.finish().exits(number as i32);
    }
    mark.wait_until_gone();
}

#[test]
fn a_repl_can_have_a_private_server_too() {
    let (sandbox, mark) = (Sandbox::new(), Mark::new());
    let ran = Ran::with_input(embedded(&sandbox, &mark).arg("repl"), b"cd /tmp\npwd\n");
    assert_eq!(ran.succeeds(), "/tmp\n");
    mark.wait_until_gone();
}

#[test]
fn a_host_and_a_private_server_exclude_each_other() {
    let sandbox = Sandbox::new();
    let ran = Ran::of(sandbox.client().args(["-H", "127.0.0.1:1", "--embedded", "run", "true"]));
    let message = ran.complains("client", 125);
    assert!(message.contains("exclude each other"), "{message}");
}
