//! What the command reads: this program's stdin or a file, consumed exactly as far as the command consumed it,
//! wherever the system lets us.
//!
//! | stdin is | how it is read | what is consumed here |
//! |---|---|---|
//! | closed, `/dev/null`, a directory, a terminal in the background | not at all | nothing |
//! | a file with an offset | `pread`, then one `lseek` | exactly what the command consumed |
//! | a pipe | `tee`, until the command reads and the pipe is full | the same; once it is full, all of it |
//! | anything else: a terminal, a socket, a device | `read` when there is something; a raw terminal without a thread | what was read |

mod device;
mod file;
mod pipe;
mod reader;
mod typed;

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use rustix::fs::{FileType, OFlags, Stat};
use rustix::io::Errno;
use rustix::termios::isatty;

use self::device::Device;
use self::file::SeekableFile;
use self::pipe::Pipe;
use self::reader::Reader;
pub(crate) use self::typed::Typed;
use super::failure::Failure;
use super::keyboard::Keyboard;
use super::terminal::Sieve;
use crate::{JobStdin, Stdin};

/// The number of `/dev/null`.
const NULL_DEVICE: (u32, u32) = (1, 3);

/// A source of stdin, by how it can be read.
#[derive(Debug)]
pub(crate) enum Input {
    /// There is nothing to read.
    Nothing,
    /// A file with an offset.
    File(SeekableFile),
    /// A pipe or FIFO.
    Pipe(Pipe),
    /// Anything else.
    Device(Device),
}

impl Input {
    /// This program's own stdin.
    ///
    /// # Errors
    /// [`Failure::Input`]: a command must not take what we cannot read for nothing.
    pub(crate) fn own() -> Result<Self, Failure> {
        match rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3) {
            Err(Errno::BADF) => Ok(Self::Nothing),
            Err(error) => Err(Failure::Input(error.into())),
            Ok(stdin) => Self::classify(stdin).map_err(Failure::Input),
        }
    }

    /// The same, where a terminal is read key by key: also one in the background, which may come to the foreground.
    ///
    /// # Errors
    /// [`Failure::Input`].
    pub(crate) fn own_keys() -> Result<Self, Failure> {
        let stdin = rustix::stdio::stdin();
        if !isatty(stdin) {
            return Self::own();
        }
        let own = || Device::new(rustix::io::fcntl_dupfd_cloexec(stdin, 3)?).map(Self::Device);
        own().map_err(Failure::Input)
    }

    /// The file at `path`.
    ///
    /// # Errors
    /// [`Failure::StdinFile`].
    pub(crate) fn open(path: &Path) -> Result<Self, Failure> {
        let open = || {
            let file = std::fs::File::open(path)?;
            if file.metadata()?.is_dir() {
                return Err(Errno::ISDIR.into());
            }
            Self::classify(OwnedFd::from(file))
        };
        open().map_err(|error| Failure::StdinFile(path.to_owned(), error))
    }

    fn classify(descriptor: OwnedFd) -> io::Result<Self> {
        let stat = rustix::fs::fstat(&descriptor)?;
        if is_write_only(&descriptor)? {
            return Ok(Self::Nothing);
        }
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile | FileType::BlockDevice => SeekableFile::new(descriptor).map(Self::File),
            FileType::Fifo => Pipe::new(descriptor).map(Self::Pipe),
            // Whoever reads a directory gets an error, and most who are given one do not read.
            FileType::Directory => Ok(Self::Nothing),
            FileType::CharacterDevice if is_null(&stat) || is_out_of_reach(&descriptor) => Ok(Self::Nothing),
            _ => Device::new(descriptor).map(Self::Device),
        }
    }

    /// Looks for `keyboard`'s keys in what is typed from now on.
    pub(crate) fn watch(&mut self, keyboard: &Arc<Keyboard>) {
        if let Self::Device(device) = self {
            device.watch(keyboard);
        }
    }

    /// Takes out of what is typed from now on what `sieve` holds back.
    pub(crate) fn sift(&mut self, sieve: Arc<Sieve>) {
        if let Self::Device(device) = self {
            device.sift(sieve);
        }
    }

    /// What the command is to be given.
    pub(crate) fn mode(&self) -> Stdin {
        match self {
            Self::Nothing => Stdin::Null,
            Self::Device(device) if device.is_terminal() => Stdin::Typed,
            Self::File(_) | Self::Pipe(_) | Self::Device(_) => Stdin::Piped,
        }
    }

    /// Sends what there is to read until its end, or until the command wants no more. When this fails or is
    /// dropped, the command's stdin is left without an end, so that it does not take a part for the whole.
    ///
    /// # Errors
    /// [`Failure::Input`].
    pub(crate) async fn feed(&mut self, stdin: Option<JobStdin>) -> Result<(), Failure> {
        let Some(stdin) = stdin.map(Unended::new) else { return Ok(()) };
        let sink = stdin.sink();
        let fed = match self {
            Self::Nothing => Ok(()),
            Self::File(file) => file.feed(sink).await,
            Self::Pipe(pipe) => pipe.feed(sink).await,
            Self::Device(device) => device.feed(sink).await,
        };
        fed.map_err(Failure::Input)?;
        stdin.end();
        Ok(())
    }

    /// Leaves our stdin as if the command had read it itself and taken `consumed` bytes of it.
    pub(crate) fn settle(self, consumed: u64) {
        match self {
            Self::File(file) => file.settle(consumed),
            Self::Pipe(pipe) => pipe.settle(consumed),
            Self::Nothing | Self::Device(_) => {}
        }
    }
}

