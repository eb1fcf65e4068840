//! What a job may take from the machine, and what it has taken.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Limits of a job, of all its processes together where the system can count them together; each is `None` if there is
/// none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ResourceLimits {
    /// Bytes of memory.
    pub memory: Option<u64>,
    /// Processor time per time, in per cent of one processor.
    pub cpu_percent: Option<u32>,
    /// Processes and threads at a time.
    pub processes: Option<u32>,
    /// Niceness, -20 to 19 (setpriority(2)).
    pub nice: Option<i8>,
}

impl ResourceLimits {
    /// Whether nothing is limited.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What a job has taken from the machine, as far as the system tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Processor time, user and system, in microseconds.
    pub cpu_us: u64,
    /// The most memory that was resident at a time.
    pub peak_memory: PeakMemory,
}

impl Usage {
    /// Processor time, user and system.
    pub fn cpu(&self) -> Duration {
        Duration::from_micros(self.cpu_us)
    }
}

/// What the system can tell of a job's memory, in bytes. Counted for one process, that includes the moment before the
/// program was loaded, in which the process still had the memory of whoever started it (`exec_mmap` in the kernel's
/// fs/exec.c).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum PeakMemory {
    /// So much.
    Exactly(u64),
    /// No more than this, which is what the process that started it has had.
    AtMost(u64),
}
