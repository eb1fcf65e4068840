//! What only the person at the terminal can answer: a passphrase, or a typed "yes".
//!
//! Asks on the controlling terminal, wherever stdin and stdout lead, and blocks until there is an answer. Never asks
//! where nobody can answer: without a terminal, or in the background, that is [`QuestionError::NobodyToAsk`].

mod terminal;

use std::io;

use thiserror::Error;
use zeroize::Zeroizing;

use self::terminal::{Echo, LINE, Terminal};

/// Bytes of a passphrase; OpenSSH takes one less (readpass.c).
const LONGEST: usize = 1024;

/// How often a question is put again that has got neither yes nor no.
const REPETITIONS: usize = 3;

/// What is said then.
const REMINDER: &str = "please type yes or no: ";

/// The answer to a question of trust.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The word "yes", and nothing else.
    Yes,
    /// "no", nothing, a Ctrl-C, or too many other words.
    No,
}

/// Why there is no answer.
#[derive(Debug, Error)]
pub(crate) enum QuestionError {
    /// Nobody can be asked.
    #[error(transparent)]
    NobodyToAsk(#[from] NobodyToAsk),
    /// The terminal fails, or a passphrase is too long (kind `InvalidInput`).
    #[error(transparent)]
    Terminal(#[from] io::Error),
}

/// Why nobody can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum NobodyToAsk {
    /// This program has no controlling terminal.
    #[error("there is no terminal")]
    NoTerminal,
    /// It runs in the background of one.
    #[error("the terminal is in use by another job")]
    InBackground,
}

/// Asks for a passphrase, at most 1,024 bytes, that nobody sees being typed; `None` after Ctrl-C or Ctrl-D. The prompt is
/// printed as it is.
///
/// # Errors
/// [`QuestionError`].
pub(crate) fn ask_secret(prompt: &str) -> Result<Option<Zeroizing<Vec<u8>>>, QuestionError> {
    Ok(ask_secret_on(&Terminal::open()?, prompt)?)
}

/// Asks for a "yes". The prompt is printed as it is. What was typed before the question is no answer to it.
///
/// # Errors
/// [`QuestionError`].
pub(crate) fn ask_yes(prompt: &str) -> Result<Answer, QuestionError> {
    Ok(ask_yes_on(&Terminal::open()?, prompt)?)
}

fn ask_secret_on(terminal: &Terminal, prompt: &str) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
    let lines = terminal.lines(Echo::Off)?;
    let mut buffer = Zeroizing::new(vec![0; LINE]);
    let line = lines.ask(prompt, &mut buffer)?;
    // The one that was typed is not shown, either.
    lines.print("\n")?;
    secret(line)
}

fn ask_yes_on(terminal: &Terminal, prompt: &str) -> io::Result<Answer> {
    let lines = terminal.lines(Echo::On)?;
    let mut buffer = vec![0; LINE];
    let mut question = prompt;
    for _ in 0..=REPETITIONS {
        let line = lines.ask(question, &mut buffer)?;
        if line.is_none() {
            lines.print("\n")?;
        }
        if let Some(answer) = answer(line) {
            return Ok(answer);
        }
        question = REMINDER;
    }
    Ok(Answer::No)
}

/// The passphrase in what was typed, `None` for a line that was broken off.
fn secret(line: Option<&[u8]>) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
    match line {
        Some(line) if line.len() > LONGEST => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("a passphrase of more than {LONGEST} bytes"),
        )),
        line => Ok(line.map(|line| Zeroizing::new(line.to_vec()))),
    }
}

/// The answer in what was typed; `None` if there is none in it.
fn answer(line: Option<&[u8]>) -> Option<Answer> {
    match line.map(<[u8]>::trim_ascii) {
        Some(b"yes") => Some(Answer::Yes),
        Some(b"no" | b"") | None => Some(Answer::No),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests;
