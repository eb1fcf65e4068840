//! What the script on the server says about files. Pure; everything in it may be a lie, and is checked by whoever uses it.
//!
//! Lists come in groups, as `find` forms them. A group has names, each with a NUL behind it, and one more NUL; then a line for
//! each of the names; then, in lists of files, for each link where it leads, with a NUL. A NUL where a group would begin ends the list.

use std::collections::HashMap;

use super::hash::Hash;
use super::plan::{Entry, Kind, ListingError, MODE};

/// `S_IFMT` and what it can be (inode(7)).
const TYPE: u32 = 0o170_000;
const DIRECTORY: u32 = 0o040_000;
const FILE: u32 = 0o100_000;
const LINK: u32 = 0o120_000;

/// What is still to be read.
#[derive(Debug)]
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn new(said: &'a [u8]) -> Self {
        Self(said)
    }

    /// The next line, without its end.
    pub(super) fn line(&mut self) -> Result<&'a [u8], ListingError> {
        self.until(b'\n')
    }

    /// A list of files.
    pub(super) fn files(&mut self) -> Result<Vec<Entry>, ListingError> {
        let mut entries = Vec::new();
        while let Some(names) = self.names()? {
            let begin = entries.len();
            for name in names {
                let (kind, mode) = parse_line(self.line()?)?;
                entries.push(Entry { path: below_root(name)?, kind, mode });
            }
            for entry in entries.iter_mut().skip(begin) {
                if let Kind::Link { to } = &mut entry.kind {
                    *to = self.until(0)?.to_vec();
                }
            }
        }
        Ok(entries)
    }

    /// A list of hashes, by paths.
    pub(super) fn hashes(&mut self) -> Result<HashMap<Vec<u8>, Hash>, ListingError> {
        let mut hashes = HashMap::new();
        while let Some(names) = self.names()? {
            for name in names {
                hashes.insert(below_root(name)?, self.hash(name)?);
            }
        }
        Ok(hashes)
    }

    /// Nothing more is to come.
    pub(super) fn end(self) -> Result<(), ListingError> {
        if self.0.is_empty() { Ok(()) } else { Err(ListingError::Garbled) }
    }

    /// The names of a group; `None` at the end of the list.
    fn names(&mut self) -> Result<Option<Vec<&'a [u8]>>, ListingError> {
        let mut names = Vec::new();
        loop {
            match self.until(0)? {
                b"" if names.is_empty() => return Ok(None),
                b"" => return Ok(Some(names)),
                name => names.push(name),
            }
        }
    }

    /// The line of `sha256sum`, `shasum` or `openssl dgst -r` about `name`. They agree about the digits, and not about a
    /// name with a newline in it: some escape it and say so with a backslash before the digits, others do not.
    fn hash(&mut self, name: &[u8]) -> Result<Hash, ListingError> {
        let escaped = self.0.first() == Some(&b'\\');
        let digits = self.0.get(usize::from(escaped)..).and_then(|rest| rest.get(..64));
        let hash = digits.and_then(Hash::parse).ok_or(ListingError::Garbled)?;
        let raw = [b"  ", name, b"\n"].concat();
        let rest = self.0.get(usize::from(escaped) + 64..).unwrap_or_default();
        // One of the two characters may be an asterisk.
        let is_raw = !escaped && rest.len() >= raw.len() && rest.get(2..raw.len()) == raw.get(2..);
        if is_raw {
            self.0 = rest.get(raw.len()..).unwrap_or_default();
        } else {
            self.line()?;
        }
        Ok(hash)
    }

    fn until(&mut self, end: u8) -> Result<&'a [u8], ListingError> {
        let at = self.0.iter().position(|byte| *byte == end).ok_or(ListingError::Garbled)?;
        let (found, rest) = self.0.split_at(at);
        self.0 = rest.get(1..).unwrap_or_default();
        Ok(found)
    }
}

/// The path of what `find .` calls so.
fn below_root(name: &[u8]) -> Result<Vec<u8>, ListingError> {
    match name {
        b"." => Ok(Vec::new()),
        [b'.', b'/', path @ ..] if !path.is_empty() => Ok(path.to_vec()),
        _ => Err(ListingError::Path(name.to_vec())),
    }
}

/// A mode in hexadecimal digits, with the type of the file, and its size.
fn parse_line(line: &[u8]) -> Result<(Kind, u32), ListingError> {
    let parse = || {
        let (mode, bytes) = std::str::from_utf8(line).ok()?.split_once(' ')?;
        Some((u32::from_str_radix(mode, 16).ok()?, bytes.parse().ok()?))
    };
    let (mode, bytes): (u32, u64) = parse().ok_or(ListingError::Garbled)?;
    let kind = match mode & TYPE {
        DIRECTORY => Kind::Directory,
        FILE => Kind::File { bytes },
        LINK => Kind::Link { to: Vec::new() },
        _ => Kind::Other,
    };
    Ok((kind, mode & MODE))
}

#[cfg(test)]
mod tests;
