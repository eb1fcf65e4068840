//! What runs on this machine, as `/proc` tells it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::process::{Pid, Signal, kill_process};

use crate::wait::{DEADLINE, wait_until};

/// Name of the variable that a [`Mark`] sets.
const VARIABLE: &str = "TELEX_TEST_MARK";

/// An environment variable with a unique value: every process that descends from a command started with it has it
/// too, whatever group or session it moved to. Those still there at the end of the test are killed.
#[derive(Debug)]
pub struct Mark {
    value: String,
}

impl Mark {
    /// A value that no other process on this machine has.
    #[expect(
        clippy::new_without_default,
        reason = "a mark is not a value with a default, every one is different"
    )]
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let bits = crate::noise::Noise::new(u64::from(std::process::id())).next_u64();
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        Self { value: format!("{}-{bits:x}-{count}", std::process::id()) }
    }

    /// The option of `run` that marks a job: `-e NAME=VALUE`.
    pub fn option(&self) -> [String; 2] {
        ["-e".to_owned(), format!("{VARIABLE}={}", self.value)]
    }

    /// The mark's name and value, for marking by other means.
    pub fn variable(&self) -> (&'static str, &str) {
        (VARIABLE, &self.value)
    }

    /// Every live process that carries the mark. One that is just becoming another program shows none for a moment, so
    /// [`Mark::wait_for`] those that should be there.
    pub fn processes(&self) -> Vec<u32> {
        let wanted = format!("{VARIABLE}={}", self.value);
        all_processes()
            .filter(|(_, path)| {
                let environment = fs::read(path.join("environ")).unwrap_or_default();
                environment.split(|byte| *byte == 0).any(|variable| variable == wanted.as_bytes())
            })
            .map(|(process, _)| process)
            .collect()
    }

    /// Waits until exactly `count` processes carry the mark.
    #[track_caller]
    pub fn wait_for(&self, count: usize) {
        let what = format!("{count} processes of the job, now {:?}", self.processes());
        wait_until(&what, DEADLINE, || self.processes().len() == count);
    }

    /// Waits until a process of the job has become this program. Before, it may be a shell that is just starting the
    /// program and keeps a signal to itself.
    #[track_caller]
    pub fn wait_for_program(&self, name: &str) {
        let runs = |process: &u32| {
            fs::read_to_string(format!("/proc/{process}/comm")).is_ok_and(|found| found.trim_end() == name)
        };
        wait_until(&format!("{name} runs"), DEADLINE, || self.processes().iter().any(runs));
    }

    /// Waits until no process carries the mark any more.
    #[track_caller]
    pub fn wait_until_gone(&self) {
        wait_until("all processes of the job are gone", DEADLINE, || self.processes().is_empty());
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        for process in self.processes() {
            if let Some(pid) = Pid::from_raw(process as i32) {
                // It may have ended meanwhile, which is as good.
                kill_process(pid, Signal::KILL).ok();
            }
        }
    }
}

/// Children of `parent` that have ended and were not waited for.
pub fn zombie_children(parent: u32) -> Vec<u32> {
    all_processes()
        .filter(|(process, _)| matches!(state_and_parent(*process), Some(('Z', its)) if its == parent))
        .map(|(process, _)| process)
        .collect()
}

/// The letter of a process's state (`R`, `S`, `T`, `Z`, …); `None` if there is no such process.
pub fn process_state(process: u32) -> Option<char> {
    state_and_parent(process).map(|(state, _)| state)
}

/// Whether every thread of a process is stopped (signal(7), SIGSTOP): each stops on its own, some time after the signal.
pub fn is_stopped(process: u32) -> bool {
    let threads: Vec<_> = fs::read_dir(format!("/proc/{process}/task")).unwrap().flatten().collect();
    !threads.is_empty()
        && threads.iter().all(|thread| state_in(&thread.path()).is_some_and(|(state, _)| state == 'T'))
}

/// The memory that a process occupies, in bytes.
pub fn resident_bytes(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
    kibibytes * 1024
}

/// The command line of every process, as `ps` would show it.
pub fn command_lines() -> Vec<String> {
    all_processes()
        .filter_map(|(_, path)| fs::read(path.join("cmdline")).ok())
        .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
        .collect()
}

fn all_processes() -> impl Iterator<Item = (u32, PathBuf)> {
    fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| {
        let process = entry.file_name().to_str()?.parse().ok()?;
        Some((process, entry.path()))
    })
}

fn state_and_parent(process: u32) -> Option<(char, u32)> {
    state_in(Path::new(&format!("/proc/{process}")))
}

fn state_in(directory: &Path) -> Option<(char, u32)> {
    let stat = fs::read_to_string(directory.join("stat")).ok()?;
    // The name before the state is in parentheses and may contain anything.
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split(' ');
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}

/// The supervisors of jobs whose directories are below `directory`.
pub fn supervisors(directory: &Path) -> Vec<u32> {
    let is_one = |path: &Path| {
        let line = fs::read(path.join("cmdline")).unwrap_or_default();
        let mut words = line.split(|byte| *byte == 0).skip(1);
        words.next() == Some(b"supervise")
            && words.next().is_some_and(|path| path.starts_with(directory.as_os_str().as_encoded_bytes()))
    };
    all_processes().filter(|(_, path)| is_one(path)).map(|(process, _)| process).collect()
}
