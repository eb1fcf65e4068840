//! `:hosts`: one line on several servers, each with a shell that lasts, and their output told apart.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use rustix::process::Signal;
use serde_json::Value;
use tests::{DEADLINE, Mark, Ran, Repl, TestServer, wait_until};

/// A person's own server, and two more that they call `web` and `mail`.
struct Three {
    db1: TestServer,
    web: TestServer,
    mail: TestServer,
}

impl Three {
    fn start() -> Self {
        let three = Self {
            db1: TestServer::start(),
            web: TestServer::start_local(),
            mail: TestServer::start_local(),
        };
        three.db1.settings("config.toml", three.entries() + &entry("db1", &three.db1));
        three
    }

    fn entries(&self) -> String {
        entry("web", &self.web) + &entry("mail", &self.mail)
    }

    /// At the prompt of all but their own.
    #[track_caller]
    fn prompt(&self) -> Repl {
        let mut repl = Repl::with(&self.db1, self.db1.address(), &self.entries(), |_| {});
        repl.line("word=own; echo ready", "ready");
        repl.keys(":hosts web mail\r");
        repl.wait_for_row("their prompt", |row| row.contains("web,mail:") && row.ends_with('$'));
        repl
    }

    fn script(&self, script: &str) -> Ran {
        Ran::with_input(self.db1.bare_client().args(["-H", "db1"]), script.as_bytes())
    }

    #[track_caller]
    fn wait_until_no_job_is_left(&self) {
        wait_until("no job is left", DEADLINE, || {
            [&self.db1, &self.web, &self.mail].iter().all(|server| jobs(server) == 0)
        });
    }
}

fn entry(name: &str, server: &TestServer) -> String {
    format!("[hosts.{name}]\naddress = \"{}\"\n", server.address())
}

/// How many jobs a server has.
fn jobs(server: &TestServer) -> usize {
    Ran::of(server.client().args(["jobs", "--json"])).succeeds().lines().count()
}

/// Runs a line on both, and waits for what each of them writes.
#[track_caller]
fn told_apart(repl: &mut Repl, line: &str, texts: [&str; 2]) {
    repl.line(line, &format!("web:  {}", texts[0]));
    repl.wait_for_line(&format!("mail: {}", texts[1]));
}

#[test]
fn each_runs_the_line_and_keeps_what_lasts() {
    let three = Three::start();
    let mut repl = three.prompt();
    told_apart(&mut repl, "cd /; echo \"<$word>\"; word=kept", ["<>", "<>"]);
    repl.wait_for_row("the directory of both", |row| row == "web,mail:/$");
    told_apart(&mut repl, "echo $word; f() { echo in $1; }", ["kept", "kept"]);
    told_apart(&mut repl, "f function", ["in function", "in function"]);
    repl.keys(":hosts\r");
    repl.wait_for_row("the prompt of one", |row| row.contains("@db1:") && row.ends_with('$'));
    repl.line("echo \"back $word\"", "back own");
    wait_until("their shells are gone", DEADLINE, || jobs(&three.web) + jobs(&three.mail) == 0);
    repl.leave();
    three.wait_until_no_job_is_left();
}

#[test]
fn the_first_that_fails_gives_the_exit_code_and_each_is_named() {
    let three = Three::start();
    let mut repl = three.prompt();
    let mail = Ran::of(three.mail.client().args(["jobs", "--json"])).succeeds();
    let mail = serde_json::from_str::<Value>(&mail).unwrap()["id"].as_str().unwrap().to_owned();
    repl.keys(&format!("test $TELEX_JOB_ID != {mail} || (exit 4)\r"));
    repl.wait_for_row("the exit code", |row| row.starts_with("[4] ") && row.ends_with('$'));
    assert!(repl.text().contains("\nmail: exit 4") && !repl.text().contains("web: exit"), "{}", repl.text());
    repl.keys(&format!("test $TELEX_JOB_ID != {mail} && (exit 5)\r"));
    repl.wait_for_row("the exit code", |row| row.starts_with("[5] ") && row.ends_with('$'));
    assert!(
        repl.text().contains("\nmail: exit 1") && repl.text().contains("\nweb: exit 5"),
        "{}",
        repl.text()
    );
    repl.leave();
}

#[test]
fn ctrl_c_is_for_all_and_their_shells_stay() {
    let (three, mark) = (Three::start(), Mark::new());
    let mut repl = three.prompt();
    let (name, value) = mark.variable();
    told_apart(&mut repl, "word=kept; echo set", ["set", "set"]);
    repl.keys(&format!("{name}={value} sleep 1000\r"));
    mark.wait_for(2);
    repl.keys("\x03");
    repl.wait_for_row("the exit code", |row| row.starts_with("[130] ") && row.ends_with('$'));
    mark.wait_until_gone();
    told_apart(&mut repl, "echo $word", ["kept", "kept"]);
    repl.leave();
}

