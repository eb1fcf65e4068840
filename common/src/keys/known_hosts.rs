//! `known_hosts`: which key a server has, in OpenSSH's syntax (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT).
//!
//! Bytes in, verdicts out. Opens no file and asks nobody; where it is in doubt, the key is not the right one.

mod host;

use std::fmt;

use super::fields::{Line, join, lines, shortened, split_word};
use super::written_key::WrittenKey;
use super::{LineError, Problem, PublicKey};

pub use host::{HostName, HostNameError, SALT_BYTES};
use host::{Hosts, hashed};

/// Lines that are looked at in a file.
pub const LINES: usize = 10_000;

/// What a file of known hosts says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KnownHosts {
    entries: Vec<Entry>,
    problems: Vec<Problem>,
    /// The first line that was not read because there are too many.
    unread: Option<usize>,
}

/// A line, as far as it was understood.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    line: usize,
    is_revoked: bool,
    /// `None` if it cannot be told whose line it is.
    hosts: Option<Hosts>,
    key: KnownKey,
}

/// What a line has for a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KnownKey {
    /// A key that Telex uses.
    Ed25519(PublicKey),
    /// A key of this algorithm (as written, at most 64 bytes), which Telex does not use.
    Other(String),
    /// Nothing that can be used; the line is one of the problems.
    Unusable,
}

/// What is known of a server and a key.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Verdict {
    /// The server is known by this key.
    Trusted,
    /// No line is about this server.
    Unknown,
    /// The server is known, and not by this key.
    Changed {
        /// Number of the first line about it.
        line: usize,
        /// What all lines about it have for a key.
        known: Vec<KnownKey>,
    },
    /// No line is known to be about this server, and one that cannot be read may be.
    Unclear {
        /// Number of the first such line.
        line: usize,
    },
    /// The key is marked as `@revoked` for this server.
    Revoked {
        /// Number of the line that says so.
        line: usize,
    },
}

impl KnownHosts {
    /// Reads the bytes of a file, in time that grows with their number; how many they may be is for the caller, who
    /// reads them. What cannot be understood is one of the problems; see [`Self::verdict`] for what becomes of it.
    pub fn parse(bytes: &[u8]) -> Self {
        let mut hosts = Self::default();
        for line in lines(bytes, LINES) {
            let number = line.number;
            let error = match line.fault {
                Some(error @ LineError::TooMany { .. }) => {
                    hosts.unread = Some(number);
                    Some(error)
                }
                _ => {
                    let (entry, error) = parse_line(line);
                    hosts.entries.push(entry);
                    error
                }
            };
            hosts.problems.extend(error.map(|error| Problem { line: number, error }));
        }
        hosts
    }

    /// The lines that could not be understood, or have no meaning for Telex.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// Whether `host` may have this key.
    ///
    /// A key that is `@revoked` for the host is that, whatever other lines say. Otherwise one line with the key is
    /// enough. And otherwise *any* line about the host makes it a known one, whose key is another: a line with a key of
    /// another algorithm, with a key that cannot be read, or with a marker that means nothing here. So a damaged line
    /// never turns a known host into a new one.
    ///
    /// For the same reason no host is unknown while there is a line whose hosts cannot be read, such as a hashed name that
    /// is damaged. A `@revoked` line whose key cannot be read revokes every key of its hosts, one whose hosts cannot be
    /// read revokes its key everywhere, and a marker that is not known counts as `@revoked`. And in a file of more than
    /// [`LINES`] lines, whose end may say anything, no host is trusted or unknown.
    pub fn verdict(&self, host: &HostName, key: &PublicKey) -> Verdict {
        let names = host.names();
        if let Some(entry) = self.entries.iter().find(|entry| entry.revokes(&names, key)) {
            return Verdict::Revoked { line: entry.line };
        }
        if let Some(line) = self.unread {
            return Verdict::Unclear { line };
        }
        let about: Vec<_> = self.entries.iter().filter(|entry| entry.identifies(&names)).collect();
        let Some(first) = about.first() else {
            let unclear = self.entries.iter().find(|entry| !entry.is_revoked && entry.hosts.is_none());
            return unclear.map_or(Verdict::Unknown, |entry| Verdict::Unclear { line: entry.line });
        };
        if about.iter().any(|entry| entry.key == KnownKey::Ed25519(*key)) {
            return Verdict::Trusted;
        }
        Verdict::Changed { line: first.line, known: about.iter().map(|entry| entry.key.clone()).collect() }
    }
}

impl Entry {
    fn revokes(&self, names: &[String], key: &PublicKey) -> bool {
        let is_key = match &self.key {
            KnownKey::Ed25519(revoked) => revoked == key,
            KnownKey::Other(_) => false,
            KnownKey::Unusable => true,
        };
        self.is_revoked && is_key && self.hosts.as_ref().is_none_or(|hosts| hosts.include(names))
    }

    fn identifies(&self, names: &[String]) -> bool {
        !self.is_revoked && self.hosts.as_ref().is_some_and(|hosts| hosts.include(names))
    }
}

/// What can be made of a line, and what is wrong with it.
fn parse_line(line: Line<'_>) -> (Entry, Option<LineError>) {
    let text = line.text.as_ref();
    let (marker, rest) = if text.starts_with('@') { split_word(text) } else { ("", text) };
    let (hosts, rest) = split_word(rest);
    let hosts = Hosts::parse(hosts);
    let key = WrittenKey::parse(rest);
    let has_key = match marker {
        "" => line.fault.is_none(),
        "@cert-authority" => false,
        _ => true,
    };
    let marker_error =
        (!matches!(marker, "" | "@revoked")).then(|| LineError::Marker { marker: shortened(marker) });
    let hosts_error = hosts.is_none().then_some(LineError::Hosts);
    let error = line.fault.or(marker_error).or(hosts_error).or_else(|| key.as_ref().err().cloned());
    let key = key.ok().filter(|_| has_key).map_or(KnownKey::Unusable, KnownKey::from);
    let is_revoked = !matches!(marker, "" | "@cert-authority");
    (Entry { line: line.number, is_revoked, hosts, key }, error)
}

impl From<WrittenKey> for KnownKey {
    fn from(key: WrittenKey) -> Self {
        match key {
            WrittenKey::Ed25519(key) => Self::Ed25519(key),
            WrittenKey::Other(algorithm) => Self::Other(algorithm),
        }
    }
}

impl fmt::Display for KnownKey {
    /// For people: the fingerprint, or what there is in place of it. From the file: escape it for a terminal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ed25519(key) => key.fingerprint().fmt(f),
            Self::Other(algorithm) => write!(f, "a key of type {algorithm}"),
            Self::Unusable => f.write_str("a key that cannot be used"),
        }
    }
}

/// The line by which `host` is known, without an end: to be appended to a file whose last line is ended. Control
/// characters in the comment become blanks, and more than 255 bytes of it are cut.
pub fn line(host: &HostName, key: &PublicKey, comment: &str) -> String {
    join(&format!("{host} {key}"), comment)
}

/// The same line with a name that can be recognised but not read. The salt should be random; a name that can be
/// guessed can be tried.
pub fn hashed_line(host: &HostName, key: &PublicKey, salt: [u8; SALT_BYTES]) -> String {
    format!("{} {key}", hashed(host, &salt))
}

#[cfg(test)]
mod tests;
