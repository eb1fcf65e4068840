//! Signals by number and name.
//!
//! Numbers on the wire are those of Linux on x86-64 and arm64 (signal(7)); names are POSIX', without `SIG`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A signal, 1 to 64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Signal(u8);

/// Names of the standard signals; the index is the number less one. 32 and 33 belong to the C library.
const NAMES: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE",
    "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ",
    "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
];

/// `SIGRTMIN` as programs see it.
const REAL_TIME_MIN: u8 = 34;

/// `SIGRTMAX`.
const MAX: u8 = 64;

impl Signal {
    /// Hang-up of the terminal; the client is gone.
    pub const HUP: Self = Self(1);
    /// Interrupt: Ctrl-C.
    pub const INT: Self = Self(2);
    /// Quit: Ctrl-\.
    pub const QUIT: Self = Self(3);
    /// Cannot be caught.
    pub const KILL: Self = Self(9);
    /// For the command's own use.
    pub const USR1: Self = Self(10);
    /// For the command's own use.
    pub const USR2: Self = Self(12);
    /// Written to a pipe that nobody reads.
    pub const PIPE: Self = Self(13);
    /// Please end.
    pub const TERM: Self = Self(15);
    /// Go on if stopped.
    pub const CONT: Self = Self(18);
    /// Stop; cannot be caught.
    pub const STOP: Self = Self(19);
    /// Virtual timer expired.
    pub const VTALRM: Self = Self(26);

    /// The signal with this number.
    ///
    /// # Errors
    /// [`SignalError`] outside 1 to 64.
    pub fn from_number(number: i32) -> Result<Self, SignalError> {
        u8::try_from(number)
            .ok()
            .filter(|number| (1..=MAX).contains(number))
            .map(Self)
            .ok_or_else(|| SignalError(number.to_string()))
    }

    /// Its number, 1 to 64.
    pub fn number(self) -> i32 {
        self.0.into()
    }
}

impl fmt::Display for Signal {
    /// The name without `SIG`: `TERM`, `RTMIN+2`; a number for the two that have no name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (NAMES.get(usize::from(self.0.saturating_sub(1))), self.0) {
            (Some(name), _) => f.write_str(name),
            (None, REAL_TIME_MIN) => f.write_str("RTMIN"),
            (None, number) if number > REAL_TIME_MIN => write!(f, "RTMIN+{}", number - REAL_TIME_MIN),
            (None, number) => number.fmt(f),
        }
    }
}

impl FromStr for Signal {
    type Err = SignalError;

    /// Takes `TERM`, `SIGTERM`, `sigterm`, `RTMIN+2` and `15`, as kill(1) does.
    fn from_str(text: &str) -> Result<Self, SignalError> {
        let unknown = || SignalError(text.to_owned());
        if let Ok(number) = text.parse() {
            return Self::from_number(number);
        }
        let upper = text.to_ascii_uppercase();
        let name = upper.strip_prefix("SIG").unwrap_or(&upper);
        if let Some(place) = NAMES.iter().position(|known| *known == name) {
            return Self::from_number(place as i32 + 1);
        }
        let above = match name.strip_prefix("RTMIN").ok_or_else(unknown)? {
            "" => 0,
            plus => {
                plus.strip_prefix('+').and_then(|digits| digits.parse::<u8>().ok()).ok_or_else(unknown)?
            }
        };
        Self::from_number(i32::from(REAL_TIME_MIN) + i32::from(above)).map_err(|_| unknown())
    }
}

impl From<Signal> for u8 {
    fn from(signal: Signal) -> Self {
        signal.0
    }
}

impl TryFrom<u8> for Signal {
    type Error = SignalError;

    fn try_from(number: u8) -> Result<Self, SignalError> {
        Self::from_number(number.into())
    }
}

/// Not a signal.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("no such signal: {0}")]
pub struct SignalError(String);
