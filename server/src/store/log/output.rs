//! Appends a job's output to its logs, within its quota. One process does so: the one that holds the job's lock.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use rustix::fs::OFlags;

use super::segment::{self, Segment};
use super::times::Times;
use super::{LogLimits, LogStream};
use crate::store::directory::Directory;
use crate::store::job::is_removed;
use crate::store::point::Point;
use crate::store::{StoreError, Timestamp};

/// The logs of a job, to be written.
#[derive(Debug)]
pub struct Output {
    directory: Directory,
    limits: LogLimits,
    stdout: Log,
    stderr: Log,
}

/// One of the two.
#[derive(Debug)]
struct Log {
    stream: LogStream,
    /// In order, without a gap. What is appended goes to the last one.
    segments: VecDeque<Segment>,
    /// The last one, once it is written to.
    file: Option<File>,
    times: Times,
}

impl Output {
    /// The logs in `directory`, to be continued where they end.
    pub(in crate::store) fn open(directory: Directory, limits: LogLimits) -> Result<Self, StoreError> {
        let stdout = Log::open(&directory, LogStream::Stdout)?;
        let stderr = Log::open(&directory, LogStream::Stderr)?;
        Ok(Self { directory, limits, stdout, stderr })
    }

    /// Appends the beginning of `bytes`, and says how much of it: less than all when there is no room for more. What was
    /// appended can be read at once, and outlasts this process.
    ///
    /// # Errors
    /// Only if nothing was appended: [`StoreError::OutputFull`] at the job's quota, [`StoreError::DiskFull`], or the
    /// system's. The same bytes may be tried again when there is room.
    pub fn append(&mut self, stream: LogStream, bytes: &[u8], now: Timestamp) -> Result<usize, StoreError> {
        let mut written = 0;
        while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
            match self.append_some(stream, rest, now) {
                Ok(count) => written += count,
                Err(error) if written == 0 => return Err(error),
                Err(_) => break,
            }
        }
        Ok(written)
    }

    fn append_some(&mut self, stream: LogStream, bytes: &[u8], now: Timestamp) -> Result<usize, StoreError> {
        let full = || StoreError::OutputFull { limit: self.limits.job };
        let room = self.limits.job.checked_sub(self.kept()).filter(|room| *room > 0).ok_or_else(full)?;
        let (directory, log, size) = self.log_mut(stream);
        let segment = log.current(directory, size)?;
        let room = usize::try_from(room.min(size.saturating_sub(segment.length))).unwrap_or(usize::MAX);
        let bytes = bytes.get(..room).unwrap_or(bytes);
        log.write(directory, segment, bytes, now)
    }

    /// Removes whole segments of `stream` below `offset`, of which the reader has everything. The last one stays.
    ///
    /// # Errors
    /// The system's.
    pub fn trim(&mut self, stream: LogStream, offset: u64) -> Result<(), StoreError> {
        let (directory, log, _) = self.log_mut(stream);
        while log.segments.len() > 1
            && let Some(first) = log.segments.front().copied().filter(|first| first.end() <= offset)
        {
            // The index first: a segment without one only lacks its times.
            let times = segment::times_name(stream, first.start);
            directory.unlink(&times).map_err(|error| directory.error(&times, error))?;
            directory.mark(Point::TimesRemoved);
            let name = segment::name(stream, first.start);
            directory.unlink(&name).map_err(|error| directory.error(&name, error))?;
            log.segments.pop_front();
            directory.mark(Point::SegmentRemoved);
        }
        Ok(())
    }

    /// Removes the oldest whole segment of the longer log, or of the other one if it has only that which is written to.
    ///
    /// # Errors
    /// The system's.
    pub fn trim_oldest(&mut self) -> Result<(), StoreError> {
        let bytes = |log: &Log| log.segments.iter().map(|segment| segment.length).sum::<u64>();
        let mut streams = LogStream::ALL;
        if bytes(&self.stderr) > bytes(&self.stdout) {
            streams.reverse();
        }
        for stream in streams {
            let (_, log, _) = self.log_mut(stream);
            let first = log.segments.front().filter(|_| log.segments.len() > 1).map(|first| first.end());
            if let Some(end) = first {
                return self.trim(stream, end);
            }
        }
        Ok(())
    }

    /// Whether somebody has removed the job with all that is in it.
    pub fn is_removed(&self) -> bool {
        is_removed(&self.directory)
    }

    /// Bytes that both logs keep.
    pub fn kept(&self) -> u64 {
        [&self.stdout, &self.stderr]
            .into_iter()
            .flat_map(|log| &log.segments)
            .map(|segment| segment.length)
            .sum()
    }

    /// Offset of the first byte of `stream` that is kept.
    pub fn oldest(&self, stream: LogStream) -> u64 {
        self.log(stream).segments.front().map_or(0, |segment| segment.start)
    }

    /// Offset behind the last byte of `stream`.
    pub fn end(&self, stream: LogStream) -> u64 {
        self.log(stream).segments.back().map_or(0, |segment| segment.end())
    }

    /// Returns when everything appended is on the disk: before the end of the job is written down, which says how long the
    /// logs are.
    ///
    /// # Errors
    /// The system's.
    pub fn sync(&self) -> Result<(), StoreError> {
        for log in [&self.stdout, &self.stderr] {
            for segment in &log.segments {
                let name = segment::name(log.stream, segment.start);
                let synced = self.directory.file(&name, OFlags::WRONLY).and_then(|file| file.sync_data());
                synced.map_err(|error| self.directory.error(&name, error))?;
            }
        }
        self.directory.sync().map_err(|error| StoreError::system(self.directory.path(), error))?;
        self.directory.mark(Point::OutputSynced);
        Ok(())
    }

    fn log(&self, stream: LogStream) -> &Log {
        match stream {
            LogStream::Stdout => &self.stdout,
            LogStream::Stderr => &self.stderr,
        }
    }

    fn log_mut(&mut self, stream: LogStream) -> (&Directory, &mut Log, u64) {
        let log = match stream {
            LogStream::Stdout => &mut self.stdout,
            LogStream::Stderr => &mut self.stderr,
        };
        (&self.directory, log, self.limits.segment)
    }
}

