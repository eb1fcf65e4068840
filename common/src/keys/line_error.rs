//! What is wrong with a line of a key file. The fault of whoever wrote the file.

use std::fmt;
use std::path::Path;

use thiserror::Error;

use super::KeyError;
use super::authorized_keys::OptionsError;
use super::fields::LINE_BYTES;

/// A line that does not count, and why.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("line {line}: {error}")]
pub struct Problem {
    /// Number of the line in its file, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub error: LineError,
}

impl Problem {
    /// The problem with its place, as compilers write it: `PATH:LINE: …`.
    pub fn at(&self, path: &Path) -> impl fmt::Display {
        format!("{}:{}: {}", path.display(), self.line, self.error)
    }
}

/// Why a line of a key file does not count. The texts quote the file: escape them for a terminal.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LineError {
    /// Longer than [`LINE_BYTES`].
    #[error("longer than {LINE_BYTES} bytes")]
    TooLong,
    /// Not text.
    #[error("not UTF-8")]
    NotUtf8,
    /// The first line past the limit; what follows is not read either.
    #[error("a file may have {limit} lines; the rest is not read")]
    TooMany {
        /// The lines that were read.
        limit: usize,
    },
    /// No key where one must be.
    #[error("no key")]
    NoKey,
    /// A key that is none, or that cannot be used here.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Options of `authorized_keys`.
    #[error(transparent)]
    Options(#[from] OptionsError),
    /// The host field of `known_hosts` is missing, or begins like a hashed name and is none.
    #[error("no host name that can be read")]
    Hosts,
    /// A marker of `known_hosts` other than `@revoked`.
    #[error("the marker {marker} has no meaning here; only @revoked has")]
    Marker {
        /// The marker as written, at most 64 bytes.
        marker: String,
    },
}
