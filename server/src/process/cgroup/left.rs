//! The cgroup of a job that nobody watches any more.

use std::path::{Path, PathBuf};

use rustix::fs::{FsWord, fstatfs};
use rustix::process::getpid;

use super::files::Directory;

/// What fstatfs(2) calls version 2.
const CGROUP2: FsWord = 0x6367_7270;

/// A cgroup with whoever was left in it.
#[derive(Debug)]
pub(in crate::process) struct Left {
    directory: Directory,
    path: PathBuf,
}

impl Left {
    /// That at `path`; `None` if there is none.
    pub(in crate::process) fn open(path: &Path) -> Option<Self> {
        let directory = Directory::open(path).ok()?;
        let is_cgroup = fstatfs(&directory).is_ok_and(|found| found.f_type == CGROUP2);
        is_cgroup.then(|| Self { directory, path: path.to_owned() })
    }

    /// Kills all that is in it; whether nobody was. Not if this process is in it: a server may have been started by a job.
    pub(in crate::process) fn kill(&self) -> bool {
        if self.directory.is_empty().unwrap_or(true) {
            return true;
        }
        match self.directory.members() {
            Ok(members) if members.contains(&getpid()) => true,
            _ => {
                self.directory.write("cgroup.kill", "1").ok();
                false
            }
        }
    }

    /// Takes it away, if nobody is in it.
    pub(in crate::process) fn remove(self) {
        let (Some(above), Some(name)) =
            (self.path.parent(), self.path.file_name().and_then(|name| name.to_str()))
        else {
            return;
        };
        if let Ok(above) = Directory::open(above) {
            above.remove(name).ok();
        }
    }
}
