//! Stdin that is typed into a terminal. What was typed counts as read: a terminal cannot tell how much of it was.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use bytes::{Buf, Bytes};
use rustix::io::{Errno, write};
use tokio::io::unix::AsyncFd;

use super::{Input, Stage};
use crate::process;

type Master = AsyncFd<Arc<OwnedFd>>;

impl Input<'_> {
    /// Types what comes until the stream ends, or the terminal is [hung up](Input::hang_up).
    pub(super) async fn type_until_end(&self, master: Arc<OwnedFd>) -> io::Result<()> {
        self.lock().stage = Stage::Feeding;
        tokio::select! {
            biased;
            typed = self.type_all(process::register(master)?) => typed,
            () = self.hung_up.notified() => {
                self.closed_by_reader().await;
                Ok(())
            }
        }
    }

    async fn type_all(&self, master: Master) -> io::Result<()> {
        loop {
            if !self.type_rest(&master).await? {
                self.lock().rest = Bytes::new();
                self.closed_by_reader().await;
                return Ok(());
            }
            let Some(bytes) = self.job.stdin.next().await else { break };
            self.lock().rest = bytes;
        }
        let last = self.lock().last;
        // One that does not say how it is set has nobody who would read.
        let mut end = Bytes::from(process::type_end(master.get_ref(), last).unwrap_or_default());
        while !end.is_empty() {
            let Some(typed) = type_some(&master, &end).await? else { break };
            end.advance(typed);
        }
        Ok(())
    }

    /// Types the rest of what was taken; `false` if nobody can read it any more.
    async fn type_rest(&self, master: &Master) -> io::Result<bool> {
        loop {
            let bytes = self.lock().rest.clone();
            if bytes.is_empty() {
                return Ok(true);
            }
            let Some(typed) = type_some(master, &bytes).await? else { return Ok(false) };
            self.lock().last = bytes.get(..typed).and_then(<[u8]>::last).copied();
            self.wrote(typed);
            self.job.stdin.consumed(self.consumed());
            if !self.job.stdin.is_ended() {
                // At once: who types waits for what comes of it.
                self.acknowledge(Some(self.job.stdin.resume())).await;
            }
        }
    }
}

/// How many of these bytes were typed, one or more. `None` if nobody has the terminal open any more.
async fn type_some(master: &Master, bytes: &[u8]) -> io::Result<Option<usize>> {
    loop {
        let mut ready = master.writable().await?;
        match write(master.get_ref().as_ref(), bytes) {
            Ok(0) | Err(Errno::AGAIN) => ready.clear_ready(),
            Ok(typed) => return Ok(Some(typed)),
            Err(Errno::INTR) => {}
            Err(Errno::IO | Errno::PIPE) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
    }
}
