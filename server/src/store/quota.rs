//! How much all jobs may keep, and which of them make room. Pure: sizes and times in, names out.

use std::collections::{HashMap, HashSet};

use super::error::Quota;
use super::name::{JobName, OwnerTag};
use super::record::Timestamp;

/// What a job costs beside its output: a directory and three files, in blocks.
pub(super) const RECORD_COST: u64 = 16 * 1024;

/// What all jobs together may keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quotas {
    /// Bytes of the jobs of one owner.
    pub owner_bytes: u64,
    /// Bytes of all.
    pub all_bytes: u64,
    /// Records of one owner.
    pub owner_jobs: usize,
    /// Records of all.
    pub all_jobs: usize,
}

impl Quotas {
    /// Those of a file system of this size: 1 GiB for an owner, and for all 10 GiB or a tenth of it. And a job every minute
    /// of a week for an owner, who would make the others' listings slow otherwise.
    pub fn of_file_system(bytes: u64) -> Self {
        Self {
            owner_bytes: 1 << 30,
            all_bytes: (10 << 30).min(bytes / 10),
            owner_jobs: 10_000,
            all_jobs: 20_000,
        }
    }
}

/// What one job keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Account {
    /// Bytes of its output; of one that runs, as many as it may come to, or as it had when somebody looked.
    pub(super) output: u64,
    /// When it ended, if it has.
    pub(super) ended: Option<Timestamp>,
    /// When it was made.
    pub(super) created: Timestamp,
}

/// What all jobs keep.
#[derive(Debug, Default)]
pub(super) struct Accounts {
    jobs: HashMap<JobName, Account>,
}

/// What has to go so that there is room.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// Jobs whose output goes.
    pub(super) outputs: Vec<JobName>,
    /// Jobs whose records go as well.
    pub(super) records: Vec<JobName>,
}

impl Accounts {
    pub(super) fn set(&mut self, name: JobName, account: Account) {
        self.jobs.insert(name, account);
    }

    pub(super) fn account(&self, name: &JobName) -> Option<&Account> {
        self.jobs.get(name)
    }

    pub(super) fn forget(&mut self, name: &JobName) {
        self.jobs.remove(name);
    }

    pub(super) fn clear(&mut self) {
        self.jobs.clear();
    }

    pub(super) fn keep_only(&mut self, names: &HashSet<JobName>) {
        self.jobs.retain(|name, _| names.contains(name));
    }

    /// Those that ended before `time`.
    pub(super) fn ended_before(&self, time: Timestamp) -> Vec<JobName> {
        let is_over = |account: &Account| account.ended.is_some_and(|ended| ended < time);
        self.jobs.iter().filter(|(_, account)| is_over(account)).map(|(name, _)| name.clone()).collect()
    }

    /// How to make room for a job of `owner` that keeps `bytes`, which is nothing where there is room already. The oldest end
    /// goes first. Nothing goes when that would not help.
    pub(super) fn plan(&self, owner: &OwnerTag, bytes: u64, quotas: &Quotas) -> Result<Plan, Quota> {
        let mut need = Need::new(self, owner, bytes.saturating_add(RECORD_COST), quotas);
        if need.unmet().is_none() {
            return Ok(Plan::default());
        }
        let mut finished: Vec<(Timestamp, &JobName, &Account)> = self
            .jobs
            .iter()
            .filter_map(|(name, account)| account.ended.map(|ended| (ended, name, account)))
            .collect();
        finished.sort_unstable_by(|(a, name_a, _), (b, name_b, _)| (a, name_a).cmp(&(b, name_b)));
        let mut plan = Plan::default();
        let own = |name: &JobName| name.is_of(owner);
        // What the owner has too much is the owner's; then what all have too much is anybody's.
        for whose in [Whose::Owner, Whose::All] {
            let concerned = || finished.iter().filter(|(_, name, _)| whose == Whose::All || own(name));
            for (_, name, account) in concerned() {
                if need.jobs(whose) && !plan.records.contains(name) {
                    need.give_record(own(name), plan.take_record(name, account));
                }
            }
            for (_, name, account) in concerned() {
                if need.bytes(whose) && account.output > 0 && !plan.has(name) {
                    plan.outputs.push((*name).clone());
                    need.give_output(own(name), account.output);
                }
            }
            // A small file system may be full of bare records.
            for (_, name, account) in concerned() {
                if need.bytes(whose) && !plan.records.contains(name) {
                    need.give_record(own(name), plan.take_record(name, account));
                }
            }
        }
        need.unmet().map_or(Ok(plan), Err)
    }
}

