//! Where this process stands among the cgroups of version 2, by what `/proc` says (cgroups(7), proc_pid_mountinfo(5)).
//! Texts in, a path out.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};

/// A cgroup that was made for the server's own processes, by the server or by systemd (`DelegateSubgroup=`). Jobs stand beside
/// it, not below: a cgroup with processes in it cannot hand on controllers.
pub(super) const LEAF: &str = "telex-server";

/// The directory of the cgroup that this process is in, by `/proc/self/mountinfo` and `/proc/self/cgroup`; also where version 2
/// is mounted beside version 1. `None` if there is none that can be seen from here.
pub(super) fn own_directory(mounts: &str, cgroups: &str) -> Option<PathBuf> {
    let path = Path::new(cgroups.lines().find_map(|line| line.strip_prefix("0::"))?);
    mounts.lines().filter_map(Mount::parse).find_map(|mount| {
        let below = path.strip_prefix(&mount.root).ok()?;
        // A process whose cgroup lies outside its namespace is shown as "/../..".
        let inside = below.components().all(|part| matches!(part, Component::Normal(_)));
        inside.then(|| mount.point.components().chain(below.components()).collect())
    })
}

/// A mount of version 2.
struct Mount {
    /// What of the hierarchy is seen at `point`.
    root: PathBuf,
    point: PathBuf,
}

impl Mount {
    fn parse(line: &str) -> Option<Self> {
        let (fields, kind) = line.split_once(" - ")?;
        if kind.split(' ').next()? != "cgroup2" {
            return None;
        }
        let mut fields = fields.split(' ').skip(3).map(unescaped);
        Some(Self { root: fields.next()?, point: fields.next()? })
    }
}

/// A path in which a backslash and three octal digits stand for a byte.
fn unescaped(text: &str) -> PathBuf {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        let digits = behind.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) if *first == b'\\' => {
                bytes.push(byte);
                rest = behind.get(3..).unwrap_or_default();
            }
            _ => {
                bytes.push(*first);
                rest = behind;
            }
        }
    }
    OsString::from_vec(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNIFIED: &str = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n";
    const HYBRID: &str = "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu
41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
";

    fn place(mounts: &str, cgroups: &str) -> Option<String> {
        own_directory(mounts, cgroups).map(|path| path.to_str().unwrap().to_owned())
    }

    #[test]
    fn a_process_is_found_where_it_is() {
        let service = "0::/system.slice/telex.service\n";
        assert_eq!(place(UNIFIED, service).unwrap(), "/sys/fs/cgroup/system.slice/telex.service");
        let hybrid = "9:name=systemd:/x\n4:memory:/y\n0::/z\n";
        assert_eq!(place(HYBRID, hybrid).unwrap(), "/sys/fs/cgroup/unified/z");
        assert_eq!(place(UNIFIED, "0::/\n").unwrap(), "/sys/fs/cgroup");
    }

    #[test]
    fn a_part_of_the_hierarchy_shows_what_is_in_it() {
        let part = "30 23 0:26 /docker/abc /mnt/my\\040cgroups rw - cgroup2 cgroup2 rw\n";
        assert_eq!(place(part, "0::/docker/abc/x\n").unwrap(), "/mnt/my cgroups/x");
        assert_eq!(place(part, "0::/docker/other\n"), None);
        let both = [part, UNIFIED].concat();
        assert_eq!(place(&both, "0::/docker/other\n").unwrap(), "/sys/fs/cgroup/docker/other");
    }

    #[test]
    fn what_cannot_be_seen_is_not_guessed() {
        assert_eq!(place("", "0::/a\n"), None);
        assert_eq!(place(UNIFIED, "4:memory:/y\n"), None);
        assert_eq!(place(UNIFIED, "0::/../../a\n"), None);
        assert_eq!(place("31 23 0:28 / /sys/fs/cgroup rw\nrubbish\n", "0::/a\n"), None);
    }
}
