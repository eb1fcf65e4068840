//! A stdin with an offset: read without moving the offset, which is set at the end to what the command consumed.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use common::limits;
use rustix::buffer::spare_capacity;
use rustix::fs::SeekFrom;
use rustix::io::Errno;

use super::{Reader, Sink};

/// A regular file or block device.
#[derive(Debug)]
pub(crate) struct SeekableFile {
    descriptor: Arc<OwnedFd>,
    start: u64,
}

impl SeekableFile {
    /// From its present offset on.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn new(descriptor: OwnedFd) -> io::Result<Self> {
        let start = rustix::fs::seek(&descriptor, SeekFrom::Current(0))?;
        Ok(Self { descriptor: Arc::new(descriptor), start })
    }

    /// Sends the file.
    pub(super) async fn feed(&self, sink: Sink<'_>) -> io::Result<()> {
        let descriptor = Arc::clone(&self.descriptor);
        let mut offset = self.start;
        // A file may lie on a network, so even this reads in a thread.
        let reader = Reader::spawn(limits::DATA_PAYLOAD, move |buffer| {
            let read = read_at(&descriptor, buffer, offset)?;
            offset += read as u64;
            Ok(read)
        })?;
        sink.pump(reader).await
    }

    /// Sets the offset to behind what the command consumed.
    pub(super) fn settle(&self, consumed: u64) {
        // The descriptor could be sought at the start, and a failure now concerns only whoever reads it next.
        rustix::fs::seek(&*self.descriptor, SeekFrom::Start(self.start.saturating_add(consumed))).ok();
    }
}

fn read_at(descriptor: &OwnedFd, buffer: &mut Vec<u8>, offset: u64) -> io::Result<usize> {
    loop {
        match rustix::io::pread(descriptor, spare_capacity(buffer), offset) {
            Err(Errno::INTR) => {}
            read => return Ok(read?),
        }
    }
}
