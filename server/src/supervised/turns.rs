//! Of those who start a job with one id at once, one at a time: so the others find what the first has made, and only that is
//! announced. Between servers that share a directory the store decides, and the trail may have a start of each.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use common::job::JobId;
use tokio::sync::OwnedMutexGuard;

use crate::authorize::Owner;

type Key = (Owner, JobId);

/// The ids that are being started. There are as many as starts under way, which connections bound.
#[derive(Debug, Default)]
pub(super) struct Turns(Mutex<HashMap<Key, Arc<tokio::sync::Mutex<()>>>>);

/// Leave to start a job with an id, until it is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    turns: Arc<Turns>,
    key: Key,
    /// `None` only while it is dropped.
    held: Option<OwnedMutexGuard<()>>,
}

impl Turns {
    /// Waits until nobody else starts the job that `owner` calls `id`: as long as their disk takes, and as their start waits
    /// for its record.
    pub(super) async fn take(self: &Arc<Self>, owner: Owner, id: &JobId) -> Turn {
        let key = (owner, id.clone());
        let one = Arc::clone(self.lock().entry(key.clone()).or_default());
        let mut turn = Turn { turns: Arc::clone(self), key, held: None };
        turn.held = Some(one.lock_owned().await);
        turn
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Arc<tokio::sync::Mutex<()>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        drop(self.held.take());
        let mut turns = self.turns.lock();
        // Whoever waits has it, too.
        if turns.get(&self.key).is_some_and(|one| Arc::strong_count(one) == 1) {
            turns.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_at_a_time_has_a_turn_with_an_id_and_nothing_is_left_of_it() {
        let (turns, id) = (Arc::<Turns>::default(), "build".parse().unwrap());
        let first = turns.take(Owner::User(1), &id).await;
        let another_owner = turns.take(Owner::User(2), &id).await;
        let waiting = tokio::spawn({
            let (turns, id) = (Arc::clone(&turns), id.clone());
            async move { turns.take(Owner::User(1), &id).await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop((first, another_owner));
        drop(waiting.await.unwrap());
        // One who gives up waiting leaves nothing either.
        let first = turns.take(Owner::User(1), &id).await;
        let given_up = tokio::time::timeout(std::time::Duration::ZERO, turns.take(Owner::User(1), &id)).await;
        assert!(given_up.is_err());
        drop(first);
        assert!(turns.lock().is_empty());
    }
}
