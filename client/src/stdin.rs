//! What a job is to read: kept until the server has it, and sent by a task of its own over whatever connection there is.

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use common::frame::StreamId;
use common::limits;
use common::packet::{Ack, Packet};
use common::stream::{Outbound, Retained, Stopped, StreamError};
use tokio::sync::Notify;

use crate::hold::Hold;

/// The stdin of a job, from whoever writes it to the task that sends it.
#[derive(Debug, Default)]
pub(crate) struct StdinQueue {
    outbound: Outbound,
    kept: Mutex<Kept>,
    grown: Notify,
}

#[derive(Debug, Default)]
struct Kept {
    retained: Retained,
    ended: bool,
    /// Everything below has come from another client, which was asked the same.
    repeated: u64,
}

/// What is to be sent next.
enum Next {
    Bytes(Bytes),
    End,
}

impl StdinQueue {
    /// Takes `bytes`, waiting while the command does not read; `false` if it wants no more.
    pub(crate) async fn write(&self, mut bytes: Bytes) -> bool {
        while !bytes.is_empty() {
            if !self.write_part(&mut bytes).await {
                return false;
            }
        }
        true
    }

    /// Takes what there is room for from the beginning of `bytes`, waiting for some; `false` if the command wants no more. Nothing is
    /// taken when this is dropped while it waits.
    pub(crate) async fn write_part(&self, bytes: &mut Bytes) -> bool {
        let end = self.lock().retained.end();
        let Ok(room) = self.outbound.room_beyond(end, limits::STREAM_WINDOW).await else { return false };
        let len = bytes.len().min(usize::try_from(room).unwrap_or(usize::MAX));
        {
            let mut kept = self.lock();
            kept.retained.push(bytes.split_to(len));
            if kept.retained.base() < kept.repeated {
                let repeated = kept.repeated;
                kept.retained.release(repeated);
            }
        }
        self.grown.notify_waiters();
        true
    }

    /// Waits until the command is known to have read all that was written, or wants no more.
    pub(crate) async fn all_consumed(&self) {
        let end = self.lock().retained.end();
        if end > 0 {
            tokio::select! {
                _ = self.outbound.consumed_beyond(end - 1) => {}
                Stopped = self.outbound.stopped() => {}
            }
        }
    }

    /// Nothing more will be written.
    pub(crate) fn end(&self) {
        self.lock().ended = true;
        self.grown.notify_waiters();
    }

    /// The command wants no more, or is over.
    pub(crate) fn stop(&self) {
        self.outbound.stop();
        let mut kept = self.lock();
        let end = kept.retained.end();
        kept.retained.release(end);
    }

    /// Takes the server's acknowledgement.
    pub(crate) fn acknowledge(&self, ack: Ack) -> Result<(), StreamError> {
        self.outbound.acknowledge(ack)?;
        self.lock().retained.release(ack.received);
        Ok(())
    }

    /// Bytes that were sent on the present connection, or came to the server before.
    pub(crate) fn sent(&self) -> u64 {
        self.outbound.sent()
    }

    /// Begins where the job has got to with what another client has written; what is written here goes behind it. Only before
    /// anything is sent.
    pub(crate) fn begin(&self, ack: Ack) {
        self.outbound.begin(ack);
        let mut kept = self.lock();
        let written = mem::replace(&mut kept.retained, Retained::starting_at(ack.received));
        let mut at = written.base();
        while at < written.end() {
            let bytes = written.read(at, limits::DATA_PAYLOAD);
            at += bytes.len() as u64;
            kept.retained.push(bytes);
        }
        drop(kept);
        self.grown.notify_waiters();
    }

    /// Goes on from where the server has got to with what this client or, asked the same, another one has written: what is written
    /// here is the same stream from its beginning.
    pub(crate) fn repeat(&self, ack: Ack) -> Result<(), StreamError> {
        if ack.received <= self.outbound.sent() {
            return self.resume(ack);
        }
        self.outbound.begin(ack);
        let mut kept = self.lock();
        kept.repeated = ack.received;
        kept.retained.release(ack.received);
        drop(kept);
        self.grown.notify_waiters();
        Ok(())
    }

    /// Goes on from where the server has got to.
    pub(crate) fn resume(&self, ack: Ack) -> Result<(), StreamError> {
        self.outbound.resume(ack)?;
        self.lock().retained.release(ack.received);
        Ok(())
    }

    /// Waits until the command wants no more, or is over.
    pub(crate) async fn stopped(&self) -> Stopped {
        self.outbound.stopped().await
    }

    /// Waits until the command is known to have read more than `offset` bytes; how many.
    pub(crate) async fn consumed_beyond(&self, offset: u64) -> u64 {
        self.outbound.consumed_beyond(offset).await
    }

    async fn next(&self) -> Result<Next, Stopped> {
        loop {
            let credit = self.outbound.credit().await?;
            let grown = self.grown.notified();
            {
                let kept = self.lock();
                let most = usize::try_from(credit).unwrap_or(usize::MAX).min(limits::DATA_PAYLOAD);
                let bytes = kept.retained.read(self.outbound.sent(), most);
                if !bytes.is_empty() {
                    return Ok(Next::Bytes(bytes));
                }
                if kept.ended && !self.outbound.is_ended() {
                    return Ok(Next::End);
                }
            }
            tokio::select! {
                () = grown => {}
                stopped = self.outbound.stopped() => return Err(stopped),
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sends what a job is to read, over one connection after the other, until the command wants no more or is over.
pub(crate) async fn send(hold: Arc<Hold>) {
    let mut generation = 0;
    loop {
        let link = tokio::select! {
            link = hold.linked(generation) => link,
            Stopped = hold.stdin.stopped() => return,
        };
        generation = link.generation;
        if send_by(&hold, &link).await.is_err() {
            return;
        }
    }
}

/// Sends over one connection until that is lost.
async fn send_by(hold: &Hold, link: &crate::hold::Link) -> Result<(), Stopped> {
    let (job, stream, queue) = (hold.number, StreamId::Stdin, &hold.stdin);
    loop {
        let next = tokio::select! {
            next = queue.next() => next?,
            () = link.sender.closed() => return Ok(()),
        };
        let Ok(room) = link.sender.reserve().await else { return Ok(()) };
        // Not any more once another connection has taken its place: that one goes on from elsewhere.
        let sent = hold.while_linked(link.generation, || match next {
            Next::Bytes(bytes) => {
                if let Some(offset) = queue.outbound.send(bytes.len()) {
                    room.send(Packet::Data { job, stream, offset, bytes });
                }
            }
            Next::End => {
                if let Some(total) = queue.outbound.finish() {
                    room.send(Packet::Eof { job, stream, total });
                }
            }
        });
        if sent.is_none() {
            return Ok(());
        }
    }
}
