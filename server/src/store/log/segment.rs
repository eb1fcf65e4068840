//! Which files a log is made of. Says what is there; writes nothing.

use std::io;

use super::LogStream;
use crate::store::StoreError;
use crate::store::directory::Directory;
use crate::store::point::Point;

/// Files that a job's directory may have: two logs of 64 MiB in segments of 4 MiB have 66. Beyond this it is not ours.
pub(in crate::store) const FILES: usize = 4096;

/// Digits of an offset in a name.
const DIGITS: usize = 16;

/// What the index of a segment's times is called behind the segment's name.
const TIMES: &str = ".times";

/// A part of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Segment {
    /// Offset of its first byte.
    pub(super) start: u64,
    /// Bytes in it.
    pub(super) length: u64,
}

impl Segment {
    /// Offset behind its last byte.
    pub(super) fn end(self) -> u64 {
        self.start.saturating_add(self.length)
    }
}

/// What the segment of `stream` that begins at `start` is called.
pub(super) fn name(stream: LogStream, start: u64) -> String {
    format!("{}.{start:016x}", stream.name())
}

/// What the index of its times is called.
pub(super) fn times_name(stream: LogStream, start: u64) -> String {
    format!("{}{TIMES}", name(stream, start))
}

/// The offset in the name of a segment of `stream`.
fn start(stream: LogStream, name: &str) -> Option<u64> {
    let digits = name.strip_prefix(stream.name())?.strip_prefix('.')?;
    let is_ours = digits.len() == DIGITS && digits.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'));
    u64::from_str_radix(digits, 16).ok().filter(|_| is_ours)
}

/// Where the segments of `stream` begin, in order.
pub(super) fn starts(directory: &Directory, stream: LogStream) -> Result<Vec<u64>, StoreError> {
    let names = directory.names(FILES).map_err(|error| StoreError::system(directory.path(), error))?;
    if !names.complete {
        return Err(StoreError::damaged(directory.path(), "it has more files than any job"));
    }
    let mut starts: Vec<u64> = names.listed.iter().filter_map(|name| start(stream, name)).collect();
    starts.sort_unstable();
    Ok(starts)
}

/// How often the directory is listed when it changes meanwhile: files may go, and a listing of a directory that grows may show
/// a later file and not an earlier one.
const LOOKS: usize = 32;

/// The segments of `stream`, without a gap between them.
pub(super) fn segments(directory: &Directory, stream: LogStream) -> Result<Vec<Segment>, StoreError> {
    let mut gap = None;
    for _ in 0..LOOKS {
        match look(directory, stream)? {
            Look::Whole(segments) => return Ok(segments),
            Look::Vanished => gap = None,
            // The same gap again is one.
            Look::Gap(before) if gap == Some(before) => {
                let path = directory.path().join(name(stream, before));
                return Err(StoreError::damaged(&path, "output is missing before it"));
            }
            Look::Gap(before) => gap = Some(before),
        }
    }
    Err(StoreError::Busy { path: directory.path().to_owned() })
}

/// What one listing shows.
enum Look {
    /// All segments.
    Whole(Vec<Segment>),
    /// A file was listed that was gone when it was looked at.
    Vanished,
    /// Something is missing before the segment that begins here.
    Gap(u64),
}

fn look(directory: &Directory, stream: LogStream) -> Result<Look, StoreError> {
    let mut segments: Vec<Segment> = Vec::new();
    for start in starts(directory, stream)? {
        let name = name(stream, start);
        let found = directory.stat(&name).map_err(|error| directory.error(&name, error))?;
        let Some(found) = found else { return Ok(Look::Vanished) };
        if segments.last().is_some_and(|before| before.end() != start) {
            return Ok(Look::Gap(start));
        }
        segments.push(Segment { start, length: u64::try_from(found.st_size).unwrap_or_default() });
    }
    Ok(Look::Whole(segments))
}

/// Bytes of all that belongs to logs.
pub(in crate::store) fn stored_bytes(directory: &Directory) -> io::Result<u64> {
    let mut bytes: u64 = 0;
    for name in log_files(directory)? {
        let length =
            directory.stat(&name)?.map_or(0, |found| u64::try_from(found.st_size).unwrap_or_default());
        bytes = bytes.saturating_add(length);
    }
    Ok(bytes)
}

/// Removes all that belongs to logs.
pub(in crate::store) fn remove_all(directory: &Directory) -> io::Result<()> {
    for name in log_files(directory)? {
        directory.unlink(&name)?;
        directory.mark(Point::FileRemoved);
    }
    Ok(())
}

fn log_files(directory: &Directory) -> io::Result<impl Iterator<Item = String>> {
    let is_ours = |name: &String| {
        let name = name.strip_suffix(TIMES).unwrap_or(name);
        LogStream::ALL.into_iter().any(|stream| start(stream, name).is_some())
    };
    Ok(directory.names(FILES)?.listed.into_iter().filter(is_ours))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_exact_names_are_segments() {
        for at in [0, 1, 0x40_0000, u64::MAX] {
            assert_eq!(start(LogStream::Stdout, &name(LogStream::Stdout, at)), Some(at));
        }
        let others =
            ["", "stdout", "stdout.", "stdout.0", "stdout.000000000000000G", "stdout.+000000000000000"];
        let times = times_name(LogStream::Stdout, 0);
        for other in others.into_iter().chain(["stderr.0000000000000000", "stdout.000000000000000A", &times])
        {
            assert_eq!(start(LogStream::Stdout, other), None, "{other}");
        }
    }
}
