//! Tells whether a file has changed, or who may write to it, without opening anything: descriptors may have run out.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Which state of which file it is, in directories of which state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileVersion {
    file: Option<FileState>,
    /// Those of the path without links, from the file's own up to the root.
    directories: Vec<DirectoryState>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct FileState {
    inode: (u64, u64),
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// What decides who may write there. Its times change with every file that is made in it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct DirectoryState {
    inode: (u64, u64),
    mode: u32,
    owner: u32,
}

impl FileVersion {
    /// That of the file at `path`, links followed.
    pub(super) fn of(path: &Path) -> Self {
        let Ok(path) = fs::canonicalize(path) else { return Self { file: None, directories: Vec::new() } };
        let state = |path: &Path| fs::metadata(path).ok();
        Self {
            file: state(&path).as_ref().map(FileState::of),
            directories: path
                .ancestors()
                .skip(1)
                .filter_map(state)
                .map(|found| DirectoryState::of(&found))
                .collect(),
        }
    }
}

impl FileState {
    fn of(found: &Metadata) -> Self {
        Self {
            inode: (found.dev(), found.ino()),
            size: found.size(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        }
    }
}

impl DirectoryState {
    fn of(found: &Metadata) -> Self {
        Self { inode: (found.dev(), found.ino()), mode: found.mode(), owner: found.uid() }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn it_changes_with_the_file_and_with_who_may_write_there() {
        let directory = tempfile::tempdir().unwrap();
        let (inner, path) = (directory.path().join("inner"), directory.path().join("inner/keys"));
        fs::create_dir(&inner).unwrap();
        let mut versions = vec![FileVersion::of(&path)];
        let mut is_new = |what: &str| {
            let version = FileVersion::of(&path);
            assert_eq!(version, FileVersion::of(&path), "{what}");
            assert!(!versions.contains(&version), "{what}");
            versions.push(version);
        };
        fs::write(&path, "one").unwrap();
        is_new("made");
        fs::write(&path, "three").unwrap();
        is_new("written");
        fs::rename(&path, inner.join("old")).unwrap();
        fs::write(&path, "three").unwrap();
        is_new("replaced");
        fs::set_permissions(&inner, Permissions::from_mode(0o777)).unwrap();
        is_new("directory opened to others");
        fs::rename(&inner, directory.path().join("moved")).unwrap();
        fs::create_dir(&inner).unwrap();
        fs::hard_link(directory.path().join("moved/keys"), &path).unwrap();
        is_new("directory replaced");
    }

    #[test]
    fn a_neighbour_changes_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("keys");
        fs::write(&path, "one").unwrap();
        let before = FileVersion::of(&path);
        fs::write(directory.path().join("neighbour"), "").unwrap();
        assert_eq!(FileVersion::of(&path), before);
    }
}
