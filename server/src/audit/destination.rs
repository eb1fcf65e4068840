//! Where the trail goes: a file that is ours alone, or stderr. Each line is one call of write(2).

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::PathBuf;

use rustix::fs::{Access, OFlags, access};
use rustix::process::geteuid;

use crate::stderr;

/// Something that can be opened, and opened again. `Display` is its name for the operator.
pub(super) trait Destination: fmt::Debug + fmt::Display + Send {
    /// Opens it for appending.
    ///
    /// # Errors
    /// The system's, or what makes it unfit to be trusted.
    fn open(&self) -> io::Result<Opened>;
}

/// An open destination.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) sink: Box<dyn Sink>,
    /// Whether what is there ends in the middle of a line; `None` where nobody can look.
    pub(super) mid_line: Option<bool>,
}

/// What takes lines.
pub(super) trait Sink: fmt::Debug + Send {
    /// Writes `bytes` to the end; how many of them were taken.
    fn append(&self, bytes: &[u8]) -> io::Result<usize>;

    /// The same, if that is sure to wait for nothing; else `None`.
    fn append_now(&self, bytes: &[u8]) -> Option<io::Result<usize>>;

    /// Whether what is written still goes where the destination's name leads.
    fn is_there(&self) -> bool;

    /// Returns when everything appended is on the disk.
    fn sync(&self) -> io::Result<()>;
}

/// A file by its path.
#[derive(Debug)]
pub(super) struct AuditFile(pub(super) PathBuf);

impl AuditFile {
    /// Whether it could be opened, as far as that can be seen without making it.
    ///
    /// # Errors
    /// As [`Destination::open`].
    pub(super) fn check(&self) -> io::Result<()> {
        let can_write = |directory| access(directory, Access::WRITE_OK | Access::EXEC_OK).is_ok();
        let has_place = || self.0.parent().is_some_and(|parent| parent.is_dir() && can_write(parent));
        match Self::options().open(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && has_place() => self.check_directory(),
            opened => check_trust(&opened?).and_then(|()| self.check_directory()),
        }
    }

    /// Where anybody can remove it, nobody has to have written it. A group may be that of those who keep the logs.
    fn check_directory(&self) -> io::Result<()> {
        let Some(parent) = self.0.parent() else { return Ok(()) };
        let mode = parent.metadata()?.mode() & 0o7777;
        if mode & 0o1002 == 0o002 {
            return Err(io::Error::other(format!(
                "the mode of its directory is {mode:04o}: anybody can remove it"
            )));
        }
        Ok(())
    }

    fn options() -> OpenOptions {
        // Not to hang on a FIFO: what it is can be asked only once it is open.
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
        let mut options = OpenOptions::new();
        options.read(true).append(true).mode(0o600).custom_flags(flags);
        options
    }
}

impl Destination for AuditFile {
    fn open(&self) -> io::Result<Opened> {
        let file = Self::options().create(true).open(&self.0)?;
        check_trust(&file)?;
        self.check_directory()?;
        let mid_line = Some(ends_mid_line(&file)?);
        Ok(Opened { sink: Box::new(file), mid_line })
    }
}

impl fmt::Display for AuditFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.display().fmt(f)
    }
}

/// A trail into which others can write proves nothing.
fn check_trust(file: &File) -> io::Result<()> {
    let found = file.metadata()?;
    if !found.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let owner = found.uid();
    if owner != geteuid().as_raw() {
        return Err(io::Error::other(format!("it belongs to uid {owner}")));
    }
    let mode = found.mode() & 0o7777;
    if mode & 0o022 != 0 {
        return Err(io::Error::other(format!("its mode is {mode:04o}: others can write to it")));
    }
    Ok(())
}

fn ends_mid_line(file: &File) -> io::Result<bool> {
    let Some(last) = file.metadata()?.len().checked_sub(1) else { return Ok(false) };
    let mut byte = [0];
    file.read_exact_at(&mut byte, last)?;
    Ok(byte != *b"\n")
}

impl Sink for File {
    fn append(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut file = self;
        file.write(bytes)
    }

    fn append_now(&self, _: &[u8]) -> Option<io::Result<usize>> {
        // Its disk may stand still, or be at the other end of a network.
        None
    }

    fn is_there(&self) -> bool {
        self.metadata().is_ok_and(|found| found.nlink() > 0)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}

/// The server's stderr.
#[derive(Debug)]
pub(super) struct Stderr;

impl Destination for Stderr {
    fn open(&self) -> io::Result<Opened> {
        Ok(Opened { sink: Box::new(Self), mid_line: None })
    }
}

impl fmt::Display for Stderr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("stderr")
    }
}

impl Sink for Stderr {
    fn append(&self, bytes: &[u8]) -> io::Result<usize> {
        stderr::write(bytes)
    }

    fn append_now(&self, bytes: &[u8]) -> Option<io::Result<usize>> {
        stderr::write_now(bytes)
    }

    fn is_there(&self) -> bool {
        true
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}
