//! `authorized_keys`: which keys may connect, and on which conditions, in OpenSSH's syntax (sshd(8),
//! AUTHORIZED_KEYS FILE FORMAT).
//!
//! Bytes in, values out. Opens no file, reads no clock, and grants nothing: it says what the file says.

mod expiry;
mod options;
mod sources;

use std::net::IpAddr;
use std::time::SystemTime;

use thiserror::Error;

use super::fields::{join, lines, split_quoted_word, split_word};
use super::written_key::split_key;
use super::{LineError, Problem, PublicKey};

pub use options::{Options, OptionsError, OptionsRefusal};
pub use sources::SOURCE_PATTERNS;

/// Lines that are looked at in a file.
pub const LINES: usize = 1000;

/// What a file of authorized keys says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuthorizedKeys {
    /// The lines with a key and options that are all understood, in their order.
    pub entries: Vec<Entry>,
    /// The lines that grant nothing because they cannot be understood.
    pub problems: Vec<Problem>,
}

/// A line that authorizes a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its number in the file, from 1.
    pub line: usize,
    /// The key.
    pub key: PublicKey,
    /// On which conditions.
    pub options: Options,
    /// What stands behind the key, for people. From the file: escape it for a terminal.
    pub comment: String,
}

impl AuthorizedKeys {
    /// Reads the bytes of a file, in time that grows with their number; how many they may be is for the caller, who
    /// reads them (1 MiB is plenty).
    ///
    /// A line that cannot be understood grants nothing and takes nothing from the others: it is one of the problems. So
    /// is a key of any algorithm but Ed25519, an option that Telex does not know, and what comes after [`LINES`] lines.
    pub fn parse(bytes: &[u8]) -> Self {
        let mut keys = Self::default();
        for line in lines(bytes, LINES) {
            let parsed = line.fault.map_or_else(|| parse_line(line.number, &line.text), Err);
            match parsed {
                Ok(entry) => keys.entries.push(entry),
                Err(error) => keys.problems.push(Problem { line: line.number, error }),
            }
        }
        keys
    }

    /// The first line with this key whose options permit it from `source` (`None` for a peer that has no IP address)
    /// at the time `now`.
    ///
    /// # Errors
    /// A [`FindRefusal`]: for the log of the server, not for the peer.
    pub fn find(
        &self,
        key: &PublicKey,
        source: Option<IpAddr>,
        now: SystemTime,
    ) -> Result<&Entry, FindRefusal> {
        let mut first = FindRefusal::NotListed;
        for entry in self.entries.iter().filter(|entry| entry.key == *key) {
            match entry.options.permits(source, now) {
                Ok(()) => return Ok(entry),
                Err(refusal) if first == FindRefusal::NotListed => {
                    first = FindRefusal::Refused { line: entry.line, refusal };
                }
                Err(_) => {}
            }
        }
        Err(first)
    }
}

/// The line that authorizes `key`, without an end: to be appended to a file whose last line is ended.
///
/// Control characters in the comment become blanks, and more than 255 bytes of it are cut. With options of nearly
/// [`LINE_BYTES`](super::LINE_BYTES) the line is longer than that, and will not be read again.
pub fn line(options: &Options, key: &PublicKey, comment: &str) -> String {
    join(format!("{options} {key}").trim_start(), comment)
}

fn parse_line(number: usize, text: &str) -> Result<Entry, LineError> {
    let (options, rest) = if begins_with_a_key(text) {
        ("", text)
    } else {
        split_quoted_word(text).ok_or(OptionsError::Quote)?
    };
    let (key, comment) = split_key(rest)?;
    Ok(Entry { line: number, key, options: options.parse()?, comment: comment.to_owned() })
}

/// No option begins like the name of an algorithm.
fn begins_with_a_key(text: &str) -> bool {
    let (word, _) = split_word(text);
    ["ssh-", "ecdsa-", "sk-"].iter().any(|prefix| word.starts_with(prefix))
}

/// Why a key may not connect.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FindRefusal {
    /// No line with this key, or none that can be understood.
    #[error("the key is not listed")]
    NotListed,
    /// The options of every line with this key refuse it; this is the first of them.
    #[error("line {line} refuses: {refusal}")]
    Refused {
        /// Its number in the file, from 1.
        line: usize,
        /// Why.
        refusal: OptionsRefusal,
    },
}

#[cfg(test)]
mod tests;
