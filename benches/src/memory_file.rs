//! A file whose bytes are in memory and nowhere else, so that no disk is measured.

use std::fs::File;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process;

use anyhow::Result;
use rustix::fs::statvfs;

use crate::system;

/// Where such files live.
const DIRECTORY: &str = "/dev/shm";

/// A file without a name, so that its memory is given back however this program ends.
#[derive(Debug)]
pub(crate) struct MemoryFile {
    path: PathBuf,
    _file: File,
}

impl MemoryFile {
    /// A new file of so many bytes, whole MiB, if there is room for twice as much.
    pub(crate) fn new(bytes: u64) -> Result<Option<Self>> {
        let room = statvfs(DIRECTORY).map_or(0, |system| system.f_bavail * system.f_frsize);
        if room.min(system::available_memory()) < 2 * bytes {
            return Ok(None);
        }
        let mut file = tempfile::tempfile_in(DIRECTORY)?;
        let block: Vec<u8> =
            (0..1 << 20).map(|index: u32| (index.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        for _ in 0..bytes / block.len() as u64 {
            file.write_all(&block)?;
        }
        let path = format!("/proc/{}/fd/{}", process::id(), file.as_raw_fd()).into();
        Ok(Some(Self { path, _file: file }))
    }

    /// Where other processes of this user find it; each open begins at the start.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}
