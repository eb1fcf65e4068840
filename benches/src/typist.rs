//! Somebody who types on a terminal and waits for each key to be shown: how long that takes.

use std::fs::File;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

use crate::daemon::Daemon;

/// What runs at the other end: it takes each key as it comes, and shows it.
pub(crate) const ECHO: &str = "stty raw -echo; echo ready; exec cat";

/// What it says first.
const READY: &[u8] = b"ready";

/// A key that means nothing to anybody on the way.
const KEY: u8 = b'x';

/// How long a key may take, or the program to begin.
const LATEST: Duration = Duration::from_secs(10);

/// Whoever says nothing for so long has said what there was to say.
const QUIET: Duration = Duration::from_millis(200);

const SIZE: Winsize = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };

/// A terminal with a program on it, which is stopped when this is dropped.
#[derive(Debug)]
pub(crate) struct Typist {
    terminal: File,
    _program: Daemon,
}

impl Typist {
    /// Starts `command`, which brings [`ECHO`] about, and waits until keys get there.
    pub(crate) fn sit_down(mut command: Command) -> Result<Self> {
        let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        grantpt(&terminal)?;
        unlockpt(&terminal)?;
        tcsetwinsize(&terminal, SIZE)?;
        let path: PathBuf = ptsname(&terminal, Vec::new())?.into_string()?.into();
        // Not this program's own terminal, whatever it has.
        let end = || rustix::fs::open(&path, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty());
        command.env("TERM", "xterm").stdin(end()?).stdout(end()?).stderr(end()?);
        let mut program = Daemon::start(&mut command)?;
        // It has them now, and its end must show.
        drop(command);
        let mut terminal = File::from(terminal);
        let mut said = Vec::new();
        while !said.windows(READY.len()).any(|window| window == READY) {
            let wrong = || format!("it says: {}", String::from_utf8_lossy(&said).trim());
            ensure!(is_shown_within(&terminal, LATEST)?, wrong());
            let mut bytes = [0; 4096];
            let read = terminal.read(&mut bytes).with_context(wrong)?;
            said.extend(bytes.iter().take(read));
        }
        program.wait_until(|| is_raw(&terminal))?;
        // The end of that line, and whatever else is said before anybody types.
        while is_shown_within(&terminal, QUIET)? {
            ensure!(terminal.read(&mut [0; 4096])? > 0, "it is gone");
        }
        Ok(Self { terminal, _program: program })
    }

    /// Types a key; the seconds until it is shown.
    pub(crate) fn key(&mut self) -> Result<f64> {
        let start = Instant::now();
        self.terminal.write_all(&[KEY])?;
        ensure!(is_shown_within(&self.terminal, LATEST)?, "a key is not shown");
        let mut shown = [0; 16];
        let read = self.terminal.read(&mut shown)?;
        let time = start.elapsed();
        ensure!(shown.get(..read) == Some(&[KEY]), "not what was typed: {shown:?}");
        Ok(time.as_secs_f64())
    }
}

/// Whether something is there to read, soon enough.
fn is_shown_within(terminal: &File, time: Duration) -> Result<bool> {
    let timeout = Timespec { tv_sec: time.as_secs().cast_signed(), tv_nsec: time.subsec_nanos().into() };
    Ok(poll(&mut [PollFd::new(terminal, PollFlags::IN)], Some(&timeout))? > 0)
}

/// Whether every key goes as it is typed, and shows only when the other end says so.
fn is_raw(terminal: &File) -> bool {
    tcgetattr(terminal)
        .is_ok_and(|modes| !modes.local_modes.intersects(LocalModes::ECHO | LocalModes::ICANON))
}
