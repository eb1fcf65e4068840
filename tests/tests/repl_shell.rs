//! The prompt while a line runs: the terminal is the command's, whatever it does there, and what is left of it is as it should be
//! when the next prompt comes, or when there is none any more.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::PermissionsExt;

use rustix::process::{Pid, Signal, kill_process};
use tests::proxy::{Mode, Proxy};
use tests::{Mark, Ran, Repl, TestServer};

/// A command that is marked, and says that it is there.
fn marked(mark: &Mark, command: &str) -> String {
    let (name, value) = mark.variable();
    format!("export {name}={value}; {command}\r")
}

#[test]
fn an_editor_has_the_screen_and_its_size() {
    let server = TestServer::start();
    let mut repl = Repl::start(&server);
    repl.line("echo above-$((1 + 1))", "above-2");
    let before = repl.screen.modes();
    repl.keys("vim -u NONE -i NONE -n\r");
    repl.screen.wait_until("vim", |screen| screen.alternate_screen() && screen.contents().contains("\n~"));
    repl.screen.resize(30, 90);
    repl.screen.wait_until("vim in the whole window", |screen| {
        screen.rows(0, 90).nth(28).is_some_and(|row| row.trim_end() == "~")
    });
    repl.keys("ihello");
    repl.screen.wait_until("the text", |screen| screen.contents().starts_with("hello\n~"));
    repl.keys("\x1b:q!\r");
    repl.wait_for_prompt();
    assert!(!repl.screen.is_alternate() && repl.text().contains("above-2"), "{}", repl.text());
    assert_eq!(repl.screen.modes(), before, "both are the editor's");
    repl.line("stty size", "30 90");
    repl.leave();
}

#[test]
fn a_password_is_not_shown() {
    let server = TestServer::start();
    let mut repl = Repl::start(&server);
    repl.keys("read -rs -p 'password: ' word; echo; echo \"got ${#word}\"\r");
    repl.wait_for_row("the question", |row| row == "password:");
    repl.keys("geheim\r");
    repl.wait_for_line("got 6");
    assert!(!repl.text().contains("geheim"), "{}", repl.text());
    repl.leave();
}

#[test]
fn what_is_typed_ahead_comes_next() {
    let server = TestServer::start();
    let gate = server.path("gate");
    let mut repl = Repl::start(&server);
    repl.keys(&format!("echo waits; until test -e {}; do sleep 0.05; done\r", gate.display()));
    repl.wait_for_line("waits");
    repl.keys("echo one-$((0 + 1))\rif true\rthen echo two-$((1 + 1)); fi\recho three");
    repl.screen.wait_for("echo three");
    fs::write(&gate, "").unwrap();
    repl.wait_for_line("two-2");
    // The rest is there to be edited.
    repl.wait_for_end("$ echo three");
    repl.keys("-$((1 + 2))\r");
    repl.wait_for_line("three-3");
    assert!(repl.text().contains("\none-1\n"), "{}", repl.text());
    repl.leave();
}

#[test]
fn what_a_job_in_the_background_writes_is_above_the_line_that_is_edited() {
    let server = TestServer::start();
    let gate = server.path("gate");
    let mut repl = Repl::start(&server);
    repl.keys(&format!("(until test -e {}; do sleep 0.05; done; echo from-behind) &\r", gate.display()));
    repl.wait_for_prompt();
    repl.keys("echo hal");
    repl.wait_for_end("$ echo hal");
    fs::write(&gate, "").unwrap();
    repl.wait_for_line("from-behind");
    repl.wait_for_end("$ echo hal");
    repl.keys("f-$((1 + 1))\r");
    repl.wait_for_line("half-2");
    repl.leave();
}

#[test]
fn leaving_names_the_jobs_that_end_with_it() {
    let server = TestServer::start();
    let mark = Mark::new();
    let mut repl = Repl::start(&server);
    repl.keys(&marked(&mark, "sleep 1000 &"));
    mark.wait_for_program("sleep");
    repl.wait_for_prompt();
    repl.keys("\x04");
    repl.screen.wait_for("these jobs end with the session; Ctrl-D once more leaves");
    assert!(repl.text().contains("sleep 1000"), "{}", repl.text());
    repl.line("echo stays", "stays");
    repl.keys("\x04");
    repl.screen.wait_until("said again", |screen| screen.contents().matches("Ctrl-D once more").count() == 2);
    repl.leave();
    mark.wait_until_gone();
}

