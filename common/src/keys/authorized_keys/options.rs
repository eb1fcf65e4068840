//! The options before a key: what its owner may do, and from where and how long.
//!
//! Reads them, keeps them and answers questions about them. Whoever runs a command must ask.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::SystemTime;

use thiserror::Error;

use super::super::fields::shortened;
use super::expiry::Expiry;
use super::sources::{SOURCE_PATTERNS, Sources, SourcesError};

/// Variables that one line may set.
const VARIABLES: usize = 64;

/// The options of a line of `authorized_keys`; by default there are none.
///
/// Parsed from what stands before the key, e.g. `restrict,command="/usr/bin/rsync --server",from="192.0.2.0/24"`. Names
/// of options may be in any case, and every value is in double quotes, within which `\"` is a quote. Known are:
///
/// - `command="…"`: what the key runs, whatever it asks for
/// - `restrict`: everything off that can be turned off; `pty` after it allows terminals again
/// - `no-pty`: no terminal
/// - `from="…"`: up to 64 addresses, networks and addresses with `*` and `?`, of which one must match and none behind a
///   `!` may. Host names are refused: they are never resolved, and a name behind a `!` would keep nobody out
/// - `expiry-time="YYYYMMDD[HHMM[SS]][Z]"`: until when; **in UTC**, also without the `Z`, where sshd takes local time
/// - `environment="NAME=value"`: up to 64 variables; the first of a name counts
/// - `no-port-forwarding`, `no-agent-forwarding`, `no-X11-forwarding`, `no-user-rc`: nothing; Telex has no such thing
///
/// Written in one canonical form, which parses to the same options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    restrict: bool,
    terminal: bool,
    command: Option<String>,
    sources: Option<Sources>,
    expiry: Option<Expiry>,
    environment: Vec<(String, String)>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            restrict: false,
            terminal: true,
            command: None,
            sources: None,
            expiry: None,
            environment: Vec::new(),
        }
    }
}

impl Options {
    /// What is run instead of what is asked for; never empty.
    pub fn command(&self) -> Option<&str> {
        self.command.as_deref()
    }

    /// Whether a command may have a terminal.
    pub fn may_have_terminal(&self) -> bool {
        self.terminal
    }

    /// Whether the key is for something particular and not for its owner's free use: it has `restrict` or a command.
    pub fn is_restricted(&self) -> bool {
        self.restrict || self.command.is_some()
    }

    /// The variables that are set for every command. No name comes twice.
    pub fn environment(&self) -> &[(String, String)] {
        &self.environment
    }

    /// Until when the key is good, if not for ever.
    pub fn expires_at(&self) -> Option<SystemTime> {
        self.expiry.and_then(Expiry::time)
    }

    /// Whether the key's time is past at the time `now`.
    pub fn is_over(&self, now: SystemTime) -> bool {
        self.expiry.is_some_and(|expiry| expiry.is_over(now))
    }

    /// Whether the key may be used from `source` at the time `now`. `None` is a peer without an IP address, on a Unix
    /// socket: no `from="…"` lets it in.
    ///
    /// # Errors
    /// What refuses it.
    pub fn permits(&self, source: Option<IpAddr>, now: SystemTime) -> Result<(), OptionsRefusal> {
        if self.is_over(now) {
            return Err(OptionsRefusal::Expired);
        }
        match &self.sources {
            Some(sources) if !source.is_some_and(|source| sources.admit(source)) => {
                Err(OptionsRefusal::Source)
            }
            _ => Ok(()),
        }
    }

    fn apply(&mut self, option: &Written<'_>) -> Result<(), OptionsError> {
        let name = option.name.to_ascii_lowercase();
        match (name.as_str(), &option.value) {
            ("restrict", None) => (self.restrict, self.terminal) = (true, false),
            ("pty", None) => self.terminal = true,
            ("no-pty", None) => self.terminal = false,
            ("no-port-forwarding" | "no-agent-forwarding" | "no-x11-forwarding" | "no-user-rc", None) => {}
            ("command", Some(value)) => set_once(&mut self.command, command(value)?, "command")?,
            ("from", Some(value)) => set_once(&mut self.sources, sources(value)?, "from")?,
            ("expiry-time", Some(value)) => set_once(&mut self.expiry, expiry(value)?, "expiry-time")?,
            ("environment", Some(value)) => self.add_variable(value)?,
            ("command" | "from" | "expiry-time" | "environment", None) => return Err(OptionsError::Quote),
            (_, value) => {
                let equals_sign = if value.is_some() { "=" } else { "" };
                return Err(OptionsError::Unknown { name: shortened(option.name) + equals_sign });
            }
        }
        Ok(())
    }

    fn add_variable(&mut self, variable: &str) -> Result<(), OptionsError> {
        let wrong = || OptionsError::Environment { text: shortened(variable) };
        let (name, value) =
            variable.split_once('=').filter(|(name, _)| is_variable(name)).ok_or_else(wrong)?;
        if self.environment.iter().any(|(known, _)| known == name) {
            return Ok(());
        }
        if self.environment.len() == VARIABLES {
            return Err(OptionsError::TooMany { what: "variables", limit: VARIABLES });
        }
        self.environment.push((name.to_owned(), value.to_owned()));
        Ok(())
    }
}

fn set_once<T>(place: &mut Option<T>, value: T, name: &'static str) -> Result<(), OptionsError> {
    if place.replace(value).is_some() { Err(OptionsError::Repeated { name }) } else { Ok(()) }
}

fn command(value: &str) -> Result<String, OptionsError> {
    if value.trim().is_empty() { Err(OptionsError::EmptyCommand) } else { Ok(value.to_owned()) }
}

