//! Jobs go on while one program becomes the next: their clients come back, and to neither of them anything is missing.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::frame::{JobNumber, StreamId};
use common::job::{JobId, Outcome, Program, Spec};
use common::message::{AttachmentId, ClientMessage, ServerMessage, Start};
use common::packet::Packet;
use rustix::fs::{FlockOperation, flock};
use rustix::process::Signal;
use tests::{DEADLINE, Mark, Ran, RawClient, Running, Sandbox, TestServer, wait_until, zombie_children};

use super::{does_not_upgrade, replace, replace_with_script, replaceable, upgrade};

/// Jobs at the same time.
const JOBS: usize = 50;

fn started(server: &TestServer, arguments: &[&str]) -> Running {
    Running::start(server.client().args(["run", "-q"]).args(arguments))
}

fn server() -> TestServer {
    replaceable(Sandbox::with_keys()).listen("127.0.0.1:0").start()
}

/// How many descriptors the server has that a job needs: pipes, processes, memory.
fn of_jobs(server: &TestServer) -> usize {
    let open = fs::read_dir(format!("/proc/{}/fd", server.process_id())).unwrap();
    let links = open.flatten().filter_map(|entry| fs::read_link(entry.path()).ok());
    let is_of_job = |link: &PathBuf| {
        let link = link.to_string_lossy();
        ["pipe:", "pidfd", "memfd", "deleted"].iter().any(|kind| link.contains(kind))
    };
    links.filter(is_of_job).count()
}

/// Whoever has ended is taken leave of, orphans a little later than others.
#[track_caller]
fn nobody_is_left(server: &TestServer) {
    wait_until("nobody is left", DEADLINE, || zombie_children(server.process_id()).is_empty());
}

/// The sum that is written there in the end.
fn sum(path: PathBuf) -> String {
    wait_until("a sum is written", DEADLINE, || fs::read(&path).is_ok_and(|sum| sum.ends_with(b"\n")));
    fs::read_to_string(path).unwrap()
}

/// A shell that does `script`, in which `"$@"` is the client.
fn with_client(client: &Command, script: &str) -> Command {
    let mut shell = Command::new("/bin/bash");
    shell.args(["-c", script, "bash"]).arg(client.get_program()).args(client.get_args());
    shell.envs(client.get_envs().filter_map(|(name, value)| Some((name, value?))));
    shell
}

/// The moment in which neither program is the server: the old one is gone, and the next has not begun. Once in a test.
struct Between<'a> {
    server: &'a TestServer,
    gate: File,
    upgrading: Running,
}

impl<'a> Between<'a> {
    /// Has the next program wait before it begins. What waits is no shell: those take leave of the server's children.
    fn enter(server: &'a TestServer) -> Self {
        let [there, gate] = ["there", "gate"].map(|name| server.path(name));
        let wait = format!(": > {}; exec flock -F {} $REAL \"$@\"", there.display(), gate.display());
        let script = format!("case \"$*\" in *handover-check*) exec $REAL \"$@\" ;; esac; {wait}");
        replace_with_script(server, &script, 0o755);
        let gate = File::create(gate).unwrap();
        flock(&gate, FlockOperation::LockExclusive).unwrap();
        let upgrading = Running::start(server.server().arg("upgrade"));
        wait_until("one program is gone", DEADLINE, || there.exists());
        Self { server, gate, upgrading }
    }

    /// The next program begins; the one after it will do so at once.
    fn leave(self) {
        drop(self.gate);
        self.upgrading.finish().succeeds();
        replace(self.server);
    }
}

