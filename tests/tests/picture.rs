//! The picture of a session in the README: the real programs on a real screen, drawn. `just picture` keeps it, with the recording for
//! asciinema; without that, this only says whether it can be made.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::{env, fs};

use tests::{Screen, TestServer, picture};

const SIZE: (u16, u16) = (24, 106);

/// What is typed, and what is on the screen once it is done. Nothing here may show a time, an address or a path of the machine.
const SESSION: &[(&str, &str)] = &[
    ("client -H db1 run 'uname; exit 3'; echo \"exit code $?\"", "exit code 3"),
    ("client -H db1 run -t 'test -t 0 && tput colors'", "256"),
    ("client -H db1 run --detach --id nightly 'sleep 600'", "nightly"),
    ("client -H db1 run --detach --id broken 'exit 1'; client -H db1 wait broken; echo $?", "broken\n1"),
    ("client -H db1 jobs", "ATTACHED"),
    ("client -H db1 logs tonight", "there is no job"),
];

/// A person's shell, with this server by the name of `db1`.
fn sit_down(server: &TestServer) -> Screen {
    let programs = server.directory("programs", 0o755);
    symlink(server.bare_client().get_program(), programs.join("client")).unwrap();
    server.settings("config.toml", format!("[hosts.db1]\naddress = \"{}\"\n", server.address()));
    // What starts it on the screen is a shell as well, and keeps its prompt to itself.
    let mut shell = Command::new("/usr/bin/env");
    let path = format!("{}:/usr/local/bin:/usr/bin:/bin", programs.display());
    shell.args(["PS1=$ ", "bash", "--norc", "--noprofile", "-i"]).env("PATH", path);
    let screen = Screen::new(SIZE.0, SIZE.1);
    drop(screen.start(server, &shell));
    screen
}

/// What they see in the end.
fn session() -> (Screen, TestServer) {
    let server = TestServer::start();
    let mut screen = sit_down(&server);
    for (typed, expected) in SESSION {
        screen.wait_until("the prompt", |screen| {
            let (row, column) = screen.cursor_position();
            column == 2 && screen.rows(0, SIZE.1).nth(row.into()).is_some_and(|row| row.trim_end() == "$")
        });
        screen.keys(format!("{typed}\r").as_bytes());
        screen.wait_for(&typed[typed.len() - 10..]);
        screen.wait_for(expected);
    }
    screen.wait_until("the last prompt", |screen| screen.cursor_position().1 == 2);
    (screen, server)
}

/// The text of each line that is drawn.
fn drawn(svg: &str) -> Vec<String> {
    let lines = svg.lines().filter_map(|line| line.strip_prefix("<text ")?.strip_suffix("</text>"));
    lines.map(|line| line.split("<tspan ").skip(1).map(text_of).collect::<String>()).collect()
}

fn text_of(span: &str) -> String {
    let (_, text) = span.split_once('>').unwrap();
    let text = text.strip_suffix("</tspan>").unwrap();
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

/// A recording as asciinema plays it, a line of output at a time, at a pace that is the same each time.
fn recording(output: &str) -> String {
    let header = serde_json::json!({ "version": 2, "width": SIZE.1, "height": SIZE.0 });
    let events = output.split_inclusive('\n').enumerate();
    let events = events.map(|(number, text)| serde_json::json!([number as f64 * 0.4, "o", text]).to_string());
    std::iter::once(header.to_string()).chain(events).map(|line| line + "\n").collect()
}

#[test]
fn the_picture_says_what_the_screen_says() {
    let (mut screen, server) = session();
    let svg = picture(screen.shown());
    let without_blanks = |lines: Vec<String>| -> Vec<String> {
        lines.iter().map(|line| line.split_whitespace().collect()).collect()
    };
    let text = screen.text();
    assert_eq!(without_blanks(drawn(&svg)), without_blanks(text.lines().map(str::to_owned).collect()));
    assert_eq!(svg.matches('<').count(), svg.matches('>').count());
    assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n") && !svg.contains('\x1b'));
    assert!(
        !text.contains(server.address()) && !text.contains(&*server.path("").to_string_lossy()),
        "{text}"
    );
    let cast = recording(&String::from_utf8_lossy(screen.written()));
    cast.lines().for_each(|line| drop(serde_json::from_str::<serde_json::Value>(line).unwrap()));
    if let Some(directory) = env::var_os("TELEX_PICTURE") {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(directory);
        fs::write(directory.join("session.svg"), svg).unwrap();
        fs::write(directory.join("session.cast"), cast).unwrap();
    }
}
