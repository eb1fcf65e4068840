//! Stdin that is typed into a terminal. What was typed counts as read: a terminal cannot tell how much of it was.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::{Buf, Bytes};
use rustix::io::{Errno, retry_on_intr, write};
use tokio::time::{Instant, sleep_until};

use super::{Input, Stage};
use crate::process;

/// How long who types may wait to hear that it was: as long as the echo has the network, and both ends, to itself.
const PATIENCE: Duration = Duration::from_millis(20);

impl Input<'_> {
    /// Types what comes until the stream ends, or the terminal is [hung up](Input::hang_up).
    pub(super) async fn type_until_end(&self, master: Arc<OwnedFd>) -> io::Result<()> {
        self.lock().stage = Stage::Feeding;
        tokio::select! {
            biased;
            typed = self.type_all(&master) => typed,
            () = self.hung_up.notified() => {
                self.closed_by_reader().await;
                Ok(())
            }
        }
    }

    async fn type_all(&self, master: &Arc<OwnedFd>) -> io::Result<()> {
        // When the client is to hear of what it has not heard of, at the latest.
        let mut due = None;
        loop {
            if !self.type_rest(master, &mut due).await? {
                self.lock().rest = Bytes::new();
                self.closed_by_reader().await;
                return Ok(());
            }
            let next = tokio::select! {
                biased;
                next = self.job.stdin.next() => next,
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                    due = None;
                    self.tell_all().await;
                    continue;
                }
            };
            let Some(bytes) = next else { break };
            self.resize_first(master);
            self.lock().rest = bytes;
        }
        let last = self.lock().last;
        // One that does not say how it is set has nobody who would read.
        let mut end = Bytes::from(process::type_end(master, last).unwrap_or_default());
        while !end.is_empty() {
            let Some(typed) = type_some(master, &end).await? else { break };
            end.advance(typed);
        }
        Ok(())
    }

    /// What is typed behind a change of size is read by programs that know of it, as over one ordered channel (RFC 4254, 6.7).
    fn resize_first(&self, master: &Arc<OwnedFd>) {
        if let Some(size) = self.job.orders.take_size() {
            // The system refuses none of a terminal that is there.
            process::resize(master, size).ok();
        }
    }

    /// Types the rest of what was taken; `false` if nobody can read it any more.
    async fn type_rest(&self, master: &Arc<OwnedFd>, due: &mut Option<Instant>) -> io::Result<bool> {
        loop {
            let bytes = self.lock().rest.clone();
            if bytes.is_empty() {
                return Ok(true);
            }
            let Some(typed) = type_some(master, &bytes).await? else { return Ok(false) };
            self.lock().last = bytes.get(..typed).and_then(<[u8]>::last).copied();
            let acks = [self.wrote(typed), self.job.stdin.consumed(self.consumed())];
            match acks.into_iter().flatten().last() {
                // The window has to move, or the client has to know that somebody reads.
                Some(ack) => {
                    *due = None;
                    self.acknowledge(Some(ack)).await;
                }
                None => drop(due.get_or_insert_with(|| Instant::now() + PATIENCE)),
            }
        }
    }

    /// Tells the client how far it has come.
    async fn tell_all(&self) {
        if !self.job.stdin.is_ended() {
            self.acknowledge(Some(self.job.stdin.resume())).await;
        }
    }
}

/// How many of these bytes were typed, one or more. `None` if nobody has the terminal open any more.
async fn type_some(master: &Arc<OwnedFd>, bytes: &[u8]) -> io::Result<Option<usize>> {
    if let Poll::Ready(typed) = type_at_once(master, bytes) {
        return typed;
    }
    // Registered for no longer than that: otherwise we would be woken whenever the command reads a key.
    let room = process::register(Arc::clone(master))?;
    loop {
        let mut ready = room.writable().await?;
        match type_at_once(master, bytes) {
            Poll::Pending => ready.clear_ready(),
            Poll::Ready(typed) => return typed,
        }
    }
}

/// As [`type_some`], if there is room.
fn type_at_once(master: &OwnedFd, bytes: &[u8]) -> Poll<io::Result<Option<usize>>> {
    match retry_on_intr(|| write(master, bytes)) {
        Ok(0) | Err(Errno::AGAIN) => Poll::Pending,
        Ok(typed) => Poll::Ready(Ok(Some(typed))),
        Err(Errno::IO | Errno::PIPE) => Poll::Ready(Ok(None)),
        Err(error) => Poll::Ready(Err(error.into())),
    }
}
