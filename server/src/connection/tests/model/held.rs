//! One client's hold on a job, through the library that users have; and what may be true of it.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use client::{Client, Error, Finished, From, Job, JobOutput, JobStdin, Refusal, StreamId};
use common::job::{JobId, Outcome};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::task::{JoinHandle, unconstrained};

use crate::job::stage::{Play, content, is_content};

/// A job that is asked for in a history, and everything that may be taken into account when something goes wrong with it.
#[derive(Debug)]
pub(super) struct Subject {
    pub(super) id: JobId,
    /// How long its stdin is, if it has one: whoever writes it writes the same.
    pub(super) stdin: Option<u64>,
    /// Whether it goes on without a client: so it was agreed, or the server has said so since.
    pub(super) kept: bool,
    pub(super) supervised: bool,
    pub(super) grace: Duration,
    /// How many have asked to be its client.
    pub(super) writers: usize,
    /// How many have asked to start it.
    pub(super) starts: usize,
    /// For how long it may have had no client.
    pub(super) alone: Duration,
    /// Whether it may have been given up, or its output not be kept any more.
    pub(super) abandoned: bool,
    pub(super) cancelled: bool,
    pub(super) forgotten: bool,
    /// Whether somebody has died who knew of it.
    pub(super) doubt: bool,
    /// The next signal that has not been sent to it.
    pub(super) signal: i32,
}

impl Subject {
    /// Whether it may have been, and is not remembered.
    fn can_be_unknown(&self) -> bool {
        self.supervised && self.forgotten
    }

    /// Whether it may be ended because it has no client.
    fn may_be_ended(&self) -> bool {
        self.abandoned && !self.kept
    }
}

/// How hold of a job was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Start,
    /// A start of another job under the same id.
    Conflict,
    Attach,
    Follow,
    Observe,
}

/// A hold.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) subject: usize,
    pub(super) way: Way,
    /// Whether there may have been no such job when it was asked for.
    early: bool,
    coming: Option<JoinHandle<Result<Job, Error>>>,
    pub(super) job: Option<Job>,
    outputs: [Option<JobOutput>; 2],
    /// How far each output was delivered.
    at: [Option<u64>; 2],
    /// Whether each is wanted to its end.
    whole: [bool; 2],
    stdin: Option<UnboundedSender<u64>>,
    /// The signals that were sent through it.
    pub(super) signals: Vec<i32>,
    pub(super) result: Option<Result<Finished, Error>>,
}

/// What is wrong.
pub(super) type Fault = String;