fn sources(value: &str) -> Result<Sources, OptionsError> {
    value.parse().map_err(|error| match error {
        SourcesError::TooMany => OptionsError::TooMany { what: "patterns in from", limit: SOURCE_PATTERNS },
        SourcesError::Pattern(pattern) => OptionsError::Source { pattern: shortened(&pattern) },
    })
}

fn expiry(value: &str) -> Result<Expiry, OptionsError> {
    // A time that this system's clock cannot show could not be told to anybody, either.
    let expiry = value.parse().ok().filter(|expiry: &Expiry| expiry.time().is_some());
    expiry.ok_or_else(|| OptionsError::Expiry { text: shortened(value) })
}

/// A name that every shell can use (POSIX.1-2024, Base Definitions, 3.216).
fn is_variable(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

impl FromStr for Options {
    type Err = OptionsError;

    fn from_str(text: &str) -> Result<Self, OptionsError> {
        // A value with a line break could not be written to a file again without beginning another line there.
        if text.contains(['\0', '\r', '\n']) {
            return Err(OptionsError::Control);
        }
        let mut options = Self::default();
        let mut rest = Some(text).filter(|text| !text.is_empty());
        while let Some(text) = rest {
            let (option, behind) = Written::split(text)?;
            options.apply(&option)?;
            rest = behind;
        }
        Ok(options)
    }
}

/// One option as it is written.
struct Written<'a> {
    name: &'a str,
    value: Option<String>,
}

impl<'a> Written<'a> {
    /// The first option of `text`, and what comes after the comma behind it.
    fn split(text: &'a str) -> Result<(Self, Option<&'a str>), OptionsError> {
        let (name, behind) =
            text.split_at_checked(text.find(['=', ',']).unwrap_or(text.len())).unwrap_or((text, ""));
        let (value, behind) = match behind.strip_prefix('=') {
            Some(quoted) => {
                let (value, behind) = unquote(quoted).ok_or(OptionsError::Quote)?;
                (Some(value), behind)
            }
            None => (None, behind),
        };
        let rest = match behind.strip_prefix(',') {
            None if behind.is_empty() => None,
            None => return Err(OptionsError::Quote),
            Some(rest) => Some(rest),
        };
        Ok((Self { name, value }, rest))
    }
}

/// The value between the quotes that `text` begins with, and what is behind them.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut rest = text.strip_prefix('"')?;
    let mut value = String::new();
    loop {
        let (part, behind) = rest.split_once('"')?;
        let Some(part) = part.strip_suffix('\\') else {
            value.push_str(part);
            return Some((value, behind));
        };
        value.push_str(part);
        value.push('"');
        rest = behind;
    }
}

impl fmt::Display for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // An option that is left out here is lost wherever a line is written: this names them all.
        let Self { restrict, terminal, command, sources, expiry, environment } = self;
        let mut comma = "";
        let mut option = |text: fmt::Arguments<'_>| {
            let separator = std::mem::replace(&mut comma, ",");
            write!(f, "{separator}{text}")
        };
        match (*restrict, *terminal) {
            (true, true) => option(format_args!("restrict,pty"))?,
            (true, false) => option(format_args!("restrict"))?,
            (false, false) => option(format_args!("no-pty"))?,
            (false, true) => {}
        }
        if let Some(command) = command {
            option(format_args!("command={}", Quoted(command)))?;
        }
        if let Some(sources) = sources {
            option(format_args!("from=\"{sources}\""))?;
        }
        if let Some(expiry) = expiry {
            option(format_args!("expiry-time=\"{expiry}\""))?;
        }
        for (name, value) in environment {
            option(format_args!("environment={}", Quoted(&format!("{name}={value}"))))?;
        }
        Ok(())
    }
}

/// A value in quotes. None ends in a backslash, which would take the closing one along: no text parses to such a value.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.replace('"', "\\\""))
    }
}

/// Why a key with these options may not be used now and from there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum OptionsRefusal {
    /// `from="…"` does not let the peer's address in, or the peer has none.
    #[error("not from this address")]
    Source,
    /// `expiry-time="…"` is past.
    #[error("the key has expired by the clock of this machine")]
    Expired,
}

/// What is wrong with options. The fault of whoever wrote them; the texts quote them: escape them for a terminal.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum OptionsError {
    /// Not an option, or one that OpenSSH has and Telex has not, or one that takes no value and has one.
    #[error("unknown option {name:?}")]
    Unknown {
        /// As written, at most 64 bytes, and an equals sign if there is a value.
        name: String,
    },
    /// An option that may stand once.
    #[error("the option {name} comes twice")]
    Repeated {
        /// Its name.
        name: &'static str,
    },
    /// A value without its quotes, or something between a closing quote and the comma.
    #[error("a value must stand in double quotes, with a comma or nothing behind them")]
    Quote,
    /// NUL, CR or LF.
    #[error("NUL, CR or LF in the options")]
    Control,
    /// A command that would be nothing.
    #[error("the command is empty")]
    EmptyCommand,
    /// A pattern that no address can match.
    #[error("from: no address, network with host bits 0, or address with wildcards: {pattern:?}")]
    Source {
        /// As written, at most 64 bytes.
        pattern: String,
    },
    /// Not a time.
    #[error("expiry-time: not YYYYMMDD[HHMM[SS]][Z]: {text:?}")]
    Expiry {
        /// As written, at most 64 bytes.
        text: String,
    },
    /// Not a variable.
    #[error("environment: not NAME=value: {text:?}")]
    Environment {
        /// As written, at most 64 bytes.
        text: String,
    },
    /// More than fit on a line in good faith.
    #[error("more than {limit} {what}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many there may be.
        limit: usize,
    },
}
