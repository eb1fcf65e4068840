//! The events of `--json`, one object a line on stdout. Their shape is a promise: see `docs/cli.md`.

mod text;

use std::io;

use bytes::Bytes;
use common::job::{JobId, Outcome};
use serde::Serialize;
use tokio::sync::Mutex;

use self::text::{Chunk, Chunker};
use super::failure::Failure;
use super::output::{Relayed, Streams, Unclosed, Writer, reader_gone};
use crate::{Finished, PeakMemory, Usage};

/// One line.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum Event<'a> {
    /// The command runs.
    Started {
        /// The job's id.
        id: &'a JobId,
        /// Its process id on the server.
        process_id: u32,
    },
    /// The command has written to stdout.
    Stdout(Chunk),
    /// The command has written to stderr.
    Stderr(Chunk),
    /// The job is over.
    Ended(Ended<'a>),
    /// This client has left the job to the server, where it goes on.
    Detached {
        /// The job's id.
        id: &'a JobId,
    },
    /// Another client has taken this one's place; the job goes on there.
    Superseded {
        /// The job's id.
        id: &'a JobId,
    },
    /// There was no job.
    Error {
        /// What failed.
        message: String,
    },
}

/// The end of a job.
#[derive(Debug, Serialize)]
pub(crate) struct Ended<'a> {
    id: &'a JobId,
    #[serde(flatten)]
    outcome: How,
    #[serde(flatten)]
    counts: Option<Counts>,
}

#[derive(Debug, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub(super) enum How {
    Exited { code: u8 },
    Signaled { signal: String, core_dumped: bool },
    TimedOut,
    Cancelled,
    NotStarted { reason: &'static str, message: String },
    Lost { message: String },
}

/// What is known of a job that ran to its end.
#[derive(Debug, Serialize)]
struct Counts {
    stdout_bytes: u64,
    stderr_bytes: u64,
    stdin_consumed: u64,
    output_left_open: bool,
    out_of_memory: bool,
    wall_seconds: f64,
    #[serde(flatten)]
    usage: Option<Used>,
}

/// What the job has taken from the machine.
#[derive(Debug, Serialize)]
struct Used {
    cpu_seconds: f64,
    #[serde(flatten)]
    peak_memory: Peak,
}

#[derive(Debug, Serialize)]
enum Peak {
    #[serde(rename = "peak_memory_bytes")]
    Exactly(u64),
    #[serde(rename = "peak_memory_at_most_bytes")]
    AtMost(u64),
}

impl From<Usage> for Used {
    fn from(usage: Usage) -> Self {
        let peak_memory = match usage.peak_memory {
            PeakMemory::Exactly(bytes) => Peak::Exactly(bytes),
            PeakMemory::AtMost(bytes) => Peak::AtMost(bytes),
        };
        Self { cpu_seconds: usage.cpu().as_secs_f64(), peak_memory }
    }
}

impl<'a> Ended<'a> {
    /// As the server reports it.
    pub(crate) fn reported(id: &'a JobId, finished: &Finished) -> Self {
        let ran = !matches!(finished.outcome, Outcome::NotStarted(_) | Outcome::Lost(_));
        let counts = ran.then_some(Counts {
            stdout_bytes: finished.stdout_bytes,
            stderr_bytes: finished.stderr_bytes,
            stdin_consumed: finished.stdin_consumed,
            output_left_open: finished.output_left_open,
            out_of_memory: finished.out_of_memory,
            wall_seconds: finished.wall.as_secs_f64(),
            usage: finished.usage.map(Used::from),
        });
        Self { id, outcome: How::from(&finished.outcome), counts }
    }

    /// Nobody here can say.
    pub(crate) fn lost(id: &'a JobId, message: String) -> Self {
        Self { id, outcome: How::Lost { message }, counts: None }
    }

    /// The user left, and the server ends the job.
    pub(crate) fn cancelled(id: &'a JobId) -> Self {
        Self { id, outcome: How::Cancelled, counts: None }
    }
}

impl From<&Outcome> for How {
    fn from(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Exited(code) => Self::Exited { code: *code },
            Outcome::Signaled { signal, core_dumped } => {
                Self::Signaled { signal: signal.to_string(), core_dumped: *core_dumped }
            }
            Outcome::TimedOut => Self::TimedOut,
            Outcome::Cancelled => Self::Cancelled,
            Outcome::NotStarted(failure) => {
                Self::NotStarted { reason: failure.name(), message: failure.to_string() }
            }
            Outcome::Lost(known) => Self::Lost { message: known.clone() },
        }
    }
}

/// Writes events to stdout, whole lines in the order in which they are told.
#[derive(Debug)]
pub(crate) struct Narrator(Mutex<Writer>);