#[test]
fn one_that_is_lost_gets_no_more_lines_and_neither_do_the_others_unasked() {
    let mut three = Three::start();
    let mut repl = three.prompt();
    let trace = three.db1.path("trace");
    three.mail.signal(Signal::TERM);
    three.mail.wait();
    repl.keys(&format!("\x1b[200~echo alive\ntouch {}\x1b[201~\r", trace.display()));
    repl.wait_for_line("web:  alive");
    repl.screen.wait_for("it gets no more lines");
    repl.wait_for_row("the line, given back", |row| row.contains("web:") && row.contains("touch"));
    repl.keys("\x03");
    repl.wait_for_row("the prompt of web", |row| row.contains("web:") && row.ends_with('$'));
    repl.line("echo on", "web: on");
    repl.keys("exit 3\r");
    repl.wait_for_line("none is left; this is db1 again");
    repl.wait_for_row("the prompt of one", |row| row.contains("@db1:") && row.ends_with('$'));
    repl.line("echo $word", "own");
    assert!(!trace.exists());
    repl.leave();
}

#[test]
fn what_it_reads_has_an_end_and_nobody_is_asked_for_keys() {
    let three = Three::start();
    let mut repl = three.prompt();
    told_apart(&mut repl, "cat; read line; echo \"read $? $TERM\"", ["read 1 dumb", "read 1 dumb"]);
    repl.leave();
}

#[test]
fn no_line_can_pretend_to_be_anothers() {
    let three = Three::start();
    let mut repl = three.prompt();
    repl.line("printf '\\033[2K\\rmail: mine\\n'", "web:  mail: mine");
    repl.line("printf '\\033[1Gmail: mine\\nno end'", "web:  no end");
    assert!(repl.text().contains("web:  \\x1b[1Gmail: mine"), "{}", repl.text());
    repl.leave();
}

#[test]
fn what_is_for_one_server_is_refused() {
    let three = Three::start();
    let mut repl = three.prompt();
    for line in [":jobs", ":fg", ":detach", ":get x"] {
        repl.line(line, "this is for one server; :hosts goes back to one");
        repl.keys("clear\x0c\r");
        repl.wait_for_row("a prompt", |row| row.ends_with('$'));
    }
    repl.line(":hosts web web", "web is named twice");
    repl.keys(":host db1\r");
    repl.wait_for_row("the prompt of one", |row| row.contains("@db1:") && row.ends_with('$'));
    repl.leave();
}

#[test]
fn one_that_cannot_be_reached_leaves_all_as_it_was() {
    let three = Three::start();
    let mut repl = three.prompt();
    told_apart(&mut repl, "word=kept; echo set", ["set", "set"]);
    repl.keys(":hosts web unix:/nowhere/s\r");
    repl.screen.wait_for("unix:/nowhere/s: cannot connect");
    repl.wait_for_row("the prompt of both", |row| row.contains("web,mail:") && row.ends_with('$'));
    told_apart(&mut repl, "echo $word", ["kept", "kept"]);
    assert_eq!((jobs(&three.web), jobs(&three.mail)), (1, 1));
    repl.leave();
}

#[test]
fn a_script_has_both_streams_whole_lines_and_the_first_code() {
    let three = Three::start();
    let script =
        "word=own\n:hosts web mail\ncd /tmp\necho $PWD; echo oops >&2\n(exit 3)\n:hosts\necho $word\n";
    let ran = three.script(script).exits(0);
    let mut lines: Vec<_> = ran.text().lines().map(str::to_owned).collect();
    assert_eq!(lines.pop().as_deref(), Some("own"));
    lines.sort();
    assert_eq!(lines, ["mail: /tmp", "web:  /tmp"]);
    let mut errors: Vec<_> = ran.errors().lines().map(str::to_owned).collect();
    errors.sort();
    assert_eq!(
        errors,
        ["client: line 5: mail: exit 3", "client: line 5: web: exit 3", "mail: oops", "web:  oops"]
    );
    three.script(":hosts web mail\n(exit 3)\n").exits(3);
    three.script(":hosts web mail\nexit 4\necho never\n").exits(4);
    assert_eq!(three.script(":hosts web unix:/nowhere/s\necho never\n").exits(125).text(), "");
    three.wait_until_no_job_is_left();
}

#[test]
fn much_output_of_both_at_once_is_whole() {
    let three = Three::start();
    let text = three.script(":hosts web mail\nseq 1 200000\n").exits(0).text();
    for label in ["web:  ", "mail: "] {
        let numbers: Vec<u32> = text
            .lines()
            .filter_map(|line| line.strip_prefix(label))
            .map(|number| number.parse().unwrap())
            .collect();
        assert!(numbers.iter().copied().eq(1..=200_000), "{label}: {} lines", numbers.len());
    }
}
