//! How each limit of a job is kept: by its cgroup where that has the controller, else by what every process can be held to.
//! Decides, and does nothing.

use common::job::{Resource, ResourceLimits, StartFailure};

use super::cgroup::{Controllers, Setting};
use super::system::Restraints;

/// Microseconds in which the processor time of a job is shared out (cpu.max).
const CPU_PERIOD: u64 = 100_000;

/// What keeps the limits of a job.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Keepers {
    pub(super) settings: Vec<Setting>,
    pub(super) restraints: Restraints,
}

/// What there is to keep limits with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Means<'a> {
    pub(super) controllers: &'a Controllers,
    /// Whether this user's processes can be counted: the kernel counts nobody's who may do as they like.
    pub(super) counts_processes: bool,
    /// Whether a process can be held to anything at its birth.
    pub(super) can_restrain: bool,
}

/// How `limits` are kept with these means.
///
/// # Errors
/// [`StartFailure::Limit`] for the first that cannot be.
pub(super) fn keepers(limits: &ResourceLimits, means: Means<'_>) -> Result<Keepers, StartFailure> {
    let Controllers { memory, cpu, pids, missing } = means.controllers;
    let mut keepers = Keepers::default();
    if let Some(bytes) = limits.memory {
        if *memory {
            // Before memory.max: what is over could go to swap else, and the job be none the wiser.
            keepers.set("memory.swap.max", "0", true);
            keepers.set("memory.max", bytes, false);
            keepers.set("memory.oom.group", "1", true);
        } else {
            keepers.restraints.address_space = Some(bytes);
        }
    }
    if let Some(percent) = limits.cpu_percent {
        if !*cpu {
            return Err(impossible(Resource::Cpu, missing));
        }
        let quota = u64::from(percent) * CPU_PERIOD / 100;
        keepers.set("cpu.max", format_args!("{quota} {CPU_PERIOD}"), false);
    }
    if let Some(count) = limits.processes {
        if *pids {
            keepers.set("pids.max", count, false);
        } else if means.counts_processes {
            keepers.restraints.processes = Some(u64::from(count));
        } else {
            let reason =
                format!("{missing}, and the system does not count the processes of a user like the server's");
            return Err(impossible(Resource::Processes, &reason));
        }
    }
    keepers.restraints.nice = limits.nice;
    match keepers.first_restrained() {
        Some(resource) if !means.can_restrain => {
            Err(impossible(resource, "the system does not let the server start processes so (clone3)"))
        }
        _ => Ok(keepers),
    }
}

impl Keepers {
    fn set(&mut self, file: &'static str, value: impl ToString, optional: bool) {
        self.settings.push(Setting { file, value: value.to_string(), optional });
    }

    fn first_restrained(&self) -> Option<Resource> {
        let Restraints { address_space, processes, nice, reset_oom_score: _ } = self.restraints;
        let restrained = [
            address_space.map(|_| Resource::Memory),
            processes.map(|_| Resource::Processes),
            nice.map(|_| Resource::Nice),
        ];
        restrained.into_iter().flatten().next()
    }
}

/// The answer to a job whose limit cannot be kept.
pub(super) fn impossible(limit: Resource, reason: &str) -> StartFailure {
    StartFailure::Limit { limit, reason: reason.to_owned() }
}

/// The limit that a file of a cgroup keeps.
pub(super) fn resource_of(file: &str) -> Resource {
    match file.split('.').next() {
        Some("cpu") => Resource::Cpu,
        Some("pids") => Resource::Processes,
        _ => Resource::Memory,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: ResourceLimits =
        ResourceLimits { memory: Some(1 << 30), cpu_percent: Some(150), processes: Some(20), nice: Some(5) };

    fn every_controller() -> Controllers {
        Controllers { memory: true, cpu: true, pids: true, missing: String::new() }
    }

    fn means(controllers: &Controllers) -> Means<'_> {
        Means { controllers, counts_processes: true, can_restrain: true }
    }

    fn refused(result: Result<Keepers, StartFailure>) -> (Resource, String) {
        match result {
            Err(StartFailure::Limit { limit, reason }) => (limit, reason),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_cgroup_with_controllers_keeps_all_but_the_niceness() {
        let keepers = keepers(&ALL, means(&every_controller())).unwrap();
        let settings: Vec<_> =
            keepers.settings.iter().map(|it| (it.file, it.value.as_str(), it.optional)).collect();
        let expected = [
            ("memory.swap.max", "0", true),
            ("memory.max", "1073741824", false),
            ("memory.oom.group", "1", true),
            ("cpu.max", "150000 100000", false),
            ("pids.max", "20", false),
        ];
        assert_eq!(settings, expected);
        assert_eq!(keepers.restraints, Restraints { nice: Some(5), ..Restraints::default() });
    }

    #[test]
    fn without_controllers_a_process_is_held_to_what_it_can_be() {
        let none = Controllers::none("no controllers");
        let limits = ResourceLimits { cpu_percent: None, ..ALL };
        let Keepers { settings, restraints } = keepers(&limits, means(&none)).unwrap();
        assert_eq!(settings, []);
        assert_eq!(restraints.address_space, Some(1 << 30));
        assert_eq!(restraints.processes, Some(20));
        assert_eq!(refused(keepers(&ALL, means(&none))), (Resource::Cpu, "no controllers".to_owned()));
    }

    #[test]
    fn what_nothing_keeps_is_refused_and_not_forgotten() {
        let none = Controllers::none("no controllers");
        let limits = ResourceLimits { cpu_percent: None, ..ALL };
        let of_root = Means { counts_processes: false, ..means(&none) };
        let (limit, reason) = refused(keepers(&limits, of_root));
        assert_eq!(limit, Resource::Processes);
        assert!(reason.starts_with("no controllers, and the system does not count"), "{reason}");
        let unable = Means { can_restrain: false, ..means(&none) };
        assert_eq!(refused(keepers(&limits, unable)).0, Resource::Memory);
        let all = every_controller();
        assert_eq!(refused(keepers(&ALL, Means { can_restrain: false, ..means(&all) })).0, Resource::Nice);
        assert_eq!(keepers(&ResourceLimits::default(), unable), Ok(Keepers::default()));
    }
}
