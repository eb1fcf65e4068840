//! What a job may be asked for beyond its specification. The specification's bytes are what they were for peers of any age; what
//! is new is here, and is only said to those that know it.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::spec::{Spec, SpecError};
use super::terminal::Terminal;

/// One of them, as it travels. New ones go at the end; the order is the wire's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Extra {
    /// It runs on a terminal of its own, in place of pipes.
    Terminal(Terminal),
    /// It has control descriptors.
    Control,
}

/// All of them, by name: at most one of each kind.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Extras {
    /// The terminal that it runs on, if it runs on one. Its stdin, stdout and stderr are this, so it has no stderr of its own.
    pub terminal: Option<Terminal>,
    /// Whether it has control descriptors: its descriptor 0 is a pipe that carries what the client tells it
    /// ([`Order::Control`](crate::message::Order::Control)), and what it writes to descriptor 9 comes as a stream of its own,
    /// which says how far its output had come by then.
    pub control: bool,
}

impl Extras {
    /// Whether there is nothing beyond the specification.
    pub fn is_empty(&self) -> bool {
        self.terminal.is_none() && !self.control
    }

    /// Checks what the types cannot say.
    ///
    /// # Errors
    /// A [`SpecError`] for the first thing that no server takes; the fault of whoever wrote the command.
    pub fn check(&self) -> Result<(), SpecError> {
        self.terminal.as_ref().map_or(Ok(()), Terminal::check)
    }

    /// Checks that they go together with a specification.
    ///
    /// # Errors
    /// [`SpecError::ControlStdin`], [`SpecError::ControlSupervised`]; the fault of whoever wrote the command.
    pub fn check_with(&self, spec: &Spec) -> Result<(), SpecError> {
        match self.control {
            true if spec.stdin && self.terminal.is_none() => Err(SpecError::ControlStdin),
            true if spec.keeping.supervised => Err(SpecError::ControlSupervised),
            true | false => Ok(()),
        }
    }

    /// As they travel: in the order of their numbers.
    pub fn to_wire(&self) -> Vec<Extra> {
        let terminal = self.terminal.iter().cloned().map(Extra::Terminal);
        terminal.chain(self.control.then_some(Extra::Control)).collect()
    }

    /// What of them makes a job another one. How large a terminal is does not, nor of which kind: a request that is said again
    /// from another window asks for the same job.
    pub(crate) fn told_apart(&self) -> Vec<Extra> {
        Self { terminal: self.terminal.as_ref().map(|_| Terminal::default()), ..*self }.to_wire()
    }
}

impl TryFrom<Vec<Extra>> for Extras {
    type Error = RepeatedExtra;

    fn try_from(list: Vec<Extra>) -> Result<Self, RepeatedExtra> {
        let mut extras = Self::default();
        for extra in list {
            let repeated = match extra {
                Extra::Terminal(terminal) => extras.terminal.replace(terminal).is_some(),
                Extra::Control => std::mem::replace(&mut extras.control, true),
            };
            if repeated {
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
    use crate::job::{Program, WindowSize};

    fn terminal() -> Terminal {
        let size = WindowSize { rows: 24, columns: 80, ..WindowSize::default() };
        Terminal { name: "xterm".into(), size, ..Terminal::default() }
    }

    #[test]
    fn what_travels_comes_back_and_nothing_comes_twice() {
        assert_eq!(Extras::try_from(Vec::new()), Ok(Extras::default()));
        for (terminal, control) in [(Some(terminal()), false), (None, true), (Some(terminal()), true)] {
            let extras = Extras { terminal, control };
            assert_eq!(Extras::try_from(extras.to_wire()), Ok(extras.clone()));
            let twice = [extras.to_wire(), extras.to_wire()].concat();
            assert_eq!(Extras::try_from(twice), Err(RepeatedExtra));
        }
    }

    #[test]
    fn another_window_is_the_same_job() {
        let asked = |terminal, control| Extras { terminal, control }.told_apart();
        assert_eq!(asked(Some(terminal()), true), asked(Some(Terminal::default()), true));
        assert_ne!(asked(Some(terminal()), false), asked(None, false));
        assert_ne!(asked(Some(terminal()), false), asked(Some(terminal()), true));
    }

    #[test]
    fn what_is_told_on_descriptor_0_needs_it_and_a_server_that_stays() {
        let check = |stdin, supervised, terminal: Option<Terminal>| {
            let mut spec = Spec::new(Program::LoginShell);
            (spec.stdin, spec.keeping.supervised) = (stdin, supervised);
            assert_eq!(Extras { terminal: terminal.clone(), control: false }.check_with(&spec), Ok(()));
            Extras { terminal, control: true }.check_with(&spec)
        };
        assert_eq!(check(false, false, None), Ok(()));
        assert_eq!(check(true, false, Some(terminal())), Ok(()));
        assert_eq!(check(true, false, None), Err(SpecError::ControlStdin));
        assert_eq!(check(false, true, Some(terminal())), Err(SpecError::ControlSupervised));
    }
}