impl Narrator {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Writer::stdout()))
    }

    /// Tells one event.
    ///
    /// # Errors
    /// The system's, of this or an earlier write.
    pub(crate) async fn tell(&self, event: &Event<'_>) -> io::Result<()> {
        let line = common::json::line(event)?;
        self.0.lock().await.write(Bytes::from(line)).await
    }

    /// Tells a job's output until it has ended.
    ///
    /// # Errors
    /// [`Failure::Output`].
    pub(crate) async fn relay(&self, streams: Streams) -> Result<Relayed, Failure> {
        let told = tokio::try_join!(
            self.tell_stream(streams.stdout, Event::Stdout),
            self.tell_stream(streams.stderr, Event::Stderr),
        );
        reader_gone(told.map(|_| ()), "stdout")
    }

    async fn tell_stream(
        &self,
        output: Option<Unclosed>,
        event: fn(Chunk) -> Event<'static>,
    ) -> io::Result<()> {
        let Some(mut output) = output else { return Ok(()) };
        let told = self.tell_chunks(&mut output, event).await;
        output.close();
        told
    }

    async fn tell_chunks(&self, output: &mut Unclosed, event: fn(Chunk) -> Event<'static>) -> io::Result<()> {
        let mut chunker = Chunker::default();
        while let Some((offset, bytes)) = output.next_at().await {
            // A stream that begins late, or leaves something out.
            if let Some(chunk) = chunker.go_on_at(offset) {
                self.tell(&event(chunk)).await?;
            }
            if let Some(chunk) = chunker.push(&bytes) {
                self.tell(&event(chunk)).await?;
            }
        }
        match chunker.finish() {
            Some(chunk) => self.tell(&event(chunk)).await,
            None => Ok(()),
        }
    }

    /// Waits until everything is written.
    ///
    /// # Errors
    /// The system's.
    pub(crate) async fn finish(self) -> io::Result<()> {
        self.0.into_inner().finish().await
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use common::job::{Signal, StartFailure};

    use super::*;

    fn line(event: &Event<'_>) -> String {
        serde_json::to_string(event).unwrap()
    }

    fn ended(outcome: Outcome) -> String {
        let finished = Finished {
            outcome,
            stdout_bytes: 3,
            stderr_bytes: 0,
            stdin_consumed: 7,
            output_left_open: false,
            out_of_memory: false,
            wall: Duration::from_millis(1500),
            usage: Some(Usage { cpu_us: 250_000, peak_memory: PeakMemory::AtMost(4096) }),
            missed: 0,
        };
        line(&Event::Ended(Ended::reported(&"j1".parse().unwrap(), &finished)))
    }

    #[test]
    fn what_happens_on_the_way() {
        let id = "j1".parse().unwrap();
        let started = line(&Event::Started { id: &id, process_id: 123 });
        assert_eq!(started, r#"{"event":"started","id":"j1","process_id":123}"#);
        let mut chunker = Chunker::default();
        let text = line(&Event::Stdout(chunker.push("a\n\u{1b}ü\"".as_bytes()).unwrap()));
        assert_eq!(text, r#"{"event":"stdout","offset":0,"text":"a\n\u001bü\""}"#);
        let bytes = line(&Event::Stderr(chunker.push(b"\xff\xfe\x00").unwrap()));
        assert_eq!(bytes, r#"{"event":"stderr","offset":6,"base64":"//4A"}"#);
        let error = line(&Event::Error { message: "no".to_owned() });
        assert_eq!(error, r#"{"event":"error","message":"no"}"#);
    }

    #[test]
    fn ends_with_counts() {
        let counts = r#""stdout_bytes":3,"stderr_bytes":0,"stdin_consumed":7,"output_left_open":false,"out_of_memory":false,"wall_seconds":1.5,"cpu_seconds":0.25,"peak_memory_at_most_bytes":4096}"#;
        let expect = |outcome: Outcome, how: &str| {
            assert_eq!(ended(outcome), format!(r#"{{"event":"ended","id":"j1",{how},{counts}"#));
        };
        expect(Outcome::Exited(0), r#""outcome":"exited","code":0"#);
        let signaled = Outcome::Signaled { signal: Signal::TERM, core_dumped: false };
        expect(signaled, r#""outcome":"signaled","signal":"TERM","core_dumped":false"#);
        expect(Outcome::TimedOut, r#""outcome":"timed_out""#);
        expect(Outcome::Cancelled, r#""outcome":"cancelled""#);
    }

    #[test]
    fn ends_without_counts() {
        let failure = StartFailure::NotFound { program: "foo".to_owned(), searched: String::new() };
        let expected = r#"{"event":"ended","id":"j1","outcome":"not_started","reason":"not_found","message":"foo: not found"}"#;
        assert_eq!(ended(Outcome::NotStarted(failure)), expected);
        let expected = r#"{"event":"ended","id":"j1","outcome":"lost","message":"gone"}"#;
        assert_eq!(ended(Outcome::Lost("gone".to_owned())), expected);
        let cancelled = line(&Event::Ended(Ended::cancelled(&"j1".parse().unwrap())));
        assert_eq!(cancelled, r#"{"event":"ended","id":"j1","outcome":"cancelled"}"#);
    }
}
