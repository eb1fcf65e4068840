//! Writes to a descriptor in a thread of its own, so that a reader who does not read blocks that thread and no
//! other. `O_NONBLOCK` is never set: the descriptor is shared with whoever started this program.
//!
//! A terminal is opened once more, and what it takes at once is written at once: who waits for the echo of a key should not wait for
//! a thread to wake up.

use std::future::pending;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use bytes::Bytes;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;
use rustix::termios::isatty;
use tokio::sync::{mpsc, oneshot};

use crate::cli::screen::{self, Stream};
use crate::cli::terminal;

/// Chunks between the connection and the thread: one being written and one to follow. More would only be memory,
/// for the stream's window holds the rest.
const QUEUE: usize = 2;

/// A descriptor and, from the first byte on that is not written at once, the thread that writes to it. The thread ends when this is
/// dropped, or with the program while it is stuck in a write.
#[derive(Debug)]
pub(crate) struct Writer {
    descriptor: BorrowedFd<'static>,
    stream: Stream,
    /// The terminal that it is.
    terminal: Option<OwnedFd>,
    thread: Option<Thread>,
}

#[derive(Debug)]
struct Thread {
    queue: mpsc::Sender<Work>,
    /// Chunks that it was handed and has not written yet.
    unwritten: Arc<AtomicUsize>,
    result: oneshot::Receiver<Result<(), Errno>>,
    /// What ended the thread early, once that is known.
    error: Option<Errno>,
}

/// What the thread is handed.
#[derive(Debug)]
enum Work {
    Write(Bytes),
    /// To tell when everything before it is written.
    Tell(oneshot::Sender<()>),
}

impl Writer {
    /// Writes to stdout.
    pub(crate) fn stdout() -> Self {
        Self::new(rustix::stdio::stdout(), Stream::Stdout)
    }

    /// Writes to stderr.
    pub(crate) fn stderr() -> Self {
        Self::new(rustix::stdio::stderr(), Stream::Stderr)
    }

    fn new(descriptor: BorrowedFd<'static>, stream: Stream) -> Self {
        Self { descriptor, stream, terminal: open_terminal(descriptor), thread: None }
    }

    /// Writes `bytes`, or hands them to the thread, waiting while that has enough to do.
    ///
    /// # Errors
    /// The system's, of an earlier write.
    pub(crate) async fn write(&mut self, mut bytes: Bytes) -> io::Result<()> {
        self.take(&mut bytes).await
    }

    /// The same; what is left in `bytes` when this is dropped while it waits was not taken.
    ///
    /// # Errors
    /// The system's, of an earlier write.
    pub(crate) async fn take(&mut self, bytes: &mut Bytes) -> io::Result<()> {
        self.write_at_once(bytes);
        if bytes.is_empty() {
            return Ok(());
        }
        let thread = match &mut self.thread {
            Some(thread) => thread,
            none => none.insert(Thread::spawn(self.descriptor, self.stream)?),
        };
        let Ok(place) = thread.queue.reserve().await else { return Err(thread.failed().await) };
        thread.unwritten.fetch_add(1, Ordering::Relaxed);
        place.send(Work::Write(std::mem::take(bytes)));
        Ok(())
    }

    /// Waits until everything is written that was taken.
    ///
    /// # Errors
    /// The system's.
    pub(crate) async fn flush(&mut self) -> io::Result<()> {
        let Some(thread) = &mut self.thread else { return Ok(()) };
        let (tell, told) = oneshot::channel();
        if thread.queue.send(Work::Tell(tell)).await.is_err() || told.await.is_err() {
            return Err(thread.failed().await);
        }
        Ok(())
    }

    /// Takes from `bytes` what a terminal takes without delay, if nothing is before it.
    fn write_at_once(&self, bytes: &mut Bytes) {
        let Some(terminal) = &self.terminal else { return };
        let is_busy = |thread: &Thread| thread.unwritten.load(Ordering::Acquire) > 0;
        if self.thread.as_ref().is_some_and(is_busy) || is_unwanted(self.stream) {
            return;
        }
        about_to_write(self.stream);
        // What goes wrong goes wrong in the thread, too.
        while let Ok(written @ 1..) = rustix::io::write(terminal, bytes) {
            was_written(self.stream, &bytes.split_to(written));
            if bytes.is_empty() {
                return;
            }
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
        let (queue, work) = mpsc::channel(QUEUE);
        let (tell, result) = oneshot::channel();
        let unwritten = Arc::new(AtomicUsize::new(0));
        let left = Arc::clone(&unwritten);
        thread::Builder::new().name("output".to_owned()).spawn(move || {
            // The receiver is gone only if nobody cares any more.
            tell.send(drain(descriptor, stream, work, &left)).ok();
        })?;
        Ok(Self { queue, unwritten, result, error: None })
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

fn drain(
    descriptor: BorrowedFd<'_>,
    stream: Stream,
    mut queue: mpsc::Receiver<Work>,
    unwritten: &AtomicUsize,
) -> Result<(), Errno> {
    while let Some(work) = queue.blocking_recv() {
        let bytes = match work {
            Work::Write(bytes) => bytes,
            Work::Tell(tell) => {
                // Whoever has asked may be gone.
                tell.send(()).ok();
                continue;
            }
        };
        if is_unwanted(stream) {
            return Ok(());
        }
        about_to_write(stream);
        write_all(descriptor, &bytes)?;
        was_written(stream, &bytes);
        unwritten.fetch_sub(1, Ordering::Release);
    }
    Ok(())
}

/// Whether the terminal is somebody's by now who did not ask for it.
fn is_unwanted(stream: Stream) -> bool {
    stream == Stream::Stdout && terminal::is_given_back()
}

/// Whatever is over what is there makes way.
fn about_to_write(stream: Stream) {
    screen::make_way();
    if stream == Stream::Stdout {
        terminal::writes();
    }
}

/// Everybody who has to do with the terminal gets to know.
fn was_written(stream: Stream, bytes: &[u8]) {
    if stream == Stream::Stdout {
        terminal::wrote(bytes);
    }
    if let Some(last) = bytes.last() {
        screen::wrote(stream, *last);
    }
}

/// The terminal behind `descriptor` once more, not to block there; it may be another user's by now, and not be had.
fn open_terminal(descriptor: BorrowedFd<'_>) -> Option<OwnedFd> {
    if !isatty(descriptor) {
        return None;
    }
    let path = format!("/proc/self/fd/{}", descriptor.as_raw_fd());
    open(path, OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty()).ok()
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
