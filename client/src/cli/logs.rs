//! `logs`: what a job has written, and with `-f` what it goes on to write.

use std::fmt::Display;
use std::io;
use std::time::SystemTime;

use bytes::Bytes;
use common::calendar::rfc3339;
use common::frame::StreamId;
use common::job::Signal;

use super::args::{Beginning, LogsOptions, Options};
use super::connection::Connection;
use super::exit_code;
use super::failure::Failure;
use super::line_status::LineStatus;
use super::output::{Writer, reader_gone};
use super::report::Reporter;
use crate::error::Error;
use crate::{From, Job, JobOutput, Position, Written};

/// Stands where a time would, if the server does not know it.
const UNKNOWN: &str = "-";

/// Prints what the job has written; the exit code.
pub(crate) async fn logs(options: &Options, logs: &LogsOptions, reporter: &Reporter) -> u8 {
    match print(options, logs, reporter).await {
        Ok(code) => code,
        Err(failure) => {
            reporter.fail(&failure);
            exit_code::FAILED
        }
    }
}

async fn print(options: &Options, logs: &LogsOptions, reporter: &Reporter) -> Result<u8, Failure> {
    let connection = Connection::open(&options.server, reporter.program()).await?;
    let mut known = connection.client.job(logs.job.clone()).times(logs.timestamps);
    if let Some(only) = logs.only {
        known = known.only(only);
    }
    let mut status = LineStatus::new(&connection.client, &connection.name, reporter);
    let printed = status
        .during(async {
            let from = from(logs);
            let mut job = if logs.follow { known.follow(from).await } else { known.read(from).await }?;
            relay(&mut job, logs, reporter).await
        })
        .await;
    connection.end().await;
    printed
}

/// A number is one of the stream that is wanted; of stdout, if both are.
fn from(logs: &LogsOptions) -> From {
    match (logs.from, logs.only) {
        (Beginning::Oldest, _) => From::Oldest,
        (Beginning::Now, _) => From::Newest,
        (Beginning::At(offset), Some(StreamId::Stderr)) => {
            From::Each { stdout: Position::Oldest, stderr: Position::At(offset) }
        }
        (Beginning::At(offset), _) => From::Each { stdout: Position::At(offset), stderr: Position::Oldest },
    }
}

async fn relay(job: &mut Job, logs: &LogsOptions, reporter: &Reporter) -> Result<u8, Failure> {
    let (began, from_oldest) = (job.began(), logs.from == Beginning::Oldest);
    let gaps =
        |stream: StreamId, from: u64| Gaps { stream, next: if from_oldest { 0 } else { from }, reporter };
    let (stdout, stderr) = (job.stdout.take(), job.stderr.take());
    let (mut out, mut err) = (gaps(StreamId::Stdout, began.stdout), gaps(StreamId::Stderr, began.stderr));
    let (stdout_gone, stderr_gone) = tokio::try_join!(
        copy(stdout, Writer::stdout(), &mut out, logs.timestamps),
        copy(stderr, Writer::stderr(), &mut err, logs.timestamps),
    )?;
    if stdout_gone || stderr_gone {
        return Ok(exit_code::of_signal(Signal::PIPE));
    }
    match job.wait().await {
        Ok(_) => Ok(0),
        // All there was until now.
        Err(Error::Closed) if !logs.follow => Ok(0),
        Err(error) => Err(error.into()),
    }
}

/// Copies a stream; whether its reader went away.
async fn copy(
    output: Option<JobOutput>,
    mut writer: Writer,
    gaps: &mut Gaps<'_>,
    timestamps: bool,
) -> Result<bool, Failure> {
    let Some(mut output) = output else { return Ok(false) };
    let mut stamper = timestamps.then(Stamper::default);
    let stream = if gaps.stream == StreamId::Stderr { "stderr" } else { "stdout" };
    let copied = async {
        loop {
            tokio::select! {
                error = writer.failed() => return Err::<(), io::Error>(error),
                piece = output.next_written() => {
                    let Some(Written { offset, bytes, at }) = piece else {
                        gaps.end(output.received());
                        return writer.finish().await;
                    };
                    gaps.look(offset, bytes.len());
                    let bytes = match &mut stamper {
                        Some(stamper) => stamper.stamp(&bytes, at),
                        None => bytes,
                    };
                    writer.write(bytes).await?;
                }
            }
        }
    };
    reader_gone(copied.await, stream).map(|relayed| relayed.reader_gone)
}

/// Says what of a stream is left out, because it is not kept.
struct Gaps<'a> {
    stream: StreamId,
    next: u64,
    reporter: &'a Reporter,
}

impl Gaps<'_> {
    fn look(&mut self, offset: u64, len: usize) {
        let stream = self.stream;
        match (offset.saturating_sub(self.next), self.next) {
            (0, _) => {}
            (missing, 0) => self.say(format_args!("the first {missing} bytes of {stream} are not kept")),
            (missing, _) => {
                self.say(format_args!("{missing} bytes of {stream} are left out here: they are not kept"));
            }
        }
        self.next = offset + len as u64;
    }

    /// The stream ends here for this client.
    fn end(&self, total: u64) {
        let missing = total.saturating_sub(self.next);
        if missing > 0 {
            self.say(format_args!("the last {missing} bytes of {} are not kept", self.stream));
        }
    }

    fn say(&self, what: impl Display) {
        self.reporter.say(what);
    }
}

/// Puts before each line when it was begun.
#[derive(Debug, Default)]
struct Stamper {
    inside: bool,
}

impl Stamper {
    fn stamp(&mut self, bytes: &[u8], at: Option<SystemTime>) -> Bytes {
        let stamp = at.map_or_else(|| UNKNOWN.to_owned(), rfc3339);
        let mut stamped = Vec::with_capacity(bytes.len() + 64);
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            if !self.inside {
                stamped.extend_from_slice(stamp.as_bytes());
                stamped.push(b' ');
            }
            stamped.extend_from_slice(line);
            self.inside = line.last() != Some(&b'\n');
        }
        stamped.into()
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn a_line_has_the_time_of_its_beginning() {
        let mut stamper = Stamper::default();
        let at = |ms| Some(UNIX_EPOCH + Duration::from_millis(ms));
        let one = stamper.stamp(b"a\nb", at(1));
        assert_eq!(one, "1970-01-01T00:00:00.001Z a\n1970-01-01T00:00:00.001Z b");
        assert_eq!(stamper.stamp(b"c\n", at(2)), "c\n");
        assert_eq!(stamper.stamp(b"\n\n", at(3)), "1970-01-01T00:00:00.003Z \n1970-01-01T00:00:00.003Z \n");
        assert_eq!(stamper.stamp(b"d", None), "- d");
    }
}
