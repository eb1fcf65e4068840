//! `:set`: what can be changed about a session while it lasts. Says what is wanted; `settings` does it.

use super::{Builtin, BuiltinError, Command, Completes, Word, text_of};
use crate::config::PromptFormat;

pub(super) const COMMAND: Command = Command {
    name: "set",
    arguments: "[NAME [VALUE]]",
    summary: "list the settings of this session, show one, or change one",
    details: "\
They last as long as the session; [prompt] in config.toml is for all sessions.
  prompt FORMAT      what stands in the prompt: text, {user}, {host}, {directory}, {sign}, {notes}; of the
                     notes each alone: {status}, {time}, {line}
  colour on|off      colours in the prompt and in what is typed
  errexit on|off     leave after the first line that fails
",
    operands: &[Completes::Words(names), Completes::Words(|| vec![ON, OFF])],
    parse,
};

const ON: &str = "on";
const OFF: &str = "off";

/// What is wanted of the settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Set {
    /// All of them.
    List,
    /// This one.
    Show(Setting),
    /// Another value.
    Change(Change),
}

/// A setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Setting {
    Prompt,
    Colour,
    Errexit,
}

/// A setting's new value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    Prompt(PromptFormat),
    Colour(bool),
    Errexit(bool),
}

impl Setting {
    /// All, in the order in which they are listed.
    pub(crate) const ALL: [Self; 3] = [Self::Prompt, Self::Colour, Self::Errexit];

    /// As it is typed.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Prompt => "prompt",
            Self::Colour => "colour",
            Self::Errexit => "errexit",
        }
    }

    fn parse(word: &[u8]) -> Result<Self, BuiltinError> {
        let found = Self::ALL.into_iter().find(|setting| setting.name().as_bytes() == word);
        found.ok_or_else(|| BuiltinError::Setting(text_of(word)))
    }

    fn change(self, value: &[u8]) -> Result<Change, BuiltinError> {
        match self {
            Self::Prompt => {
                let format = text_of(value).parse();
                format
                    .map(Change::Prompt)
                    .map_err(|error| BuiltinError::Value(self.name(), error.to_string()))
            }
            Self::Colour => self.switch(value).map(Change::Colour),
            Self::Errexit => self.switch(value).map(Change::Errexit),
        }
    }

    fn switch(self, value: &[u8]) -> Result<bool, BuiltinError> {
        match value {
            b"on" => Ok(true),
            b"off" => Ok(false),
            _ => Err(BuiltinError::Value(self.name(), "it is on or off".to_owned())),
        }
    }
}

/// As it is typed.
pub(crate) fn switched(is_on: bool) -> &'static str {
    if is_on { ON } else { OFF }
}

fn parse(words: &[Word]) -> Result<Builtin, BuiltinError> {
    let set = match words {
        [] => Set::List,
        [name] => Set::Show(Setting::parse(name)?),
        [name, value] => Set::Change(Setting::parse(name)?.change(value)?),
        _ => return Err(BuiltinError::Arguments(COMMAND.name)),
    };
    Ok(Builtin::Set(set))
}

fn names() -> Vec<&'static str> {
    Setting::ALL.map(Setting::name).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(line: &str) -> Result<Builtin, BuiltinError> {
        super::super::parse(line.as_bytes()).unwrap()
    }

    #[test]
    fn what_is_wanted() {
        assert_eq!(set(":set"), Ok(Builtin::Set(Set::List)));
        assert_eq!(set(":set colour"), Ok(Builtin::Set(Set::Show(Setting::Colour))));
        assert_eq!(set(":set errexit on"), Ok(Builtin::Set(Set::Change(Change::Errexit(true)))));
        let format = "{host}> ".parse().unwrap();
        assert_eq!(set(":set prompt '{host}> '"), Ok(Builtin::Set(Set::Change(Change::Prompt(format)))));
    }

    #[test]
    fn what_cannot_be() {
        assert_eq!(set(":set colours"), Err(BuiltinError::Setting("colours".to_owned())));
        assert!(matches!(set(":set colour 1"), Err(BuiltinError::Value("colour", _))));
        assert!(matches!(set(":set prompt '{hots}'"), Err(BuiltinError::Value("prompt", _))));
        assert_eq!(set(":set prompt {host} $"), Err(BuiltinError::Arguments("set")));
    }
}
