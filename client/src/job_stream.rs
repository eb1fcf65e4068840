//! The streams of a job, as the library's users hold them.

use std::sync::Arc;

use bytes::Bytes;
use common::frame::StreamId;
use common::limits;
use common::packet::Packet;
use common::stream::Inbound;

use crate::error::Error;
use crate::job::Shared;

/// What a command reads. Dropping it ends stdin.
#[derive(Debug)]
pub struct JobStdin {
    shared: Arc<Shared>,
}

impl JobStdin {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Sends `bytes`, waiting while the command does not read. `false` if the command has closed its stdin or
    /// is over: then the rest is not sent.
    ///
    /// # Errors
    /// The connection's failure.
    pub async fn write(&self, mut bytes: Bytes) -> Result<bool, Error> {
        while !bytes.is_empty() {
            let Ok(credit) = self.shared.stdin.credit().await else { return Ok(false) };
            let room = self.shared.sender.reserve().await.map_err(|_| self.shared.failure())?;
            let len =
                bytes.len().min(limits::DATA_PAYLOAD).min(usize::try_from(credit).unwrap_or(usize::MAX));
            // Stopped since the credit was read.
            let Some(offset) = self.shared.stdin.send(len) else { return Ok(false) };
            let bytes = bytes.split_to(len);
            room.send(Packet::Data { job: self.shared.number, stream: StreamId::Stdin, offset, bytes });
        }
        Ok(true)
    }

    /// Ends stdin and waits until the end is on its way.
    ///
    /// # Errors
    /// The connection's failure.
    pub async fn close(self) -> Result<(), Error> {
        let room = self.shared.sender.reserve().await.map_err(|_| self.shared.failure())?;
        if let Some(total) = self.shared.stdin.finish() {
            room.send(Packet::Eof { job: self.shared.number, stream: StreamId::Stdin, total });
        }
        Ok(())
    }

    /// Gives up in the middle: stdin is left without an end, so that the command does not take what it got for all
    /// of it. For a job that is about to be cancelled.
    pub fn abandon(self) {
        // What has ended already is not ended again by the drop.
        self.shared.stdin.finish();
    }

    /// Waits until the command is known to have consumed more than `offset` bytes; how many.
    pub async fn consumed_beyond(&self, offset: u64) -> u64 {
        self.shared.stdin.consumed_beyond(offset).await
    }

    /// Waits until the command has closed its stdin or is over.
    pub async fn stopped(&self) {
        self.shared.stdin.stopped().await;
    }
}

impl Drop for JobStdin {
    fn drop(&mut self) {
        if let Some(total) = self.shared.stdin.finish() {
            let shared = Arc::clone(&self.shared);
            let eof = Packet::Eof { job: shared.number, stream: StreamId::Stdin, total };
            // The end must not be lost to a full queue, and a drop cannot wait.
            if let Err(eof) = shared.sender.try_send(eof)
                && let Ok(runtime) = tokio::runtime::Handle::try_current()
            {
                runtime.spawn(async move { shared.sender.send(eof).await });
            }
        }
    }
}

/// What a command writes. Dropping it before its end closes the command's pipe, as a local reader's death would.
#[derive(Debug)]
pub struct JobOutput {
    shared: Arc<Shared>,
    stream: StreamId,
}

impl JobOutput {
    pub(crate) fn new(shared: Arc<Shared>, stream: StreamId) -> Self {
        Self { shared, stream }
    }

    /// The next bytes as they come; `None` at the end, or when the connection is lost: [`crate::Job::wait`] tells
    /// which. The server sends more as this is called, so a caller that stops calling stops the command.
    pub async fn next(&mut self) -> Option<Bytes> {
        let bytes = self.inbound().next().await?;
        if let Some(ack) = self.inbound().delivered(bytes.len()) {
            let packet = Packet::Ack { job: self.shared.number, stream: self.stream, ack };
            // A lost connection shows at the next call.
            self.shared.sender.send_control(packet).await.ok();
        }
        Some(bytes)
    }

    /// Everything until the end.
    pub async fn read_to_end(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        while let Some(bytes) = self.next().await {
            all.extend_from_slice(&bytes);
        }
        all
    }

    fn inbound(&self) -> &Inbound {
        match self.stream {
            StreamId::Stderr => &self.shared.stderr,
            StreamId::Stdout | StreamId::Stdin => &self.shared.stdout,
        }
    }
}

impl Drop for JobOutput {
    fn drop(&mut self) {
        if self.inbound().stop() {
            let packet = Packet::StopSending { job: self.shared.number, stream: self.stream };
            // No room means that the connection is stuck; the command then waits at its full pipe.
            self.shared.sender.try_send_control(packet).ok();
        }
    }
}
