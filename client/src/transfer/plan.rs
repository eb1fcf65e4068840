//! What is to be done so that one tree becomes another: pure, and the same whichever side has the source.
//!
//! Knows nothing of files and servers. What a server says becomes a [`Tree`] only if nothing in it can lead out of the tree.

use std::collections::{HashMap, HashSet};

use thiserror::Error;

use super::hash::Hash;

/// Entries of a tree. A million cost some 200 MB here while they are compared, and a listing without an end must not cost more.
pub(super) const ENTRIES: usize = 1_000_000;

/// Bytes of a path below the root of a tree, and of where a link leads: Linux' `PATH_MAX`.
const PATH_BYTES: usize = 4096;

/// Bytes of one name: `NAME_MAX` of every file system that is in use.
pub(super) const NAME_BYTES: usize = 255;

/// Largest file: what `off_t` can say.
const FILE_BYTES: u64 = i64::MAX.unsigned_abs();

/// The bits of a mode that are kept. A program that a server sends must not run as somebody else here (set-user-ID), and what
/// holds for the one way is easier remembered if it holds for both.
pub(super) const MODE: u32 = 0o777;

/// What may stand before what is behind the last slash of an unfinished transfer, and behind it.
const PART: (&[u8], &[u8]) = (b".", b".telex-part");

/// Something in a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// Names with slashes between, from the root on; the root itself is empty.
    pub(super) path: Vec<u8>,
    pub(super) kind: Kind,
    /// Permissions, as far as [`MODE`] goes.
    pub(super) mode: u32,
}

/// What something in a tree is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Directory,
    File {
        bytes: u64,
    },
    /// A symbolic link.
    Link {
        to: Vec<u8>,
    },
    /// A device, a socket, a FIFO.
    Other,
}

/// A file, a link, or a directory with all that is in it: the root first, and each directory before what is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tree {
    entries: Vec<Entry>,
    /// What is neither file nor directory nor link.
    left_out: Vec<Vec<u8>>,
}

/// A list of files that is none.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ListingError {
    /// It does not read as one.
    #[error("the list of files is not one")]
    Garbled,
    /// It has no end that is worth waiting for.
    #[error("there are more than {ENTRIES} files, or their names are too much")]
    TooLong,
    /// A name that could lead elsewhere.
    #[error("no path of a file: {}", String::from_utf8_lossy(.0))]
    Path(Vec<u8>),
    /// The same name twice.
    #[error("named twice: {}", String::from_utf8_lossy(.0))]
    Twice(Vec<u8>),
    /// In something that is no directory.
    #[error("in no directory of the list: {}", String::from_utf8_lossy(.0))]
    Orphan(Vec<u8>),
    /// A link to nowhere.
    #[error("no target of a link: {}", String::from_utf8_lossy(.0))]
    Target(Vec<u8>),
    /// A file that cannot be so large.
    #[error("no size of a file: {}", String::from_utf8_lossy(.0))]
    Size(Vec<u8>),
}

impl Tree {
    /// Makes a tree of what is said to be in it, in any order. `None` without a root.
    ///
    /// # Errors
    /// [`ListingError`], if not everything is below directories of the same tree.
    pub(super) fn new(mut entries: Vec<Entry>) -> Result<Option<Self>, ListingError> {
        if entries.len() > ENTRIES {
            return Err(ListingError::TooLong);
        }
        // Names first, then slashes: a directory then stands before what is in it.
        entries.sort_unstable_by(|a, b| a.path.split(is_slash).cmp(b.path.split(is_slash)));
        if entries.first().is_none_or(|first| !first.path.is_empty()) {
            return entries
                .into_iter()
                .next()
                .map_or(Ok(None), |first| Err(ListingError::Orphan(first.path)));
        }
        let mut directories = HashSet::new();
        let mut before: Option<&[u8]> = None;
        for entry in &entries {
            entry.check()?;
            if before.replace(&entry.path) == Some(&entry.path) {
                return Err(ListingError::Twice(entry.path.clone()));
            }
            if let Some(parent) = parent(&entry.path)
                && !directories.contains(parent)
            {
                return Err(ListingError::Orphan(entry.path.clone()));
            }
            if entry.kind == Kind::Directory {
                directories.insert(entry.path.as_slice());
            }
        }
        drop(directories);
        let left_out: Vec<_> = entries.extract_if(.., |entry| entry.kind == Kind::Other).collect();
        let left_out: Vec<_> = left_out.into_iter().map(|entry| entry.path).collect();
        Ok(if entries.is_empty() { None } else { Some(Self { entries, left_out }) })
    }

    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The devices, sockets and FIFOs in it, which are not transferred.
    pub(super) fn left_out(&self) -> &[Vec<u8>] {
        &self.left_out
    }

    pub(super) fn is_directory(&self) -> bool {
        self.entries.first().is_some_and(|root| root.kind == Kind::Directory)
    }

    /// The files in it, and how large they are.
    pub(super) fn files(&self) -> impl Iterator<Item = (&[u8], u64)> {
        self.entries.iter().filter_map(|entry| match entry.kind {
            Kind::File { bytes } => Some((entry.path.as_slice(), bytes)),
            _ => None,
        })
    }

    /// All bytes of its files.
    pub(super) fn bytes(&self) -> u64 {
        self.files().fold(0, |sum: u64, (_, bytes)| sum.saturating_add(bytes))
    }

    /// Its directories, each behind what is in it.
    pub(super) fn directories_inside_out(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().rev().filter(|entry| entry.kind == Kind::Directory)
    }
}

