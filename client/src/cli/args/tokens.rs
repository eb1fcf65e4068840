//! A command line as options, their values and words, one after the other.
//!
//! The lexing is lexopt's: `--name=value`, `-abc`, `-ovalue`, `--`. Here are only our own rules for values.

use std::ffi::{OsStr, OsString};
use std::fmt::Display;

use lexopt::{Arg, Parser};

use super::page::Page;
use super::usage::UsageError;

/// What is left of the line.
pub(super) struct Tokens {
    parser: Parser,
    /// The help that belongs to this part of the line.
    pub(super) page: Page,
}

/// A part of the line.
#[derive(Debug)]
pub(super) enum Token {
    /// An option with its dashes, `-e` or `--env`.
    Option(String),
    /// Anything else.
    Word(OsString),
}

impl Tokens {
    /// All of `line`, whose first word is the program's name.
    pub(super) fn new(line: impl IntoIterator<Item = OsString>) -> Self {
        let line: Vec<OsString> = line.into_iter().skip(1).collect();
        Self { parser: Parser::from_args(line), page: Page::Client }
    }

    /// The next part; `None` at the end.
    ///
    /// # Errors
    /// [`UsageError::UnwantedValue`] if the last option was given a value that nobody asked for.
    pub(super) fn next(&mut self) -> Result<Option<Token>, UsageError> {
        let page = self.page;
        match self.parser.next() {
            Ok(Some(Arg::Short(letter))) => Ok(Some(Token::Option(format!("-{letter}")))),
            Ok(Some(Arg::Long(name))) => Ok(Some(Token::Option(format!("--{name}")))),
            Ok(Some(Arg::Value(word))) => Ok(Some(Token::Word(word))),
            Ok(None) => Ok(None),
            Err(lexopt::Error::UnexpectedValue { option, .. }) => {
                Err(UsageError::UnwantedValue { option, page })
            }
            Err(error) => Err(UsageError::Other { message: error.to_string(), page }),
        }
    }

    /// Whether `--` comes next. If so, it is stepped over, and everything behind it is words.
    pub(super) fn skip_dashes(&mut self) -> bool {
        self.parser.try_raw_args().is_some_and(|mut rest| rest.next_if(|word| word == "--").is_some())
    }

    /// All that is left, as it stands.
    pub(super) fn rest(&mut self) -> Vec<OsString> {
        self.parser.try_raw_args().map(Iterator::collect).unwrap_or_default()
    }

    /// The value of `option`, behind `=` or as the next word. A word that looks like an option is none: somebody has
    /// forgotten the value.
    ///
    /// # Errors
    /// [`UsageError::NoValue`].
    pub(super) fn value(&mut self, option: &str) -> Result<OsString, UsageError> {
        if let Some(value) = self.parser.optional_value() {
            return Ok(value);
        }
        let looks_right = |word: &OsStr| word == "-" || !word.as_encoded_bytes().starts_with(b"-");
        self.parser
            .try_raw_args()
            .and_then(|mut rest| rest.next_if(looks_right))
            .ok_or_else(|| UsageError::NoValue { option: option.to_owned(), page: self.page })
    }

    /// The value of `option` as text.
    ///
    /// # Errors
    /// [`UsageError::NoValue`], [`UsageError::BadValue`].
    pub(super) fn text(&mut self, option: &str) -> Result<String, UsageError> {
        let value = self.value(option)?;
        value.into_string().map_err(|value| bad_value(option, &value, "not UTF-8"))
    }

    /// The value of `option`, read by `parse`.
    ///
    /// # Errors
    /// [`UsageError::NoValue`], [`UsageError::BadValue`].
    pub(super) fn parsed<T, E: Display>(
        &mut self,
        option: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<T, UsageError> {
        let text = self.text(option)?;
        parse(&text).map_err(|error| bad_value(option, text.as_ref(), error))
    }

    /// As [`Tokens::parsed`], for a value that need not be UTF-8.
    ///
    /// # Errors
    /// [`UsageError::NoValue`], [`UsageError::BadValue`].
    pub(super) fn parsed_os<T, E: Display>(
        &mut self,
        option: &str,
        parse: impl FnOnce(&OsStr) -> Result<T, E>,
    ) -> Result<T, UsageError> {
        let value = self.value(option)?;
        parse(&value).map_err(|error| bad_value(option, &value, error))
    }

    /// The error for an option that is none here.
    pub(super) fn unknown(&self, option: &str) -> UsageError {
        UsageError::UnknownOption { option: option.to_owned(), page: self.page }
    }

    /// The error for a word that has no meaning here.
    pub(super) fn unexpected(&self, word: &OsStr) -> UsageError {
        UsageError::UnexpectedWord { word: word.to_string_lossy().into_owned(), page: self.page }
    }
}

fn bad_value(option: &str, value: &OsStr, why: impl Display) -> UsageError {
    UsageError::BadValue {
        option: option.to_owned(),
        value: value.to_string_lossy().into_owned(),
        why: why.to_string(),
    }
}
