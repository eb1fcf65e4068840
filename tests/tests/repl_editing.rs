//! The prompt as a person has it: editing, commands of several lines, pastes, history, suggestions, colours, and a line
//! that is lost meanwhile. What is edited costs the network nothing.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use tests::proxy::{Mode, Proxy};
use tests::{Mark, Repl, TestServer};

/// A paste as a terminal hands it over.
fn paste(text: &str) -> String {
    format!("\x1b[200~{text}\x1b[201~")
}

#[test]
fn a_line_is_edited_where_it_is() {
    let server = TestServer::start();
    let mut repl = Repl::start(&server);
    repl.line("echo ac\x1b[Db", "abc");
    repl.line("cho one\x01e\x05-$((1 + 1))", "one-2");
    repl.line("rubbish\x15echo two wrong\x17-$((1 + 2))", "two -3");
    repl.line("echo thé\x7fe", "the");
    repl.leave();
}

#[test]
fn a_command_of_several_lines_is_asked_for_to_its_end() {
    let server = TestServer::start();
    let mut repl = Repl::start(&server);
    repl.keys("f() {\r");
    repl.wait_for_row("the next line", |row| row == ">");
    repl.keys("echo in-$(($1 + 1))\r");
    repl.wait_for_row("the next line", |row| row == ">");
    repl.line("}; f 1; f 2", "in-3");
    assert!(repl.text().contains("\nin-2\n"), "{}", repl.text());
    repl.line("cat <<END\rit's $((6 * 7))\r\rEND", "it's 42");
}

#[test]
fn enter_on_an_empty_line_sends_what_there_is() {
    let server = TestServer::start();
    let mut repl = Repl::start(&server);
    repl.keys("if true\r");
    repl.wait_for_row("the next line", |row| row == ">");
    repl.keys("\r");
    repl.wait_for_row("a prompt", |row| row.ends_with('$'));
    // The shell has said what it thinks.
    assert!(repl.text().to_lowercase().contains("syntax error"), "{}", repl.text());
    repl.line("echo on-$((1 + 1))", "on-2");
}

#[test]
fn a_paste_runs_in_order_and_not_before_enter() {
    let server = TestServer::start();
    let mut repl = Repl::start(&server);
    let text = "echo one-$((0 + 1))\n# nothing\nif true\nthen echo two-$((1 + 1))\nfi\necho three-$((1 + 2))";
    repl.keys(&paste(text));
    repl.wait_for_end("echo three-$((1 + 2))");
    assert!(!repl.text().contains("one-1"), "{}", repl.text());
    repl.keys("\r");
    repl.wait_for_line("three-3");
    let text = repl.text();
    let place = |line: &str| text.lines().position(|found| found == line).unwrap_or_else(|| panic!("{text}"));
    assert!(place("one-1") < place("two-2") && place("two-2") < place("three-3"), "{text}");
    // Each command behind the first has a prompt of its own, so that one sees whose output it is.
    assert!(text.lines().any(|line| line.ends_with("$ echo three-$((1 + 2))")), "{text}");
}

#[test]
fn ctrl_c_stops_a_paste_and_gives_back_the_rest() {
    let server = TestServer::start();
    let mark = Mark::new();
    let (name, value) = mark.variable();
    let mut repl = Repl::start(&server);
    let text =
        format!("export {name}={value}; echo go-$((1 + 1)); sleep 100\necho second-$((1 + 1))\necho third");
    repl.keys(&paste(&text));
    repl.wait_for_end("third");
    repl.keys("\r");
    repl.wait_for_line("go-2");
    mark.wait_for_program("sleep");
    repl.keys("\x03");
    mark.wait_until_gone();
    repl.wait_for_row("the rest", |row| row == "> echo third");
    assert!(repl.text().contains("$ echo second-$((1 + 1))\n> echo third"), "{}", repl.text());
    assert!(!repl.text().contains("second-2"), "{}", repl.text());
    repl.keys("\r");
    repl.wait_for_line("second-2");
    repl.wait_for_line("third");
}