impl Entry {
    fn check(&self) -> Result<(), ListingError> {
        let is_name = |name: &[u8]| !matches!(name, b"" | b"." | b"..") && name.len() <= NAME_BYTES;
        let is_path = self.path.len() <= PATH_BYTES
            && !self.path.contains(&0)
            && (self.path.is_empty() || self.path.split(is_slash).all(is_name));
        match &self.kind {
            _ if !is_path => Err(ListingError::Path(self.path.clone())),
            Kind::Link { to } if to.is_empty() || to.len() > PATH_BYTES || to.contains(&0) => {
                Err(ListingError::Target(self.path.clone()))
            }
            Kind::File { bytes } if *bytes > FILE_BYTES => Err(ListingError::Size(self.path.clone())),
            _ => Ok(()),
        }
    }
}

fn is_slash(byte: &u8) -> bool {
    *byte == b'/'
}

/// The directory that a path is in; `None` for the root.
fn parent(path: &[u8]) -> Option<&[u8]> {
    if path.is_empty() {
        return None;
    }
    Some(path.iter().rposition(is_slash).and_then(|slash| path.get(..slash)).unwrap_or_default())
}

/// The name under which `name` is kept beside its place until it is whole.
pub(super) fn part_name(name: &[u8]) -> Vec<u8> {
    let whole = [PART.0, name, PART.1].concat();
    if whole.len() <= NAME_BYTES {
        return whole;
    }
    [PART.0, Hash::of(name).to_string().as_bytes(), PART.1].concat()
}

/// What stands where something is to come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    Nothing,
    /// A file, or a link to anything but a directory.
    File,
    Directory,
    Other,
}

impl Standing {
    pub(super) const ALL: [Self; 4] = [Self::Nothing, Self::File, Self::Directory, Self::Other];

    /// Whether a file, or a directory, may come there.
    pub(super) fn gives_way(self, directory: bool, force: bool) -> bool {
        match self {
            Self::Nothing => true,
            Self::File => force && !directory,
            Self::Directory => force && directory,
            Self::Other => false,
        }
    }
}

/// The files of which some is there, and of which the source has as much: the beginnings whose hashes are to be compared.
pub(super) fn beginnings<'a>(wanted: &'a Tree, there: &Tree) -> Vec<(&'a [u8], u64)> {
    let there: HashMap<_, _> = there.files().collect();
    let is_beginning = |(path, bytes): (&'a [u8], u64)| {
        there.get(path).copied().filter(|part| *part <= bytes).map(|part| (path, part))
    };
    wanted.files().filter_map(is_beginning).collect()
}

/// What is to be done.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Work<'a> {
    /// What is there and is to go, with all that is in it.
    pub(super) remove: Vec<&'a [u8]>,
    pub(super) directories: Vec<&'a [u8]>,
    /// Links, and where they lead.
    pub(super) links: Vec<(&'a [u8], &'a [u8])>,
    pub(super) files: Vec<Missing<'a>>,
}

/// A file of which something is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Missing<'a> {
    pub(super) path: &'a [u8],
    /// As many bytes are there.
    pub(super) from: u64,
    pub(super) bytes: u64,
}

impl<'a> Work<'a> {
    /// What makes `there` as `wanted`. `source` and `parts` have the hashes of [`beginnings`], on either side.
    pub(super) fn new(
        wanted: &'a Tree,
        there: &'a Tree,
        source: &HashMap<Vec<u8>, Hash>,
        parts: &HashMap<Vec<u8>, Hash>,
    ) -> Self {
        let mut standing: HashMap<&[u8], &Kind> =
            there.entries.iter().map(|entry| (entry.path.as_slice(), &entry.kind)).collect();
        let mut work = Self::default();
        for Entry { path, kind, .. } in &wanted.entries {
            let found = standing.remove(path.as_slice());
            let is_same = source.get(path).is_some_and(|hash| parts.get(path) == Some(hash));
            match (kind, found) {
                (Kind::Directory, Some(Kind::Directory)) => continue,
                (Kind::Link { .. }, Some(found)) if kind == found => continue,
                (Kind::File { bytes }, Some(Kind::File { bytes: from })) if from <= bytes && is_same => {
                    if from < bytes {
                        work.files.push(Missing { path, from: *from, bytes: *bytes });
                    }
                    continue;
                }
                (_, Some(_)) => work.remove.push(path),
                (_, None) => {}
            }
            match kind {
                Kind::Directory => work.directories.push(path),
                Kind::File { bytes } => work.files.push(Missing { path, from: 0, bytes: *bytes }),
                Kind::Link { to } => work.links.push((path, to)),
                Kind::Other => {}
            }
        }
        work.remove.extend(standing.into_keys());
        work.remove.extend(there.left_out.iter().map(Vec::as_slice));
        work.remove.sort_unstable();
        work
    }

    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether anything is to be done before files are copied.
    pub(super) fn makes_places(&self) -> bool {
        !(self.remove.is_empty() && self.directories.is_empty() && self.links.is_empty())
    }

    /// The bytes of `wanted` that are there.
    pub(super) fn done(&self, wanted: &Tree) -> u64 {
        let missing = self.files.iter().map(|file| file.bytes - file.from);
        wanted.bytes().saturating_sub(missing.fold(0, u64::saturating_add))
    }
}

/// Cuts a list where a sum of sizes would become too large. No piece is empty.
pub(super) fn pieces<T>(items: &[T], most: u64, size: impl Fn(&T) -> u64) -> Vec<&[T]> {
    let mut pieces = Vec::new();
    let (mut begin, mut sum) = (0, 0);
    for (at, item) in items.iter().enumerate() {
        let size = size(item);
        if at > begin && sum + size > most {
            pieces.extend(items.get(begin..at));
            (begin, sum) = (at, 0);
        }
        sum += size;
    }
    pieces.extend(items.get(begin..).filter(|rest| !rest.is_empty()));
    pieces
}

#[cfg(test)]
mod tests;
