//! From a specification to a running process with pipes, or on a terminal.

use std::ffi::{CString, OsString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use common::job::{ByteString, Extras, JobId, Program, Resource, Spec, StartFailure, Terminal};
use common::reason::system_reason;
use rustix::fs::{Access, AtFlags, Mode, OFlags, accessat, fcntl_getfl, fcntl_setfl, open};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use thiserror::Error;
use tracing::warn;

use super::account::Account;
use super::cgroup::Group;
use super::containment::{Containment, Hold};
use super::environment::{self, Environment};
use super::system::{Born, Failure, Image, Restraints, Step};
use super::terminal::Pty;
use super::tree::Tree;
use super::{Process, children, limits, search};

/// The shell of shell strings: the same on every machine, whatever the login shell is.
const SHELL: &str = "/bin/sh";

/// A process that has just been started, and our ends of its pipes, or of its terminal.
#[derive(Debug)]
pub(crate) struct Spawned {
    /// The process.
    pub(crate) process: Process,
    /// Where its stdin is written; `None` if it reads `/dev/null`. The master of a terminal, whether anything is typed or not.
    pub(crate) stdin: Option<OwnedFd>,
    /// Where its stdout is read; its stderr too, if they are merged. Another descriptor for the master of a terminal.
    pub(crate) stdout: OwnedFd,
    /// Where its stderr is read; `None` if merged, as on a terminal.
    pub(crate) stderr: Option<OwnedFd>,
    /// Its control descriptors, if it has some.
    pub(crate) control: Option<ControlEnds>,
}

/// Our ends of a command's control descriptors.
#[derive(Debug)]
pub(crate) struct ControlEnds {
    /// Where its descriptor 0 is written, without waiting.
    pub(crate) commands: OwnedFd,
    /// Where its descriptor 9 is read.
    pub(crate) reports: OwnedFd,
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

/// Everything that can fail for the user's fault, done before there is a process. Dropped, it has changed nothing.
pub(crate) struct Prepared {
    id: JobId,
    program: PathBuf,
    arguments: Vec<CString>,
    environment: Vec<CString>,
    directory: (OwnedFd, PathBuf),
    ends: Ends,
    group: Option<Group>,
    restraints: Restraints,
    containment: Arc<Containment>,
}

impl Prepared {
    /// What it takes to run the command of `spec` with these `extras` as this server's account.
    ///
    /// # Errors
    /// What keeps it from running.
    pub(crate) fn new(
        spec: &Spec,
        extras: &Extras,
        account: &Account,
        id: &JobId,
        containment: &Arc<Containment>,
    ) -> Result<Self, StartFailure> {
        let terminal = extras.terminal.as_ref();
        let sound = spec.check().and_then(|()| extras.check()).and_then(|()| extras.check_with(spec));
        sound.map_err(|error| StartFailure::Invalid(search::shown(error.to_string().as_ref())))?;
        let path = environment::directory(account, spec.directory.as_ref());
        let directory = open_directory(&path)?;
        let environment = Environment::new(account, &path, terminal, &spec.environment, id);
        let words = words(&spec.program, account);
        let program = words.first().map(ByteString::as_os_str).unwrap_or_default();
        let search_path = environment.value("PATH").unwrap_or_default();
        let program = match &spec.program {
            Program::Shell(_) => PathBuf::from(SHELL),
            Program::Argv(_) => search::find(program, search_path, directory.as_fd())?,
            Program::LoginShell => account.shell.clone(),
        };
        let arguments = c_strings(words.into_iter().map(|word| word.0))?;
        let environment = c_strings(environment.strings())?;
        let ends = Ends::new(spec, extras).map_err(|error| search::exhausted(&error))?;
        let Hold { group, restraints } = containment.hold(&spec.limits)?;
        let (id, directory, containment) = (id.clone(), (directory, path), Arc::clone(containment));
        Ok(Self { id, program, arguments, environment, directory, ends, group, restraints, containment })
    }

    /// Starts the command. Takes as long as the kernel takes to load the program.
    ///
    /// # Errors
    /// [`SpawnError`].
    pub(crate) fn start(mut self) -> Result<Spawned, SpawnError> {
        let program = c_string(OsString::from(&self.program).into_vec()).map_err(SpawnError::NotStarted)?;
        let entry = self.containment.enter(&self.id, self.group.as_ref());
        let mut result = children::start(&self.image(&program));
        if let Err(failure) = &result
            && self.give_up_group(failure)
        {
            result = children::start(&self.image(&program));
        }
        let Born { id, descriptor } = result.map_err(|failure| self.error(failure))?;
        if let Some(entry) = entry.as_ref().filter(|_| self.group.is_none()) {
            entry.started(&self.id, id.as_raw_nonzero().get().unsigned_abs());
        }
        let tree = Tree::new(id, self.id, self.group, entry, self.containment);
        // Should this fail, dropping the tree's owner is what ends it.
        let process = Process::new(id, tree, descriptor).map_err(SpawnError::Unwatchable)?;
        Ok(self.ends.into_ours(process))
    }

    fn image<'a>(&'a self, program: &'a CString) -> Image<'a> {
        Image {
            program,
            arguments: &self.arguments,
            environment: &self.environment,
            directory: self.directory.0.as_fd(),
            stdio: self.ends.theirs(),
            control: self.ends.control(),
            terminal: matches!(self.ends.main, Main::Terminal { .. }),
            cgroup: self.group.as_ref().and_then(Group::descriptor),
            restraints: self.restraints,
        }
    }

    /// Does without a cgroup that nobody can be born in: somebody has frozen it, say, or taken it away. Not if it keeps limits.
    fn give_up_group(&mut self, failure: &Failure) -> bool {
        let is_groups = failure.step == Step::Clone && !is_shortage(&failure.error);
        match self.group.take_if(|group| is_groups && !group.is_limited()) {
            Some(group) => {
                warn!(error = %failure.error, "the cgroup of a job cannot be used: it will be searched for in /proc");
                group.spoil();
                true
            }
            None => false,
        }
    }

    fn error(&self, Failure { step, error }: Failure) -> SpawnError {
        let cannot = |resource| limits::impossible(resource, &system_reason(&error));
        SpawnError::NotStarted(match step {
            Step::Watch => return SpawnError::Unwatchable(error),
            _ if is_shortage(&error) => search::exhausted(&error),
            Step::AddressSpace => cannot(Resource::Memory),
            Step::Processes => cannot(Resource::Processes),
            Step::Niceness => cannot(Resource::Nice),
            Step::Directory => cannot_enter(&self.directory.1, &error),
            Step::Execute => match Errno::from_io_error(&error) {
                Some(Errno::TOOBIG) => {
                    StartFailure::Invalid("the arguments and the environment are too long".to_owned())
                }
                Some(error) => search::not_executable(&self.program, error),
                None => search::exhausted(&error),
            },
            Step::Clone | Step::Session | Step::Descriptors | Step::Terminal => search::exhausted(&error),
        })
    }
}

/// Whether the machine, or what the server may have of it, is used up.
fn is_shortage(error: &io::Error) -> bool {
    let errno = Errno::from_io_error(error);
    matches!(errno, Some(Errno::AGAIN | Errno::NOMEM | Errno::MFILE | Errno::NFILE))
}

fn words(program: &Program, account: &Account) -> Vec<ByteString> {
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
        Program::LoginShell => vec![login_name(account)],
    }
}

/// By this name the account's shell knows that it is a login shell, as login(1) starts it.
fn login_name(account: &Account) -> ByteString {
    let name = account.shell.file_name().unwrap_or(account.shell.as_os_str());
    ByteString([b"-", name.as_bytes()].concat())
}

fn open_directory(path: &Path) -> Result<OwnedFd, StartFailure> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    open(path, flags, Mode::empty())
        .and_then(|directory| {
            accessat(&directory, ".", Access::EXEC_OK, AtFlags::EACCESS)?;
            Ok(directory)
        })
        .map_err(|error| match error {
            Errno::MFILE | Errno::NFILE | Errno::NOMEM => search::exhausted(&error.into()),
            error => cannot_enter(path, &error.into()),
        })
}

