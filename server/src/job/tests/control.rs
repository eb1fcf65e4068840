//! What is told and reported by control descriptors: what was written before a report is there when that is, and nothing waits for
//! what is written without end.

use common::frame::StreamId;
use tokio::time::Instant;

use super::*;

/// What a job has reported, with how far its outputs had come.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Report {
    stdout: u64,
    stderr: u64,
    text: String,
}

/// A job with control descriptors, and what was taken of it.
struct Controlled {
    running: Running,
    reports: Vec<u8>,
}

/// With a terminal, or without.
const BOTH: [bool; 2] = [true, false];

impl Controlled {
    fn start(text: &str, terminal: bool) -> Self {
        let terminal = terminal.then(|| Terminal { name: "xterm".into(), size: SIZE, modes: Vec::new() });
        let (stdin, extras) = (terminal.is_some(), Extras { terminal, control: true });
        let running = Running::with_extras(Program::Shell(text.into()), stdin, extras);
        Self { running, reports: Vec::new() }
    }

    fn tell(&self, text: &str) {
        let control = self.running.job.control.as_ref().unwrap();
        control.commands.push(text.as_bytes()).unwrap();
    }

    /// Reads more of what it reports; whether that has not ended.
    async fn read_reports(&mut self) -> bool {
        let outlet = self.running.job.outlet(StreamId::Control).unwrap();
        let read = timeout(DEADLINE, outlet.read(self.reports.len() as u64, usize::MAX)).await;
        match read.unwrap_or_else(|_| panic!("nothing is reported after {:?}", self.reports().last())) {
            Read::Bytes(bytes) => self.reports.extend_from_slice(&bytes),
            Read::Skip(_) => panic!("reports are lost"),
            Read::End => return false,
        }
        outlet.release(self.reports.len() as u64);
        true
    }

    /// All that has come whole.
    fn reports(&self) -> Vec<Report> {
        let (mut rest, mut reports) = (&self.reports[..], Vec::new());
        while let Some((header, behind)) = rest.split_at_checked(20) {
            let number = |at: usize| u64::from_le_bytes(header[at..at + 8].try_into().unwrap());
            let length = u32::from_le_bytes(header[16..].try_into().unwrap()) as usize;
            assert!((1..=4096).contains(&length), "{length}");
            let Some((text, behind)) = behind.split_at_checked(length) else { break };
            let text = String::from_utf8(text.to_vec()).unwrap();
            reports.push(Report { stdout: number(0), stderr: number(8), text });
            rest = behind;
        }
        reports
    }

    async fn wait_for_report(&mut self, text: &str) -> Report {
        loop {
            let reports = self.reports();
            if let Some(report) = reports.into_iter().find(|report| report.text.contains(text)) {
                return report;
            }
            assert!(self.read_reports().await, "it has ended without {text:?}");
        }
    }

    /// Everything until its end, and how that was.
    async fn end(mut self) -> (String, Vec<Report>, Ended) {
        let mut reports = std::mem::take(&mut self.reports);
        let running = &mut self.running;
        let job = Arc::clone(&running.job);
        let reading = async {
            let mut at = 0;
            loop {
                match job.stderr.read(at, usize::MAX).await {
                    Read::Bytes(bytes) => at += bytes.len() as u64,
                    Read::Skip(_) => panic!("output is lost"),
                    Read::End => return,
                }
                job.stderr.release(at);
            }
        };
        let reporting = async {
            let outlet = job.outlet(StreamId::Control).unwrap();
            while let Read::Bytes(bytes) = outlet.read(reports.len() as u64, usize::MAX).await {
                reports.extend_from_slice(&bytes);
                outlet.release(reports.len() as u64);
            }
        };
        let outputs = async { while running.read().await {} };
        timeout(3 * DEADLINE, async { tokio::join!(reading, reporting, outputs) }).await.expect("all ends");
        self.reports = reports;
        let reports = self.reports();
        let text = self.running.text();
        (text, reports, timeout(DEADLINE, self.running.task).await.expect("it ends").unwrap())
    }
}

#[tokio::test]
async fn what_was_written_before_a_report_is_there_when_that_is() {
    for terminal in BOTH {
        let script = "i=0; while [ $i -lt 10000 ]; do i=$((i+1)); echo $i; echo $i >&9; done";
        let (output, reports, ended) = Controlled::start(script, terminal).end().await;
        let end_of: Vec<usize> = output.match_indices('\n').map(|(at, _)| at + 1).collect();
        assert_eq!(end_of.len(), 10_000);
        let (mut number, mut line) = (0, String::new());
        for report in &reports {
            line += &report.text;
            while let Some((first, rest)) = line.split_once('\n') {
                number += 1;
                assert_eq!(first, number.to_string());
                assert!(report.stdout >= end_of[number - 1] as u64, "{number}: {report:?}");
                line = rest.to_owned();
            }
        }
        assert_eq!((number, ended.outcome), (10_000, Outcome::Exited(0)));
        let length = ended.totals.iter().find(|total| total.stream == StreamId::Control).unwrap().bytes;
        assert!(length > 0 && ended.totals.len() == 3);
    }
}

