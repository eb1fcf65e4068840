//! Keeps a job's output on the disk, where it outlasts whoever writes it. Blocks as long as the disk does: for the process of one
//! job, and for output that is only read, on a thread of its own.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use common::limits;
use common::reason::system_reason;
use tokio::sync::Notify;
use tokio::time;
use tracing::warn;

use super::stall::Stall;
use super::{Closed, NotKept, Read, Room};
use crate::background::aside;
use crate::clock;
use crate::store::{LogReader, LogStream, Output, StoreError, Timestamp};

/// How soon a full disk is tried again: somebody may have made room.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// An output stream of a job on the disk.
#[derive(Debug)]
pub(crate) struct Log {
    state: Mutex<State>,
    grown: Notify,
    drained: Notify,
}

#[derive(Debug)]
struct State {
    stream: LogStream,
    reader: Arc<Mutex<LogReader>>,
    /// `None` for what is only read.
    writer: Option<Arc<Mutex<Output>>>,
    end: u64,
    /// What was read last is older than this, at the most.
    oldest: u64,
    ended: bool,
    closed: bool,
    overwrite: bool,
    /// Nobody is expected to take what is here.
    unattended: bool,
    /// The client has everything below.
    released: u64,
    stall: Stall,
}

impl Log {
    /// The log that `writer` writes, and nobody else.
    pub(crate) fn written(stream: LogStream, reader: LogReader, writer: Arc<Mutex<Output>>) -> Self {
        let (oldest, end) = {
            let output = lock(&writer);
            (output.oldest(stream), output.end(stream))
        };
        Self::new(State { oldest, end, ..State::of(stream, reader, Some(writer)) })
    }

