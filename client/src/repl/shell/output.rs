//! What the session's shell and all that it runs write, on its way to this program's own stdout and stderr.
//!
//! Goes on where it has left off, whoever is asked: nothing is lost when one of these futures is dropped before it is done.

use std::future::pending;
use std::io;

use bytes::Bytes;
use common::frame::StreamId;
use tokio::sync::{mpsc, watch};

use crate::cli::failure::Failure;
use crate::cli::output::{Relayed, Streams, Unclosed, Writer, reader_gone};
use crate::repl::recording::Recorder;
use crate::{Job, Offsets};

/// How much is kept of what is written where nobody sees it: enough for the reason why a shell does not come up.
const UNSEEN: usize = 4096;

/// Longest line that is waited for at the prompt; what is longer is shown in pieces.
const LINE: usize = 64 * 1024;

/// Lines of one of the streams, the last one maybe without its end.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) stream: StreamId,
    pub(crate) lines: Bytes,
}

/// Who gets what one of several servers writes. Where nobody takes it any more, it is gone.
#[derive(Debug, Clone)]
pub(crate) struct Hand {
    /// Which of them this is for.
    pub(crate) server: usize,
    pub(crate) sender: mpsc::Sender<(usize, Written)>,
}

/// Both streams.
#[derive(Debug)]
pub(super) struct Output {
    stdout: Stream,
    stderr: Stream,
}

impl Output {
    /// Takes them from the job, from where they begin for this client.
    pub(super) fn take(job: &mut Job) -> Self {
        let (Streams { stdout, stderr }, began) = (Streams::take(job), job.began());
        Self {
            stdout: Stream::new(stdout, began.stdout, Writer::stdout(), "stdout"),
            stderr: Stream::new(stderr, began.stderr, Writer::stderr(), "stderr"),
        }
    }

    /// What is shown goes to `recorder`, too.
    pub(super) fn record(&mut self, recorder: Recorder) {
        self.stderr.recorder = recorder.clone();
        self.stdout.recorder = recorder;
    }

    /// Where that goes to.
    pub(super) fn recorder(&self) -> Recorder {
        self.stdout.recorder.clone()
    }

    /// Writes until both streams have ended, or everything is written that `until` names.
    ///
    /// # Errors
    /// [`Failure::Output`].
    pub(super) async fn show(&mut self, until: watch::Receiver<Option<Offsets>>) -> Result<Relayed, Failure> {
        let (stdout, stderr) = tokio::try_join!(
            self.stdout.show(until.clone(), |stamp| stamp.stdout),
            self.stderr.show(until, |stamp| stamp.stderr),
        )?;
        Ok(Relayed { reader_gone: stdout.reader_gone || stderr.reader_gone })
    }

    /// Hands out whole lines, and at the end what is left, until both streams have ended or everything has come that `until` names.
    pub(super) async fn hand_out(&mut self, until: watch::Receiver<Option<Offsets>>, hand: &Hand) {
        tokio::join!(
            self.stdout.hand_out(until.clone(), |stamp| stamp.stdout, StreamId::Stdout, hand),
            self.stderr.hand_out(until, |stamp| stamp.stderr, StreamId::Stderr, hand),
        );
    }

    /// Keeps what nobody is to see, until both streams have ended, or everything has come that `until` names.
    pub(super) async fn hide(&mut self, mut until: watch::Receiver<Option<Offsets>>, unseen: &mut Vec<u8>) {
        loop {
            let is_there =
                |stamp: &Offsets| self.stdout.came >= stamp.stdout && self.stderr.came >= stamp.stderr;
            if until.borrow().as_ref().is_some_and(is_there) {
                return;
            }
            tokio::select! {
                next = self.next() => match next {
                    Some(bytes) => keep_end(unseen, &bytes),
                    None => return,
                },
                Ok(()) = until.changed() => {}
            }
        }
    }

    /// The next whole lines that are written while nothing runs in the foreground. Never ends.
    pub(super) async fn lines(&mut self) -> Bytes {
        self.stdout.lines().await
    }

    async fn next(&mut self) -> Option<Bytes> {
        tokio::select! {
            Some(bytes) = self.stdout.next() => Some(bytes),
            Some(bytes) = self.stderr.next() => Some(bytes),
            else => None,
        }
    }
}

/// Adds `bytes`, and drops from the beginning what is too much.
fn keep_end(unseen: &mut Vec<u8>, bytes: &[u8]) {
    unseen.extend_from_slice(bytes);
    let surplus = unseen.len().saturating_sub(UNSEEN);
    unseen.drain(..surplus);
}

