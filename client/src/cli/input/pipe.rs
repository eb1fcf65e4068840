//! A pipe as stdin: its bytes are sent without being taken out of it, for as long as that is possible.
//!
//! `tee(2)` copies what is in the pipe to a window, a pipe of our own of the same size. Whoever reads the pipe after
//! us finds everything that the command did not consume. That ends when the pipe is full, since its writer is then
//! stuck until something is taken out: once the command has shown that it reads, everything is taken from then on.

use std::io;
use std::ops::RangeInclusive;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use bytes::{Buf, Bytes};
use common::{buffer, limits};
use rustix::buffer::spare_capacity;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, ioctl_fionread};
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_getpipe_size, fcntl_setpipe_size, pipe_with, splice, tee};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::sleep;

use super::Sink;

/// How soon a pipe with bytes in it is looked at again, and then less and less often: a writer that is stuck in the middle of a
/// write is not reported.
const LOOK_AGAIN: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_millis(500);

/// A pipe or FIFO.
#[derive(Debug)]
pub(crate) struct Pipe {
    source: AsyncFd<OwnedFd>,
    window: Window,
    /// Bytes that were sent while they stayed in the pipe.
    shown: usize,
    /// Whether bytes are taken out as they are sent.
    taking: bool,
}

/// Why looking ended.
#[derive(Debug, PartialEq, Eq)]
enum Looked {
    /// All is sent, and no more can come.
    ToTheEnd,
    /// No more is wanted.
    Enough,
    /// The pipe is full, and the command reads.
    UntilFull,
}

impl Pipe {
    /// # Errors
    /// The system's.
    pub(crate) fn new(descriptor: OwnedFd) -> io::Result<Self> {
        let window = Window::beside(&descriptor)?;
        // Edge-triggered: Linux reports every write that is complete, also to a pipe that still holds earlier bytes.
        #[expect(deprecated, reason = "its successor is unsafe; an owned descriptor is all that it asks for")]
        let source = AsyncFd::with_interest(descriptor, Interest::READABLE)?;
        Ok(Self { source, window, shown: 0, taking: false })
    }

    /// Sends what is in the pipe, and what is written to it.
    pub(super) async fn feed(&mut self, sink: Sink<'_>) -> io::Result<()> {
        if self.look(sink).await? == Looked::UntilFull {
            self.taking = true;
            self.discard(self.shown)?;
            self.take(sink).await?;
        }
        Ok(())
    }

    /// Takes out of the pipe what the command consumed, if that has not been done already.
    pub(super) fn settle(&self, consumed: u64) {
        if !self.taking {
            let consumed = usize::try_from(consumed).unwrap_or(usize::MAX);
            // A failure now concerns only whoever reads the pipe next.
            self.discard(consumed.min(self.shown)).ok();
        }
    }

    async fn look(&mut self, sink: Sink<'_>) -> io::Result<Looked> {
        let mut pause = *LOOK_AGAIN.start();
        loop {
            let event = tokio::select! {
                () = sink.stopped() => return Ok(Looked::Enough),
                event = self.source.readable() => Some(event?),
                () = sleep(pause), if self.shown > 0 => None,
            };
            let no_writers = match event {
                Some(mut event) => {
                    let no_writers = event.ready().is_read_closed();
                    // Before the look, so that a write that comes behind it makes another event.
                    event.clear_ready();
                    no_writers
                }
                None => {
                    pause = (pause * 2).min(*LOOK_AGAIN.end());
                    if ioctl_fionread(self.source.get_ref())? <= self.shown as u64 {
                        continue;
                    }
                    false
                }
            };
            let mut view = self.window.look(self.source.get_ref().as_fd())?;
            view.bytes.advance(self.shown.min(view.bytes.len()));
            if !view.bytes.is_empty() {
                self.shown += view.bytes.len();
                if !sink.write(view.bytes).await {
                    return Ok(Looked::Enough);
                }
            }
            if view.full {
                return Ok(tokio::select! {
                    () = sink.stopped() => Looked::Enough,
                    () = sink.used() => Looked::UntilFull,
                });
            }
            if no_writers {
                return Ok(Looked::ToTheEnd);
            }
        }
    }

