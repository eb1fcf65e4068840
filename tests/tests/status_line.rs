//! What a person sees while the line to the server is down: that it is, how long the job is kept, and that it is back.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use std::process::Command;

use rustix::process::Signal;
use tests::proxy::{Mode, Proxy};
use tests::{DEADLINE, Mark, Ran, Running, Terminal, TestServer, wait_until};

fn proxy_before(server: &TestServer) -> Proxy {
    Proxy::start(server.address().parse().unwrap())
}

/// Ends what there is, and has nobody get through.
fn cut(proxy: &Proxy) {
    proxy.set_coming(Mode::Cut);
    proxy.set_open(Mode::Cut);
}

fn mend(proxy: &Proxy) {
    proxy.set_coming(Mode::Pass);
}

/// A client that reaches its server through `proxy`.
fn client(server: &TestServer, proxy: &Proxy, arguments: &[&str]) -> Command {
    let mut client = server.bare_client();
    client.args(["-H", &proxy.address().to_string()]).args(arguments);
    client
}

/// Goes on until the file `go` is there.
fn script(server: &TestServer) -> String {
    format!(
        "printf ready; while [ ! -e {} ]; do sleep 0.02; done; echo; echo done",
        server.path("go").display()
    )
}

#[test]
fn without_a_terminal_two_lines_say_it_all() {
    let server = TestServer::start();
    let proxy = proxy_before(&server);
    let script = script(&server);
    let start = |options: &[&str]| {
        let arguments = [&["run", "-n", "--grace", "30s"], options, &[script.as_str()]].concat();
        let mut running = Running::start(&mut client(&server, &proxy, &arguments));
        running.wait_for_stdout("ready");
        running
    };
    let (client, quiet) = (start(&[]), start(&["-q"]));
    cut(&proxy);
    wait_until("the loss is said", DEADLINE, || client.stderr().contains("is lost"));
    mend(&proxy);
    wait_until("the return is said", DEADLINE, || client.stderr().contains("is back"));
    server.file("go", "");
    let ran = client.finish().exits(0);
    assert_eq!(ran.text(), "ready\ndone\n");
    let address = proxy.address();
    let lost = format!("client: the line to {address} is lost: ");
    let errors = ran.errors();
    let lines: Vec<_> = errors.lines().collect();
    assert!(
        lines[0].starts_with(&lost) && lines[0].ends_with("; trying to come back, the job is kept for 30 s"),
        "{errors}"
    );
    assert!(lines[1].starts_with(&format!("client: the line to {address} is back after ")), "{errors}");
    assert_eq!(lines.len(), 2, "{errors}");
    assert_eq!(quiet.finish().succeeds(), "ready\ndone\n");
}

#[test]
fn a_line_that_is_back_at_once_is_not_spoken_of() {
    let server = TestServer::start();
    let proxy = proxy_before(&server);
    let mut client = Running::start(&mut client(&server, &proxy, &["run", "while read l; do echo $l; done"]));
    for round in 0..5 {
        client.write(format!("{round}\n").as_bytes());
        client.wait_for_stdout(&format!("{round}\n"));
        cut(&proxy);
        mend(&proxy);
    }
    assert_eq!(client.finish().succeeds(), "0\n1\n2\n3\n4\n");
}

#[test]
fn on_a_terminal_one_line_is_kept_up_to_date_and_leaves_the_output_whole() {
    let server = TestServer::start();
    let proxy = proxy_before(&server);
    let mut terminal = Terminal::new();
    let mut command = client(&server, &proxy, &["run", "-n", "--grace", "30s", &script(&server)]);
    let mut client = command.stdout(terminal.end()).stderr(terminal.end()).spawn().unwrap();
    terminal.wait_for("ready");
    cut(&proxy);
    // Counted down, each time in the same place.
    terminal.wait_for("; job kept 28 s more (");
    let shown = terminal.shown();
    let begin =
        format!("ready\r\n\r\u{1b}[Kclient: line to {} down 1 s; job kept 30 s more (", proxy.address());
    assert!(shown.starts_with(&begin), "{shown:?}");
    assert_eq!(shown.matches('\n').count(), 1, "{shown:?}");
    assert!(shown.contains("down 2 s; job kept 29 s more ("), "{shown:?}");
    mend(&proxy);
    terminal.wait_for("is back after ");
    server.file("go", "");
    wait_until("the client ends", DEADLINE, || client.try_wait().unwrap().is_some());
    let shown = terminal.shown();
    let end = shown.rsplit_once("\r\u{1b}[Kclient: the line to ").unwrap().1;
    assert!(end.contains(" is back after ") && end.ends_with(" s\r\n\r\ndone\r\n"), "{end:?}");
}