/// A job's stdin that ends only when told to; dropping the library's own ends it.
#[derive(Debug)]
struct Unended(Option<JobStdin>);

impl Unended {
    fn new(stdin: JobStdin) -> Self {
        Self(Some(stdin))
    }

    fn sink(&self) -> Sink<'_> {
        Sink(self.0.as_ref())
    }

    fn end(mut self) {
        if let Some(stdin) = self.0.take() {
            stdin.close();
        }
    }
}

impl Drop for Unended {
    fn drop(&mut self) {
        if let Some(stdin) = self.0.take() {
            stdin.abandon();
        }
    }
}

/// Where the readers put what they read. That nobody wants more is an answer here and no failure: why is told by
/// the job.
#[derive(Debug, Clone, Copy)]
struct Sink<'a>(Option<&'a JobStdin>);

impl Sink<'_> {
    /// Sends `bytes`; `false` if no more are wanted.
    async fn write(self, bytes: Bytes) -> bool {
        match self.0 {
            Some(stdin) => stdin.write(bytes).await,
            None => false,
        }
    }

    /// Waits until no more are wanted.
    async fn stopped(self) {
        if let Some(stdin) = self.0 {
            stdin.stopped().await;
        }
    }

    /// Waits until the command has read something.
    async fn used(self) {
        if let Some(stdin) = self.0 {
            stdin.consumed_beyond(stdin.began()).await;
        }
    }

    /// Sends what a reading thread reads.
    async fn pump(self, mut reader: Reader) -> io::Result<()> {
        loop {
            tokio::select! {
                () = self.stopped() => return Ok(()),
                bytes = reader.next() => {
                    let Some(bytes) = bytes else { return Ok(()) };
                    if !self.write(bytes?).await {
                        return Ok(());
                    }
                }
            }
        }
    }
}

/// As after `0>file`, where reading would only fail.
fn is_write_only(descriptor: impl AsFd) -> io::Result<bool> {
    let access = rustix::fs::fcntl_getfl(descriptor)? & OFlags::RWMODE;
    Ok(access == OFlags::WRONLY)
}

fn is_null(stat: &Stat) -> bool {
    (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev)) == NULL_DEVICE
}

/// Whether this is a terminal whose foreground belongs to others, where a read would stop us (SIGTTIN).
pub(super) fn is_out_of_reach(descriptor: impl AsFd) -> bool {
    isatty(&descriptor) && device::is_in_background(descriptor)
}
