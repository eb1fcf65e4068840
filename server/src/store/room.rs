//! Makes room: what goes for want of it, what goes when its time is over, and what its owner wants gone. Which jobs those are
//! is [`super::quota`]'s; what is forgotten is noted before it is.

use common::job::JobId;
use tracing::warn;

use super::directory::{Directory, Durability};
use super::job::Job;
use super::lock::{DirectoryLock, Lock};
use super::name::{JobName, OwnerTag};
use super::point::Point;
use super::quota::{Account, Accounts, Plan};
use super::record::{Intent, Kept, Memory, Timestamp};
use super::recovery::{FILES, GONE};
use super::rules::State;
use super::{DAMAGED, ENTRIES, RETENTION, Store, StoreError};
use crate::authorize::Owner;

/// Jobs that are removed in one call of [`Store::expire`]: others wait meanwhile.
pub const EXPIRE_AT_ONCE: usize = 256;

/// What had to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gone {
    /// Whose job it was.
    pub owner: Owner,
    /// Its id.
    pub id: JobId,
    /// Whether the record went as well as the output: then nobody knows any more that the job ever was.
    pub record: bool,
}

impl Store {
    /// Makes room for a job of `owner` that keeps `bytes`, by removing output of finished jobs, the oldest end first, and
    /// records where there are too many; says what has gone. Nothing goes where there is room, or where it would not help.
    ///
    /// Jobs that run count with all that they may keep, and only if that is too much with what they keep now: together they
    /// may grow beyond the quotas of owners, each up to its own.
    ///
    /// # Errors
    /// [`StoreError::StorageFull`], or the system's.
    pub fn make_room(&self, owner: &Owner, bytes: u64, now: Timestamp) -> Result<Vec<Gone>, StoreError> {
        let tag = OwnerTag::of(owner);
        let mut accounts = self.accounts();
        if accounts.plan(&tag, bytes, &self.quotas) == Ok(Plan::default()) {
            return Ok(Vec::new());
        }
        self.refresh(&mut accounts)?;
        let full = |quota| StoreError::StorageFull { quota, limit: self.quotas.limit(quota) };
        let plan = accounts.plan(&tag, bytes, &self.quotas).map_err(full)?;
        self.carry_out(&plan, &mut accounts, now)
    }

    fn carry_out(
        &self,
        plan: &Plan,
        accounts: &mut Accounts,
        now: Timestamp,
    ) -> Result<Vec<Gone>, StoreError> {
        if *plan == Plan::default() {
            return Ok(Vec::new());
        }
        // Another server may be at it, too.
        let lock = DirectoryLock::take(&self.root)?;
        let accounted = plan.records.iter().filter_map(|name| accounts.account(name));
        self.forget_since(accounted.map(|account| account.created), &lock)?;
        let mut gone = Vec::new();
        for (name, record) in
            plan.outputs.iter().map(|name| (name, false)).chain(plan.records.iter().map(|name| (name, true)))
        {
            let job = match self.open_job(name) {
                Ok(Some(job)) => job,
                // Not to be counted any more, and no reason to keep the others.
                Ok(None) | Err(StoreError::Damaged { .. } | StoreError::Newer { .. }) => {
                    accounts.forget(name);
                    continue;
                }
                Err(error) => return Err(error),
            };
            if record {
                match self.remove(&job, &lock) {
                    // Somebody has it in hand at this moment.
                    Err(StoreError::Running) => continue,
                    removed => removed?,
                }
                accounts.forget(name);
            } else {
                job.remove_output(now)?;
                if let Some(account) = accounts.account(name).copied() {
                    accounts.set(name.clone(), Account { output: 0, ..account });
                }
            }
            let Intent { owner, id, .. } = job.intent();
            gone.push(Gone { owner: *owner, id: id.clone(), record });
        }
        Ok(gone)
    }

    /// Removes what ended more than [`RETENTION`] before `now`, and what was set aside so long ago; says what has gone. At
    /// most [`EXPIRE_AT_ONCE`] jobs: until there are none, there may be more.
    ///
    /// # Errors
    /// The system's; what has gone until then is gone.
    pub fn expire(&self, now: Timestamp) -> Result<Vec<Gone>, StoreError> {
        self.expire_damaged(now, ENTRIES).map_err(|error| self.root.error(DAMAGED, error))?;
        let mut accounts = self.accounts();
        self.refresh(&mut accounts)?;
        let mut records = accounts.ended_before(now.before(RETENTION));
        records.truncate(EXPIRE_AT_ONCE);
        self.carry_out(&Plan { outputs: Vec::new(), records }, &mut accounts, now)
    }

