//! `:host`: several servers from one prompt, each with a shell that goes on while the lines go elsewhere.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use rustix::process::Signal;
use tests::{DEADLINE, Mark, Ran, Repl, TestServer, wait_until};

/// A server's entry in the settings.
fn entry(name: &str, server: &TestServer) -> String {
    format!("[hosts.{name}]\naddress = \"{}\"\n", server.address())
}

/// A prompt at `db1`, whose user calls another server `web`.
fn prompt(db1: &TestServer, web: &TestServer) -> Repl {
    Repl::with(db1, db1.address(), &entry("web", web), |_| {})
}

/// Turns to the server that is called so.
#[track_caller]
fn turn_to(repl: &mut Repl, name: &str) {
    repl.keys(&format!(":host {name}\r"));
    repl.wait_for_row("the other prompt", |row| row.contains(&format!("@{name}:")) && row.ends_with('$'));
}

/// How many jobs a server has.
fn jobs(server: &TestServer) -> usize {
    Ran::of(server.client().args(["jobs", "--json"])).succeeds().lines().count()
}

#[test]
fn each_server_keeps_its_shell() {
    let (db1, web) = (TestServer::start(), TestServer::start_local());
    let mut repl = prompt(&db1, &web);
    repl.line("cd /; word=first; echo first", "first");
    repl.keys("(exit 3)\r");
    repl.wait_for_row("its status", |row| row.starts_with("[3] ") && row.ends_with('$'));
    turn_to(&mut repl, "web");
    repl.line("echo \"web <$word>\"", "web <>");
    repl.line("cd /tmp; word=second; echo $PWD", "/tmp");
    turn_to(&mut repl, "db1");
    repl.line("echo \"db1 $? $word $PWD\"", "db1 0 first /");
    turn_to(&mut repl, "web");
    repl.line("echo \"again $word $PWD\"", "again second /tmp");
    repl.line(":host", "web   up    /tmp");
    repl.wait_for_line("db1   up    /");
    repl.leave();
}

#[test]
fn what_a_shell_has_in_the_background_goes_on_and_is_named_on_leaving() {
    let (db1, web, mark) = (TestServer::start(), TestServer::start_local(), Mark::new());
    let mut repl = prompt(&db1, &web);
    let (name, value) = mark.variable();
    repl.line(&format!("{name}={value} sleep 1000 & echo begun"), "begun");
    mark.wait_for(1);
    turn_to(&mut repl, "web");
    repl.keys("\x04");
    repl.wait_for_line("these jobs end with the session; Ctrl-D once more leaves");
    assert!(
        repl.text().lines().any(|line| line.starts_with("db1: ") && line.contains("sleep 1000")),
        "{}",
        repl.text()
    );
    repl.leave();
    mark.wait_until_gone();
    wait_until("no job is left", DEADLINE, || jobs(&db1) + jobs(&web) == 0);
}

#[test]
fn exit_goes_back_to_the_server_before() {
    let (db1, web) = (TestServer::start(), TestServer::start_local());
    let mut repl = prompt(&db1, &web);
    repl.line("word=first; echo there", "there");
    turn_to(&mut repl, "web");
    repl.line("exit 4", "the shell at web has ended; this is db1 again");
    repl.line("echo \"back $? $word\"", "back 4 first");
    wait_until("the shell there is gone", DEADLINE, || jobs(&web) == 0);
    repl.keys("exit 4\r");
    assert_eq!(repl.ends().code(), Some(4), "{}", repl.text());
}

#[test]
fn lines_for_a_server_that_is_lost_go_to_no_other() {
    let (db1, mut web) = (TestServer::start(), TestServer::start_local());
    let mut repl = prompt(&db1, &web);
    let trace = db1.path("trace");
    turn_to(&mut repl, "web");
    // As a paste: both lines are there at once.
    repl.keys(&format!("\x1b[200~kill -KILL $$\ntouch {}\x1b[201~\r", trace.display()));
    repl.wait_for_line("the shell at web has ended; this is db1 again");
    repl.wait_for_row("the line, given back", |row| row.contains("@db1:") && row.contains("touch"));
    repl.keys("\x03");
    repl.wait_for_prompt();
    repl.line("echo done", "done");
    assert!(!trace.exists());
    turn_to(&mut repl, "web");
    web.signal(Signal::TERM);
    web.wait();
    repl.wait_for_line("the shell at web has ended; this is db1 again");
    repl.leave();
}

