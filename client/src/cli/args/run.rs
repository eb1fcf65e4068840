//! The options of `run`, and those that it shares with `attach` and `shell`.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::time::Duration;

use common::duration;
use common::job::{JobId, OnDisconnect, ResourceLimits};

use super::tokens::{Token, Tokens};
use super::usage::UsageError;
use super::{Instead, Page, ServerOptions, size};
use crate::cli::detach_keys::DetachKeys;
use crate::cli::environment::Assignment;
use crate::cli::terminal::EscapeKey;

/// Options of `run`.
#[derive(Debug, Default)]
pub(crate) struct RunOptions {
    /// Directory to run it in.
    pub(crate) cwd: Option<PathBuf>,
    /// Variables, in the order in which they were given.
    pub(crate) env: Vec<Assignment>,
    /// Files of variables.
    pub(crate) env_file: Vec<PathBuf>,
    /// File that it reads, instead of our stdin.
    pub(crate) stdin: Option<PathBuf>,
    /// Whether it reads nothing.
    pub(crate) no_stdin: bool,
    /// Time after which the server ends it.
    pub(crate) timeout: Option<Duration>,
    /// How long the server keeps it for us if the line is lost.
    pub(crate) grace: Option<Duration>,
    /// What becomes of it when we go away.
    pub(crate) on_disconnect: Option<OnDisconnect>,
    /// Whether stderr goes where stdout goes.
    pub(crate) merge: bool,
    /// Whether to wait for whatever holds the output open.
    pub(crate) wait_output: bool,
    /// Whether it gets a terminal.
    pub(crate) tty: Tty,
    /// The job's id, if it is not to be random.
    pub(crate) id: Option<JobId>,
    /// What it may take from the machine.
    pub(crate) limits: ResourceLimits,
    /// Whether to leave it to the server once it runs.
    pub(crate) detach: bool,
    /// How it is shown here.
    pub(crate) shown: Shown,
    /// The command.
    pub(crate) words: Words,
}

/// Whether a command gets a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Tty {
    /// It gets none.
    #[default]
    No,
    /// It gets one if there is one here.
    IfThere,
    /// It gets one.
    Always,
}

/// How a job in the foreground is shown.
#[derive(Debug, Default)]
pub(crate) struct Shown {
    /// Whether stdout carries events.
    pub(crate) json: bool,
    /// Whether to say at the end what the job has taken.
    pub(crate) time: bool,
    /// Whether to say nothing about signals, timeouts, left-open output and a line that was lost for a while.
    pub(crate) quiet: bool,
    /// The keys that leave the job to the server, if they are not the usual ones.
    pub(crate) detach_keys: Option<DetachKeys>,
    /// The key that is followed by orders to this program, if it is not the usual one.
    pub(crate) escape_key: Option<EscapeKey>,
}

/// A command, in the form in which it was given.
#[derive(Debug, PartialEq, Eq, Default)]
pub(crate) enum Words {
    /// None at all: the login shell of the server's user.
    #[default]
    LoginShell,
    /// One word, and no `--` before it: a string for the server's shell.
    Shell(OsString),
    /// Several words, or any behind `--`: exactly these, without a shell.
    Argv {
        /// The program.
        program: OsString,
        /// Its arguments.
        arguments: Vec<OsString>,
    },
}

impl RunOptions {
    pub(super) fn parse(tokens: &mut Tokens, server: &mut ServerOptions) -> Result<Self, Instead> {
        tokens.page = Page::Run;
        let mut run = Self::default();
        loop {
            if tokens.skip_dashes() {
                run.words = Words::behind_dashes(tokens.rest())?;
                break;
            }
            match tokens.next()? {
                Some(Token::Option(option)) => run.take(&option, tokens, server)?,
                Some(Token::Word(first)) => {
                    run.words = Words::new(first, tokens.rest());
                    break;
                }
                None => return Err(UsageError::NoCommand.into()),
            }
        }
        run.check(server)?;
        Ok(run)
    }

