//! A process that the program before this one has started, and that this one goes on with: becoming another program changes
//! nothing about whose child it is.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;

use common::job::JobId;
use rustix::process::Pid;
use serde::{Deserialize, Serialize};

use super::containment::Containment;
use super::tree::Tree;
use super::{Process, children};
use crate::parcel::{Descriptor, Moment, Packing, Stretch, Unpacking};

/// A process with its tree, as one program leaves it to the next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HandedProcess {
    /// Its process id.
    pub(crate) id: i32,
    /// Its pidfd.
    pub(crate) descriptor: Descriptor,
    /// A moment when it had been started.
    pub(crate) started: Moment,
    /// What was found to belong to it at the last look, twelve bytes each: its id and its time of start, little-endian.
    pub(crate) seen: Stretch,
    /// Its cgroup, if it has one of its own.
    pub(crate) group: Option<HandedGroup>,
}

/// The cgroup of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HandedGroup {
    /// The directory.
    pub(crate) directory: Descriptor,
    /// Its name, among those of jobs with limits or those without.
    pub(crate) name: String,
    /// Whether it is among those with limits.
    pub(crate) limited: bool,
    /// Processor time that earlier jobs have used there, in microseconds.
    pub(crate) used_before: u64,
    /// Whether it must not be used again.
    pub(crate) spoilt: bool,
}

/// The directory of a server's cgroups.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HandedCgroups {
    /// The directory, locked.
    pub(crate) base: Descriptor,
    /// Its name.
    pub(crate) name: String,
}

impl Process {
    /// Leaves it to the next program, if there will be one.
    ///
    /// # Errors
    /// The system's, if memory is short.
    pub(crate) fn hand<'a>(&'a self, packing: &mut Packing<'a>) -> io::Result<HandedProcess> {
        let seen = self.tree.seen().into_iter().flat_map(|(id, started)| {
            let (id, started) = (id.to_le_bytes(), started.to_le_bytes());
            id.into_iter().chain(started)
        });
        Ok(HandedProcess {
            id: self.id.as_raw_nonzero().get(),
            descriptor: packing.descriptor(self.descriptor.get_ref().as_fd()),
            started: self.tree.started().into(),
            seen: packing.bytes([seen.collect::<Vec<u8>>().into()])?,
            group: self.tree.group().and_then(|group| group.hand(packing)),
        })
    }

    /// Goes on with the process of the job `id`.
    ///
    /// # Errors
    /// The system's, if it cannot be watched; then it is killed with all that has come of it.
    pub(crate) fn take(
        handed: HandedProcess,
        id: &JobId,
        containment: &Arc<Containment>,
        unpacking: &mut Unpacking,
    ) -> io::Result<Self> {
        let leader = Pid::from_raw(handed.id).ok_or(io::ErrorKind::InvalidData)?;
        let descriptor = unpacking.descriptor(handed.descriptor)?;
        let seen = unpacking.bytes(handed.seen)?.concat();
        let seen = seen.chunks_exact(12).filter_map(|pair| {
            let (id, started) = pair.split_first_chunk::<4>()?;
            Some((i32::from_le_bytes(*id), u64::from_le_bytes(started.try_into().ok()?)))
        });
        let group = match handed.group {
            Some(group) => containment.group_again(group, unpacking)?,
            None => None,
        };
        children::adopt(leader);
        let entry = containment.enter(id, group.as_ref());
        if let Some(entry) = entry.as_ref().filter(|_| group.is_none()) {
            entry.started(id, leader.as_raw_nonzero().get().unsigned_abs());
        }
        let tree = Tree::again(
            leader,
            handed.started.into(),
            (id.clone(), group, entry),
            seen.collect(),
            Arc::clone(containment),
        );
        Self::new(leader, tree, descriptor)
    }
}
