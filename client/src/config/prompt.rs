//! How the prompt looks, as the user wants it.

use std::fmt::{self, Display, Formatter};
use std::str::FromStr;

use common::config::value::Text;
use serde::Deserialize;
use thiserror::Error;

/// What the prompt is where nobody asked for another.
const DEFAULT: &str = "{notes}{user}@{host}:{directory}{sign} ";

/// Longest format, in bytes.
const FORMAT_MAX: usize = 1024;

/// `[prompt]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PromptSettings {
    /// What stands in the prompt.
    pub(crate) format: PromptFormat,
    /// Whether it, and what is typed, may have colours.
    pub(crate) colour: bool,
}

impl Default for PromptSettings {
    fn default() -> Self {
        RawPrompt::default().typed()
    }
}

/// What a prompt is made of, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PromptFormat(Vec<Part>);

impl PromptFormat {
    /// The parts.
    pub(crate) fn parts(&self) -> &[Part] {
        &self.0
    }
}

/// A part of a prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    /// The user's own text.
    Text(String),
    /// What is known of the session.
    Value(Value),
}

/// What a prompt can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Value {
    User,
    Host,
    Directory,
    /// The exit code of the last command, if that was not 0.
    Status,
    /// How long the last command took, if it was long.
    Time,
    /// That the line is down, if it is.
    Line,
    /// The three above, in brackets, if there is anything.
    Notes,
    Sign,
}

impl Value {
    const NAMED: [(&str, Self); 8] = [
        ("user", Self::User),
        ("host", Self::Host),
        ("directory", Self::Directory),
        ("status", Self::Status),
        ("time", Self::Time),
        ("line", Self::Line),
        ("notes", Self::Notes),
        ("sign", Self::Sign),
    ];
}

impl Value {
    fn name(self) -> &'static str {
        let named = Self::NAMED.iter().find(|(_, value)| *value == self);
        named.map_or("", |(name, _)| name)
    }
}

/// As it is written in the configuration.
impl Display for PromptFormat {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|part| match part {
            Part::Text(text) => f.write_str(&text.replace('{', "{{").replace('}', "}}")),
            Part::Value(value) => write!(f, "{{{}}}", value.name()),
        })
    }
}

impl FromStr for PromptFormat {
    type Err = PromptFormatError;

    fn from_str(text: &str) -> Result<Self, PromptFormatError> {
        if text.len() > FORMAT_MAX {
            return Err(PromptFormatError::Long);
        }
        if text.contains(|c: char| c.is_control() && c != '\n') {
            return Err(PromptFormatError::Control);
        }
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            let (_, behind) = rest.split_at(c.len_utf8());
            rest = match (c, behind.chars().next()) {
                ('{', Some('{')) | ('}', Some('}')) => {
                    literal.push(c);
                    behind.get(1..).unwrap_or_default()
                }
                ('{', _) => {
                    let (name, behind) = behind.split_once('}').ok_or(PromptFormatError::Brace)?;
                    let known = Value::NAMED.iter().find(|(known, _)| *known == name);
                    let (_, value) = known.ok_or_else(|| PromptFormatError::Unknown(name.to_owned()))?;
                    if !literal.is_empty() {
                        parts.push(Part::Text(std::mem::take(&mut literal)));
                    }
                    parts.push(Part::Value(*value));
                    behind
                }
                ('}', _) => return Err(PromptFormatError::Brace),
                _ => {
                    literal.push(c);
                    behind
                }
            };
        }
        if !literal.is_empty() {
            parts.push(Part::Text(literal));
        }
        Ok(Self(parts))
    }
}

/// Not the format of a prompt. The local user's fault.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum PromptFormatError {
    /// No such value.
    #[error(
        "no such part of a prompt: {{{0}}} (user, host, directory, status, time, line, notes, sign; a brace is written twice)"
    )]
    Unknown(String),
    /// One without the other.
    #[error("a brace alone; one that is to be shown is written twice")]
    Brace,
    /// What a terminal would obey.
    #[error("a control character; a line may end with \\n")]
    Control,
    /// Too long.
    #[error("more than {FORMAT_MAX} bytes")]
    Long,
}

/// `[prompt]` as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawPrompt {
    format: Option<Text<PromptFormat>>,
    colour: bool,
}

impl Default for RawPrompt {
    fn default() -> Self {
        Self { format: None, colour: true }
    }
}

impl RawPrompt {
    pub(super) fn typed(self) -> PromptSettings {
        let default = || DEFAULT.parse().unwrap_or(PromptFormat(Vec::new()));
        PromptSettings {
            format: self.format.map_or_else(default, |Text(format)| format),
            colour: self.colour,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_has_parts() {
        let format: PromptFormat = "{{{host}}}é{sign} ".parse().unwrap();
        let text = |text: &str| Part::Text(text.to_owned());
        let expected = [text("{"), Part::Value(Value::Host), text("}é"), Part::Value(Value::Sign), text(" ")];
        assert_eq!(format.parts(), expected);
        assert_eq!(format.to_string(), "{{{host}}}é{sign} ");
        assert_eq!(PromptSettings::default().format.parts().len(), 8);
        assert_eq!("".parse(), Ok(PromptFormat(Vec::new())));
    }

    #[test]
    fn what_is_no_format_says_why() {
        let refused = |text: &str| text.parse::<PromptFormat>().unwrap_err();
        assert_eq!(refused("{hots}"), PromptFormatError::Unknown("hots".to_owned()));
        assert_eq!(refused("{"), PromptFormatError::Brace);
        assert_eq!(refused("a}b"), PromptFormatError::Brace);
        assert_eq!(refused("{host"), PromptFormatError::Brace);
        assert_eq!(refused("\x1b[31m"), PromptFormatError::Control);
        assert_eq!(refused(&"x".repeat(FORMAT_MAX + 1)), PromptFormatError::Long);
    }
}
