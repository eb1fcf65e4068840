//! Starts the supervisor of a job: this program anew, which gets three descriptors, a directory and nothing else.
//!
//! ```text
//!   0   a connection to the server, on which the first client's START comes
//!   1   the lock of the job's directory
//!   2   a file in memory with the request
//! ```

use std::env;
use std::ffi::{CString, OsString};
use std::fs::File;
use std::io::{self, Seek, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::PathBuf;
use std::pin::Pin;

use common::message::{self, ClientMessage, Start};
use rustix::fs::{MemfdFlags, memfd_create};
use tokio::net::UnixStream;

use super::SOCKET;
use crate::process::{Beside, Containment, SUPERVISE};
use crate::store::Custody;

/// The word that says that its job can have a cgroup.
pub(super) const CGROUPS: &str = "cgroups";

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
pub(super) const NONE_KEPT: &str = "none-kept";

/// Ready once a supervisor is gone.
pub(crate) type Gone = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Starts a supervisor for the job in `custody`; `keeps` says whether jobs may go on without a client.
///
/// # Errors
/// The system's; there is none then.
pub(super) fn launch(
    custody: &Custody,
    start: &Start,
    keeps: bool,
    containment: &Containment,
) -> io::Result<(UnixStream, Gone)> {
    let (ours, theirs) = StdUnixStream::pair()?;
    ours.set_nonblocking(true)?;
    containment.prepare(&start.spec.limits);
    let words = [
        SUPERVISE.as_bytes().to_vec(),
        SUPERVISE.as_bytes().to_vec(),
        custody.job().path().as_os_str().as_bytes().to_vec(),
    ];
    let settings = [(containment.cgroup().is_some(), CGROUPS), (!keeps, NONE_KEPT)];
    let settings = settings.into_iter().filter(|(holds, _)| *holds).map(|(_, word)| word.as_bytes().to_vec());
    let arguments = words.into_iter().chain(settings).map(CString::new).collect::<Result<Vec<_>, _>>()?;
    let request = request(start)?;
    let stdio = [theirs.as_fd(), custody.lock().as_fd(), request.as_fd()];
    let process = Beside::start(containment, &arguments, &environment()?, stdio)?;
    Ok((UnixStream::from_std(ours)?, Box::pin(process.ended())))
}

fn environment() -> io::Result<Vec<CString>> {
    let passed_on = |name: &OsString| !OWN_VARIABLES.iter().any(|own| name == own);
    let variables = env::vars_os().filter(|(name, _)| passed_on(name));
    let strings = variables.map(|(name, value)| [name.as_bytes(), b"=", value.as_bytes()].concat());
    Ok(strings.map(CString::new).collect::<Result<_, _>>()?)
}

/// The request in a file that nobody else can see.
fn request(start: &Start) -> io::Result<File> {
    let bytes = message::encode(&ClientMessage::Start(start.clone())).map_err(io::Error::other)?;
    let mut file = File::from(memfd_create("request", MemfdFlags::CLOEXEC)?);
    file.write_all(&bytes)?;
    file.rewind()?;
    Ok(file)
}

/// Where the socket is in a directory that is open: a path that is short enough for one (unix(7)), however deep the directory.
pub(super) fn socket_in(directory: &OwnedFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}/{SOCKET}", directory.as_raw_fd()))
}
