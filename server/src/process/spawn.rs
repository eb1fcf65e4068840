//! From a specification to a running process with pipes.

use std::ffi::{CString, OsString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use common::job::{ByteString, Program, Spec, StartFailure};
use common::reason::system_reason;
use rustix::fs::{Access, AtFlags, Mode, OFlags, accessat, open};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, PidfdFlags, WaitOptions, pidfd_open, waitpid};
use thiserror::Error;

use super::account::Account;
use super::environment::{self, Environment};
use super::system::{self, Image};
use super::{Process, search};

/// The shell of shell strings: the same on every machine, whatever the login shell is.
const SHELL: &str = "/bin/sh";

/// A process that has just been started, and our ends of its pipes.
#[derive(Debug)]
pub(crate) struct Spawned {
    /// The process.
    pub(crate) process: Process,
    /// Where its stdin is written; `None` if it reads `/dev/null`.
    pub(crate) stdin: Option<OwnedFd>,
    /// Where its stdout is read; its stderr too, if they are merged.
    pub(crate) stdout: OwnedFd,
    /// Where its stderr is read; `None` if merged.
    pub(crate) stderr: Option<OwnedFd>,
}

/// Why a process is not there to be used.
#[derive(Debug, Error)]
pub(crate) enum SpawnError {
    /// It never ran.
    #[error("{0}")]
    NotStarted(StartFailure),
    /// It was started, could not be watched, and was killed at once; what it did until then is unknown.
    #[error("killed at once, because it could not be watched: {0}")]
    Unwatchable(io::Error),
}

/// Starts the command of `spec` at once.
#[cfg(test)]
pub(crate) fn spawn(spec: &Spec, account: &Account) -> Result<Spawned, SpawnError> {
    Prepared::new(spec, account).map_err(SpawnError::NotStarted)?.start()
}

fn watch(id: Pid) -> io::Result<Process> {
    let descriptor = pidfd_open(id, PidfdFlags::empty())?;
    Ok(Process {
        id,
        started: Instant::now(),
        descriptor: system::register(Arc::new(descriptor))?,
        reaped: false,
    })
}

/// Everything that can fail for the user's fault, done before there is a process. Dropped, it has changed nothing.
pub(crate) struct Prepared {
    program: PathBuf,
    arguments: Vec<CString>,
    environment: Vec<CString>,
    directory: OwnedFd,
    pipes: Pipes,
}

impl Prepared {
    /// What it takes to run the command of `spec` as this server's account.
    ///
    /// # Errors
    /// What keeps it from running.
    pub(crate) fn new(spec: &Spec, account: &Account) -> Result<Self, StartFailure> {
        spec.check().map_err(|error| StartFailure::Invalid(search::shown(error.to_string().as_ref())))?;
        let path = environment::directory(account, spec.directory.as_ref());
        let directory = open_directory(&path)?;
        let environment = Environment::new(account, &path, &spec.environment);
        let words = words(&spec.program);
        let program = words.first().map(ByteString::as_os_str).unwrap_or_default();
        let search_path = environment.value("PATH").unwrap_or_default();
        let program = match &spec.program {
            Program::Shell(_) => PathBuf::from(SHELL),
            Program::Argv(_) => search::find(program, search_path, directory.as_fd())?,
        };
        let arguments = c_strings(words.into_iter().map(|word| word.0))?;
        let environment = c_strings(environment.strings())?;
        let pipes = Pipes::new(spec).map_err(exhausted)?;
        Ok(Self { program, arguments, environment, directory, pipes })
    }

    /// Starts the command. Takes as long as the kernel takes to load the program.
    ///
    /// # Errors
    /// [`SpawnError`].
    pub(crate) fn start(self) -> Result<Spawned, SpawnError> {
        let id = self.execute().map_err(SpawnError::NotStarted)?;
        match watch(id) {
            Ok(process) => Ok(self.pipes.into_ours(process)),
            Err(error) => {
                // Not reaped yet, so the id is still this process and nothing else.
                system::kill_group(id, common::job::Signal::KILL).ok();
                waitpid(Some(id), WaitOptions::empty()).ok();
                Err(SpawnError::Unwatchable(error))
            }
        }
    }

