//! Where a user's files are: the XDG base directories (basedir-spec), with `telex` behind them.

use std::ffi::OsString;
use std::path::PathBuf;

use super::ConfigError;
use crate::keys::Trust;

/// Directories; none of them need exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    /// Configuration and keys: `$XDG_CONFIG_HOME/telex` or `~/.config/telex`.
    pub config: PathBuf,
    /// What a server remembers: `$XDG_STATE_HOME/telex` or `~/.local/state/telex`.
    pub state: PathBuf,
    /// What `~` means.
    pub home: PathBuf,
}

impl Places {
    /// Who may have written the files there: this user, or root.
    pub fn trust(&self) -> Trust {
        Trust { home: self.home.clone(), ..Trust::current() }
    }

    /// The places of the user whose process this is.
    ///
    /// # Errors
    /// As [`Places::new`].
    pub fn of_user() -> Result<Self, ConfigError> {
        Self::new(|name| std::env::var_os(name))
    }

    /// The places of whoever has these environment variables. A variable that is no absolute path counts as unset, as
    /// the specification wants it.
    ///
    /// # Errors
    /// [`ConfigError::NoHome`].
    pub fn new(variable: impl Fn(&str) -> Option<OsString>) -> Result<Self, ConfigError> {
        let directory = |name| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let home = directory("HOME").ok_or(ConfigError::NoHome)?;
        let base = |name, default| directory(name).unwrap_or_else(|| home.join(default)).join("telex");
        Ok(Self {
            config: base("XDG_CONFIG_HOME", ".config"),
            state: base("XDG_STATE_HOME", ".local/state"),
            home,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn places(variables: &[(&str, &str)]) -> Result<Places, ConfigError> {
        Places::new(|name| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into()))
    }

    #[test]
    fn the_base_directories_win_over_the_home_directory() {
        let found = places(&[("HOME", "/h"), ("XDG_CONFIG_HOME", "/c"), ("XDG_STATE_HOME", "")]).unwrap();
        assert_eq!(found.config, Path::new("/c/telex"));
        assert_eq!(found.state, Path::new("/h/.local/state/telex"));
        let found = places(&[("HOME", "/h"), ("XDG_CONFIG_HOME", "relative")]).unwrap();
        assert_eq!(found.config, Path::new("/h/.config/telex"));
    }

    #[test]
    fn without_a_home_directory_there_are_none() {
        for home in [&[][..], &[("HOME", "")], &[("HOME", "h")]] {
            assert!(matches!(places(home), Err(ConfigError::NoHome)));
        }
    }
}
