//! Brings what a job writes to this program's own stdout and stderr.
//!
//! A slow reader stops the stream that it reads, through the job's window, and nothing else. A reader that goes away
//! closes the command's pipe, as in a local pipeline.

mod writer;

use std::io;

use bytes::Bytes;

pub(crate) use writer::Writer;

use super::failure::Failure;
use crate::{Job, JobOutput};

/// How the output ended here.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Relayed {
    /// Whether a local reader went away before the end, so that the command may have died of SIGPIPE.
    pub(crate) reader_gone: bool,
}

/// The streams of a job that this program shows.
#[derive(Debug)]
pub(crate) struct Streams {
    pub(crate) stdout: Option<Unclosed>,
    pub(crate) stderr: Option<Unclosed>,
}

/// A job's output that is closed only when that is meant: whoever leaves a job while it writes leaves it its pipes. Dropping the
/// library's own closes it.
#[derive(Debug)]
pub(crate) struct Unclosed(Option<JobOutput>);

impl Unclosed {
    /// The next bytes and their offset; `None` at the end.
    pub(crate) async fn next_at(&mut self) -> Option<(u64, Bytes)> {
        self.0.as_mut()?.next_at().await
    }

    /// Nobody reads any more.
    pub(crate) fn close(mut self) {
        drop(self.0.take());
    }
}

impl Drop for Unclosed {
    fn drop(&mut self) {
        if let Some(output) = self.0.take() {
            output.abandon();
        }
    }
}

impl Streams {
    /// Takes them from the job.
    pub(crate) fn take(job: &mut Job) -> Self {
        let unclosed = |output| Some(Unclosed(Some(output)));
        Self { stdout: job.stdout.take().and_then(unclosed), stderr: job.stderr.take().and_then(unclosed) }
    }

    /// Nobody reads any more.
    pub(crate) fn close(self) {
        [self.stdout, self.stderr].into_iter().flatten().for_each(Unclosed::close);
    }

    /// Writes them to stdout and stderr until both have ended and all is written.
    ///
    /// # Errors
    /// [`Failure::Output`], as soon as one of them cannot be written.
    pub(crate) async fn relay(self) -> Result<Relayed, Failure> {
        let (stdout, stderr) = tokio::try_join!(
            relay(self.stdout, Writer::stdout(), "stdout"),
            relay(self.stderr, Writer::stderr(), "stderr"),
        )?;
        Ok(Relayed { reader_gone: stdout.reader_gone || stderr.reader_gone })
    }
}

async fn relay(output: Option<Unclosed>, writer: Writer, stream: &'static str) -> Result<Relayed, Failure> {
    let Some(output) = output else { return Ok(Relayed::default()) };
    reader_gone(copy(output, writer).await, stream)
}

async fn copy(mut output: Unclosed, mut writer: Writer) -> io::Result<()> {
    let copied = loop {
        tokio::select! {
            // A reader that is gone must be noticed while the command is quiet, too.
            error = writer.failed() => break Err(error),
            next = output.next_at() => {
                let Some((_, bytes)) = next else { break writer.finish().await };
                if let Err(error) = writer.write(bytes).await {
                    break Err(error);
                }
            }
        }
    };
    output.close();
    copied
}

/// Tells a reader that went away, which is no failure, from a descriptor that cannot be written.
pub(crate) fn reader_gone(written: io::Result<()>, stream: &'static str) -> Result<Relayed, Failure> {
    match written {
        Ok(()) => Ok(Relayed::default()),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Relayed { reader_gone: true }),
        Err(error) => Err(Failure::Output { stream, error }),
    }
}
