//! A job on a terminal that somebody comes to later: what it shows is drawn anew, on the terminal that is there now.

use std::fs;

use rustix::process::{Pid, Signal, kill_process};
use tests::{DEADLINE, Ran, Screen, TestServer, wait_until};

use super::Session;

const VIM: [&str; 6] = ["--", "vim", "-u", "NONE", "-i", "NONE"];

/// `client attach` on a screen of this size.
fn attach(server: &TestServer, arguments: &[&str], (rows, columns): (u16, u16)) -> Session {
    let screen = Screen::new(rows, columns);
    let before = screen.modes();
    let client = screen.start(server, server.client().arg("attach").args(arguments));
    Session { screen, client, before }
}

/// The same, once keys go to the job.
#[track_caller]
fn attach_raw(server: &TestServer, arguments: &[&str], size: (u16, u16)) -> Session {
    let mut session = attach(server, arguments, size);
    wait_until("the terminal is raw", DEADLINE, || {
        session.screen.text();
        session.screen.modes() != session.before
    });
    session
}

/// `client run -t OPTIONS -- vim WORDS`, in which `hello` was typed.
#[track_caller]
fn editor(server: &TestServer, options: &[&str], words: &[&str]) -> Session {
    let mut session = Session::run(server, &[options, &VIM, words].concat());
    drawn(&mut session, "");
    session.screen.keys(b"ihello");
    drawn(&mut session, "hello");
    session
}

/// Waits until vim has filled the screen to its last line but one.
#[track_caller]
fn drawn(session: &mut Session, text: &str) {
    session.screen.wait_until(&format!("vim with {text:?}"), |screen| {
        let (rows, columns) = screen.size();
        let lines: Vec<String> =
            screen.rows(0, columns.get()).map(|line| line.trim_end().to_owned()).collect();
        lines[0] == text && lines[usize::from(rows.get()) - 2] == "~"
    });
}

#[track_caller]
fn detach(mut session: Session) {
    session.screen.keys(b"\x1cd");
    let text = session.exits(0);
    assert!(text.contains("client: detached: job"), "{text}");
}

#[test]
fn an_editor_is_drawn_anew_for_whoever_comes_and_keys_go_to_it() {
    for (options, is_kept) in [(&["--id", "edit"][..], true), (&[], false)] {
        let server = TestServer::start();
        let file = server.path("text");
        let name = file.to_str().unwrap();
        detach(editor(&server, options, &["-n", name]));
        let list = Ran::of(server.client().arg("jobs")).succeeds();
        let id = list.lines().nth(1).unwrap().split(' ').next().unwrap();
        // Larger, smaller, and as large as it was.
        for (size, typed, shown) in [
            ((30, 100), " one", "hello one"),
            ((12, 40), " two", "hello one two"),
            ((12, 40), "!", "hello one two!"),
        ] {
            let mut session = attach(&server, &[id], size);
            drawn(&mut session, shown.strip_suffix(typed).unwrap());
            // What had been switched on before is known where the output is kept.
            assert_eq!(session.screen.is_alternate(), is_kept);
            session.screen.keys(typed.as_bytes());
            drawn(&mut session, shown);
            detach(session);
        }
        let mut session = attach(&server, &[id], (24, 80));
        drawn(&mut session, "hello one two!");
        session.screen.keys(b"\x1b");
        session.screen.keys(b":wq\r");
        session.exits(0);
        assert_eq!(fs::read_to_string(file).unwrap(), "hello one two!\n");
    }
}

#[test]
fn one_that_was_never_in_front_of_anybody_can_be_typed_to() {
    let server = TestServer::start();
    let detached = [&["--detach", "--id", "edit"][..], &VIM].concat();
    let mut screen = Screen::new(24, 80);
    let mut client = screen.start(&server, server.client().args(["run", "-t"]).args(detached));
    wait_until("it is left", DEADLINE, || client.try_wait().unwrap().is_some());
    assert_eq!(screen.text(), "edit");
    let mut session = attach(&server, &["edit"], (20, 60));
    drawn(&mut session, "");
    session.screen.keys(b"ihello");
    drawn(&mut session, "hello");
    session.screen.keys(b"\x1b");
    session.screen.keys(b":cquit\r");
    session.exits(1);
}