#[test]
fn streams_go_on_byte_exact_through_upgrades_in_a_row() {
    let mut server = server();
    let directory = tempfile::tempdir().unwrap();
    let there = directory.path().join("there");
    fs::create_dir(&there).unwrap();
    let (gate, dir) = (directory.path().join("gate"), there.display());
    // Both sides go on as long as there is no gate.
    let noise = format!("while [ ! -e {} ]; do head -c 300000 /dev/urandom; done", gate.display());
    let job = format!(
        "echo x >> {dir}/starts; exec 4<&0; (sha256sum <&4 > {dir}/stdin) & reader=$!
         ({noise} | tee >(sha256sum > {dir}/stderr) >&2) & writer=$!
         {noise} | tee >(sha256sum > {dir}/stdout); wait $reader $writer; exit 7"
    );
    let here = directory.path();
    let mut client = server.client();
    client.args(["run", "-q", "--", "bash", "-c", &job]);
    let script = format!(
        "({noise}) | tee >(sha256sum > stdin) | \"$@\" > >(sha256sum > stdout) 2> >(sha256sum > stderr)
         exit ${{PIPESTATUS[2]}}"
    );
    let mut shell = with_client(&client, &script);
    shell.current_dir(here);
    let mut running = Running::start(&mut shell);
    wait_until("the job runs", DEADLINE, || there.join("starts").exists());
    for _ in 0..8 {
        upgrade(&server).succeeds();
        assert!(!running.has_ended(), "{running:?}");
    }
    fs::write(&gate, "").unwrap();
    running.finish().exits(7);
    assert_eq!(fs::read_to_string(there.join("starts")).unwrap(), "x\n");
    for stream in ["stdin", "stdout", "stderr"] {
        assert_eq!(sum(here.join(stream)), sum(there.join(stream)), "{stream}");
    }
    server.still_serves();
}

#[test]
fn what_happens_between_two_programs_is_not_missed() {
    let mut server = server();
    let open = of_jobs(&server);
    let (end, mark) = (server.path("end"), Mark::new());
    let wait = format!("until [ -e {} ]; do sleep 0.02; done", end.display());
    let marked = mark.option();
    let marked = [marked[0].as_str(), &marked[1]];
    let mut ends = started(&server, &[marked[0], marked[1], &format!("echo one; {wait}; echo late; exit 3")]);
    let mut dies = started(&server, &[marked[0], marked[1], &format!("echo one; {wait}; kill -USR1 $$")]);
    let told = Mark::new();
    let mut cancelled = Running::start(
        server.client().args(["run", "-q"]).args(told.option()).arg("echo one; exec sleep 1000"),
    );
    let mut signalled =
        started(&server, &["trap 'echo usr1; exit 4' USR1; echo one; while :; do sleep 0.02; done"]);
    for client in [&mut ends, &mut dies, &mut cancelled, &mut signalled] {
        client.wait_for_stdout("one\n");
    }
    let between = Between::enter(&server);
    fs::write(&end, "").unwrap();
    mark.wait_until_gone();
    cancelled.signal(Signal::TERM);
    signalled.signal(Signal::USR1);
    between.leave();
    let ended = ends.finish().exits(3);
    assert_eq!(ended.text(), "one\nlate\n");
    dies.finish().exits(128 + 10);
    cancelled.finish().exits(128 + 15);
    told.wait_until_gone();
    assert_eq!(signalled.finish().exits(4).text(), "one\nusr1\n");
    server.still_serves();
    wait_until("nothing of them is left open", DEADLINE, || of_jobs(&server) <= open);
    nobody_is_left(&server);
    let trail = server.log();
    assert_eq!(
        trail.matches("\"event\":\"job_start\"").count(),
        trail.matches("\"event\":\"job_end\"").count()
    );
}

#[test]
fn a_client_that_is_killed_between_two_programs_is_waited_for_and_not_longer() {
    let server = server();
    let mark = Mark::new();
    let mut client = Running::start(
        server
            .client()
            .args(["run", "-q", "--grace", "1s"])
            .args(mark.option())
            .arg("echo ready; exec sleep 1000"),
    );
    client.wait_for_stdout("ready\n");
    let between = Between::enter(&server);
    client.signal(Signal::KILL);
    client.finish();
    assert_eq!(mark.processes().len(), 1);
    between.leave();
    mark.wait_until_gone();
    wait_until("it is taken leave of", DEADLINE, || {
        zombie_children(server.process_id()).is_empty() && server.log().contains("\"event\":\"job_end\"")
    });
}

