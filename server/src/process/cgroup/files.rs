//! The files of one cgroup, in the terms of cgroups(7): a directory, opened, and what is read from it and written to it.

use std::collections::HashSet;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, fstat, mkdirat, open, openat, unlinkat};
use rustix::io::{Errno, read, write};
use rustix::path::Arg;
use rustix::process::Pid;

use crate::process::identity;

/// Levels of cgroups below a job's own that are looked into: a job that makes more hides nothing from `cgroup.kill`.
const DEPTH: usize = 8;

/// Most of a file that is read: `cgroup.procs` of 10,000 processes has half of it.
const FILE_BYTES: usize = 128 * 1024;

/// An opened cgroup.
#[derive(Debug)]
pub(super) struct Directory(OwnedFd);

impl Directory {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self(open(path, directory_flags(), Mode::empty())?))
    }

    pub(super) fn into_descriptor(self) -> OwnedFd {
        self.0
    }

    pub(super) fn open_below(&self, name: impl Arg) -> io::Result<Self> {
        Ok(Self(openat(&self.0, name, directory_flags(), Mode::empty())?))
    }

    /// Makes one below this one.
    pub(super) fn make(&self, name: &str) -> io::Result<Self> {
        mkdirat(&self.0, name, Mode::from_raw_mode(0o755))?;
        self.open_below(name)
    }

    /// Takes away the one of this name below this one, with those below it, if no process is left in any.
    pub(super) fn remove(&self, name: &str) -> io::Result<()> {
        self.remove_to(name, DEPTH)
    }

    fn remove_to(&self, name: &str, depth: usize) -> io::Result<()> {
        match unlinkat(&self.0, name, AtFlags::REMOVEDIR) {
            Err(Errno::BUSY | Errno::NOTEMPTY) if depth > 0 => {
                let directory = self.open_below(name)?;
                if !directory.is_empty()? {
                    return Err(Errno::BUSY.into());
                }
                for below in directory.below()? {
                    directory.remove_to(&below, depth - 1)?;
                }
                Ok(unlinkat(&self.0, name, AtFlags::REMOVEDIR)?)
            }
            result => Ok(result?),
        }
    }

    /// The names of those below.
    pub(super) fn below(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.0)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy();
            if entry.file_type() == FileType::Directory && name != "." && name != ".." {
                names.push(name.into_owned());
            }
        }
        Ok(names)
    }

    /// Whether there are none below. Each counts as a link (stat(2)).
    pub(super) fn has_none_below(&self) -> bool {
        fstat(&self.0).is_ok_and(|stat| stat.st_nlink <= 2)
    }

    /// What a file says, up to 128 KiB.
    pub(super) fn read(&self, name: &str) -> io::Result<String> {
        let file = openat(&self.0, name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
        let mut text = vec![0; 4096];
        let mut length = 0;
        loop {
            match read(&file, text.get_mut(length..).unwrap_or_default())? {
                0 => break,
                count => length += count,
            }
            if length == text.len() {
                if length >= FILE_BYTES {
                    break;
                }
                text.resize(length * 2, 0);
            }
        }
        text.truncate(length);
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    /// Writes `value` into a file that is there.
    pub(super) fn write(&self, name: &str, value: &str) -> io::Result<()> {
        let file = openat(&self.0, name, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
        write(&file, value.as_bytes())?;
        Ok(())
    }

    /// The number that stands behind `key` in a file of keys and numbers.
    pub(super) fn number(&self, name: &str, key: &str) -> io::Result<u64> {
        let text = self.read(name)?;
        let value = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '));
        value.and_then(|value| value.parse().ok()).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    /// Whether no process is in it or below it.
    pub(super) fn is_empty(&self) -> io::Result<bool> {
        Ok(self.number("cgroup.events", "populated")? == 0)
    }

    /// Whether it is as good as new: nobody in it or below it, nothing below it, and not frozen.
    pub(super) fn is_as_new(&self) -> bool {
        self.has_none_below()
            && self.read("cgroup.events").is_ok_and(|events| {
                ["populated 0", "frozen 0"].iter().all(|wanted| events.lines().any(|line| line == *wanted))
            })
    }

    /// The process groups that have somebody in it or below it.
    pub(super) fn process_groups(&self) -> io::Result<HashSet<Pid>> {
        let groups = self.members()?.into_iter().filter_map(|id| Some((id, identity::process_group(id)?)));
        let groups: Vec<_> = groups.collect();
        // Who is still there had not given its id to somebody else meanwhile.
        let still = self.members()?;
        Ok(groups.into_iter().filter(|(id, _)| still.contains(id)).map(|(_, group)| group).collect())
    }

    pub(super) fn members(&self) -> io::Result<HashSet<Pid>> {
        let mut members = HashSet::new();
        self.add_members(&mut members, DEPTH)?;
        Ok(members)
    }

    fn add_members(&self, members: &mut HashSet<Pid>, depth: usize) -> io::Result<()> {
        let ids = self.read("cgroup.procs")?;
        members.extend(ids.lines().filter_map(|id| Pid::from_raw(id.parse().ok()?)));
        if depth > 0 && !self.has_none_below() {
            for name in self.below()? {
                // It may be gone.
                if let Ok(below) = self.open_below(name) {
                    below.add_members(members, depth - 1).ok();
                }
            }
        }
        Ok(())
    }
}

impl From<OwnedFd> for Directory {
    fn from(opened: OwnedFd) -> Self {
        Self(opened)
    }
}

impl AsFd for Directory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn directory_flags() -> OFlags {
    OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC
}