/// The value, if it is there without waiting.
pub(super) fn now<T>(future: impl Future<Output = T>) -> Option<T> {
    // Or tokio may have it wait although it need not, and what was taken for it is lost.
    let future = pin!(unconstrained(future));
    match future.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

impl Held {
    /// A hold that is being taken.
    pub(super) fn coming(subject: usize, way: Way, client: &Arc<Client>, id: &JobId, early: bool) -> Self {
        let (client, id) = (Arc::clone(client), id.clone());
        let coming = tokio::spawn(async move {
            let known = client.job(id);
            match way {
                Way::Attach => known.attach(From::Oldest).await,
                Way::Observe => known.observe().await,
                Way::Follow | Way::Start | Way::Conflict => known.follow(From::Oldest).await,
            }
        });
        Self { coming: Some(coming), early, ..Self::new(subject, way) }
    }

    /// The hold of whoever has started the job.
    pub(super) fn started(subject: usize, way: Way, job: Job, stdin: Option<u64>) -> Self {
        let mut held = Self::new(subject, way);
        held.take(job, stdin);
        held
    }

    fn new(subject: usize, way: Way) -> Self {
        Self {
            subject,
            way,
            early: false,
            coming: None,
            job: None,
            outputs: [None, None],
            at: [None; 2],
            whole: [true; 2],
            stdin: None,
            signals: Vec::new(),
            result: None,
        }
    }

    fn take(&mut self, mut job: Job, total: Option<u64>) {
        self.outputs = [job.stdout.take(), job.stderr.take()];
        self.whole = [self.outputs[0].is_some(), self.outputs[1].is_some()];
        if let (Some(stdin), Some(total)) = (job.stdin.take(), total) {
            self.stdin = Some(feed(stdin, total));
        }
        self.job = Some(job);
    }

    /// Whether it waits for something.
    pub(super) fn is_open(&self) -> bool {
        self.result.is_none() && (self.coming.is_some() || self.job.is_some())
    }

    /// Looks what has become of it.
    pub(super) fn look(&mut self, subject: &Subject, plays: &[Arc<Play>]) -> Result<(), Fault> {
        if let Some(come) = self.coming.as_mut().and_then(now) {
            self.coming = None;
            match come.map_err(|error| error.to_string())? {
                Ok(job) => self.take(job, subject.stdin),
                Err(error) => self.conclude(Err(error), subject, plays)?,
            }
        }
        let Some(job) = &self.job else { return Ok(()) };
        match (now(job.wait()), &self.result) {
            (Some(result), None) => self.conclude(result, subject, plays),
            (Some(again), Some(before)) if shown(&again) != shown(before) => {
                Err(format!("an outcome was taken back: {before:?}, then {again:?}"))
            }
            (None, Some(before)) => Err(format!("an outcome is gone: {before:?}")),
            _ => Ok(()),
        }
    }

    /// Takes up to `count` pieces of each output.
    pub(super) fn consume(
        &mut self,
        count: usize,
        subject: &Subject,
        plays: &[Arc<Play>],
    ) -> Result<(), Fault> {
        for index in [0, 1] {
            for _ in 0..count {
                let Some(output) = &mut self.outputs[index] else { break };
                match now(output.next_at()) {
                    None => break,
                    Some(None) => self.outputs[index] = None,
                    Some(Some((offset, bytes))) => self.delivered(index, offset, &bytes, subject, plays)?,
                }
            }
        }
        Ok(())
    }

    fn delivered(
        &mut self,
        index: usize,
        offset: u64,
        bytes: &[u8],
        subject: &Subject,
        plays: &[Arc<Play>],
    ) -> Result<(), Fault> {
        let stream = [StreamId::Stdout, StreamId::Stderr][index];
        let at = match (self.at[index], self.way) {
            (Some(at), _) => at,
            (None, Way::Start) => 0,
            (None, _) => offset,
        };
        let end = offset + bytes.len() as u64;
        let place = format!("{stream} {offset}..{end} after {at}");
        if offset < at {
            return Err(format!("delivered twice: {place}"));
        }
        if offset > at && !self.may_miss(subject) {
            return Err(format!("a silent gap: {place}"));
        }
        if !is_content(stream, offset, bytes) {
            return Err(format!("other bytes than were written: {place}"));
        }
        let written = plays.iter().map(|play| play.script().written[index]).max().unwrap_or_default();
        if end > written {
            return Err(format!("more than was written: {place} of {written}"));
        }
        self.at[index] = Some(end);
        Ok(())
    }

    /// Whether bytes that were written before need not be kept for it.
    fn may_miss(&self, subject: &Subject) -> bool {
        self.way != Way::Start || subject.abandoned || subject.forgotten || subject.writers > 1
    }

    fn conclude(
        &mut self,
        result: Result<Finished, Error>,
        subject: &Subject,
        plays: &[Arc<Play>],
    ) -> Result<(), Fault> {
        self.consume(usize::MAX, subject, plays)?;
        self.stdin = None;
        let fault = match &result {
            Ok(finished) => self.wrong_end(finished, subject, plays),
            Err(error) => self.wrong_failure(error, subject),
        };
        match fault {
            Some(fault) => Err(format!("{}: {fault}: {}", subject.id, shown(&result))),
            None => {
                self.result = Some(result);
                Ok(())
            }
        }
    }

    fn wrong_end(&self, finished: &Finished, subject: &Subject, plays: &[Arc<Play>]) -> Option<Fault> {
        let script = plays.first().map(|play| play.script());
        let over = script.as_ref().and_then(|script| script.over.clone());
        match &finished.outcome {
            Outcome::Lost(_) => {
                return (!subject.doubt && !subject.can_be_unknown())
                    .then(|| "lost, and nobody has died".to_owned());
            }
            Outcome::NotStarted(_) => {
                return (!plays.is_empty() || !subject.may_be_ended())
                    .then(|| "it was started, or had no reason not to be".to_owned());
            }
            _ if self.way == Way::Conflict => return Some("another was asked for".to_owned()),
            Outcome::TimedOut => return Some("it had no time limit".to_owned()),
            Outcome::Cancelled if over.is_none() => return Some("it still runs".to_owned()),
            Outcome::Cancelled if !subject.cancelled && !subject.may_be_ended() => {
                return Some("nobody has cancelled it".to_owned());
            }
            Outcome::Cancelled => {}
            outcome if over.as_ref() != Some(outcome) => return Some(format!("it has ended as {over:?}")),
            _ => {}
        }
        let written = script.map(|script| script.written).unwrap_or_default();
        if [finished.stdout_bytes, finished.stderr_bytes] != written {
            return Some(format!("it has written {written:?}"));
        }
        if finished.missed > 0 && !self.may_miss(subject) {
            return Some(format!("it has missed {} bytes", finished.missed));
        }
        let missing = (0..2).find(|index| {
            let got = self.at[*index].unwrap_or_default();
            self.whole[*index] && got < written[*index] && !self.may_miss(subject)
        });
        missing.map(|index| format!("{:?} of {} bytes were delivered", self.at[index], written[index]))
    }

    fn wrong_failure(&self, error: &Error, subject: &Subject) -> Option<Fault> {
        let writes = matches!(self.way, Way::Start | Way::Attach);
        let allowed = match error {
            // The history knows whether the client had given up.
            Error::ServerGone | Error::Closed => true,
            Error::Superseded { .. } => writes && subject.writers > 1,
            Error::Job { refusal, .. } => match refusal {
                Refusal::Conflict => self.way == Way::Conflict,
                Refusal::Unknown => self.early || subject.doubt || subject.forgotten,
                Refusal::Trimmed { .. } => self.may_miss(subject),
                _ => false,
            },
            _ => false,
        };
        (!allowed).then(|| "there is no reason for that".to_owned())
    }

    /// Whether it has a stdin to write that nobody else writes.
    pub(super) fn writes_stdin(&self, subject: &Subject) -> bool {
        self.stdin.is_some() && subject.writers == 1
    }

    /// Writes `count` more bytes of stdin.
    pub(super) fn write(&self, count: u64) {
        if let Some(stdin) = &self.stdin {
            stdin.send(count).ok();
        }
    }

    /// Wants no more of an output.
    pub(super) fn drop_output(&mut self, index: usize) {
        self.outputs[index] = None;
        self.whole[index] = false;
    }

    /// Takes the job out of it, with its streams, which are nobody's any more.
    pub(super) fn give(&mut self) -> Option<Job> {
        self.stdin = None;
        let mut job = self.job.take()?;
        let [stdout, stderr] = &mut self.outputs;
        (job.stdout, job.stderr) = (stdout.take(), stderr.take());
        Some(job)
    }
}

/// Writes to a job's stdin what it may, until there is no more.
fn feed(stdin: JobStdin, total: u64) -> UnboundedSender<u64> {
    let (sender, mut counts) = unbounded_channel::<u64>();
    tokio::spawn(async move {
        let mut at = stdin.began();
        while at < total {
            let Some(count) = counts.recv().await else { return stdin.abandon() };
            let len = usize::try_from(count.min(total - at)).unwrap();
            let bytes = content(StreamId::Stdin, at, len);
            at += bytes.len() as u64;
            if !stdin.write(bytes).await {
                return;
            }
        }
        stdin.close();
    });
    sender
}

fn shown(result: &Result<Finished, Error>) -> String {
    match result {
        Ok(finished) => {
            let Finished { outcome, stdout_bytes, stderr_bytes, .. } = finished;
            format!("{outcome:?} with {stdout_bytes} and {stderr_bytes} bytes")
        }
        Err(error) => format!("{error:?}"),
    }
}
