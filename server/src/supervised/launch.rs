//! Starts the supervisor of a job: this program anew, which gets two descriptors, a directory and nothing else.
//!
//! ```text
//!   0   a connection to the server: a byte with the lock of the job's directory, a byte, then what the first client says
//!   1   a file in memory with the request
//!   2   nothing
//! ```
//!
//! It gets ready while the disk does its part, which takes as long:
//!
//! ```text
//!   server       raise ─► Raised ── charge ─► Charged ── permit ─►
//!   disk         the directory is written ┘            │
//!                                its name is written ──┘
//!   supervisor   starts ──────────► has the lock, opens its files ─► begins
//! ```

use std::env;
use std::ffi::{CString, OsString};
use std::fs::File;
use std::io::{self, IoSlice, Seek, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::time::Duration;

use common::job::Extras;
use common::message::{self, Start};
use rustix::fs::{MemfdFlags, Mode, OFlags, memfd_create, open};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use tokio::net::UnixStream;

use super::SOCKET;
use crate::process::{Beside, Containment, SUPERVISE};
use crate::store::Custody;

/// The word that says that its job can have a cgroup.
pub(crate) const CGROUPS: &str = "cgroups";

/// What concerns this process alone.
const OWN_VARIABLES: [&str; 8] = [
    "TELEX_JOB_ID",
    "NOTIFY_SOCKET",
    "LISTEN_PID",
    "LISTEN_FDS",
    "LISTEN_FDNAMES",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
    "FDSTORE",
];

/// Behind the directory: no job may go on without a client.
pub(crate) const NONE_KEPT: &str = "none-kept";

/// Ready once a supervisor is gone.
pub(crate) type Gone = Pin<Box<dyn Future<Output = ()> + Send>>;

/// How long one that is not needed may take to end. It only has to see that nobody is at the other end.
const DISMISSAL: Duration = Duration::from_secs(2);

/// A supervisor that has no job yet.
#[derive(Debug)]
pub(super) struct Raised {
    connection: UnixStream,
    process: Beside,
}

/// Starts a supervisor for the job that is to be in the directory `place`; `keeps` says whether jobs may go on without a client.
///
/// # Errors
/// The system's; there is none then.
pub(super) fn raise(
    place: &Path,
    (start, extras): (&Start, &Extras),
    keeps: bool,
    containment: &Containment,
) -> io::Result<Raised> {
    let (ours, theirs) = StdUnixStream::pair()?;
    ours.set_nonblocking(true)?;
    containment.prepare(&start.spec.limits);
    let words =
        [SUPERVISE.as_bytes().to_vec(), SUPERVISE.as_bytes().to_vec(), place.as_os_str().as_bytes().to_vec()];
    let settings = [(containment.cgroup().is_some(), CGROUPS), (!keeps, NONE_KEPT)];
    let settings = settings.into_iter().filter(|(holds, _)| *holds).map(|(_, word)| word.as_bytes().to_vec());
    let arguments = words.into_iter().chain(settings).map(CString::new).collect::<Result<Vec<_>, _>>()?;
    let request = request(start, extras)?;
    let null = open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    let stdio = [theirs.as_fd(), request.as_fd(), null.as_fd()];
    // First, since what was started is not to be let go of.
    let (connection, environment) = (UnixStream::from_std(ours)?, environment()?);
    let process = Beside::start(containment, &arguments, &environment, stdio)?;
    Ok(Raised { connection, process })
}

impl Raised {
    /// Puts it in charge of the job in `custody`, which is the one that it was started for, and which it must not begin yet.
    ///
    /// # Errors
    /// The system's; it is in charge of nothing then, and is to be [dismissed](Self::dismiss).
    pub(super) fn charge(self, custody: &Custody) -> Result<Charged, (Self, io::Error)> {
        match self.send_lock(custody) {
            Ok(()) => Ok(Charged(self)),
            Err(error) => Err((self, error)),
        }
    }

    fn send_lock(&self, custody: &Custody) -> io::Result<()> {
        let locks = [custody.lock().as_fd()];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !control.push(SendAncillaryMessage::ScmRights(&locks)) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        sendmsg(&self.connection, &[IoSlice::new(b"\0")], &mut control, SendFlags::NOSIGNAL)?;
        Ok(())
    }

    /// Ends it: there is no job for it.
    pub(super) async fn dismiss(self) {
        let Self { connection, process } = self;
        drop(connection);
        process.ended_within(DISMISSAL).await;
    }
}

/// A supervisor that waits until it may begin. It ends, and the job never began, if that is not said.
#[derive(Debug)]
pub(super) struct Charged(Raised);

impl Charged {
    /// Has it begin.
    pub(super) fn permit(self) -> (UnixStream, Gone) {
        let Raised { connection, process } = self.0;
        // There is room for a byte. That it is gone shows to whoever speaks to it, and then the disk says that the job never began.
        rustix::io::write(&connection, b"\0").ok();
        (connection, Box::pin(process.ended()))
    }

    /// Ends it.
    pub(super) async fn dismiss(self) {
        self.0.dismiss().await;
    }
}

fn environment() -> io::Result<Vec<CString>> {
    let passed_on = |name: &OsString| !OWN_VARIABLES.iter().any(|own| name == own);
    let variables = env::vars_os().filter(|(name, _)| passed_on(name));
    let strings = variables.map(|(name, value)| [name.as_bytes(), b"=", value.as_bytes()].concat());
    Ok(strings.map(CString::new).collect::<Result<_, _>>()?)
}

/// The request in a file that nobody else can see.
fn request(start: &Start, extras: &Extras) -> io::Result<File> {
    let bytes = message::encode(&start.clone().say(extras)).map_err(io::Error::other)?;
    let mut file = File::from(memfd_create("request", MemfdFlags::CLOEXEC)?);
    file.write_all(&bytes)?;
    file.rewind()?;
    Ok(file)
}

/// Where the socket is in a directory that is open: a path that is short enough for one (unix(7)), however deep the directory.
pub(crate) fn socket_in(directory: &OwnedFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}/{SOCKET}", directory.as_raw_fd()))
}
