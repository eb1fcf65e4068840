//! Brings what a job writes to this program's own stdout and stderr.
//!
//! A slow reader stops the stream that it reads, through the job's window, and nothing else. A reader that goes away
//! closes the command's pipe, as in a local pipeline.

mod writer;

use std::io;

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
    pub(crate) stdout: Option<JobOutput>,
    pub(crate) stderr: Option<JobOutput>,
}

impl Streams {
    /// Takes them from the job.
    pub(crate) fn take(job: &mut Job) -> Self {
        Self { stdout: job.stdout.take(), stderr: job.stderr.take() }
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

async fn relay(output: Option<JobOutput>, writer: Writer, stream: &'static str) -> Result<Relayed, Failure> {
    let Some(output) = output else { return Ok(Relayed::default()) };
    reader_gone(copy(output, writer).await, stream)
}

async fn copy(mut output: JobOutput, mut writer: Writer) -> io::Result<()> {
    loop {
        tokio::select! {
            // A reader that is gone must be noticed while the command is quiet, too.
            error = writer.failed() => return Err(error),
            bytes = output.next() => match bytes {
                Some(bytes) => writer.write(bytes).await?,
                None => return writer.finish().await,
            }
        }
    }
}

/// Tells a reader that went away, which is no failure, from a descriptor that cannot be written.
pub(crate) fn reader_gone(written: io::Result<()>, stream: &'static str) -> Result<Relayed, Failure> {
    match written {
        Ok(()) => Ok(Relayed::default()),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Relayed { reader_gone: true }),
        Err(error) => Err(Failure::Output { stream, error }),
    }
}