    fn execute(&self) -> Result<Pid, StartFailure> {
        let program = c_string(OsString::from(&self.program).into_vec())?;
        let image = Image {
            program: &program,
            arguments: &self.arguments,
            environment: &self.environment,
            directory: self.directory.as_fd(),
            stdio: self.pipes.theirs(),
        };
        system::posix_spawn(&image).map_err(|error| match Errno::from_io_error(&error) {
            Some(Errno::AGAIN | Errno::NOMEM | Errno::MFILE | Errno::NFILE) | None => exhausted(error),
            Some(Errno::TOOBIG) => {
                StartFailure::Invalid("the arguments and the environment are too long".to_owned())
            }
            Some(error) => search::not_executable(&self.program, error),
        })
    }
}

fn words(program: &Program) -> Vec<ByteString> {
    match program {
        Program::Argv(words) => words.clone(),
        Program::Shell(text) => {
            let mut words = vec![ByteString::from("sh"), ByteString::from("-c")];
            if text.0.starts_with(b"-") || text.0.starts_with(b"+") {
                // Or the shell would take it for an option.
                words.push(ByteString::from("--"));
            }
            words.push(text.clone());
            words
        }
    }
}

fn open_directory(path: &Path) -> Result<OwnedFd, StartFailure> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    open(path, flags, Mode::empty())
        .and_then(|directory| {
            accessat(&directory, ".", Access::EXEC_OK, AtFlags::EACCESS)?;
            Ok(directory)
        })
        .map_err(|error| match error {
            Errno::MFILE | Errno::NFILE | Errno::NOMEM => exhausted(error.into()),
            error => StartFailure::Directory {
                path: search::shown(path.as_os_str()),
                reason: system_reason(&error.into()),
            },
        })
}

fn exhausted(error: io::Error) -> StartFailure {
    StartFailure::Exhausted(system_reason(&error))
}

fn c_strings(strings: impl Iterator<Item = Vec<u8>>) -> Result<Vec<CString>, StartFailure> {
    strings.map(c_string).collect()
}

fn c_string(bytes: Vec<u8>) -> Result<CString, StartFailure> {
    CString::new(bytes).map_err(|_| StartFailure::Invalid("a NUL byte".to_owned()))
}

/// Both ends of the command's pipes; all of them close on exec.
struct Pipes {
    stdin: (OwnedFd, Option<OwnedFd>),
    stdout: (OwnedFd, OwnedFd),
    stderr: Option<(OwnedFd, OwnedFd)>,
}

impl Pipes {
    fn new(spec: &Spec) -> io::Result<Self> {
        let stdin = if spec.stdin {
            let (theirs, ours) = pipe_with(PipeFlags::CLOEXEC)?;
            (theirs, Some(ours))
        } else {
            (open("/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?, None)
        };
        let stdout = pipe_with(PipeFlags::CLOEXEC)?;
        let stderr = if spec.merge_output { None } else { Some(pipe_with(PipeFlags::CLOEXEC)?) };
        Ok(Self { stdin, stdout, stderr })
    }

    fn theirs(&self) -> [BorrowedFd<'_>; 3] {
        let stdout = self.stdout.1.as_fd();
        let stderr = self.stderr.as_ref().map_or(stdout, |(_, theirs)| theirs.as_fd());
        [self.stdin.0.as_fd(), stdout, stderr]
    }

    fn into_ours(self, process: Process) -> Spawned {
        Spawned {
            process,
            stdin: self.stdin.1,
            stdout: self.stdout.0,
            stderr: self.stderr.map(|(ours, _)| ours),
        }
    }
}
