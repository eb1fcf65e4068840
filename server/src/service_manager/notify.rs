//! How the server is doing, told to the service manager that has started it (sd_notify(3)): a few words in a datagram.

use std::ffi::OsString;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use rustix::time::{ClockId, clock_gettime};
use tracing::warn;

use super::NOTIFY_SOCKET;

/// How long a service manager may take to read what it was told before. It reads at once, or is in trouble of its own.
const PATIENCE: Duration = Duration::from_secs(1);

/// Oftener than that nobody is told anything.
const SHORTEST: Duration = Duration::from_millis(10);

/// Tells a service manager, if there is one.
#[derive(Debug, Clone)]
pub(crate) struct Notifier(Option<SocketAddr>);

impl Notifier {
    /// Tells the one that the environment names.
    pub(crate) fn from_environment() -> Self {
        let Some(name) = std::env::var_os(NOTIFY_SOCKET) else { return Self(None) };
        let address = address(&name);
        if let Err(error) = &address {
            warn!(%error, socket = %name.display(), "there is no service manager to be told anything");
        }
        Self(address.ok())
    }

    /// It serves.
    pub(crate) fn ready(&self, status: &str) {
        self.tell(&format!("READY=1\n{}", status_line(status)));
    }

    /// It takes on other settings, or becomes another program; until [`Notifier::ready`].
    pub(crate) fn reloading(&self, status: &str) {
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={}\n{}", monotonic(), status_line(status)));
    }

    /// It ends.
    pub(crate) fn stopping(&self) {
        self.tell(&format!("STOPPING=1\n{}", status_line("stopping")));
    }

    /// It is not stuck.
    pub(crate) fn alive(&self) {
        self.tell("WATCHDOG=1");
    }

    /// Has `descriptor` kept under `name` until the service is started again. Whether it was asked for: whether there is room
    /// for it, nobody says.
    pub(crate) fn store(&self, descriptor: BorrowedFd<'_>, name: &str) -> bool {
        let Self(Some(address)) = self else { return false };
        let sent = send(address, &format!("FDSTORE=1\nFDNAME={name}"), Some(descriptor));
        if let Err(error) = &sent {
            warn!(%error, name, "the service manager cannot keep a listener");
        }
        sent.is_ok()
    }

    /// Has what is kept under `name` given up.
    pub(crate) fn remove(&self, name: &str) {
        self.tell(&format!("FDSTOREREMOVE=1\nFDNAME={name}"));
    }

    fn tell(&self, message: &str) {
        let Self(Some(address)) = self else { return };
        if let Err(error) = send(address, message, None) {
            warn!(%error, "cannot tell the service manager");
        }
    }
}

/// How often a service manager wants to hear that this process is alive, if it does: twice in the time after which it takes it
/// for dead (sd_watchdog_enabled(3)). `variable` looks up the environment.
pub(crate) fn watchdog(own: u32, variable: impl Fn(&str) -> Option<String>) -> Option<Duration> {
    let is_ours = variable("WATCHDOG_PID").is_none_or(|text| text.parse() == Ok(own));
    let microseconds: u64 = variable("WATCHDOG_USEC").filter(|_| is_ours)?.parse().ok()?;
    (microseconds > 0).then(|| (Duration::from_micros(microseconds) / 2).max(SHORTEST))
}

/// One line, whatever is in it.
fn status_line(status: &str) -> String {
    format!("STATUS={}", status.replace(char::is_control, " "))
}

/// A path, or with `@` an abstract name.
fn address(name: &OsString) -> io::Result<SocketAddr> {
    match name.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
        [b'/', ..] => SocketAddr::from_pathname(name),
        _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "neither a path nor an abstract name")),
    }
}

fn send(address: &SocketAddr, message: &str, descriptor: Option<BorrowedFd<'_>>) -> io::Result<()> {
    let socket = UnixDatagram::unbound()?;
    socket.connect_addr(address)?;
    socket.set_write_timeout(Some(PATIENCE))?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let descriptors: Vec<_> = descriptor.into_iter().collect();
    if !descriptors.is_empty() {
        control.push(SendAncillaryMessage::ScmRights(&descriptors));
    }
    let message = [IoSlice::new(message.as_bytes())];
    sendmsg(socket.as_fd(), &message, &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// Microseconds of the clock that a service manager compares with its own.
fn monotonic() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
    seconds.saturating_mul(1_000_000).saturating_add(u64::try_from(now.tv_nsec).unwrap_or_default() / 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_watched_that_is_meant() {
        let watched = |variables: &[(&str, &str)]| {
            watchdog(7, |name| {
                variables.iter().find(|(known, _)| *known == name).map(|(_, text)| (*text).to_owned())
            })
        };
        let half = Some(Duration::from_secs(5));
        assert_eq!(watched(&[("WATCHDOG_USEC", "10000000"), ("WATCHDOG_PID", "7")]), half);
        assert_eq!(watched(&[("WATCHDOG_USEC", "10000000")]), half);
        assert_eq!(watched(&[("WATCHDOG_USEC", "10000000"), ("WATCHDOG_PID", "8")]), None);
        assert_eq!(watched(&[("WATCHDOG_PID", "7")]), None);
        assert_eq!(watched(&[("WATCHDOG_USEC", "1")]), Some(SHORTEST));
        for text in ["0", "", "x", "-1"] {
            assert_eq!(watched(&[("WATCHDOG_USEC", text)]), None, "{text:?}");
        }
    }

    #[test]
    fn a_status_is_one_line() {
        assert_eq!(status_line("a\nREADY=1"), "STATUS=a READY=1");
    }
}
