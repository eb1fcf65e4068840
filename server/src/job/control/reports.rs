//! From a job's descriptor 9 to the stream of its reports, a piece at a time, each behind the output that was written before it.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use bytes::Bytes;
use common::control::{RECORD, record};
use common::limits;
use rustix::io::{Errno, ioctl_fionread, read};
use tokio::io::unix::AsyncFd;
use tokio_util::sync::CancellationToken;

use crate::job::outlet::{Outlet, Room};
use crate::job::output::Source;
use crate::job::state::Job;
use crate::job::tide::Tide;
use crate::process;

type Pipe = AsyncFd<Arc<OwnedFd>>;

/// What a job reports, on its way in.
#[derive(Debug)]
pub(in crate::job) struct Reports<'a> {
    pub(in crate::job) job: &'a Job,
    pub(in crate::job) outlet: &'a Outlet,
    /// How far the job's output has come.
    pub(in crate::job) tide: &'a Tide,
    /// It is cut off, and will go on later.
    pub(in crate::job) pause: CancellationToken,
    /// Nobody is left who would report: take what is there, and end.
    pub(in crate::job) stop: CancellationToken,
}

impl Reports<'_> {
    /// Moves everything, then ends the stream; or moves what it can until the pause. Nothing is on its way in between.
    pub(in crate::job) async fn run(self, source: Source) -> Source {
        let Source::Open(descriptor) = source else { return source };
        let descriptor = Arc::new(descriptor);
        let over = match self.copy(&descriptor).await {
            Ok(true) => Ok(false),
            Ok(false) => match Arc::try_unwrap(descriptor).or_else(|shared| shared.try_clone()) {
                Ok(descriptor) => return Source::Open(descriptor),
                Err(error) => Err(error),
            },
            Err(error) => Err(error),
        };
        self.outlet.end();
        Source::Over(over.map_err(|error| error.to_string()))
    }

    /// Whether everything was moved; else it is to go on later.
    async fn copy(&self, descriptor: &Arc<OwnedFd>) -> io::Result<bool> {
        let pipe = process::register(Arc::clone(descriptor))?;
        let mut left = None;
        loop {
            let (bytes, room) = tokio::select! {
                biased;
                () = self.pause.cancelled() => return Ok(false),
                next = self.next(&pipe, &mut left) => match next? {
                    Some(next) => next,
                    None => return Ok(true),
                },
            };
            let [stdout, stderr] = [&self.job.stdout, &self.job.stderr].map(|outlet| outlet.kept().1);
            self.outlet.put(record(stdout, stderr, &bytes), room).await.map_err(io::Error::other)?;
        }
    }

    /// The next piece, when all is here that the job has written before it, with the room that there is for its record; `None`
    /// at the end. `left` is how much may still be read, once nobody is waited for. Dropped while it waits, it has read nothing.
    async fn next(&self, pipe: &Pipe, left: &mut Option<usize>) -> io::Result<Option<(Bytes, Room)>> {
        loop {
            let Ok(room) = self.outlet.room_for(RECORD).await else { return Ok(None) };
            let most = match left {
                Some(left) => *left,
                None => tokio::select! {
                    biased;
                    () = self.stop.cancelled() => *left.insert(unread(pipe)?),
                    there = wait(pipe) => there?,
                    _closed = self.outlet.closed() => return Ok(None),
                },
            }
            .min(limits::CONTROL_RECORD);
            if most == 0 {
                return Ok(None);
            }
            // First that, and then only what was there before.
            self.tide.settle().await;
            if self.outlet.is_closed() {
                return Ok(None);
            }
            let mut bytes = vec![0; most];
            match read(pipe.get_ref().as_ref(), &mut *bytes) {
                Ok(0) | Err(Errno::AGAIN) => return Ok(None),
                Ok(count) => {
                    bytes.truncate(count);
                    *left = left.map(|left| left.saturating_sub(count));
                    return Ok(Some((bytes.into(), room)));
                }
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Waits until something is there; how much. 0 at the end.
async fn wait(pipe: &Pipe) -> io::Result<usize> {
    loop {
        let mut ready = pipe.readable().await?;
        let over = ready.ready().is_read_closed();
        match unread(pipe)? {
            // It may have come just before the end.
            0 if over => return unread(pipe),
            0 => ready.clear_ready(),
            there => return Ok(there),
        }
    }
}

fn unread(pipe: &Pipe) -> io::Result<usize> {
    Ok(usize::try_from(ioctl_fionread(pipe.get_ref())?).unwrap_or(usize::MAX))
}
