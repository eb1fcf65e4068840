//! Programs that need a real terminal find one: they draw all of the window, and draw it anew when it changes.

use std::fs;

use tests::TestServer;

use super::Session;

/// Waits until this is in that row; the first is 0.
#[track_caller]
fn wait_for_row(session: &mut Session, row: u16, what: &str) {
    session.screen.wait_until(&format!("{what:?} in row {row}"), |screen| {
        let (_, columns) = screen.size();
        screen.rows(0, columns.get()).nth(row.into()).is_some_and(|text| text.contains(what))
    });
}

#[test]
fn vim() {
    let server = TestServer::start();
    let file = server.path("text");
    let name = file.to_str().unwrap();
    let mut session = Session::run(&server, &["--", "vim", "-u", "NONE", "-i", "NONE", "-n", name]);
    wait_for_row(&mut session, 22, "~");
    assert!(session.screen.is_alternate());
    session.screen.keys(b"ihello\rthere");
    wait_for_row(&mut session, 1, "there");
    session.screen.resize(30, 100);
    wait_for_row(&mut session, 28, "~");
    session.screen.resize(12, 40);
    wait_for_row(&mut session, 10, "~");
    // Escape alone, and what is no key of its own behind it.
    session.screen.keys(b"\x1b");
    session.screen.keys(b":wq\r");
    session.exits(0);
    assert_eq!(fs::read_to_string(file).unwrap(), "hello\nthere\n");
}

#[test]
fn less() {
    let server = TestServer::start();
    let mut session = Session::run(&server, &["seq -f 'line %g' 1 500 | less"]);
    wait_for_row(&mut session, 22, "line 23");
    session.screen.keys(b" ");
    wait_for_row(&mut session, 22, "line 46");
    session.screen.keys(b"G");
    wait_for_row(&mut session, 22, "line 500");
    session.screen.resize(30, 100);
    // The last line stays where it is, and what is below is marked as being no line.
    wait_for_row(&mut session, 28, "~");
    session.screen.keys(b"q");
    session.exits(0);
}

#[test]
fn top() {
    let server = TestServer::start();
    let mut session = Session::run(&server, &["--", "top", "-d", "1"]);
    wait_for_row(&mut session, 0, "load average");
    session.screen.resize(40, 120);
    session.screen.wait_for("COMMAND");
    session.screen.keys(b"q");
    session.exits(0);
}

#[test]
fn tmux() {
    let server = TestServer::start();
    let socket = server.path("tmux");
    let inside = format!("tmux -S {} -f /dev/null new 'exec bash --norc'", socket.display());
    let mut session = Session::run(&server, &[&inside]);
    wait_for_row(&mut session, 23, "0:bash");
    session.screen.keys(b"echo $((6 * 7))\r");
    session.screen.wait_for("\n42");
    session.screen.resize(30, 100);
    wait_for_row(&mut session, 29, "0:bash");
    session.screen.keys(b"exit 3\r");
    let text = session.exits(0);
    assert!(text.contains("[exited]"), "{text}");
}

#[test]
fn a_password_is_not_shown() {
    let server = TestServer::start();
    let text = "stty -echo; printf 'password: '; read -r word; stty echo; echo; [ \"$word\" = secret ] && echo right; cat";
    let mut session = Session::run(&server, &["--", "bash", "-c", text]);
    session.screen.wait_for("password: ");
    session.screen.keys(b"secret\r");
    session.screen.wait_for("right");
    session.screen.keys(b"shown\r");
    session.screen.wait_for("shown\nshown");
    session.screen.keys(b"\x04");
    assert_eq!(session.exits(0), "password: \nright\nshown\nshown");
}

#[test]
fn wide_letters_and_what_is_pasted_are_as_they_were() {
    let server = TestServer::start();
    let mut session =
        Session::run(&server, &["stty -echo; printf 'ready\\033[?2004h'; cat -v; printf '\\033[?2004l'"]);
    session.screen.wait_until("pastes are asked for", vt100::Screen::bracketed_paste);
    session.screen.keys(b"\x1b[200~two\rlines\x1b[201~\r\x04");
    session.screen.wait_for("lines^[[201~");
    let text = session.exits(0);
    assert!(text.ends_with("ready^[[200~two\nlines^[[201~"), "{text}");
    let mut session = Session::run(&server, &["printf '日本e\\314\\201'; read -r line"]);
    session.screen.wait_until("all of it", |screen| screen.cursor_position() == (0, 5));
    assert_eq!(session.screen.text(), "日本e\u{301}");
    session.screen.keys(b"\r");
    session.exits(0);
}

#[test]
fn a_shell_with_its_jobs() {
    let server = TestServer::start();
    let mut session =
        Session::run(&server, &["-e", "PS1=next> ", "--", "bash", "--norc", "--noprofile", "-i"]);
    session.screen.wait_for("next>");
    session.screen.keys(b"bash -c 'echo in$((1 + 1)); exec sleep 1000'\r");
    session.screen.wait_for("in2");
    session.screen.keys(b"\x1a");
    session.screen.wait_for("Stopped");
    session.screen.keys(b"stty size; fg\r");
    session.screen.wait_for("24 80\n");
    session.screen.resize(30, 100);
    session.screen.keys(b"\x03");
    session.screen.wait_until("^C, and a prompt behind it", |screen| {
        screen.contents().rsplit_once("^C").is_some_and(|(_, rest)| rest.contains("next>"))
    });
    session.screen.keys(b"echo left with $?; exit 8\r");
    let text = session.exits(8);
    assert!(text.contains("\nleft with 130"), "{text}");
}

#[test]
fn a_long_paste_comes_to_its_last_byte() {
    let server = TestServer::start();
    let mut session = Session::run(&server, &["stty raw -echo; printf ready; head -c 300000 | cksum"]);
    session.screen.wait_for("ready");
    let paste: Vec<u8> = (0..300_000_u32).map(|number| b'a' + (number % 23) as u8).collect();
    session.screen.keys(&paste);
    let expected = tests::Ran::with_input(&mut server.command("/usr/bin/cksum"), &paste).succeeds();
    session.screen.wait_for(expected.trim());
    session.exits(0);
}