fn cannot_enter(path: &Path, error: &io::Error) -> StartFailure {
    StartFailure::Directory { path: search::shown(path.as_os_str()), reason: system_reason(error) }
}

fn c_strings(strings: impl Iterator<Item = Vec<u8>>) -> Result<Vec<CString>, StartFailure> {
    strings.map(c_string).collect()
}

fn c_string(bytes: Vec<u8>) -> Result<CString, StartFailure> {
    CString::new(bytes).map_err(|_| StartFailure::Invalid("a NUL byte".to_owned()))
}

/// What a command reads and writes; all of it closes on exec.
struct Ends {
    main: Main,
    control: Option<Control>,
}

enum Main {
    Pipes(Pipes),
    Terminal {
        terminal: Pty,
        /// The master once more: one to write, and one to read.
        again: OwnedFd,
    },
}

impl Ends {
    fn new(spec: &Spec, extras: &Extras) -> io::Result<Self> {
        let main = match &extras.terminal {
            None => Main::Pipes(Pipes::new(spec)?),
            Some(terminal) => Main::on(terminal)?,
        };
        let control = if extras.control { Some(Control::new()?) } else { None };
        Ok(Self { main, control })
    }

    fn theirs(&self) -> [BorrowedFd<'_>; 3] {
        let [stdin, stdout, stderr] = match &self.main {
            Main::Pipes(pipes) => pipes.theirs(),
            Main::Terminal { terminal, .. } => [terminal.slave.as_fd(); 3],
        };
        let stdin = self.control.as_ref().map_or(stdin, |control| control.commands.0.as_fd());
        [stdin, stdout, stderr]
    }

    fn control(&self) -> Option<BorrowedFd<'_>> {
        self.control.as_ref().map(|control| control.reports.1.as_fd())
    }

    fn into_ours(self, process: Process) -> Spawned {
        let control = self.control.map(|Control { commands: (_, commands), reports: (reports, _) }| {
            ControlEnds { commands, reports }
        });
        match self.main {
            Main::Pipes(Pipes { stdin: (_, stdin), stdout: (stdout, _), stderr }) => {
                Spawned { process, stdin, stdout, stderr: stderr.map(|(ours, _)| ours), control }
            }
            Main::Terminal { terminal, again } => {
                Spawned { process, stdin: Some(again), stdout: terminal.master, stderr: None, control }
            }
        }
    }
}

impl Main {
    fn on(terminal: &Terminal) -> io::Result<Self> {
        let terminal = Pty::open(terminal)?;
        let again = terminal.master.try_clone()?;
        Ok(Self::Terminal { terminal, again })
    }
}

/// Both ends of the pipes of a command's control descriptors, the one that is read first.
struct Control {
    commands: (OwnedFd, OwnedFd),
    reports: (OwnedFd, OwnedFd),
}

impl Control {
    fn new() -> io::Result<Self> {
        let commands = pipe_with(PipeFlags::CLOEXEC)?;
        fcntl_setfl(&commands.1, fcntl_getfl(&commands.1)? | OFlags::NONBLOCK)?;
        Ok(Self { commands, reports: pipe_with(PipeFlags::CLOEXEC)? })
    }
}

/// Both ends of the command's pipes.
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
}