#[test]
fn a_job_that_is_being_ended_is_ended_by_the_next_program() {
    let server = server();
    let mark = Mark::new();
    let job = "trap 'echo hup' HUP; trap 'echo term' TERM; echo ready; while :; do sleep 0.05; done";
    let mut client = Running::start(
        server.client().args(["run", "-q", "--timeout", "300ms"]).args(mark.option()).arg(job),
    );
    let before = Instant::now();
    for said in ["ready\n", "hup\n", "term\n"] {
        client.wait_for_stdout(said);
        upgrade(&server).succeeds();
    }
    let ran = client.finish().exits(124);
    assert_eq!(ran.text(), "ready\nhup\nterm\n", "each rung once");
    // From the HUP on, whoever was the server meanwhile.
    let elapsed = before.elapsed();
    assert!((Duration::from_secs(9)..Duration::from_secs(20)).contains(&elapsed), "{elapsed:?}");
    mark.wait_until_gone();
    nobody_is_left(&server);
}

#[test]
fn fifty_jobs_go_on() {
    let mut server = server();
    let open = of_jobs(&server);
    let mut clients: Vec<_> = (0..JOBS)
        .map(|number| started(&server, &[&format!("echo one; cat; echo two >&2; exit {number}")]))
        .collect();
    clients.iter_mut().for_each(|client| client.wait_for_stdout("one\n"));
    for round in 0..3 {
        upgrade(&server).succeeds();
        for (number, client) in clients.iter_mut().enumerate() {
            client.write(format!("{number}:{round}\n").as_bytes());
        }
        let last = clients.len() - 1;
        clients[last].wait_for_stdout(&format!("{last}:{round}\n"));
    }
    // None holds open what belongs to another: each gets the end of its own input.
    for (number, client) in clients.into_iter().enumerate() {
        let ran = client.finish().exits(i32::try_from(number).unwrap());
        assert_eq!(ran.text(), format!("one\n{number}:0\n{number}:1\n{number}:2\n"));
        assert_eq!(ran.errors(), "two\n");
    }
    let seen = server.run(["ls -l /proc/self/fd"]).succeeds();
    assert!(!seen.contains("memfd") && !seen.contains("socket:") && !seen.contains("pidfd"), "{seen}");
    server.still_serves();
    wait_until("nothing of them is left open", DEADLINE, || of_jobs(&server) <= open);
    nobody_is_left(&server);
}

#[test]
fn what_a_slow_client_has_not_read_waits_for_it() {
    let server = server();
    let gate = server.path("gate");
    let mut client = server.client();
    client.args(["run", "-q", "seq 1 4000000; exit 5"]);
    let read = format!("until [ -e {} ]; do sleep 0.05; done; sha256sum", gate.display());
    let mut shell = with_client(&client, &format!("\"$@\" | {{ {read}; }}; exit ${{PIPESTATUS[0]}}"));
    let running = Running::start(&mut shell);
    wait_until("it runs", DEADLINE, || server.log().contains("\"event\":\"job_start\""));
    for _ in 0..3 {
        upgrade(&server).succeeds();
    }
    fs::write(gate, "").unwrap();
    let expected =
        Command::new("/bin/sh").args(["-c", "seq 1 4000000 | sha256sum"]).stdin(Stdio::null()).output();
    assert_eq!(running.finish().exits(5).stdout, expected.unwrap().stdout);
}

#[test]
fn jobs_go_on_with_the_server_if_it_is_not_upgraded() {
    let mut server = server();
    let mut client = started(&server, &["while read line; do echo \"got $line\"; done; exit 6"]);
    client.write(b"one\n");
    client.wait_for_stdout("got one\n");
    // One that says so before, and one that cannot be executed when all stands still already.
    for script in ["echo no >&2; exit 78", "chmod 644 \"$0\"; exec $REAL \"$@\""] {
        replace_with_script(&server, script, 0o755);
        does_not_upgrade(&mut server);
        client.write(script.as_bytes());
        client.write(b"\n");
        client.wait_for_stdout(&format!("got {script}\n"));
    }
    replace(&server);
    upgrade(&server).succeeds();
    client.write(b"two\n");
    client.wait_for_stdout("got two\n");
    client.finish().exits(6);
    nobody_is_left(&server);
}