impl Log {
    fn open(directory: &Directory, stream: LogStream) -> Result<Self, StoreError> {
        let segments = VecDeque::from(segment::segments(directory, stream)?);
        let times =
            segments.back().map_or_else(Times::default, |last| Times::reopen(directory, stream, *last));
        Ok(Self { stream, segments, file: None, times })
    }

    /// The segment that has room, made if need be.
    fn current(&mut self, directory: &Directory, size: u64) -> Result<Segment, StoreError> {
        let last = self.segments.back().copied();
        if let Some(last) = last.filter(|last| last.length < size) {
            return Ok(last);
        }
        let new = Segment { start: last.map_or(0, Segment::end), length: 0 };
        let name = segment::name(self.stream, new.start);
        let file = directory
            .file(&name, OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL)
            .map_err(|error| directory.error(&name, error))?;
        directory.mark(Point::SegmentMade);
        self.segments.push_back(new);
        self.file = Some(file);
        self.times = Times::default();
        Ok(new)
    }

    fn write(
        &mut self,
        directory: &Directory,
        segment: Segment,
        bytes: &[u8],
        now: Timestamp,
    ) -> Result<usize, StoreError> {
        let name = || segment::name(self.stream, segment.start);
        let file = match self.file.take() {
            Some(file) => file,
            None => {
                directory.file(&name(), OFlags::WRONLY).map_err(|error| directory.error(&name(), error))?
            }
        };
        let written = write_some(&file, bytes, segment.length);
        self.file = Some(file);
        let written = written.map_err(|error| directory.error(&name(), error))?;
        directory.mark(Point::BytesAppended);
        let segment = Segment { length: segment.length + written as u64, ..segment };
        if let Some(last) = self.segments.back_mut() {
            *last = segment;
        }
        self.times.note(directory, self.stream, segment, segment.end() - written as u64, now);
        Ok(written)
    }
}

/// One write(2), and whatever it has taken.
fn write_some(file: &File, bytes: &[u8], at: u64) -> io::Result<usize> {
    loop {
        match file.write_at(bytes, at) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Ok(0) if !bytes.is_empty() => return Err(io::ErrorKind::StorageFull.into()),
            written => return written,
        }
    }
}