    /// Removes the job that `owner` calls `id`, with its record: the same id may be used again, by whoever asks from now on.
    ///
    /// # Errors
    /// [`StoreError::Running`] while somebody holds it; else as [`Store::find`].
    pub fn forget(&self, owner: &Owner, id: &JobId) -> Result<(), StoreError> {
        let lock = DirectoryLock::take(&self.root)?;
        let job = self.find(owner, id)?;
        // Who has asked for it, and asks again since the answer was lost, must not start it again.
        self.forget_since(std::iter::once(job.intent().created), &lock)?;
        self.remove(&job, &lock)?;
        self.accounts().forget(job.name());
        Ok(())
    }

    /// Takes the job out of sight at once, and then off the disk. The job was opened under the lock: so its name is still its
    /// own, since nobody removes a job without, and nobody makes one while it is there.
    fn remove(&self, job: &Job, _: &DirectoryLock) -> Result<(), StoreError> {
        let error = |error| self.root.error(job.name().as_str(), error);
        // What is over has nothing more to write, even if its supervisor is still there.
        let _lock = match job.state()? {
            State::Ended(_) => None,
            _ => Some(Lock::take(job.directory()).map_err(error)?.ok_or(StoreError::Running)?),
        };
        let gone = format!("{GONE}{}", job.name().as_str());
        // What is left of a former one that was called so.
        self.root.remove_child(&gone, FILES).map_err(error)?;
        self.root.rename(job.name().as_str(), &self.root, &gone).map_err(error)?;
        self.root.mark(Point::JobUnnamed);
        // This first: who still has it open sees by it that it goes.
        job.directory().unlink(Intent::FILE).map_err(error)?;
        // It is forgotten, whatever else somebody has put there.
        if let Err(error) = self.root.remove_child(&gone, FILES) {
            warn!(directory = gone, %error, "what is left of a job that was forgotten cannot be removed");
        }
        Ok(())
    }

    /// Notes that the records of jobs that were made then go, before they do. Under the lock of the directory.
    fn forget_since(
        &self,
        created: impl Iterator<Item = Timestamp>,
        lock: &DirectoryLock,
    ) -> Result<(), StoreError> {
        let Some(youngest) = created.max() else { return Ok(()) };
        // A later one with the same time would count as remembered.
        let since = Timestamp(youngest.0.saturating_add(1));
        match self.remembers_since() {
            Ok(remembered) if remembered > youngest => Ok(()),
            Err(reason @ StoreError::Damaged { .. }) => {
                remember_anew(&self.root, since.max(Timestamp::now()), &reason, lock)
            }
            remembered => {
                remembered?;
                let bytes = Memory { since }.sealed()?;
                self.root.replace(Memory::FILE, &bytes).map_err(|error| self.root.error(Memory::FILE, error))
            }
        }
    }
}

/// Notes that of earlier jobs nothing is known, where it is not noted how far back the directory remembers, or that note cannot
/// be read. Where jobs were made before, that is said.
pub(super) fn remember(root: &Directory, now: Timestamp) -> Result<(), StoreError> {
    match Memory::read(root) {
        Ok(None) | Err(StoreError::Damaged { .. }) => {}
        // A newer version's counts there, and no record may be removed here.
        Ok(Some(_)) | Err(StoreError::Newer { .. }) => return Ok(()),
        Err(error) => return Err(error),
    }
    // Of two servers that do so at once, either's will do; but not instead of one that has noted more since then.
    let lock = DirectoryLock::take(root)?;
    match Memory::read(root) {
        Ok(None) if is_new(root)? => Memory { since: now }.write(root, Durability::Synced).map(drop),
        Ok(None) => {
            let missing = StoreError::damaged(&root.path().join(Memory::FILE), "it is missing");
            remember_anew(root, now, &missing, &lock)
        }
        Err(damaged @ StoreError::Damaged { .. }) => remember_anew(root, now, &damaged, &lock),
        Ok(Some(_)) | Err(StoreError::Newer { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Whether no job was ever made in it.
fn is_new(root: &Directory) -> Result<bool, StoreError> {
    let names = root.names(ENTRIES).map_err(|error| StoreError::system(root.path(), error))?;
    Ok(!names.listed.iter().any(|name| name == DAMAGED || JobName::parse(name).is_some()))
}

fn remember_anew(
    root: &Directory,
    since: Timestamp,
    reason: &StoreError,
    _: &DirectoryLock,
) -> Result<(), StoreError> {
    warn!(
        error = %reason,
        "it is not known how far back there is a record of every job: it is made anew, and a start that was first said before \
         now, and of which there is no record, is answered with `lost`"
    );
    let bytes = Memory { since }.sealed()?;
    root.replace(Memory::FILE, &bytes).map_err(|error| root.error(Memory::FILE, error))
}
