//! The command line, from the system's words to typed options.
//!
//! Knows nothing of what the options do. A command line is read at every start, so this costs microseconds, and help
//! is text that nobody has to put together.
//!
//! - `tokens`: options, their values and words, one after the other
//! - `run`, `shell` and `jobs`: the verbs about jobs; `size`: values of theirs
//! - `page`: what `--help` prints, the one list of all options
//! - `usage`: what can be wrong

mod jobs;
mod page;
mod run;
mod shell;
mod size;
mod tokens;
mod usage;

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::time::Duration;

use common::duration;
use common::invitation::Invitation;

use self::tokens::{Token, Tokens};
use super::identity::KeyChoice;
use crate::config::HostAlias;

pub(crate) use self::jobs::{
    AttachOptions, Beginning, ForgetOptions, JobsOptions, LogsOptions, SignalOptions, WaitOptions,
};
pub(crate) use self::page::Page;
pub(crate) use self::run::{RunOptions, Shown, Tty, Words};
pub(crate) use self::usage::{INVITATION_ADVICE, UsageError};

/// Everything that the command line says.
#[derive(Debug)]
pub(crate) struct Options {
    /// Which server, and how to get in.
    pub(crate) server: ServerOptions,
    /// What to do; the REPL if nothing is said.
    pub(crate) verb: Verb,
}

/// What to do.
#[derive(Debug)]
pub(crate) enum Verb {
    /// Run a command, and exit as it did.
    Run(RunOptions),
    /// Run the login shell, or a command, on a terminal, and exit as it did.
    Shell(RunOptions),
    /// List jobs.
    Jobs(JobsOptions),
    /// Become a job's client.
    Attach(AttachOptions),
    /// Print what a job has written.
    Logs(LogsOptions),
    /// Wait for jobs.
    Wait(WaitOptions),
    /// Send a signal to a job.
    Signal(SignalOptions),
    /// Have jobs forgotten that are over.
    Forget(ForgetOptions),
    /// Ask the server for signs of life.
    Ping(PingOptions),
    /// Run line after line.
    Repl(ReplOptions),
    /// Print the user's public key.
    Key,
    /// Accept an invitation.
    Join(JoinOptions),
    /// What `--embedded` starts: a server for the one connection that is its stdin.
    EmbeddedServer,
}

/// What to do instead, because the command line does not come to options.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Instead {
    /// Print help.
    Help(Page),
    /// Print name and version.
    Version,
    /// Say what is wrong.
    Complain(UsageError),
}

impl From<UsageError> for Instead {
    fn from(error: UsageError) -> Self {
        Self::Complain(error)
    }
}

/// Options of `ping`.
#[derive(Debug)]
pub(crate) struct PingOptions {
    /// How many times; at least once.
    pub(crate) count: u64,
    /// Time from one to the next.
    pub(crate) interval: Duration,
}

/// Options of `join`.
#[derive(Debug)]
pub(crate) struct JoinOptions {
    /// The invitation; `None` if it is to be read from stdin.
    pub(crate) invitation: Option<Invitation>,
    /// What the server is to be called here.
    pub(crate) name: Option<HostAlias>,
}

/// Options of the REPL.
#[derive(Debug, Default)]
pub(crate) struct ReplOptions {
    /// Whether to stop at the first line that fails, with its exit code.
    pub(crate) errexit: bool,
    /// The shell there, if not the user's own.
    pub(crate) shell: Option<OsString>,
    /// File whose lines are run.
    pub(crate) file: Option<PathBuf>,
}