#[test]
fn whoever_goes_away_leaves_the_terminal_as_it_was_and_nothing_running() {
    for signal in [Signal::TERM, Signal::HUP, Signal::KILL] {
        let server = TestServer::start();
        let mark = Mark::new();
        let mut repl = Repl::start(&server);
        repl.keys(&marked(&mark, "sleep 1000 & printf '\\033[?1049h\\033[?25linside'; sleep 1000"));
        repl.screen.wait_until("the other screen", |screen| {
            screen.alternate_screen() && screen.contents().contains("inside")
        });
        kill_process(Pid::from_child(&repl.client), signal).unwrap();
        if signal == Signal::KILL {
            repl.client.wait().unwrap();
        } else {
            assert_eq!(repl.ends().code(), Some(128 + signal.as_raw()));
            repl.screen.wait_until("a cursor", |screen| !screen.hide_cursor());
        }
        mark.wait_until_gone();
    }
}

#[test]
fn a_panic_puts_the_terminal_back() {
    let server = TestServer::start();
    let mut repl = Repl::with(&server, server.address(), "", |client| {
        client.env("TELEX_PANIC_AFTER", "3");
    });
    repl.keys("printf '\\033[?1049h\\033[?25linside'; sleep 1000\r");
    repl.screen.wait_until("the other screen", |screen| {
        screen.alternate_screen() && screen.contents().contains("inside")
    });
    repl.keys("abc");
    assert_eq!(repl.ends().code(), Some(125));
    repl.screen.wait_until("a cursor", |screen| !screen.hide_cursor());
}

#[test]
fn the_escape_key_leaves_a_command_that_takes_every_key() {
    let server = TestServer::start();
    let mark = Mark::new();
    let mut repl = Repl::start(&server);
    repl.keys(&marked(&mark, "stty raw -echo; printf inside; cat >/dev/null"));
    repl.screen.wait_for("inside");
    repl.keys("\x03\x1a");
    repl.keys("\r~.");
    assert_eq!(repl.ends().code(), Some(130));
    mark.wait_until_gone();
}

#[test]
fn a_line_that_is_lost_in_the_middle_of_top_comes_back_to_it() {
    let server = TestServer::start();
    let proxy = Proxy::start(server.address().parse().unwrap());
    let mut repl = Repl::with(&server, &proxy.address().to_string(), "", |_| {});
    repl.line("word=kept; echo set-$((1 + 1))", "set-2");
    repl.keys("top -d 0.3\r");
    repl.screen.wait_until("all of it", |screen| screen.contents().contains("PID USER"));
    proxy.set_coming(Mode::Cut);
    proxy.set_open(Mode::Cut);
    repl.screen.wait_for("client: line to ");
    proxy.set_coming(Mode::Pass);
    repl.screen.wait_until("no bar", |screen| {
        !screen.contents().contains("client: ") && screen.contents().contains("PID USER")
    });
    repl.keys("q");
    repl.wait_for_prompt();
    repl.line("echo $word", "kept");
    repl.leave();
}

#[test]
fn the_shell_goes_on_over_an_upgrade_of_the_server() {
    let server = TestServer::start();
    let mut repl = Repl::start(&server);
    repl.line("f() { echo \"f $1\"; }; echo defined-$((1 + 1))", "defined-2");
    Ran::of(server.server().arg("upgrade")).succeeds();
    repl.line("f again", "f again");
    repl.leave();
}

#[test]
fn a_server_that_is_gone_is_said_at_the_prompt() {
    let server = TestServer::start();
    let mut repl = Repl::start(&server);
    server.signal(Signal::TERM);
    repl.screen.wait_for("client: the server is stopping");
    assert_eq!(repl.ends().code(), Some(125));
}

#[test]
fn a_shell_that_does_not_come_up_says_why() {
    let server = TestServer::start();
    let shell = server.file("zsh", "#!/bin/sh\necho 'no shell today' >&2\nexit 3\n");
    fs::set_permissions(&shell, fs::Permissions::from_mode(0o755)).unwrap();
    let ran = Ran::with_input(server.client().arg("repl").arg("--shell").arg(&shell), b"echo never\n");
    let message = ran.complains("client", 125);
    assert!(message.contains("no shell for the prompt: no shell today (exited with 3)"), "{message}");
}
