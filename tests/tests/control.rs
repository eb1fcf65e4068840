//! A shell that is told what to do and says when it is done: each command arrives once, over lines that are lost and through upgrades
//! of the server, and what is said to be done has been shown.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use std::collections::VecDeque;
use std::fs;
use std::ops::Range;

use client::{Bytes, Client, Command, Error, Job, JobOutput, Outcome, Stdin, Terminal, WindowSize};
use tests::proxy::{Cutter, Proxy};
use tests::{Ran, Sandbox, TestServer, has_own_home, within};

/// One record of what a job reports.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Report {
    stdout: u64,
    stderr: u64,
    bytes: Vec<u8>,
}

/// What a job reports, record by record.
struct Reports {
    stream: JobOutput,
    rest: Vec<u8>,
}

impl Reports {
    async fn next(&mut self) -> Option<Report> {
        loop {
            if let Some((header, behind)) = self.rest.split_at_checked(20) {
                let number = |at: usize| u64::from_le_bytes(header[at..at + 8].try_into().unwrap());
                let length = u32::from_le_bytes(header[16..].try_into().unwrap()) as usize;
                assert!((1..=4096).contains(&length), "{length}");
                if let Some((bytes, behind)) = behind.split_at_checked(length) {
                    let report = Report { stdout: number(0), stderr: number(8), bytes: bytes.to_vec() };
                    self.rest = behind.to_vec();
                    return Some(report);
                }
            }
            self.rest.extend_from_slice(&self.stream.next().await?);
        }
    }
}

/// A shell that reads what to do from its descriptor 0.
struct Shell {
    job: Job,
    reports: Reports,
    stdout: JobOutput,
    /// What it has written.
    output: Vec<u8>,
    /// Of what it has reported, what is no whole line yet.
    line: Vec<u8>,
    /// How much of its output is said to be there.
    shown: u64,
}

fn shell(client: &Client, terminal: bool) -> Command<'_> {
    let mut command = client.command("/bin/sh");
    command.control(true);
    if terminal {
        let size = WindowSize { rows: 24, columns: 80, width: 0, height: 0 };
        command.terminal(Terminal { name: "dumb".into(), size, modes: Vec::new() });
    }
    command
}

impl Shell {
    async fn start(client: &Client, terminal: bool) -> Self {
        Self::of(&shell(client, terminal)).await
    }

    async fn of(command: &Command<'_>) -> Self {
        let mut job = within("the shell starts", command.spawn()).await.unwrap();
        let reports = Reports { stream: job.control.take().unwrap(), rest: Vec::new() };
        let stdout = job.stdout.take().unwrap();
        Self { job, reports, stdout, output: Vec::new(), line: Vec::new(), shown: 0 }
    }

    fn tell(&self, text: &str) {
        self.job.tell(Bytes::copy_from_slice(text.as_bytes())).unwrap();
    }

    /// The next line that it reports, and how far its output had come, which is taken meanwhile.
    async fn next(&mut self) -> (String, u64) {
        loop {
            if let Some(at) = self.line.iter().position(|byte| *byte == b'\n') {
                let rest = self.line.split_off(at + 1);
                let line = std::mem::replace(&mut self.line, rest);
                return (String::from_utf8(line).unwrap().trim_end().to_owned(), self.shown);
            }
            let next = within("something is reported", async {
                tokio::select! {
                    report = self.reports.next() => match report {
                        Some(report) => Some(report),
                        None => panic!("{:?}", self.job.wait().await),
                    },
                    Some(bytes) = self.stdout.next() => {
                        self.output.extend_from_slice(&bytes);
                        None
                    }
                }
            });
            if let Some(report) = next.await {
                self.line.extend_from_slice(&report.bytes);
                self.shown = report.stdout;
            }
        }
    }

    async fn end(mut self) -> (String, Outcome) {
        self.tell("exit 7\n");
        while let Some(bytes) = within("output comes", self.stdout.next()).await {
            self.output.extend_from_slice(&bytes);
        }
        assert_eq!(within("the reports end", self.reports.next()).await, None);
        let finished = within("the shell ends", self.job.wait()).await.unwrap();
        assert_eq!(finished.stdout_bytes, self.output.len() as u64);
        (String::from_utf8(self.output).unwrap(), finished.outcome)
    }
}

/// A server and a line to it that is cut so often.
fn far_away(cuts: u64, gap: u64) -> (TestServer, Proxy) {
    let server = TestServer::start();
    let proxy = Proxy::start(server.address().parse().unwrap());
    proxy.cut_by(Cutter::random(3, cuts, 1..=gap));
    (server, proxy)
}

/// Tells a shell so many things, some of them ahead of its answers: all are done once and in their order, and what was written before
/// one is reported is below the offset that says so.
async fn tells(shell: &mut Shell, numbers: Range<usize>, end_of_line: usize) {
    let (mut told, mut waiting) = (numbers.start, VecDeque::new());
    for number in numbers.clone() {
        while told < numbers.end && waiting.len() < 20 {
            shell.tell(&format!("echo {told}; echo {told} >&9\n"));
            waiting.push_back(told);
            told += 1;
        }
        let (line, shown) = shell.next().await;
        assert_eq!((line, waiting.pop_front()), (number.to_string(), Some(number)));
        assert!(shown >= written(number + 1, end_of_line), "{number} is reported at {shown}");
    }
}

