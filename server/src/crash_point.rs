//! Moments in the life of a job, by name, at which a test can have processes killed: its server, its supervisor, or both.
//!
//! In a debug build, the variable `TELEX_CRASH_AT` names a file that says at which point, and whom: `begun 0 123` kills the
//! process that gets there (0) and process 123, once, and takes the file away. In a release build nothing of this is left.
//! Must not do anything else: a program that is tested is the program that runs.

/// Something that has just happened to a job. What belongs to a supervised job alone says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CrashPoint {
    /// Its start was read, and nothing was done.
    Asked,
    /// Supervised: its supervisor is a process that has no job yet. What is to be started is being written to the disk.
    SupervisorSpawned,
    /// Supervised: what is to be started is on the disk, maybe without its name.
    IntentWritten,
    /// Supervised: the lock is the supervisor's alone.
    LockGiven,
    /// Supervised: the supervisor has taken it over, and may not begin yet.
    Charged,
    /// Supervised: what is to be started is on the disk to stay.
    IntentDurable,
    /// Supervised: the supervisor may begin.
    Permitted,
    /// Supervised: that the command is about to be started is written down.
    Begun,
    /// The command is a process.
    Spawned,
    /// Supervised: which process it is is written down.
    StartWritten,
    /// The client was told that it runs: said, and maybe not sent.
    StartSaid,
    /// Supervised: the server has passed that on.
    StartRelayed,
    /// Some of its output is kept, in memory or on the disk.
    OutputKept,
    /// Some of its output was said to the client.
    OutputSaid,
    /// Supervised: the server has passed it on.
    OutputRelayed,
    /// The command has exited.
    Exited,
    /// Its process id was given back.
    Reaped,
    /// Supervised: all of its output is on the disk.
    OutputSynced,
    /// Supervised: how it ended is on the disk.
    EndWritten,
    /// The client was told how it ended.
    EndSaid,
    /// Supervised: the server has passed that on.
    EndRelayed,
    /// Supervised: its supervisor cannot be found any more.
    SupervisorLeft,
    /// Supervised: nothing is known of it any more, as was asked.
    Forgotten,
}

impl CrashPoint {
    /// Every one, in the order in which a job gets there.
    pub const ALL: [Self; 23] = [
        Self::Asked,
        Self::SupervisorSpawned,
        Self::IntentWritten,
        Self::LockGiven,
        Self::Charged,
        Self::IntentDurable,
        Self::Permitted,
        Self::Begun,
        Self::Spawned,
        Self::StartWritten,
        Self::StartSaid,
        Self::StartRelayed,
        Self::OutputKept,
        Self::OutputSaid,
        Self::OutputRelayed,
        Self::Exited,
        Self::Reaped,
        Self::OutputSynced,
        Self::EndWritten,
        Self::EndSaid,
        Self::EndRelayed,
        Self::SupervisorLeft,
        Self::Forgotten,
    ];

    /// As the file has it.
    pub fn name(self) -> String {
        format!("{self:?}")
    }
}

/// The job has come to `point`.
#[cfg(debug_assertions)]
pub(crate) fn reach(point: CrashPoint) {
    use std::path::PathBuf;
    use std::sync::OnceLock;
    use std::{env, fs};

    use rustix::process::{Pid, Signal, getpid, kill_process};

    static PLAN: OnceLock<Option<PathBuf>> = OnceLock::new();
    let Some(path) = PLAN.get_or_init(|| env::var_os("TELEX_CRASH_AT").map(PathBuf::from)) else { return };
    let Ok(plan) = fs::read_to_string(path) else { return };
    let mut words = plan.split_whitespace();
    // Of several that get there at once, it is for the one that takes the file away.
    if words.next() != Some(&point.name()) || fs::remove_file(path).is_err() {
        return;
    }
    let (own, others): (Vec<Option<Pid>>, Vec<_>) =
        words.filter_map(|word| word.parse().ok().map(Pid::from_raw)).partition(Option::is_none);
    for process in others.into_iter().flatten().chain(own.first().map(|_| getpid())) {
        // One that is gone already is as good.
        kill_process(process, Signal::KILL).ok();
    }
}

/// The job has come to `point`.
#[cfg(not(debug_assertions))]
pub(crate) const fn reach(_: CrashPoint) {}
