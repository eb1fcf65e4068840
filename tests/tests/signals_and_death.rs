//! Signals: a command that dies of one is reported so, and those sent to the client reach the command.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use common::job::Signal as Name;
use rustix::process::Signal;
use tests::{DEADLINE, Mark, Ran, Running, TestServer, wait_until};

/// Signals that end a process which does not catch them (signal(7)); the C library keeps 32 and 33 for itself.
fn fatal_signals() -> impl Iterator<Item = i32> {
    (1..=16).chain(24..=27).chain(29..=31).chain(34..=64)
}

#[test]
fn death_by_every_fatal_signal_is_reported() {
    let server = TestServer::start();
    for number in fatal_signals() {
        let ran = server.run([format!("ulimit -c 0; kill -{number} $$; echo survived")]);
        let message = ran.complains("client", 128 + number);
        // Where the system hands core dumps to a program, the limit above does not keep it from dumping.
        let message = message.strip_suffix(" (core dumped)").unwrap_or(&message);
        assert_eq!(message, format!("killed by SIG{}", Name::from_number(number).unwrap()));
    }
}

#[test]
fn quiet_silences_the_line_and_not_the_code() {
    let server = TestServer::start();
    for option in ["-q", "--quiet"] {
        let ran = server.run([option, "kill -TERM $$"]).exits(143);
        assert_eq!(ran.errors(), "");
    }
}

#[test]
fn output_written_before_death_is_complete() {
    let server = TestServer::start();
    let ran = server.run(["echo last words; kill -KILL $$"]).exits(137);
    assert_eq!(ran.text(), "last words\n");
    assert_eq!(ran.errors(), "client: killed by SIGKILL\n");
}

#[test]
fn a_stopped_command_is_not_taken_for_a_dead_one() {
    let server = TestServer::start();
    let script = "(while ! grep -q '^State:.T' /proc/$$/status; do sleep 0.05; done; kill -CONT $$) & \
                  kill -STOP $$; echo goes on; exit 5";
    assert_eq!(server.run([script]).exits(5).text(), "goes on\n");
}

/// Starts a client whose command catches `signal` and is ready for it.
fn catching(server: &TestServer, name: &str, reaction: &str) -> Running {
    let script = format!("trap '{reaction}' {name}; echo ready; while :; do sleep 0.05; done");
    let mut client = Running::start(server.client().args(["run", &script]));
    client.wait_for_stdout("ready\n");
    client
}

#[test]
fn signals_sent_to_the_client_reach_the_command() {
    let server = TestServer::start();
    let signals = [
        ("INT", Signal::INT),
        ("TERM", Signal::TERM),
        ("HUP", Signal::HUP),
        ("QUIT", Signal::QUIT),
        ("USR1", Signal::USR1),
        ("USR2", Signal::USR2),
    ];
    for (name, signal) in signals {
        let mut client = catching(&server, name, &format!("echo got {name}; exit 9"));
        client.signal(signal);
        let ran = client.finish().exits(9);
        assert_eq!(ran.text(), format!("ready\ngot {name}\n"));
    }
}

#[test]
fn a_signal_reaches_the_whole_process_group() {
    let server = TestServer::start();
    let script = "trap : USR1; (trap 'echo child; exit' USR1; echo ready; while :; do sleep 0.05; done) & \
                  wait $!; wait $!; echo parent; exit 4";
    let mut client = Running::start(server.client().args(["run", script]));
    client.wait_for_stdout("ready\n");
    client.signal(Signal::USR1);
    assert_eq!(client.finish().exits(4).text(), "ready\nchild\nparent\n");
}

#[test]
fn a_command_that_does_not_catch_the_signal_dies_of_it() {
    let server = TestServer::start();
    let mark = Mark::new();
    let mut client =
        Running::start(server.client().arg("run").args(mark.option()).arg("echo ready; exec sleep 1000"));
    client.wait_for_stdout("ready\n");
    mark.wait_for_program("sleep");
    client.signal(Signal::INT);
    assert_eq!(client.finish().complains("client", 130), "killed by SIGINT");
    mark.wait_until_gone();
}

#[test]
fn a_command_may_outlive_the_first_interrupt() {
    let server = TestServer::start();
    let mut client = catching(&server, "INT", "echo still here");
    client.signal(Signal::INT);
    client.wait_for_stdout("still here\n");
    client.signal(Signal::KILL);
    client.finish();
}

#[test]
fn a_second_interrupt_within_a_second_leaves_at_once() {
    let server = TestServer::start();
    let mark = Mark::new();
    let script = "trap '' INT; echo ready; while :; do sleep 0.05; done";
    let mut client = Running::start(server.client().arg("run").args(mark.option()).arg(script));
    client.wait_for_stdout("ready\n");
    // Two signals sent in one breath arrive as one, so it is pressed until it has worked.
    wait_until("the client leaves", DEADLINE, || {
        client.has_ended() || {
            client.signal(Signal::INT);
            false
        }
    });
    client.finish().complains("client", 130);
    mark.wait_until_gone();
}

#[test]
fn the_name_in_messages_is_the_one_the_client_was_called_by() {
    use std::os::unix::process::CommandExt;
    let server = TestServer::start();
    let mut command = server.client();
    let ran = Ran::of(command.arg0("/opt/bin/telex").args(["run", "kill -TERM $$"]));
    assert_eq!(ran.complains("telex", 143), "killed by SIGTERM");
}
