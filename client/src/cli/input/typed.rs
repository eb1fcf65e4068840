//! A raw terminal, read where what is read is sent: a thread between the two would cost each key the time to wake it up.
//!
//! By a description of its own, so that not to block is a matter of this program's alone. Where there is none to be had, the terminal
//! is read as any other [device](super::device).

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rustix::fs::{Mode, OFlags, open};
use rustix::io::{Errno, read};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time;

use super::Sink;
use super::device::{has_something, is_in_background};
use crate::cli::keyboard::NEXT_KEY;
use crate::cli::terminal::Sieve;

/// Bytes read at a time: what a terminal holds (n_tty).
const CHUNK: usize = 4096;

/// How often to look whether a terminal's foreground is ours again.
const FOREGROUND_POLL: Duration = Duration::from_millis(250);

/// A terminal that this program has opened once more.
#[derive(Debug)]
pub(crate) struct Typed {
    terminal: AsyncFd<OwnedFd>,
    sieve: Arc<Sieve>,
    /// Whether a read that finds nothing waits.
    blocks: bool,
}

impl Typed {
    /// The terminal behind this descriptor, which may be another user's by now, and is not to be had then.
    pub(crate) fn open(descriptor: &impl AsRawFd, sieve: &Arc<Sieve>) -> io::Result<Self> {
        let path = format!("/proc/self/fd/{}", descriptor.as_raw_fd());
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let terminal = register(open(path, flags, Mode::empty())?)?;
        Ok(Self { terminal, sieve: Arc::clone(sieve), blocks: false })
    }

    /// The terminal that is stdin, whoever's it is.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn own(sieve: &Arc<Sieve>) -> io::Result<Self> {
        let stdin = rustix::stdio::stdin();
        Self::open(&stdin, sieve).or_else(|_| {
            // Not to block is not this program's alone to decide then.
            let terminal = register(rustix::io::fcntl_dupfd_cloexec(stdin, 3)?)?;
            Ok(Self { terminal, sieve: Arc::clone(sieve), blocks: true })
        })
    }

    /// Sends what is typed until the terminal is gone, or nobody wants more.
    pub(super) async fn feed(self, sink: Sink<'_>) -> io::Result<()> {
        loop {
            let typed = tokio::select! {
                () = sink.stopped() => return Ok(()),
                typed = self.next() => typed?,
            };
            let Some(typed) = typed else { return Ok(()) };
            if !typed.is_empty() && !sink.write(Bytes::from(typed)).await {
                return Ok(());
            }
        }
    }

    /// What is for the command, maybe nothing; `None` at the end. Nothing is lost when it is dropped while it waits.
    pub(crate) async fn next(&self) -> io::Result<Option<Vec<u8>>> {
        let readable = self.terminal.readable();
        let mut ready = if self.sieve.waits() {
            match time::timeout(NEXT_KEY, readable).await {
                Ok(ready) => ready?,
                Err(_) => {
                    let mut held = Vec::new();
                    self.sieve.late(&mut held);
                    return Ok(Some(held));
                }
            }
        } else {
            readable.await?
        };
        // To read it now would stop us.
        while is_in_background(self.terminal.get_ref()) {
            time::sleep(FOREGROUND_POLL).await;
        }
        if self.blocks && !has_something(self.terminal.get_ref())? {
            ready.clear_ready();
            return Ok(Some(Vec::new()));
        }
        let mut bytes = [0; CHUNK];
        match read(self.terminal.get_ref(), &mut bytes) {
            Ok(0) | Err(Errno::IO) => Ok(None),
            Ok(count) => {
                let mut typed = bytes.get(..count).unwrap_or_default().to_vec();
                self.sieve.sift(&mut typed);
                Ok(Some(typed))
            }
            Err(Errno::AGAIN) => {
                ready.clear_ready();
                Ok(Some(Vec::new()))
            }
            Err(Errno::INTR) => Ok(Some(Vec::new())),
            Err(error) => Err(error.into()),
        }
    }
}

#[expect(unsafe_code, reason = "tokio leaves it to its callers that a descriptor stays the same one")]
fn register(terminal: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` is the same open descriptor for as long as it lives, and nobody takes it out again.
    Ok(unsafe { AsyncFd::register_with_interest(terminal, Interest::READABLE) }?)
}