    async fn take(&self, sink: Sink<'_>) -> io::Result<()> {
        loop {
            match self.window.take(self.source.get_ref().as_fd(), limits::DATA_PAYLOAD) {
                Ok(bytes) if bytes.is_empty() => return Ok(()),
                Ok(bytes) => {
                    if !sink.write(bytes).await {
                        return Ok(());
                    }
                }
                Err(Errno::AGAIN) => tokio::select! {
                    () = sink.stopped() => return Ok(()),
                    event = self.source.readable() => event?.clear_ready(),
                },
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Takes `count` bytes out of the pipe and drops them.
    fn discard(&self, mut count: usize) -> io::Result<()> {
        while count > 0 {
            match self.window.take(self.source.get_ref().as_fd(), count) {
                // Another reader was faster.
                Err(Errno::AGAIN) => return Ok(()),
                Ok(bytes) if bytes.is_empty() => return Ok(()),
                Ok(bytes) => count -= bytes.len(),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

/// A pipe of our own through which another one's bytes are seen, without ever waiting and without touching the
/// other one's flags. It is empty between calls.
#[derive(Debug)]
struct Window {
    outlet: OwnedFd,
    inlet: OwnedFd,
}

/// What is in a pipe.
#[derive(Debug)]
struct View {
    bytes: Bytes,
    /// Whether there may be no room for more.
    full: bool,
}

impl Window {
    fn beside(source: &OwnedFd) -> io::Result<Self> {
        let (outlet, inlet) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        // Of the same size, it is full when the source is; where the system does not grant that, it is full
        // earlier, and looking ends earlier.
        fcntl_getpipe_size(source).and_then(|size| fcntl_setpipe_size(&inlet, size)).ok();
        Ok(Self { outlet, inlet })
    }

    /// What is in `source`, which keeps it.
    fn look(&self, source: BorrowedFd<'_>) -> io::Result<View> {
        let seen = match tee(source, &self.inlet, i32::MAX as usize, SpliceFlags::NONBLOCK) {
            Err(Errno::AGAIN) => 0,
            seen => seen?,
        };
        let full = self.is_full()?;
        Ok(View { bytes: self.drain(seen)?, full })
    }

    /// Takes up to `limit` bytes out of `source`; none at its end.
    fn take(&self, source: BorrowedFd<'_>, limit: usize) -> Result<Bytes, Errno> {
        let taken = splice(source, None, &self.inlet, None, limit, SpliceFlags::NONBLOCK)?;
        self.drain(taken)
    }

    fn drain(&self, count: usize) -> Result<Bytes, Errno> {
        let mut bytes = buffer::with_room(count);
        while bytes.len() < count {
            if rustix::io::read(&self.outlet, spare_capacity(&mut bytes))? == 0 {
                break;
            }
        }
        Ok(buffer::share(bytes))
    }

    fn is_full(&self) -> io::Result<bool> {
        let mut polled = [PollFd::new(&self.inlet, PollFlags::OUT)];
        Ok(poll(&mut polled, Some(&Timespec::default()))? == 0)
    }
}

#[cfg(test)]
mod tests {
    use rustix::io::{read, write};

    use super::*;

    fn pipe() -> (OwnedFd, OwnedFd) {
        pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).unwrap()
    }

    fn fill(inlet: &OwnedFd, piece: &[u8]) -> usize {
        let mut total = 0;
        while let Ok(written) = write(inlet, piece) {
            total += written;
        }
        total
    }

    #[test]
    fn looking_leaves_everything_in_place() {
        let (outlet, inlet) = pipe();
        let window = Window::beside(&outlet).unwrap();
        assert!(window.look(outlet.as_fd()).unwrap().bytes.is_empty());
        write(&inlet, b"abc").unwrap();
        write(&inlet, b"def").unwrap();
        for _ in 0..3 {
            let view = window.look(outlet.as_fd()).unwrap();
            assert_eq!((&view.bytes[..], view.full), (&b"abcdef"[..], false));
        }
        assert_eq!(window.take(outlet.as_fd(), 4).unwrap(), "abcd");
        let mut rest = [0; 8];
        assert_eq!(read(&outlet, &mut rest), Ok(2));
        assert_eq!(window.take(outlet.as_fd(), 4), Err(Errno::AGAIN));
        drop(inlet);
        assert!(window.take(outlet.as_fd(), 4).unwrap().is_empty());
        assert!(window.look(outlet.as_fd()).unwrap().bytes.is_empty());
    }

    #[test]
    fn a_full_pipe_is_seen_as_full_however_it_was_filled() {
        for piece in [1, 100, 2049, 4096, 65536] {
            let (outlet, inlet) = pipe();
            let window = Window::beside(&outlet).unwrap();
            let total = fill(&inlet, &vec![b'x'; piece]);
            let view = window.look(outlet.as_fd()).unwrap();
            assert_eq!((view.bytes.len(), view.full), (total, true), "pieces of {piece}");
        }
    }

    #[test]
    fn a_pipe_of_another_size_is_seen_whole() {
        let (outlet, inlet) = pipe();
        fcntl_setpipe_size(&inlet, 256 * 1024).unwrap();
        let window = Window::beside(&outlet).unwrap();
        let total = fill(&inlet, &[b'x'; 4096]);
        let view = window.look(outlet.as_fd()).unwrap();
        assert_eq!((view.bytes.len(), view.full), (total, true));
        assert!(total >= 256 * 1024);
    }
}
