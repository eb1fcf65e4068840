//! What the directory of a job is called: a hash, so that any id is a safe name, and somebody else's id leads nowhere.

use common::job::{Digest, JobId};

use crate::authorize::Owner;

/// Digits that stand for the owner: those of one owner are found without a look at the others.
const OWNER_DIGITS: usize = 16;

/// Digits that stand for the job: 128 bits. Not more, since a socket in the directory has to fit 108 bytes with its path
/// (unix(7)).
const JOB_DIGITS: usize = 32;

/// The name of a job's directory.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct JobName(String);

impl JobName {
    /// That of the job that `owner` calls `id`.
    pub(super) fn of(owner: &Owner, id: &JobId) -> Self {
        let job = digits(b"telex job", owner, id.as_str().as_bytes(), JOB_DIGITS);
        Self(format!("{}{job}", OwnerTag::of(owner).0))
    }

    /// Whether it may be the name of a job.
    pub(super) fn parse(name: &str) -> Option<Self> {
        let is_one = name.len() == OWNER_DIGITS + JOB_DIGITS
            && name.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'));
        is_one.then(|| Self(name.to_owned()))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is the name of a job of this owner.
    pub(super) fn is_of(&self, owner: &OwnerTag) -> bool {
        self.0.starts_with(&owner.0)
    }
}

/// What the names of all jobs of one owner begin with.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct OwnerTag(String);

impl OwnerTag {
    pub(super) fn of(owner: &Owner) -> Self {
        Self(digits(b"telex owner", owner, b"", OWNER_DIGITS))
    }
}

fn digits(what: &[u8], owner: &Owner, id: &[u8], count: usize) -> String {
    let owner = match owner {
        Owner::Key(key) => [b"k", &key.as_bytes()[..]].concat(),
        Owner::User(uid) => [b"u", &uid.to_le_bytes()[..]].concat(),
    };
    // Of owners of one kind all are as long, so no two pairs are the same bytes.
    let digest = Digest::of(&[what, b"\0", &owner, id].concat());
    format!("{digest:?}").chars().take(count).collect()
}

#[cfg(test)]
mod tests {
    use common::keys::PublicKey;

    use super::*;

    #[test]
    fn every_id_has_a_safe_name_of_its_own() {
        let owners = [Owner::User(0), Owner::User(1), Owner::Key(PublicKey::from_bytes([0; 32]))];
        let ids = ["a", "b", "..", "/", "../../etc/passwd", "größe", &"x".repeat(64)];
        let mut names = Vec::new();
        for owner in owners {
            for id in ids {
                let name = JobName::of(&owner, &id.parse().unwrap());
                assert_eq!(JobName::parse(name.as_str()), Some(name.clone()));
                let is_of = |owner: &&Owner| name.is_of(&OwnerTag::of(owner));
                assert_eq!(owners.iter().filter(is_of).collect::<Vec<_>>(), [&owner]);
                assert!(!names.contains(&name));
                names.push(name);
            }
        }
    }

    #[test]
    fn a_name_stays_the_same_in_every_version() {
        let name = JobName::of(&Owner::User(1000), &"build".parse().unwrap());
        assert_eq!(name.as_str(), "28ce37495f7f257c2c5ec6f7d6172b1d63cf563ab2b02f58");
    }

    #[test]
    fn nothing_else_is_a_name() {
        let name = JobName::of(&Owner::User(0), &"a".parse().unwrap()).as_str().to_owned();
        for other in ["", "damaged", ".new-0", &name[1..], &format!("{name}0"), &name.to_uppercase()] {
            assert_eq!(JobName::parse(other), None, "{other}");
        }
    }
}