#[test]
fn a_command_that_has_closed_its_stdin_goes_on() {
    let server = server();
    let gate = server.path("end");
    let job = format!(
        "head -c 1; exec 0<&-; echo ready; until [ -e {} ]; do sleep 0.02; done; exit 8",
        gate.display()
    );
    // It ends, too, long before the command looks at it.
    let input = File::open(server.file("input", [b'x'; 200_000])).unwrap();
    let mut client = Running::start_with(server.client().args(["run", "-q", &job]), input);
    client.wait_for_stdout("xready\n");
    for _ in 0..2 {
        upgrade(&server).succeeds();
    }
    fs::write(gate, "").unwrap();
    client.finish().exits(8);
}

#[test]
fn nothing_runs_twice_and_what_has_run_is_known() {
    let server = server();
    let trace = server.path("trace");
    let spec = |name: &str| {
        Spec::new(Program::Shell(format!("echo {name} >> {}; echo out", trace.display()).as_str().into()))
    };
    let start = |name: &str| {
        Start::new(JobId::random().unwrap(), AttachmentId::random().unwrap(), spec(name)).unwrap()
    };
    let (first, second, begun) = (start("first"), start("second"), Instant::now());
    wait_until("clocks that differ are no matter", DEADLINE, || begun.elapsed() > Duration::from_millis(100));
    let said = Instant::now();
    let mut client = RawClient::greeted(server.address());
    client.send_message(1, ClientMessage::Start(first.clone()));
    assert_eq!(client.hear_ended(1).outcome, Outcome::Exited(0));
    upgrade(&server).succeeds();
    let age_ms = || u64::try_from(said.elapsed().as_millis()).unwrap() + 1;
    let mut client = RawClient::greeted(server.address());
    client.send_message(1, ClientMessage::Start(Start { age_ms: age_ms(), ..first }));
    let mut output = Vec::new();
    loop {
        match client.hear() {
            Some(Packet::Data { stream: StreamId::Stdout, bytes, .. }) => output.extend_from_slice(&bytes),
            Some(Packet::Message { job: JobNumber(1), message: ServerMessage::Ended(ended) }) => {
                assert_eq!(ended.outcome, Outcome::Exited(0));
                break;
            }
            Some(Packet::Message { .. } | Packet::Eof { .. }) => {}
            other => panic!("{other:?}"),
        }
    }
    // Its client has not said that it has it.
    assert_eq!(output, b"out\n");
    // What was asked for before, and has not reached the program before, runs now.
    client.send_message(2, ClientMessage::Start(Start { age_ms: age_ms(), ..second }));
    assert_eq!(client.hear_ended(2).outcome, Outcome::Exited(0));
    assert_eq!(fs::read_to_string(trace).unwrap(), "first\nsecond\n");
}

#[test]
fn supervisors_of_before_are_taken_leave_of() {
    let server = server();
    let gate = server.path("end");
    let job = format!("until [ -e {} ]; do sleep 0.02; done; exit 9", gate.display());
    let run = |id: &str| Ran::of(server.client().args(["run", "--detach", "--id", id, &job])).succeeds();
    run("between");
    let between = Between::enter(&server);
    fs::write(&gate, "").unwrap();
    between.leave();
    let ended = || server.log().matches("\"event\":\"job_end\"").count();
    wait_until("its end is recorded", DEADLINE, || ended() == 1);
    fs::remove_file(&gate).unwrap();
    run("after");
    upgrade(&server).succeeds();
    fs::write(&gate, "").unwrap();
    wait_until("its end is recorded", DEADLINE, || ended() == 2);
    for id in ["between", "after"] {
        Ran::of(server.client().args(["wait", id])).exits(9);
    }
    nobody_is_left(&server);
}
