//! Pseudo-terminals: how one is made for a command, and what is done with the end of it that the server keeps, its master.
//!
//! Who reads and writes there, and when, is not known here.

#[cfg(test)]
mod tests;

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use common::job::{Signal, Terminal, WindowSize, terminal_modes};
use rustix::fs::{Mode, OFlags, fchmod, fcntl_getfl, fcntl_setfl, fstat};
use rustix::process::geteuid;
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{
    InputModes, LocalModes, OptionalActions, SpecialCodeIndex, Winsize, isatty, tcgetattr, tcgetwinsize,
    tcsetattr, tcsetwinsize,
};

use super::system;

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
        terminal_modes::apply(&request.modes, &mut settings);
        tcsetattr(&slave, OptionalActions::Now, &settings)?;
        fcntl_setfl(&master, fcntl_getfl(&master)? | OFlags::NONBLOCK)?;
        Ok(Self { master, slave })
    }
}

/// Whether this is a terminal, or the master of one.
pub(crate) fn is_terminal(descriptor: impl AsFd) -> bool {
    isatty(descriptor)
}

/// How large a terminal is.
///
/// # Errors
/// The system's, if it is none.
pub(crate) fn size(master: impl AsFd) -> io::Result<WindowSize> {
    let size = tcgetwinsize(master)?;
    Ok(WindowSize { rows: size.ws_row, columns: size.ws_col, width: size.ws_xpixel, height: size.ws_ypixel })
}

/// Makes a terminal so large. What runs in its foreground is sent WINCH, also if it has that size already: so it paints anew.
///
/// # Errors
/// The system's, if it is none.
pub(crate) fn resize(master: impl AsFd, size: WindowSize) -> io::Result<()> {
    let (master, size) = (master.as_fd(), winsize(size));
    if tcgetwinsize(master)? == size {
        // The system says nothing about a size that is no other.
        let another = size.ws_row.checked_add(1).unwrap_or(size.ws_row - 1);
        tcsetwinsize(master, Winsize { ws_row: another, ..size })?;
    }
    Ok(tcsetwinsize(master, size)?)
}

/// Whether a terminal has a key for this signal.
pub(crate) fn is_key(signal: Signal) -> bool {
    matches!(signal.number(), libc::SIGINT | libc::SIGQUIT | libc::SIGTSTP)
}

/// Sends a signal that [has a key](is_key) to the process group in the foreground of a terminal, as the key does.
///
/// # Errors
/// The system's; it takes no other signals.
pub(crate) fn signal_foreground(master: impl AsFd, signal: Signal) -> io::Result<()> {
    system::signal_foreground(master.as_fd(), signal)
}

/// What to type so that whoever reads finds the end of the input, after `last` was typed: the key for that once at the start of a
/// line, and twice behind the start, where the first only ends the line. Nothing if it is a key like others at present.
///
/// # Errors
/// The system's, if it is no terminal.
pub(crate) fn type_end(master: impl AsFd, last: Option<u8>) -> io::Result<Vec<u8>> {
    let settings = tcgetattr(master)?;
    let end = settings.special_codes[SpecialCodeIndex::VEOF];
    if end == 0 || !settings.local_modes.contains(LocalModes::ICANON) {
        return Ok(Vec::new());
    }
    let starts_line = match last {
        None | Some(b'\n') => true,
        Some(b'\r') => settings.input_modes.contains(InputModes::ICRNL),
        Some(byte) => byte == end,
    };
    Ok(vec![end; if starts_line { 1 } else { 2 }])
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
