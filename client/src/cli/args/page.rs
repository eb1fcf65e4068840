//! The help texts. They lie as files beside this one, so that they look here as they look on a terminal; tests hold
//! them to the options that there are.

use std::ffi::OsStr;

/// A page of help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Page {
    /// All verbs, and what holds for each.
    Client,
    /// `run`.
    Run,
    /// `shell`.
    Shell,
    /// `jobs`.
    Jobs,
    /// `attach`.
    Attach,
    /// `logs`.
    Logs,
    /// `wait`.
    Wait,
    /// `signal`.
    Signal,
    /// `forget`.
    Forget,
    /// `ping`.
    Ping,
    /// The REPL.
    Repl,
    /// `key`.
    Key,
    /// `join`.
    Join,
}

impl Page {
    /// The page of a verb.
    pub(super) fn of(verb: &OsStr) -> Option<Self> {
        match verb.to_str()? {
            "run" => Some(Self::Run),
            "shell" => Some(Self::Shell),
            "jobs" => Some(Self::Jobs),
            "attach" => Some(Self::Attach),
            "logs" => Some(Self::Logs),
            "wait" => Some(Self::Wait),
            "signal" => Some(Self::Signal),
            "forget" => Some(Self::Forget),
            "ping" => Some(Self::Ping),
            "repl" => Some(Self::Repl),
            "key" => Some(Self::Key),
            "join" => Some(Self::Join),
            "help" => Some(Self::Client),
            _ => None,
        }
    }

    /// What `--help` prints.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Client => include_str!("help/client.txt"),
            Self::Run => include_str!("help/run.txt"),
            Self::Shell => include_str!("help/shell.txt"),
            Self::Jobs => include_str!("help/jobs.txt"),
            Self::Attach => include_str!("help/attach.txt"),
            Self::Logs => include_str!("help/logs.txt"),
            Self::Wait => include_str!("help/wait.txt"),
            Self::Signal => include_str!("help/signal.txt"),
            Self::Forget => include_str!("help/forget.txt"),
            Self::Ping => include_str!("help/ping.txt"),
            Self::Repl => include_str!("help/repl.txt"),
            Self::Key => include_str!("help/key.txt"),
            Self::Join => include_str!("help/join.txt"),
        }
    }

    /// The command that prints it.
    pub(crate) fn command(self) -> &'static str {
        match self {
            Self::Client => "client --help",
            Self::Run => "client run --help",
            Self::Shell => "client shell --help",
            Self::Jobs => "client jobs --help",
            Self::Attach => "client attach --help",
            Self::Logs => "client logs --help",
            Self::Wait => "client wait --help",
            Self::Signal => "client signal --help",
            Self::Forget => "client forget --help",
            Self::Ping => "client ping --help",
            Self::Repl => "client repl --help",
            Self::Key => "client key --help",
            Self::Join => "client join --help",
        }
    }

    /// The options that it lists, with their dashes.
    pub(super) fn options(self) -> impl Iterator<Item = &'static str> {
        let lines = self.text().lines().map(str::trim_start).filter(|line| line.starts_with('-'));
        let words = lines.flat_map(|line| line.split([' ', ',']).take(3));
        words.filter(|word| word.starts_with('-'))
    }
}