impl Options {
    /// Reads the command line, the program's name first.
    ///
    /// # Errors
    /// [`Instead`] of options, what else to do.
    pub(crate) fn parse(line: impl IntoIterator<Item = OsString>) -> Result<Self, Instead> {
        let mut tokens = Tokens::new(line);
        let mut server = ServerOptions::default();
        let verb = loop {
            match tokens.next()? {
                Some(Token::Option(option)) if option == "-V" || option == "--version" => {
                    return Err(Instead::Version);
                }
                Some(Token::Option(option)) => server.take(&option, &mut tokens)?,
                Some(Token::Word(word)) => break Verb::parse(word, &mut tokens, &mut server)?,
                None => break Verb::Repl(ReplOptions::default()),
            }
        };
        if server.embedded && server.host.is_some() {
            return Err(UsageError::Conflict("--embedded", "-H").into());
        }
        // Either before the verb or behind it.
        match verb {
            Verb::Key => server.only_the_key(Page::Key)?,
            Verb::Join(_) => server.only_the_key(Page::Join)?,
            Verb::Jobs(_) => server.not_private("jobs")?,
            Verb::Attach(_) => server.not_private("attach")?,
            Verb::Logs(_) => server.not_private("logs")?,
            Verb::Wait(_) => server.not_private("wait")?,
            Verb::Signal(_) => server.not_private("signal")?,
            Verb::Forget(_) => server.not_private("forget")?,
            Verb::Run(_) | Verb::Shell(_) | Verb::Ping(_) | Verb::Repl(_) | Verb::EmbeddedServer => {}
        }
        Ok(Self { server, verb })
    }
}

/// The options that may stand before and behind every verb.
#[derive(Debug, Default)]
pub(crate) struct ServerOptions {
    /// The server, if one is named.
    pub(crate) host: Option<String>,
    /// Whether to start a private server for the length of the call.
    pub(crate) embedded: bool,
    /// The key that proves who the user is.
    pub(crate) key: KeyChoice,
    /// Whether a server of which nothing is known is trusted.
    pub(crate) accept_new: bool,
}

impl ServerOptions {
    fn take(&mut self, option: &str, tokens: &mut Tokens) -> Result<(), Instead> {
        match option {
            "-H" | "--host" => self.host = Some(tokens.text(option)?),
            "--embedded" => self.embedded = true,
            "-i" | "--identity" => self.key.file = Some(tokens.value(option)?.into()),
            "--agent" => self.key.agent = true,
            "--accept-new" => self.accept_new = true,
            "-h" | "--help" => return Err(Instead::Help(tokens.page)),
            _ => return Err(tokens.unknown(option).into()),
        }
        Ok(())
    }

    /// For verbs about jobs that are there already: a private server that is started for the call has none.
    fn not_private(&self, verb: &'static str) -> Result<(), UsageError> {
        if self.embedded { Err(UsageError::Conflict("--embedded", verb)) } else { Ok(()) }
    }

    /// For verbs that choose no server: an option that does nothing is a misunderstanding.
    fn only_the_key(&self, page: Page) -> Result<(), UsageError> {
        let idle =
            [("-H", self.host.is_some()), ("--embedded", self.embedded), ("--accept-new", self.accept_new)];
        match idle.into_iter().find(|(_, given)| *given) {
            Some((option, _)) => Err(UsageError::IdleOption { option, page }),
            None => Ok(()),
        }
    }
}

impl Verb {
    fn parse(word: OsString, tokens: &mut Tokens, server: &mut ServerOptions) -> Result<Self, Instead> {
        match word.to_str() {
            Some("run") => RunOptions::parse(tokens, server).map(Self::Run),
            Some("shell") => shell::parse(tokens, server).map(Self::Shell),
            Some("jobs") => JobsOptions::parse(tokens, server).map(Self::Jobs),
            Some("attach") => AttachOptions::parse(tokens, server).map(Self::Attach),
            Some("logs") => LogsOptions::parse(tokens, server).map(Self::Logs),
            Some("wait") => WaitOptions::parse(tokens, server).map(Self::Wait),
            Some("signal") => SignalOptions::parse(tokens, server).map(Self::Signal),
            Some("forget") => ForgetOptions::parse(tokens, server).map(Self::Forget),
            Some("ping") => PingOptions::parse(tokens, server).map(Self::Ping),
            Some("repl") => ReplOptions::parse(tokens, server).map(Self::Repl),
            Some("key") => no_words(tokens, server, Page::Key).map(|()| Self::Key),
            Some("join") => JoinOptions::parse(tokens, server).map(Self::Join),
            Some("embedded-server") => Ok(Self::EmbeddedServer),
            Some("help") => Err(Instead::Help(help(tokens)?)),
            _ => Err(UsageError::unknown_verb(&word).into()),
        }
    }
}