/// One of them.
#[derive(Debug)]
struct Stream {
    /// `None` once it has ended, or nobody reads what would be written.
    source: Option<Unclosed>,
    writer: Writer,
    name: &'static str,
    /// How much has come.
    came: u64,
    /// What of it has not gone yet.
    pending: Bytes,
    reader_gone: bool,
    recorder: Recorder,
    /// How far it is recorded, or was shown in another way.
    recorded: u64,
}

impl Stream {
    fn new(source: Option<Unclosed>, came: u64, writer: Writer, name: &'static str) -> Self {
        Self {
            source,
            writer,
            name,
            came,
            pending: Bytes::new(),
            reader_gone: false,
            recorder: Recorder::default(),
            recorded: came,
        }
    }

    async fn show(
        &mut self,
        until: watch::Receiver<Option<Offsets>>,
        of: fn(&Offsets) -> u64,
    ) -> Result<Relayed, Failure> {
        let relayed = reader_gone(self.write(until, of).await, self.name)?;
        if relayed.reader_gone {
            // The shell finds out as in a local pipeline.
            if let Some(source) = self.source.take() {
                source.close();
            }
        }
        self.reader_gone |= relayed.reader_gone;
        Ok(Relayed { reader_gone: self.reader_gone })
    }

    async fn write(
        &mut self,
        mut until: watch::Receiver<Option<Offsets>>,
        of: fn(&Offsets) -> u64,
    ) -> io::Result<()> {
        loop {
            self.record();
            while !self.pending.is_empty() {
                self.writer.take(&mut self.pending).await?;
            }
            let is_there = until.borrow().as_ref().is_some_and(|stamp| self.came >= of(stamp));
            let Some(source) = self.source.as_mut().filter(|_| !is_there) else {
                return self.writer.flush().await;
            };
            tokio::select! {
                error = self.writer.failed() => return Err(error),
                next = source.next_at() => match next {
                    Some((_, bytes)) => self.came(bytes),
                    None => self.source = None,
                },
                Ok(()) = until.changed() => {}
            }
        }
    }

    async fn hand_out(
        &mut self,
        mut until: watch::Receiver<Option<Offsets>>,
        of: fn(&Offsets) -> u64,
        stream: StreamId,
        hand: &Hand,
    ) {
        loop {
            let is_there = until.borrow().as_ref().is_some_and(|stamp| self.came >= of(stamp));
            let is_over = is_there || self.source.is_none();
            let whole = if is_over { Some(self.pending.len()) } else { self.whole_lines() };
            if let Some(length) = whole.filter(|length| *length > 0) {
                let lines = self.pending.split_to(length);
                hand.sender.send((hand.server, Written { stream, lines })).await.ok();
            }
            let Some(source) = self.source.as_mut().filter(|_| !is_over) else { return };
            tokio::select! {
                next = source.next_at() => match next {
                    Some((_, bytes)) => self.came(bytes),
                    None => self.source = None,
                },
                Ok(()) = until.changed() => {}
            }
        }
    }

    /// How much of what is pending is whole lines, or more than is waited for.
    fn whole_lines(&self) -> Option<usize> {
        let whole = self.pending.iter().rposition(|byte| *byte == b'\n').map(|last| last + 1);
        whole.or_else(|| (self.pending.len() > LINE).then_some(LINE))
    }

    /// Records what is about to be written, once, however often that is begun.
    fn record(&mut self) {
        let begin = self.came - self.pending.len() as u64;
        let recorded = usize::try_from(self.recorded.saturating_sub(begin)).unwrap_or(usize::MAX);
        if let Some(bytes) = self.pending.get(recorded..).filter(|bytes| !bytes.is_empty()) {
            self.recorder.output(bytes);
        }
        self.recorded = self.came;
    }

    async fn lines(&mut self) -> Bytes {
        loop {
            if let Some(length) = self.whole_lines() {
                return self.pending.split_to(length);
            }
            let Some(source) = &mut self.source else { return pending().await };
            match source.next_at().await {
                Some((_, bytes)) => self.came(bytes),
                None => self.source = None,
            }
        }
    }

    /// The next bytes, for nobody to see.
    async fn next(&mut self) -> Option<Bytes> {
        let (_, bytes) = self.source.as_mut()?.next_at().await?;
        self.came += bytes.len() as u64;
        Some(bytes)
    }

    fn came(&mut self, bytes: Bytes) {
        self.came += bytes.len() as u64;
        self.pending = match self.pending.is_empty() {
            true => bytes,
            false => [&self.pending[..], &bytes].concat().into(),
        };
    }
}
