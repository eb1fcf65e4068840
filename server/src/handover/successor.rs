//! The program that takes over: where it is, whether it is sound, and becoming it.

use std::convert::Infallible;
use std::ffi::{CString, OsStr, OsString};
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use common::reason::system_reason;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use thiserror::Error;
use tokio::net::unix::pipe;
use tokio::time;

use super::{HandoverError, Record, VARIABLE, sealed};
use crate::background::aside;
use crate::inherited::pass_on;
use crate::service_manager::{NOTIFY_SOCKET, PASSED_VARIABLES};

/// How long a program may take to say that it is sound. It reads a few files, and may have to be read from a slow disk.
const PATIENCE: Duration = Duration::from_secs(10);

/// The command of `server` that says whether it is. Its stdin is the record.
const EXAMINATION: &str = "handover-check";

/// What a sound program says, and no other program does by chance.
pub(crate) const SOUND: &str = "this telex server would take over";

/// Bytes of what it says otherwise that are looked at.
const SAID: usize = 16 * 1024;

/// Longest reason that is passed on, in characters.
const REASON: usize = 500;

/// The file that a server was started from, and will be started from again: whatever is in it then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Program(PathBuf);

impl Program {
    /// The file of this program. It may be another one as soon as it is replaced, so this is to be asked at the start.
    pub(crate) fn of_this_process() -> Self {
        let name = std::env::args_os().next().unwrap_or_default();
        let searched = std::env::var_os("PATH").unwrap_or_default();
        let current = std::env::current_dir().unwrap_or_default();
        let is_this = |path: &Path| is_same_file(path, Path::new("/proc/self/exe"));
        let executed = || std::env::current_exe().map_or_else(|_| current.join(&name), without_mark);
        Self(named(&name, &searched, &current, is_this).unwrap_or_else(executed))
    }

    /// The one that a record names.
    pub(crate) fn of(record: &Record) -> Self {
        Self(record.program())
    }

