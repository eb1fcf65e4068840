//! The line is cut, the server becomes another one or is killed: neither the command nor who sits before it is the worse for it.

use std::fs;
use std::path::Path;
use std::process::Command;

use rustix::process::{Signal, kill_process};
use tests::proxy::{Cutter, Mode, Proxy};
use tests::{DEADLINE, Ran, Running, Sandbox, TestServer, wait_until};

use super::{Session, line_in};

/// What [`Flow`] writes at the least, in bytes.
const FLOW: u64 = 4 * 1024 * 1024;

/// The size that the window has in the end.
const LAST_SIZE: (u16, u16) = (33, 99);

/// A command that writes a lot, on a window that is dragged about.
struct Flow<'a> {
    server: &'a TestServer,
    session: Session,
}

impl<'a> Flow<'a> {
    /// Starts it with these options and this server's `client`.
    fn start(server: &'a TestServer, client: &Command, options: &[&str]) -> Self {
        let own = |file: &str| server.path(file).display().to_string();
        // Goes on for as long as there is no gate, and after it until the last size is there.
        let text = format!(
            "echo x >> {}; stty -opost
             {{ head -c {FLOW} /dev/urandom; until [ -e {} ]; do head -c 300000 /dev/urandom; done; }} | tee >(sha256sum > {})
             until [ \"$(stty size)\" = '{} {}' ]; do sleep 0.02; done; exit 7",
            own("starts"),
            own("gate"),
            own("sum"),
            LAST_SIZE.0,
            LAST_SIZE.1
        );
        let mut shell = server.command("/bin/bash");
        shell.args(["-c", &format!("\"$@\" > {}", own("output")), "bash"]).arg(client.get_program());
        shell
            .args(client.get_args())
            .args(["run", "-t", "-q"])
            .args(options)
            .args(["--", "bash", "-c", &text]);
        let session = Session::start(server, &shell);
        let flow = Self { server, session };
        wait_until("it writes", DEADLINE, || flow.arrived() > 0);
        flow
    }

    /// How much has come.
    fn arrived(&self) -> u64 {
        fs::metadata(self.server.path("output")).map_or(0, |output| output.len())
    }

    /// Drags the window about until `is_enough`, or so much has come as there is at least.
    fn resize_until(&mut self, is_enough: impl Fn() -> bool) {
        let (mut round, mut last) = (0, 0);
        while self.arrived() < FLOW || !is_enough() {
            round += 1;
            self.session.screen.resize(10 + round % 20, 40 + round % 50);
            wait_until("more comes", DEADLINE, || self.arrived() > last || is_enough());
            last = self.arrived();
        }
    }

    /// Waits for the end; nothing may be missing, or have been done twice.
    #[track_caller]
    fn ends_whole(self) {
        let Self { server, mut session } = self;
        session.screen.resize(LAST_SIZE.0, LAST_SIZE.1);
        fs::write(server.path("gate"), "").unwrap();
        session.exits(7);
        let arrived = Ran::of(server.command("/usr/bin/sha256sum").arg(server.path("output"))).succeeds();
        assert_eq!(arrived.split(' ').next(), line_in(server, "sum").split(' ').next());
        assert_eq!(line_in(server, "starts"), "x");
    }
}

#[test]
fn output_and_sizes_get_there_through_a_line_that_is_cut_again_and_again() {
    const CUTS: u64 = 40;
    let server = TestServer::start();
    let proxy = Proxy::start(server.address().parse().unwrap());
    let mut client = server.bare_client();
    client.args(["-H", &proxy.address().to_string()]);
    let mut flow = Flow::start(&server, &client, &[]);
    proxy.cut_by(Cutter::random(5, CUTS, 1..=2 * FLOW / CUTS));
    flow.resize_until(|| proxy.observed().cuts == CUTS);
    flow.ends_whole();
    let observed = proxy.observed();
    assert!(observed.connections > CUTS, "{observed:?}");
}

#[test]
fn output_and_sizes_get_there_through_upgrades_in_a_row() {
    let server = replaceable();
    let mut flow = Flow::start(&server, &server.client(), &[]);
    for _ in 0..4 {
        upgrade(&server);
        flow.session.screen.resize(20, 60);
    }
    flow.resize_until(|| true);
    flow.ends_whole();
}

#[test]
fn output_and_sizes_get_there_through_servers_that_are_killed() {
    let mut server = TestServer::start();
    let address = server.address().to_owned();
    let mut client = server.bare_client();
    client.args(["-H", &address]);
    // Written out, since the server changes under it.
    let before = Flow::start(&server, &client, &["--id", "flow"]);
    let session = before.session;
    server.replace(Signal::KILL);
    let mut flow = Flow { server: &server, session };
    flow.resize_until(|| true);
    let session = flow.session;
    server.replace(Signal::KILL);
    Flow { server: &server, session }.ends_whole();
}

/// A server that was started from a file of its own, which can be replaced.
fn replaceable() -> TestServer {
    let sandbox = Sandbox::with_keys();
    let program = sandbox.path("telexd");
    copy(&sandbox, &program);
    TestServer::options_in(sandbox).program(program).listen("127.0.0.1:0").start()
}

/// Not in this process: while it has a file open for writing, so have programs that other tests are starting.
fn copy(sandbox: &Sandbox, to: &Path) {
    let program = sandbox.server();
    let mut install = sandbox.command("/usr/bin/install");
    Ran::of(install.args(["-m", "755"]).arg(program.get_program()).arg(to)).succeeds();
}

fn upgrade(server: &TestServer) {
    Ran::of(server.server().arg("upgrade")).succeeds();
}

/// Answers each line with the size that it sees, and exits with 6 when it is interrupted at the end.
const DIALOGUE: &str =
    "trap 'exit 6' INT; echo ready; while read -r line; do echo \"$line: $(stty size)\"; done";

/// Types a line, and waits until its answer has this size: orders and keys may overtake each other.
#[track_caller]
fn answers(session: &mut Session, word: &str, size: &str) {
    let expected = format!("{word}: {size}");
    for round in 0.. {
        session.screen.keys(format!("{word}\r").as_bytes());
        session.screen.wait_until("an answer", |screen| {
            screen.contents().matches(&format!("{word}: ")).count() > round
        });
        if session.screen.text().contains(&expected) {
            return;
        }
        assert!(round < 5, "no answer with {size}: {}", session.screen.text());
    }
}

/// Sits in a dialogue, and has `happens` done to the server in the middle of it.
fn goes_on_after(server: &mut TestServer, options: &[&str], happens: impl Fn(&mut TestServer)) {
    let mut session = Session::run(server, &[options, &["-q", "--", "bash", "-c", DIALOGUE]].concat());
    session.screen.wait_for("ready");
    answers(&mut session, "one", "24 80");
    happens(server);
    answers(&mut session, "two", "24 80");
    happens(server);
    session.screen.resize(12, 60);
    answers(&mut session, "three", "12 60");
    session.screen.keys(b"\x03");
    session.exits(6);
}

#[test]
fn keys_sizes_and_ctrl_c_work_after_an_upgrade_as_before() {
    goes_on_after(&mut replaceable(), &[], |server| upgrade(server));
}

#[test]
fn keys_sizes_and_ctrl_c_work_with_the_next_server_as_before() {
    goes_on_after(&mut TestServer::start(), &["--id", "talk"], |server| server.replace(Signal::KILL));
}

#[test]
fn keys_sizes_and_ctrl_c_work_after_an_upgrade_when_it_is_supervised() {
    goes_on_after(&mut replaceable(), &["--id", "talk"], |server| upgrade(server));
}

#[test]
fn what_is_typed_while_the_line_is_lost_gets_there_once_it_is_back() {
    let server = TestServer::start();
    let proxy = Proxy::start(server.address().parse().unwrap());
    let mut client = server.bare_client();
    client.args(["-H", &proxy.address().to_string(), "run", "-t", "-q", "--", "bash", "-c", DIALOGUE]);
    let mut session = Session::start(&server, &client);
    session.screen.wait_for("ready");
    proxy.refuse();
    proxy.set(Mode::Reset);
    proxy.wait_until("the line is cut", |observed| observed.open == 0);
    session.screen.keys(b"one\rtwo\r");
    session.screen.resize(12, 60);
    proxy.set(Mode::Pass);
    proxy.accept();
    session.screen.wait_for("two: ");
    answers(&mut session, "three", "12 60");
    session.screen.keys(b"\x03");
    let text = session.exits(6);
    assert_eq!((text.matches("one: ").count(), text.matches("two: ").count()), (1, 1), "{text}");
}

#[test]
fn a_job_that_was_left_to_the_server_can_be_read_and_gone_on_with() {
    for options in [&[][..], &["--id", "left"]] {
        let server = TestServer::start();
        let arguments =
            [options, &["--", "bash", "-c", "echo ready; read -r line; echo \"got $line\"; exit 3"]];
        let mut session = Session::run(&server, &arguments.concat());
        session.screen.wait_for("ready");
        session.screen.keys(b"\x1cd");
        let text = session.exits(0);
        assert!(text.contains("client: detached: job"), "{text}");
        let list = Ran::of(server.client().arg("jobs")).succeeds();
        let id = list.lines().nth(1).unwrap().split(' ').next().unwrap();
        let mut attached = Running::start(server.client().args(["attach", id]));
        attached.write(b"this\n");
        attached.wait_for_stdout("got this\r\n");
        let ran = attached.finish().exits(3);
        assert!(ran.text().ends_with("this\r\ngot this\r\n"), "{ran:?}");
        // What its clients have is kept where a supervisor keeps it.
        if !options.is_empty() {
            let logs = Ran::of(server.client().args(["logs", id])).exits(0);
            assert_eq!(logs.text(), "ready\r\nthis\r\ngot this\r\n");
        }
    }
}

#[test]
fn a_client_that_is_killed_takes_what_is_on_its_terminal_along() {
    let server = TestServer::start();
    let mark = tests::Mark::new();
    let option = mark.option();
    let options: Vec<&str> = option.iter().map(String::as_str).collect();
    // Two process groups, and one that has put itself beyond the reach of a hangup.
    let text = "set -m; sleep 1000 & (trap '' HUP; sleep 1000) & echo ready; cat";
    let mut session = Session::run(&server, &[&options, &["--", "bash", "-c", text][..]].concat());
    session.screen.wait_for("ready");
    kill_process(rustix::process::Pid::from_child(&session.client), Signal::KILL).unwrap();
    session.client.wait().unwrap();
    mark.wait_until_gone();
}
