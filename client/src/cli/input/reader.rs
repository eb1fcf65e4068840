//! A thread that reads what would block, and a short queue to the task that sends it.

use std::io;
use std::thread;

use bytes::Bytes;
use common::buffer;
use tokio::sync::mpsc;

/// Chunks read ahead: one being sent and one to follow.
const QUEUE: usize = 1;

/// The receiving end. The thread ends at the next chunk after this is dropped, or with the program while it is
/// stuck in a read.
#[derive(Debug)]
pub(crate) struct Reader(mpsc::Receiver<io::Result<Bytes>>);

impl Reader {
    /// Starts a thread that calls `read` with an empty buffer of `chunk` bytes until it adds nothing or fails.
    ///
    /// # Errors
    /// The system's, if there is no thread to be had.
    pub(crate) fn spawn(
        chunk: usize,
        mut read: impl FnMut(&mut Vec<u8>) -> io::Result<usize> + Send + 'static,
    ) -> io::Result<Self> {
        let (queue, chunks) = mpsc::channel(QUEUE);
        thread::Builder::new().name("input".to_owned()).spawn(move || {
            loop {
                let mut buffer = buffer::with_room(chunk);
                let read = match read(&mut buffer) {
                    Ok(0) => return,
                    Ok(_) => Ok(buffer::share(buffer)),
                    Err(error) => Err(error),
                };
                let failed = read.is_err();
                if queue.blocking_send(read).is_err() || failed {
                    return;
                }
            }
        })?;
        Ok(Self(chunks))
    }

    /// The next chunk; `None` at the end.
    pub(crate) async fn next(&mut self) -> Option<io::Result<Bytes>> {
        self.0.recv().await
    }
}
