//! What a job is told, until it has read it: in the order in which it was told, each byte once.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Buf, Bytes, BytesMut};
use common::limits;
use rustix::io::{Errno, write};
use thiserror::Error;
use tokio::sync::Notify;

use crate::process;

/// What a job was told, and has not been written to its descriptor 0.
#[derive(Debug, Default)]
pub(in crate::job) struct Commands {
    queue: Mutex<Queue>,
    added: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    /// In one piece, or what comes in small ones would cost more than its bytes.
    waiting: BytesMut,
    /// Nobody will ever read them.
    unheard: bool,
}

/// Why a job is not told something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(in crate::job) enum NotTaken {
    /// Too much waits already.
    #[error("it does not read what it is told, and {} bytes wait", limits::CONTROL_WAITING)]
    Full,
    /// It has closed the descriptor.
    #[error("it does not listen any more")]
    Unheard,
}

impl Commands {
    /// Those that are `waiting`; none ever, if they are not listened to.
    pub(super) fn going_on(waiting: &[Bytes], unheard: bool) -> Self {
        let waiting = waiting.iter().flatten().copied().collect();
        Self { queue: Mutex::new(Queue { waiting, unheard }), added: Notify::new() }
    }

    /// Tells it `text`, whole or not at all.
    ///
    /// # Errors
    /// Why not.
    pub(in crate::job) fn push(&self, text: &[u8]) -> Result<(), NotTaken> {
        let mut queue = self.lock();
        if queue.unheard {
            return Err(NotTaken::Unheard);
        }
        if queue.waiting.len().saturating_add(text.len()) > limits::CONTROL_WAITING {
            return Err(NotTaken::Full);
        }
        queue.waiting.extend_from_slice(text);
        self.added.notify_one();
        Ok(())
    }

    /// Writes to `pipe`, which does not wait, what there is and what comes, until nobody reads there any more. Dropped at any
    /// moment, it has lost nothing. One task writes.
    ///
    /// # Errors
    /// The system's; nobody is told anything more then.
    pub(in crate::job) async fn write_to(&self, pipe: &Arc<OwnedFd>) -> io::Result<()> {
        let written = self.write_all(pipe).await;
        *self.lock() = Queue { unheard: true, ..Queue::default() };
        written
    }

    async fn write_all(&self, pipe: &Arc<OwnedFd>) -> io::Result<()> {
        let pipe = process::register(Arc::clone(pipe))?;
        loop {
            if self.lock().waiting.is_empty() {
                self.added.notified().await;
                continue;
            }
            let mut ready = pipe.writable().await?;
            let mut queue = self.lock();
            match write(pipe.get_ref().as_ref(), &queue.waiting) {
                Ok(count) => queue.waiting.advance(count),
                Err(Errno::AGAIN) => ready.clear_ready(),
                Err(Errno::INTR) => {}
                Err(Errno::PIPE) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// What is still to be written.
    pub(super) fn waiting(&self) -> Bytes {
        Bytes::copy_from_slice(&self.lock().waiting)
    }

    /// Whether nobody will ever read what it is told.
    pub(super) fn is_unheard(&self) -> bool {
        self.lock().unheard
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Read;
    use std::time::Duration;

    use rustix::pipe::{PipeFlags, pipe_with};

    use super::*;

    #[test]
    fn there_is_an_end_to_what_waits_and_nothing_is_taken_in_part() {
        let commands = Commands::default();
        commands.push(&vec![b'x'; limits::CONTROL_WAITING - 1]).unwrap();
        assert_eq!(commands.push(b"yz"), Err(NotTaken::Full));
        commands.push(b"y").unwrap();
        assert_eq!(commands.push(b"z"), Err(NotTaken::Full));
        commands.lock().waiting.advance(1);
        commands.push(b"z").unwrap();
        assert!(commands.waiting().ends_with(b"xyz"));
    }

    #[tokio::test]
    async fn everything_is_written_once_however_often_the_writing_is_cut_off() {
        let (reader, writer) = pipe_with(PipeFlags::NONBLOCK).unwrap();
        let (mut reader, writer) = (File::from(reader), Arc::new(writer));
        let (commands, mut expected, mut read) = (Commands::default(), Vec::new(), Vec::new());
        for number in 0..2000_u32 {
            let text = number.to_string().repeat(1 + number as usize % 50);
            expected.extend_from_slice(text.as_bytes());
            while commands.push(text.as_bytes()) == Err(NotTaken::Full) {
                let mut buffer = [0; 5000];
                // Nothing may have been written yet.
                let count = reader.read(&mut buffer).unwrap_or_default();
                read.extend_from_slice(&buffer[..count]);
                let writing = commands.write_to(&writer);
                tokio::time::timeout(Duration::from_millis(u64::from(number % 2)), writing)
                    .await
                    .unwrap_err();
            }
        }
        while read.len() < expected.len() {
            tokio::time::timeout(Duration::from_millis(1), commands.write_to(&writer)).await.unwrap_err();
            reader.read_to_end(&mut read).unwrap_err();
        }
        assert!(read == expected);
        drop(reader);
        commands.push(b"lost").unwrap();
        commands.write_to(&writer).await.unwrap();
        assert_eq!(commands.push(b"late"), Err(NotTaken::Unheard));
    }
}
