//! A file for output that nobody takes and that memory has no room for. Nameless: it goes with the server, as the job does.
//!
//! Reading and writing are done aside, so that a disk that stands still holds up one stream and no more.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use common::stream::Budget;
use rustix::fs::{Mode, OFlags, open};

use crate::background::aside;
use crate::job::handed::HandedSpool;
use crate::parcel::{Packing, Unpacking};

/// What the spools of one job may hold: a long line of a build's log, and less than a stray `yes` would fill a disk with.
const PER_JOB: u64 = 64 * 1024 * 1024;

/// What the spools of all jobs may hold together.
const IN_ALL: u64 = 1024 * 1024 * 1024;

/// Where spools are made, and how much they may hold.
#[derive(Debug, Clone)]
pub(crate) struct Spools {
    directory: Arc<Path>,
    quota: Budget,
}

/// A file with the bytes of a stream from one offset to another.
#[derive(Debug)]
pub(super) struct Spool {
    file: Arc<File>,
    /// The offset at which the file begins.
    start: u64,
    end: u64,
    quota: Budget,
}

impl Spools {
    /// Spools in `directory`, which need not be there yet.
    pub(crate) fn new(directory: PathBuf) -> Self {
        Self { directory: directory.into(), quota: Budget::new(IN_ALL) }
    }

    /// The share of one job.
    pub(crate) fn of_job(&self) -> Self {
        Self { directory: Arc::clone(&self.directory), quota: self.quota.child(PER_JOB) }
    }

    /// How many more bytes they may hold, at most.
    pub(super) fn left(&self) -> u64 {
        self.quota.left()
    }

    /// Begins a spool at `offset`.
    ///
    /// # Errors
    /// The system's.
    pub(super) async fn begin(&self, offset: u64) -> io::Result<Spool> {
        let directory = Arc::clone(&self.directory);
        let file = aside("spool", move || make(&directory)).await??;
        Ok(Spool { file: Arc::new(file), start: offset, end: offset, quota: self.quota.clone() })
    }
}

impl Spool {
    pub(super) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// Leaves it to the next program, if there will be one.
    pub(super) fn hand(&self, packing: &mut Packing<'_>) -> HandedSpool {
        HandedSpool { file: packing.file(Arc::clone(&self.file)), start: self.start, end: self.end }
    }

    /// Goes on with one of the program before; it counts in `spools`.
    ///
    /// # Errors
    /// The system's, if it is not there.
    pub(super) fn take(
        handed: &HandedSpool,
        spools: Option<&Spools>,
        unpacking: &mut Unpacking,
    ) -> io::Result<Self> {
        let file = Arc::new(File::from(unpacking.descriptor(handed.file)?));
        let length = handed.end.checked_sub(handed.start).ok_or(io::ErrorKind::InvalidData)?;
        let quota = spools.map(|spools| spools.quota.clone()).filter(|quota| quota.take(length));
        let (start, end) = (handed.start, handed.end);
        // What there is no quota for is there all the same, and nothing is added to it.
        Ok(Self { file, start, end, quota: quota.unwrap_or_else(|| Budget::new(0)) })
    }

    /// What writes `bytes` behind the last, if there is quota left for them; they count when that is [`Spool::add`]ed.
    ///
    /// # Errors
    /// [`io::ErrorKind::QuotaExceeded`].
    pub(super) fn writer(
        &self,
        bytes: Bytes,
    ) -> io::Result<impl Future<Output = io::Result<Written>> + use<>> {
        let len = bytes.len() as u64;
        if !self.quota.take(len) {
            return Err(io::ErrorKind::QuotaExceeded.into());
        }
        let written = Written { len, quota: self.quota.clone() };
        let (file, at) = (Arc::clone(&self.file), self.end - self.start);
        Ok(async move {
            aside("spool", move || file.write_all_at(&bytes, at)).await??;
            Ok(written)
        })
    }

    /// What was written belongs to the spool from now on.
    pub(super) fn add(&mut self, mut written: Written) {
        self.end += std::mem::take(&mut written.len);
    }

    /// What reads up to `most` bytes from `offset` on.
    pub(super) fn reader(&self, offset: u64, most: usize) -> impl Future<Output = io::Result<Bytes>> + use<> {
        let file = Arc::clone(&self.file);
        let at = offset - self.start;
        let len = usize::try_from(self.end - offset).unwrap_or(usize::MAX).min(most);
        async move {
            let read = move || {
                let mut bytes = vec![0; len];
                file.read_exact_at(&mut bytes, at).map(|()| Bytes::from(bytes))
            };
            aside("spool", read).await?
        }
    }
}

/// Bytes in the file that do not count yet. Dropped, they never will.
#[derive(Debug)]
pub(super) struct Written {
    len: u64,
    quota: Budget,
}

impl Drop for Written {
    fn drop(&mut self) {
        self.quota.give_back(self.len);
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        self.quota.give_back(self.end - self.start);
    }
}

/// A file without a name, for this server alone.
fn make(directory: &Path) -> io::Result<File> {
    use std::os::unix::fs::DirBuilderExt;
    let made = std::fs::DirBuilder::new().mode(0o700).recursive(true).create(directory);
    // That it cannot be made shows in that it cannot be used.
    made.ok();
    let flags = OFlags::RDWR | OFlags::TMPFILE | OFlags::CLOEXEC;
    Ok(open(directory, flags, Mode::RUSR | Mode::WUSR)?.into())
}
