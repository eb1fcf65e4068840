//! A program that runs, and what became of it.

use std::fmt;
use std::io::{Read, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use rustix::process::{Pid, Signal, kill_process};

use crate::wait::{DEADLINE, wait_until};

/// A program that runs, its output being collected. Killed if it is dropped before it has ended.
#[derive(Debug)]
pub struct Running {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Capture,
    stderr: Capture,
}

/// How a program ended, and all it wrote.
pub struct Ran {
    /// How it ended.
    pub status: ExitStatus,
    /// What it wrote to stdout.
    pub stdout: Vec<u8>,
    /// What it wrote to stderr.
    pub stderr: Vec<u8>,
}

impl Running {
    /// Starts `command` with a pipe for its stdin.
    pub fn start(command: &mut Command) -> Self {
        Self::start_with(command, Stdio::piped())
    }

    /// Starts `command` with this stdin.
    pub fn start_with(command: &mut Command, stdin: impl Into<Stdio>) -> Self {
        command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let stdout = Capture::new(child.stdout.take().unwrap());
        let stderr = Capture::new(child.stderr.take().unwrap());
        Self { stdin: child.stdin.take(), child, stdout, stderr }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Writes to its stdin. That it no longer reads is no failure of the test's.
    pub fn write(&mut self, bytes: &[u8]) {
        let stdin = self.stdin.as_mut().expect("stdin is not a pipe, or closed");
        if let Err(error) = stdin.write_all(bytes) {
            assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe, "{error}");
        }
    }

    /// Ends its stdin.
    pub fn close_stdin(&mut self) {
        self.stdin = None;
    }

    /// Sends it a signal.
    pub fn signal(&mut self, signal: Signal) {
        assert!(!self.has_ended(), "it has ended before {signal:?} could be sent");
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// What it has written to stdout so far.
    pub fn stdout(&self) -> String {
        self.stdout.text()
    }

    /// What it has written to stderr so far.
    pub fn stderr(&self) -> String {
        self.stderr.text()
    }

    /// Waits until it has written `text` to stdout.
    #[track_caller]
    pub fn wait_for_stdout(&mut self, text: &str) {
        let what = format!("{text:?} on stdout");
        wait_until(&what, DEADLINE, || {
            let found = self.stdout.text().contains(text);
            assert!(
                found || !self.has_ended() || !self.stdout.is_done(),
                "it ended without {what}: {self:?}"
            );
            found
        });
    }

    /// Ends its stdin and waits for its end and for that of its output.
    #[track_caller]
    pub fn finish(mut self) -> Ran {
        self.close_stdin();
        wait_until("the program ends", DEADLINE, || self.has_ended());
        wait_until("nobody holds its output open", DEADLINE, || {
            self.stdout.is_done() && self.stderr.is_done()
        });
        let status = self.child.wait().unwrap();
        Ran { status, stdout: self.stdout.take(), stderr: self.stderr.take() }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.has_ended() {
            self.child.kill().ok();
            self.child.wait().ok();
        }
    }
}

impl Ran {
    /// Runs `command` to its end, without input.
    #[track_caller]
    pub fn of(command: &mut Command) -> Self {
        Running::start_with(command, Stdio::null()).finish()
    }

    /// Runs `command` to its end with `input` on its stdin.
    #[track_caller]
    pub fn with_input(command: &mut Command, input: &[u8]) -> Self {
        let mut running = Running::start(command);
        running.write(input);
        running.finish()
    }

    /// What it wrote to stdout, as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// What it wrote to stderr, as text.
    pub fn errors(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    /// Requires this exit code.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.status.code(), Some(code), "{}", self.excerpt());
        self
    }

    /// Requires exit code 0 and an empty stderr; gives what was written to stdout.
    #[track_caller]
    pub fn succeeds(self) -> String {
        let ran = self.exits(0);
        assert!(ran.stderr.is_empty(), "{}", ran.excerpt());
        ran.text()
    }

    /// Requires this exit code and exactly one line on stderr that begins with the program's name; gives the line
    /// without the name.
    #[track_caller]
    pub fn complains(self, program: &str, code: i32) -> String {
        let ran = self.exits(code);
        let errors = ran.errors();
        let message = errors.strip_prefix(&format!("{program}: ")).and_then(|rest| rest.strip_suffix('\n'));
        match message {
            Some(message) if !message.contains('\n') && !message.is_empty() => message.to_owned(),
            _ => panic!("not one line beginning with {program:?}: {}", ran.excerpt()),
        }
    }

    fn excerpt(&self) -> String {
        let cut = |bytes: &[u8]| String::from_utf8_lossy(&bytes[..bytes.len().min(2000)]).into_owned();
        format!("{}\nstdout: {:?}\nstderr: {:?}", self.status, cut(&self.stdout), cut(&self.stderr))
    }
}

impl fmt::Debug for Ran {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.excerpt())
    }
}

/// Collects what a pipe delivers.
struct Capture {
    bytes: Arc<Mutex<Vec<u8>>>,
    thread: JoinHandle<()>,
}

impl Capture {
    fn new(mut pipe: impl Read + Send + 'static) -> Self {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let shared = Arc::clone(&bytes);
        let thread = thread::spawn(move || {
            let mut buffer = vec![0; 64 * 1024];
            while let Ok(read @ 1..) = pipe.read(&mut buffer) {
                shared.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&buffer[..read]);
            }
        });
        Self { bytes, thread }
    }

    fn is_done(&self) -> bool {
        self.thread.is_finished()
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }

    fn take(&self) -> Vec<u8> {
        std::mem::take(&mut *self.bytes.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl fmt::Debug for Capture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text(), f)
    }
}
