//! When the bytes of a segment were written, as well as it is worth knowing: an index beside the segment, never the truth
//! about how long it is.
//!
//! An entry is an offset and milliseconds since 1970, 8 bytes each, little-endian: nothing from that offset on was written
//! before that time. One that is torn, or makes no sense behind its predecessor, ends the index.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use rustix::fs::OFlags;

use super::LogStream;
use super::segment::{self, Segment};
use crate::store::directory::Directory;
use crate::store::point::Point;
use crate::store::{StoreError, Timestamp};

const ENTRY_BYTES: usize = 16;

/// Entries are at least so many milliseconds apart: a reader does not see less.
const APART: u64 = 100;

/// So many entries of a segment have no other rule: a job that writes a line a second is timed to the line for half an hour.
const DENSE: u64 = 2048;

/// Then there is one for so many bytes at most, which makes as many again in a segment of 4 MiB.
const SPARSE_BYTES: u64 = 2048;

/// The most that is read of an index.
const INDEX_BYTES: usize = 2 * DENSE as usize * ENTRY_BYTES;

/// The writer's side of an index.
#[derive(Debug, Default)]
pub(super) struct Times {
    file: Option<File>,
    entries: u64,
    last: Option<(u64, Timestamp)>,
}

impl Times {
    /// That of a segment which is there already, to be continued.
    pub(super) fn reopen(directory: &Directory, stream: LogStream, segment: Segment) -> Self {
        let found = read(directory, stream, segment).unwrap_or_default();
        Self { file: None, entries: found.len() as u64, last: found.last().copied() }
    }

    /// Notes that what begins at `offset` in `segment` is being written `now`. That it cannot be noted is nobody's concern:
    /// the bytes are what counts.
    pub(super) fn note(
        &mut self,
        directory: &Directory,
        stream: LogStream,
        segment: Segment,
        offset: u64,
        now: Timestamp,
    ) {
        if self.is_worth_it(offset, now) && self.write(directory, stream, segment.start, offset, now).is_ok()
        {
            self.entries += 1;
            self.last = Some((offset, now));
            directory.mark(Point::TimeNoted);
        }
    }

    fn is_worth_it(&self, offset: u64, now: Timestamp) -> bool {
        let Some((last_offset, last)) = self.last else { return true };
        // The clock may have gone back.
        let is_later = now.0.abs_diff(last.0) >= APART;
        is_later
            && (self.entries < DENSE
                || (self.entries < 2 * DENSE && offset.saturating_sub(last_offset) >= SPARSE_BYTES))
    }

    fn write(
        &mut self,
        directory: &Directory,
        stream: LogStream,
        start: u64,
        offset: u64,
        now: Timestamp,
    ) -> io::Result<()> {
        let file = match self.file.take() {
            Some(file) => file,
            None => directory.file(&segment::times_name(stream, start), OFlags::WRONLY | OFlags::CREATE)?,
        };
        let mut entry = [0; ENTRY_BYTES];
        for (to, from) in entry.iter_mut().zip(offset.to_le_bytes().into_iter().chain(now.0.to_le_bytes())) {
            *to = from;
        }
        // At its place, whatever was left there by a write that broke off.
        let written = file.write_all_at(&entry, self.entries * ENTRY_BYTES as u64);
        self.file = Some(file);
        written
    }
}

/// When the byte at `offset` in `segment` was written, or a little before; `None` if that was not noted.
pub(super) fn time_of(
    directory: &Directory,
    stream: LogStream,
    segment: Segment,
    offset: u64,
) -> Result<Option<Timestamp>, StoreError> {
    let entries = read(directory, stream, segment)
        .map_err(|error| directory.error(&segment::times_name(stream, segment.start), error))?;
    let behind = entries.partition_point(|(noted, _)| *noted <= offset);
    Ok(behind.checked_sub(1).and_then(|place| entries.get(place)).map(|(_, time)| *time))
}

/// When the bytes of `segment` from `from` to `to` were written; see [`time_of`].
pub(super) fn between(
    directory: &Directory,
    stream: LogStream,
    segment: Segment,
    from: u64,
    to: u64,
) -> Result<Vec<(u64, Timestamp)>, StoreError> {
    let mut entries = read(directory, stream, segment)
        .map_err(|error| directory.error(&segment::times_name(stream, segment.start), error))?;
    entries.truncate(entries.partition_point(|(noted, _)| *noted < to));
    let first = entries.partition_point(|(noted, _)| *noted <= from).saturating_sub(1);
    let entries = entries.into_iter().skip(first);
    Ok(entries.map(|(noted, time)| (noted.max(from), time)).collect())
}

fn read(directory: &Directory, stream: LogStream, segment: Segment) -> io::Result<Vec<(u64, Timestamp)>> {
    let bytes = directory.read(&segment::times_name(stream, segment.start), INDEX_BYTES)?.unwrap_or_default();
    let mut entries: Vec<(u64, Timestamp)> = Vec::new();
    for entry in bytes.chunks_exact(ENTRY_BYTES) {
        let Some((offset, rest)) = entry.split_first_chunk::<8>() else { break };
        let Some(time) = rest.first_chunk::<8>() else { break };
        let (offset, time) = (u64::from_le_bytes(*offset), u64::from_le_bytes(*time));
        let lowest = entries.last().map_or(segment.start, |(before, _)| before + 1);
        if !(lowest..segment.end()).contains(&offset) {
            break;
        }
        entries.push((offset, Timestamp(time)));
    }
    Ok(entries)
}
