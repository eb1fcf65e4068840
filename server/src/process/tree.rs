//! What came of a process: everything in its session, as `/proc` shows it.
//!
//! A process that starts a session of its own (`setsid`) has left the tree and is not found here.

use std::fs;

use rustix::process::Pid;

/// The process groups of the session that have a process alive, each once.
pub(super) fn process_groups(session: Pid) -> Vec<Pid> {
    let mut groups: Vec<i32> = processes()
        .filter(|process| process.is_alive() && process.session == session.as_raw_nonzero().get())
        .map(|process| process.group)
        .collect();
    groups.sort_unstable();
    groups.dedup();
    groups.into_iter().filter_map(Pid::from_raw).collect()
}

fn processes() -> impl Iterator<Item = Stat> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbered =
        entries.filter(|entry| entry.file_name().as_encoded_bytes().iter().all(u8::is_ascii_digit));
    // A process may end between the listing and the reading.
    numbered.filter_map(|entry| Stat::parse(&fs::read(entry.path().join("stat")).ok()?))
}

/// The fields of `/proc/PID/stat` that matter here (proc_pid_stat(5)).
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    state: u8,
    group: i32,
    session: i32,
}

impl Stat {
    /// The command's name stands in parentheses and may contain anything, so the fields count from the last one.
    fn parse(line: &[u8]) -> Option<Self> {
        let after_name = line.iter().rposition(|byte| *byte == b')')?;
        let rest = std::str::from_utf8(line.get(after_name + 1..)?).ok()?;
        let mut fields = rest.split_ascii_whitespace();
        let state = fields.next()?.bytes().next()?;
        let _parent = fields.next()?;
        Some(Self { state, group: fields.next()?.parse().ok()?, session: fields.next()?.parse().ok()? })
    }

    fn is_alive(&self) -> bool {
        !matches!(self.state, b'Z' | b'X')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_pretend_to_be_fields() {
        let line = b"42 (evil) Z 1 1 1 (x) S 7 8 9 0 -1 4194560 1 2 3";
        assert_eq!(Stat::parse(line), Some(Stat { state: b'S', group: 8, session: 9 }));
        for end in 0..line.len() {
            // Anything but a panic is fine.
            let _cut = Stat::parse(&line[..end]);
        }
    }

    #[test]
    fn this_process_is_found_in_its_session() {
        let session = rustix::process::getsid(None).unwrap();
        let group = rustix::process::getpgrp();
        assert!(process_groups(session).contains(&group));
    }
}
