//! Pseudo-terminals: how one is made for a command, and what is done with the end of it that the server keeps, its master.
//!
//! Who reads and writes there, and when, is not known here.

use std::io;
use std::os::fd::OwnedFd;

use common::job::{Terminal, WindowSize};
use rustix::fs::{Mode, OFlags, fchmod, fcntl_getfl, fcntl_setfl, fstat};
use rustix::process::geteuid;
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{InputModes, OptionalActions, Winsize, tcgetattr, tcsetattr, tcsetwinsize};

/// A terminal for nobody but its owner: others could write to it, and so make it answer what nobody has typed.
const OWN_MODE: Mode = Mode::RUSR.union(Mode::WUSR);

/// Both ends of a terminal; they close on exec.
#[derive(Debug)]
pub(super) struct Pty {
    /// Ours. Reading and writing there does not wait.
    pub(super) master: OwnedFd,
    /// The command's. There is no end of its output while anybody has this open.
    pub(super) slave: OwnedFd,
}

impl Pty {
    /// A new terminal like this, which nobody has as controlling terminal.
    ///
    /// # Errors
    /// The system's, `EAGAIN` when there are no more. [`io::ErrorKind::PermissionDenied`] for one that is not our own.
    pub(super) fn open(request: &Terminal) -> io::Result<Self> {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = openpt(flags)?;
        unlockpt(&master)?;
        // Not by its name, which may be that of another in this mount namespace.
        let slave = ioctl_tiocgptpeer(&master, flags)?;
        keep_to_owner(&slave)?;
        tcsetwinsize(&slave, winsize(request.size))?;
        let mut settings = tcgetattr(&slave)?;
        // So that a character is rubbed out as a whole.
        settings.input_modes |= InputModes::IUTF8;
        tcsetattr(&slave, OptionalActions::Now, &settings)?;
        fcntl_setfl(&master, fcntl_getfl(&master)? | OFlags::NONBLOCK)?;
        Ok(Self { master, slave })
    }
}

fn winsize(size: WindowSize) -> Winsize {
    let WindowSize { rows, columns, width, height } = size;
    Winsize { ws_row: rows, ws_col: columns, ws_xpixel: width, ws_ypixel: height }
}

/// The file system of terminals may be mounted so that it lets others in.
fn keep_to_owner(slave: &OwnedFd) -> io::Result<()> {
    let stat = fstat(slave)?;
    if stat.st_uid != geteuid().as_raw() {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    if Mode::from_raw_mode(stat.st_mode) != OWN_MODE {
        fchmod(slave, OWN_MODE)?;
    }
    Ok(())
}
