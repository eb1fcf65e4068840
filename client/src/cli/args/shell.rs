//! The options of `shell`: those of `run` that make sense for somebody who sits before it.

use common::duration;

use super::run::{RunOptions, Tty, Words, directory};
use super::tokens::{Token, Tokens};
use super::usage::UsageError;
use super::{Instead, Page, ServerOptions};
use crate::cli::environment::Assignment;

/// A command only behind `--`: a bare word would be taken for the name of a server, or of a shell.
pub(super) fn parse(tokens: &mut Tokens, server: &mut ServerOptions) -> Result<RunOptions, Instead> {
    tokens.page = Page::Shell;
    let mut shell = RunOptions { tty: Tty::Always, ..RunOptions::default() };
    loop {
        if tokens.skip_dashes() {
            let words = tokens.rest();
            if words.is_empty() {
                return Err(UsageError::NoProgram.into());
            }
            shell.words = Words::behind_dashes(words)?;
            return Ok(shell);
        }
        match tokens.next()? {
            Some(Token::Option(option)) => take(&mut shell, &option, tokens, server)?,
            Some(Token::Word(word)) => return Err(tokens.unexpected(&word).into()),
            None => return Ok(shell),
        }
    }
}

fn take(
    shell: &mut RunOptions,
    option: &str,
    tokens: &mut Tokens,
    server: &mut ServerOptions,
) -> Result<(), Instead> {
    match option {
        "--cwd" => shell.cwd = Some(tokens.parsed_os(option, directory)?),
        "-e" | "--env" => shell.env.push(tokens.parsed_os(option, Assignment::parse)?),
        "--grace" => shell.grace = Some(tokens.parsed(option, duration::parse)?),
        "--id" => shell.id = Some(tokens.parsed(option, str::parse)?),
        "--escape-key" => shell.shown.escape_key = Some(tokens.parsed(option, str::parse)?),
        "--detach-keys" => shell.shown.detach_keys = Some(tokens.parsed(option, str::parse)?),
        "-q" | "--quiet" => shell.shown.quiet = true,
        _ => server.take(option, tokens)?,
    }
    Ok(())
}