#[test]
fn a_server_that_cannot_be_reached_leaves_a_person_where_they_are() {
    let (db1, web) = (TestServer::start(), TestServer::start_local());
    let mut repl = prompt(&db1, &web);
    let trace = db1.path("trace");
    repl.keys(&format!("\x1b[200~:host unix:/nowhere/s\ntouch {}\x1b[201~\r", trace.display()));
    repl.wait_for_row("the line, given back", |row| row.contains("@db1:") && row.contains("touch"));
    assert!(repl.text().contains("/nowhere/s"), "{}", repl.text());
    repl.keys("\x03");
    repl.wait_for_prompt();
    repl.line("echo still there", "still there");
    assert!(!trace.exists());
    repl.leave();
}

#[test]
fn a_server_that_is_not_known_is_asked_about() {
    let (db1, web) = (TestServer::start_local(), TestServer::start());
    db1.settings("known_hosts", "");
    let mut repl = prompt(&db1, &web);
    repl.keys(":host web\r");
    repl.wait_for_end("prints there? (yes/no)");
    repl.keys("no\r");
    repl.wait_for_row("the prompt before", |row| row.contains("@db1:"));
    repl.keys(":host web\r");
    repl.wait_for_end("prints there? (yes/no)");
    repl.keys("yes\r");
    repl.wait_for_row("the other prompt", |row| row.contains("@web:"));
    repl.line("echo in", "in");
    repl.leave();
}

#[test]
fn history_is_that_of_the_server() {
    let (db1, web) = (TestServer::start(), TestServer::start_local());
    let mut repl = prompt(&db1, &web);
    repl.line("echo for db1", "for db1");
    turn_to(&mut repl, "web");
    repl.line("echo for web", "for web");
    turn_to(&mut repl, "db1");
    repl.keys("\x1b[A\x1b[A");
    repl.wait_for_row("its last line but one", |row| row.ends_with("echo for db1"));
    repl.keys("\x03");
    repl.leave();
}

#[test]
fn names_of_servers_are_completed() {
    let (db1, web) = (TestServer::start(), TestServer::start_local());
    let mut repl = prompt(&db1, &web);
    repl.keys(":host w\t");
    repl.wait_for_row("the name", |row| row.ends_with(":host web"));
    repl.keys("\r");
    repl.wait_for_row("the other prompt", |row| row.contains("@web:"));
    repl.leave();
}

#[test]
fn detach_leaves_every_shell_to_its_server() {
    let (db1, web) = (TestServer::start(), TestServer::start_local());
    let mut repl = prompt(&db1, &web);
    turn_to(&mut repl, "web");
    repl.keys(":detach\r");
    assert_eq!(repl.ends().code(), Some(0), "{}", repl.text());
    assert_eq!(
        repl.text().matches("detached: the shell of this prompt goes on at").count(),
        2,
        "{}",
        repl.text()
    );
    assert_eq!((jobs(&db1), jobs(&web)), (1, 1));
}

#[test]
fn a_script_goes_from_server_to_server_and_to_no_wrong_one() {
    let (db1, web) = (TestServer::start(), TestServer::start_local());
    db1.settings("config.toml", entry("db1", &db1) + &entry("web", &web));
    let client = |script: &str| {
        let mut client = db1.bare_client();
        Ran::with_input(client.args(["-H", "db1"]), script.as_bytes())
    };
    let script = "word=one\n:host web\necho \"<$word>\"; word=two\n:host db1\necho $word\n:host web\necho $word\nexit 7\necho never\n";
    assert_eq!(client(script).exits(7).text(), "<>\none\ntwo\n");
    let lost = client("echo here\n:host nowhere.invalid\necho never\n").exits(125);
    assert_eq!(lost.text(), "here\n");
    assert!(lost.errors().starts_with("client: line 2: "), "{}", lost.errors());
    let killed = client(":host web\nkill -KILL $$\necho never\n").exits(137);
    assert_eq!(killed.text(), "");
    wait_until("no job is left", DEADLINE, || jobs(&db1) + jobs(&web) == 0);
}
