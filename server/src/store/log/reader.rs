//! Reads a job's log, from any process, while another one appends to it or trims it.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use bytes::Bytes;
use rustix::fs::OFlags;

use super::segment::{self, Segment};
use super::{LogStream, times};
use crate::store::directory::Directory;
use crate::store::job::is_removed;
use crate::store::record::{Kept, Removed};
use crate::store::{StoreError, Timestamp};

/// How often a segment may be trimmed between being listed and being opened, before that is an error: whoever trims so fast
/// is not to hold a reader for ever.
const ATTEMPTS: usize = 8;

/// One log of a job, to be read.
#[derive(Debug)]
pub struct LogReader {
    directory: Directory,
    stream: LogStream,
    /// The segment that was read last, by its beginning.
    open: Option<(u64, File)>,
}

impl LogReader {
    pub(in crate::store) fn new(directory: Directory, stream: LogStream) -> Self {
        Self { directory, stream, open: None }
    }

    /// At most `max` bytes from `offset` on; fewer when there are no more, or when another segment begins; none at the end,
    /// where there may be more later. Allocates no more than there is to be read.
    ///
    /// # Errors
    /// [`StoreError::Trimmed`], [`StoreError::Beyond`], [`StoreError::Unknown`] if the job was removed meanwhile,
    /// [`StoreError::Damaged`] for a hole in the log, or the system's.
    pub fn read(&mut self, offset: u64, max: usize) -> Result<Bytes, StoreError> {
        for _ in 0..ATTEMPTS {
            if let Some((start, file)) = self.open.as_ref().filter(|(start, _)| *start <= offset) {
                let bytes = read_some(file, offset - start, max)
                    .map_err(|error| self.directory.error(&segment::name(self.stream, *start), error))?;
                if !bytes.is_empty() {
                    return Ok(bytes);
                }
            }
            match self.locate(offset)? {
                Located::Nothing => return Ok(Bytes::new()),
                Located::Opened => {}
                Located::Vanished => continue,
            }
            if max == 0 {
                return Ok(Bytes::new());
            }
        }
        Err(StoreError::Busy { path: self.directory.path().to_owned() })
    }

    /// Opens the segment that has the byte at `offset`.
    fn locate(&mut self, offset: u64) -> Result<Located, StoreError> {
        let extent = self.extent()?;
        if offset < extent.oldest {
            return Err(StoreError::Trimmed { oldest: extent.oldest });
        }
        if offset > extent.end {
            return Err(StoreError::Beyond { end: extent.end });
        }
        let holds = |segment: &&Segment| (segment.start..segment.end()).contains(&offset);
        let Some(segment) = extent.segments.iter().find(holds) else { return Ok(Located::Nothing) };
        let name = segment::name(self.stream, segment.start);
        match self.directory.file(&name, OFlags::RDONLY) {
            Ok(file) => self.open = Some((segment.start, file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Located::Vanished),
            Err(error) => return Err(self.directory.error(&name, error)),
        }
        Ok(Located::Opened)
    }

    /// Offset of the first byte that is kept.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], or the system's.
    pub fn oldest(&self) -> Result<u64, StoreError> {
        Ok(self.extent()?.oldest)
    }

    /// Offset behind the last byte, as of now.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], or the system's.
    pub fn end(&self) -> Result<u64, StoreError> {
        Ok(self.extent()?.end)
    }

    /// When the byte at `offset` was written, or up to a tenth of a second before, or more where a job writes slowly and
    /// much; `None` if nobody has noted it.
    ///
    /// # Errors
    /// [`StoreError::Trimmed`], [`StoreError::Beyond`], [`StoreError::Damaged`], or the system's.
    pub fn time_of(&self, offset: u64) -> Result<Option<Timestamp>, StoreError> {
        let extent = self.extent()?;
        if offset < extent.oldest {
            return Err(StoreError::Trimmed { oldest: extent.oldest });
        }
        let holds = |segment: &&Segment| (segment.start..segment.end()).contains(&offset);
        let segment = extent.segments.iter().find(holds).ok_or(StoreError::Beyond { end: extent.end })?;
        times::time_of(&self.directory, self.stream, *segment, offset)
    }

    /// When the bytes from `from` to `to` were written, which are in one segment: each time with the offset from which on it is
    /// true, as well as it was noted. The first is that of `from`, if it is known.
    ///
    /// # Errors
    /// As [`LogReader::time_of`].
    pub fn times(&self, from: u64, to: u64) -> Result<Vec<(u64, Timestamp)>, StoreError> {
        let extent = self.extent()?;
        let holds = |segment: &&Segment| (segment.start..segment.end()).contains(&from);
        let segment = extent.segments.iter().find(holds).ok_or(StoreError::Beyond { end: extent.end })?;
        times::between(&self.directory, self.stream, *segment, from, to)
    }

    fn extent(&self) -> Result<Extent, StoreError> {
        let extent = self.look();
        // While its files go one by one, they say nothing that is true.
        if is_removed(&self.directory) { Err(StoreError::Unknown) } else { extent }
    }

    fn look(&self) -> Result<Extent, StoreError> {
        if let Some(end) = removed_end(&self.directory, self.stream)? {
            return Ok(Extent { oldest: end, end, segments: Vec::new() });
        }
        let segments = segment::segments(&self.directory, self.stream)?;
        if segments.is_empty()
            && let Some(end) = removed_end(&self.directory, self.stream)?
        {
            // Removed between the two looks.
            return Ok(Extent { oldest: end, end, segments });
        }
        let oldest = segments.first().map_or(0, |segment| segment.start);
        let end = segments.last().map_or(0, |segment| segment.end());
        Ok(Extent { oldest, end, segments })
    }
}

/// What there is of a log.
struct Extent {
    oldest: u64,
    end: u64,
    segments: Vec<Segment>,
}

/// Where an offset leads.
enum Located {
    /// To the end: there is nothing yet.
    Nothing,
    /// To a segment that is open now.
    Opened,
    /// To a segment that was removed meanwhile.
    Vanished,
}

/// Where the log of `stream` in `directory` ends.
pub(in crate::store) fn end_of(directory: &Directory, stream: LogStream) -> Result<u64, StoreError> {
    if let Some(end) = removed_end(directory, stream)? {
        return Ok(end);
    }
    Ok(segment::segments(directory, stream)?.last().map_or(0, |segment| segment.end()))
}

fn removed_end(directory: &Directory, stream: LogStream) -> Result<Option<u64>, StoreError> {
    Ok(Removed::read(directory)?.map(|removed| match stream {
        LogStream::Stdout => removed.stdout,
        LogStream::Stderr => removed.stderr,
    }))
}

fn read_some(file: &File, at: u64, max: usize) -> io::Result<Bytes> {
    let there = file.metadata()?.len().saturating_sub(at);
    let mut bytes = vec![0; max.min(usize::try_from(there).unwrap_or(usize::MAX))];
    let read = loop {
        match file.read_at(&mut bytes, at) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => break read?,
        }
    };
    bytes.truncate(read);
    Ok(bytes.into())
}
