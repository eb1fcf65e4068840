//! Whose jobs somebody may reach, and which job they mean by an id or by its beginning. Pure; knows no job.

use common::job::JobId;
use common::message::{JobSummary, Refusal};

use crate::authorize::Owner;

/// Whose jobs somebody may reach: their own, or everybody's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scope {
    owner: Owner,
    everyones: bool,
}

/// Why a reference names no job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotOne {
    /// There is none.
    Unknown,
    /// It is the beginning of so many.
    Ambiguous(usize),
}

impl From<NotOne> for Refusal {
    fn from(not_one: NotOne) -> Self {
        match not_one {
            NotOne::Unknown => Self::Unknown,
            NotOne::Ambiguous(jobs) => Self::Ambiguous { jobs: u32::try_from(jobs).unwrap_or(u32::MAX) },
        }
    }
}

impl Scope {
    /// The jobs of `owner`.
    pub fn own(owner: Owner) -> Self {
        Self { owner, everyones: false }
    }

    /// All jobs, for `owner`, who is an administrator.
    pub fn everyones(owner: Owner) -> Self {
        Self { owner, everyones: true }
    }

    /// Who asks.
    pub fn owner(&self) -> Owner {
        self.owner
    }

    /// Whether jobs of others can be reached.
    pub fn is_everyones(&self) -> bool {
        self.everyones
    }

    /// Whether the jobs of `owner` can be reached.
    pub fn holds(&self, owner: Owner) -> bool {
        self.everyones || self.owner == owner
    }

    /// Which of `jobs` is meant: that with this very id, one's own before another's; else the only one whose id begins so.
    ///
    /// # Errors
    /// [`NotOne`].
    pub fn meant<'a>(
        &self,
        reference: &str,
        jobs: impl Iterator<Item = (Owner, &'a JobId)>,
    ) -> Result<(Owner, JobId), NotOne> {
        let mut best: Option<(Fit, Owner, &JobId)> = None;
        let mut equals = 0;
        for (owner, id) in jobs.filter(|(owner, id)| self.holds(*owner) && id.as_str().starts_with(reference))
        {
            let fit = self.fit(reference, owner, id);
            match best {
                Some((found, ..)) if found < fit => {}
                Some((found, ..)) if found == fit => equals += 1,
                _ => (best, equals) = (Some((fit, owner, id)), 1),
            }
        }
        match best {
            None => Err(NotOne::Unknown),
            Some(_) if equals > 1 => Err(NotOne::Ambiguous(equals)),
            Some((_, owner, id)) => Ok((owner, id.clone())),
        }
    }

    /// What is said of a job of `owner`: whose it is, too, unless it is the asker's own.
    pub(crate) fn show(&self, owner: Owner, summary: JobSummary) -> JobSummary {
        JobSummary { owner: (owner != self.owner).then(|| owner.to_string()), ..summary }
    }

    fn fit(&self, reference: &str, owner: Owner, id: &JobId) -> Fit {
        match (id.as_str() == reference, owner == self.owner) {
            (true, true) => Fit::Own,
            (true, false) => Fit::Exact,
            (false, _) => Fit::Beginning,
        }
    }
}

/// How well an id fits a reference, the best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    Own,
    Exact,
    Beginning,
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANN: Owner = Owner::User(1);
    const BOB: Owner = Owner::User(2);
    const CEM: Owner = Owner::User(3);

    fn meant(scope: Scope, reference: &str) -> Result<(Owner, String), NotOne> {
        let jobs = [(ANN, "build"), (ANN, "build-2"), (BOB, "build"), (BOB, "deploy"), (CEM, "deploy")];
        let jobs: Vec<(Owner, JobId)> =
            jobs.into_iter().map(|(owner, id)| (owner, id.parse().unwrap())).collect();
        let found = scope.meant(reference, jobs.iter().map(|(owner, id)| (*owner, id)));
        found.map(|(owner, id)| (owner, id.to_string()))
    }

    #[test]
    fn one_sees_ones_own() {
        let scope = Scope::own(ANN);
        assert_eq!(meant(scope, "build"), Ok((ANN, "build".to_owned())));
        assert_eq!(meant(scope, "build-"), Ok((ANN, "build-2".to_owned())));
        assert_eq!(meant(scope, "bu"), Err(NotOne::Ambiguous(2)));
        assert_eq!(meant(scope, "deploy"), Err(NotOne::Unknown));
    }

    #[test]
    fn an_administrator_sees_all_and_first_their_own() {
        assert_eq!(meant(Scope::everyones(ANN), "build"), Ok((ANN, "build".to_owned())));
        assert_eq!(meant(Scope::everyones(CEM), "build-2"), Ok((ANN, "build-2".to_owned())));
        assert_eq!(meant(Scope::everyones(CEM), "build"), Err(NotOne::Ambiguous(2)));
        assert_eq!(meant(Scope::everyones(CEM), "deploy"), Ok((CEM, "deploy".to_owned())));
        assert_eq!(meant(Scope::everyones(ANN), "dep"), Err(NotOne::Ambiguous(2)));
    }
}
