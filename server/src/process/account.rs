//! Who the server is, and so who every command runs as.

use std::ffi::OsString;
use std::path::PathBuf;

use nix::unistd::{Uid, User};

/// The account of the server's process, as the user database has it.
#[derive(Debug, Clone)]
pub(crate) struct Account {
    /// User id.
    pub(crate) uid: u32,
    /// Login name; the number if the database has none.
    pub(crate) name: String,
    /// Home directory; `/` if the database has none.
    pub(crate) home: PathBuf,
    /// Login shell; `/bin/sh` if the database has none.
    pub(crate) shell: PathBuf,
    /// Locale that commands get unless they are given another.
    pub(crate) language: OsString,
}

impl Account {
    /// The account of this process. `language` is the server's own `LANG`, if it has one.
    pub(crate) fn current(language: Option<OsString>) -> Self {
        let uid = Uid::effective();
        let user = User::from_uid(uid).ok().flatten();
        let language = language.filter(|value| !value.is_empty()).unwrap_or_else(|| "C.UTF-8".into());
        let shell = |shell: PathBuf| if shell.as_os_str().is_empty() { "/bin/sh".into() } else { shell };
        match user {
            Some(user) => Self {
                uid: uid.as_raw(),
                name: user.name,
                home: user.dir,
                shell: shell(user.shell),
                language,
            },
            None => Self {
                uid: uid.as_raw(),
                name: uid.to_string(),
                home: "/".into(),
                shell: "/bin/sh".into(),
                language,
            },
        }
    }

    /// Whether it is the superuser.
    pub(crate) fn is_root(&self) -> bool {
        self.uid == 0
    }
}

#[cfg(test)]
impl Account {
    /// An ordinary user, for tests.
    pub(crate) fn ann() -> Self {
        Self {
            uid: 1000,
            name: "ann".into(),
            home: "/home/ann".into(),
            shell: "/bin/bash".into(),
            language: "C.UTF-8".into(),
        }
    }
}
