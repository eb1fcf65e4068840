//! `:record`: what is shown is in the file and plays as it was; what is typed unseen is not; and whatever becomes of the file, the
//! session goes on.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use serde_json::Value;

use tests::{Ran, Repl, TestServer};

/// The events in a recording, behind its header.
fn events(path: &Path) -> (Value, Vec<(f64, String, String)>) {
    let text = fs::read_to_string(path).unwrap();
    let (header, events) = text.split_once('\n').unwrap();
    let events = events.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    (serde_json::from_str(header).unwrap(), events)
}

/// Plays it; what is on the screen at the end, and whether the other screen was ever shown.
fn play(path: &Path) -> (vt100::Parser, bool) {
    let (header, events) = events(path);
    let size = |value: &Value| u16::try_from(value.as_u64().unwrap()).unwrap().try_into().unwrap();
    let mut player = vt100::Parser::new(size(&header["height"]), size(&header["width"]), 0);
    let mut was_alternate = false;
    for (_, kind, text) in events {
        if kind == "r" {
            let (columns, rows) = text.split_once('x').unwrap();
            player.screen_mut().set_size(rows.parse().unwrap(), columns.parse().unwrap());
        } else {
            assert_eq!(kind, "o");
            // What comes and goes may do so in one event.
            for byte in text.into_bytes() {
                player.process(&[byte]);
                was_alternate |= player.screen().alternate_screen();
            }
        }
    }
    (player, was_alternate)
}

fn start(server: &TestServer) -> Repl {
    let directory = server.directory("here", 0o755);
    let mut repl = Repl::with(server, server.address(), "", |client| {
        client.current_dir(directory);
    });
    repl.keys("cd /tmp\r");
    repl.wait_for_end("/tmp$");
    repl
}

#[track_caller]
fn stop(repl: &mut Repl, name: &str) {
    repl.keys(":record\r");
    repl.screen.wait_until("how long it is", |screen| {
        let end = format!(" s in {name}");
        screen.contents().lines().any(|line| line.starts_with("recorded ") && line.trim_end().ends_with(&end))
    });
    repl.wait_for_prompt();
}

#[test]
fn what_was_shown_plays_as_it_was() {
    let server = TestServer::start();
    let mut repl = start(&server);
    let path = server.path("here/a.cast");
    repl.line(":record a.cast", "recording in a.cast; :record stops");
    let (half, idle) = (server.path("half"), server.path("idle"));
    let until = |gate: &Path| format!("until test -e {}; do sleep 0.05; done", gate.display());
    repl.keys(&format!("printf '\\033[31mréd\\033[0m \\342\\202'; {}; printf '\\254 😀\\n'\r", until(&half)));
    repl.wait_for_row("half of it", |row| row == "réd");
    server.file("half", "");
    repl.wait_for_line("réd € 😀");
    repl.wait_for_prompt();
    repl.line("printf '\\033[?1049h\\033[2J\\033[Hfull screen'; printf '\\033[?1049l'; echo back", "back");
    repl.screen.resize(30, 100);
    repl.line("stty size", "30 100");
    repl.line(":help quit", ":quit: leave, as Ctrl-D and exit do");
    repl.keys(&format!("({}; echo from-$((40 + 2))-behind) & cd /usr\r", until(&idle)));
    repl.wait_for_end(":/usr$");
    server.file("idle", "");
    repl.wait_for_line("from-42-behind");
    repl.keys("cd /\r");
    repl.wait_for_end(":/$");
    stop(&mut repl, "a.cast");
    repl.line("echo not-$((1 + 1))-any-more", "not-2-any-more");
    repl.leave();

    let (header, events) = events(&path);
    assert_eq!(
        (&header["version"], &header["width"], &header["height"]),
        (&2.into(), &80.into(), &24.into())
    );
    assert_eq!(header["env"]["TERM"], "xterm-256color");
    assert!(events.is_sorted_by(|one, next| one.0 <= next.0));
    assert!(events.iter().any(|(_, kind, text)| kind == "r" && text == "100x30"));
    assert!(!events.iter().any(|(_, _, text)| text.contains('\u{fffd}') || text.contains("any-more")));
    let (player, was_alternate) = play(&path);
    let screen = player.screen();
    assert!(was_alternate && !screen.alternate_screen());
    let shown = screen.contents();
    for line in ["réd € 😀", "back", "30 100", ":quit: leave, as Ctrl-D and exit do", "from-42-behind"] {
        assert!(shown.lines().any(|shown| shown.trim_end() == line), "{line}:\n{shown}");
    }
    assert!(shown.contains("$ stty size") && !shown.contains("full screen\n"), "{shown}");
    let row = shown.lines().position(|line| line.starts_with("réd")).unwrap();
    let colour = screen.cell(u16::try_from(row).unwrap(), 0).unwrap().fgcolor();
    assert_eq!(colour, vt100::Color::Idx(1));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
}

#[test]
fn a_password_is_not_in_it() {
    let server = TestServer::start();
    let mut repl = start(&server);
    repl.line(":record a.cast", "recording in a.cast; :record stops");
    repl.keys("stty -echo; echo ready-$((1 + 1)); read -r it; stty echo; echo ${#it}-typed\r");
    repl.wait_for_line("ready-2");
    repl.keys("hunter2\r");
    repl.wait_for_line("7-typed");
    repl.wait_for_prompt();
    stop(&mut repl, "a.cast");
    repl.leave();
    let text = fs::read_to_string(server.path("here/a.cast")).unwrap();
    assert!(text.contains("7-typed") && !text.contains("hunter2"), "{text}");
}

#[test]
fn nothing_is_replaced_that_is_not_to_be() {
    let server = TestServer::start();
    let mut repl = start(&server);
    let path = server.path("here/a");
    fs::write(&path, "mine").unwrap();
    fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
    symlink(&path, server.path("here/link")).unwrap();
    repl.line(":record", "nothing is being recorded; :record FILE begins");
    repl.line(":record a", "a is there already; :record -f replaces it");
    repl.line(":record link", "link is there already; :record -f replaces it");
    repl.line(":record -f link", "cannot record in link: too many levels of symbolic links");
    assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
    repl.line(":record -f a", "recording in a; :record stops");
    repl.line(":record b", "a is being recorded; :record stops that");
    assert!(!server.path("here/b").exists());
    // Whoever is killed leaves what was done so far.
    repl.line("echo so-$((1 + 1))-far", "so-2-far");
    repl.client.kill().unwrap();
    repl.client.wait().unwrap();
    assert!(play(&path).0.screen().contents().contains("so-2-far"));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
}

#[test]
fn a_full_disk_ends_the_recording_and_not_the_session() {
    let server = TestServer::start();
    let mut repl = start(&server);
    repl.keys(":record -f /dev/full\r");
    repl.screen.wait_for("client: the recording in /dev/full has stopped: no space left on device; ");
    repl.wait_for_prompt();
    repl.line("echo on-$((1 + 1))", "on-2");
    repl.line(":record", "nothing is being recorded; :record FILE begins");
    assert_eq!(repl.text().matches("has stopped").count(), 1, "{}", repl.text());
    repl.leave();
}

#[test]
fn a_script_has_nothing_to_record() {
    let server = TestServer::start();
    let mut client = server.bare_client();
    client.args(["-H", server.address(), "repl"]);
    let ran = Ran::with_input(&mut client, b":record /nowhere/a\n");
    let said = ran.complains("client", 125);
    assert_eq!(said, "line 1: not on a terminal: there is nothing to record");
}
