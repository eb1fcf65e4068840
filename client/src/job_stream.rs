//! The streams of a job, as the library's users hold them.

use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use common::frame::StreamId;
use common::stream::Inbound;

use crate::hold::Hold;

/// What a command reads. Dropping it ends stdin.
#[derive(Debug)]
pub struct JobStdin {
    hold: Arc<Hold>,
    /// Whether to leave it without an end.
    abandoned: bool,
}

impl JobStdin {
    pub(crate) fn new(hold: Arc<Hold>) -> Self {
        Self { hold, abandoned: false }
    }

    /// Sends `bytes`, waiting while the command does not read. `false` if the command has closed its stdin or
    /// is over: then the rest is not sent. What was taken is kept until the server has it.
    pub async fn write(&self, bytes: Bytes) -> bool {
        self.hold.stdin.write(bytes).await
    }

    /// As [`JobStdin::write`], but only what there is room for, which is taken from the beginning of `bytes`. Nothing is taken when
    /// this is dropped while it waits.
    pub(crate) async fn write_part(&self, bytes: &mut Bytes) -> bool {
        self.hold.stdin.write_part(bytes).await
    }

    /// Waits until the command is known to have consumed all that was written, or wants no more.
    pub(crate) async fn all_consumed(&self) {
        self.hold.stdin.all_consumed().await;
    }

    /// Ends stdin, behind everything that was written.
    pub fn close(self) {
        drop(self);
    }

    /// Gives up in the middle: stdin is left without an end, so that the command does not take what it got for all
    /// of it. For a job that is about to be cancelled, or left to the server.
    pub fn abandon(mut self) {
        self.abandoned = true;
    }

    /// Waits until the command is known to have consumed more than `offset` bytes; how many.
    pub async fn consumed_beyond(&self, offset: u64) -> u64 {
        self.hold.stdin.consumed_beyond(offset).await
    }

    /// The offset in the job's stdin at which this client began to write; 0 unless another one has written before.
    pub fn began(&self) -> u64 {
        self.hold.began.get().map_or(0, |[stdin, ..]| *stdin)
    }

    /// Waits until the command has closed its stdin or is over.
    pub async fn stopped(&self) {
        self.hold.stdin.stopped().await;
    }
}

impl Drop for JobStdin {
    fn drop(&mut self) {
        if !self.abandoned {
            self.hold.stdin.end();
        }
    }
}

/// What a command writes. Dropping it before its end closes the command's pipe, as a local reader's death would.
#[derive(Debug)]
pub struct JobOutput {
    hold: Arc<Hold>,
    stream: StreamId,
    /// Whether dropping it has no effect.
    abandoned: bool,
    /// What was taken, and was not all written at the time of its beginning.
    rest: Option<(u64, Bytes)>,
}

/// A piece of a stream that was written at one time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Where it begins in the stream.
    pub offset: u64,
    /// At least one byte.
    pub bytes: Bytes,
    /// When it was written, by the server's clock; `None` if the server does not say.
    pub at: Option<SystemTime>,
}

impl JobOutput {
    pub(crate) fn stdout(hold: Arc<Hold>) -> Self {
        Self { hold, stream: StreamId::Stdout, abandoned: false, rest: None }
    }

    pub(crate) fn stderr(hold: Arc<Hold>) -> Self {
        Self { hold, stream: StreamId::Stderr, abandoned: false, rest: None }
    }

    pub(crate) fn control(hold: Arc<Hold>) -> Self {
        Self { hold, stream: StreamId::Control, abandoned: false, rest: None }
    }

    /// The next bytes as they come; `None` at the end, or when the job is lost: [`crate::Job::wait`] tells
    /// which. The server sends more as this is called, so a caller that stops calling stops the command.
    pub async fn next(&mut self) -> Option<Bytes> {
        self.next_at().await.map(|(_, bytes)| bytes)
    }

    /// As [`JobOutput::next`], with the offset of the first byte in the stream.
    pub async fn next_at(&mut self) -> Option<(u64, Bytes)> {
        if let Some(rest) = self.rest.take() {
            return Some(rest);
        }
        let inbound = self.hold.inbound(self.stream)?;
        let (offset, bytes) = inbound.next_at().await?;
        if inbound.delivered(bytes.len()).is_some() {
            self.hold.acknowledge(self.stream);
        }
        Some((offset, bytes))
    }

    /// As [`JobOutput::next_at`], with the time at which it was written; see [`crate::KnownJob::times`].
    pub async fn next_written(&mut self) -> Option<Written> {
        let (offset, mut bytes) = self.next_at().await?;
        let (at, until) = self.hold.times.at(self.stream, offset);
        let len = until.map_or(u64::MAX, |until| until.saturating_sub(offset));
        if len < bytes.len() as u64 {
            // Less than what there is, so it fits.
            let rest = bytes.split_off(usize::try_from(len).unwrap_or(usize::MAX));
            self.rest = Some((offset + len, rest));
        }
        Some(Written { offset, bytes, at })
    }

    /// Everything until the end.
    pub async fn read_to_end(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        while let Some(bytes) = self.next().await {
            all.extend_from_slice(&bytes);
        }
        all
    }

    /// Where it has come to, with what was left out.
    pub(crate) fn received(&self) -> u64 {
        self.hold.inbound(self.stream).map_or(0, Inbound::received)
    }

    pub(crate) fn stream(&self) -> StreamId {
        self.stream
    }

    /// Wants no more, and leaves the command's pipe open: for a job that is about to be left to the server, and whose output is
    /// to be there for the next one.
    pub fn abandon(mut self) {
        self.abandoned = true;
    }
}

impl Drop for JobOutput {
    fn drop(&mut self) {
        if !self.abandoned && self.hold.inbound(self.stream).is_some_and(Inbound::stop) {
            self.hold.stop(self.stream);
        }
    }
}