/// How much of its output a shell has written when it has counted to there.
fn written(count: usize, end_of_line: usize) -> u64 {
    (0..count).map(|number| (number.to_string().len() + end_of_line) as u64).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_reports_come_behind_what_they_report_over_a_line_that_is_cut_again_and_again() {
    if !has_own_home(
        "ten_thousand_reports_come_behind_what_they_report_over_a_line_that_is_cut_again_and_again",
    ) {
        return;
    }
    for (terminal, end) in [(false, "\n"), (true, "\r\n")] {
        let (server, proxy) = far_away(60, 40_000);
        let client = server.connect_by(&proxy.address().to_string()).await;
        let mut shell = Shell::start(&client, terminal).await;
        tells(&mut shell, 0..10_000, end.len()).await;
        let (output, outcome) = shell.end().await;
        let expected: String = (0..10_000).map(|number| format!("{number}{end}")).collect();
        assert!(output == expected, "{} bytes", output.len());
        assert_eq!(outcome, Outcome::Exited(7));
        let observed = proxy.observed();
        assert!(observed.cuts >= 20, "{observed:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shell_goes_on_through_upgrades_of_its_server() {
    if !has_own_home("a_shell_goes_on_through_upgrades_of_its_server") {
        return;
    }
    let sandbox = Sandbox::with_keys();
    // Not in this process, which would have it open for writing while other tests start programs.
    let program = sandbox.path("telexd");
    let own = sandbox.server().get_program().to_owned();
    Ran::of(sandbox.command("/usr/bin/install").args(["-m", "755"]).arg(own).arg(&program)).succeeds();
    let server = TestServer::options_in(sandbox).program(program).patient().listen("127.0.0.1:0").start();
    let client = server.connect().await;
    for terminal in [false, true] {
        let mut shell = Shell::start(&client, terminal).await;
        shell.tell("kept=here; cd /tmp; echo $$ >&9\n");
        let (process, _) = shell.next().await;
        let mut tell_on = async |rounds: Range<usize>| {
            for round in rounds {
                // More than the pipe holds waits in the server, and it is in the middle of something.
                let gate = server.path(&format!("gate{round}.{terminal}"));
                shell.tell(&format!("echo wait >&9; until [ -e {} ]; do sleep 0.02; done\n", gate.display()));
                let filler = format!(": {}\n", "x".repeat(3000));
                (0..40).for_each(|_| shell.tell(&filler));
                assert_eq!(shell.next().await.0, "wait");
                shell.tell("echo $kept $PWD $$ >&9\n");
                upgrade(&server).await;
                fs::write(&gate, "").unwrap();
                assert_eq!(shell.next().await.0, format!("here /tmp {process}"));
            }
        };
        tell_on(0..3).await;
        let (_, outcome) = shell.end().await;
        assert_eq!(outcome, Outcome::Exited(7));
    }
}

async fn upgrade(server: &TestServer) {
    let mut upgrade = server.server();
    upgrade.arg("upgrade");
    tokio::task::spawn_blocking(move || Ran::of(&mut upgrade).succeeds()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_shell_does_not_read_is_declined_and_never_half_of_it_is_told() {
    let server = TestServer::start();
    let client = server.connect().await;
    let gate = server.path("gate");
    // It reads nothing until then, and then everything, which it reports.
    let script = format!("until [ -e {} ]; do sleep 0.02; done; exec cat >&9", gate.display());
    let mut shell = Shell::of(client.shell(script).control(true)).await;
    let piece = |number: usize| format!("{number:04}{}\n", "x".repeat(9000));
    let mut told = 0;
    let error = loop {
        match shell.job.tell(piece(told).into()) {
            Ok(()) => told += 1,
            // The server has not answered yet.
            Err(Error::TooManyOrders) => tokio::task::yield_now().await,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, Error::Declined { .. }), "{error:?}");
    fs::write(&gate, "").unwrap();
    // What is told from now on arrives, once there is room, and behind the rest.
    while shell.job.tell("last\n".into()).is_err() {
        tokio::task::yield_now().await;
    }
    let (mut numbers, mut line) = (Vec::new(), String::new());
    while line != "last" {
        line = shell.next().await.0;
        if line != "last" {
            let number: usize = line[..4].parse().unwrap();
            assert_eq!(format!("{line}\n"), piece(number));
            numbers.push(number);
        }
    }
    assert!(numbers.is_sorted_by(|one, next| one < next), "{numbers:?}");
    assert!((28..told).contains(&numbers.len()), "{} of {told}", numbers.len());
    shell.job.cancel().unwrap();
}

#[tokio::test]
async fn what_nobody_could_do_is_said_before_anything_runs() {
    let server = TestServer::start();
    let client = server.connect().await;
    let with_stdin = shell(&client, false).stdin(Stdin::Piped).start().await.unwrap_err();
    assert!(matches!(with_stdin, Error::Spec(_)), "{with_stdin:?}");
    let supervised = shell(&client, true).supervised(true).start().await.unwrap_err();
    assert!(matches!(supervised, Error::Spec(_)), "{supervised:?}");
    let job = client.shell("true").spawn().await.unwrap();
    assert!(job.control.is_none());
    assert!(matches!(job.tell("x".into()), Err(Error::NoControl { .. })));
    let shell = Shell::start(&client, false).await;
    let long = vec![b'x'; 256 * 1024];
    assert!(matches!(shell.job.tell(long.into()), Err(Error::TooLong(_))));
    assert_eq!(shell.end().await.1, Outcome::Exited(7));
}
