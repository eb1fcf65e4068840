//! What a job may be asked for beyond its specification. The specification's bytes are what they were for peers of any age; what
//! is new is here, and is only said to those that know it.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::spec::SpecError;
use super::terminal::Terminal;

/// One of them, as it travels. New ones go at the end; the order is the wire's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Extra {
    /// It runs on a terminal of its own, in place of pipes.
    Terminal(Terminal),
}

/// All of them, by name: at most one of each kind.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Extras {
    /// The terminal that it runs on, if it runs on one. Its stdin, stdout and stderr are this, so it has no stderr of its own.
    pub terminal: Option<Terminal>,
}

impl Extras {
    /// Whether there is nothing beyond the specification.
    pub fn is_empty(&self) -> bool {
        self.terminal.is_none()
    }

    /// Checks what the types cannot say.
    ///
    /// # Errors
    /// A [`SpecError`] for the first thing that no server takes; the fault of whoever wrote the command.
    pub fn check(&self) -> Result<(), SpecError> {
        self.terminal.as_ref().map_or(Ok(()), Terminal::check)
    }

    /// As they travel: in the order of their numbers.
    pub fn to_wire(&self) -> Vec<Extra> {
        self.terminal.iter().cloned().map(Extra::Terminal).collect()
    }

    /// What of them makes a job another one. How large a terminal is does not, nor of which kind: a request that is said again
    /// from another window asks for the same job.
    pub(crate) fn told_apart(&self) -> Vec<Extra> {
        self.terminal.iter().map(|_| Extra::Terminal(Terminal::default())).collect()
    }
}

impl TryFrom<Vec<Extra>> for Extras {
    type Error = RepeatedExtra;

    fn try_from(list: Vec<Extra>) -> Result<Self, RepeatedExtra> {
        let mut extras = Self::default();
        for extra in list {
            let before = match extra {
                Extra::Terminal(terminal) => extras.terminal.replace(terminal),
            };
            if before.is_some() {
                return Err(RepeatedExtra);
            }
        }
        Ok(extras)
    }
}

/// The same thing was asked for twice. The peer's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("two extras of one kind")]
pub struct RepeatedExtra;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::WindowSize;

    fn terminal() -> Terminal {
        let size = WindowSize { rows: 24, columns: 80, ..WindowSize::default() };
        Terminal { name: "xterm".into(), size, ..Terminal::default() }
    }

    #[test]
    fn what_travels_comes_back_and_nothing_comes_twice() {
        let extras = Extras { terminal: Some(terminal()) };
        assert_eq!(Extras::try_from(extras.to_wire()), Ok(extras.clone()));
        assert_eq!(Extras::try_from(Vec::new()), Ok(Extras::default()));
        let twice = [extras.to_wire(), extras.to_wire()].concat();
        assert_eq!(Extras::try_from(twice), Err(RepeatedExtra));
    }

    #[test]
    fn another_window_is_the_same_job() {
        let asked = |terminal| Extras { terminal }.told_apart();
        assert_eq!(asked(Some(terminal())), asked(Some(Terminal::default())));
        assert_ne!(asked(Some(terminal())), asked(None));
    }
}