/// `help`, and `help VERB`.
fn help(tokens: &mut Tokens) -> Result<Page, Instead> {
    let mut page = None;
    while let Some(token) = tokens.next()? {
        match token {
            Token::Option(option) => ServerOptions::default().take(&option, tokens)?,
            Token::Word(verb) if page.is_none() => {
                page = Some(Page::of(&verb).ok_or_else(|| UsageError::unknown_verb(&verb))?);
            }
            Token::Word(word) => return Err(tokens.unexpected(&word).into()),
        }
    }
    Ok(page.unwrap_or(Page::Client))
}

impl PingOptions {
    fn parse(tokens: &mut Tokens, server: &mut ServerOptions) -> Result<Self, Instead> {
        tokens.page = Page::Ping;
        let mut ping = Self { count: 4, interval: Duration::from_secs(1) };
        while let Some(token) = tokens.next()? {
            match token {
                Token::Option(option) => match option.as_str() {
                    "-c" => ping.count = tokens.parsed(&option, count)?,
                    "-i" => ping.interval = tokens.parsed(&option, duration::parse)?,
                    _ => server.take(&option, tokens)?,
                },
                Token::Word(word) => return Err(tokens.unexpected(&word).into()),
            }
        }
        Ok(ping)
    }
}

fn count(text: &str) -> Result<u64, &'static str> {
    text.parse().ok().filter(|count| *count > 0).ok_or("write a number from 1 on")
}

/// A verb that takes none but the options of all.
fn no_words(tokens: &mut Tokens, server: &mut ServerOptions, page: Page) -> Result<(), Instead> {
    tokens.page = page;
    while let Some(token) = tokens.next()? {
        match token {
            Token::Option(option) => server.take(&option, tokens)?,
            Token::Word(word) => return Err(tokens.unexpected(&word).into()),
        }
    }
    Ok(())
}

impl JoinOptions {
    fn parse(tokens: &mut Tokens, server: &mut ServerOptions) -> Result<Self, Instead> {
        tokens.page = Page::Join;
        let (mut invitation, mut name) = (None, None);
        while let Some(token) = tokens.next()? {
            match token {
                Token::Option(option) if option == "--name" => {
                    name = Some(tokens.parsed(&option, str::parse)?);
                }
                Token::Option(option) => server.take(&option, tokens)?,
                Token::Word(word) if invitation.is_none() => invitation = Some(self::invitation(&word)?),
                Token::Word(word) => return Err(tokens.unexpected(&word).into()),
            }
        }
        Ok(Self { invitation: invitation.ok_or(UsageError::NoInvitation)?, name })
    }
}

/// `-` is stdin: what stands in a command line, all users of the machine can see.
fn invitation(word: &OsStr) -> Result<Option<Invitation>, UsageError> {
    if word == "-" {
        return Ok(None);
    }
    word.to_string_lossy().parse().map(Some).map_err(UsageError::Invitation)
}

impl ReplOptions {
    fn parse(tokens: &mut Tokens, server: &mut ServerOptions) -> Result<Self, Instead> {
        tokens.page = Page::Repl;
        let mut repl = Self::default();
        while let Some(token) = tokens.next()? {
            match token {
                Token::Option(option) if option == "--errexit" => repl.errexit = true,
                Token::Option(option) if option == "--shell" => repl.shell = Some(tokens.value(&option)?),
                Token::Option(option) => server.take(&option, tokens)?,
                Token::Word(file) if repl.file.is_none() => repl.file = Some(file.into()),
                Token::Word(word) => return Err(tokens.unexpected(&word).into()),
            }
        }
        Ok(repl)
    }
}

#[cfg(test)]
mod tests;
