//! The environment of a command: made from nothing, so that nothing of the server's own leaks into it.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use common::job::{ByteString, JobId, Terminal, Variable};

use super::account::Account;

/// Where programs are searched when the client sets no `PATH`: that of a login, without the user's own additions.
const USER_PATH: &str = "/usr/local/bin:/usr/bin:/bin";
const ROOT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// `TERM` where the client does not say what its terminal is: one that knows no control sequences.
const UNKNOWN_TERMINAL: &str = "dumb";

/// The variable in which every command finds the id of its job, and by which what comes of it is found again.
pub(super) const JOB_ID: &str = "TELEX_JOB_ID";

/// Names and values, each name once.
#[derive(Debug, Default)]
pub(super) struct Environment(Vec<(OsString, OsString)>);

impl Environment {
    /// `HOME`, `USER`, `LOGNAME`, `SHELL`, `PATH`, `LANG`, `PWD`, with a terminal `TERM`, over them what the client sets, and over
    /// all `TELEX_JOB_ID`.
    pub(super) fn new(
        account: &Account,
        directory: &Path,
        terminal: Option<&Terminal>,
        variables: &[Variable],
        id: &JobId,
    ) -> Self {
        let path = if account.is_root() { ROOT_PATH } else { USER_PATH };
        let mut environment = Self::default();
        environment.set("HOME".as_ref(), account.home.as_ref());
        environment.set("USER".as_ref(), account.name.as_ref());
        environment.set("LOGNAME".as_ref(), account.name.as_ref());
        environment.set("SHELL".as_ref(), account.shell.as_ref());
        environment.set("PATH".as_ref(), path.as_ref());
        environment.set("LANG".as_ref(), &account.language);
        environment.set("PWD".as_ref(), directory.as_ref());
        if let Some(Terminal { name, .. }) = terminal {
            let name = if name.0.is_empty() { UNKNOWN_TERMINAL.as_ref() } else { name.as_os_str() };
            environment.set("TERM".as_ref(), name);
        }
        for Variable { name, value } in variables {
            environment.set(name.as_os_str(), value.as_os_str());
        }
        environment.set(JOB_ID.as_ref(), id.as_str().as_ref());
        environment
    }

    /// The value of `name`.
    pub(super) fn value(&self, name: &str) -> Option<&OsStr> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_os_str())
    }

    /// Every variable as `NAME=value`.
    pub(super) fn strings(&self) -> impl Iterator<Item = Vec<u8>> {
        self.0.iter().map(|(name, value)| [name.as_bytes(), b"=", value.as_bytes()].concat())
    }

    fn set(&mut self, name: &OsStr, value: &OsStr) {
        match self.0.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => *old = value.to_owned(),
            None => self.0.push((name.to_owned(), value.to_owned())),
        }
    }
}

/// The directory a job starts in: as asked for, from the home directory if relative or not asked for.
pub(super) fn directory(account: &Account, asked: Option<&ByteString>) -> std::path::PathBuf {
    asked.map_or_else(|| account.home.clone(), |asked| account.home.join(Path::new(asked.as_os_str())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_wins_and_every_name_stands_once() {
        let path = Variable { name: "PATH".into(), value: "/opt/bin".into() };
        let twice = ["1", "2"].map(|value| Variable { name: "A".into(), value: value.into() });
        let id = Variable { name: JOB_ID.into(), value: "another".into() };
        let variables = [&[path, id][..], &twice].concat();
        let id = "j1".parse().unwrap();
        let environment = Environment::new(&Account::ann(), Path::new("/tmp"), None, &variables, &id);
        let strings: Vec<_> = environment.strings().map(|text| String::from_utf8(text).unwrap()).collect();
        assert_eq!(
            strings,
            [
                "HOME=/home/ann",
                "USER=ann",
                "LOGNAME=ann",
                "SHELL=/bin/bash",
                "PATH=/opt/bin",
                "LANG=C.UTF-8",
                "PWD=/tmp",
                "TELEX_JOB_ID=j1",
                "A=2"
            ]
        );
    }

    #[test]
    fn the_kind_of_terminal_is_what_the_client_says_of_it_or_sets() {
        let term = |terminal: Option<&str>, variables: &[Variable]| {
            let terminal = terminal.map(|name| Terminal { name: name.into(), ..Terminal::default() });
            let id = "j1".parse().unwrap();
            let directory = Path::new("/");
            let environment = Environment::new(&Account::ann(), directory, terminal.as_ref(), variables, &id);
            environment.value("TERM").map(OsStr::to_owned)
        };
        assert_eq!(term(None, &[]), None);
        assert_eq!(term(Some("xterm"), &[]), Some("xterm".into()));
        assert_eq!(term(Some(""), &[]), Some("dumb".into()));
        let own = Variable { name: "TERM".into(), value: "vt100".into() };
        assert_eq!(term(Some("xterm"), &[own]), Some("vt100".into()));
    }

    #[test]
    fn a_relative_directory_counts_from_home() {
        let at = |text: &str| directory(&Account::ann(), Some(&text.into()));
        assert_eq!(at("src"), Path::new("/home/ann/src"));
        assert_eq!(at("/srv"), Path::new("/srv"));
        assert_eq!(directory(&Account::ann(), None), Path::new("/home/ann"));
    }
}
