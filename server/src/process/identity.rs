//! What tells a process from another one that gets its number later.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, SystemTime};

use rustix::process::Pid;

/// Ticks in a second, as `/proc` counts them for everybody (proc_pid_stat(5)).
const TICKS: u64 = 100;

/// When a process was started, in ticks since the machine was (proc_pid_stat(5), field 22). Becoming another program does not
/// change it.
///
/// # Errors
/// The system's; there is no such process then.
pub(crate) fn started(process: u32) -> io::Result<u64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The name before is in parentheses, and may contain anything.
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let ticks = fields.split_ascii_whitespace().nth(19).and_then(|field| field.parse().ok());
    ticks.ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// The session that this process is in; `None` if its leader is in another process namespace, where ids are others.
pub(crate) fn own_session() -> Option<i32> {
    nix::unistd::getsid(None).ok().map(nix::unistd::Pid::as_raw).filter(|session| *session != 0)
}

/// The process group of a process; `None` if there is no such process, or its group has no number in this process namespace.
pub(crate) fn process_group(process: Pid) -> Option<Pid> {
    let process = nix::unistd::Pid::from_raw(process.as_raw_nonzero().get());
    Pid::from_raw(nix::unistd::getpgid(Some(process)).ok()?.as_raw())
}

/// What [`started`] tells of a process that was started at `time` by the calendar; 0 if that was before the machine was.
pub(crate) fn ticks_at(time: SystemTime) -> u64 {
    let uptime = fs::read_to_string("/proc/uptime").unwrap_or_default();
    let seconds = uptime.split_once('.').and_then(|(seconds, _)| seconds.parse().ok()).unwrap_or_default();
    let ago = time.elapsed().unwrap_or_default();
    let at = Duration::from_secs(seconds).saturating_sub(ago);
    at.as_secs().saturating_mul(TICKS)
}

/// Where a process id means the same process: which start of which machine, and which of its process namespaces.
///
/// # Errors
/// The system's.
pub(crate) fn machine() -> io::Result<String> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    let namespace = fs::metadata("/proc/self/ns/pid")?.ino();
    Ok(format!("{}.{namespace}.", boot.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_calendar_and_the_system_agree_on_when_this_process_was_started() {
        let started = started(std::process::id()).unwrap();
        let now = ticks_at(SystemTime::now());
        assert!(started <= now + 2 * TICKS && now < started + 600 * TICKS, "{started} {now}");
        assert_eq!(ticks_at(SystemTime::UNIX_EPOCH), 0);
    }
}
