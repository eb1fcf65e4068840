//! What the kernel knows: limits, load, and what a process has used.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;
use rustix::param::clock_ticks_per_second;
use rustix::process::{Pid, Resource, Rlimit, getrlimit, setrlimit};

/// Raises the limit of open files as far as it goes, for this process and those it starts; what it is then.
pub(crate) fn raise_descriptor_limit() -> Result<u64> {
    let maximum = getrlimit(Resource::Nofile).maximum;
    let limit = Rlimit { current: maximum, maximum };
    setrlimit(Resource::Nofile, limit).context("cannot raise the limit of open files")?;
    Ok(maximum.unwrap_or(u64::MAX))
}

/// One line about the machine, with a warning if others use it.
pub(crate) fn describe() -> String {
    let read = |path| fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let load = read("/proc/loadavg");
    let load = load.split(' ').next().unwrap_or_default();
    let busy = load.parse().is_ok_and(|load: f64| load > 0.5);
    let warning = if busy { " - the machine is busy: ratios may hold, milliseconds do not" } else { "" };
    format!("Linux {}, {cores} cores, load {load}{warning}", read("/proc/sys/kernel/osrelease"))
}

/// Bytes that can be had without swapping.
pub(crate) fn available_memory() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    kibibytes(&text, "MemAvailable").unwrap_or_default() * 1024
}

/// CPU time of every child that has been waited for, and of theirs.
pub(crate) fn children_cpu_time() -> Result<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let duration = |time: TimeVal| {
        let (seconds, micros) = (u64::try_from(time.tv_sec()), u64::try_from(time.tv_usec()));
        Duration::from_secs(seconds.unwrap_or_default()) + Duration::from_micros(micros.unwrap_or_default())
    };
    Ok(duration(usage.user_time()) + duration(usage.system_time()))
}

/// CPU time of a running process and of the children it has waited for, to a clock tick (proc_pid_stat(5)).
pub(crate) fn cpu_time(process: Pid) -> Result<Duration> {
    let ticks: u64 = stat(process.as_raw_nonzero().get())?.iter().skip(11).take(4).sum();
    Ok(Duration::from_secs_f64(ticks as f64 / clock_ticks_per_second() as f64))
}

/// How many files and sockets a process has open.
pub(crate) fn open_files(process: Pid) -> Result<usize> {
    let path = format!("/proc/{}/fd", process.as_raw_nonzero());
    Ok(fs::read_dir(&path).with_context(|| format!("cannot read {path}"))?.count())
}

/// How many processes have `process` for parent.
pub(crate) fn children(process: Pid) -> usize {
    let parent = u64::from(process.as_raw_nonzero().get().unsigned_abs());
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    // A process may end between the listing and the reading.
    ids.filter(|id| stat(*id).is_ok_and(|fields| fields.get(1) == Some(&parent))).count()
}

/// Memory of a process, in KiB (proc_pid_smaps(5)).
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Memory {
    /// Its share of everything it has mapped.
    pub(crate) share: f64,
    /// Everything of it that is in memory, also what it shares.
    pub(crate) resident: f64,
    /// What it has allocated; no part of a file, so not made smaller by others that map the same files.
    pub(crate) anonymous: f64,
}

/// What `process` uses now, without its children.
pub(crate) fn memory(process: Pid) -> Result<Memory> {
    let path = format!("/proc/{}/smaps_rollup", process.as_raw_nonzero());
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let field = |name| kibibytes(&text, name).with_context(|| format!("no {name} in {path}"));
    let [share, resident, anonymous] = [field("Pss")?, field("Rss")?, field("Pss_Anon")?];
    Ok(Memory { share: share as f64, resident: resident as f64, anonymous: anonymous as f64 })
}

/// The fields of `/proc/PID/stat` behind the name, the state as 0. Names may contain anything, so the fields count from
/// the last parenthesis.
fn stat(process: i32) -> Result<Vec<u64>> {
    let line = fs::read_to_string(format!("/proc/{process}/stat"))?;
    let (_, fields) = line.rsplit_once(") ").context("not a stat line")?;
    Ok(fields.split(' ').map(|field| field.parse().unwrap_or_default()).collect())
}

fn kibibytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_begins_another_is_not_taken_for_it() {
        let text = "x\nPss_Anon:      7 kB\nPss:          12 kB\n";
        assert_eq!(kibibytes(text, "Pss"), Some(12));
        assert_eq!(kibibytes(text, "Pss_Anon"), Some(7));
        assert_eq!(kibibytes(text, "Rss"), None);
    }

    #[test]
    fn this_process_uses_memory() {
        let memory = memory(rustix::process::getpid()).unwrap();
        assert!(memory.share > 0.0 && memory.anonymous > 0.0);
    }
}