impl Plan {
    fn has(&self, name: &JobName) -> bool {
        self.outputs.contains(name) || self.records.contains(name)
    }

    /// Adds a record; how many bytes of output go with it that had not been to go before.
    fn take_record(&mut self, name: &JobName, account: &Account) -> u64 {
        let before = self.outputs.len();
        self.outputs.retain(|gone| gone != name);
        self.records.push(name.clone());
        if self.outputs.len() < before { 0 } else { account.output }
    }
}

/// Whose room it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whose {
    Owner,
    All,
}

/// How much is too much yet.
struct Need {
    owner_bytes: u64,
    all_bytes: u64,
    owner_jobs: usize,
    all_jobs: usize,
}

impl Need {
    fn new(accounts: &Accounts, owner: &OwnerTag, bytes: u64, quotas: &Quotas) -> Self {
        let (mut owner_bytes, mut all_bytes, mut owner_jobs) = (bytes, bytes, 1);
        for (name, account) in &accounts.jobs {
            let cost = account.output.saturating_add(RECORD_COST);
            all_bytes = all_bytes.saturating_add(cost);
            if name.is_of(owner) {
                owner_bytes = owner_bytes.saturating_add(cost);
                owner_jobs += 1;
            }
        }
        Self {
            owner_bytes: owner_bytes.saturating_sub(quotas.owner_bytes),
            all_bytes: all_bytes.saturating_sub(quotas.all_bytes),
            owner_jobs: usize::saturating_sub(owner_jobs, quotas.owner_jobs),
            all_jobs: (accounts.jobs.len() + 1).saturating_sub(quotas.all_jobs),
        }
    }

    /// Whether there are too many records.
    fn jobs(&self, whose: Whose) -> bool {
        match whose {
            Whose::Owner => self.owner_jobs > 0,
            Whose::All => self.all_jobs > 0,
        }
    }

    /// Whether there are too many bytes.
    fn bytes(&self, whose: Whose) -> bool {
        match whose {
            Whose::Owner => self.owner_bytes > 0,
            Whose::All => self.all_bytes > 0,
        }
    }

    fn give_output(&mut self, own: bool, bytes: u64) {
        self.all_bytes = self.all_bytes.saturating_sub(bytes);
        if own {
            self.owner_bytes = self.owner_bytes.saturating_sub(bytes);
        }
    }

    fn give_record(&mut self, own: bool, output: u64) {
        self.give_output(own, output.saturating_add(RECORD_COST));
        self.all_jobs = self.all_jobs.saturating_sub(1);
        if own {
            self.owner_jobs = self.owner_jobs.saturating_sub(1);
        }
    }

    fn unmet(&self) -> Option<Quota> {
        match self {
            Self { owner_jobs: 1.., .. } => Some(Quota::OwnerJobs),
            Self { all_jobs: 1.., .. } => Some(Quota::AllJobs),
            Self { owner_bytes: 1.., .. } => Some(Quota::OwnerBytes),
            Self { all_bytes: 1.., .. } => Some(Quota::AllBytes),
            _ => None,
        }
    }
}

