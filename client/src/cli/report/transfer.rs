//! The sentences for transfers: what became of one, why there is none, and what to do next. Nothing is printed here.

use indicatif::BinaryBytes;

use super::failure::explain;
use crate::{Moved, Side, TransferError};

/// Names of what was left out that are said one by one.
const NAMED: usize = 3;

/// The sentence for a failure: what failed, why, and what to do.
pub(crate) fn not_transferred(error: &TransferError) -> String {
    match error {
        TransferError::Client(error) => explain(error),
        error => match advice(error) {
            Some(advice) => format!("{error}; {advice}"),
            None => error.to_string(),
        },
    }
}

fn advice(error: &TransferError) -> Option<&'static str> {
    Some(match error {
        TransferError::Local { error, .. } if error.kind() == std::io::ErrorKind::StorageFull => {
            "make room, and the same command goes on from there"
        }
        TransferError::Remote { said, .. } if said.to_ascii_lowercase().contains("no space left") => {
            "make room on the server, and the same command goes on from there"
        }
        TransferError::Remote { said, .. } if said.contains("not found") => {
            "install it there, or copy with client run cat"
        }
        TransferError::Exists { .. } => "with -f it is replaced",
        TransferError::InTheWay { .. } => "choose another name",
        TransferError::NoParent { side: Side::There, .. } => "make it with mkdir",
        TransferError::NoParent { side: Side::Here, .. } => "make it first",
        TransferError::Name(_) => "say what the copy is to be called",
        TransferError::NoDigest => "install one of them, or copy with client run cat",
        TransferError::Listing(_) => "nothing was copied from it",
        TransferError::Unequal { .. } => "it seems to be written to; copy it when it is at rest",
        _ => return None,
    })
}

/// What was transferred, in one line.
pub(crate) fn transferred(moved: &Moved) -> String {
    let target = String::from_utf8_lossy(&moved.target);
    let files = if moved.files == 1 { "1 file".to_owned() } else { format!("{} files", moved.files) };
    let before = match moved.bytes.saturating_sub(moved.copied) {
        0 => String::new(),
        before => format!(" ({} of it before)", BinaryBytes(before)),
    };
    format!("{target}: {files}, {}{before}, SHA-256 compared", BinaryBytes(moved.bytes))
}

/// What was not transferred because it is neither file nor directory nor link.
pub(crate) fn left_out(moved: &Moved) -> Option<String> {
    let names = moved.left_out.iter().take(NAMED).map(|name| String::from_utf8_lossy(name));
    let names: Vec<_> = names.collect();
    let more = match moved.left_out.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    (!names.is_empty())
        .then(|| format!("left out, since they are devices, sockets or FIFOs: {}{more}", names.join(", ")))
}

/// A transfer that was stopped in the middle.
pub(crate) fn interrupted(done: u64, total: u64) -> String {
    let (done, total) = (BinaryBytes(done), BinaryBytes(total));
    format!("interrupted at {done} of {total}; the same command goes on from there")
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn a_failure_says_what_to_do() {
        let full = |errno| TransferError::Local {
            doing: "write",
            path: "/x/.a.telex-part".into(),
            error: io::Error::from_raw_os_error(errno),
        };
        assert_eq!(
            not_transferred(&full(28)),
            "cannot write /x/.a.telex-part: no space left on device; make room, and the same command goes on from there"
        );
        assert_eq!(not_transferred(&full(13)), "cannot write /x/.a.telex-part: permission denied");
        let remote = TransferError::Remote {
            doing: "write",
            path: b"/y".to_vec(),
            said: "cat: write error: No space left on device".to_owned(),
        };
        assert_eq!(
            not_transferred(&remote),
            "cannot write /y on the server: cat: write error: No space left on device; make room on the server, and \
             the same command goes on from there"
        );
        let exists = TransferError::Exists { side: Side::There, path: b"/y".to_vec() };
        assert_eq!(not_transferred(&exists), "/y is there already on the server; with -f it is replaced");
    }

    #[test]
    fn what_was_transferred() {
        let left_out = [b"a", b"b", b"c", b"d"].map(|name| name.to_vec()).to_vec();
        let moved = Moved { target: b"/y".to_vec(), files: 2, bytes: 4096, copied: 1024, left_out };
        assert_eq!(transferred(&moved), "/y: 2 files, 4.00 KiB (3.00 KiB of it before), SHA-256 compared");
        let left = "left out, since they are devices, sockets or FIFOs: a, b, c and 1 more";
        assert_eq!(super::left_out(&moved).unwrap(), left);
    }
}
