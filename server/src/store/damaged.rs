//! Jobs whose files are damaged: what can still be known of them. Reads; moves nothing, and starts nothing.

use std::path::PathBuf;

use common::job::JobId;

use super::directory::Directory;
use super::lock::Lock;
use super::name::{JobName, OwnerTag};
use super::record::{Intent, Kept, Started, Timestamp};
use super::rules::State;
use super::{DAMAGED, ENTRIES, Store, StoreError};
use crate::scope::Scope;

/// A job of which some record is damaged.
#[derive(Debug, Clone)]
pub struct Damaged {
    /// Its id; the name of its directory, a hash, where the id cannot be read.
    pub id: JobId,
    /// What was written down when it was made, if that is whole.
    pub intent: Option<Intent>,
    /// Whether it is the asker's own: its directory's name tells that in any case.
    pub own: bool,
    /// That somebody holds it, if so: it runs.
    pub running: Option<State>,
    /// When its directory was last changed.
    pub changed: Timestamp,
    /// Where its files are.
    pub path: PathBuf,
}

impl Store {
    /// The damaged jobs in `scope`, whether they were set aside or not.
    ///
    /// # Errors
    /// Only if the directory itself cannot be read.
    pub fn damaged(&self, scope: Scope) -> Result<Vec<Damaged>, StoreError> {
        let is_damaged = |name: &JobName| {
            let state = self.open_job(name).and_then(|job| job.map(|job| job.state()).transpose());
            matches!(state, Err(StoreError::Damaged { .. }))
        };
        let names = self.names_in(scope)?.into_iter().filter(is_damaged);
        Ok(self.damaged_jobs(scope, names.collect()))
    }

    /// The job in `scope` without a readable id that is meant by the name of its directory, or by the beginning of it; or by its
    /// id, if that can be read and its job was set aside. `unreadable` are those that were not.
    pub(super) fn damaged_by_prefix(
        &self,
        scope: Scope,
        reference: &str,
        unreadable: Vec<JobName>,
    ) -> Option<StoreError> {
        let mut found = self.damaged_jobs(scope, unreadable);
        found.retain(|job| job.id.as_str().starts_with(reference));
        match &found[..] {
            [] => None,
            [job] => Some(StoreError::damaged(&job.path, "it cannot be read")),
            jobs => Some(StoreError::Ambiguous { count: jobs.len() }),
        }
    }

    /// Those in `scope` that were set aside, behind those with these `names`, which were not.
    fn damaged_jobs(&self, scope: Scope, names: Vec<JobName>) -> Vec<Damaged> {
        let mut found: Vec<_> =
            names.iter().filter_map(|name| self.damaged_job(&self.root, name, scope)).collect();
        // Where nothing was set aside, there is no such directory.
        let Ok(aside) = self.root.child(DAMAGED) else { return found };
        let Ok(names) = aside.names(ENTRIES) else { return found };
        let owner = OwnerTag::of(&scope.owner());
        let names = names.listed.iter().filter_map(|name| JobName::parse(name));
        let in_scope = names.filter(|name| scope.is_everyones() || name.is_of(&owner));
        found.extend(in_scope.filter_map(|name| self.damaged_job(&aside, &name, scope)));
        found
    }

    /// `None` if it has gone meanwhile.
    fn damaged_job(&self, parent: &Directory, name: &JobName, scope: Scope) -> Option<Damaged> {
        let changed = self.changed(parent, name.as_str())?;
        let directory = parent.child(name.as_str()).ok();
        let intent = directory.as_ref().and_then(|job| Intent::read(job).ok().flatten());
        let intent = intent.filter(|intent| JobName::of(&intent.owner, &intent.id) == *name);
        let stand_in = || name.as_str().parse().ok();
        let id = intent.as_ref().map(|intent| intent.id.clone()).or_else(stand_in)?;
        let held = directory.as_ref().filter(|job| Lock::is_held(job).unwrap_or(false));
        let running = held.map(|job| State::Running { started: Started::read(job).unwrap_or_default() });
        let (own, path) = (name.is_of(&OwnerTag::of(&scope.owner())), parent.path().join(name.as_str()));
        Some(Damaged { id, intent, own, running, changed, path })
    }
}