    /// A log that nobody writes any more, to which `total` bytes were written, if that is known. What is not there is left out, and
    /// that is said.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    pub(crate) fn finished(
        stream: LogStream,
        reader: LogReader,
        total: Option<u64>,
    ) -> Result<Self, StoreError> {
        let end = total.map_or_else(|| reader.end(), Ok)?;
        let oldest = reader.oldest()?.min(end);
        Ok(Self::new(State { oldest, end, ended: true, ..State::of(stream, reader, None) }))
    }

    fn new(state: State) -> Self {
        Self { state: Mutex::new(state), grown: Notify::new(), drained: Notify::new() }
    }

    pub(super) fn room(&self) -> Result<Room, Closed> {
        // What does not fit waits in `append`.
        if self.is_closed() { Err(Closed) } else { Ok(Room::Disk(limits::DATA_PAYLOAD)) }
    }

    pub(super) fn is_full(&self) -> bool {
        false
    }

    pub(super) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    pub(super) async fn closed(&self) -> Closed {
        loop {
            let drained = self.drained.notified();
            if self.is_closed() {
                return Closed;
            }
            drained.await;
        }
    }

    /// Appends all of `bytes`, waiting for room; drops what is left when nobody wants more.
    ///
    /// # Errors
    /// [`NotKept`] once its job is ending and the disk has had its time.
    pub(super) async fn append(&self, mut bytes: Bytes) -> Result<(), NotKept> {
        while !bytes.is_empty() && !self.is_closed() {
            let drained = self.drained.notified();
            let appended = self.lock().append(&bytes);
            match appended {
                Ok(written) => {
                    bytes = bytes.slice(written..);
                    self.grown.notify_waiters();
                }
                // Whatever is written, nobody can have it.
                Err(_) if self.is_removed() => self.close(),
                Err(error) => {
                    self.lock().refused(&error)?;
                    time::timeout(TRY_AGAIN, drained).await.ok();
                }
            }
        }
        Ok(())
    }

    pub(super) fn waits_for_disk(&self) -> bool {
        self.lock().stall.is_there()
    }

    pub(super) fn hurry(&self) {
        self.lock().stall.ends(clock::now());
    }

    fn is_removed(&self) -> bool {
        self.lock().writer.as_ref().is_some_and(|writer| lock(writer).is_removed())
    }

    pub(super) fn end(&self) {
        self.lock().ended = true;
        self.grown.notify_waiters();
    }

    pub(super) async fn read(&self, offset: u64, most: usize) -> Read {
        loop {
            let grown = self.grown.notified();
            let found = self.lock().find(offset);
            match found {
                Found::Here(read) => return read,
                Found::OnDisk => match self.fetch(offset, most).await {
                    Ok(bytes) if !bytes.is_empty() => return Read::Bytes(self.in_bounds(offset, bytes)),
                    Ok(_) if self.is_finished() => return Read::Skip(self.kept().1),
                    Ok(_) => {}
                    Err(StoreError::Trimmed { oldest }) => {
                        self.lock().oldest = oldest;
                        return Read::Skip(oldest);
                    }
                    Err(error) => {
                        warn!(%error, "cannot read output: it is lost");
                        return Read::Skip(self.kept().1);
                    }
                },
                Found::NotYet => {}
            }
            grown.await;
        }
    }

    /// Whether nobody will write any more.
    fn is_finished(&self) -> bool {
        let state = self.lock();
        state.ended && state.writer.is_none()
    }

    /// What stands in the file behind the end was not written by the job.
    fn in_bounds(&self, offset: u64, mut bytes: Bytes) -> Bytes {
        let left = if self.is_finished() { self.kept().1.saturating_sub(offset) } else { u64::MAX };
        bytes.truncate(usize::try_from(left).unwrap_or(usize::MAX));
        bytes
    }

    async fn fetch(&self, offset: u64, most: usize) -> Result<Bytes, StoreError> {
        self.with_reader(move |reader| reader.read(offset, most)).await
    }

    /// When what was read from `from` to `to` was written. That it cannot be found out is no reason to keep the bytes back.
    pub(super) async fn times(&self, from: u64, to: u64) -> Vec<(u64, Timestamp)> {
        self.with_reader(move |reader| reader.times(from, to)).await.unwrap_or_default()
    }

    async fn with_reader<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut LogReader) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reader, own) = {
            let state = self.lock();
            (Arc::clone(&state.reader), state.writer.is_some())
        };
        if own {
            return work(&mut lock(&reader));
        }
        let done = aside("log", move || work(&mut lock(&reader))).await;
        done.map_err(|source| StoreError::System { path: PathBuf::new(), source })?
    }

    pub(super) fn kept(&self) -> (u64, u64) {
        let state = self.lock();
        (state.oldest, state.end)
    }

    pub(super) fn release(&self, offset: u64) {
        let mut state = self.lock();
        state.released = state.released.max(offset);
        drop(state);
        self.drained.notify_waiters();
    }

    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.drained.notify_waiters();
    }

    pub(super) fn make_room_by_itself(&self, does: bool) {
        let before = std::mem::replace(&mut self.lock().unattended, does);
        if does && !before {
            self.drained.notify_waiters();
        }
    }

    pub(super) fn overwrite(&self) {
        self.lock().overwrite = true;
        self.drained.notify_waiters();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where what is read is to be found.
enum Found {
    Here(Read),
    OnDisk,
    NotYet,
}

impl State {
    fn of(stream: LogStream, reader: LogReader, writer: Option<Arc<Mutex<Output>>>) -> Self {
        Self {
            stream,
            reader: Arc::new(Mutex::new(reader)),
            writer,
            end: 0,
            oldest: 0,
            ended: false,
            closed: false,
            overwrite: false,
            unattended: false,
            released: 0,
            stall: Stall::default(),
        }
    }

    fn append(&mut self, bytes: &[u8]) -> Result<usize, StoreError> {
        let Some(writer) = &self.writer else { return Ok(bytes.len()) };
        let mut output = lock(writer);
        let written = match output.append(self.stream, bytes, Timestamp::now()) {
            Err(StoreError::OutputFull { .. } | StoreError::DiskFull { .. }) => {
                if self.overwrite || self.unattended {
                    output.trim_oldest()?;
                } else {
                    output.trim(self.stream, self.released)?;
                }
                output.append(self.stream, bytes, Timestamp::now())?
            }
            other => other?,
        };
        (self.oldest, self.end) = (output.oldest(self.stream), output.end(self.stream));
        self.stall.is_over(clock::now());
        Ok(written)
    }

    /// Nothing was appended; whether that is to be tried again.
    fn refused(&mut self, error: &StoreError) -> Result<(), NotKept> {
        let now = clock::now();
        let reason = match error {
            // It is the reader who makes room, who may take as long as they like.
            StoreError::OutputFull { .. } => {
                self.stall.is_over(now);
                return Ok(());
            }
            StoreError::DiskFull { source, .. } | StoreError::System { source, .. } => system_reason(source),
            other => other.to_string(),
        };
        if self.stall.goes_on(now) {
            return Ok(());
        }
        Err(NotKept { stream: self.stream.into(), from: self.end, reason })
    }

    fn find(&self, offset: u64) -> Found {
        if offset < self.oldest {
            return Found::Here(Read::Skip(self.oldest));
        }
        match (offset < self.end, self.ended) {
            (true, _) => Found::OnDisk,
            (false, true) => Found::Here(Read::End),
            (false, false) => Found::NotYet,
        }
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use common::job::{Digest, JobId, Program, Spec};

    use super::super::stall::LAST_WAIT;
    use super::*;
    use crate::authorize::Owner;
    use crate::store::{Creation, Custody, LogLimits, Request, Store};

    const DAY: Duration = Duration::from_secs(86_400);

    /// A job whose log goes on in a new file at byte 16, which is made impossible: what a disk would say that is full.
    fn job(directory: &std::path::Path) -> (Custody, Log) {
        let store = Store::open(&directory.join("jobs"), Timestamp(1)).unwrap();
        let (id, spec): (JobId, _) = ("x".parse().unwrap(), Spec::new(Program::Shell("true".into())));
        let (owner, digest) = (Owner::User(1), Digest::from_bytes([1; 32]));
        let request = Request { owner, id: &id, digest, spec: &spec, first_sent: Timestamp(2) };
        let Ok((Creation::New(custody), _)) = store.create(request, Timestamp(2)) else {
            panic!("it is new")
        };
        let output = custody.output(LogLimits { segment: 16, job: 1024 }).unwrap();
        std::fs::create_dir(next_file(&custody)).unwrap();
        let reader = custody.job().log(LogStream::Stdout).unwrap();
        let log = Log::written(LogStream::Stdout, reader, Arc::new(Mutex::new(output)));
        (custody, log)
    }

    fn next_file(custody: &Custody) -> PathBuf {
        custody.job().path().join(format!("stdout.{:016x}", 16))
    }

    #[tokio::test(start_paused = true)]
    async fn a_command_that_may_go_on_waits_for_the_disk_and_loses_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let (custody, log) = job(directory.path());
        let mut appending = std::pin::pin!(log.append(Bytes::from_static(&[b'x'; 20])));
        assert!(time::timeout(DAY, &mut appending).await.is_err(), "it did not wait");
        std::fs::remove_dir(next_file(&custody)).unwrap();
        assert_eq!(appending.await, Ok(()));
        assert_eq!(log.kept(), (0, 20));
    }

    #[tokio::test(start_paused = true)]
    async fn the_rest_of_a_job_that_is_ending_is_not_waited_for_without_end_and_says_from_where_it_is_lost() {
        let directory = tempfile::tempdir().unwrap();
        let (_custody, log) = job(directory.path());
        let mut appending = std::pin::pin!(log.append(Bytes::from_static(&[b'x'; 20])));
        assert!(time::timeout(DAY, &mut appending).await.is_err(), "it did not wait");
        log.hurry();
        let before = time::Instant::now();
        let lost = time::timeout(DAY, appending).await.expect("it waits").unwrap_err();
        assert_eq!(lost.to_string(), "stdout is not kept from byte 16 on: file exists");
        let waited = before.elapsed();
        assert!(LAST_WAIT <= waited && waited < LAST_WAIT + 2 * TRY_AGAIN, "{waited:?}");
        assert_eq!(log.kept(), (0, 16));
    }
}
