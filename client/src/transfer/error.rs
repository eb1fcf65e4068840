//! Why something is not transferred. What to do about it is for whoever says it to a person.

use std::io;
use std::path::PathBuf;

use common::reason::system_reason;
use thiserror::Error;

use super::plan::ListingError;
use crate::Error;

/// On which side of the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// This one.
    Here,
    /// The server's.
    There,
}

/// Why something is not transferred. Nothing is under its final name then; what has come is kept beside it, in most cases, and the same
/// transfer goes on from there.
///
/// Paths and words of the other side are as they are: not to be printed unescaped.
#[derive(Debug, Error)]
pub enum TransferError {
    /// The connection's failure.
    #[error(transparent)]
    Client(#[from] Error),
    /// This side's system refuses something.
    #[error("cannot {doing} {}: {}", path.display(), system_reason(error))]
    Local {
        /// A verb.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// The other side's system, or its programs, refuse something.
    #[error("cannot {doing} {} on the server: {said}", shown(path))]
    Remote {
        /// A verb.
        doing: &'static str,
        /// To what.
        path: Vec<u8>,
        /// What was said about it there.
        said: String,
    },
    /// There is nothing to transfer.
    #[error("there is no {} {}", shown(path), place(*side))]
    Missing {
        /// Where.
        side: Side,
        /// What was named.
        path: Vec<u8>,
    },
    /// A device, a socket, a FIFO.
    #[error("{} {} is neither a file nor a directory", shown(path), place(*side))]
    Special {
        /// Where.
        side: Side,
        /// What was named.
        path: Vec<u8>,
    },
    /// The directory that it is to come into is not there.
    #[error("there is no directory {} {}", shown(path), place(*side))]
    NoParent {
        /// Where.
        side: Side,
        /// The directory.
        path: Vec<u8>,
    },
    /// Something of that name is there, and was not to be replaced.
    #[error("{} is there already {}", shown(path), place(*side))]
    Exists {
        /// Where.
        side: Side,
        /// What is in the way.
        path: Vec<u8>,
    },
    /// What is there cannot be replaced by this: a directory and a file, or a device.
    #[error("{} {} is {what}", shown(path), place(*side))]
    InTheWay {
        /// Where.
        side: Side,
        /// What is in the way.
        path: Vec<u8>,
        /// What it is.
        what: &'static str,
    },
    /// No path, or one without a name at its end.
    #[error("no name for a file: {:?}", shown(.0))]
    Name(Vec<u8>),
    /// Nothing on the server makes hashes.
    #[error(
        "there is neither openssl nor sha256sum nor shasum on the server, so a copy could not be checked"
    )]
    NoDigest,
    /// What the server says is not as it should be.
    #[error("the server's answer cannot be used: {0}")]
    Listing(#[from] ListingError),
    /// The copy is not as the original, again and again.
    #[error("{} is not the same on both sides, after {} tries", shown(path), super::ROUNDS)]
    Unequal {
        /// Below what was named; empty for that itself.
        path: Vec<u8>,
    },
}

fn shown(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}

fn place(side: Side) -> &'static str {
    match side {
        Side::Here => "here",
        Side::There => "on the server",
    }
}