impl Quotas {
    pub(super) fn limit(&self, quota: Quota) -> u64 {
        match quota {
            Quota::OwnerBytes => self.owner_bytes,
            Quota::AllBytes => self.all_bytes,
            Quota::OwnerJobs => self.owner_jobs as u64,
            Quota::AllJobs => self.all_jobs as u64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authorize::Owner;

    const QUOTAS: Quotas =
        Quotas { owner_bytes: 10 * RECORD_COST, all_bytes: 16 * RECORD_COST, owner_jobs: 4, all_jobs: 6 };

    fn name(owner: u32, id: usize) -> JobName {
        JobName::of(&Owner::User(owner), &format!("job-{id}").parse().unwrap())
    }

    fn account(output: u64, ended: Option<u64>) -> Account {
        Account { output, ended: ended.map(Timestamp), created: Timestamp(0) }
    }

    fn accounts(jobs: &[(u32, usize, u64, Option<u64>)]) -> Accounts {
        let mut accounts = Accounts::default();
        for (owner, id, output, ended) in jobs {
            accounts.set(name(*owner, *id), account(*output * RECORD_COST, *ended));
        }
        accounts
    }

    fn plan(accounts: &Accounts, units: u64) -> Result<Plan, Quota> {
        accounts.plan(&OwnerTag::of(&Owner::User(1)), units * RECORD_COST, &QUOTAS)
    }

    #[test]
    fn where_there_is_room_nothing_goes() {
        let full = accounts(&[(1, 1, 3, Some(1)), (1, 2, 3, None)]);
        assert_eq!(plan(&full, 1), Ok(Plan::default()));
    }

    #[test]
    fn the_oldest_end_of_the_owner_goes_first_and_no_more_than_has_to() {
        let full = accounts(&[(1, 1, 3, Some(20)), (1, 2, 3, Some(10)), (2, 3, 2, Some(1))]);
        let gone = |outputs: &[JobName]| Ok(Plan { outputs: outputs.to_vec(), records: Vec::new() });
        assert_eq!(plan(&full, 2), gone(&[name(1, 2)]));
        // Although another's is older.
        assert_eq!(plan(&full, 5), gone(&[name(1, 2), name(1, 1)]));
    }

    #[test]
    fn what_all_have_too_much_is_anybodys() {
        let full = accounts(&[(2, 1, 6, Some(5)), (3, 2, 6, Some(4))]);
        assert_eq!(plan(&full, 2).unwrap().outputs, [name(3, 2)]);
    }

    #[test]
    fn what_runs_stays_and_nothing_goes_in_vain() {
        let full = accounts(&[(1, 1, 8, None), (1, 2, 1, Some(1))]);
        assert_eq!(plan(&full, 1), Err(Quota::OwnerBytes));
        let full = accounts(&[(2, 1, 7, None), (3, 2, 6, None), (1, 3, 1, Some(1))]);
        assert_eq!(plan(&full, 1), Err(Quota::AllBytes));
    }

    #[test]
    fn where_bare_records_take_the_room_the_oldest_go() {
        let quotas = Quotas { all_bytes: 3 * RECORD_COST, ..QUOTAS };
        let full = accounts(&[(1, 1, 0, Some(3)), (2, 2, 0, Some(1)), (3, 3, 0, Some(2))]);
        let plan = full.plan(&OwnerTag::of(&Owner::User(1)), 0, &quotas).unwrap();
        assert_eq!(plan, Plan { outputs: Vec::new(), records: vec![name(2, 2)] });
    }

    #[test]
    fn records_are_counted_as_well() {
        let own: Vec<_> = (0..4).map(|id| (1, id, 0, Some(10 - id as u64))).collect();
        assert_eq!(plan(&accounts(&own), 0).unwrap().records, [name(1, 3)]);
        let others: Vec<_> = (0..6).map(|id| (2 + id as u32, id, 0, Some(10 - id as u64))).collect();
        assert_eq!(plan(&accounts(&others), 0).unwrap().records, [name(7, 5)]);
        let running: Vec<_> = (0..4).map(|id| (1, id, 0, None)).collect();
        assert_eq!(plan(&accounts(&running), 0), Err(Quota::OwnerJobs));
        let running: Vec<_> = (0..6).map(|id| (2, id, 0, None)).collect();
        assert_eq!(plan(&accounts(&running), 0), Err(Quota::AllJobs));
    }

    /// Whatever there is: after the plan there is room, nothing that runs has gone, and nothing that could have stayed for
    /// something older.
    #[test]
    fn a_plan_keeps_every_rule() {
        let mut random = fastrand::Rng::with_seed(1);
        for _ in 0..20_000 {
            let mut all = Accounts::default();
            for id in 0..random.usize(0..9) {
                let ended = random.bool().then(|| random.u64(0..9));
                all.set(name(random.u32(1..4), id), account(random.u64(0..4 * RECORD_COST), ended));
            }
            let bytes = random.u64(0..6 * RECORD_COST);
            let owner = OwnerTag::of(&Owner::User(1));
            let Ok(plan) = all.plan(&owner, bytes, &QUOTAS) else {
                let mut least = Accounts::default();
                for (name, account) in all.jobs.iter().filter(|(_, account)| account.ended.is_none()) {
                    least.set(name.clone(), *account);
                }
                // What runs is too much alone.
                let fits = Need::new(&least, &owner, bytes + RECORD_COST, &QUOTAS).unmet().is_none();
                assert!(!fits, "{all:?}");
                continue;
            };
            let mut after = Accounts { jobs: all.jobs.clone() };
            for name in &plan.outputs {
                assert!(all.account(name).unwrap().ended.is_some());
                after.set(name.clone(), Account { output: 0, ..*all.account(name).unwrap() });
            }
            for name in &plan.records {
                assert!(all.account(name).unwrap().ended.is_some());
                after.forget(name);
            }
            assert_eq!(Need::new(&after, &owner, bytes + RECORD_COST, &QUOTAS).unmet(), None, "{all:?}");
        }
    }
}
