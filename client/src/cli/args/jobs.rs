//! The options of the verbs about jobs that are there already.

use std::ffi::OsString;
use std::time::Duration;

use common::duration;
use common::job::{JobId, Signal};

use super::run::Shown;
use super::tokens::{Token, Tokens};
use super::usage::UsageError;
use super::{Instead, Page, ServerOptions};
use crate::StreamId;

/// Options of `jobs`.
#[derive(Debug, Default)]
pub(crate) struct JobsOptions {
    /// Whether those that are over are listed, too.
    pub(crate) all: bool,
    /// Whether stdout carries an object a job.
    pub(crate) json: bool,
}

/// Options of `attach`.
#[derive(Debug)]
pub(crate) struct AttachOptions {
    /// The job.
    pub(crate) job: JobId,
    /// Whether only to look on.
    pub(crate) read_only: bool,
    /// From where its output is wanted, if that was said.
    pub(crate) from: Option<Beginning>,
    /// Whether it is given nothing to read.
    pub(crate) no_stdin: bool,
    /// How it is shown here.
    pub(crate) shown: Shown,
}

/// Options of `logs`.
#[derive(Debug)]
pub(crate) struct LogsOptions {
    /// The job.
    pub(crate) job: JobId,
    /// Whether to go on until the job's end.
    pub(crate) follow: bool,
    /// From where its output is wanted.
    pub(crate) from: Beginning,
    /// The one stream that is wanted.
    pub(crate) only: Option<StreamId>,
    /// Whether to say of each line when it was written.
    pub(crate) timestamps: bool,
}

/// Options of `wait`.
#[derive(Debug)]
pub(crate) struct WaitOptions {
    /// The jobs; at least one.
    pub(crate) jobs: Vec<JobId>,
    /// After which time not to wait any more.
    pub(crate) timeout: Option<Duration>,
}

/// Options of `signal`.
#[derive(Debug)]
pub(crate) struct SignalOptions {
    /// The job.
    pub(crate) job: JobId,
    /// What it is sent.
    pub(crate) signal: Signal,
}

/// Options of `forget`.
#[derive(Debug)]
pub(crate) struct ForgetOptions {
    /// The jobs; at least one.
    pub(crate) jobs: Vec<JobId>,
}

/// From where the output of a job is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Beginning {
    /// From the oldest byte that is kept.
    #[default]
    Oldest,
    /// From what is written next.
    Now,
    /// From this byte on.
    At(u64),
}

/// A verb's words and options, in the order in which they come.
fn each(
    page: Page,
    tokens: &mut Tokens,
    server: &mut ServerOptions,
    mut take: impl FnMut(Token, &mut Tokens) -> Result<Option<Token>, Instead>,
) -> Result<(), Instead> {
    tokens.page = page;
    while let Some(token) = tokens.next()? {
        match take(token, tokens)? {
            None => {}
            Some(Token::Option(option)) => server.take(&option, tokens)?,
            Some(Token::Word(word)) => return Err(tokens.unexpected(&word).into()),
        }
    }
    Ok(())
}

/// The job that a word names.
fn job(word: OsString) -> Result<JobId, UsageError> {
    let word = word.into_string().map_err(|word| UsageError::Job {
        word: word.to_string_lossy().into_owned(),
        why: "a job id is text in UTF-8".to_owned(),
    })?;
    word.parse().map_err(|error: common::job::JobIdError| UsageError::Job { word, why: error.to_string() })
}

impl JobsOptions {
    pub(super) fn parse(tokens: &mut Tokens, server: &mut ServerOptions) -> Result<Self, Instead> {
        let mut jobs = Self::default();
        each(Page::Jobs, tokens, server, |token, _| {
            match token {
                Token::Option(option) if option == "--all" || option == "-a" => jobs.all = true,
                Token::Option(option) if option == "--json" => jobs.json = true,
                other => return Ok(Some(other)),
            }
            Ok(None)
        })?;
        Ok(jobs)
    }
}

impl AttachOptions {
    pub(super) fn parse(tokens: &mut Tokens, server: &mut ServerOptions) -> Result<Self, Instead> {
        let (mut id, mut read_only, mut no_stdin) = (None, false, false);
        let (mut from, mut shown) = (None, Shown::default());
        each(Page::Attach, tokens, server, |token, tokens| {
            match token {
                Token::Word(word) if id.is_none() => id = Some(job(word)?),
                Token::Option(option) if option == "--read-only" => read_only = true,
                Token::Option(option) if option == "--from" => {
                    from = Some(tokens.parsed(&option, beginning)?);
                }
                Token::Option(option) if option == "-n" || option == "--no-stdin" => no_stdin = true,
                Token::Option(option) if shown.take(&option, tokens)? => {}
                other => return Ok(Some(other)),
            }
            Ok(None)
        })?;
        let job = id.ok_or(UsageError::NoJob("attach"))?;
        Ok(Self { job, read_only, from, no_stdin, shown })
    }
}

