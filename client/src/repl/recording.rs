//! A recording of the session, as `:record` makes it: what the terminal is shown, and never what is typed unseen. A failure ends the
//! recording and nothing else.
//!
//! - `asciicast`: what is in the file

mod asciicast;

use std::env;
use std::fs::{File, Permissions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use common::job::WindowSize;
use common::reason::system_reason;
use rustix::fs::{Mode, OFlags, open};
use thiserror::Error;

use self::asciicast::Events;
use super::commands::Record;
use super::local_path::local;
use super::{Next, Work};
use crate::cli::terminal::{self, UNKNOWN};
use crate::cli::{exit_code, report};
use crate::repl::source::Source;

/// Whoever reads it is not to get what others may not see.
const MODE: u32 = 0o600;

/// What is being recorded, if anything; whoever shows something has one of these.
#[derive(Debug, Clone, Default)]
pub(super) struct Recorder(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    recording: Option<Recording>,
    /// Why the last one has come to an end, until that is said.
    failed: Option<(PathBuf, io::Error)>,
}

#[derive(Debug)]
struct Recording {
    path: PathBuf,
    file: BufWriter<File>,
    events: Events,
    begun: Instant,
    size: WindowSize,
}

/// Why nothing is recorded.
#[derive(Debug, Error)]
enum RecordError {
    #[error("not on a terminal: there is nothing to record")]
    NoTerminal,
    #[error("{} is being recorded; :record stops that", .0.display())]
    Already(PathBuf),
    #[error("nothing is being recorded; :record FILE begins")]
    Nothing,
    #[error("{} is there already; :record -f replaces it", .0.display())]
    Exists(PathBuf),
    #[error("cannot record in {}: {}", .0.display(), system_reason(.1))]
    Open(PathBuf, io::Error),
}

impl Recorder {
    fn start(&self, path: PathBuf, force: bool) -> Result<(), RecordError> {
        let mut state = self.lock();
        if let Some(recording) = &state.recording {
            return Err(RecordError::Already(recording.path.clone()));
        }
        let file = match create(&path, force) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(RecordError::Exists(path));
            }
            Err(error) => return Err(RecordError::Open(path, error)),
        };
        let size = terminal::size().filter(|size| size.rows > 0 && size.columns > 0).unwrap_or(UNKNOWN);
        let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let environment = ["SHELL", "TERM"].map(|name| (name, env::var(name).ok()));
        let recording = Recording {
            path,
            file: BufWriter::new(file),
            events: Events::default(),
            begun: Instant::now(),
            size,
        };
        state.recording = Some(recording);
        state.write(|_, _| asciicast::header(size, since_epoch, &environment));
        Ok(())
    }

    /// Ends it: how long it is, and where; `None` if there is none, or none any more.
    fn stop(&self) -> Option<(Duration, PathBuf)> {
        let mut state = self.lock();
        state.write(|events, at| events.text(at, ""));
        state.flush();
        state.recording.take().map(|recording| (recording.begun.elapsed(), recording.path))
    }

    /// Bytes that a command has written.
    pub(super) fn output(&self, bytes: &[u8]) {
        self.lock().write(|events, at| events.output(at, bytes));
    }

    /// Lines of our own.
    pub(super) fn text(&self, text: &str) {
        self.lock().write(|events, at| events.text(at, &text.replace('\n', "\r\n")));
    }

    /// The terminal has this size.
    pub(super) fn resize(&self, size: WindowSize) {
        let mut state = self.lock();
        let Some(recording) = &mut state.recording else { return };
        let is_same = (size.rows, size.columns) == (recording.size.rows, recording.size.columns);
        if !is_same && size.rows > 0 && size.columns > 0 {
            recording.size = size;
            state.write(|_, at| Events::resize(at, size));
        }
    }

    /// Has in the file what was recorded. Why it has come to an end, if it has: once.
    fn flush(&self) -> Option<(PathBuf, io::Error)> {
        let mut state = self.lock();
        state.flush();
        state.failed.take()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn write(&mut self, line: impl FnOnce(&mut Events, Duration) -> String) {
        let Some(recording) = &mut self.recording else { return };
        let line = line(&mut recording.events, recording.begun.elapsed());
        let written = recording.file.write_all(line.as_bytes());
        self.check(written);
    }

    fn flush(&mut self) {
        let Some(recording) = &mut self.recording else { return };
        let written = recording.file.flush();
        self.check(written);
    }

    fn check(&mut self, written: io::Result<()>) {
        if let Err(error) = written
            && let Some(Recording { path, file, .. }) = self.recording.take()
        {
            // Whoever plays it has whole lines for as long as there are any; what is left is not tried again.
            drop(file.into_parts());
            self.failed = Some((path, error));
        }
    }
}

/// Opens `path` for a recording. Waits for nobody, as a FIFO would have it.
fn create(path: &Path, force: bool) -> io::Result<File> {
    let way = if force { OFlags::TRUNC } else { OFlags::EXCL };
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let flags = flags | OFlags::NONBLOCK | OFlags::NOCTTY | way;
    let file = File::from(open(path, flags, Mode::from_raw_mode(MODE))?);
    if force && file.metadata()?.is_file() {
        file.set_permissions(Permissions::from_mode(MODE))?;
    }
    Ok(file)
}

impl Work<'_> {
    /// `:record` at work.
    pub(super) fn record(&mut self, record: &Record) -> Next {
        let done = match record {
            _ if self.source != Source::Terminal => Err(RecordError::NoTerminal),
            Record::Start { path, force } => self.start_recording(local(path), *force),
            Record::Stop if self.end_recording() => Ok(()),
            Record::Stop => Err(RecordError::Nothing),
        };
        self.done(if done.is_ok() { 0 } else { exit_code::FAILED });
        if let Err(error) = done {
            self.complain(error);
        }
        self.after(None)
    }

    fn start_recording(&self, path: PathBuf, force: bool) -> Result<(), RecordError> {
        self.recorder.start(path.clone(), force)?;
        report::print(&format!("recording in {}; :record stops", path.display()));
        Ok(())
    }

    /// Says how long the recording is, if there is one to be ended.
    pub(super) fn end_recording(&self) -> bool {
        let stopped = self.recorder.stop();
        if let Some((length, path)) = &stopped {
            report::print(&format!("recorded {} s in {}", length.as_secs(), path.display()));
        }
        let failed = self.check_recording();
        stopped.is_some() || failed
    }

    /// A line is done. Whether the recording has failed, which is said.
    pub(super) fn check_recording(&self) -> bool {
        let Some((path, error)) = self.recorder.flush() else { return false };
        let (path, reason) = (path.display(), system_reason(&error));
        self.reporter.say(format_args!(
            "the recording in {path} has stopped: {reason}; :record with another FILE begins a new one"
        ));
        true
    }
}
