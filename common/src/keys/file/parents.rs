//! The way down to a file: every directory opened from the one above it. Decides nothing about the file itself.

use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{Mode, OFlags, Stat, fstat, open, openat, stat};

use super::{FileProblem, Place, Trust, check_closed};

/// A directory is passed through, not read, so that permission to search it is enough (open(2), `O_PATH`).
const FLAGS: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Opens `directory`, an absolute path without links, when it and everything above it up to the home directory can be
/// written to by nobody but root and the user.
pub(super) fn open_checked(directory: &Path, trust: &Trust) -> Result<OwnedFd, FileProblem> {
    let mut place = PathBuf::from("/");
    let mut current = open(&place, FLAGS, Mode::empty())?;
    let mut passed = vec![(place.clone(), fstat(&current)?)];
    for component in directory.components() {
        let Component::Normal(name) = component else { continue };
        place.push(name);
        current = openat(&current, name, FLAGS, Mode::empty())?;
        passed.push((place.clone(), fstat(&current)?));
    }
    // Known by what it is, not by its name: a home directory may be reached through links.
    let home = stat(&trust.home).ok();
    let is_home = |(_, found): &(PathBuf, Stat)| {
        home.as_ref().is_some_and(|home| (home.st_dev, home.st_ino) == (found.st_dev, found.st_ino))
    };
    let first = passed.iter().rposition(is_home).unwrap_or(0);
    // Sticky directories are refused, too: who may not remove a file of the user's may still be there first.
    for (place, found) in passed.into_iter().skip(first).rev() {
        check_closed(&found, &Place::Directory(place), trust)?;
    }
    Ok(current)
}
