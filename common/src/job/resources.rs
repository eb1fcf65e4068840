//! What a job may take from the machine, and what it has taken.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::spec::SpecError;
use crate::limits;

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

    /// Checks each against what makes sense anywhere.
    ///
    /// # Errors
    /// [`SpecError::Limit`] for the first that does not.
    pub fn check(&self) -> Result<(), SpecError> {
        within(Resource::Memory, self.memory, limits::JOB_MEMORY)?;
        within(Resource::Cpu, self.cpu_percent, limits::JOB_CPU_PERCENT)?;
        within(Resource::Processes, self.processes, limits::JOB_PROCESSES)?;
        within(Resource::Nice, self.nice, limits::JOB_NICE)
    }
}

fn within<T: Copy + PartialOrd + Into<i128>>(
    resource: Resource,
    value: Option<T>,
    range: RangeInclusive<T>,
) -> Result<(), SpecError> {
    match value {
        Some(value) if !range.contains(&value) => Err(SpecError::Limit {
            resource,
            value: value.into(),
            least: (*range.start()).into(),
            most: (*range.end()).into(),
        }),
        _ => Ok(()),
    }
}

/// What can be limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Resource {
    /// [`ResourceLimits::memory`].
    Memory,
    /// [`ResourceLimits::cpu_percent`].
    Cpu,
    /// [`ResourceLimits::processes`].
    Processes,
    /// [`ResourceLimits::nice`].
    Nice,
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Memory => "memory",
            Self::Cpu => "processor time",
            Self::Processes => "the number of processes",
            Self::Nice => "the niceness",
        })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_makes_no_sense_is_refused_and_named() {
        let none = ResourceLimits::default();
        let wrong = [
            (ResourceLimits { memory: Some(0), ..none }, Resource::Memory),
            (ResourceLimits { memory: Some(4096), ..none }, Resource::Memory),
            (ResourceLimits { memory: Some(u64::MAX), ..none }, Resource::Memory),
            (ResourceLimits { cpu_percent: Some(0), ..none }, Resource::Cpu),
            (ResourceLimits { cpu_percent: Some(u32::MAX), ..none }, Resource::Cpu),
            (ResourceLimits { processes: Some(0), ..none }, Resource::Processes),
            (ResourceLimits { processes: Some(u32::MAX), ..none }, Resource::Processes),
            (ResourceLimits { nice: Some(20), ..none }, Resource::Nice),
            (ResourceLimits { nice: Some(-21), ..none }, Resource::Nice),
        ];
        for (limits, expected) in wrong {
            match limits.check() {
                Err(SpecError::Limit { resource, .. }) => assert_eq!(resource, expected),
                other => panic!("{limits:?}: {other:?}"),
            }
        }
        let memory = ResourceLimits { memory: Some(0), ..none }.check().unwrap_err().to_string();
        assert_eq!(memory, "a limit of 0 on memory: 1048576 to 9223372036854775807 make sense");
    }

    #[test]
    fn what_makes_sense_is_taken() {
        let usual = ResourceLimits {
            memory: Some(1 << 30),
            cpu_percent: Some(150),
            processes: Some(1),
            nice: Some(-20),
        };
        for limits in [ResourceLimits::default(), usual] {
            assert_eq!(limits.check(), Ok(()));
        }
    }
}