#[test]
fn an_editor_outlives_a_server_that_is_killed() {
    let mut server = TestServer::start();
    detach(editor(&server, &["--id", "edit"], &["-n"]));
    server.replace(Signal::KILL);
    let mut session = attach(&server, &["edit"], (30, 100));
    drawn(&mut session, "hello");
    server.replace(Signal::KILL);
    session.screen.keys(b" again");
    drawn(&mut session, "hello again");
    session.screen.keys(b"\x1b");
    session.screen.keys(b":q!\r");
    session.exits(0);
}

#[test]
fn what_was_written_before_comes_if_it_is_asked_for() {
    let server = TestServer::start();
    let script = "echo first; read -r line; echo \"got $line\"; exit 4";
    server.run(["--detach", "-tt", "--id", "talk", script]).succeeds();
    let mut session = attach_raw(&server, &["talk", "--from", "oldest"], (24, 80));
    session.screen.wait_for("first");
    detach(session);
    let mut session = attach_raw(&server, &["talk"], (24, 80));
    session.screen.keys(b"word\r");
    let text = session.exits(4);
    assert_eq!(text.lines().map(str::trim_end).collect::<Vec<_>>(), ["word", "got word"]);
    // Of a job that is over there is nothing that could be drawn anew.
    let text = attach(&server, &["talk"], (24, 80)).exits(4);
    assert_eq!(text.lines().map(str::trim_end).collect::<Vec<_>>(), ["first", "word", "got word"]);
}

#[test]
fn who_only_looks_on_sees_what_the_other_types_and_changes_nothing() {
    let server = TestServer::start();
    let mut writer = editor(&server, &["--id", "edit"], &["-n"]);
    let mut reader = attach(&server, &["edit", "--read-only"], (24, 80));
    drawn(&mut reader, "hello");
    assert_eq!(reader.screen.modes(), reader.before);
    writer.screen.keys(b" there");
    drawn(&mut reader, "hello there");
    reader.screen.keys(b"x\r");
    // Ctrl-C is a signal there, and for the one who looks on.
    reader.screen.keys(b"\x03");
    reader.exits(130);
    let mut reader = attach(&server, &["edit", "--read-only"], (30, 100));
    reader.screen.wait_until("vim", vt100::Screen::alternate_screen);
    kill_process(Pid::from_child(&reader.client), Signal::TERM).unwrap();
    let text = reader.exits(143);
    assert!(
        text.contains("client: its terminal has 24 rows of 80 columns, and this one 30 of 100"),
        "{text}"
    );
    writer.screen.keys(b"!");
    drawn(&mut writer, "hello there!");
    writer.screen.keys(b"\x1b");
    writer.screen.keys(b":q!\r");
    writer.exits(0);
}

#[test]
fn without_a_stdin_the_terminal_here_stays_as_it_is_and_ctrl_c_is_passed_on() {
    let server = TestServer::start();
    let text = r"trap 'exit 6' INT; printf '\033[?1049hready'; while :; do sleep 0.02; done";
    let mut session = Session::run(&server, &["-n", "--id", "deaf", "--", "bash", "-c", text]);
    session.screen.wait_for("ready");
    assert_eq!(session.screen.modes(), session.before);
    session.screen.keys(b"\x1cd");
    wait_until("the client ends", DEADLINE, || session.client.try_wait().unwrap().is_some());
    assert!(!session.screen.is_alternate());
    let mut session = attach(&server, &["-n", "deaf"], (30, 100));
    session.screen.wait_for("ready");
    session.screen.keys(b"\x03");
    wait_until("the client ends", DEADLINE, || session.client.try_wait().unwrap().is_some());
    assert_eq!(session.client.try_wait().unwrap().unwrap().code(), Some(6));
}
