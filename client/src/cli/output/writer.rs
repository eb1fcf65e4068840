//! Writes to a descriptor in a thread of its own, so that a reader who does not read blocks that thread and no
//! other. `O_NONBLOCK` is never set: the descriptor is shared with whoever started this program.

use std::future::pending;
use std::io;
use std::os::fd::BorrowedFd;
use std::thread;

use bytes::Bytes;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use tokio::sync::{mpsc, oneshot};

use crate::cli::screen::{self, Stream};
use crate::cli::terminal;

/// Chunks between the connection and the thread: one being written and one to follow. More would only be memory,
/// for the stream's window holds the rest.
const QUEUE: usize = 2;

/// A descriptor and, from the first byte on, the thread that writes to it. The thread ends when this is dropped, or
/// with the program while it is stuck in a write.
#[derive(Debug)]
pub(crate) struct Writer {
    descriptor: BorrowedFd<'static>,
    stream: Stream,
    thread: Option<Thread>,
}

#[derive(Debug)]
struct Thread {
    queue: mpsc::Sender<Bytes>,
    result: oneshot::Receiver<Result<(), Errno>>,
    /// What ended the thread early, once that is known.
    error: Option<Errno>,
}

impl Writer {
    /// Writes to stdout.
    pub(crate) fn stdout() -> Self {
        Self { descriptor: rustix::stdio::stdout(), stream: Stream::Stdout, thread: None }
    }

    /// Writes to stderr.
    pub(crate) fn stderr() -> Self {
        Self { descriptor: rustix::stdio::stderr(), stream: Stream::Stderr, thread: None }
    }

    /// Hands `bytes` to the thread, waiting while it has enough to do.
    ///
    /// # Errors
    /// The system's, of an earlier write.
    pub(crate) async fn write(&mut self, bytes: Bytes) -> io::Result<()> {
        let thread = match &mut self.thread {
            Some(thread) => thread,
            none => none.insert(Thread::spawn(self.descriptor, self.stream)?),
        };
        match thread.queue.send(bytes).await {
            Ok(()) => Ok(()),
            Err(_) => Err(thread.failed().await),
        }
    }

    /// Waits until a write has failed.
    pub(crate) async fn failed(&mut self) -> io::Error {
        match &mut self.thread {
            Some(thread) => thread.failed().await,
            None => pending().await,
        }
    }

    /// Waits until everything is written.
    ///
    /// # Errors
    /// The system's.
    pub(crate) async fn finish(self) -> io::Result<()> {
        let Some(thread) = self.thread else { return Ok(()) };
        if let Some(error) = thread.error {
            return Err(error.into());
        }
        drop(thread.queue);
        Ok(thread.result.await.unwrap_or(Err(Errno::IO))?)
    }
}

impl Thread {
    fn spawn(descriptor: BorrowedFd<'static>, stream: Stream) -> io::Result<Self> {
        let (queue, chunks) = mpsc::channel(QUEUE);
        let (tell, result) = oneshot::channel();
        thread::Builder::new().name("output".to_owned()).spawn(move || {
            // The receiver is gone only if nobody cares any more.
            tell.send(drain(descriptor, stream, chunks)).ok();
        })?;
        Ok(Self { queue, result, error: None })
    }

    /// The thread's error; it has no other reason to end while its queue is open.
    async fn failed(&mut self) -> io::Error {
        let error = match self.error {
            Some(error) => error,
            None => (&mut self.result).await.ok().and_then(Result::err).unwrap_or(Errno::IO),
        };
        self.error = Some(error);
        error.into()
    }
}

fn drain(descriptor: BorrowedFd<'_>, stream: Stream, mut chunks: mpsc::Receiver<Bytes>) -> Result<(), Errno> {
    while let Some(bytes) = chunks.blocking_recv() {
        if stream == Stream::Stdout && terminal::is_given_back() {
            // Whoever is left to read it did not ask for it.
            return Ok(());
        }
        screen::make_way();
        write_all(descriptor, &bytes)?;
        if stream == Stream::Stdout {
            terminal::wrote(&bytes);
        }
        if let Some(last) = bytes.last() {
            screen::wrote(stream, *last);
        }
    }
    Ok(())
}

fn write_all(descriptor: BorrowedFd<'_>, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match rustix::io::write(descriptor, bytes) {
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            // Somebody else has made the descriptor non-blocking.
            Err(Errno::AGAIN) => wait_for_room(descriptor)?,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn wait_for_room(descriptor: BorrowedFd<'_>) -> Result<(), Errno> {
    let mut polled = [PollFd::from_borrowed_fd(descriptor, PollFlags::OUT)];
    match poll(&mut polled, None) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(error),
    }
}