#[test]
fn the_history_is_the_servers_own_and_outlasts_the_client() {
    let server = TestServer::start();
    let mut repl = Repl::start(&server);
    repl.line("echo first-$((1 + 1))", "first-2");
    repl.line(" echo secret-$((1 + 1))", "secret-2");
    repl.line("echo second-$((1 + 1))", "second-2");
    repl.keys("echo first-$((1 + 1))\r");
    repl.screen.wait_until("it again", |screen| screen.contents().matches("\nfirst-2\n").count() == 2);
    repl.wait_for_prompt();
    repl.line("echo 'a\rb'", "b");
    repl.leave();

    let directory = server.path("home/.local/state/telex/history");
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&directory), mode(&directory.join("db1"))), (0o700, 0o600));
    let kept = fs::read_to_string(directory.join("db1")).unwrap();
    assert!(!kept.contains("secret"), "{kept}");

    let mut repl = Repl::start(&server);
    repl.keys("\x1b[A");
    repl.wait_for_line("> b'");
    repl.keys("\x1b[A");
    repl.wait_for_end("$ echo first-$((1 + 1))");
    // Each is there once.
    repl.keys("\x1b[A");
    repl.wait_for_end("$ echo second-$((1 + 1))");
    repl.keys("\x1b[A");
    repl.wait_for_end("$ echo second-$((1 + 1))");
    repl.keys("\x03");
    repl.wait_for_row("a prompt", |row| row.ends_with('$'));
    repl.keys("\x12sec");
    repl.wait_for_end("echo second-$((1 + 1))");
    repl.keys("\r\r");
    repl.wait_for_line("second-2");
    repl.leave();
}

#[test]
fn what_was_typed_before_is_suggested() {
    let server = TestServer::start();
    let mut repl = Repl::start(&server);
    repl.line("echo hinted-$((1 + 1))", "hinted-2");
    repl.keys("echo h");
    repl.wait_for_end("$ echo hinted-$((1 + 1))");
    let (_, column) = repl.screen.cursor();
    repl.keys("\x1b[C");
    let length = "inted-$((1 + 1))".len() as u16;
    repl.screen.wait_until("the suggestion is taken", |screen| screen.cursor_position().1 == column + length);
    repl.line("; echo taken", "taken");
    assert_eq!(repl.text().matches("\nhinted-2").count(), 2, "{}", repl.text());
}

/// The colour of the prompt's sign.
fn sign(repl: &mut Repl) -> vt100::Color {
    let (row, _) = repl.screen.cursor();
    let column = repl.screen.row(row).find('$').unwrap() as u16;
    repl.screen.colour(row, column)
}

#[test]
fn colours_tell_outcomes_and_what_is_typed() {
    let server = TestServer::start();
    let mut repl = Repl::start(&server);
    repl.line("echo one", "one");
    assert_eq!(sign(&mut repl), vt100::Color::Idx(2));
    repl.keys("(exit 7)\r");
    repl.wait_for_row("the outcome", |row| row.starts_with("[7] "));
    assert_eq!(sign(&mut repl), vt100::Color::Idx(1));
    repl.keys("echo 'a");
    repl.wait_for_end("echo 'a");
    let (row, column) = repl.screen.cursor();
    let colours = [column - 7, column - 1].map(|column| repl.screen.colour(row, column));
    assert_eq!(colours, [vt100::Color::Idx(2), vt100::Color::Idx(3)]);
}

#[test]
fn settings_last_as_long_as_the_session() {
    let server = TestServer::start();
    let mut repl = Repl::start(&server);
    repl.keys(":set prompt '{host}: {sign} '\r");
    repl.wait_for_row("the prompt", |row| row == "db1: $");
    repl.keys(":set\r");
    repl.wait_for_line("prompt   '{host}: {sign} '");
    repl.wait_for_line("colour   on");
    repl.wait_for_row("the prompt", |row| row == "db1: $");
    assert_eq!(sign(&mut repl), vt100::Color::Idx(2));
    repl.keys(":set colour off\r");
    repl.line("echo without-$((1 + 1))", "without-2");
    assert_eq!(sign(&mut repl), vt100::Color::Default);
    repl.keys("echo 'typed'");
    repl.wait_for_end("$ echo 'typed'");
    let (row, column) = repl.screen.cursor();
    assert_eq!(repl.screen.colour(row, column - 1), vt100::Color::Default);
    repl.keys("\x03");
    repl.wait_for_row("the prompt", |row| row == "db1: $");
    repl.keys(":set colour on\r");
    repl.line("echo with-$((1 + 1))", "with-2");
    assert_eq!(sign(&mut repl), vt100::Color::Idx(2));
    // What was typed is still there, and so is what Tab does.
    repl.keys(":set err\t");
    repl.wait_for_end(":set errexit");
    repl.keys("\x03");
    repl.wait_for_row("the prompt", |row| row == "db1: $");
    repl.keys(":set errexit on\r");
    repl.wait_for_line("db1: $ :set errexit on");
    repl.wait_for_row("the prompt", |row| row == "db1: $");
    repl.keys("(exit 9)\r");
    assert_eq!(repl.ends().code(), Some(9), "{}", repl.text());
}