#[tokio::test]
async fn a_report_waits_for_stderr_as_for_stdout() {
    let script = "head -c 300000 /dev/zero; head -c 200000 /dev/zero >&2; printf done >&9; sleep 0.1; echo x; echo x >&2";
    let (_, reports, ended) = Controlled::start(script, false).end().await;
    assert_eq!(reports, [Report { stdout: 300_000, stderr: 200_000, text: "done".to_owned() }]);
    assert_eq!(ended.outcome, Outcome::Exited(0));
}

#[tokio::test]
async fn what_is_written_without_end_keeps_no_report_waiting() {
    for terminal in BOTH {
        let mut controlled = Controlled::start("yes & printf done >&9; read line; kill $!", terminal);
        let job = Arc::clone(&controlled.running.job);
        let drain = tokio::spawn(async move {
            let mut at = 0;
            while let Read::Bytes(bytes) = job.stdout.read(at, usize::MAX).await {
                at += bytes.len() as u64;
                job.stdout.release(at);
            }
        });
        let begun = Instant::now();
        controlled.wait_for_report("done").await;
        assert!(begun.elapsed() < DEADLINE / 4);
        controlled.tell("end\n");
        while controlled.read_reports().await {}
        drain.await.unwrap();
        assert_eq!(controlled.running.task.await.unwrap().outcome, Outcome::Exited(0));
    }
}

#[tokio::test]
async fn a_report_waits_for_a_client_that_does_not_take_what_was_written_before() {
    for terminal in BOTH {
        // More than there is room for, all of which is written when its command is over.
        let script = "head -c 3000000 /dev/zero | tr '\\0' x & wait; printf done >&9";
        let controlled = Controlled::start(script, terminal);
        let job = Arc::clone(&controlled.running.job);
        let full = async {
            while !job.stdout.is_full() {
                sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(DEADLINE, full).await.expect("the output is not read");
        assert_eq!(job.outlet(StreamId::Control).unwrap().kept(), (0, 0));
        let (output, reports, ended) = controlled.end().await;
        assert_eq!(output.len(), 3_000_000);
        assert_eq!(reports, [Report { stdout: 3_000_000, stderr: 0, text: "done".to_owned() }]);
        assert_eq!(ended.outcome, Outcome::Exited(0));
    }
}

#[tokio::test]
async fn a_command_that_ends_is_over_whoever_has_inherited_its_descriptors() {
    for terminal in BOTH {
        let script = "trap '' HUP; sleep 60 >/dev/null 2>&1 & echo $!; printf last >&9";
        let begun = Instant::now();
        let (output, reports, ended) = Controlled::start(script, terminal).end().await;
        assert!(begun.elapsed() < DEADLINE);
        let left = rustix::process::Pid::from_raw(output.trim().parse().unwrap()).unwrap();
        rustix::process::kill_process(left, rustix::process::Signal::KILL).unwrap();
        assert_eq!(reports.len(), 1);
        assert_eq!((ended.outcome, ended.output_left_open), (Outcome::Exited(0), false));
    }
}

#[tokio::test]
async fn what_is_reported_without_end_by_others_does_not_keep_the_job() {
    let (_, _, ended) = Controlled::start("yes >&9 2>/dev/null & sleep 0.1; exit 3", false).end().await;
    assert_eq!(ended.outcome, Outcome::Exited(3));
}

#[tokio::test]
async fn who_wants_no_reports_closes_the_descriptor() {
    let script = "trap '' PIPE; until ! echo x >&9; do sleep 0.01; done 2>/dev/null; exit 4";
    let controlled = Controlled::start(script, false);
    controlled.running.job.outlet(StreamId::Control).unwrap().close();
    assert_eq!(controlled.running.end().await.1.outcome, Outcome::Exited(4));
}

#[tokio::test]
async fn what_it_is_told_it_reads_once_and_in_order_also_if_it_is_cut_off() {
    for terminal in BOTH {
        let told: String = (0..15_000).map(|number| format!("line {number}\n")).collect();
        let script = format!("read first; echo $first >&9; head -c {} >&9", told.len());
        let mut controlled = Controlled::start(&script, terminal);
        controlled.tell("first\n");
        told.split_inclusive('\n').for_each(|line| controlled.tell(line));
        controlled.wait_for_report("line 5").await;
        controlled.running.pause.cancel();
        let (_, reports, ended) = controlled.end().await;
        let text: String = reports.into_iter().map(|report| report.text).collect();
        assert!(text == format!("first\n{told}"), "{}", text.len());
        assert_eq!(ended.outcome, Outcome::Exited(0));
    }
}