    fn take(&mut self, option: &str, tokens: &mut Tokens, server: &mut ServerOptions) -> Result<(), Instead> {
        match option {
            "--cwd" => self.cwd = Some(tokens.parsed_os(option, directory)?),
            "-e" | "--env" => self.env.push(tokens.parsed_os(option, Assignment::parse)?),
            "--env-file" => self.env_file.push(tokens.value(option)?.into()),
            "--stdin" => self.stdin = Some(tokens.value(option)?.into()),
            "-n" | "--no-stdin" => self.no_stdin = true,
            "--timeout" => self.timeout = Some(tokens.parsed(option, duration::parse_limit)?),
            "--grace" => self.grace = Some(tokens.parsed(option, duration::parse)?),
            "--on-disconnect" => self.on_disconnect = Some(tokens.parsed(option, on_disconnect)?),
            "--merge" => self.merge = true,
            "--wait-output" => self.wait_output = true,
            "-t" | "--tty" => {
                self.tty = if self.tty == Tty::No { Tty::IfThere } else { Tty::Always };
            }
            "--id" => self.id = Some(tokens.parsed(option, str::parse)?),
            "--mem" => self.limits.memory = Some(tokens.parsed(option, size::parse)?),
            "--cpu" => self.limits.cpu_percent = Some(tokens.parsed(option, cpu_percent)?),
            "--pids" => self.limits.processes = Some(tokens.parsed(option, processes)?),
            "--nice" => self.limits.nice = Some(tokens.parsed(option, nice)?),
            "--detach" => self.detach = true,
            _ if self.shown.take(option, tokens)? => {}
            _ => server.take(option, tokens)?,
        }
        Ok(())
    }

    /// Whether the options go together.
    fn check(&self, server: &ServerOptions) -> Result<(), UsageError> {
        let keys = self.shown.detach_keys.is_some();
        let tty = self.tty != Tty::No;
        let pairs = [
            ("--no-stdin", self.no_stdin, "--stdin", self.stdin.is_some()),
            // What a terminal shows is one stream, and what it reads is typed.
            ("--tty", tty, "--merge", self.merge),
            ("--tty", tty, "--json", self.shown.json),
            ("--tty", tty, "--stdin", self.stdin.is_some()),
            ("--detach", self.detach, "--escape-key", self.shown.escape_key.is_some()),
            ("--detach", self.detach, "--json", self.shown.json),
            ("--detach", self.detach, "--time", self.shown.time),
            ("--detach", self.detach, "--detach-keys", keys),
            ("--detach", self.detach, "--on-disconnect kill", self.on_disconnect == Some(OnDisconnect::Kill)),
            // The private server is gone with this call, and everything with it.
            ("--detach", self.detach, "--embedded", server.embedded),
        ];
        if let Some((one, _, other, _)) = pairs.into_iter().find(|(_, one, _, other)| *one && *other) {
            return Err(UsageError::Conflict(one, other));
        }
        if self.detach && self.stdin.is_some() {
            return Err(UsageError::DetachedStdin);
        }
        Ok(())
    }

    /// Whether the job is to outlive the server.
    pub(crate) fn supervised(&self) -> bool {
        self.detach || self.id.is_some() || self.on_disconnect == Some(OnDisconnect::Keep)
    }
}

impl Shown {
    /// Takes an option that says how a job is shown; `false` if it is none.
    pub(super) fn take(&mut self, option: &str, tokens: &mut Tokens) -> Result<bool, UsageError> {
        match option {
            "--json" => self.json = true,
            "--time" => self.time = true,
            "-q" | "--quiet" => self.quiet = true,
            "--detach-keys" => self.detach_keys = Some(tokens.parsed(option, str::parse)?),
            "--escape-key" => self.escape_key = Some(tokens.parsed(option, str::parse)?),
            _ => return Ok(false),
        }
        Ok(true)
    }
}

fn cpu_percent(text: &str) -> Result<u32, &'static str> {
    let number = text.strip_suffix('%').and_then(|number| number.parse().ok());
    number.filter(|percent| *percent > 0).ok_or("write per cent of one processor: 50%, 150%")
}

fn processes(text: &str) -> Result<u32, &'static str> {
    text.parse().ok().filter(|count| *count > 0).ok_or("write a number of processes, from 1 on")
}

fn nice(text: &str) -> Result<i8, &'static str> {
    let number = text.parse().ok().filter(|nice| (-20..=19).contains(nice));
    number.ok_or("write a number from -20 (first) to 19 (last); one below 0 behind =: --nice=-5")
}

fn on_disconnect(text: &str) -> Result<OnDisconnect, &'static str> {
    match text {
        "kill" => Ok(OnDisconnect::Kill),
        "keep" => Ok(OnDisconnect::Keep),
        _ => Err("write kill or keep"),
    }
}

/// An empty name is a variable that was not set, and not the home directory.
pub(super) fn directory(text: &OsStr) -> Result<PathBuf, &'static str> {
    if text.is_empty() { Err("name a directory, or leave the option out") } else { Ok(text.into()) }
}

impl Words {
    fn new(first: OsString, others: Vec<OsString>) -> Self {
        if others.is_empty() { Self::Shell(first) } else { Self::Argv { program: first, arguments: others } }
    }

    pub(super) fn behind_dashes(words: Vec<OsString>) -> Result<Self, UsageError> {
        let mut words = words.into_iter();
        let program = words.next().ok_or(UsageError::NoCommand)?;
        Ok(Self::Argv { program, arguments: words.collect() })
    }
}