    /// Its path, absolute.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

/// The path by which a program was called `name`: links are left in it, so that they can be pointed to a new version.
fn named(name: &OsStr, searched: &OsStr, current: &Path, is_this: impl Fn(&Path) -> bool) -> Option<PathBuf> {
    if name.as_bytes().contains(&b'/') {
        return Some(current.join(name)).filter(|path| is_this(path));
    }
    std::env::split_paths(searched)
        .map(|directory| current.join(directory).join(name))
        .find(|path| is_this(path))
}

fn is_same_file(one: &Path, other: &Path) -> bool {
    let identity = |path: &Path| fs::metadata(path).map(|found| (found.dev(), found.ino())).ok();
    identity(one).is_some_and(|found| identity(other) == Some(found))
}

/// The path without what the system adds when the file has been replaced (proc_pid_exe(5)).
fn without_mark(path: PathBuf) -> PathBuf {
    match path.as_os_str().as_bytes().strip_suffix(b" (deleted)") {
        Some(name) if !path.exists() => OsString::from_vec(name.to_vec()).into(),
        _ => path,
    }
}

/// Why a program is not made the successor.
#[derive(Debug, Error)]
pub(crate) enum Unsound {
    /// There is no way to ask it.
    #[error(transparent)]
    Handover(#[from] HandoverError),
    /// It cannot be executed, or not be listened to.
    #[error("it cannot be executed: {}", system_reason(.0))]
    NotExecuted(#[from] io::Error),
    /// It does not say that it is sound.
    #[error("it says: {0}")]
    Says(String),
    /// It says nothing.
    #[error("it does not answer as a server does")]
    NoServer,
    /// It takes too long.
    #[error("it has not answered within {} s", PATIENCE.as_secs())]
    TooLate,
}

/// Asks `program` whether it would take over `record` with the arguments of this process, by running it once, beside this
/// server.
///
/// # Errors
/// [`Unsound`].
pub(crate) async fn examine(program: &Program, record: &Record) -> Result<(), Unsound> {
    let examined = Examined::start(program, sealed(record)?)?;
    let answers = async { tokio::join!(read(&examined.stdout), read(&examined.stderr)) };
    let answers = time::timeout(PATIENCE, answers).await;
    // The next program would not know that it is there to be reaped.
    time::timeout(PATIENCE, examined.end()).await.ok();
    let (stdout, stderr) = answers.map_err(|_| Unsound::TooLate)?;
    // Its exit code says less: other programs have one, too.
    if stdout.lines().any(|line| line == SOUND) {
        return Ok(());
    }
    let last = stderr.lines().rev().find(|line| !line.trim().is_empty());
    Err(last.map_or(Unsound::NoServer, |line| Unsound::Says(line.chars().take(REASON).collect())))
}

/// A program that is asked. Killed when it is dropped.
struct Examined {
    /// `None` when it was left to be reaped.
    child: Option<Child>,
    process: OwnedFd,
    stdout: pipe::Receiver,
    stderr: pipe::Receiver,
}

impl Examined {
    fn start(program: &Program, record: OwnedFd) -> io::Result<Self> {
        let mut arguments = std::env::args_os();
        let mut command = Command::new(program.path());
        if let Some(name) = arguments.next() {
            command.arg0(name);
        }
        for variable in PASSED_VARIABLES.into_iter().chain([VARIABLE, NOTIFY_SOCKET]) {
            command.env_remove(variable);
        }
        command.args(arguments).arg(EXAMINATION);
        command.stdin(record).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let process = Pid::from_raw(child.id().cast_signed()).ok_or(Errno::SRCH);
        let process = process.and_then(|process| pidfd_open(process, PidfdFlags::empty()));
        let pipe = |end: Option<OwnedFd>| {
            pipe::Receiver::from_owned_fd(end.ok_or_else(|| io::Error::from(io::ErrorKind::BrokenPipe))?)
        };
        let stdout = pipe(child.stdout.take().map(OwnedFd::from));
        let stderr = pipe(child.stderr.take().map(OwnedFd::from));
        match (process, stdout, stderr) {
            (Ok(process), Ok(stdout), Ok(stderr)) => Ok(Self { child: Some(child), process, stdout, stderr }),
            (process, stdout, stderr) => {
                child.kill().ok();
                child.wait().ok();
                process?;
                stdout.and(stderr).and(Err(io::ErrorKind::Other.into()))
            }
        }
    }

    /// Ends it, whatever it is at, and waits for that on a thread of its own.
    async fn end(mut self) {
        pidfd_send_signal(&self.process, Signal::KILL).ok();
        if let Some(mut child) = self.child.take() {
            aside("examined", move || child.wait()).await.ok();
        }
    }
}

impl Drop for Examined {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            pidfd_send_signal(&self.process, Signal::KILL).ok();
            tokio::spawn(aside("examined", move || child.wait()));
        }
    }
}

/// What is said until the end, as far as it is looked at.
async fn read(pipe: &pipe::Receiver) -> String {
    let mut said = Vec::new();
    let mut piece = [0; 1024];
    loop {
        match pipe.try_read(&mut piece) {
            Ok(0) => break,
            Ok(count) if said.len() < SAID => said.extend_from_slice(piece.get(..count).unwrap_or_default()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if pipe.readable().await.is_err() {
                    break;
                }
            }
            Err(_) => break,
        }
    }
    String::from_utf8_lossy(&said).into_owned()
}

/// Becomes `program`, with the arguments and the environment of this process, `record`, and the `descriptors` of which it
/// speaks. Returns only if that cannot be; then everything is as before.
pub(crate) fn become_successor(
    program: &Program,
    record: &Record,
    descriptors: &[BorrowedFd<'_>],
) -> HandoverError {
    match sealed(record) {
        Ok(memory) => HandoverError::Execute(execute(program, &memory, descriptors)),
        Err(error) => error,
    }
}

fn execute(program: &Program, memory: &OwnedFd, descriptors: &[BorrowedFd<'_>]) -> io::Error {
    let become_it = || -> io::Result<Infallible> {
        let path = c_string(program.path().as_os_str().to_owned())?;
        let arguments = std::env::args_os().map(c_string).collect::<io::Result<Vec<_>>>()?;
        let environment = environment(memory)?;
        pass_on(memory, true)?;
        for descriptor in descriptors {
            pass_on(descriptor, true)?;
        }
        Ok(nix::unistd::execve(&path, &arguments, &environment)?)
    };
    let error = match become_it() {
        Err(error) => error,
        Ok(never) => match never {},
    };
    for descriptor in descriptors {
        // It was possible the other way round.
        pass_on(descriptor, false).ok();
    }
    error
}

/// This process's own, with word of the record, and without what a service manager has passed on to the program before.
fn environment(memory: &OwnedFd) -> io::Result<Vec<CString>> {
    let is_old = |name: &OsStr| name == VARIABLE || PASSED_VARIABLES.iter().any(|old| name == *old);
    let word = format!("{VARIABLE}={}:{}", std::process::id(), memory.as_raw_fd());
    let variables = std::env::vars_os().filter(|(name, _)| !is_old(name)).map(|(mut variable, value)| {
        variable.push("=");
        variable.push(value);
        variable
    });
    variables.chain([word.into()]).map(c_string).collect()
}

fn c_string(text: OsString) -> io::Result<CString> {
    CString::new(text.into_vec()).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_where_it_was_called() {
        let found = |name: &str, this: &str| {
            named(name.as_ref(), "/usr/bin:bin:/opt/bin".as_ref(), Path::new("/here"), |path| {
                path == Path::new(this)
            })
        };
        assert_eq!(found("/opt/current/telexd", "/opt/current/telexd"), Some("/opt/current/telexd".into()));
        assert_eq!(found("./telexd", "/here/./telexd"), Some("/here/./telexd".into()));
        assert_eq!(found("telexd", "/opt/bin/telexd"), Some("/opt/bin/telexd".into()));
        assert_eq!(found("telexd", "/here/bin/telexd"), Some("/here/bin/telexd".into()));
        // A name of its own choosing, such as a login shell's, leads nowhere.
        assert_eq!(found("-telexd", "/opt/bin/telexd"), None);
        assert_eq!(found("/elsewhere/telexd", "/opt/bin/telexd"), None);
    }

    #[test]
    fn a_file_that_was_replaced_is_where_it_was() {
        let mark = |path: &str| without_mark(path.into());
        assert_eq!(mark("/nonexistent/server (deleted)"), Path::new("/nonexistent/server"));
        assert_eq!(mark("/nonexistent/server"), Path::new("/nonexistent/server"));
    }
}