#[test]
fn without_colours_there_are_none() {
    let server = TestServer::start();
    for (settings, variable) in [("", ("NO_COLOR", "1")), ("[prompt]\ncolour = false", ("NO_COLOR", ""))] {
        let change = |command: &mut Command| {
            command.env(variable.0, variable.1);
        };
        let mut repl = Repl::with(&server, server.address(), settings, change);
        repl.keys("echo 'a'; (exit 3)\r");
        repl.wait_for_row("the outcome", |row| row.starts_with("[3] "));
        repl.keys("if 'x");
        repl.wait_for_end("if 'x");
        for row in 0..24 {
            for column in 0..80 {
                assert_eq!(repl.screen.colour(row, column), vt100::Color::Default, "{}", repl.text());
            }
        }
    }
}

#[test]
fn a_dumb_terminal_gets_text_only() {
    let server = TestServer::start();
    let mut repl = Repl::with(&server, server.address(), "", |command| {
        command.env("TERM", "dumb");
    });
    repl.keys("echo plain-$((1 + 1)); (exit 3)\r");
    repl.wait_for_line("plain-2");
    repl.wait_for_row("the outcome", |row| row.starts_with("[3] "));
    for line in ["if true", "then echo more-$((1 + 1))"] {
        repl.keys(line);
        repl.wait_for_end(line);
        repl.keys("\r");
        repl.wait_for_row("the next line", |row| row == ">");
    }
    repl.line("fi", "more-2");
    let written = String::from_utf8_lossy(repl.screen.written()).into_owned();
    assert!(!written.contains('\x1b'), "{written:?}");
    repl.keys("if true\r");
    repl.wait_for_row("the next line", |row| row == ">");
    repl.keys("echo never-$((1 + 1))\x03");
    repl.wait_for_row("a prompt", |row| row.ends_with('$'));
    repl.line("echo again-$((1 + 1))", "again-2");
    assert!(!repl.text().contains("never-2"), "{}", repl.text());
    repl.leave();
}

#[test]
fn the_prompt_is_the_users_own() {
    let server = TestServer::start();
    let settings = "[prompt]\nformat = \"<{host}> {status}{sign} \"";
    let mut repl = Repl::with(&server, server.address(), settings, |_| {});
    repl.wait_for_row("the prompt", |row| row == "<db1> $");
    repl.keys("(exit 4)\r");
    repl.wait_for_row("the prompt", |row| row == "<db1> 4$");
}

#[test]
fn typing_costs_no_byte_on_the_network() {
    let server = TestServer::start();
    let proxy = Proxy::start(server.address().parse().unwrap());
    let mut repl = Repl::with(&server, &proxy.address().to_string(), "", |_| {});
    repl.line("echo one-$((1 + 1))", "one-2");
    let begun = std::time::Instant::now();
    let before = proxy.observed();
    for key in "echo 'a long line' | sort -n $HOME # and so on".chars() {
        repl.keys(&key.to_string());
    }
    repl.wait_for_end("and so on");
    repl.keys("\x01\x0b\x1b[A\x1b[B\x12one\r\x15if true\r");
    repl.wait_for_row("the next line", |row| row == ">");
    let after = proxy.observed();
    // A line that is idle is asked for life now and then.
    if begun.elapsed() < std::time::Duration::from_secs(10) {
        assert_eq!(
            (after.to_server.read, after.to_client.read),
            (before.to_server.read, before.to_client.read)
        );
    }
}

#[test]
fn a_lost_line_shows_in_the_prompt_and_typing_goes_on() {
    let server = TestServer::start();
    let proxy = Proxy::start(server.address().parse().unwrap());
    let mut repl = Repl::with(&server, &proxy.address().to_string(), "", |_| {});
    repl.keys("echo typed-$((1");
    repl.wait_for_end("echo typed-$((1");
    proxy.set_coming(Mode::Cut);
    proxy.set_open(Mode::Cut);
    repl.wait_for_row("the loss", |row| row.starts_with("[line down] ") && row.ends_with("echo typed-$((1"));
    repl.keys(" + 1))");
    repl.wait_for_end("echo typed-$((1 + 1))");
    proxy.set_coming(Mode::Pass);
    repl.wait_for_row("the return", |row| !row.contains("line down") && row.ends_with("$((1 + 1))"));
    repl.keys("\r");
    repl.wait_for_line("typed-2");
}