#[test]
fn ctrl_c_while_the_line_is_down_is_kept_and_delivered_once() {
    let server = TestServer::start();
    let proxy = proxy_before(&server);
    let script =
        "trap 'echo interrupted' INT; echo ready; for i in 1 2 3 4 5; do read l && break; done; exit 3";
    let mut client = Running::start(&mut client(&server, &proxy, &["run", script]));
    client.wait_for_stdout("ready\n");
    cut(&proxy);
    wait_until("the loss is said", DEADLINE, || client.stderr().contains("is lost"));
    client.signal(Signal::INT);
    wait_until("that is said", DEADLINE, || client.stderr().contains("the line is down: SIGINT is kept"));
    assert!(!client.stdout().contains("interrupted"));
    mend(&proxy);
    client.wait_for_stdout("interrupted\n");
    client.write(b"go\n");
    let ran = client.finish().exits(3);
    assert_eq!(ran.text(), "ready\ninterrupted\n");
}

#[test]
fn a_second_ctrl_c_leaves_and_says_what_becomes_of_the_job() {
    let server = TestServer::start();
    let proxy = proxy_before(&server);
    for (options, fate) in [
        (
            &["--grace", "7s"][..],
            "leaving job x1 while the line is down; the server ends it once it has waited 7s for this client",
        ),
        (&["--on-disconnect", "keep"], "leaving; job x2 goes on; client -H"),
    ] {
        let mark = Mark::new();
        let id = if options.len() == 2 && options[0] == "--grace" { "x1" } else { "x2" };
        let mut command = client(&server, &proxy, &["run", "-n", "--id", id]);
        command.args(options).args(mark.option()).arg("echo ready; exec sleep 1000");
        let mut client = Running::start(&mut command);
        client.wait_for_stdout("ready\n");
        cut(&proxy);
        client.signal(Signal::INT);
        wait_until("the first is said", DEADLINE, || client.stderr().contains("SIGINT is kept"));
        client.signal(Signal::INT);
        let ran = client.finish().exits(130);
        assert!(
            ran.errors().lines().last().unwrap().starts_with(&format!("client: interrupted twice: {fate}")),
            "{}",
            ran.errors()
        );
        mend(&proxy);
        mark.wait_for(1);
        Ran::of(server.client().args(["signal", id, "KILL"])).succeeds();
        mark.wait_until_gone();
    }
}

#[test]
fn the_prompt_goes_on_over_a_lost_line() {
    let server = TestServer::start();
    let proxy = proxy_before(&server);
    let mut repl = Running::start(&mut client(&server, &proxy, &["repl"]));
    repl.write(b"cd /tmp; export A=7; echo ready\n");
    repl.wait_for_stdout("ready\n");
    let go = server.path("go");
    repl.write(format!("while [ ! -e {} ]; do sleep 0.02; done; pwd; echo $A\n", go.display()).as_bytes());
    cut(&proxy);
    wait_until("the loss is said", DEADLINE, || repl.stderr().contains("is lost"));
    mend(&proxy);
    wait_until("the return is said", DEADLINE, || repl.stderr().contains("is back"));
    server.file("go", "");
    repl.wait_for_stdout("/tmp\n7\n");
    repl.write(b"exit 5\n");
    let ran = repl.finish().exits(5);
    assert_eq!(ran.errors().lines().count(), 2, "{}", ran.errors());
}