impl LogsOptions {
    pub(super) fn parse(tokens: &mut Tokens, server: &mut ServerOptions) -> Result<Self, Instead> {
        let (mut id, mut follow, mut timestamps) = (None, false, false);
        let (mut from, mut stdout, mut stderr) = (Beginning::default(), false, false);
        each(Page::Logs, tokens, server, |token, tokens| {
            match token {
                Token::Word(word) if id.is_none() => id = Some(job(word)?),
                Token::Option(option) if option == "-f" || option == "--follow" => follow = true,
                Token::Option(option) if option == "--from" => from = tokens.parsed(&option, beginning)?,
                Token::Option(option) if option == "--stdout" => stdout = true,
                Token::Option(option) if option == "--stderr" => stderr = true,
                Token::Option(option) if option == "--timestamps" => timestamps = true,
                other => return Ok(Some(other)),
            }
            Ok(None)
        })?;
        let job = id.ok_or(UsageError::NoJob("logs"))?;
        let only = match (stdout, stderr) {
            (true, false) => Some(StreamId::Stdout),
            (false, true) => Some(StreamId::Stderr),
            (true, true) | (false, false) => None,
        };
        Ok(Self { job, follow, from, only, timestamps })
    }
}

impl WaitOptions {
    pub(super) fn parse(tokens: &mut Tokens, server: &mut ServerOptions) -> Result<Self, Instead> {
        let (mut jobs, mut timeout) = (Vec::new(), None);
        each(Page::Wait, tokens, server, |token, tokens| {
            match token {
                Token::Word(word) => jobs.push(job(word)?),
                Token::Option(option) if option == "--timeout" => {
                    timeout = Some(tokens.parsed(&option, duration::parse)?);
                }
                other => return Ok(Some(other)),
            }
            Ok(None)
        })?;
        if jobs.is_empty() {
            return Err(UsageError::NoJob("wait").into());
        }
        Ok(Self { jobs, timeout })
    }
}

impl SignalOptions {
    pub(super) fn parse(tokens: &mut Tokens, server: &mut ServerOptions) -> Result<Self, Instead> {
        let (mut id, mut signal) = (None, None);
        each(Page::Signal, tokens, server, |token, _| {
            match token {
                Token::Word(word) if id.is_none() => id = Some(job(word)?),
                Token::Word(word) if signal.is_none() => {
                    let word = word.to_string_lossy().into_owned();
                    signal = Some(word.parse().map_err(|_| UsageError::Signal { word })?);
                }
                // As `kill` takes it.
                Token::Option(option) if looks_like_a_signal(&option) => {
                    return Err(UsageError::SignalFirst { option }.into());
                }
                other => return Ok(Some(other)),
            }
            Ok(None)
        })?;
        Ok(Self { job: id.ok_or(UsageError::NoJob("signal"))?, signal: signal.unwrap_or(Signal::TERM) })
    }
}

/// `-9`, or the beginning of `-TERM`.
fn looks_like_a_signal(option: &str) -> bool {
    let mut letters = option.chars().skip(1);
    let first = letters.next();
    let is_one = letters.next().is_none();
    is_one && option != "-H" && first.is_some_and(|c| c.is_ascii_digit() || c.is_ascii_uppercase())
}

impl ForgetOptions {
    pub(super) fn parse(tokens: &mut Tokens, server: &mut ServerOptions) -> Result<Self, Instead> {
        let mut jobs = Vec::new();
        each(Page::Forget, tokens, server, |token, _| {
            match token {
                Token::Word(word) => jobs.push(job(word)?),
                other => return Ok(Some(other)),
            }
            Ok(None)
        })?;
        if jobs.is_empty() {
            return Err(UsageError::NoJob("forget").into());
        }
        Ok(Self { jobs })
    }
}

fn beginning(text: &str) -> Result<Beginning, &'static str> {
    match text {
        "oldest" => Ok(Beginning::Oldest),
        "now" => Ok(Beginning::Now),
        number => number
            .parse()
            .map(Beginning::At)
            .map_err(|_| "write oldest, now, or a number of bytes from the beginning"),
    }
}
